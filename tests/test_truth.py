"""The truth by simulation: fresh lesions are new, intervals follow their formulas, and chance alone gives the gains it should."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from conftest import round_lesions
from scipy.stats import norm, t

from lesion_utils import false_gain, fresh, further_cohorts, phantom, scores, settings, true_gain, truth, truth_figures
from lesion_utils.classifier import Trainer
from lesion_utils.errors import DataError, LeakError, SettingsError
from lesion_utils.experiment import load_classifier, train_and_predict
from lesion_utils.files import write_json
from lesion_utils.rois import extract_rois
from lesion_utils.runs import Run
from lesion_utils.splits import patient_folds
from lesion_utils.streams import stream

WINDOW = {"window_level": 60, "window_width": 400}
SETTINGS = {"epochs": 1, "batch_size": 16, "learning_rate": 0.01, "momentum": 0.9, "precision": "float32"}


def make_run(folder, cohort, amount=12):
    cohort.save(folder / "cohort.npz")
    own = cohort.with_role("cohort")
    fold = patient_folds(own.label, own.patient_id, folds=3, classes=own.classes, seed=0)
    table = pd.DataFrame({"seed": 0, "lesion_id": own.lesion_id, "patient_id": own.patient_id, "fold": fold})
    table.to_csv(folder / "folds.csv", index=False)
    write_json(folder / "preparation.json", {"folds": 3, "seeds": [0], "margin": 0.25, **WINDOW})
    plan = {"rotations": 2, "flips": 3, "translations": 1, "scales": 1}
    write_json(folder / "augmentation.json", {"plan": plan, "amount_reading": "training_set"})
    run = Run(folder)
    run.choose("classic", {(0, fold): {"amount": amount, "epoch": None, "unit": ""} for fold in range(3)})
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"), phantom.simulate_cohort(0, (7, 8, 9), (3, 3, 3), (4, 4, 4)))


@pytest.fixture(scope="module")
def lesions(run):
    return fresh.fresh_lesions(run, 48, seed=0)


# Fresh lesions


def test_fresh_lesions_are_of_new_patients_and_in_the_cohorts_proportions(run, lesions):
    assert len(lesions) == 48 and np.bincount(lesions.label).tolist() == [14, 16, 18]
    assert not lesions.rois.patients & set(run.everything.patient_id)
    assert not set(lesions.rois.lesion_id) & set(run.everything.lesion_id) and len(set(lesions.rois.lesion_id)) == 48
    assert lesions.rois.patients == set(lesions.patient_id)
    images = {image.tobytes() for image in run.originals.images} | {image.tobytes() for image in run.independent_test.images}
    assert not images & {image.tobytes() for image in lesions.rois.images}


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_no_fresh_slice_is_one_of_any_role_of_a_cohort_with_the_same_or_another_seed(seed, monkeypatch, tmp_path):
    cohort = phantom.simulate_cohort(seed, (7, 7, 7), (3, 3, 3), (6, 6, 6))
    own = {image.tobytes() for image in cohort.slices}
    made, simulate = [], phantom.simulate

    def keep(*arguments, **words):
        made.append(simulate(*arguments, **words))
        return made[-1]

    monkeypatch.setattr(phantom, "simulate", keep)
    monkeypatch.setattr(fresh, "CHUNK", 10)
    fresh.fresh_lesions(make_run(tmp_path, cohort), 24, seed=seed)
    slices = [image.tobytes() for part in made for image in part.slices]
    assert len(made) == 3 and len(slices) == 24 == len(set(slices)) and not set(slices) & own


def test_a_cohort_simulated_with_the_stream_of_the_fresh_lesions_is_refused(tmp_path):
    cohort = phantom.simulate_cohort(stream(0, "truth", 0), (7, 7, 7), (3, 3, 3), (6, 6, 6))
    with pytest.raises(LeakError, match="fresh_seed"):
        fresh.fresh_lesions(make_run(tmp_path, cohort), 21, seed=0)


def test_fresh_lesions_follow_their_seed_and_are_cut_as_the_run_cuts(run, lesions):
    assert fresh.fresh_lesions(run, 48, seed=0).key == lesions.key != fresh.fresh_lesions(run, 48, seed=1).key
    first = phantom.simulate((14, 16, 18), seed=stream(0, "truth", 0), role="test")
    np.testing.assert_array_equal(extract_rois(first, margin=0.25, **WINDOW).images, lesions.rois.images)


def test_chunks_keep_patients_apart_and_numbers_exact(run, monkeypatch):
    monkeypatch.setattr(fresh, "CHUNK", 7)
    small = fresh.fresh_lesions(run, 48, seed=0)
    assert np.bincount(small.label).tolist() == [14, 16, 18] and small.rois.images.shape == (48, 64, 64, 1)
    for patient in np.unique(small.patient_id):
        assert len(set(small.label[small.patient_id == patient])) == 1, "a simulated patient has lesions of one class"
    assert (np.unique(small.patient_id, return_counts=True)[1] <= 3).all()


def test_what_cannot_be_simulated_is_said(run, tmp_path):
    table = replace(round_lesions(24), source="table")
    with pytest.raises(DataError, match="come from a table"):
        fresh.fresh_lesions(make_run(tmp_path, table), 48, seed=0)
    with pytest.raises(SettingsError, match="fresh_lesions is 20"):
        fresh.fresh_lesions(run, 20, seed=0)


@pytest.mark.parametrize(("total", "expected"), [(182, [53, 64, 65]), (10_000, [2912, 3517, 3571]), (3, [1, 1, 1])])
def test_proportional_counts_of_the_papers_cohort(total, expected):
    counts = fresh.proportional_counts(np.repeat([0, 1, 2], [53, 64, 65]), total, 3)
    assert counts.tolist() == expected and counts.sum() == total


# Models


def test_training_sets_of_further_models_hold_two_thirds_of_the_patients_and_their_own_augmentations(run):
    first, again, second = (truth.training_set(run, seed, 12) for seed in (1000, 1000, 1001))
    np.testing.assert_array_equal(first.images, again.images)
    assert first.patients != second.patients and first.patients < set(run.cohort.patient_id)
    for training in (first, second):
        assert 24 * 0.5 < len(training) - 12 < 24 * 0.8
        assert set(training.lesion_id) == set(run.cohort.lesion_id[np.isin(run.cohort.patient_id, list(training.patients))])
    shared = sorted(set(first.lesion_id[-12:]) & set(second.lesion_id[-12:]))
    assert not {image.tobytes() for image in first.images[-12:]} & {image.tobytes() for image in second.images[-12:]}, shared


def test_a_run_deals_its_training_set_as_ever(run):
    training, _ = run.fold_sets(0, 1, 12)
    own = run.training_set(0, run.folds(0) != 1, 12, (1,))
    np.testing.assert_array_equal(training.images, own.images)


def test_independent_models_differ_are_kept_and_are_refused_a_leak(run, lesions, monkeypatch):
    pool = [Trainer(3, **SETTINGS)]
    named = truth.independent_models(run, pool, lesions, 12, 2)
    assert named.shape == (2, 48) and named.dtype == np.uint8 and named.max() < 3
    assert len(list((run.folder / "truth").glob("classic_12_seed100?_*.npz"))) == 2
    monkeypatch.setattr(Trainer, "train", lambda *arguments, **words: pytest.fail("trained again"))
    np.testing.assert_array_equal(truth.independent_models(run, pool, lesions, 12, 2), named)
    with pytest.raises(pytest.fail.Exception):
        truth.independent_models(run, pool, lesions, 11, 2)


def test_a_fresh_patient_behind_the_training_images_is_refused(run, lesions):
    known = replace(lesions, rois=replace(lesions.rois, patients=frozenset(run.cohort.patient_id.tolist())))
    with pytest.raises(LeakError, match="independent model, amount 12, seed 1000"):
        truth.independent_models(run, [Trainer(3, **SETTINGS)], known, 12, 1)


def test_chosen_classifiers_of_a_run_name_the_fresh_lesions(run, lesions):
    trainer, choices = Trainer(3, **SETTINGS), {}
    for fold in range(3):
        training, test = run.fold_sets(0, fold, 12)
        name = {"arm": "classic", "amount": 12, "seed": 0, "fold": fold}
        frame = train_and_predict(run, trainer, training=training, tests={"cross_validation": test}, keep_classifier=True, **name)
        choices[0, fold] = {"amount": 12, "epoch": None, "unit": frame.attrs["unit"]}
    run.choose("classic", choices)
    named = truth.chosen_predictions(run, lesions, ["classic"], [0])
    assert named["classic"].shape == (3, 48)
    last = load_classifier(run.chosen_unit("classic", 0, 2)).predict(lesions.rois.images).argmax(axis=1)
    np.testing.assert_array_equal(named["classic"][2], last)
    for path in (run.folder / "classifiers").glob("*.keras"):
        path.unlink()
    again = truth.chosen_predictions(run, lesions, ["classic"], [0])
    np.testing.assert_array_equal(again["classic"], named["classic"])


# True gain


def crossed(models, people, between_models, between_people, seed=0, lesions=1):
    """Return values with a known spread of models and of patients, and the patients."""
    rng = np.random.default_rng(seed)
    effects = [rng.standard_normal(n) for n in (models, people)]
    effects = [(own - own.mean()) / own.std(ddof=1) for own in effects]
    values = between_models * effects[0][:, None] + between_people * np.repeat(effects[1], lesions)
    return 0.05 + values, np.repeat(np.arange(people).astype(str), lesions)


@pytest.mark.parametrize(("between_models", "between_people"), [(0.02, 0.0001), (0.0001, 0.4), (0.02, 0.4)])
@pytest.mark.parametrize("models", [5, 12])
def test_the_interval_has_the_variance_of_models_by_students_t_and_that_of_patients(models, between_models, between_people):
    values, patient = crossed(models, 400, between_models, between_people)
    low, high = true_gain.true_value(values, patient, np.zeros(models), draws=4000, seed=0).interval
    quantiles = t.ppf(0.975, models - 1), norm.ppf(0.975)
    expected = np.hypot(quantiles[0] * between_models / np.sqrt(models), quantiles[1] * between_people / np.sqrt(400))
    assert (high - low) / 2 == pytest.approx(expected, rel=0.09)
    assert (high + low) / 2 == pytest.approx(0.05, abs=0.15 * expected)


def test_one_model_leaves_the_patients_alone():
    values, patient = crossed(5, 200, 0, 0.4)
    found = true_gain.true_value(values[:1], patient, [0], draws=3000, seed=0)
    assert np.ptp(found.interval) / 2 == pytest.approx(1.96 * 0.4 / np.sqrt(200), rel=0.09) and np.isnan(found.model_variance)


def test_the_interval_holds_the_truth_as_often_as_it_says_with_three_models():
    """Models that differ more than 100 patients do: resampling such models holds the truth in four of five cases."""
    rng, hits = np.random.default_rng(0), 0
    for seed in range(300):
        values = 0.02 + 0.03 * rng.standard_normal((3, 1)) + 0.05 * rng.standard_normal((1, 100))
        low, high = true_gain.true_value(values, np.arange(100), [0, 0, 0], draws=200, seed=seed).interval
        hits += low <= 0.02 <= high
    assert 0.92 <= hits / 300 <= 1


def test_components_of_variance_of_planted_effects():
    values, patient = crossed(6, 200, 0.03, 0.4, lesions=2)
    one = true_gain.true_value(values, patient, [0] * 6, draws=500, seed=0)
    assert one.value == pytest.approx(0.05) and one.models_per_seed == 6
    assert one.model_variance == pytest.approx(0.03**2) and one.patient_variance == pytest.approx(0.4**2 / 200)
    two = true_gain.true_value(values, patient, [0, 0, 0, 1, 1, 1], draws=500, seed=0)
    assert two.models_per_seed == 3 and two.model_variance == one.model_variance
    assert one.half_width == pytest.approx((one.interval[1] - one.interval[0]) / 2)


def test_sums_of_patients_whose_lesions_lie_apart():
    sums, sizes = true_gain.patient_sums([[1, 2, 3, 4], [0, 0, 1, 1]], np.array(["b", "a", "b", "c"]))
    assert sums.tolist() == [[2, 4, 4], [0, 1, 1]] and sizes.tolist() == [1, 2, 1]


def test_seeds_for_a_wanted_half_width():
    for model_variance, patient_variance, folds in [(1e-3, 0, 1), (1e-4, 1e-5, 3), (5e-3, 2e-5, 3), (1e-6, 0, 1), (1e-6, 0, 3)]:
        needed = int(true_gain.seeds_needed(model_variance, patient_variance, folds))

        def width(seeds, own=model_variance, others=patient_variance, folds=folds):
            models = seeds * folds
            return np.sqrt(t.ppf(0.975, models - 1) ** 2 * own / models + norm.ppf(0.975) ** 2 * others)

        assert width(needed) <= 0.01 and (needed * folds <= max(2, folds) or width(needed - 1) > 0.01)
    # 1.96^2 * 0.01 / 0.01^2 = 384.1: with many seeds Student's quantile is nearly the normal one.
    assert true_gain.seeds_needed(0.01, 0, 1) == pytest.approx(386, abs=1)
    assert true_gain.seeds_needed(1e-4, 1e-4, 3) == np.inf, "1.96 sqrt(1e-4) is above 0.01, whatever the seeds"
    assert np.isnan(true_gain.seeds_needed(np.nan, 0, 3))


def test_a_run_that_reaches_a_half_width_is_not_told_to_take_more_seeds():
    """The forecast follows the interval's own rule: the networks of all seeds and folds count."""
    for spread in (0.002, 0.008, 0.02):
        values, patient = crossed(9, 4000, spread, 0.15)
        gain = true_gain.true_value(values, patient, np.repeat([0, 1, 2], 3), draws=2000, seed=0)
        at_now = true_gain.seeds_needed(gain.model_variance, gain.patient_variance, 3, half_width=1.05 * gain.half_width)
        fewer = true_gain.seeds_needed(gain.model_variance, gain.patient_variance, 3, half_width=0.95 * gain.half_width)
        assert at_now <= 3 <= fewer, spread


def test_rows_of_the_true_gain():
    values, patient = crossed(3, 50, 0.02, 0.02)
    correct, difference = values > 0, values
    gain = true_gain.true_value(difference, patient, [0, 0, 0], draws=200, seed=0)
    accuracy = true_gain.true_value(correct, patient, [0, 0, 0], draws=200, seed=0)
    names = [(0, 0), (0, 1), (0, 2)]
    table = scores.results_frame(true_gain.rows_of("dcgan", correct, difference, accuracy, gain, names))
    assert set(table["table"]) == {"truth"} and set(table["test_set"]) == {"fresh"} and set(table["n"]) == {50}
    pooled = table[table["seed"] == "all"].set_index("metric")["value"]
    assert pooled["accuracy"] == pytest.approx(correct.mean()) and pooled["accuracy_difference"] == pytest.approx(0.05)
    assert pooled["half_width"] == gain.half_width and pooled["seeds_for_one_point"] >= 1
    only = scores.results_frame(true_gain.rows_of("classic", correct, None, accuracy, None, names))
    assert set(only["metric"]) == {"accuracy"} and len(only) == 4
    few = true_gain.true_value(10 * difference, patient, [0, 0, 0], draws=200, seed=0)
    table = scores.results_frame(true_gain.rows_of("dcgan", correct, difference, accuracy, few, names))
    assert table.set_index("metric")["value"].isna()["seeds_for_one_point"], "patients alone make it wider"


# Further cohorts


TINY_GAN = {
    "generator_width": 16, "discriminator_width": 4, "batch_size": 8, "learning_rate": 0.001, "beta_1": 0.0,
    "generator_updates": 1, "noise": "uniform", "precision": "float32", "classic_amount": None,
}  # fmt: skip


def test_further_cohorts_are_of_other_patients_each_and_prepared_as_the_run(run):
    first, again, second, other = (
        further_cohorts.further_run(run, number, seed=seed) for number, seed in [(0, 0), (0, 0), (1, 0), (0, 1)]
    )
    cohorts = [run.everything, *(further.cohort for further in (first, second, other))]
    slices = [image.tobytes() for cohort in cohorts for image in cohort.slices]
    assert len(set(slices)) == len(slices) and first.cohort.slices[0].tobytes() == again.cohort.slices[0].tobytes()
    for further in (first, second, other):
        assert np.bincount(further.cohort.label).tolist() == np.bincount(run.cohort.label).tolist()
        assert (further.preparation, further.augmentation) == (run.preparation, run.augmentation)
        assert set(further.folds(0)) == {0, 1, 2} and not len(further.test) and not len(further.extra)
        training, test = further.fold_sets(further_cohorts.SEED, further_cohorts.FOLD, 6)
        assert not training.patients & test.patients and len(training) + len(test) == 24 + 6


def test_what_the_folds_chose_most_often_is_usual(run):
    choices = [{"amount": amount, "epoch": epoch, "unit": ""} for amount, epoch in [(60, 2), (30, 1), (30, 2)]]
    run.choose("dcgan", {(0, fold): choice for fold, choice in enumerate(choices)})
    assert further_cohorts.usual_choices(run) == {"amount": 12, "epoch": 2, "per_class": 10}


def test_experiments_on_further_cohorts_are_made_once_and_refused_a_leak(run, lesions, monkeypatch):
    run.choose("dcgan", {(0, fold): {"amount": 15, "epoch": 1, "unit": ""} for fold in range(3)})
    write_json(run.folder / "dcgan.json", TINY_GAN)
    own, pool, trained = Run(run.folder), [Trainer(3, **SETTINGS)], []
    train = Trainer.train
    monkeypatch.setattr(Trainer, "train", lambda self, rois, **words: trained.append(rois) or train(self, rois, **words))
    named = further_cohorts.predictions(own, lesions, pool, cohorts=2, seed=3)
    assert named.shape == (2, 2, 48) and named.max() < 3
    cohorts = [further_cohorts.further_run(own, number, seed=3) for number in range(2)]
    for further, without, with_images in zip(cohorts, trained[::2], trained[1::2], strict=True):
        group, test = further.fold_sets(0, 0, 12)
        np.testing.assert_array_equal(without.images, group.images)
        np.testing.assert_array_equal(with_images.images[: len(group)], group.images)
        assert np.bincount(with_images.label[len(group) :]).tolist() == [5, 5, 5]
        assert with_images.patients == group.patients and not with_images.patients & test.patients
    again = further_cohorts.predictions(own, lesions, pool, cohorts=2, seed=3)
    np.testing.assert_array_equal(again, named)
    assert len(trained) == 4, "what is finished is taken up"
    leaked = replace(lesions, rois=replace(lesions.rois, patients=cohorts[0].originals.patients))
    with pytest.raises(LeakError, match="arm classic"):
        further_cohorts.predictions(own, leaked, pool, cohorts=2, seed=3)
    with pytest.raises(SettingsError, match="'cohorts' is 1"):
        further_cohorts.predictions(own, lesions, pool, cohorts=1, seed=3)


def test_the_interval_over_cohorts_is_students_with_the_patients_share():
    rng = np.random.default_rng(0)
    values, patient = crossed(4, 300, 0.03, 0.2)
    gain = further_cohorts.gain_over_cohorts(values, patient)
    half = np.hypot(t.ppf(0.975, 3) * 0.03 / 2, norm.ppf(0.975) * 0.2 / np.sqrt(300))
    assert gain.value == pytest.approx(0.05) and gain.models_per_seed == 1
    assert gain.interval == pytest.approx((0.05 - half, 0.05 + half), abs=1e-6)
    hits = 0
    for _ in range(400):
        cohorts = 0.02 + 0.03 * rng.standard_normal((3, 1)) + 0.3 * rng.standard_normal((1, 100))
        low, high = further_cohorts.gain_over_cohorts(cohorts, np.arange(100)).interval
        hits += low <= 0.02 <= high
    assert 0.92 <= hits / 400 <= 1, "it holds the truth as often as it says, with three cohorts"


def test_rows_of_the_gain_over_cohorts():
    values, patient = crossed(3, 50, 0.02, 0.02)
    table = scores.results_frame(further_cohorts.rows_of(values, further_cohorts.gain_over_cohorts(values, patient)))
    assert set(table["table"]) == {"cohorts"} and set(table["arm"]) == {"dcgan"}
    pooled = table[table["seed"] == "all"].set_index("metric")
    assert pooled.loc["accuracy_difference", "value"] == pytest.approx(0.05)
    assert pooled.loc["cohorts_for_one_point", "value"] >= 2
    assert table[table["seed"] != "all"]["value"].tolist() == pytest.approx(values.mean(axis=1).tolist())


# False gains


def people(label, each=2):
    """Deal lesions of each class to patients of ``each``."""
    nth = np.zeros(len(label), int)
    for number in np.unique(label):
        nth[label == number] = np.arange((label == number).sum()) // each
    return np.array([f"{own} {number}" for own, number in zip(label, nth, strict=True)])


def test_a_cohort_has_its_numbers_whole_patients_and_patients_in_one_fold():
    label = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [90, 120, 150]))
    patient = people(label, 3)
    tables = [false_gain.patient_table(patient, np.flatnonzero(label == number)) for number in range(3)]
    assert sorted(tables[1][tables[1] >= 0]) == np.flatnonzero(label == 1).tolist()
    drawn = set()
    for number in range(20):
        lesion, fold = false_gain.draw_cohort(tables, (53, 64, 65), 3, np.random.default_rng(number))
        assert np.bincount(label[lesion]).tolist() == [53, 64, 65] and len(set(lesion)) == 182
        assert pd.Series(fold).groupby(patient[lesion]).nunique().max() == 1
        counts = pd.crosstab(label[lesion], fold).to_numpy()
        assert counts.shape == (3, 3) and np.ptp(counts, axis=1).max() <= 4
        cut = [part for part in np.unique(patient[lesion]) if (patient[lesion] == part).sum() < (patient == part).sum()]
        assert len(cut) <= 3, "only a class's last patient is cut"
        drawn.add(tuple(sorted(lesion)))
    assert len(drawn) == 20


def test_models_of_a_fold_are_different_while_there_are_enough():
    random = np.random.default_rng(0)
    for _ in range(50):
        drawn = false_gain.draw_models(np.ones(20), 3, 6, random)
        assert drawn.shape == (3, 7) and all(len(set(fold)) == 7 for fold in drawn.tolist())
        few = false_gain.draw_models(np.ones(4), 3, 6, random)
        assert all(len(set(fold)) == 4 and fold[0] not in fold[1:] for fold in few.tolist())
        weighted = false_gain.draw_models(np.array([0, 1, 0, 3, 5]), 3, 6, random)
        assert set(weighted.ravel()) <= {1, 3, 4}
    first = [false_gain.draw_models(np.array([1, 3]), 1, 1, random)[0, 0] for _ in range(2000)]
    assert np.mean(first) == pytest.approx(0.75, abs=0.04)


DESIGN = {"folds": 3, "amounts": 6}


def test_models_that_are_one_and_the_same_never_gain():
    label = np.repeat([0, 1, 2], 100)
    correct = np.tile(np.random.default_rng(0).random(300) < 0.8, (8, 1))
    found = false_gain.run_experiments(correct, label, people(label), (30, 30, 30), draws=100, seed=0, **DESIGN)
    assert not found.best.any() and not found.beforehand.any()


def test_models_of_independent_errors_gain_as_the_binomial_says():
    rng = np.random.default_rng(1)
    n, each = 2000, 0.8
    label = np.repeat([0, 1, 2], n)
    correct = rng.random((20, 3 * n)) < each
    found = false_gain.run_experiments(correct, label, people(label, 1), (60, 60, 60), draws=3000, seed=0, **DESIGN)
    spread = np.sqrt(2 * each * (1 - each) / 180)
    assert found.beforehand.mean() == pytest.approx(0, abs=0.004)
    assert found.beforehand.std() == pytest.approx(spread, rel=0.06)
    # Of six that share a baseline: (largest of six standard normals, 1.267) x spread / sqrt 2.
    assert found.best.mean() == pytest.approx(1.267 * spread / np.sqrt(2), rel=0.06)
    share = false_gain.share_at_least(found.beforehand, 0.05)
    assert share == pytest.approx(norm.sf((0.05 - 0.5 / 180) / spread), abs=0.02)
    assert false_gain.share_at_least(found.best, 0.05) > 2 * share


def test_a_share_counts_gains_that_are_just_large_enough():
    assert false_gain.share_at_least(np.array([12, 14, 7, 0]) / 200, 0.07) == 0.25
    assert false_gain.share_at_least([0.1 + 0.2 - 0.3 + 0.07, 0.06], 0.07) == 0.5


def test_the_interval_of_a_share_allows_for_few_models_and_few_draws():
    rng = np.random.default_rng(2)
    label = np.repeat([0, 1, 2], 200)
    correct = rng.random((8, 600)) < rng.uniform(0.7, 0.9, (8, 1))
    words = {"folds": 3, "amounts": 2}
    found = false_gain.run_experiments(correct, label, people(label), (20, 20, 20), draws=1000, seed=0, **words)
    shares = {
        "best": false_gain.share_at_least(found.best, 0.07),
        "beforehand": false_gain.share_at_least(found.beforehand, 0.07),
    }
    arguments = (correct, label, people(label), (20, 20, 20), shares)
    wide = false_gain.share_intervals(*arguments, reported=0.07, resamplings=30, draws=1000, seed=0, **words)
    none = false_gain.share_intervals(*arguments, reported=0.07, resamplings=0, draws=1000, seed=0, **words)
    for name, share in shares.items():
        assert none[name] == pytest.approx(scores.wilson(round(1000 * share), 1000))
        assert wide[name][0] <= none[name][0] <= share <= none[name][1] <= wide[name][1]
        assert wide[name][1] - wide[name][0] > 1.5 * (none[name][1] - none[name][0])
    table = scores.results_frame(false_gain.rows_of(found, wide, 0.07, 5000))
    assert len(table) == 8 and set(table["n"]) == {1000} and set(table["label"]) == {"best", "beforehand"}
    row = table[(table["label"] == "best") & (table["metric"] == "false_gain_share")].iloc[0]
    assert (row["value"], row["ci_low"]) == (shares["best"], wide["best"][0])


def test_too_few_models_or_lesions_are_errors():
    label = np.repeat([0, 1], 20)
    correct = np.ones((1, 40), bool)
    with pytest.raises(SettingsError, match="'models' is 1"):
        false_gain.run_experiments(correct, label, people(label), (10, 10), draws=2, seed=0, **DESIGN)
    with pytest.raises(SettingsError, match="fresh_lesions"):
        false_gain.run_experiments(np.ones((3, 40), bool), label, people(label), (10, 30), draws=2, seed=0, **DESIGN)


# Figures and parameters


def test_figures_show_every_model_and_the_papers_gain():
    values, patient = crossed(3, 50, 0.02, 0.3)
    gains = {arm: true_gain.true_value(values, patient, [0, 0, 0], draws=200, seed=0) for arm in ("dcgan", "acgan")}
    figure = truth_figures.gains_figure(dict.fromkeys(gains, values), gains, margin=0.01)
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "."]
    assert len(dots) == 2 and dots[0].get_xdata() == pytest.approx(100 * values.mean(axis=1))
    plt.close(figure)
    figure = truth_figures.cohorts_figure(values, gains["dcgan"], values[:2], gains["acgan"], margin=0.01)
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "."]
    assert [len(line.get_xdata()) for line in dots] == [3, 2]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["this run's cohort", "2 further cohorts"]
    plt.close(figure)
    found = false_gain.Experiments(np.array([2, 4, 13]) / 182, np.array([-2, 0, 1]) / 182)
    figure = truth_figures.false_gains_figure(found, lesions=182, amounts=6, paper=13 / 182)
    labels = figure.axes[0].get_legend_handles_labels()[1]
    assert "the paper's 7.1 points" in labels and "best of 6 amounts" in labels
    marks = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert marks == pytest.approx([100 * 13 / 182])
    assert len(figure.axes[0].patches) == 2
    plt.close(figure)


@pytest.mark.parametrize("profile", settings.PROFILES)
def test_further_models_train_as_the_classification_does(profile):
    parameters = settings.run_parameters(profile)
    own, other = parameters["13_truth"], parameters["05_classification"]
    for name in ("seeds", "cnn_width", "epochs", "batch_size", "learning_rate", "momentum", "precision", "accuracy_margin"):
        assert own[name] == other[name], name
    assert own["draws"] >= 2000 and own["fresh_lesions"] >= sum(parameters["01_data"]["lesions"])
