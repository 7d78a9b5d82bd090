"""The reader study without a browser: which ROIs are shown, what files are accepted, and what the analysis makes of them."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from conftest import round_lesions
from scipy.stats import norm
from statsmodels.stats.inter_rater import fleiss_kappa

from lesion_utils import agreement, detector, reader_tables, sampling
from lesion_utils.answers import ANSWER_COLUMNS, machine_answers, read_answers, read_readers, reader_paths
from lesion_utils.errors import DataError, LeakError, MissingInputError, SettingsError
from lesion_utils.files import write_json
from lesion_utils.reading import (
    KEY_COLUMNS,
    KEY_FILE,
    Study,
    even_counts,
    guard,
    json_for_script,
    make_study,
    read_key,
    study_page,
    unguard,
    write_study,
)
from lesion_utils.rois import RoiSet
from lesion_utils.runs import Run
from lesion_utils.scores import RESULT_COLUMNS, results_frame, wilson
from lesion_utils.splits import patient_folds

CLASSES = ("class 0", "class 1", "class 2")


def study_of(n, *, classes=CLASSES, seed=0):
    """Return a Study of ``n`` images of noise: real and synthetic by turns, classes by turns of two."""
    rng = np.random.default_rng(seed)
    key = pd.DataFrame(
        {
            "study": f"S{n:016d}",
            "item": [f"R{number + 1:03d}" for number in range(n)],
            "origin": ["real" if number % 2 == 0 else "synthetic" for number in range(n)],
            "class": [classes[number // 2 % len(classes)] for number in range(n)],
            "fold": [number % 3 for number in range(n)],
            "lesion_id": [f"L{number + 1:04d}" if number % 2 == 0 else "" for number in range(n)],
            "sample": [-1 if number % 2 == 0 else number for number in range(n)],
        }
    )
    return Study(tuple(classes), key, rng.integers(0, 256, (n, 64, 64), dtype=np.uint8))


@pytest.fixture
def run(tmp_path):
    """24 lesions of twelve patients in three folds, and 20 synthetic ROIs of each of three classes and each fold."""
    return make_run(tmp_path, classes=3)


def make_run(folder, *, classes):
    cohort = round_lesions(24, classes=classes)
    cohort.save(folder / "cohort.npz")
    fold = patient_folds(cohort.label, cohort.patient_id, folds=3, classes=cohort.classes, seed=0)
    pd.DataFrame({"seed": 0, "lesion_id": cohort.lesion_id, "fold": fold}).to_csv(folder / "folds.csv", index=False)
    write_json(folder / "preparation.json", {"folds": 3, "margin": 0.25, "window_level": 60, "window_width": 400})
    plan = {"rotations": 2, "flips": 3, "translations": 1, "scales": 1}
    write_json(folder / "augmentation.json", {"plan": plan, "amount_reading": "training_set"})
    state = Run(folder)
    for number in range(3):
        save_synthetic(state, number, 20, frozenset(cohort.patient_id[fold != number].tolist()), classes=classes)
    choose(state, "dcgan", amount=3, epoch=5)
    choose(state, "classic", amount=0)
    return state


def choose(state, arm, amount, epoch=None):
    """Write what the inner folds would have chosen, the same for every fold."""
    state.choose(arm, {(0, fold): {"amount": amount, "epoch": epoch, "unit": ""} for fold in range(3)})


def save_synthetic(state, fold, per_class, patients, classes=3):
    random = np.random.default_rng(fold)
    label = np.repeat(np.arange(classes), per_class)
    images = random.random((len(label), 64, 64, 1), np.float32)
    synthetic = RoiSet(images, label, patients, np.full(len(label), ""))
    sampling.save_synthetic(state.synthetic_path("dcgan", 0, fold, 5), synthetic)


# --- which ROIs are shown ------------------------------------------------------------------------------------------


def test_balanced_by_default_each_lesion_once_and_folds_evenly(run):
    study = make_study(run)
    key = study.key
    assert list(key.columns) == KEY_COLUMNS and len(key) == 48 and study.images.shape == (48, 64, 64, 1)
    assert pd.crosstab(key["class"], key["origin"]).to_numpy().tolist() == [[8, 8]] * 3
    real, synthetic = key[key["origin"] == "real"], key[key["origin"] == "synthetic"]
    assert sorted(real["lesion_id"]) == sorted(run.cohort.lesion_id)
    assert (synthetic["lesion_id"] == "").all() and (real["sample"] == -1).all()
    per_fold = pd.crosstab(synthetic["class"], synthetic["fold"]).to_numpy()
    assert per_fold.min() >= 2 and per_fold.max() <= 3
    assert not synthetic.duplicated(["fold", "sample"]).any()
    folds = dict(zip(run.cohort.lesion_id, run.folds(0), strict=True))
    assert real["fold"].tolist() == [folds[lesion] for lesion in real["lesion_id"]]


@pytest.mark.parametrize("classes", [2, 4])
def test_any_number_of_classes(tmp_path, classes):
    state = make_run(tmp_path, classes=classes)
    study = make_study(state)
    assert pd.crosstab(study.key["class"], study.key["origin"]).to_numpy().tolist() == [[24 // classes] * 2] * classes
    probability = detector.detect(state, study, Brightness(), gan="dcgan", seed=0, rois=12)
    answers = [
        machine_answers(study, "cnn", label=np.arange(48) % classes),
        machine_answers(study, "real_or_synthetic_classifier", origin=(probability > 0.5).astype(int)),
    ]
    rows = agreement.reader_rows(pd.concat(answers), study.key)
    assert value(rows, "origin_accuracy", arm="real_or_synthetic_classifier")["value"] == 1
    assert agreement.pair_rows(pd.concat(answers), study.key, study.classes) == [], "no common question"
    assert reader_tables.pair_table(results_frame(rows)).empty


def test_images_are_those_that_the_key_names(run):
    study = make_study(run, real=9, synthetic=6)
    originals = dict(zip(run.cohort.lesion_id, run.originals.images, strict=True))
    for row, image in zip(study.key.itertuples(), study.images, strict=True):
        source = originals.get(row.lesion_id)
        if row.origin == "synthetic":
            source = sampling.load_synthetic(run.synthetic_path("dcgan", 0, row.fold, 5)).images[row.sample]
        assert np.abs(image - source).max() <= 0.5 / 255 + 1e-6


def test_mix_like_the_papers_and_the_same_again(run):
    study = make_study(run, real=18, synthetic=12)
    assert study.key["origin"].value_counts().to_dict() == {"real": 18, "synthetic": 12}
    assert study.id == make_study(Run(run.folder), real=18, synthetic=12).id
    assert study.id != make_study(run, real=18, synthetic=11).id
    assert re.fullmatch(r"S[0-9a-f]{16}", study.id)


def test_ids_tell_nothing(run):
    origins = (make_study(run).key["origin"] == "real").to_numpy()
    runs = 1 + (origins[1:] != origins[:-1]).sum()
    assert 15 < runs < 34  # Wald and Wolfowitz: 25 expected, standard deviation 3.4
    assert make_study(run).key["item"].tolist() == [f"R{n + 1:03d}" for n in range(48)]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"real": 25}, r"parameter 'real' is 25, but the run has 24 real ROIs"),
        ({"synthetic": 181}, r"parameter 'synthetic' is 181, but the run has 180 synthetic ROIs"),
        ({"real": 0}, r"parameter 'real' is 0; give a whole number"),
        ({"synthetic": "many"}, r"parameter 'synthetic' is 'many'"),
        ({"real": True}, r"parameter 'real' is True"),
        ({"gan": "vae"}, r"parameter 'gan' is 'vae'; choose one of dcgan, acgan"),
    ],
)
def test_more_than_there_is_names_the_parameter(run, parameters, message):
    with pytest.raises(SettingsError, match=message):
        make_study(run, **parameters)


def test_too_few_synthetic_of_a_class_for_balance(run):
    for fold in range(3):
        save_synthetic(run, fold, 2, frozenset())
    with pytest.raises(SettingsError, match=r"parameter 'synthetic' is None, .* \(8\), but the run has 6 of class class 0"):
        make_study(run, real=24)
    counts = make_study(run).key.groupby(["origin", "class"]).size()
    assert counts.tolist() == [3] * 6, "by default both kinds stay in balance, and half of the samples is left"


def test_missing_synthetic_rois_name_the_notebook(run):
    with pytest.raises(MissingInputError, match=r"acgan\.json is missing: run notebooks/05_classification"):
        make_study(run, gan="acgan")
    choose(run, "acgan", amount=3, epoch=5)
    with pytest.raises(MissingInputError, match=r"acgan_seed0_fold0_epoch0005\.npz is missing: run notebooks/04_acgan\.ipynb"):
        make_study(run, gan="acgan")


@pytest.mark.parametrize(
    ("total", "available", "counts"),
    [
        (182, (53, 64, 65), [53, 64, 65]),
        (120, (99, 99, 99), [40, 40, 40]),
        (60, (5, 64, 65), [5, 27, 28]),
        (8, (3, 3, 3), [2, 3, 3]),
    ],
)
def test_dealt_as_evenly_as_can_be(total, available, counts):
    assert even_counts(total, np.array(available)).tolist() == counts


def test_key_survives_the_disk_and_an_older_one_is_kept(run):
    study = make_study(run, real=6)
    page = write_study(study, run.folder)
    assert page == run.folder / "figures" / "reader_study.html"
    pd.testing.assert_frame_equal(read_key(run.folder / KEY_FILE), study.key, check_dtype=False)
    before = (run.folder / KEY_FILE).read_bytes()
    write_study(make_study(run, real=9), run.folder)
    assert (run.folder / f"reader_study_key_{study.id}.csv").read_bytes() == before


def test_key_with_formulas_for_labels(tmp_path):
    study = study_of(6, classes=("=1+1", "'quoted"))
    write_study(study, tmp_path)
    assert not re.search(r"(^|,)=", (tmp_path / KEY_FILE).read_text(), re.M)
    assert read_key(tmp_path / KEY_FILE)["class"].tolist() == study.key["class"].tolist()


def test_key_that_is_none(tmp_path):
    with pytest.raises(MissingInputError, match="08_reader_study"):
        read_key(tmp_path / KEY_FILE)
    (tmp_path / KEY_FILE).write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="is not the key"):
        read_key(tmp_path / KEY_FILE)


def test_page_is_one_file_that_loads_nothing():
    page = study_page(study_of(6))
    assert "__" not in re.sub(r'id="study">.*?</script>', "", page, flags=re.S)
    assert not re.search(r"https?://|//cdn|@import|url\(", page)
    assert "for research and teaching, not for diagnosis" in page.lower()
    assert page.count("data:image/png;base64,") == 6


def test_json_cannot_end_its_block():
    names = ["</script><script>alert(1)</script>", "<!--", "a & b", "\u2028\u2029", "=1"]
    text = json_for_script(names)
    assert not re.search("[<>&\u2028\u2029]", text) and json.loads(text) == names


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@a", "\t=1", "'", "'=1", "plain", "", "a=1"])
def test_guarded_cells_are_no_formulas_and_come_back(cell):
    assert not guard(cell).startswith(tuple("=+-@\t\r")) and unguard(guard(cell)) == cell


# --- what readers send back ----------------------------------------------------------------------------------------

STUDY = study_of(6)


def reader_file(path, change=lambda text: text, *, encoding="utf-8", study=STUDY, reader="Dr A", order="12"):
    """Write the file of a reader who is always right, changed."""
    rows = [
        [study.id, reader, order, item, name, origin, "2.5"]
        for item, name, origin in study.key[["item", "class", "origin"]].itertuples(index=False)
    ]
    text = "\n".join(",".join(row) for row in [ANSWER_COLUMNS, *rows]) + "\n"
    path.write_bytes(change(text).encode(encoding))
    return path


def read(path):
    return read_answers(path, STUDY.key, CLASSES)


@pytest.mark.parametrize(
    ("change", "encoding"),
    [
        (lambda text: text, "utf-8"),
        (lambda text: text, "utf-8-sig"),
        (lambda text: text, "utf-16"),
        (lambda text: text.replace("\n", "\r\n"), "utf-8-sig"),
        (lambda text: text.replace(",", ";").replace("2.5", "2,5"), "utf-8"),
        (lambda text: text.replace(",", ";"), "utf-8-sig"),
        (lambda text: text.replace(",", "\t"), "utf-8"),
        (lambda text: text + "\n\n,,,,,,\n", "utf-8"),
        (lambda text: text.replace("real", "Real ").replace("study,", "Study ,"), "utf-8"),
        (lambda text: re.sub(r"([^,\n]+)", r'"\1"', text), "utf-8"),
    ],
)
def test_however_a_spreadsheet_saves_it(tmp_path, change, encoding):
    reading = read(reader_file(tmp_path / "a.csv", change, encoding=encoding))
    assert reading.warnings == [] and (reading.reader, reading.order) == ("Dr A", "12")
    pd.testing.assert_frame_equal(reading.answers[["item", "class", "origin"]], STUDY.key[["item", "class", "origin"]])
    assert (reading.answers["seconds"] == 2.5).all()


def without(column):
    def change(text):
        rows = [line.split(",") for line in text.splitlines()]
        return "\n".join(",".join(c for n, c in enumerate(row) if n != ANSWER_COLUMNS.index(column)) for row in rows)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("R002", "R099"), r"a\.csv, row 3: item 'R099' is not in study"),
        (lambda text: text.replace("class 1,real", "elephant,real"), r"row 4: class 'elephant' is unknown; known are 'class 0'"),
        (lambda text: text.replace("class 2,synthetic", "class 2,perhaps"), r"row 7: origin 'perhaps' is unknown"),
        (
            lambda text: text + text.splitlines()[1].replace("class 0", "class 1") + "\n",
            r"row 8: item R001 was answered differently",
        ),
        (lambda text: text.replace(STUDY.id, "S1"), r"belongs to study S1, but this run's study is S0"),
        (lambda text: text.replace(STUDY.id, ""), r"belongs to study \(none\)"),
        (lambda text: text.replace(STUDY.id, "S1", 1), r"holds rows of 2 studies"),
        (lambda text: text.replace("Dr A", "Dr B", 1), r"holds rows of 2 readers"),
        (lambda text: text.replace(",12,", ",13,", 1), r"holds rows of 2 random orders"),
        (without("origin"), r"has no column origin"),
        (lambda text: text.replace("reader", "item", 1), r"has no column reader"),
        (lambda text: text.replace("seconds", "seconds,item").replace("2.5", "2.5,x"), r"has the column item twice"),
        (lambda text: "", r"has no column study, reader"),
        (lambda text: text.splitlines()[0], r"holds no answers"),
        (lambda text: text.replace("2.5", "2,5", 1), r"row 2: 8 cells in place of 7"),
        (lambda text: text.replace(",2.5", "", 1), r"row 2: 6 cells in place of 7"),
        (lambda text: text.replace("R003", '"R003'), r"row \d: \d+ cells in place of 7"),
    ],
)
def test_file_that_cannot_be_right_is_an_error_that_names_it(tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        read(reader_file(tmp_path / "a.csv", change))


def test_text_that_is_not_utf_8(tmp_path):
    with pytest.raises(DataError, match="not text in UTF-8; save it as"):
        read(reader_file(tmp_path / "a.csv", lambda text: text.replace("Dr A", "Dr Ä"), encoding="latin-1"))
    with pytest.raises(DataError, match="missing; check the path in reader_files"):
        read(tmp_path / "b.csv")


@pytest.mark.parametrize(
    ("change", "warning", "left"),
    [
        (lambda text: "\n".join(text.splitlines()[:4]), "3 of 6 ROIs are not in the file", 3),
        (lambda text: text.replace("class 1", ""), "2 of 6 rows have no class", 6),
        (lambda text: text.replace(",real", ","), "3 of 6 rows do not say real or synthetic", 6),
        (lambda text: text + "\n".join(text.splitlines()[1:3]), "2 rows repeat an earlier one and were counted once", 6),
        (lambda text: text.replace("2.5", "soon", 2), "2 times are not numbers and were left out", 6),
        (lambda text: text.replace("\n", ",x\n"), "1 further columns were not read", 6),
    ],
)
def test_what_is_left_out_is_counted(tmp_path, change, warning, left):
    reading = read(reader_file(tmp_path / "a.csv", change))
    assert reading.warnings == [warning] and len(reading.answers) == left


def test_readers_are_numbered_and_come_once(tmp_path):
    folder = tmp_path / "readers"
    folder.mkdir()
    reader_file(folder / "b.csv")
    reader_file(folder / ".hidden.csv", reader="Dr C")
    second = reader_file(tmp_path / "a.csv", lambda text: text.replace("class 0", ""), reader="Dr B")
    paths = reader_paths(tmp_path, [str(second), str(folder / ".." / "readers" / "b.csv")])
    assert [path.name for path in paths] == ["a.csv", "b.csv"]
    answers, warnings = read_readers(paths, STUDY.key, CLASSES)
    assert list(dict.fromkeys(answers["reader"])) == ["reader_1", "reader_2"]
    assert warnings == ["reader_1: 2 of 6 rows have no class"]
    assert not any("Dr" in text for text in [*warnings, answers.to_csv()])
    reader_file(folder / "c.csv", lambda text: "\n".join(text.splitlines()[:3]))
    with pytest.raises(DataError, match=r"b\.csv and .*c\.csv are files of the same reading"):
        read_readers([*paths, folder / "c.csv"], STUDY.key, CLASSES)


def test_no_readers_at_all(tmp_path):
    answers, warnings = read_readers(reader_paths(tmp_path), STUDY.key, CLASSES)
    assert len(answers) == 0 and warnings == []


# --- the analysis --------------------------------------------------------------------------------------------------


def planted(counts, reader="reader_1"):
    """Return a key and answers: ``counts`` maps (true origin, class right?, said origin) to how many."""
    rows = [cell for cell, n in counts.items() for _ in range(n)]
    items = [f"R{n + 1:03d}" for n in range(len(rows))]
    key = pd.DataFrame({"study": "S", "item": items, "origin": [row[0] for row in rows], "class": "cyst"})
    said = ["cyst" if row[1] else "metastasis" for row in rows]
    answers = pd.DataFrame({"reader": reader, "item": items, "class": said, "origin": [row[2] for row in rows], "seconds": 1.0})
    return key, answers


def value(rows, metric, label="all", arm="reader_1"):
    (row,) = [r for r in rows if (r["metric"], r["label"], r["arm"]) == (metric, label, arm) and r["predicted"] == ""]
    return row


def test_planted_reader_is_measured_as_planted():
    counts = {
        ("real", 1, "real"): 30,
        ("real", 0, "synthetic"): 10,
        ("synthetic", 1, "synthetic"): 12,
        ("synthetic", 0, "real"): 8,
    }
    key, answers = planted(counts)
    rows = agreement.reader_rows(answers, key)
    assert value(rows, "class_accuracy", "real")["value"] == 30 / 40
    assert value(rows, "class_accuracy", "synthetic")["value"] == 12 / 20
    assert value(rows, "class_accuracy")["value"] == 42 / 60
    assert value(rows, "origin_sensitivity", "synthetic")["value"] == 12 / 20
    assert value(rows, "origin_specificity", "real")["value"] == 30 / 40
    assert value(rows, "origin_accuracy")["value"] == 42 / 60
    assert value(rows, "always_real")["value"] == 40 / 60
    row = value(rows, "d_prime")
    assert row["value"] == pytest.approx(norm.ppf(12.5 / 21) - norm.ppf(10.5 / 41))
    assert row["ci_low"] < row["value"] < row["ci_high"] and row["n"] == 60
    assert list(results_frame(rows).columns) == RESULT_COLUMNS


def test_unanswered_questions_are_not_counted_as_wrong():
    key, answers = planted({("real", 1, "real"): 4, ("synthetic", 1, "synthetic"): 4})
    answers.loc[0, "class"] = ""
    answers.loc[[1, 7], "origin"] = ""
    rows = agreement.reader_rows(answers, key)
    assert (value(rows, "class_accuracy")["n"], value(rows, "origin_accuracy")["n"]) == (7, 6)
    assert value(rows, "class_accuracy")["value"] == value(rows, "origin_accuracy")["value"] == 1


def test_the_cnn_stands_beside_on_the_same_rois():
    key, answers = planted({("real", 1, "real"): 6, ("synthetic", 1, "synthetic"): 6})
    cnn = answers.assign(reader="cnn", origin="", **{"class": ["cyst"] * 4 + ["metastasis"] * 8})
    both = pd.concat([answers.iloc[:8], cnn])  # the reader stopped after eight ROIs
    rows = agreement.reader_rows(both, key)
    assert value(rows, "cnn_class_accuracy")["value"] == 4 / 8 and value(rows, "cnn_class_accuracy")["n"] == 8
    assert value(rows, "cnn_class_accuracy", "real")["value"] == 4 / 6
    assert value(rows, "class_accuracy", arm="cnn")["value"] == 4 / 12
    assert not [row for row in rows if row["arm"] == "cnn" and row["metric"].startswith(("origin", "d_prime"))]


def test_the_papers_table_4_as_vectors():
    """Its printed percentages and totals come out, and always saying real beats or equals its readers within their intervals."""
    printed = {"expert 1": (78.0, 77.5, 77.8), "expert 2": (69.2, 69.2, 69.2)}
    for expert, counts in agreement.PAPER_TABLE_4.items():
        (real, of_real), (synthetic, of_synthetic), (both, of_all) = (counts[part] for part in ("real", "synthetic", "all"))
        assert (of_real, of_synthetic) == agreement.PAPER_MIX and (real + synthetic, of_real + of_synthetic) == (both, of_all)
        assert (
            round(100 * real / of_real, 1),
            round(100 * synthetic / of_synthetic, 1),
            round(100 * both / of_all, 1),
        ) == printed[expert]
        key, answers = planted(
            {
                ("real", 1, "real"): real,
                ("real", 0, "real"): of_real - real,
                ("synthetic", 1, "real"): synthetic,
                ("synthetic", 0, "real"): of_synthetic - synthetic,
            }
        )
        rows = agreement.reader_rows(answers, key)
        assert round(100 * value(rows, "class_accuracy")["value"], 1) == printed[expert][2]
        assert round(100 * value(rows, "origin_accuracy")["value"], 1) == 60.3 == round(100 * 182 / 302, 1)
        assert value(rows, "origin_accuracy")["value"] == agreement.always_real(*agreement.PAPER_MIX)
        low, high = wilson(*counts["origin"])
        assert low < agreement.always_real(*agreement.PAPER_MIX) < high
    assert [round(100 * n / of, 1) for n, of in agreement.PAPER_PAIR] == [73.5, 61.3]


def test_agreement_of_planted_readers_with_the_papers_counts():
    """222 of 302 alike and 185 both right, and each reader's own total: then the four cells are fixed, and come out again."""
    both_right, alike_wrong = 185, 222 - 185
    only_one, only_two = 235 - both_right, 209 - both_right
    differently_wrong = 302 - both_right - alike_wrong - only_one - only_two
    truth, wrong, other = "cyst", "metastasis", "hemangioma"
    pairs = (
        [(truth, truth)] * both_right
        + [(wrong, wrong)] * alike_wrong
        + [(truth, wrong)] * only_one
        + [(wrong, truth)] * only_two
        + [(wrong, other)] * differently_wrong
    )
    key = pd.DataFrame({"item": [f"R{n}" for n in range(302)], "origin": "real", "class": truth})
    answers = pd.concat(
        [
            pd.DataFrame({"reader": f"reader_{n + 1}", "item": key["item"], "class": [pair[n] for pair in pairs], "origin": ""})
            for n in range(2)
        ]
    )
    rows = {row["metric"]: row for row in agreement.pair_rows(answers, key, (truth, wrong, other))}
    assert rows["agreement"]["value"] * 302 == pytest.approx(222)
    assert rows["both_correct"]["value"] * 302 == pytest.approx(185)
    table = reader_tables.pair_table(results_frame(rows.values()))
    assert table["agreement"].iloc[0] == "222 of 302 (73.5%)" and table["both correct"].iloc[0] == "185 of 302 (61.3%)"
    assert {row["arm"] for row in rows.values()} == {"reader_1"} and {row["label"] for row in rows.values()} == {"class"}


def test_kappa_by_hand_and_at_its_ends():
    one, other = ["a"] * 25 + ["b"] * 25, ["a"] * 20 + ["b"] * 5 + ["a"] * 10 + ["b"] * 15
    result, (low, high) = agreement.kappa(one, other, ("a", "b"))
    assert result == pytest.approx(0.4) and low < 0.4 < high  # the textbook table 20, 5, 10, 15
    assert agreement.kappa(one, one, ("a", "b"))[0] == 1
    assert np.isnan(agreement.kappa(["a"] * 9, ["a"] * 9, ("a", "b"))[0])
    assert np.isnan(agreement.kappa([], [], ("a", "b"))[0])
    random = np.random.default_rng(0)
    many = [random.integers(0, 3, 5000).astype(str) for _ in range(2)]
    assert agreement.kappa(*many, ("0", "1", "2"))[0] == pytest.approx(0, abs=0.03)
    table = np.stack([np.sum([reader == label for reader in many], axis=0) for label in "012"], axis=1)
    assert agreement.kappa(*many, ("0", "1", "2"))[0] == pytest.approx(fleiss_kappa(table), abs=0.01)


@pytest.mark.parametrize("true", [0.0, 0.5, 1.0, 2.0])
def test_interval_of_d_prime_covers_the_truth_in_95_of_100_simulated_studies(true):
    random = np.random.default_rng(0)
    hit, false_alarm = (agreement.NormalDist().cdf(end) for end in (true / 2, -true / 2))
    draws = zip(random.binomial(120, hit, 2000), random.binomial(182, false_alarm, 2000), strict=True)
    found = [agreement.d_prime(hits, 120, alarms, 182) for hits, alarms in draws]
    covered = np.mean([low <= true <= high for _, (low, high) in found])
    assert 0.935 < covered < 0.97
    assert np.mean([estimate for estimate, _ in found]) == pytest.approx(true, abs=0.03)


def test_d_prime_stays_finite_and_knows_when_there_is_nothing_to_tell():
    assert np.isfinite(agreement.d_prime(20, 20, 0, 20)[0])
    assert agreement.d_prime(0, 20, 0, 20)[0] == pytest.approx(0)
    assert agreement.d_prime(5, 20, 15, 20)[0] < 0
    assert np.isnan(agreement.d_prime(0, 0, 3, 20)[0])


def test_all_real_study_has_no_d_prime_but_a_table():
    key, answers = planted({("real", 1, "real"): 5})
    results = results_frame(agreement.reader_rows(answers, key))
    assert reader_tables.reader_table(results, "origin").loc["reader 1", "d'"] == "not defined"
    assert reader_tables.reader_table(results, "class").loc["reader 1", "synthetic ROIs"] == "no such ROIs"


def test_answers_that_do_not_fit_are_not_dropped():
    key, answers = planted({("real", 1, "real"): 3})
    with pytest.raises(ValueError, match="unknown item, or two answers"):
        agreement.reader_rows(pd.concat([answers, answers]), key)
    with pytest.raises(ValueError, match="unknown item"):
        agreement.reader_rows(answers.replace("R001", "R999"), key)


def test_machines_are_called_machines():
    study = study_of(12)
    parts = [
        machine_answers(study, "cnn", label=np.zeros(12, int)),
        machine_answers(study, "real_or_synthetic_classifier", origin=np.arange(12) % 2),
        machine_answers(study, "bovw_mi_multi", label=np.ones(12, int)),
    ]
    answers = pd.concat(parts, ignore_index=True)
    results = results_frame(agreement.reader_rows(answers, study.key) + agreement.pair_rows(answers, study.key, study.classes))
    table = reader_tables.reader_table(results, "class")
    assert table.index.tolist() == ["CNN (machine)", "BoVW-MI, multi (machine)"]
    assert table.loc["CNN (machine)", "CNN, all the same"] == "" and table.loc["BoVW-MI, multi (machine)", "CNN, all the same"]
    table = reader_tables.reader_table(results, "origin")
    assert table.index.tolist() == ["real-or-synthetic classifier (machine)"]
    assert table.iloc[0].tolist()[:2] == ["100.0 %\n[75.8, 100.0]", "50.0 %"]
    assert reader_tables.pair_table(results).index.tolist() == [("CNN (machine) and BoVW-MI, multi (machine)", "class")]
    for question in ("class", "origin"):
        assert list(reader_tables.paper_table(question).columns) == list(reader_tables.reader_table(results, question).columns)
    assert reader_tables.paper_table("origin")["always “real”"].tolist() == ["60.3 %"] * 2
    figure = reader_tables.draw_readers(results, guessing=1 / 3, always=0.5, paper=True)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()][-1] == "paper, expert 2"


# --- the machine that says real or synthetic -----------------------------------------------------------------------


class Brightness:
    """Stands in for a Trainer: learns nothing, calls noisy images synthetic."""

    settings = {"epochs": 1}
    trained = 0

    def train(self, training, *, seed, on_epoch, where):
        self.trained += 1
        on_epoch(1, 0.0)
        return self

    def predict(self, images):
        noisy = (images.std(axis=(1, 2, 3)) > 0.27).astype(float)
        return np.stack([1 - noisy, noisy], axis=1)


def test_detector_is_trained_on_neither_the_studys_rois_nor_its_patients(run):
    study = make_study(run)
    choose(run, "classic", amount=30)
    for fold in run.fold_numbers:
        chosen = detector.training_set(run, study, gan="dcgan", seed=0, fold=fold, rois=30)
        assert np.bincount(chosen.label).tolist() == [30, 30]
        items = study.pixels[(study.key["fold"] == fold).to_numpy()]
        shown = {image.tobytes() for image in items}
        assert not shown & {np.round(image[..., 0] * 255).astype(np.uint8).tobytes() for image in chosen.images}
        own = set(study.key.query("fold == @fold")["lesion_id"])
        assert not own & set(chosen.lesion_id) - {""}


def test_detector_that_would_have_seen_a_test_patient_is_a_leak(run):
    study = make_study(run)
    synthetic = sampling.load_synthetic(run.synthetic_path("dcgan", 0, 1, 5))
    leaking = RoiSet(synthetic.images, synthetic.label, frozenset(run.cohort.patient_id.tolist()), synthetic.lesion_id)
    sampling.save_synthetic(run.synthetic_path("dcgan", 0, 1, 5), leaking)
    with pytest.raises(LeakError, match="real-or-synthetic classifier, seed 0, fold 1"):
        detector.training_set(run, study, gan="dcgan", seed=0, fold=1, rois=30)


def test_study_of_all_synthetic_rois_leaves_none_to_train_on(run):
    study = make_study(run, synthetic=180)
    with pytest.raises(SettingsError, match="parameter 'synthetic': the study shows all"):
        detector.training_set(run, study, gan="dcgan", seed=0, fold=0, rois=30)


def test_detector_reads_each_item_once_and_is_found_again(run):
    study, trainer = make_study(run), Brightness()
    where = {"gan": "dcgan", "seed": 0, "rois": 12}
    probability = detector.detect(run, study, trainer, **where)
    assert trainer.trained == 3
    assert ((probability > 0.5) == (study.key["origin"] == "synthetic")).all()
    np.testing.assert_array_equal(detector.detect(run, study, trainer, **where), probability)
    assert trainer.trained == 3
