"""What a run keeps, what one notebook finds of another, and leaks that must be caught wherever they are planted."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import random_rois, round_lesions

from lesion_utils import experiment, sampling, scores, streams
from lesion_utils.augment import augmented_rois, nested_group
from lesion_utils.errors import DataError, LeakError, MissingInputError, SettingsError
from lesion_utils.files import write_json
from lesion_utils.rois import RoiSet, extract_rois
from lesion_utils.runs import Run, open_run
from lesion_utils.settings import notebooks
from lesion_utils.splits import patient_folds
from lesion_utils.streams import stream

WINDOW = {"window_level": 60, "window_width": 400}
PLAN = {"rotations": 2, "flips": 3, "translations": 1, "scales": 1}


def join(first, second):
    """Put two cohorts together."""
    both = {name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in ("label", "lesion_id", "patient_id")}
    both |= {name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in ("role", "spacing")}
    return replace(first, slices=first.slices + second.slices, outlines=first.outlines + second.outlines, **both)


@pytest.fixture
def run(tmp_path):
    """18 lesions of nine patients in three folds, and an independent test set of three patients."""
    own = round_lesions(18, classes=3)
    join(own, round_lesions(6, classes=3, seed=1, role="test", first=18)).save(tmp_path / "cohort.npz")
    parts = []
    for seed in (0, 1):
        fold = patient_folds(own.label, own.patient_id, folds=3, classes=own.classes, seed=seed)
        parts.append(pd.DataFrame({"seed": seed, "lesion_id": own.lesion_id, "patient_id": own.patient_id, "fold": fold}))
    pd.concat(parts).to_csv(tmp_path / "folds.csv", index=False)
    write_json(tmp_path / "preparation.json", {"folds": 3, "seeds": [0, 1], "margin": 0.25, **WINDOW})
    write_json(tmp_path / "augmentation.json", {"plan": PLAN, "amount_reading": "training_set"})
    return Run(tmp_path)


def everyone(run, seed, fold):
    """Return the patients of a fold and those outside it."""
    inside = run.folds(seed) == fold
    return set(run.cohort.patient_id[inside]), set(run.cohort.patient_id[~inside])


# What is kept


def test_streams_of_one_seed_differ_and_repeat():
    numbers = [stream(seed, name, *more) for seed in (0, 1) for name in streams.STREAMS for more in ((), (0,), (1,), (0, 1))]
    assert len(set(numbers)) == len(numbers) == 2 * len(streams.STREAMS) * 4
    assert stream(3, "gan", 1, 2) == stream(3, "gan", 1, 2) and isinstance(stream(3, "gan"), int)
    assert len(set(streams.STREAMS.values())) == len(streams.STREAMS)


def test_open_run_makes_its_folder(tmp_path):
    assert open_run(str(tmp_path / "new")).folder == tmp_path / "new" and (tmp_path / "new").is_dir()


def test_cohort_roles_and_window(run):
    assert [len(part) for part in (run.everything, run.cohort, run.test)] == [24, 18, 6]
    assert run.classes == ("class 0", "class 1", "class 2") and run.fold_numbers == [0, 1, 2]
    assert run.window == WINDOW
    assert run.originals.images.shape == (18, 64, 64, 1) and len(run.independent_test) == 6
    assert run.independent_test.patients == {"P0010", "P0011", "P0012"}


def test_folds_follow_lesion_ids_not_row_order(run):
    before = run.folds(0)
    table = pd.read_csv(run.folder / "folds.csv")
    table.sample(frac=1, random_state=0).to_csv(run.folder / "folds.csv", index=False)
    np.testing.assert_array_equal(run.folds(0), before)
    assert not np.array_equal(run.folds(1), before)


@pytest.mark.parametrize("amount", [0, 1, 40])
def test_training_and_test_sets_of_a_fold(run, amount):
    for fold in run.fold_numbers:
        training, test = run.fold_sets(0, fold, amount)
        inside, outside = everyone(run, 0, fold)
        assert len(training) == 18 - len(test) + amount
        assert training.patients == outside and test.patients == inside and not inside & outside
        np.testing.assert_array_equal(test.images, run.originals.images[run.folds(0) == fold])
        np.testing.assert_array_equal(training.images[: 18 - len(test)], run.originals.images[run.folds(0) != fold])
        assert set(training.lesion_id) == set(run.cohort.lesion_id[run.folds(0) != fold])
        label = dict(zip(run.cohort.lesion_id, run.cohort.label, strict=True))
        assert training.label.tolist() == [label[lesion] for lesion in training.lesion_id]
    assert sum(len(run.fold_sets(0, fold, 0)[1]) for fold in run.fold_numbers) == 18


def test_smaller_groups_are_the_beginning_of_larger_ones_and_balanced(run):
    small, large = (run.fold_sets(0, 1, amount)[0] for amount in (10, 50))
    np.testing.assert_array_equal(large.images[: len(small)], small.images)
    np.testing.assert_array_equal(large.lesion_id[: len(small)], small.lesion_id)
    added = large.lesion_id[len(large) - 50 :]
    counts = [np.sum(added == lesion) for lesion in set(large.lesion_id)]
    assert max(counts) - min(counts) <= 1


def test_augmentations_of_a_lesion_are_the_same_in_every_fold(run):
    plan = run.plan(0)
    assert plan.shape == (18, 2 * 6)
    first, second = (run.fold_sets(0, fold, 12 * 12)[0] for fold in (0, 1))
    shared = (set(first.lesion_id) & set(second.lesion_id)).pop()
    groups = [np.sort(each.images[each.lesion_id == shared].reshape(-1, 4096), axis=0) for each in (first, second)]
    np.testing.assert_array_equal(*groups)
    assert not np.array_equal(plan, run.plan(1))


@pytest.fixture
def extra(run):
    """Return the same run with six extra lesions of three further patients."""
    more = round_lesions(6, classes=3, seed=2, role="extra", first=24)
    join(run.everything, more).save(run.folder / "cohort.npz")
    return Run(run.folder)


def test_extra_cases_are_originals_first_and_then_their_augmentations(extra):
    assert len(extra.extra) == 6 and len(extra.cohort) == 18
    large = extra.extra_rois(0, 10)
    assert np.bincount(large.label).tolist() == [10, 10, 10]
    assert large.patients == set(extra.extra.patient_id)
    originals = {lesion: image for lesion, image in zip(extra.extra.lesion_id, extra_originals(extra), strict=True)}
    for label in range(3):
        part = large.of_class(label)
        own = extra.extra.lesion_id[extra.extra.label == label]
        assert part.lesion_id[:2].tolist() == own.tolist()
        np.testing.assert_array_equal(part.images[:2], [originals[lesion] for lesion in own])
        assert sorted(np.unique(part.lesion_id[2:], return_counts=True)[1]) == [4, 4], "dealt in turn"
        np.testing.assert_array_equal(extra.extra_rois(0, 5).of_class(label).images, part.images[:5])
    assert not np.array_equal(extra.extra_rois(1, 10).images, large.images)


def extra_originals(run):
    return extract_rois(run.extra, margin=0.25, **WINDOW).images


def test_extra_cases_give_no_more_than_they_have(extra, run):
    assert np.bincount(extra.extra_rois(0, 1000).label).tolist() == [2 * (1 + 12)] * 3
    assert np.bincount(extra.extra_rois(0, 1).label).tolist() == [1, 1, 1]
    assert len(run.extra_rois(0, 10)) == 0, "a run without extra cases"


def test_extra_cases_on_top_are_clean_in_every_fold(extra):
    for fold in extra.fold_numbers:
        training, test = extra.fold_sets(0, fold, 4)
        extra.assert_clean(training + extra.extra_rois(0, 5), test, f"fold {fold}")


def test_chosen_amounts_epochs_and_classifiers_are_found_again(run):
    choices = {(0, fold): {"amount": 10 * fold, "epoch": 5, "unit": f"dcgan_fold{fold}.npz"} for fold in (0, 1)}
    run.choose("dcgan", choices)
    assert run.choices("dcgan") == choices == Run(run.folder).choices("dcgan")
    assert run.chosen("dcgan", 0, 1) == {"amount": 10, "epoch": 5, "unit": "dcgan_fold1.npz"}
    assert run.chosen_unit("dcgan", 0, 1) == run.folder / "classifiers" / "dcgan_fold1.npz"
    with pytest.raises(MissingInputError, match="dcgan.json has no seed 0, fold 2: run notebooks/05_classification.ipynb"):
        run.chosen_unit("dcgan", 0, 2)
    with pytest.raises(MissingInputError, match="acgan.json is missing: run notebooks/05_classification.ipynb first"):
        run.chosen_unit("acgan", 0, 0)


def test_inner_training_sees_neither_the_outer_nor_the_inner_fold(run):
    assert sorted(run.inner_folds) == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    for outer, inner in run.inner_folds:
        training, held_out = run.fold_sets(0, (outer, inner), 24)
        inside = np.isin(run.folds(0), (outer, inner))
        assert training.patients == set(run.cohort.patient_id[~inside]) and held_out.patients == set(
            run.cohort.patient_id[inside]
        )
        assert len(training) == (~inside).sum() + 12, "as many augmentations for each lesion as in an outer training"
        np.testing.assert_array_equal(training.images, run.fold_sets(0, (inner, outer), 24)[0].images)


def test_share_keeps_the_number_for_each_lesion(run):
    assert [run.share(300, left_out) for left_out in (0, (0, 1), (2, 0))] == [300, 150, 150]


def test_two_folds_leave_nothing_to_choose_on(run):
    write_json(run.folder / "preparation.json", {"folds": 2, "margin": 0.25, **WINDOW})
    with pytest.raises(SettingsError, match="parameter 'folds' is 2.*needs 3 or more"):
        _ = Run(run.folder).inner_folds


def test_files_of_synthetic_rois_differ_by_epoch_and_by_what_was_left_out(run):
    which = [(0, 5), (0, 10), ((0, 1), 5), ((1, 0), 5), (1, 5)]
    assert len({run.synthetic_path("dcgan", 0, left_out, epoch) for left_out, epoch in which}) == len(which)
    for epoch in (5, 10):
        sampling.save_synthetic(run.synthetic_path("dcgan", 0, 0, epoch), synthetic({f"P{epoch}"}))
    sampling.save_synthetic(run.synthetic_path("dcgan", 0, (0, 1), 7), synthetic({"P7"}))
    assert sampling.drawn_epochs(run, "dcgan", 0, 0) == [5, 10]
    run.choose("dcgan", {(0, 0): {"amount": 3, "epoch": 10, "unit": "a.npz"}})
    assert sampling.chosen_synthetic(run, "dcgan", 0, 0).patients == {"P10"}
    with pytest.raises(MissingInputError, match="no synthetic ROIs of dcgan, seed 0, fold 2: run notebooks/03_dcgan.ipynb first"):
        sampling.drawn_epochs(run, "dcgan", 0, 2)


def test_epochs_of_earlier_settings_are_forgotten_and_nothing_else(run):
    for left_out, epoch in [(0, 5), (0, 10), (0, 16), ((0, 1), 16), (1, 16)]:
        sampling.save_synthetic(run.synthetic_path("dcgan", 0, left_out, epoch), synthetic({"P1"}))
    sampling.save_synthetic(run.synthetic_path("acgan", 0, 0, 16), synthetic({"P1"}))
    sampling.forget_other_epochs(run, "dcgan", 0, 0, [5, 10, 14])
    assert sampling.drawn_epochs(run, "dcgan", 0, 0) == [5, 10]
    assert sampling.drawn_epochs(run, "dcgan", 0, 1) == sampling.drawn_epochs(run, "acgan", 0, 0) == [16]
    assert run.synthetic_path("dcgan", 0, (0, 1), 16).exists()


@pytest.mark.parametrize("gan", ["dcgan", "acgan"])
def test_notebooks_of_the_gans_forget_before_they_draw(gan):
    path = next(path for name, path in notebooks().items() if name.endswith(f"_{gan}") and name[:2] in ("03", "04"))
    code = "".join("".join(cell["source"]) + "\n" for cell in json.loads(path.read_text(encoding="utf-8"))["cells"])
    forget, save = code.index(f'forget_other_epochs(state, "{gan}"'), code.index("save_synthetic(")
    assert forget < save and f'drawing_seed("{gan}"' in code


def test_predictions_of_a_notebook_are_read_with_ids_as_text(run):
    run.save_results("05_classification", scores.results_frame([]), pd.DataFrame({"lesion_id": ["0012"], "patient_id": ["7"]}))
    assert run.predictions("05_classification").iloc[0].tolist() == ["0012", "7"]
    with pytest.raises(MissingInputError, match="run notebooks/11_controls.ipynb first"):
        run.predictions("11_controls")


def test_both_readings_of_samples_added_to_each_fold(run):
    assert run.added_samples(50) == 50
    write_json(run.folder / "augmentation.json", {"plan": PLAN, "amount_reading": "per_fold"})
    other = Run(run.folder)
    assert other.added_samples(50) == 100
    training, test = other.fold_sets(0, 0, 20)
    assert len(training) == 18 - len(test) + 40


@pytest.mark.parametrize(
    ("file", "read", "notebook"),
    [
        ("cohort.npz", lambda run: run.cohort, "01_data"),
        ("folds.csv", lambda run: run.folds(0), "01_data"),
        ("preparation.json", lambda run: run.window, "01_data"),
        ("augmentation.json", lambda run: run.fold_sets(0, 0, 3), "02_classic_augmentation"),
        ("chosen/classic.json", lambda run: run.choices("classic"), "05_classification"),
    ],
)
def test_missing_input_names_the_notebook_that_makes_it(run, file, read, notebook):
    (run.folder / file).unlink(missing_ok=True)
    with pytest.raises(MissingInputError, match=f"{file} is missing: run notebooks/{notebook}.ipynb first.*make book"):
        read(run)


def test_what_gans_need_is_made_by_the_classic_arms_alone(run):
    (run.folder / "chosen" / "classic.json").unlink(missing_ok=True)
    with pytest.raises(MissingInputError, match=r"first, with arms = \['real', 'classic'\], \(`make book`"):
        run.choices("classic")


def test_seed_without_folds_is_an_error(run):
    with pytest.raises(MissingInputError, match="no folds for seed 7: run 01_data with this seed"):
        run.folds(7)


def test_results_of_all_notebooks_are_joined_without_changing_a_digit(run):
    predictions = pd.DataFrame({"arm": ["dcgan"], "amount": [300], "lesion_id": ["L0001"], "probability_cyst": [1 / 3]})
    first = scores.results_frame([scores.result_row("accuracy", 1 / 3, (0.1, np.nan), 182, arm="dcgan", fold="all")])
    run.save_results("05_classification", first, predictions)
    run.save_results("03_dcgan", scores.results_frame([scores.result_row("accuracy", 0.5, table="gan_check")]))
    (run.folder / "results" / ".05_classification-half.csv").write_text("half a li")
    scores.join_results(run.folder)
    text = (run.folder / "results.csv").read_text().splitlines()
    assert text == [
        ",".join(scores.RESULT_COLUMNS),
        "gan_check,,,,,,accuracy,0.5,,,,,",
        f",dcgan,,,,,accuracy,{1 / 3!r},0.1,,182,all,",
    ]
    assert (run.folder / "predictions.csv").read_text() == f"arm,amount,lesion_id,probability_cyst\ndcgan,300,L0001,{1 / 3!r}\n"


# Planted leaks


def tamper(run, change):
    """Change folds.csv and return the run as the next notebook finds it."""
    table = pd.read_csv(run.folder / "folds.csv")
    change(table)
    table.to_csv(run.folder / "folds.csv", index=False)
    return Run(run.folder)


def test_patient_divided_between_folds_is_caught(run):
    def divide(table):
        rows = table.index[(table["seed"] == 0) & (table["patient_id"] == "P0003")]
        assert len(rows) == 2
        table.loc[rows[0], "fold"] = (table.loc[rows[0], "fold"] + 1) % 3

    leaking = tamper(run, divide)
    own = pd.read_csv(run.folder / "folds.csv").query("seed == 0 and patient_id == 'P0003'")["fold"]
    for fold in own:
        with pytest.raises(LeakError, match=f"seed 0, without fold {fold}: patients P0003 are in the test set"):
            leaking.fold_sets(0, fold, 10)
    leaking.fold_sets(1, 0, 10)
    leaking.fold_sets(0, ({0, 1, 2} - set(own)).pop(), 10)


def test_patient_of_the_independent_test_set_in_the_cohort_is_caught(run):
    everything = run.everything
    patient = everything.patient_id.copy()
    patient[0] = "P0011"
    with pytest.raises(DataError, match="P0011 has lesions with role"):
        replace(everything, patient_id=patient)
    leaking = Run(run.folder)
    test = run.test
    leaking.__dict__["test"] = test.subset(slice(None))
    leaking.test.patient_id[0] = run.cohort.patient_id[run.folds(0) != 0][0]
    with pytest.raises(LeakError, match="seed 0, without fold 0, independent test set"):
        leaking.fold_sets(0, 0, 0)


class FakeTrainer:
    """Counts trainings and answers class 0, so that only the guard around it is tested."""

    def __init__(self):
        self.settings, self.trained = {"epochs": 1}, []

    def train(self, training, *, seed, on_epoch, where):
        self.trained.append((len(training), seed, where))
        on_epoch(1, 0.5)
        return self

    mean_image = np.zeros((64, 64, 1), np.float32)

    def predict(self, images):
        return np.tile(np.array([0.5, 0.3, 0.2], np.float32), (len(images), 1))


def unit(run, training, tests, trainer=None, **more):
    name = {"arm": "classic", "amount": 10, "seed": 0, "fold": 0} | more
    return experiment.train_and_predict(run, trainer or FakeTrainer(), training=training, tests=tests, **name)


def test_training_set_with_a_test_patient_is_caught_before_training(run):
    training, test = run.fold_sets(0, 0, 10)
    leaked = training + test.take(slice(0, 1))
    trainer = FakeTrainer()
    with pytest.raises(LeakError, match="arm classic, amount 10, seed 0, fold 0: patients P"):
        unit(run, leaked, {"cross_validation": test}, trainer)
    assert trainer.trained == [] and not (run.folder / "classifiers").exists()


def test_augmented_roi_of_a_test_patient_is_caught(run):
    training, test = run.fold_sets(0, 0, 10)
    plan = run.plan(0)
    lesion, column = nested_group(np.flatnonzero(run.folds(0) == 0)[:1], 2, plan.shape[1])
    stray, _ = augmented_rois(run.cohort, plan, lesion, column, **WINDOW)
    with pytest.raises(LeakError, match=f"patients {run.cohort.patient_id[lesion[0]]} are in the test set"):
        unit(run, training + stray, {"cross_validation": test})


def synthetic(patients):
    rois = random_rois(6, classes=3)
    return RoiSet(rois.images, rois.label, frozenset(patients), np.full(6, ""))


def test_synthetic_rois_of_a_gan_that_saw_a_test_patient_are_caught_even_from_their_file(run, tmp_path):
    training, test = run.fold_sets(0, 0, 10)
    clean = training + synthetic(training.patients)
    unit(run, clean, {"cross_validation": test})
    sampling.save_synthetic(tmp_path / "stray.npz", synthetic(training.patients | {min(test.patients)}))
    stray = sampling.load_synthetic(tmp_path / "stray.npz").first_of_each_class(1, 3)
    for leaked in (training + stray, stray):
        with pytest.raises(LeakError, match=f"patients {min(test.patients)} are in the test set"):
            unit(run, leaked, {"cross_validation": test}, arm="dcgan")


def test_synthetic_rois_of_another_fold_are_caught(run):
    training, test = run.fold_sets(0, 0, 10)
    other, _ = run.fold_sets(0, 1, 10)
    with pytest.raises(LeakError, match="are in the test set"):
        unit(run, training + synthetic(other.patients), {"cross_validation": test})


def test_patient_of_the_independent_test_set_behind_the_training_set_is_caught(run):
    training, test = run.fold_sets(0, 0, 10)
    leaked = training + synthetic({"P0012"})
    with pytest.raises(LeakError, match="fold 0, independent test set: patients P0012"):
        unit(run, leaked, {"cross_validation": test})
    with pytest.raises(LeakError, match="patients P0012"):
        unit(run, leaked, {"independent": run.independent_test})


# A unit of the experiment


def test_unit_gives_predictions_of_every_test_lesion(run):
    training, test = run.fold_sets(0, 0, 10)
    frame = unit(run, training, {"cross_validation": test, "independent": run.independent_test})
    assert frame["test_set"].value_counts().to_dict() == {"cross_validation": len(test), "independent": 6}
    assert list(frame.columns) == (
        "arm amount test_set seed fold lesion_id patient_id true predicted".split()
        + [f"probability_{name}" for name in run.classes]
    )
    own = frame[frame["test_set"] == "cross_validation"]
    assert own["lesion_id"].tolist() == test.lesion_id.tolist() and set(own["patient_id"]) == test.patients
    assert own["true"].tolist() == [run.classes[label] for label in test.label]
    assert set(frame["predicted"]) == {"class 0"} and frame["probability_class 0"].eq(0.5).all()


def test_finished_unit_is_taken_up_only_for_the_same_parameters_data_and_seed(run):
    training, test = run.fold_sets(0, 0, 10)
    trainer = FakeTrainer()
    first = unit(run, training, {"cross_validation": test}, trainer)
    assert len(trainer.trained) == 1
    again = unit(run, training, {"cross_validation": test}, trainer)
    assert len(trainer.trained) == 1, "found again"
    pd.testing.assert_frame_equal(first, again)
    unit(run, training.first(20), {"cross_validation": test}, trainer)
    trainer.settings = {"epochs": 2}
    unit(run, training, {"cross_validation": test}, trainer)
    unit(run, training, {"cross_validation": test}, trainer, seed=1)
    assert len(trainer.trained) == 4
    assert len({seed for _, seed, _ in trainer.trained[-2:]}) == 2, "each seed trains from its own initial weights"


def test_unit_that_was_cut_off_leaves_nothing_behind(run):
    training, test = run.fold_sets(0, 0, 10)
    trainer = FakeTrainer()
    trainer.predict = lambda images: 1 / 0
    with pytest.raises(ZeroDivisionError):
        unit(run, training, {"cross_validation": test}, trainer)
    assert not list(run.folder.glob("classifiers/*"))


def test_kept_classifier_predicts_as_it_did(run):
    from lesion_utils.classifier import Trainer

    training, test = run.fold_sets(0, 0, 0)
    trainer = Trainer(3, epochs=1, batch_size=8, learning_rate=0.01, momentum=0.9, precision="float32")
    frame = unit(run, training, {"cross_validation": test}, trainer, keep_classifier=True)
    loaded = experiment.load_classifier(run.folder / "classifiers" / frame.attrs["unit"])
    probability = frame[[f"probability_{name}" for name in run.classes]].to_numpy()
    np.testing.assert_array_equal(loaded.predict(test.images), probability)
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-5)


def test_trainings_side_by_side_come_back_in_order_and_are_those_of_one_after_the_other(run):
    from lesion_utils.classifier import Trainer

    def job(fold):
        test = run.fold_sets(0, fold, 0)[1]
        training = lambda: run.fold_sets(0, fold, 12)[0]  # noqa: E731  (built when its training begins)
        return {"training": training, "tests": {"inner": test}, "arm": "classic", "amount": 12, "seed": 0, "fold": fold}

    settings = {"epochs": 2, "batch_size": 8, "learning_rate": 0.01, "momentum": 0.9, "precision": "float32"}
    jobs = [job(fold) for fold in (2, 0, (0, 1))]
    frames = experiment.train_all(run, [Trainer(3, **settings) for _ in range(2)], jobs)
    assert [frame["fold"].iloc[0] for frame in frames] == [2, 0, "0-1"]
    files = sorted(run.folder.glob("classifiers/*"))
    assert len(files) == 3 and {frame.attrs["unit"] for frame in frames} == {file.name for file in files}
    for file in files:
        file.unlink()
    for job, frame in zip(jobs, frames, strict=True):
        pd.testing.assert_frame_equal(frame, experiment.train_and_predict(run, Trainer(3, **settings), **job))


def test_inner_predictions_are_of_the_inner_folds_lesions_alone(run):
    _, both = run.fold_sets(0, (2, 1), 0)
    training, _ = run.fold_sets(0, (2, 1), 6)
    frame = unit(run, training, {"inner": both}, fold=(2, 1))
    for outer, inner in ((1, 2), (2, 1)):
        rows = experiment.inner_predictions(run, frame, outer, inner, 0)
        assert set(rows["lesion_id"]) == set(run.cohort.lesion_id[run.folds(0) == inner]) and set(rows["fold"]) == {outer}


def test_json_says_what_it_was_given(tmp_path):
    write_json(tmp_path / "a.json", {"folds": 3, "seeds": [0]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"folds": 3, "seeds": [0]}
