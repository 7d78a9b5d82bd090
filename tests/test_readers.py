"""Reading the user's table: what comes out, and what every kind of bad input is answered."""

import csv
import gzip
import os
import re
import shutil
import stat
from pathlib import Path

import dicoms
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from conftest import make_table, write_rows, write_volume
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from statsmodels.stats.proportion import proportion_confint

from lesion_utils.crops import Source, read_crops
from lesion_utils.describe import describe
from lesion_utils.errors import DataError
from lesion_utils.readers import _anonymous, read_table, write_key
from lesion_utils.table import OPTIONAL, REQUIRED


def rows_of(table):
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def change(table, number, **cells):
    """Rewrite one row (0 is line 2); new columns are empty in the others."""
    rows = rows_of(table)
    for name in cells:
        for row in rows:
            row.setdefault(name, "")
    rows[number].update({name: str(value) for name, value in cells.items()})
    write_rows(table, rows)


def change_all(table, **cells):
    write_rows(table, [{**row, **cells} for row in rows_of(table)])


def pixels(table, column, number):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(table.parent / rows_of(table)[number][column])))


def replace_volume(table, column, number, values, **geometry):
    write_volume(table.parent / rows_of(table)[number][column], values, **geometry)


def message_of(table, label="kind"):
    with pytest.raises(DataError) as caught:
        read_table(table, label)
    return str(caught.value)


def assert_one_problem(table, *parts, line=None, label="kind"):
    """The message is about the table, one problem, the right line, and says every part."""
    message = message_of(table, label)
    assert str(table) in message
    assert "1 problem;" in message
    assert (f"line {line}: " if line else "whole table: ") in message
    for part in parts:
        assert part in message, message


# What comes out


def test_cohort_holds_every_lesion_of_the_table(table):
    cohort, key = read_table(table, "kind")
    assert len(cohort) == 6
    assert cohort.classes == ("cyst", "metastasis")
    assert (cohort.source, cohort.intensity) == ("table", "hu")
    assert cohort.lesion_id.tolist() == [f"L000{i}" for i in range(1, 7)]
    assert set(cohort.patient_id) == {"P0001", "P0002", "P0003", "P0004"}
    assert set(cohort.role) == {"cohort"}
    np.testing.assert_allclose(cohort.spacing, 0.8, rtol=1e-6)
    by_name = {row["lesion_id"]: (number, row) for number, row in enumerate(rows_of(table))}
    for i, entry in enumerate(key.itertuples()):
        number, row = by_name[entry.lesion_id]
        assert cohort.classes[cohort.label[i]] == row["kind"]
        assert entry.patient_id == row["patient_id"]
        np.testing.assert_array_equal(cohort.slices[i], pixels(table, "image", number)[2])
        np.testing.assert_array_equal(cohort.outlines[i], pixels(table, "mask", number)[2] > 0)
        assert cohort.slices[i].dtype == np.int16
        assert cohort.outlines[i].dtype == bool


def test_slice_with_the_largest_outline_is_chosen(table):
    mask = pixels(table, "mask", 0)
    areas = mask.sum(axis=(1, 2))
    assert areas.argmax() == 2
    assert len(set(areas.tolist())) > 2
    moved = np.roll(mask, 1, axis=0)
    moved[0] = 0
    replace_volume(table, "mask", 0, moved)
    cohort, key = read_table(table, "kind")
    i = key.lesion_id.tolist().index("case-000")
    np.testing.assert_array_equal(cohort.slices[i], pixels(table, "image", 0)[3])


def test_nifti_and_nrrd_agree(tmp_path):
    read = [
        read_table(make_table(tmp_path / str(i), suffix=suffix), "kind")
        for i, suffix in enumerate([".nii.gz", ".nii", ".nrrd", ".nhdr"])
    ]
    for cohort, key in read[1:]:
        pd.testing.assert_frame_equal(key, read[0][1])
        np.testing.assert_array_equal(cohort.slices, read[0][0].slices)
        np.testing.assert_array_equal(cohort.outlines, read[0][0].outlines)
        np.testing.assert_array_equal(cohort.spacing, read[0][0].spacing)


@pytest.mark.parametrize("code", ["RAS", "LAI", "ASL", "PIR", "SRP"])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_orientation_of_the_file_does_not_matter(tmp_path, code, suffix):
    table = make_table(tmp_path, suffix=suffix)
    before, _ = read_table(table, "kind")
    for row in rows_of(table):
        for column in ("image", "mask"):
            path = str(tmp_path / row[column])
            stored = sitk.DICOMOrient(sitk.ReadImage(path), code)
            assert stored.GetDirection() != (1, 0, 0, 0, 1, 0, 0, 0, 1)
            sitk.WriteImage(stored, path)
    after, _ = read_table(table, "kind")
    np.testing.assert_array_equal(after.slices, before.slices)
    np.testing.assert_array_equal(after.outlines, before.outlines)


def test_mask_may_be_stored_in_another_orientation_than_its_image(table):
    before, _ = read_table(table, "kind")
    path = str(table.parent / rows_of(table)[1]["mask"])
    sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(path), "RAI"), path)
    after, _ = read_table(table, "kind")
    np.testing.assert_array_equal(after.outlines, before.outlines)


def test_crop_is_kept_around_the_lesion_and_ends_at_the_slice(tmp_path):
    values = np.random.default_rng(0).normal(0, 20, (1, 600, 600)).astype(np.int16)
    sizes = {}
    for name, middle, radius in (("small", 300, 5), ("large", 300, 100), ("corner", 20, 5)):
        mask = np.hypot(*(np.mgrid[:600, :600] - middle)) < radius + 0.5
        write_volume(tmp_path / f"{name}.nrrd", values)
        write_volume(tmp_path / f"{name}_mask.nrrd", mask[None].astype(np.uint8))
        (crop,) = read_crops([Source(tmp_path / f"{name}.nrrd", tmp_path / f"{name}_mask.nrrd")])
        assert crop.outline.sum() == mask.sum()
        top, left = np.argwhere(mask)[0] - np.argwhere(crop.outline)[0]
        height, width = crop.pixels.shape
        np.testing.assert_array_equal(crop.pixels, values[0, top : top + height, left : left + width])
        sizes[name] = (height, width)
    assert sizes["small"] == (128, 128)
    side = 2.7 * 201 + 32
    assert side <= sizes["large"][0] <= side + 2
    assert sizes["corner"] == (84, 84)


def test_padding_is_clipped_and_values_are_rounded(table):
    values = pixels(table, "image", 0).astype(np.float32)
    values[:, -3:] = -2048
    values[2, 20, 20] = 41.6
    replace_volume(table, "image", 0, values)
    cohort, key = read_table(table, "kind")
    crop = cohort.slices[key.lesion_id.tolist().index("case-000")]
    assert crop.min() == -1024
    assert crop[20, 20] == 42


def test_hu_offset_and_spacing_of_the_table_are_used(table):
    before, key = read_table(table, "kind")
    replace_volume(table, "image", 3, pixels(table, "image", 3) + 1024)
    change(table, 3, hu_offset="-1024", spacing_mm="0,65")
    after, _ = read_table(table, "kind")
    np.testing.assert_array_equal(after.slices, before.slices)
    expected = np.where(key.lesion_id == "case-003", 0.65, 0.8)
    np.testing.assert_allclose(after.spacing, expected, rtol=1e-6)


def test_grey_values_are_kept_as_they_are(table):
    for number in range(6):
        replace_volume(table, "image", number, np.clip(pixels(table, "image", number), 0, 255).astype(np.uint8))
    change_all(table, intensity="grey")
    cohort, key = read_table(table, "kind")
    assert cohort.intensity == "grey"
    i = key.lesion_id.tolist().index("case-002")
    np.testing.assert_array_equal(cohort.slices[i], pixels(table, "image", 2)[2])


def test_segment_tells_lesions_of_one_mask_apart(table):
    mask = pixels(table, "mask", 0).astype(np.uint8)
    other = np.zeros_like(mask)
    other[1, 28:35, 30:38] = 1
    replace_volume(table, "mask", 0, mask * 3 + other * 7)
    rows = rows_of(table)
    for row in rows:
        row["segment"] = ""
    rows[0]["segment"] = "3"
    rows.append({**rows[0], "lesion_id": "second", "segment": "7.0"})
    write_rows(table, rows)
    cohort, key = read_table(table, "kind")
    names = key.lesion_id.tolist()
    np.testing.assert_array_equal(cohort.outlines[names.index("case-000")], mask[2] > 0)
    np.testing.assert_array_equal(cohort.outlines[names.index("second")], other[1] > 0)
    np.testing.assert_array_equal(cohort.slices[names.index("second")], pixels(table, "image", 0)[1])


@pytest.mark.parametrize("code", ["LPS", "RAS"])
def test_box_is_an_inscribed_ellipse_in_the_files_own_voxels(table, code):
    rows = rows_of(table)
    path = str(table.parent / rows[0]["image"])
    stored = sitk.DICOMOrient(sitk.ReadImage(path), code)
    sitk.WriteImage(stored, path)
    for row in rows:
        row.update(x1="", y1="", x2="", y2="", slice="")
    rows[0].update(mask="", x1="10", y1="12", x2="20", y2="18", slice="3")
    write_rows(table, rows)
    cohort, key = read_table(table, "kind")
    i = key.lesion_id.tolist().index("case-000")
    rows_there, columns_there = np.nonzero(cohort.outlines[i])
    assert (np.ptp(rows_there) + 1, np.ptp(columns_there) + 1) == (7, 11)
    assert cohort.outlines[i].sum() == pytest.approx(np.pi / 4 * 7 * 11, rel=0.06)
    inside = sitk.GetArrayFromImage(stored)[3, 12:19, 10:21]
    crop = cohort.slices[i][rows_there.min() : rows_there.max() + 1, columns_there.min() : columns_there.max() + 1]
    np.testing.assert_array_equal(crop if code == "LPS" else crop[::-1, ::-1], inside)


def test_specks_beside_the_outline_are_dropped(table):
    mask = pixels(table, "mask", 0)
    speckled = mask.copy()
    speckled[2, 36, 40] = 1
    replace_volume(table, "mask", 0, speckled)
    cohort, key = read_table(table, "kind")
    np.testing.assert_array_equal(cohort.outlines[key.lesion_id.tolist().index("case-000")], mask[2] > 0)


def test_two_dimensional_images_are_one_slice(table):
    for number in range(6):
        for column in ("image", "mask"):
            path = table.parent / rows_of(table)[number][column]
            sitk.WriteImage(sitk.ReadImage(str(path))[:, :, 2], str(path).replace(".nii.gz", ".nrrd"))
    before, _ = read_table(table, "kind")
    table.write_text(table.read_text().replace(".nii.gz", ".nrrd"))
    after, _ = read_table(table, "kind")
    np.testing.assert_array_equal(after.slices, before.slices)


def test_roles_go_into_the_cohort(tmp_path):
    table = make_table(tmp_path, lesions_per_class=4)
    rows = rows_of(table)
    for row in rows:
        row["role"] = "TEST" if row["patient_id"].endswith("3") else ""
    write_rows(table, rows)
    cohort, key = read_table(table, "kind")
    assert (cohort.role == "test").tolist() == key.patient_id.str.endswith("3").tolist()
    assert (cohort.role == "test").sum() == 2


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["2", "10", "2.0", "10.0", "1", "1"], ("1", "2", "10")),
        (["b", "a", "b", "a", "c", "c"], ("a", "b", "c")),
        (["yes", "no"] * 3, ("no", "yes")),
    ],
)
def test_classes_are_the_sorted_values_of_any_column(table, values, classes):
    rows = [{**row, "grade": value} for row, value in zip(rows_of(table), values, strict=True)]
    write_rows(table, rows)
    cohort, key = read_table(table, "grade")
    assert cohort.classes == classes
    by_name = {row["lesion_id"]: row["grade"].removesuffix(".0") for row in rows}
    assert [classes[i] for i in cohort.label] == [by_name[name] for name in key.lesion_id]


def test_progress_sees_every_image(table):
    seen = []

    def progress(iterable, total):
        seen.append(total)
        for item in iterable:
            seen.append("image")
            yield item

    read_table(table, "kind", progress=progress)
    assert seen == [6] + ["image"] * 6


# Anonymity


def test_cohort_file_contains_nothing_of_the_users_ids(table, tmp_path):
    cohort, _ = read_table(table, "kind")
    cohort.save(tmp_path / "cohort.npz")
    with np.load(tmp_path / "cohort.npz", allow_pickle=False) as file:
        texts = " ".join(str(file[name].tolist()) for name in file.files if file[name].dtype.kind == "U")
    assert "L0001" in texts
    for row in rows_of(table):
        for name in (row["lesion_id"], row["patient_id"], row["image"], row["mask"], os.path.basename(row["image"])):
            assert name not in texts
    assert str(tmp_path) not in texts


def test_key_is_its_owners_alone_and_maps_back_exactly(table, tmp_path):
    change(table, 0, lesion_id="007", patient_id="0042")
    change(table, 4, lesion_id='odd, "näme"')
    cohort, key = read_table(table, "kind")
    write_key(tmp_path / "run" / "key.csv", key)
    assert stat.S_IMODE((tmp_path / "run" / "key.csv").stat().st_mode) == 0o600
    assert os.listdir(tmp_path / "run") == ["key.csv"]
    stored = pd.read_csv(tmp_path / "run" / "key.csv", dtype=str, keep_default_na=False)
    assert stored.columns.tolist() == ["lesion", "lesion_id", "patient", "patient_id"]
    assert stored.lesion.tolist() == cohort.lesion_id.tolist()
    assert stored.patient.tolist() == cohort.patient_id.tolist()
    assert set(zip(stored.lesion_id, stored.patient_id, strict=True)) == {
        (row["lesion_id"], row["patient_id"]) for row in rows_of(table)
    }
    assert "007" in set(stored.lesion_id)
    assert 'odd, "näme"' in set(stored.lesion_id)


def test_order_of_ids_follows_the_seed(table):
    orders = {tuple(read_table(table, "kind", seed=seed)[1].lesion_id) for seed in (0, 0, 1, 2)}
    assert len(orders) == 3
    assert tuple(sorted(row["lesion_id"] for row in rows_of(table))) not in orders


def test_anonymous_ids_do_not_depend_on_the_order_of_names():
    names = [f"person {i}" for i in range(30)]
    forward, backward = (_anonymous("P", order, np.random.default_rng(3)) for order in (names, names[::-1]))
    assert forward == backward
    assert sorted(forward.values()) == [f"P{i + 1:04d}" for i in range(30)]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(6)), seed=st.integers(0, 2**32 - 1))
def test_order_of_rows_has_no_influence(table, order, seed):
    rows = rows_of(table)
    shuffled = write_rows(table.parent / "shuffled.csv", [rows[i] for i in order])
    first, key = read_table(table, "kind", seed=seed)
    second, key_of_second = read_table(shuffled, "kind", seed=seed)
    pd.testing.assert_frame_equal(key, key_of_second)
    np.testing.assert_array_equal(first.slices, second.slices)
    np.testing.assert_array_equal(first.label, second.label)
    np.testing.assert_array_equal(first.patient_id, second.patient_id)


# Tables as programs write them


@pytest.mark.parametrize(
    ("separator", "encoding", "newline"),
    [(",", "utf-8-sig", "\r\n"), (";", "cp1252", "\r\n"), ("\t", "utf-16", "\n"), (";", "utf-8", "\n")],
)
def test_other_separators_and_encodings_read_alike(table, separator, encoding, newline):
    change(table, 2, patient_id="Jürgen ß")
    expected, key = read_table(table, "kind")
    lines = [line.replace(",", f" {separator}") for line in table.read_text(encoding="utf-8").splitlines()]
    lines[0] = lines[0].replace(separator, f" {separator} ")
    text = newline.join(["", *lines, "", ""]) + newline
    table.write_bytes(text.encode(encoding))
    cohort, key_again = read_table(table, "kind")
    pd.testing.assert_frame_equal(key, key_again)
    np.testing.assert_array_equal(cohort.slices, expected.slices)


def test_paths_with_backslashes_or_absolute_or_outside_the_folder_are_read(table, tmp_path_factory):
    expected, _ = read_table(table, "kind")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    rows = rows_of(table)
    shutil.copy(table.parent / rows[0]["image"], elsewhere / "outside.nii.gz")
    rows[0]["image"] = os.path.relpath(elsewhere / "outside.nii.gz", table.parent)
    rows[1]["image"] = str(table.parent / rows[1]["image"])
    rows[2]["image"] = rows[2]["image"].replace("/", "\\")
    write_rows(table, rows)
    cohort, _ = read_table(table, "kind")
    np.testing.assert_array_equal(cohort.slices, expected.slices)


def test_line_numbers_count_blank_lines_and_quoted_line_breaks(table):
    rows = rows_of(table)
    rows[0]["note"] = "two\nlines"
    rows[3].update(image="gone.nii.gz")
    for row in rows[1:]:
        row["note"] = ""
    write_rows(table, rows)
    lines = table.read_text(encoding="utf-8").split("\n")
    table.write_text("\n".join([lines[0], "", *lines[1:]]), encoding="utf-8")
    where = next(i for i, line in enumerate(table.read_text().split("\n"), start=1) if "gone" in line)
    assert where == 7
    assert_one_problem(table, "gone.nii.gz", line=7)


# Tables that cannot be used


def test_missing_table_is_named_in_full(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = message_of("none.csv")
    assert "none.csv is missing" in message
    assert str(tmp_path / "none.csv") in message


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"lesion_id,patient_id,image,mask,kind\n", "then the rows"),
        (b"PK\x03\x04\x00\x00zip of a spreadsheet", "not a CSV"),
        (b"\xff\xfea\x00b", "not a CSV"),
        (b'lesion_id,patient_id,image,mask,kind\na,b,c,d,e\n"a,b,c,d,e\nf,g,h,i,j\n', "line 3: not CSV"),
        (b"lesion_id,patient_id,image,mask,kind,kind\na,b,c,d,e,f\n", "'kind' is there twice"),
        (b"just some words\nand more\n", "missing column lesion_id, patient_id, image"),
    ],
)
def test_file_that_is_no_table_is_an_error(tmp_path, content, part):
    (tmp_path / "lesions.csv").write_bytes(content)
    message = message_of(tmp_path / "lesions.csv")
    assert str(tmp_path / "lesions.csv") in message
    assert part in message


@pytest.mark.parametrize("column", ["lesion_id", "patient_id", "image", "mask"])
def test_missing_column_is_named_with_those_there(table, column):
    write_rows(table, [{name: row[name] for name in row if name != column} for row in rows_of(table)])
    message = message_of(table)
    assert f"missing column {column}" in message
    assert "its columns are: " in message
    assert str(table) in message


def test_column_in_capitals_is_pointed_out(table):
    write_rows(table, [{name.title(): row[name] for name in row} for row in rows_of(table)])
    assert "missing column lesion_id, patient_id, image; write it in small letters (its columns are: Lesion_Id" in message_of(
        table
    )


def test_unknown_label_column_lists_the_columns(table):
    message = message_of(table, "colour")
    assert "label column 'colour' is unknown" in message
    assert "lesion_id, patient_id, image, mask, kind" in message


def test_identifiers_cannot_be_the_label(table):
    assert "'patient_id' is no label" in message_of(table, "patient_id")


def test_row_with_too_few_cells_is_named(table):
    lines = table.read_text().splitlines()
    lines[4] = lines[4].rsplit(",", 1)[0]
    table.write_text("\n".join(lines))
    assert_one_problem(table, "has 4 cells for 5 columns", line=5)


@pytest.mark.parametrize(
    ("cells", "parts"),
    [
        ({"lesion_id": ""}, ["lesion_id is empty", "delete the row"]),
        ({"patient_id": " "}, ["patient_id is empty", "delete the row"]),
        ({"image": ""}, ["image is empty", "delete the row"]),
        ({"mask": ""}, ["no outline", "x1, y1, x2, y2, slice"]),
        ({"kind": ""}, ["column kind is empty", "fill it in or delete the row"]),
        ({"kind": "NaN"}, ["column kind is empty", "fill it in or delete the row"]),
        ({"role": "train"}, ["role 'train' is unknown", "cohort, extra, test"]),
        ({"intensity": "T2"}, ["intensity 't2' is unknown", "hu or grey"]),
        ({"spacing_mm": "thick"}, ["spacing_mm is 'thick', not a number"]),
        ({"spacing_mm": "0"}, ["spacing_mm is 0", "above 0"]),
        ({"hu_offset": "inf"}, ["hu_offset is 'inf', not a number"]),
        ({"segment": "liver tumour"}, ["segment is 'liver tumour', not a number"]),
        ({"segment": "4"}, ["no segment 4, only 0, 1", "correct segment"]),
        ({"image": "image"}, ["is a folder without DICOM images", "correct its path"]),
        ({"image": "lesions.csv"}, ["has a format that is not read", ".nrrd"]),
        ({"image": "x" * 400 + ".nii"}, ["is missing"]),
        ({"mask": "mask/none.nrrd"}, ["mask/none.nrrd is missing", "correct its path"]),
    ],
)
def test_bad_cell_is_an_error_with_line_and_remedy(table, cells, parts):
    change(table, 3, **cells)
    assert_one_problem(table, *parts, line=5)


def test_missing_image_is_named_as_it_was_looked_for(table):
    change(table, 1, image="../elsewhere/gone.nii.gz")
    assert_one_problem(table, str(table.parent.parent / "elsewhere" / "gone.nii.gz"), "is missing", line=3)


def test_duplicate_lesion_ids_are_named(table):
    change(table, 4, lesion_id="case-001")
    assert_one_problem(table, "lesion_id 'case-001' is there twice", "(compare line 3)", line=6)


def test_same_outline_twice_is_an_error(table):
    rows = rows_of(table)
    write_rows(table, [*rows, {**rows[0], "lesion_id": "again"}])
    assert_one_problem(table, "image and outline are there twice", "segment", line=8)


def test_patient_with_two_roles_is_an_error(table):
    rows = rows_of(table)
    assert rows[1]["patient_id"] == rows[2]["patient_id"]
    change(table, 2, role="test")
    assert_one_problem(table, rows[1]["patient_id"], "role test", "one role", "(compare line 3)", line=4)


def test_image_of_two_patients_is_an_error(table):
    rows = rows_of(table)
    change(table, 5, image=rows[0]["image"])
    assert_one_problem(table, "image/study 00.nii.gz is of patient", "(compare line 2)", line=7)


def test_mask_of_two_patients_is_an_error(table):
    rows = rows_of(table)
    change(table, 5, mask=rows[0]["mask"])
    assert_one_problem(table, "mask/study 00", "is of patient", "and of another", "(compare line 2)", line=7)


def test_two_intensities_are_an_error(table):
    change(table, 0, intensity="grey")
    message = message_of(table)
    assert "line 3: intensity hu and another; use one in the whole table (compare line 2)" in message


def test_label_needs_two_classes_and_fewer_than_lesions(table):
    change_all(table, kind="cyst")
    assert_one_problem(table, "column kind holds only 'cyst'", "choose another label")
    write_rows(table, [{**row, "kind": f"{i}.5"} for i, row in enumerate(rows_of(table))])
    assert_one_problem(table, "column kind has 6 values in 6 rows", "choose another")


def test_classes_that_differ_in_capitals_are_an_error(table):
    change(table, 0, kind="Cyst")
    assert_one_problem(table, "labels Cyst, cyst", "write them alike")


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "cyst & more", "$x^2$", "`ls`", "a|b", "*cyst*", "line\u2028ine", "[a](b)"]
)
def test_markup_in_the_name_of_a_class_is_an_error(table, name):
    change(table, 2, kind=name)
    assert_one_problem(table, f"the label '{name}' in column kind holds", "letters, digits, spaces", line=4)


@pytest.mark.parametrize("name", ["part-solid (GGO)", "Zyste, gefüllt", "转移", "Crohn's: 50 %", "stage_2/3 +"])
def test_names_of_many_languages_are_classes(table, name):
    for row in (0, 1, 2):
        change(table, row, kind=name)
    assert name in read_table(table, "kind")[0].classes


def test_class_only_in_the_test_set_is_an_error(table):
    rows = rows_of(table)
    write_rows(table, [{**row, "role": "test" if row["kind"] == "cyst" else ""} for row in rows])
    assert_one_problem(table, "class 'cyst' has no lesion with role cohort")


# Images and masks that cannot be used


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd"])
@pytest.mark.parametrize("column", ["image", "mask"])
@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.97])
def test_file_cut_off_is_an_error(tmp_path, capfd, suffix, column, share):
    table = make_table(tmp_path, suffix=suffix)
    path = tmp_path / rows_of(table)[2][column]
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert_one_problem(table, f"{column} {path} is cut off or unreadable", "copy it again", line=4)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd"])
def test_file_of_something_else_is_an_error(tmp_path, suffix):
    table = make_table(tmp_path, suffix=suffix)
    path = tmp_path / rows_of(table)[0]["image"]
    path.write_bytes(gzip.compress(b"no image" * 1000) if suffix == ".nii.gz" else b"no image" * 1000)
    assert_one_problem(table, f"image {path} is cut off or unreadable", line=2)


@pytest.mark.parametrize(
    "line", [b"space directions: (0.8" + b"0" * 3000 + b"x,0,0)", b"no field" * 200, b"a" * 3000 + b": b:=c"]
)
def test_nrrd_header_that_would_end_the_process_is_an_error(tmp_path, line):
    table = make_table(tmp_path, suffix=".nrrd")
    path = tmp_path / rows_of(table)[0]["image"]
    path.write_bytes(path.read_bytes().replace(b"\nsizes:", b"\n" + line + b"\nsizes:"))
    assert_one_problem(table, f"image {path} is cut off or unreadable (a line of its header has", line=2)


def test_long_remarks_in_an_nrrd_header_are_no_error(tmp_path):
    table = make_table(tmp_path, suffix=".nrrd")
    whole = read_table(table, "kind")
    for row in rows_of(table):
        path = tmp_path / row["image"]
        remarks = b"\n# " + b"c" * 3000 + b"\nprotocol:=" + b"p: q" * 3000 + b"\ncontent: " + b"d" * 3000 + b"\nsizes:"
        path.write_bytes(path.read_bytes().replace(b"\nsizes:", remarks))
    for one, other in zip(read_table(table, "kind")[0].slices, whole[0].slices, strict=True):
        np.testing.assert_array_equal(one, other)


def test_nrrd_header_without_an_end_is_an_error(tmp_path):
    table = make_table(tmp_path, suffix=".nrrd")
    path = tmp_path / rows_of(table)[0]["image"]
    path.write_bytes(path.read_bytes().replace(b"\nsizes:", b"\n" + b"# remark\n" * 120_000 + b"sizes:"))
    assert_one_problem(table, f"image {path} is cut off or unreadable (its header does not end", line=2)


def test_damaged_gzip_is_an_error(table):
    # Large enough that ITK reads the header without coming to the checksum at the end.
    replace_volume(table, "image", 0, np.random.default_rng(0).normal(0, 50, (5, 300, 300)).astype(np.int16))
    path = table.parent / rows_of(table)[0]["image"]
    content = bytearray(path.read_bytes())
    content[-6] ^= 0xFF
    path.write_bytes(content)
    assert_one_problem(table, "is cut off or unreadable", "CRC", line=2)


def test_four_dimensional_image_is_an_error(table):
    path = table.parent / rows_of(table)[0]["image"]
    sitk.WriteImage(sitk.JoinSeries([sitk.ReadImage(str(path))] * 2), str(path))
    assert_one_problem(table, "has 4 dimensions", "one 3-D volume", line=2)


def test_colour_image_is_an_error(tmp_path):
    table = make_table(tmp_path, suffix=".nrrd")
    path = tmp_path / rows_of(table)[0]["image"]
    sitk.WriteImage(sitk.Compose([sitk.ReadImage(str(path))] * 3), str(path))
    assert_one_problem(table, "3 number(s) a voxel", "one number a voxel", line=2)


def test_mask_of_another_size_is_an_error(table):
    replace_volume(table, "mask", 0, pixels(table, "mask", 0)[:-1])
    assert_one_problem(table, "44 x 40 x 4 voxels, its image 44 x 40 x 5", "resample the mask", line=2)


@pytest.mark.parametrize(
    ("geometry", "name"),
    [
        ({"origin": (0.0, 0.4, 0.0)}, "origin (0, 0.4, 0), not (0, 0, 0)"),
        ({"spacing": (0.8, 0.8, 5.0)}, "spacing (0.8, 0.8, 5), not (0.8, 0.8, 2.5)"),
        ({"direction": (0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1)}, "direction (0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1)"),
    ],
)
def test_mask_on_another_grid_is_an_error(table, geometry, name):
    replace_volume(table, "mask", 0, pixels(table, "mask", 0), **geometry)
    assert_one_problem(table, "is not on its image's grid", name, "resample the mask", line=2)


def test_rounding_in_the_masks_geometry_is_allowed(table):
    spacing = (0.80002, 0.79998, 2.5)
    replace_volume(table, "mask", 0, pixels(table, "mask", 0), spacing=spacing, origin=(1e-3, 0.0, -1e-3))
    assert len(read_table(table, "kind")[0]) == 6


def test_empty_mask_is_an_error(table):
    replace_volume(table, "mask", 0, np.zeros((5, 40, 44), np.uint8))
    assert_one_problem(table, "study 00.nii.gz is all zero", "outline the lesion", line=2)


@pytest.mark.parametrize(("height", "width"), [(2, 2), (1, 9), (9, 2)])
def test_outline_of_a_few_pixels_is_an_error(table, height, width):
    mask = np.zeros((5, 40, 44), np.uint8)
    mask[2, 20 : 20 + height, 20 : 20 + width] = 1
    replace_volume(table, "mask", 0, mask)
    assert_one_problem(table, f"is {width} x {height} pixels", "delete the row", line=2)


def test_mask_of_everything_is_an_error(table):
    replace_volume(table, "mask", 0, np.ones((5, 40, 44), np.uint8))
    assert_one_problem(table, "covers the whole slice", line=2)


def test_two_lesions_in_one_mask_are_an_error(table):
    mask = np.zeros((5, 40, 44), np.uint8)
    mask[2, 5:12, 5:12] = mask[2, 25:32, 25:32] = 1
    replace_volume(table, "mask", 0, mask)
    assert_one_problem(table, "2 separate parts", "segment", line=2)


@pytest.mark.parametrize("box", [(10, 10, 44, 20, 2), (10, 10, 5, 20, 2), (5, 5, 9, 9, 5), (5, 5, 9, 9, 1.5)])
def test_box_outside_the_image_is_an_error(table, box):
    change(table, 0, mask="", **dict(zip(("x1", "y1", "x2", "y2", "slice"), box, strict=True)))
    assert_one_problem(table, "is not inside image", "44 columns, 40 rows, 5 slices", line=2)


def test_box_needs_all_its_numbers(table):
    change(table, 0, mask="", x1=3, y1=3, x2=12, slice=1)
    assert_one_problem(table, "has no outline", "x1, y1, x2, y2, slice", line=2)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd"])
@pytest.mark.parametrize(("value", "number"), [(np.nan, np.float32), (np.inf, np.float64), (-np.inf, np.float32)])
def test_nan_or_infinite_value_is_an_error(tmp_path, suffix, value, number):
    table = make_table(tmp_path, suffix=suffix)
    values = pixels(table, "image", 0).astype(number)
    values[-1, -1, -1] = value
    replace_volume(table, "image", 0, values)
    assert_one_problem(table, "study 00", "NaN or infinite", "replace them", line=2)


def test_nan_in_a_big_endian_nifti_is_an_error(tmp_path):
    table = make_table(tmp_path, suffix=".nii")
    values = pixels(table, "image", 0).astype(np.float32)
    values[0, 0, 0] = np.nan
    path = tmp_path / rows_of(table)[0]["image"]
    replace_volume(table, "image", 0, values)
    content = bytearray(path.read_bytes())
    # Fields of the NIfTI-1 header: first byte, byte after the last, bytes a number.
    fields = [(0, 4, 4), (32, 36, 4), (36, 38, 2), (40, 56, 2), (56, 68, 4), (68, 76, 2), (76, 120, 4), (124, 148, 4)]
    for start, stop, size in [*fields, (252, 256, 2), (256, 328, 4), (352, len(content), 4)]:
        content[start:stop] = np.frombuffer(content[start:stop], np.uint8).reshape(-1, size)[:, ::-1].tobytes()
    path.write_bytes(content)
    assert_one_problem(table, "NaN or infinite", line=2)


def test_constant_image_is_an_error(table):
    replace_volume(table, "image", 0, np.full((5, 40, 44), 60, np.int16))
    assert_one_problem(table, "is constant (60)", "export it again", line=2)


@pytest.mark.parametrize(
    ("transform", "parts"),
    [
        (lambda hu: (hu + 1000) / 2000, ["values 0 to ", "scaled", "multiply by 255 and set intensity to grey"]),
        (lambda hu: (hu - hu.mean()) / hu.std(), ["scaled"]),
        (lambda hu: hu * 100, ["beyond -32768 to 32767"]),
        (lambda hu: hu + 50_000, ["values 49000 to 5", "beyond -32768 to 32767", "correct hu_offset (-32768 where"]),
        (lambda hu: hu + 1024, ["not HU", "set hu_offset (often -1024"]),
        (lambda hu: hu - 1124, ["not HU", "leave it empty for values that are HU already"]),
        (lambda hu: np.clip((hu + 60) * 1.5, 0, 255).round(), ["values 0 to 255", "grey levels of a picture"]),
    ],
)
def test_image_that_is_not_in_hu_is_an_error(table, transform, parts):
    replace_volume(table, "image", 0, transform(pixels(table, "image", 0).astype(np.float32)))
    assert_one_problem(table, *parts, line=2)


def test_grey_values_from_zero_to_one_are_an_error(table):
    for number in range(6):
        replace_volume(table, "image", number, np.clip(pixels(table, "image", number) / np.float32(255), 0, 1))
    change_all(table, intensity="grey")
    assert message_of(table).count("multiply them by 255") == 6


def test_table_of_grey_values_without_saying_so_is_an_error(table):
    for number in range(6):
        replace_volume(table, "image", number, np.clip(pixels(table, "image", number), 0, 255).astype(np.uint8))
    assert_one_problem(table, "no image has a value below 0", "not HU; set intensity to grey")


def test_table_of_shifted_values_without_saying_so_is_an_error(table):
    for number in range(6):
        replace_volume(table, "image", number, np.maximum(pixels(table, "image", number) + 300, 0))
    assert_one_problem(table, "no image has a value below 0", "set hu_offset (often -1024), or intensity to grey")


def test_pixels_must_be_square_unless_the_table_says_so(table):
    for column in ("image", "mask"):
        replace_volume(table, column, 0, pixels(table, column, 0), spacing=(0.8, 0.9, 2.5))
    assert_one_problem(table, "0.8 x 0.9 mm, not square", "spacing_mm", line=2)
    change(table, 0, spacing_mm="0.85")
    assert np.float32(0.85) in read_table(table, "kind")[0].spacing


# Several problems at once


def test_all_problems_are_reported_together_in_order(table):
    rows = rows_of(table)
    rows[0]["image"] = "gone.nii.gz"
    rows[1]["kind"] = ""
    rows[3]["lesion_id"] = rows[2]["lesion_id"]
    write_rows(table, rows)
    replace_volume(table, "mask", 5, np.zeros((5, 40, 44), np.uint8))
    message = message_of(table)
    assert "4 problems; nothing was run" in message
    assert re.findall(r"^  line (\d+): ", message, flags=re.M) == ["2", "3", "5", "7"]


def test_long_lists_of_problems_end_in_a_count(tmp_path):
    table = make_table(tmp_path, lesions_per_class=13, shape=(5, 40, 40))
    shutil.rmtree(tmp_path / "mask")
    lines = message_of(table).splitlines()
    assert "26 problems" in lines[0]
    assert len(lines) == 22
    assert lines[-1] == "  ... and 6 more"


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.integers(0, 330),
    deleted=st.integers(0, 40),
    inserted=st.binary(max_size=6) | st.text(max_size=6).map(str.encode) | st.sampled_from([b"\n", b'"', b",,"]),
)
def test_damaged_table_is_read_or_refused_but_never_crashes(table, place, deleted, inserted):
    content = table.read_bytes()
    damaged = table.parent / "damaged.csv"
    damaged.write_bytes(content[:place] + inserted + content[place + deleted :])
    try:
        cohort, key = read_table(damaged, "kind")
    except DataError as error:
        assert str(damaged) in str(error)
    else:
        assert len(cohort) == len(key) > 1


# The page that explains all this

PAGE = Path(__file__).parent.parent / "book" / "bring_your_own_lesions.md"


def test_page_names_every_column():
    cells = re.findall(r"^\| (`.+?) \|", PAGE.read_text(encoding="utf-8"), flags=re.M)
    assert set(re.findall(r"`(\w+)`", " ".join(cells))) == {*REQUIRED, *OPTIONAL}


EXAMPLES = re.findall(r"```text\n(lesion_id,.+?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_of_the_page_is_read(tmp_path, example):
    (tmp_path / "lesions.csv").write_text(example, encoding="utf-8")
    hu, outline = dicoms.lesion()
    other, place, series = np.zeros_like(outline), dicoms.geometry(), {}
    other[3, 26:36, 34:44] = True
    for row in rows_of(tmp_path / "lesions.csv"):
        image, mask = tmp_path / row["image"], tmp_path / (row.get("mask") or "none")
        for path in (image, mask):
            path.parent.mkdir(parents=True, exist_ok=True)
        if image.suffix in (".gz", ".nrrd"):
            dicoms.write_nifti(image, hu, place)
        elif row["image"].startswith("ct/"):
            folder = image.parent if image.suffix else image
            series[mask] = series.get(mask) or dicoms.write_series(folder, hu, place)
        elif row["image"].startswith("multiframe/"):
            dicoms.write_multiframe(image, hu, place)
        elif row["image"].startswith("png/"):
            path = image if image.suffix else image / f"{row['slice']}.png"
            Image.fromarray((hu[3] + np.int32(32768)).astype(np.uint16)).save(path)
        else:
            Image.fromarray(np.clip(hu[3], 0, 255).astype(np.uint8)).save(image)
        if mask.suffix in (".gz", ".nrrd"):
            dicoms.write_nifti(mask, (outline + 2 * other * bool(row.get("segment"))).astype(np.uint8), place)
        elif row.get("mask", "").startswith("seg/"):
            dicoms.write_seg(mask, series[mask], [outline, other] if row["segment"] else [outline])
        elif row.get("mask", "").startswith("rtstruct/"):
            dicoms.write_rtstruct(mask, {"GTV liver 1": outline, "GTV liver 2": other}, place)
    text, _ = describe(tmp_path / "lesions.csv", "class" if "class" in example else "kind")
    assert f"{example.count(chr(10)) - 1} row" in text
    assert "outlines: " in text
    assert "  line " not in text  # a few rows are no data set, but each is read


def test_page_quotes_real_messages(tmp_path, monkeypatch):
    table = make_table(tmp_path / "ct", lesions_per_class=4)
    for path in tmp_path.glob("ct/*/*"):
        path.rename(str(path).replace("study ", "case"))
    table.write_text(table.read_text().replace("study ", "case"))
    monkeypatch.chdir(tmp_path)
    table = table.relative_to(tmp_path)
    messages = [message_of(table, "type")]
    change(table, 1, image="image/case1.nii.gz")
    change(table, 4, kind="")
    replace_volume(table, "mask", 2, np.zeros((5, 40, 44), np.uint8))
    cut_off = table.parent / "image" / "case05.nii.gz"
    cut_off.write_bytes(cut_off.read_bytes()[: cut_off.stat().st_size // 2])
    replace_volume(table, "image", 6, pixels(table, "image", 6) + 1024)
    messages.append(message_of(table).replace(str(tmp_path), "/data"))
    for message in messages:
        assert f"```text\n{message}\n```" in PAGE.read_text(encoding="utf-8")


def test_page_states_the_right_intervals():
    rows = re.findall(r"^\| (\d+) \| (\d+) to (\d+) % \|", PAGE.read_text(encoding="utf-8"), flags=re.M)
    assert len(rows) == 4
    for n, low, high in np.array(rows, int):
        expected = proportion_confint(round(0.8 * n), n, method="wilson")
        assert (low, high) == tuple(round(100 * end) for end in expected)


def test_python_on_the_page_makes_tables_that_are_read(tmp_path, monkeypatch):
    one_mask_each, numbered = re.findall(r"```python\n(.+?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)
    monkeypatch.chdir(tmp_path)
    table = make_table(tmp_path / "my_data")
    expected, _ = read_table(table, "kind")
    for path in tmp_path.glob("my_data/*/*"):
        path.rename(str(path).replace("study ", "case-0"))
    labels = [{name: row[name] for name in ("lesion_id", "patient_id", "kind")} for row in rows_of(table)]
    write_rows(tmp_path / "my_data" / "labels.csv", labels)
    table.unlink()
    exec(one_mask_each, {})
    cohort, _ = read_table(table, "kind")
    np.testing.assert_array_equal(cohort.slices, expected.slices)

    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "my_data" / "mask" / "case-000.nii.gz")))
    mask[2, 28:35, 30:38] = 2
    write_volume(tmp_path / "my_data" / "mask" / "case-000.nii.gz", mask)
    exec(numbered, {})
    assert message_of(table).count("the label in column kind is empty") == 7
    write_rows(table, [{**row, "kind": "ab"[i % 2]} for i, row in enumerate(rows_of(table))])
    cohort, key = read_table(table, "kind")
    assert sorted(key.lesion_id) == ["case-000_1", "case-000_2", *(f"case-00{i}_1" for i in range(1, 6))]
    np.testing.assert_array_equal(cohort.outlines[key.lesion_id.tolist().index("case-000_2")], mask[2] == 2)
