"""What `describe` says of a table, and what it keeps to itself."""

import csv

import numpy as np
import pytest
import SimpleITK as sitk
from conftest import make_table, write_rows, write_volume
from dicoms import PERSONAL, geometry, lesion, write_rtstruct, write_seg, write_series
from test_pictures import folders, write_slices  # noqa: F401  (a fixture)

from lesion_utils import settings
from lesion_utils.__main__ import main
from lesion_utils.describe import WINDOW, describe


def rows_of(table):
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_good_table_is_described_without_problems(tmp_path, capsys):
    table = make_table(tmp_path, lesions_per_class=6)
    text, problems = describe(table, "kind")
    assert problems == 0
    assert "12 rows understood" in text
    assert "patients:   8, with 1 to 2 lesions (median 1.5) each" in text
    assert "cyst: 6 lesions of 4 patients" in text
    assert "images:     12; lesions in NIfTI or NRRD 12" in text
    assert "outlines:   mask 12" in text
    assert "-1000 to " in text and " HU in the lesions' slices" in text
    assert "pixels:     0.8 mm" in text
    assert " mm across" in text
    assert text.endswith("problems: none")
    assert main(["describe", str(table), "--label", "kind"]) == 0
    assert capsys.readouterr().out == text + "\n"


def test_sizes_and_edges_are_those_of_the_outlines(tmp_path):
    table = make_table(tmp_path, lesions_per_class=6)
    for number, row in enumerate(rows_of(table)):
        mask = np.zeros((5, 40, 44), np.uint8)
        mask[2, 10:20, 10:22] = 1
        if number < 3:
            mask[:] = 0
            mask[2, 3:13, 3:15] = 1  # its ROI begins 1.5 x 12 / 2 px from the middle: before row 0
        write_volume(tmp_path / row["mask"], mask)
    text, _ = describe(table, "kind")
    assert "sizes:      9.6 mm across\n              12 pixels across" in text
    assert "edges:      3 of 12 ROIs leave their slice with a margin of 0.25 diameters" in text


def test_without_a_label_columns_that_could_be_one_are_listed(tmp_path):
    table = make_table(tmp_path, lesions_per_class=6)
    rows = [row | {"grade": f"{number % 3}.0", "note": str(number)} for number, row in enumerate(rows_of(table))]
    rows[0]["grade"] = ""
    write_rows(table, rows)
    text, problems = describe(table)
    assert problems == 0
    assert "labels:     kind: cyst 6, metastasis 6" in text
    assert "              grade: 0 3, 1 4, 2 4, empty 1" in text
    assert "note" not in text
    write_rows(table, [{name: row[name] for name in ("lesion_id", "patient_id", "image", "mask")} for row in rows])
    assert "labels:     no column has 2 to 12 different values" in describe(table)[0]


def test_every_problem_is_listed_however_many(tmp_path, capsys):
    table = make_table(tmp_path, lesions_per_class=15, shape=(5, 40, 40))
    rows = rows_of(table)
    for number, row in enumerate(rows[:28]):
        row["mask"] = f"none{number}.nii"
    rows[29]["kind"] = ""
    write_rows(table, rows)
    text, problems = describe(table, "kind")
    assert problems == 29
    assert "problems: 29" in text
    assert text.count("is missing") == 28
    assert "  line 31: the label in column kind is empty" in text
    assert "29 rows understood" in text
    assert main(["describe", str(table), "--label", "kind"]) == 1
    assert capsys.readouterr().out == text + "\n"


@pytest.mark.parametrize(
    ("name", "part"), [("none.csv", "is missing or not a file"), ("lesions.csv", "label column 'sort' is unknown")]
)
def test_table_that_cannot_be_read_is_one_problem(tmp_path, capsys, name, part):
    make_table(tmp_path)
    assert main(["describe", str(tmp_path / name), "--label", "sort"]) == 1
    output = capsys.readouterr()
    assert "problems: 1" in output.out and part in output.out
    assert output.err == ""


def test_class_with_too_few_patients_for_the_folds_is_a_problem(tmp_path):
    table = make_table(tmp_path)  # two patients a class
    text, problems = describe(table, "kind")
    assert problems == 2
    assert "whole table: class 'cyst' of column kind has 2 patients of role cohort, fewer than the 3 folds" in text


def test_class_that_is_spelt_almost_like_another_is_pointed_out(tmp_path):
    table = make_table(tmp_path, lesions_per_class=6)
    rows = rows_of(table)
    rows[0]["kind"] = rows[0]["kind"] + "e"
    write_rows(table, rows)
    text, problems = describe(table, "kind")
    assert problems == 1 and "fewer than the 3 folds; correct it if 'cyst' is meant, add patients" in text
    write_rows(table, [row | {"kind": f"grade {min(number, 2)}"} for number, row in enumerate(rows)])
    assert "is meant" not in describe(table, "kind")[0], "numbered classes are alike on purpose"


def test_one_patient_a_lesion_is_pointed_out(tmp_path):
    table = make_table(tmp_path, lesions_per_class=4)
    assert "every lesion is a patient of its own" not in describe(table, "kind")[0]
    write_rows(table, [row | {"patient_id": row["lesion_id"]} for row in rows_of(table)])
    assert "every lesion is a patient of its own" in describe(table, "kind")[0]


def test_window_that_does_not_suit_the_lesions_is_pointed_out(tmp_path):
    table = make_table(tmp_path, lesions_per_class=4)
    assert "window:" not in describe(table, "kind")[0]
    common = settings.run_parameters("quick")["01_data"]
    low, high = (common["window_level"] + half * common["window_width"] / 2 for half in (-1, 1))
    assert (low, high) == WINDOW
    for row in rows_of(table)[:2]:
        image = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / row["image"])))
        outline = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / row["mask"]))) > 0
        image[outline] = -500
        write_volume(tmp_path / row["image"], image)
    text, problems = describe(table, "kind")
    assert problems == 0
    assert (
        "window:     the usual one, -140 to 260 HU, is made for the liver; 25 % of what is outlined here would be black" in text
    )
    write_rows(table, [row | {"intensity": "grey"} for row in rows_of(table)])
    assert "set window_level and window_width to suit these values" in describe(table, "kind")[0]


def test_formats_are_named_and_nothing_personal_is_repeated(tmp_path, capsys):
    rows = []
    for number in range(6):
        hu, outline = lesion(seed=number)
        place = geometry()

        def with_comment(index, dataset):
            dataset.ImageComments = "Verylongname was here"

        datasets = write_series(tmp_path / str(number) / "ct", hu, place, change=with_comment)
        mask = f"{number}/outline.dcm"
        if number % 2:
            write_seg(tmp_path / mask, datasets, [outline])
        else:
            write_rtstruct(tmp_path / mask, {"tumour": outline}, place)
        rows.append({"lesion_id": number, "patient_id": number, "image": f"{number}/ct", "mask": mask, "kind": "ab"[number // 3]})
    rows[5]["image"] = "4/ct/000.dcm"
    damaged = tmp_path / "3" / "ct" / "000.dcm"
    damaged.write_bytes(damaged.read_bytes()[:132] + damaged.read_bytes()[200:900])
    table = write_rows(tmp_path / "lesions.csv", rows)
    assert main(["describe", str(table), "--label", "kind"]) == 1
    output = capsys.readouterr()
    assert "outlines:   RTSTRUCT 3, DICOM SEG 2" in output.out
    assert "lesions in DICOM series 5" in output.out
    assert "line 5: " in output.out
    for value in PERSONAL.values():
        for part in value.split("^"):
            if len(part) > 2:
                assert part not in output.out + output.err
    assert datasets[0].SOPInstanceUID not in output.out + output.err


def test_pictures_without_a_pixel_size_are_named(folders, capsys):  # noqa: F811
    assert main(["table", str(folders), "--one-image-one-patient"]) == 0
    output = capsys.readouterr()
    assert "lesions.csv holds 8 pictures" in output.out
    assert "warning: every picture counts as a patient of its own" in output.err
    assert main(["describe", str(folders / "lesions.csv"), "--label", "class"]) == 0
    text = capsys.readouterr().out
    assert "JPG, 8 bit 4" in text and "PNG, 8 bit 4" in text
    assert "grey levels" in text
    assert "pixels:     of unknown size for 8 lesions: 1 mm is taken" in text
    assert "every lesion is a patient of its own" in text
    (folders / "lesions.csv").unlink()
    assert main(["table", str(folders), "--patients", str(folders / "patients.csv")]) == 0
    assert capsys.readouterr().err == ""
    assert main(["table", str(folders)]) == 2
    assert "which pictures are of one patient?" in capsys.readouterr().err


def test_slices_of_16_bits_are_named(tmp_path):
    table, _ = write_slices(tmp_path)
    text, problems = describe(table)
    assert problems == 0
    assert "lesions in PNG, 16 bit 6" in text
    assert "outlines:   box 6" in text
