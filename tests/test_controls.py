"""Control arms: what each adds and no more, chance where labels mean nothing, and a planted leak that is seen and refused."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from conftest import random_rois, round_lesions
from sklearn.neighbors import KNeighborsClassifier

from lesion_utils import controls, controls_figures, controls_results, paired, scores, settings
from lesion_utils.augment import augmented_rois
from lesion_utils.errors import DataError, LeakError, LesionBookError, MissingInputError, SettingsError
from lesion_utils.experiment import train_all
from lesion_utils.files import write_json
from lesion_utils.runs import Run
from lesion_utils.splits import patient_folds

WINDOW = {"window_level": 60, "window_width": 400}
PLAN = {"rotations": 2, "flips": 3, "translations": 1, "scales": 1}


def join(first, second):
    """Put two cohorts together."""
    names = ("label", "lesion_id", "patient_id", "role", "spacing")
    both = {name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in names}
    return replace(first, slices=first.slices + second.slices, outlines=first.outlines + second.outlines, **both)


def make_run(folder, *, n=24, classes=2, amount=30, added=20, meaningless=False):
    """Lay out a run of ``n`` lesions and 12 of an independent test set, with what 05_classification would have chosen.

    If ``meaningless``, the labels are dealt to patients whatever their lesions look like, so that nothing can be learned.
    """
    own = round_lesions(n, classes=classes)
    both = join(own, round_lesions(12, classes=classes, seed=1, role="test", first=n))
    if meaningless:
        label = np.repeat(np.random.default_rng(5).permutation(np.arange(len(both) // 2) % classes), 2)
        both, own = replace(both, label=label), replace(own, label=label[:n])
    both.save(folder / "cohort.npz")
    fold = patient_folds(own.label, own.patient_id, folds=3, classes=own.classes, seed=0)
    table = pd.DataFrame({"seed": 0, "lesion_id": own.lesion_id, "patient_id": own.patient_id, "fold": fold})
    table.to_csv(folder / "folds.csv", index=False)
    write_json(folder / "preparation.json", {"folds": 3, "seeds": [0], "margin": 0.25, **WINDOW})
    write_json(folder / "augmentation.json", {"plan": PLAN, "amount_reading": "training_set"})
    run = Run(folder)
    for arm, total in (("classic", amount), ("dcgan", added)):
        run.choose(arm, {(0, fold): {"amount": total, "epoch": None, "unit": ""} for fold in range(3)})
    return run


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path)


def build(run, arm, *, per_class=10, noise=0.05, fold=0):
    return controls.training_set(run, arm, 0, fold, per_class=per_class, noise=noise)


def counts(rois, classes=2):
    return np.bincount(rois.label, minlength=classes).tolist()


def times(images, among):
    """Return how often each of ``among`` comes in ``images``."""
    keys = [image.tobytes() for image in images]
    return np.array([keys.count(image.tobytes()) for image in among])


# Every arm


@pytest.mark.parametrize("arm", controls.ARMS)
def test_as_many_images_and_steps_as_the_synthetic_arm_and_the_same_again(run, arm):
    classic, test = run.fold_sets(0, 0, 30)
    group, again = build(run, arm), build(run, arm)
    added = {"permuted": 0, "planted_leak": len(classic) // 2}.get(arm, 10)  # of each class
    assert len(group) == len(classic) + 2 * added and controls.added_images(arm, classic, 10, 2) == 2 * added
    np.testing.assert_array_equal(group.images, again.images)
    np.testing.assert_array_equal(group.label, again.label)
    np.testing.assert_array_equal(group.images[: len(classic)], classic.images)
    assert group.images.dtype == np.float32 and 0 <= group.images.min() <= group.images.max() <= 1
    assert group.patients == classic.patients
    run.assert_clean(group, test, "no declared patient is under test")
    if arm not in ("equal_steps", "permuted"):
        assert counts(group.take(slice(len(classic), None))) == [added, added]


def test_folds_draw_from_streams_of_their_own(run):
    label = [build(run, "permuted", fold=fold).label for fold in (0, 1)]
    images = [build(run, "placebo", fold=fold).images[-20:] for fold in (0, 1)]
    assert label[0].tolist() != label[1].tolist() and not np.array_equal(*images)


def test_unknown_arms_are_named_and_all_is_the_default():
    assert controls.chosen_arms() == list(controls.ARMS)
    assert controls.chosen_arms(["planted_leak", "placebo", "placebo"]) == ["placebo", "planted_leak"]
    with pytest.raises(SettingsError, match="'only_controls' is 'placebos'; choose one of equal_steps"):
        controls.chosen_arms(["placebo", "placebos"])
    assert set(controls.ARMS) | set(controls_results.COMPARED) | {"gan_only"} <= set(scores.ARM_NAMES)


@pytest.mark.parametrize(("images", "expected"), [(64, 10), (65, 20), (128, 20), (1, 10)])
def test_steps_count_the_last_smaller_batch(images, expected):
    assert controls.steps(images, epochs=10, batch_size=64) == expected


# One by one


@pytest.mark.parametrize("added", [0, 1, 20, 45, 110])
def test_equal_steps_repeats_the_whole_group_evenly_and_keeps_its_proportions(added):
    classic = random_rois(45, classes=3).take(np.arange(45) % 3 != 2)  # 15 of each of two classes
    classic = classic.take(np.r_[np.flatnonzero(classic.label == 0), np.flatnonzero(classic.label == 1)[:5]])
    group = controls.equal_steps(classic, added, seed=1)
    assert len(group) == 20 + added
    each = times(group.images, classic.images)
    assert each.sum() == len(group) and each.max() - each.min() <= (added % 20 > 0)
    assert abs(counts(group)[0] - 0.75 * len(group)) < 1


def test_oversampling_repeats_originals_alone_and_evens_out_the_classes(run):
    classic, test = run.fold_sets(0, 0, 30)
    originals = classic.first(24 - len(test))
    added = build(run, "oversampling", per_class=11).images[len(classic) :]
    each = times(added, originals.images)
    assert each.sum() == 22
    for label in (0, 1):
        own = each[originals.label == label]
        assert own.sum() == 11 and own.max() - own.min() <= 1


def test_oversampling_of_uneven_classes_and_of_a_single_lesion():
    rois = random_rois(12).take(np.r_[0:12:2, 1])  # six of class 0, one of class 1
    added = controls.oversampling(rois, 9, 2, seed=0)
    assert counts(added) == [9, 9] and set(added.lesion_id[9:]) == {"L0002"}
    with pytest.raises(DataError, match="class number 2 has none in this fold"):
        controls.oversampling(rois, 9, 3, seed=0)
    assert len(controls.oversampling(rois, 0, 2, seed=0)) == 0


def test_more_classic_goes_on_where_the_group_ends(run):
    classic, _ = run.fold_sets(0, 0, 30)
    lesions = np.unique(classic.lesion_id)
    group = build(run, "more_classic", per_class=25)
    added = group.images[len(classic) :]
    assert times(added, classic.images).max() == 0 and times(added, added).max() == 1, "none comes twice"
    plan = {image.tobytes() for image in whole_plan(run, lesions)}
    assert {image.tobytes() for image in added} <= plan
    for label in (0, 1):
        shown = pd.Series(group.of_class(label).lesion_id).value_counts()
        assert shown.max() - shown.min() <= 1, "lesions of a class stay equal"


def whole_plan(run, lesions):
    plan = run.plan(0)
    rows, columns = np.divmod(np.arange(plan.size), plan.shape[1])
    own = np.isin(run.cohort.lesion_id[rows], lesions)
    return augmented_rois(run.cohort, plan, rows[own], columns[own], **run.window)[0].images


def test_more_classic_begins_again_only_when_the_plan_is_used_up(run):
    classic, test = run.fold_sets(0, 0, 30)
    lesions = 24 - len(test)
    per_class = (lesions * 12 - 30) // 2 + 8
    group = build(run, "more_classic", per_class=per_class)
    again = times(classic.images[lesions:], group.images[len(classic) :])
    assert again.sum() == times(group.images[len(classic) :], classic.images[lesions:]).sum()
    for label in (0, 1):
        own = classic.label == label
        left = own[:lesions].sum() * 12 - own[lesions:].sum()
        assert again[group.label[len(classic) :] == label].sum() == max(0, per_class - left)
    assert again.sum() >= 16


@pytest.mark.parametrize("noise", [0.01, 0.05])
def test_placebo_differs_from_its_source_by_the_noise_asked_for(noise):
    grey = random_rois(8)
    grey = replace(grey, images=np.full_like(grey.images, 0.5) + grey.label[:, None, None, None] / 100)
    copies = controls.placebo(grey, 20, 2, noise=noise, seed=3)
    change = copies.images - 0.5 - copies.label[:, None, None, None] / 100
    assert counts(copies) == [20, 20] and copies.patients == grey.patients
    assert change.std() == pytest.approx(noise, rel=0.02) and abs(change.mean()) < 4 * noise / np.sqrt(change.size)
    neighbours = np.corrcoef(change[..., :-1, 0].ravel(), change[..., 1:, 0].ravel())[0, 1]
    assert abs(neighbours) < 0.02, "each pixel has noise of its own"
    assert times(copies.images, copies.images).max() == 1, "repeats of one source differ too"
    assert not np.array_equal(copies.images, controls.placebo(grey, 20, 2, noise=noise, seed=4).images)


def test_placebo_is_clipped_and_shows_its_lesion():
    rois = random_rois(12)
    copies = controls.placebo(rois, 6, 2, noise=0.5, seed=0)
    assert copies.images.min() == 0 and copies.images.max() == 1
    assert sorted(copies.lesion_id) == sorted(rois.lesion_id), "no image twice while there are enough"
    assert copies.label.tolist() == [(int(name[1:]) - 1) % 2 for name in copies.lesion_id]


@pytest.mark.parametrize("noise", [0, -0.1])
def test_placebo_without_noise_is_refused(run, noise):
    with pytest.raises(SettingsError, match="'placebo_noise' is"):
        build(run, "placebo", noise=noise)


def test_labels_are_permuted_by_lesion_and_keep_their_counts(run):
    classic, _ = run.fold_sets(0, 0, 30)
    seen = set()
    for seed in range(20):
        group = controls.permuted_labels(classic, seed)
        np.testing.assert_array_equal(group.images, classic.images)
        table = pd.DataFrame({"lesion": classic.lesion_id, "new": group.label, "old": classic.label})
        assert (table.groupby("lesion")["new"].nunique() == 1).all(), "all images of a lesion share one label"
        lesions = table.drop_duplicates("lesion")
        assert lesions["new"].value_counts().to_dict() == lesions["old"].value_counts().to_dict()
        seen.add(tuple(group.label))
        assert 0 < (lesions["new"] == lesions["old"]).mean() < 1, "permuted, not exchanged for wrong ones"
    assert len(seen) == 20


# The leak


def test_leak_that_is_declared_honestly_is_refused_and_the_planted_one_is_a_leak(run):
    classic, test = run.fold_sets(0, 0, 30)
    leaked = controls.leaked_augmentations(run, 0, test, 10, 7)
    assert leaked.patients == test.patients and set(leaked.lesion_id) == set(test.lesion_id) and counts(leaked) == [10, 10]
    for rois in (classic + leaked, leaked):
        with pytest.raises(LeakError, match="here: patients P"):
            run.assert_clean(rois, test, "here")
    planted = build(run, "planted_leak")
    assert set(planted.lesion_id) & set(test.lesion_id) == set(test.lesion_id)
    assert set(planted.lesion_id).isdisjoint(run.test.lesion_id), "the independent test set does not leak"


@pytest.mark.parametrize("arm", [arm for arm in controls.ARMS if arm != "planted_leak"])
def test_no_other_arm_shows_a_lesion_under_test(run, arm):
    for fold in run.fold_numbers:
        _, test = run.fold_sets(0, fold, 0)
        assert set(build(run, arm, fold=fold).lesion_id).isdisjoint([*test.lesion_id, *run.test.lesion_id])


class ByHeart:
    """Learns its training set by heart: the class of the training image with the nearest sorted pixels, however it is turned."""

    settings = {"epochs": 1, "kind": "nearest neighbour"}
    mean_image = np.zeros((64, 64, 1), np.float32)

    def train(self, training, *, seed, on_epoch, where):
        learned = ByHeart()
        learned.model = KNeighborsClassifier(1).fit(self.look(training.images), training.label)
        on_epoch(1, 0.0)
        return learned

    def predict(self, images):
        return self.model.predict_proba(self.look(images)).astype(np.float32)

    @staticmethod
    def look(images):
        return np.sort(images.reshape(len(images), -1), axis=1)


def train(run, arms, per_class):
    jobs = []
    for arm in arms:
        for fold in run.fold_numbers:
            tests = run.test_sets(run.fold_sets(0, fold, 0)[1])
            if arm == "classic":
                training = run.fold_sets(0, fold, run.chosen("classic", 0, fold)["amount"])[0]
            else:
                training = build(run, arm, fold=fold, per_class=per_class)
            jobs.append({"training": training, "tests": tests, "arm": arm, "amount": 1, "seed": 0, "fold": fold})
    frames = pd.concat(train_all(run, [ByHeart()], jobs), ignore_index=True)
    return {arm: frames[frames["arm"] == arm] for arm in arms}


def accuracy(frame, test_set):
    own = frame[frame["test_set"] == test_set]
    return (own["true"] == own["predicted"]).mean()


def test_permuted_labels_fall_to_chance_where_the_classic_group_is_nearly_perfect(tmp_path):
    arms = train(make_run(tmp_path, n=60, amount=120), ["classic", "permuted"], 10)
    rows = []
    for test_set in ("cross_validation", "independent"):
        assert accuracy(arms["classic"], test_set) > 0.85
        own = arms["permuted"][arms["permuted"]["test_set"] == test_set]
        rows.append(controls_results.chance_row(own, test_set=test_set))
        assert 0.2 < rows[-1]["value"] < 0.8
    assert controls_results.alarm_table(rows, [], 2)["as_expected"].all()


def test_planted_leak_inflates_cross_validation_alone(tmp_path):
    arms = train(make_run(tmp_path, n=36, amount=120, meaningless=True), ["classic", "planted_leak"], 60)
    rows = controls_results.difference_rows(arms, "classic", table="controls", draws=500, seed=0)
    assert accuracy(arms["classic"], "cross_validation") < 0.7 < 0.9 < accuracy(arms["planted_leak"], "cross_validation")
    assert accuracy(arms["planted_leak"], "independent") < 0.75
    table = controls_results.alarm_table([], rows, 2)
    assert table["test_set"].tolist() == ["cross_validation", "independent"] and table["as_expected"].all(), table


# What they say


def predictions(right, *, seed=0, arm="a", test_set="cross_validation", names=("x", "y", "z")):
    """Return rows of predictions.csv: ``right`` is (folds, classes, lesions) of bool; the wrong answer is the next class."""
    right, rows = np.asarray(right), []
    for (fold, label, number), correct in np.ndenumerate(right):
        lesion = f"L{fold}{label}{number}"
        said = label if correct else (label + 1) % len(names)
        rows.append((arm, 0, test_set, seed, fold, lesion, f"P{fold}{label}{number // 2}", names[label], names[said]))
    columns = "arm amount test_set seed fold lesion_id patient_id true predicted".split()
    return pd.DataFrame(rows, columns=columns)


def test_chance_interval_is_students_over_classes_and_folds():
    right = np.arange(3 * 3 * 4).reshape(3, 3, 4) % 5 < 2
    row = controls_results.chance_row(predictions(right), arm="permuted")
    shares = right.mean(axis=2).ravel()
    reach = 2.306004 * shares.std(ddof=1) / 3  # Student's t, 8 degrees of freedom, 97.5 %: printed tables
    assert row["value"] == pytest.approx(shares.mean()) and row["n"] == 9
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((shares.mean() - reach, shares.mean() + reach), rel=1e-6)
    single = controls_results.chance_row(predictions(right[:1, :1]))
    assert np.isnan([single["ci_low"], single["ci_high"]]).all(), "one share has no spread"


def test_chance_interval_holds_for_networks_that_err_class_by_class_where_wilsons_does_not():
    random, held, wilson = np.random.default_rng(0), [], []
    for _ in range(400):
        right = np.repeat(random.integers(3, size=(3, 3, 1)) == 0, 20, axis=2)  # one answer for a class in a fold
        row = controls_results.chance_row(predictions(right[:, :, :2]))
        held.append(row["ci_low"] <= 1 / 3 <= row["ci_high"])
        low, high = scores.wilson(right.sum(), right.size)
        wilson.append(low <= 1 / 3 <= high)
    assert np.mean(held) > 0.9 and np.mean(wilson) < 0.6


def test_alarms_ring_or_not():
    high = controls_results.chance_row(predictions(np.ones((3, 3, 4), bool)), arm="permuted", test_set="cross_validation")
    level = controls_results.chance_row(predictions(np.arange(36).reshape(3, 3, 4) % 3 == 0), test_set="cross_validation")
    where = {"arm": "planted_leak"}
    rises = scores.result_row("accuracy_difference", 0.1, (0.05, 0.2), 9, test_set="cross_validation", **where)
    flat = scores.result_row("accuracy_difference", 0.0, (-0.1, 0.1), 9, test_set="cross_validation", **where)
    table = controls_results.alarm_table([high, level], [rises], 3)
    assert table["as_expected"].tolist() == [False, True, True] and table["found"].iloc[2] == "+10.0 points [+5.0, +20.0]"
    elsewhere = {"test_set": "independent"}
    assert controls_results.alarm_table([], [rises, flat | elsewhere], 3)["as_expected"].tolist() == [True, False]
    less = flat | elsewhere | {"value": 0.02, "ci_low": 0.01, "ci_high": 0.03}
    table = controls_results.alarm_table([], [rises, less], 3)
    assert table["as_expected"].tolist() == [True, True], "further real cases may help truly, but less"
    assert table["found"].iloc[1].startswith("+8.0 points [+2.9, ")
    assert controls_results.alarm_table([], [flat, rises | elsewhere], 3)["as_expected"].tolist() == [False, False]
    assert controls_results.alarm_table([], [rises | {"arm": "placebo"}], 3).empty


def test_surplus_of_normal_estimates_is_the_normal_interval_of_their_difference():
    one, other = ((value, value - 1.96 * error, value + 1.96 * error) for value, error in ((0.10, 0.03), (0.02, 0.04)))
    assert controls_results.surplus(one, other) == pytest.approx((0.08, 0.08 - 1.96 * 0.05, 0.08 + 1.96 * 0.05))
    # Newcombe's (1998) worked example, method 10: 56/70 minus 48/80, Wilson intervals, gives 0.0524 to 0.3339.
    one, other = ((a / n, *scores.wilson(a, n)) for a, n in ((56, 70), (48, 80)))
    assert controls_results.surplus(one, other) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_differences_are_those_of_the_paired_bootstrap():
    random = np.random.default_rng(0)
    old, new = (predictions(random.random((3, 3, 6)) < share, arm=arm) for share, arm in ((0.6, "classic"), (0.8, "placebo")))
    (row,) = controls_results.difference_rows({"classic": old, "placebo": new}, "classic", table="controls", draws=300, seed=4)
    expected = paired.paired_difference(new, old, draws=300, seed=4)
    assert (row["value"], row["ci_low"], row["ci_high"], row["n"]) == (expected.value, *expected.interval, 54)
    assert (row["table"], row["arm"], row["metric"], row["amount"]) == ("controls", "placebo", "accuracy_difference", "all")
    short = {"classic": old, "placebo": new.iloc[1:]}
    with pytest.raises(LesionBookError, match="arm placebo, cross_validation: not the lesions, folds and seeds of classic"):
        controls_results.difference_rows(short, "classic", table="controls", draws=10, seed=0)


def test_an_alarm_is_about_the_networks_that_were_trained():
    """A leak that lifts every seed, but by 5, 15 and 60 points: this run's alarm has rung, whatever other networks would do."""
    parts = {"classic": [], "planted_leak": []}
    for seed, lifted in enumerate((3, 9, 36)):
        for arm, number in (("classic", 0), ("planted_leak", lifted)):
            right = np.zeros(60, bool)
            right[: 20 + number] = True
            parts[arm].append(predictions(right.reshape(1, 3, 20), seed=seed, arm=arm))
    arms = {arm: pd.concat(own) for arm, own in parts.items()}
    rows = [
        controls_results.difference_rows(arms, "classic", table="", draws=300, seed=0, these_networks=one)
        for one in (True, False)
    ]
    assert rows[0][0]["value"] == rows[1][0]["value"] == pytest.approx(48 / 180)
    assert controls_results.alarm_table([], rows[0], 3)["as_expected"].tolist() == [True]
    assert rows[1][0]["ci_low"] < 0, "of three seeds that differ so, nothing follows for the method"


def with_predictions(run):
    """Write what notebooks 03 and 05 would: classic in two amounts, the GAN in two, and synthetic alone."""
    right = np.arange(36).reshape(3, 3, 4)
    parts = []
    for arm, amount, share in (("real", 0, 2), ("classic", 30, 3), ("classic", 60, 4), ("dcgan", 20, 5), ("dcgan", 40, 6)):
        parts.append(predictions(right % share > 0, arm=arm).assign(amount=amount))
    (run.folder / "predictions").mkdir()
    pd.concat(parts).to_csv(run.folder / "predictions" / "05_classification.csv", index=False)
    predictions(right % 7 > 0, arm="gan_only").to_csv(run.folder / "predictions" / "03_dcgan.csv", index=False)


def test_compared_arms_are_read_at_their_chosen_amounts(run):
    with_predictions(run)
    arms = controls_results.compared_arms(run, "dcgan", [0])
    assert list(arms) == ["classic", "dcgan", "gan_only"] and {len(own) for own in arms.values()} == {36}
    assert [accuracy(own, "cross_validation") for own in arms.values()] == pytest.approx([24 / 36, 28 / 36, 30 / 36])
    asked = controls_results.compared_arms(run, "dcgan", [0], 20)
    assert accuracy(asked["dcgan"], "cross_validation") == pytest.approx(30 / 36)
    with pytest.raises(SettingsError, match="'control_per_class' is 15, but 05_classification trained dcgan with 10, 20 synth"):
        controls_results.compared_arms(run, "dcgan", [0], 15)
    with pytest.raises(MissingInputError, match="no seed 1, fold 0"):
        controls_results.compared_arms(run, "dcgan", [0, 1])


def test_no_classic_augmentation_may_have_been_the_best(run):
    with_predictions(run)
    run.choose("classic", {(0, fold): {"amount": 0, "epoch": None, "unit": ""} for fold in range(3)})
    arms = controls_results.compared_arms(run, "dcgan", [0])
    assert accuracy(arms["classic"], "cross_validation") == pytest.approx(0.5)
    assert {len(build(run, arm)) for arm in controls.ARMS if arm not in ("permuted", "planted_leak")} == {
        24 - len(run.fold_sets(0, 0, 0)[1]) + 20
    }


def test_amount_is_that_of_the_inner_folds_unless_asked(run):
    assert controls_results.synthetic_per_class(run, "dcgan", 0, 1) == 10
    assert controls_results.synthetic_per_class(run, "dcgan", 0, 1, 7) == 7
    for asked in (0, -3):
        with pytest.raises(SettingsError, match=f"'control_per_class' is {asked}; it must be above 0"):
            controls_results.synthetic_per_class(run, "dcgan", 0, 1, asked)


def test_fewer_synthetic_images_than_asked_are_named():
    rois = random_rois(10)
    assert counts(controls_results.synthetic_group(rois, 5, 2, "dcgan")) == [5, 5]
    with pytest.raises(DataError, match="dcgan, seed 0, fold 1: 6 images of each class were asked for, but one class has 5"):
        controls_results.synthetic_group(rois, 6, 2, "dcgan, seed 0, fold 1")


def test_figure_has_a_panel_for_each_scale_and_test_set():
    arms = ["dcgan", "placebo", "permuted"]
    rows = [
        scores.result_row("accuracy_difference", value, (value - 0.02, value + 0.02), 9, arm=arm, test_set=test)
        for test in ("cross_validation", "independent")
        for arm, value in zip(arms, (0.01, 0.0, -0.5), strict=True)
    ]
    tests = {"cross_validation": "cross-validation", "independent": "independent"}
    figure = controls_figures.differences_figure(scores.results_frame(rows), tests, ["dcgan"], margin=0.01)
    axes = np.reshape(figure.axes, (2, 2))
    assert [len(axis.get_yticks()) for axis in axes[:, 0]] == [2, 1]
    assert axes[0, 0].get_xlim()[0] > -10 > axes[1, 0].get_xlim()[0], "alarms have a scale of their own"
    dots = [line.get_xdata()[0] for line in axes[0, 1].lines if line.get_marker() == "o"]
    assert dots == pytest.approx([1.0, 0.0])
    plt.close(figure)
    few = scores.results_frame([row for row in rows if row["arm"] == "placebo" and row["test_set"] == "independent"])
    figure = controls_figures.differences_figure(few, {"independent": "independent"}, [], margin=0.01)
    assert len(figure.axes) == 1
    plt.close(figure)


# The notebook


@pytest.mark.parametrize("profile", settings.PROFILES)
def test_controls_train_as_the_classification_does(profile):
    parameters = settings.run_parameters(profile)
    own, other = parameters["11_controls"], parameters["05_classification"]
    training = ("seeds", "cnn_width", "epochs", "batch_size", "learning_rate", "momentum", "precision")
    for name in (*training, "accuracy_margin", "bootstrap_draws"):
        assert own[name] == other[name], name
