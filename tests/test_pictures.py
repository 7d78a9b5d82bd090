"""PNG and JPEG: 16-bit CT slices with boxes, 8-bit pictures in one folder a class, and what is refused."""

import csv
import struct
import zlib

import numpy as np
import pytest
from conftest import write_rows
from PIL import Image

from lesion_utils.crops import Source, read_crops
from lesion_utils.errors import DataError
from lesion_utils.folders import table_from_folders
from lesion_utils.pictures import read_picture
from lesion_utils.readers import read_table


def slice_in_hu(seed=0, shape=(70, 80)):
    rng = np.random.default_rng(seed)
    hu = np.rint(rng.normal(60, 15, shape)).astype(np.int32)
    hu[:5] = -1000
    hu[30:41, 20:36] -= 45
    return hu


def write_slices(folder):
    """Write a table as of DeepLesion: 16-bit PNG slices with HU + 32768, and boxes with decimals."""
    (folder / "case 1").mkdir(parents=True)
    rows = []
    for number in range(6):
        hu = slice_in_hu(number)
        Image.fromarray((hu + 32768).astype(np.uint16)).save(folder / "case 1" / f"{number + 100:03d}.png")
        rows.append(
            {
                "lesion_id": f"l{number}",
                "patient_id": "p1" if number < 2 else f"p{number}",
                "image": f"case 1/{number + 100:03d}.png",
                **{"x1": "19.6", "y1": 30, "x2": "35.4", "y2": 40, "slice": number + 100},
                **{"hu_offset": -32768, "spacing_mm": 0.8, "kind": "ab"[number % 2]},
            }
        )
    return write_rows(folder / "lesions.csv", rows), rows


def crop_of(path, **options):
    (crop,) = read_crops([Source(path, **options)])
    if isinstance(crop, DataError):
        raise crop
    return crop


def test_slices_of_16_bits_with_boxes_are_read_in_hounsfield_units(tmp_path):
    table, rows = write_slices(tmp_path)
    cohort, key = read_table(table, "kind")
    for index, name in enumerate(key.lesion_id):
        hu = slice_in_hu(int(name[1:]))
        np.testing.assert_array_equal(cohort.slices[index], hu)
        columns, lines = np.flatnonzero(cohort.outlines[index].any(0)), np.flatnonzero(cohort.outlines[index].any(1))
        assert (columns[0], columns[-1], lines[0], lines[-1]) == (20, 35, 30, 40)
    np.testing.assert_allclose(cohort.spacing, 0.8, rtol=1e-6)


def test_slice_may_be_named_in_a_folder_of_pictures_or_left_empty(tmp_path):
    table, rows = write_slices(tmp_path)
    expected, _ = read_table(table, "kind")
    for cells in ({"slice": ""}, {"slice": 0}):
        write_rows(table, [row | cells for row in rows])
        np.testing.assert_array_equal(read_table(table, "kind")[0].slices, expected.slices)
    # One folder a patient, slices told apart by the numbers that end their names.
    for row in rows:
        path = tmp_path / row["patient_id"] / f"x_{row['slice']}.png"
        path.parent.mkdir(exist_ok=True)
        (tmp_path / row["image"]).rename(path)
        row["image"] = row["patient_id"]
    write_rows(table, rows)
    np.testing.assert_array_equal(read_table(table, "kind")[0].slices, expected.slices)
    write_rows(table, [row | {"slice": 77} if row["lesion_id"] == "l3" else row for row in rows])
    with pytest.raises(DataError, match=r"line 5: image .*p3 has no pictures whose name ends in the number 77; correct slice"):
        read_table(table, "kind")


@pytest.mark.parametrize(
    ("cells", "part"),
    [
        ({"spacing_mm": ""}, "does not tell the size of its pixels; fill in spacing_mm"),
        ({"hu_offset": ""}, "beyond -32768 to 32767"),
        ({"slice": 3}, "is one slice, not number 3; set slice to 0"),
        ({"x2": 90}, "is not inside image"),
        ({"x1": ""}, "has no outline"),
        ({"image": "case 1/999.png"}, "is missing"),
    ],
)
def test_bad_cell_of_a_picture_is_an_error_with_line_and_remedy(tmp_path, cells, part):
    table, rows = write_slices(tmp_path)
    write_rows(table, [row | cells if row["lesion_id"] == "l4" else row for row in rows])
    with pytest.raises(DataError) as caught:
        read_table(table, "kind")
    assert f"{table}: 1 problem" in str(caught.value)
    assert "line 6: " in str(caught.value)
    assert part in str(caught.value)


def test_mask_may_be_a_picture(tmp_path):
    hu = slice_in_hu()
    Image.fromarray((hu + 32768).astype(np.uint16)).save(tmp_path / "a.png")
    mask = np.zeros(hu.shape, np.uint8)
    mask[30:41, 20:36], mask[50:60, 50:60] = 255, 2
    Image.fromarray(mask).save(tmp_path / "mask.png")
    options = {"mask": tmp_path / "mask.png", "offset": -32768.0, "spacing": 0.8}
    np.testing.assert_array_equal(crop_of(tmp_path / "a.png", segment="255", **options).outline, mask == 255)
    np.testing.assert_array_equal(crop_of(tmp_path / "a.png", segment="2", **options).outline, mask == 2)
    with pytest.raises(DataError, match="no segment 9, only 0, 2, 255"):
        crop_of(tmp_path / "a.png", segment="9", **options)
    Image.fromarray(mask[:-1]).save(tmp_path / "mask.png")
    with pytest.raises(DataError, match="80 x 69 pixels, its image 80 x 70 x 1"):
        crop_of(tmp_path / "a.png", **options)
    Image.fromarray(mask).save(tmp_path / "mask.jpg")
    with pytest.raises(DataError, match="is a JPEG, which blurs outlines; save masks as PNG"):
        crop_of(tmp_path / "a.png", **options | {"mask": tmp_path / "mask.jpg"})


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1"])
def test_grey_pictures_are_read_however_they_were_saved(tmp_path, mode):
    grey = np.random.default_rng(0).integers(0, 256, (20, 30)).astype(np.uint8)
    if mode == "1":
        grey = np.where(grey > 127, 255, 0).astype(np.uint8)
    Image.fromarray(grey).convert(mode).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture("image", tmp_path / "a.png"), grey)


def test_jpeg_in_colour_channels_that_agree_is_read_as_grey(tmp_path):
    grey = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
    Image.fromarray(grey).convert("RGB").save(tmp_path / "a.jpg", quality=95)
    assert np.abs(read_picture("image", tmp_path / "a.jpg").astype(int) - grey).max() <= 3


def png_claiming(width, height):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(bytes(1000))), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_pictures_that_cannot_be_used_are_refused(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 40, 3)).astype(np.uint8)).save(path)
    whole = path.read_bytes()
    with pytest.raises(DataError, match=r"image .*a.png is in colour; convert it to grey levels"):
        read_picture("image", path)
    for content in (whole[: len(whole) // 2], b"", b"GIF89a" + bytes(100), whole[:40] + bytes(50) + whole[90:]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"image .*a.png is cut off or unreadable as PNG or JPEG"):
            read_picture("image", path)
    path.write_bytes(png_claiming(200_000, 200_000))
    with pytest.raises(DataError, match=r"says it has 200000 x 200000 pixels, more than the 100,000,000|cut off or unreadable"):
        read_picture("image", path)
    path.write_bytes(png_claiming(12_000, 12_000))
    with pytest.raises(DataError, match="says it has 12000 x 12000 pixels, more than the 100,000,000"):
        read_picture("image", path)


# One folder a class


@pytest.fixture
def folders(tmp_path):
    """Four grey pictures in each of two folders, a brighter middle in one class, and patients of two pictures each."""
    rng = np.random.default_rng(0)
    owners = []
    for number, name in enumerate(("benign", "malignant")):
        (tmp_path / name).mkdir()
        for nth in range(4):
            picture = rng.integers(20, 90, (90, 120))
            picture[30:60, 45:75] += 60 * number
            file = tmp_path / name / f"{nth}.{'png' if nth % 2 else 'jpg'}"
            Image.fromarray(picture.astype(np.uint8)).save(file)
            owners.append({"image": f"{name}/{file.name}", "patient_id": f"{name} {nth // 2}"})
    write_rows(tmp_path / "patients.csv", owners)
    return tmp_path


def test_folders_of_classes_become_a_table_that_is_read(folders):
    path, count = table_from_folders(folders, patients=folders / "patients.csv")
    assert (path, count) == (folders / "lesions.csv", 8)
    cohort, key = read_table(path, "class")
    assert cohort.classes == ("benign", "malignant")
    assert cohort.intensity == "grey"
    assert len(set(cohort.patient_id)) == 4
    assert [cohort.classes[label] for label in cohort.label] == [name.split("/")[0] for name in key.lesion_id]
    # The whole height is the ROI: 1.5 diameters around the middle.
    lines, columns = np.nonzero(cohort.outlines[0])
    assert (np.ptp(lines) + 1, np.ptp(columns) + 1) == (60, 60)
    assert (lines.mean(), columns.mean()) == (44.5, 59.5)


def test_patients_must_be_told(folders):
    with pytest.raises(DataError, match=r"which pictures are of one patient\? Give --patients FILE.*or --one-image-one-patient"):
        table_from_folders(folders)
    table_from_folders(folders, one_image_one_patient=True)
    assert len(set(read_table(folders / "lesions.csv", "class")[0].patient_id)) == 8


def test_every_problem_of_the_folders_is_listed_and_nothing_written(folders):
    rows = list(csv.DictReader((folders / "patients.csv").open()))
    write_rows(folders / "patients.csv", rows[1:])
    (folders / "malignant" / "1.png").write_bytes(b"broken")
    with pytest.raises(DataError) as caught:
        table_from_folders(folders, patients=folders / "patients.csv")
    assert "2 problems; no table was written" in str(caught.value)
    assert "benign/0.jpg has no row in" in str(caught.value)
    assert "1.png is cut off or unreadable" in str(caught.value)
    assert not (folders / "lesions.csv").exists()


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"a,b\n1,2\n", "needs the columns image and patient_id"),
        (b"image,patient_id\nx,\n", "line 2: has no patient_id for x"),
        (b"image,patient_id\nx,a\nx,b\n", "line 3: gives x to patient 'b', and an earlier line to another"),
        (b"image,patient_id\nx,a,b\n", "line 2: has 3 cells for 2 columns"),
        (b"", "is empty"),
    ],
)
def test_bad_table_of_patients_is_an_error(folders, content, part):
    (folders / "patients.csv").write_bytes(content)
    with pytest.raises(DataError, match=part):
        table_from_folders(folders, patients=folders / "patients.csv")


@pytest.mark.parametrize(("separator", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-16")])
def test_table_of_patients_is_read_as_spreadsheets_write_it(folders, separator, encoding):
    plain = table_from_folders(folders, patients=folders / "patients.csv")[0].read_bytes()
    (folders / "lesions.csv").unlink()
    text = (folders / "patients.csv").read_text(encoding="utf-8")
    (folders / "patients.csv").write_text(text.replace(",", separator), encoding=encoding)
    assert table_from_folders(folders, patients=folders / "patients.csv")[0].read_bytes() == plain


def test_a_table_that_is_there_is_not_written_over(folders):
    (folders / "lesions.csv").write_text("boxes drawn by hand")
    with pytest.raises(DataError, match=r"lesions.csv is there already.*rename or delete it"):
        table_from_folders(folders, one_image_one_patient=True)
    assert (folders / "lesions.csv").read_text() == "boxes drawn by hand"


@pytest.mark.parametrize(("name", "words"), [("<b>benign", "holds <>; write it with letters"), ("NaN", "stands for no label")])
def test_a_folder_that_cannot_name_a_class_is_an_error(folders, name, words):
    (folders / "benign").rename(folders / name)
    with pytest.raises(DataError, match=f"the label '{name}' of the folder .*{words}"):
        table_from_folders(folders, one_image_one_patient=True)
    assert not (folders / "lesions.csv").exists()


def test_one_folder_is_no_classes(folders, tmp_path):
    for path in (folders / "benign").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="fewer than two folders"):
        table_from_folders(folders, one_image_one_patient=True)
    with pytest.raises(DataError, match="is no folder"):
        table_from_folders(folders / "none", one_image_one_patient=True)
