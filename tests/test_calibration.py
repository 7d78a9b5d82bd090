"""The calibration of the simulated cohort: seeds of its own, no GAN, resumed after a stop, inside or outside as planted."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from lesion_utils import calibration, calibration_table, phantom, settings
from lesion_utils.appearance import Appearance
from lesion_utils.errors import LeakError, SettingsError

#: Lesions of the paper that each result names rightly: accuracy times 182.
PAPER_COUNTS = {"real": 104, "classic": 143, "bovw_mi_single": 142, "gabor": 135, "glcm": 130}
SMALL = {
    "01_data": {"lesions": [9, 9, 9]},
    "02_classic_augmentation": {"rotations": 1},
    "05_classification": {"classic_amounts": [8], "epochs": 1, "cnn_width": 4},
    "07_texture_baselines": {
        "patch_step": 6, "words": 8, "dictionary_patches": 400, "components": 3, "frequencies": [0.1], "orientations": 1,
        "distances": [1], "kernels": ["linear"], "costs": [1.0],
    },
}  # fmt: skip


def planted(share, seeds=5, arms=calibration.ARMS):
    """Return rows of the table in which each arm names its share of 182 lesions rightly, one lesion more or less by seed."""
    rows = [("search", "key", arm, seed, 182, round(share[arm] * 182) + (-1) ** seed) for arm in arms for seed in range(seeds)]
    return pd.DataFrame(rows, columns=calibration_table.COLUMNS)


@pytest.fixture
def small(monkeypatch):
    """Let every profile be a small one."""
    whole = settings.run_parameters("smoke")
    parameters = {name: whole[name] | SMALL.get(name, {}) for name in whole}
    monkeypatch.setattr(settings, "run_parameters", lambda profile: parameters)


def test_seeds_of_search_confirmation_and_book_are_disjoint():
    book = {settings.run_parameters(profile)["01_data"]["cohort_seed"] for profile in settings.PROFILES}
    groups = [set(calibration.SEARCH_SEEDS), set(calibration.CONFIRMATION_SEEDS), book]
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert len(set(calibration.CONFIRMATION_SEEDS)) >= 5


def test_nothing_of_a_gan_is_imported():
    code = "import sys, lesion_utils.calibration; print(*(name for name in sys.modules if name.startswith('lesion_utils.')))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(run.stdout.split())
    assert "lesion_utils.classifier" in imported
    # Networks defines all networks; what trains a GAN or draws from one is elsewhere.
    forbidden = ("gans", "gan_training", "acgan", "sampling", "detector", "fidelity", "memorisation", "runs")
    assert not imported & {f"lesion_utils.{name}" for name in forbidden}


def test_arms_are_the_papers_without_a_gan():
    table = calibration_table.summary(planted(dict.fromkeys(calibration.ARMS, 0.5)))
    assert list(table.index) == list(PAPER_COUNTS)
    for arm, count in PAPER_COUNTS.items():
        low, high = proportion_confint(count, 182, method="wilson")
        assert (table.loc[arm, "low"], table.loc[arm, "high"]) == pytest.approx((low, high), abs=1e-9)


def test_inside_and_outside_as_planted():
    share = {arm: count / 182 for arm, count in PAPER_COUNTS.items()}
    table = calibration_table.summary(planted(share))
    assert table["inside"].all() and (table["seeds"] == 5).all()
    assert table.loc["classic", "mean"] == pytest.approx((143 + 0.2) / 182)
    table = calibration_table.summary(planted(share | {"gabor": 0.66, "glcm": 0.79}))
    assert list(table.index[~table["inside"]]) == ["gabor", "glcm"], "one too low, one too high"


def test_what_was_not_run_is_not_filled_in():
    table = calibration_table.summary(planted(dict.fromkeys(calibration.ARMS, 0.78), seeds=2, arms=["classic"]))
    assert table["seeds"].to_dict() == {"real": 0, "classic": 2, "bovw_mi_single": 0, "gabor": 0, "glcm": 0}
    assert table["mean"].isna().sum() == 4 and list(table.index[table["inside"]]) == ["classic"]


def test_the_sentence_confirms_nothing_on_few_cohorts():
    share = {arm: count / 182 for arm, count in PAPER_COUNTS.items()} | {"glcm": 0.9}
    rows = planted(share)
    text = calibration_table.sentence(calibration_table.summary(rows[(rows["arm"] != "classic") | (rows["seed"] < 4)]))
    assert "3 of 5 results" in text and "outside: glcm;" in text and text.endswith("not counted: classic.")
    assert "5 of 5" in calibration_table.sentence(calibration_table.summary(planted(share | {"glcm": 0.71})))


def test_a_search_alone_is_called_so_and_a_confirmation_changes_the_sentence():
    search = planted(dict.fromkeys(calibration.ARMS, 0.75))
    assert calibration_table.stages_sentence(search).startswith("Only the search was run.")
    confirmed = search.assign(stage="confirmation")
    text = calibration_table.stages_sentence(pd.concat([search, confirmed]))
    assert "5 of 5" in text and "not," not in text
    few = confirmed[(confirmed["arm"] != "glcm") & ((confirmed["arm"] != "gabor") | (confirmed["seed"] < 4))]
    text = calibration_table.stages_sentence(pd.concat([search, few]))
    assert "3 of 5" in text and text.endswith("on too few cohorts: gabor, glcm.")


def test_a_calibration_that_was_cut_off_goes_on(small, tmp_path, monkeypatch):
    made = []
    whole = phantom.simulate
    monkeypatch.setattr(phantom, "simulate", lambda *args, **more: made.append(more["seed"]) or whole(*args, **more))
    train = calibration._train_baseline

    def cut_off(arm, cohort, training, test, own, seed, fold, where):
        if (seed, fold) == (1002, 1):
            raise KeyboardInterrupt
        return train(arm, cohort, training, test, own, seed, fold, where)

    monkeypatch.setattr(calibration, "_train_baseline", cut_off)
    ask = {"arms": ["gabor"], "seeds": [1001, 1002], "report": lambda line: None}
    with pytest.raises(KeyboardInterrupt):
        calibration.evaluate("search", tmp_path, **ask)
    assert made == [1001, 1002] and len(list(tmp_path.iterdir())) == 4
    first = calibration.finished("search", tmp_path)
    assert list(first["seed"]) == [1001], "half a cohort is no result"

    trained = []
    monkeypatch.setattr(calibration, "_train_baseline", lambda *args: trained.append(args[5:7]) or train(*args))
    rows = calibration.evaluate("search", tmp_path, **ask)
    assert trained == [(1002, 1), (1002, 2)], "what was finished is taken up"
    assert list(rows["lesions"]) == [27, 27] and rows.iloc[0].equals(first.iloc[0])
    pd.testing.assert_frame_equal(calibration.finished("search", tmp_path), rows)


def test_a_stage_is_saved_beside_the_other_and_stale_rows_go(small, tmp_path):
    calibration.evaluate("search", tmp_path, arms=["gabor"], seeds=[1001], report=lambda line: None)
    key, path = calibration.appearance_key(Appearance()), tmp_path / "table.csv"
    rows = [("confirmation", key, "gabor", 2001, 182, 135), ("confirmation", "old", "glcm", 2001, 182, 130)]
    rows.append(("search", key, "gabor", 1001, 182, 1))
    pd.DataFrame(rows, columns=calibration_table.COLUMNS).to_csv(path, index=False)
    calibration.save("search", tmp_path, path)
    saved = pd.read_csv(path)
    assert list(zip(saved["stage"], saved["arm"], saved["lesions"], strict=True)) == [
        ("confirmation", "gabor", 182),
        ("search", "gabor", 27),
    ]


def test_parts_of_a_stage_made_in_several_folders_are_joined(small, tmp_path):
    path, quiet = tmp_path / "table.csv", {"report": lambda line: None}
    for folder, arms, seeds in (("one", ["gabor"], [1002]), ("two", ["glcm", "gabor"], [1001]), ("one", ["glcm"], [1002])):
        calibration.evaluate("search", tmp_path / folder, arms=arms, seeds=seeds, **quiet)
        calibration.save("search", tmp_path / folder, path)
    saved = pd.read_csv(path)
    assert list(zip(saved["seed"], saved["arm"], strict=True)) == [
        (1001, "gabor"), (1001, "glcm"), (1002, "gabor"), (1002, "glcm"),
    ]  # fmt: skip
    saved.assign(correct=0).to_csv(path, index=False)
    calibration.save("search", tmp_path / "two", path)
    again = pd.read_csv(path)
    assert (again["correct"] > 0).tolist() == (saved["correct"].where(saved["seed"] == 1001, 0) > 0).tolist()


def test_every_arm_is_trained_and_another_appearance_anew(small, tmp_path):
    lines = []
    rows = calibration.evaluate("search", tmp_path, seeds=[1001], report=lines.append)
    assert list(rows["arm"]) == list(calibration.ARMS) and len(lines) == 5
    assert rows["correct"].between(0, 27).all() and len(list(tmp_path.iterdir())) == 15
    assert (rows["appearance"] == calibration.appearance_key(Appearance())).all()
    other = calibration.varied(Appearance(), {"near_edge": 0.2})
    assert calibration.finished("search", tmp_path, other).empty
    assert json.loads(next(tmp_path.glob("gabor*")).read_text()).keys() == {"lesions", "correct"}


def test_a_planted_leak_stops_it(small, tmp_path, monkeypatch):
    def split_a_patient(label, patient, **more):
        return np.arange(len(label)) % 3

    monkeypatch.setattr(calibration.splits, "patient_folds", split_a_patient)
    with pytest.raises(LeakError, match="calibration, arm gabor, seed 1001, fold 0"):
        calibration.evaluate("search", tmp_path, arms=["gabor"], seeds=[1001])


def test_constants_are_varied_by_name():
    plain = Appearance()
    other = calibration.varied(plain, {"near_edge": 0.2, "metastasis": {"rim": [-9, 9]}})
    assert (other.near_edge, other.metastasis.rim, other.hemangioma) == (0.2, (-9, 9), plain.hemangioma)
    assert calibration.varied(plain, {}) == plain
    assert calibration.appearance_key(other) != calibration.appearance_key(plain)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"rim": [0, 1]}, "no constant"), ({"cyst": {"rim": 3}}, "'rim' is 3"), ({"cyst": 3}, "'cyst' is 3")],
)
def test_bad_changes_are_named(changes, message):
    with pytest.raises(SettingsError, match=message):
        calibration.varied(Appearance(), changes)


def test_seeds_of_another_stage_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="'search' has the seeds"):
        calibration.evaluate("search", tmp_path, seeds=[2001])


def test_committed_numbers_belong_to_the_appearance_as_it_is():
    rows = pd.read_csv(calibration_table.TABLE)
    assert list(rows.columns) == list(calibration_table.COLUMNS)
    assert (rows["appearance"] == calibration.appearance_key(Appearance())).all(), "constants changed: calibrate again"
    for stage, part in rows.groupby("stage"):
        assert set(part["seed"]) <= set(calibration.STAGES[stage][1])
    assert (rows["lesions"] == 182).all() and not rows.duplicated(["stage", "arm", "seed"]).any()
    assert Path(calibration_table.TABLE).stat().st_size < 20_000
