"""DICOM series, SEG and RTSTRUCT of one known object: the same crop to the voxel, or an error that names file and remedy."""

import shutil

import gdcm
import numpy as np
import pydicom
import pytest
from dicoms import (
    ORIENTATIONS,
    PERSONAL,
    geometry,
    lesion,
    write_multiframe,
    write_nifti,
    write_rtstruct,
    write_seg,
    write_series,
)
from pydicom.uid import DeflatedExplicitVRLittleEndian, HTJ2KLossless, JPEGExtended12Bit, generate_uid

from lesion_utils import dicom_files, dicom_series
from lesion_utils.crops import Crop, Source, read_crops
from lesion_utils.errors import DataError
from lesion_utils.grids import Grid

HU, OUTLINE = lesion()


def crop_of(image, mask=None, **options):
    (crop,) = read_crops([Source(image, mask, **options)])
    if isinstance(crop, DataError):
        raise crop
    return crop


def error_of(image, mask=None, **options):
    (error,) = read_crops([Source(image, mask, **options)])
    assert isinstance(error, DataError), error
    for value in PERSONAL.values():
        assert value not in str(error)
        assert value.split("^")[0] not in str(error)
    assert any(str(path) in str(error) for path in (image, image.parent, mask))
    return str(error)


def assert_same(crop, expected):
    np.testing.assert_array_equal(crop.pixels, expected.pixels)
    np.testing.assert_array_equal(crop.outline, expected.outline)
    assert crop.spacing == pytest.approx(expected.spacing, rel=1e-6)


@pytest.fixture
def place():
    return geometry()


@pytest.fixture
def scan(tmp_path, place):
    """A series in ct/, its SEG, RTSTRUCT, NIfTI image and mask, and the crop that every pair of them must give."""
    datasets = write_series(tmp_path / "ct", HU, place)
    write_seg(tmp_path / "seg.dcm", datasets, [OUTLINE])
    write_rtstruct(tmp_path / "rs.dcm", {"tumour": OUTLINE}, place)
    return tmp_path


EXPECTED = Crop(HU[2], OUTLINE[2], 0.8, True, -1000.0, 200.0, "", "")


# The same object in every format


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_series_seg_rtstruct_and_nifti_agree_in_every_orientation(tmp_path, orientation):
    place = geometry(orientation)
    datasets = write_series(tmp_path / "ct", HU, place)
    image = write_nifti(tmp_path / "image.nii", HU, place)
    mask = write_nifti(tmp_path / "mask.nii", OUTLINE.astype(np.uint8), place)
    seg = write_seg(tmp_path / "seg.dcm", datasets, [OUTLINE])
    contours = write_rtstruct(tmp_path / "rs.dcm", {"tumour": OUTLINE}, place)
    square = {"spacing": 0.8}  # slices across the body give oblong axial pixels
    expected = crop_of(image, mask, **square)
    for outline in (mask, seg, contours):
        for source in (image, tmp_path / "ct"):
            assert_same(crop_of(source, outline, **square), expected)
    if orientation == "axial":
        assert_same(expected, EXPECTED)
    if orientation == "prone":
        np.testing.assert_array_equal(expected.pixels, HU[2][::-1, ::-1])


def test_order_of_slices_comes_from_positions_alone(scan, tmp_path, place):
    reversed_names = write_series(tmp_path / "reversed", HU, place, names=list(range(len(HU)))[::-1])
    assert [d.InstanceNumber for d in reversed_names] == list(range(len(HU), 0, -1))
    assert_same(crop_of(tmp_path / "reversed", scan / "rs.dcm"), EXPECTED)
    box = (14, 14, 24, 24, 4)
    np.testing.assert_array_equal(crop_of(scan / "ct", box=box).pixels, HU[4])


def test_one_file_stands_for_its_series_among_others(scan, place):
    write_series(scan / "other", HU[::-1] + 5, place)
    for number, path in enumerate((scan / "other").iterdir()):
        shutil.move(path, scan / "ct" / f"other{number}")
    (scan / "ct" / "README.txt").write_text("no DICOM")
    (scan / "ct" / "preview.png").write_bytes(b"a picture of no use")
    shutil.copy(scan / "seg.dcm", scan / "ct" / "seg.dcm")
    assert_same(crop_of(scan / "ct" / "003.dcm", scan / "seg.dcm"), EXPECTED)
    assert "holds 2 DICOM series; give one file" in error_of(scan / "ct", scan / "seg.dcm")


@pytest.mark.parametrize("order", [None, [3, 0, 5, 1, 4, 2]])
def test_multiframe_file_is_read_with_each_frames_own_rescaling(scan, tmp_path, place, order):
    path = write_multiframe(tmp_path / "enhanced.dcm", HU, place, order)
    crop = crop_of(path, scan / "rs.dcm")
    assert_same(crop, EXPECTED)
    assert crop.image_format == "multi-frame DICOM"


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_segments_are_told_apart_by_number(scan, place, kind):
    other = np.zeros_like(OUTLINE)
    other[4, 28:35, 30:40] = True
    datasets = [pydicom.dcmread(path) for path in sorted((scan / "ct").iterdir())]
    datasets.sort(key=lambda dataset: dataset.ImagePositionPatient[2])
    seg = write_seg(scan / "two.dcm", datasets, [OUTLINE, other], kind)
    assert_same(crop_of(scan / "ct", seg, segment="1"), EXPECTED)
    crop = crop_of(scan / "ct", seg, segment="2")
    np.testing.assert_array_equal(crop.outline, other[4])
    np.testing.assert_array_equal(crop.pixels, HU[4])
    assert "holds 2 segments; say in column segment which is the lesion (1, 2)" in error_of(scan / "ct", seg)
    assert "has no segment 3, only 1, 2" in error_of(scan / "ct", seg, segment="3")
    assert "has no segment tumour" in error_of(scan / "ct", seg, segment="tumour")


def test_regions_are_told_apart_by_name(scan, place):
    other = np.zeros_like(OUTLINE)
    other[4, 28:35, 30:40] = True
    path = write_rtstruct(scan / "two.dcm", {"tumour": OUTLINE, "node 2": other, "empty": OUTLINE & False}, place)
    assert_same(crop_of(scan / "ct", path, segment="tumour"), EXPECTED)
    np.testing.assert_array_equal(crop_of(scan / "ct", path, segment="node 2").outline, other[4])
    assert "holds 2 regions; say in column segment which is the lesion (tumour, node 2)" in error_of(scan / "ct", path)
    assert "has no region liver, only tumour, node 2" in error_of(scan / "ct", path, segment="liver")


def test_tilted_gantry_is_read(tmp_path):
    place = geometry(shear=(0, 0.6, 0))
    datasets = write_series(tmp_path / "ct", HU, place)
    assert_same(crop_of(tmp_path / "ct", write_seg(tmp_path / "seg.dcm", datasets, [OUTLINE])), EXPECTED)
    assert_same(crop_of(tmp_path / "ct", write_rtstruct(tmp_path / "rs.dcm", {"a": OUTLINE}, place)), EXPECTED)


def test_single_slice_and_its_seg_are_read(tmp_path, place):
    datasets = write_series(tmp_path / "ct", HU[2:3], place)
    seg = write_seg(tmp_path / "seg.dcm", datasets, [OUTLINE[2:3]])
    assert_same(crop_of(tmp_path / "ct", seg), EXPECTED)


# Values


@pytest.mark.parametrize(("slope", "intercept"), [(1, -1024), (0.5, -1000), (2, -1024.0)])
def test_slope_and_intercept_give_hounsfield_units(tmp_path, scan, place, slope, intercept):
    hu = HU - HU % 2  # slope 2 holds even numbers
    write_series(tmp_path / "scaled", hu, place, slope=slope, intercept=intercept)
    np.testing.assert_array_equal(crop_of(tmp_path / "scaled", scan / "rs.dcm").pixels, hu[2])


@pytest.mark.parametrize("hounsfield", [-3024, 30_000])
def test_padding_becomes_air(tmp_path, scan, place, hounsfield):
    padded = HU.astype(np.int32)
    padded[:, -6:, -6:] = hounsfield

    def declare(number, dataset):
        dataset.PixelRepresentation = 1
        dataset.PixelData = (padded[number] + 1024).astype(np.int16).tobytes()
        dataset.PixelPaddingValue = hounsfield + 1024

    write_series(tmp_path / "padded", HU, place, change=declare)
    crop = crop_of(tmp_path / "padded", scan / "rs.dcm")
    assert (crop.pixels[-6:, -6:] == -1024).all()
    np.testing.assert_array_equal(crop.pixels[:-6], HU[2][:-6])
    assert crop.highest < 300


def test_padding_value_that_is_tissue_is_left_alone(tmp_path, scan, place):
    def declare(number, dataset):
        dataset.PixelPaddingValue = 1024 + 100

    write_series(tmp_path / "odd", HU, place, change=declare)
    assert_same(crop_of(tmp_path / "odd", scan / "rs.dcm"), EXPECTED)


def test_inverted_grey_levels_are_turned_but_hounsfield_units_are_not(tmp_path, scan, place):
    def invert(number, dataset):
        dataset.PhotometricInterpretation = "MONOCHROME1"

    write_series(tmp_path / "ct1", HU, place, change=invert)
    assert_same(crop_of(tmp_path / "ct1", scan / "rs.dcm"), EXPECTED)

    def radiograph(number, dataset):
        invert(number, dataset)
        dataset.Modality, dataset.BitsStored, dataset.HighBit = "DX", 12, 11
        del dataset.RescaleSlope, dataset.RescaleIntercept

    write_series(tmp_path / "dx", HU, place, change=radiograph)
    crop = crop_of(tmp_path / "dx", scan / "rs.dcm", intensity="grey")
    np.testing.assert_array_equal(crop.pixels, 4095 - (HU[2] + 1024))


def test_other_modality_is_refused_as_hounsfield_and_read_as_grey(tmp_path, scan, place):
    def magnetic(number, dataset):
        dataset.Modality, dataset.RescaleIntercept = "MR", 0

    write_series(tmp_path / "mr", HU, place, change=magnetic)
    assert "is of modality MR, which has no HU; set intensity to grey" in error_of(tmp_path / "mr", scan / "rs.dcm")
    np.testing.assert_array_equal(crop_of(tmp_path / "mr", scan / "rs.dcm", intensity="grey").pixels, HU[2] + 1024)


# Compressed files


def compress(folder, syntax):
    for path in folder.iterdir():
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(path))
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(
            change.PixmapToPixmapFilter.GetOutput() if hasattr(change, "PixmapToPixmapFilter") else change.GetOutput()
        )
        assert writer.Write()


LOSSLESS = ["RLELossless", "JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless", "ExplicitVRBigEndian"]


@pytest.mark.parametrize("syntax", LOSSLESS)
def test_compressed_series_are_read_exactly(scan, syntax):
    compress(scan / "ct", syntax)
    assert_same(crop_of(scan / "ct", scan / "seg.dcm"), EXPECTED)


def test_lossy_jpeg_is_read_nearly(tmp_path, scan, place):
    grey = np.clip(HU + 60, 0, 255)

    def magnetic(number, dataset):
        dataset.Modality, dataset.RescaleIntercept = "MR", 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.PixelData = grey[number].astype(np.uint8).tobytes()

    write_series(tmp_path / "mr", HU, place, change=magnetic)
    compress(tmp_path / "mr", "JPEGBaselineProcess1")
    crop = crop_of(tmp_path / "mr", scan / "rs.dcm", intensity="grey")
    assert np.abs(crop.pixels - grey[2]).mean() < 12
    np.testing.assert_array_equal(crop.outline, OUTLINE[2])


def test_decoder_that_ends_its_process_is_an_error(scan, monkeypatch):
    compress(scan / "ct", "JPEGLosslessProcess14_1")
    monkeypatch.setattr(dicom_files, "_APART", "import os; os.abort()")
    assert "cut off or unreadable" in error_of(scan / "ct", scan / "seg.dcm")


@pytest.mark.parametrize(
    ("syntax", "name"),
    [
        (DeflatedExplicitVRLittleEndian, "Deflated Explicit VR"),
        (HTJ2KLossless, "High-Throughput JPEG 2000"),
        (JPEGExtended12Bit, "JPEG Extended"),
    ],
)
def test_transfer_syntaxes_that_are_not_read_are_named(scan, syntax, name):
    for path in (scan / "ct").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = syntax
        if syntax.is_encapsulated:
            dataset.PixelData = pydicom.encaps.encapsulate([dataset.PixelData])
        dataset.save_as(path, enforce_file_format=True)
    message = error_of(scan / "ct", scan / "seg.dcm")
    assert name in message
    assert "decompress it" in message


@pytest.mark.parametrize("syntax", LOSSLESS[:-1])
def test_compressed_size_is_checked_before_it_is_unpacked(scan, syntax, monkeypatch):
    compress(scan / "ct", syntax)
    for path in (scan / "ct").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.Rows = 41
        dataset.save_as(path)
    if syntax != "RLELossless":
        monkeypatch.setattr(dicom_files, "pixel_array", lambda *arguments, **options: pytest.fail("unpacked"))
    assert "export" in error_of(scan / "ct", box=(10, 10, 20, 20, 2))


# What is refused


def change_one(scan, number=3, **elements):
    path = scan / "ct" / f"{number:03d}.dcm"
    dataset = pydicom.dcmread(path)
    for name, value in elements.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path)
    return path


def test_gap_is_named_with_its_width(scan):
    middle = next(p for p in (scan / "ct").iterdir() if pydicom.dcmread(p).ImagePositionPatient[2] == -110 + 3 * 2.5)
    middle.unlink()
    message = error_of(scan / "ct", scan / "rs.dcm")
    assert "has a gap: slices 2 and 3 (from 0) are 5 mm apart, the others 2.5 mm; add the missing slices" in message


def test_two_phases_in_one_series_are_refused(scan, place, tmp_path):
    series = pydicom.dcmread(scan / "ct" / "000.dcm").SeriesInstanceUID
    write_series(tmp_path / "late", HU, place, series=series)
    for path in (tmp_path / "late").iterdir():
        shutil.move(path, scan / "ct" / f"late{path.name}")
    assert "several slices at one position (phases, echoes or copies of a file)" in error_of(scan / "ct", scan / "rs.dcm")


@pytest.mark.parametrize(
    ("elements", "part"),
    [
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, "different orientations (a localiser among them?)"),
        ({"PixelSpacing": [0.7, 0.7]}, "different pixel sizes"),
        ({"ImagePositionPatient": None}, "without position"),
        ({"Rows": 20}, "different sizes"),
    ],
)
def test_slices_that_do_not_fit_together_are_refused(scan, elements, part):
    change_one(scan, **elements)
    assert part in error_of(scan / "ct", scan / "rs.dcm")


def test_shifted_slice_is_refused(scan):
    position = pydicom.dcmread(scan / "ct" / "003.dcm").ImagePositionPatient
    change_one(scan, ImagePositionPatient=[position[0] + 9, position[1], position[2]])
    assert "shifted against each other" in error_of(scan / "ct", scan / "rs.dcm")


@pytest.mark.parametrize(
    ("elements", "part"),
    [
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "holds colours (RGB)"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "holds colours (PALETTE COLOR)"),
        ({"BitsAllocated": 32}, "pixels of 32 bits"),
        ({"ModalityLUTSequence": [pydicom.Dataset()]}, "Modality LUT"),
    ],
)
def test_pixels_that_are_no_grey_values_are_refused_by_name(scan, elements, part):
    for number in range(len(HU)):
        change_one(scan, number, **elements)
    assert part in error_of(scan / "ct", scan / "rs.dcm")


def test_absurd_sizes_are_refused_before_memory_is_taken(scan, place, tmp_path):
    for number in range(len(HU)):
        change_one(scan, number, Rows=65535, Columns=65535)
    assert "more than the 800 MB that are read" in error_of(scan / "ct", scan / "rs.dcm")
    path = write_multiframe(tmp_path / "enhanced.dcm", HU, place)
    dataset = pydicom.dcmread(path)
    dataset.NumberOfFrames = 2_000_000_000
    dataset.save_as(path)
    assert "more than the 800 MB that are read" in error_of(path, scan / "rs.dcm")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9999])
def test_files_cut_off_are_refused(scan, share):
    def cut(path):
        whole = path.read_bytes()
        path.write_bytes(whole[: int(share * len(whole))])
        return whole

    for outline in (scan / "seg.dcm", scan / "rs.dcm"):
        whole = cut(outline)
        error_of(scan / "ct", outline)
        outline.write_bytes(whole)
    for path in (scan / "ct").iterdir():
        cut(path)
    # Of a file cut off in its header or before, nothing tells that it was an image.
    message = error_of(next((scan / "ct").iterdir()), box=(10, 10, 20, 20, 2))
    assert any(part in message for part in ("cut off or unreadable", "format that is not read", "is no DICOM image"))


def test_outline_of_another_scan_is_refused(scan, tmp_path, place):
    shifted = geometry(origin=(-20.3, 31.0, -110.0))
    datasets = write_series(tmp_path / "shifted", HU, shifted)
    seg = write_seg(tmp_path / "shifted.dcm", datasets, [OUTLINE])
    assert "is not on its image's grid" in error_of(scan / "ct", seg)
    datasets = write_series(tmp_path / "foreign", HU, place, reference="9.8.7")
    seg = write_seg(tmp_path / "foreign.dcm", datasets, [OUTLINE])
    assert "belongs to another scan" in error_of(scan / "ct", seg)
    assert "9.8.7" not in error_of(scan / "ct", seg)
    contours = write_rtstruct(tmp_path / "foreign_rs.dcm", {"a": OUTLINE}, place, reference="9.8.7")
    assert "belongs to another scan" in error_of(scan / "ct", contours)
    datasets = write_series(tmp_path / "coarse", HU[:, ::2, ::2], geometry(spacing=1.6))
    seg = write_seg(tmp_path / "coarse.dcm", datasets, [OUTLINE[:, ::2, ::2]])
    assert "pixels of another size" in error_of(scan / "ct", seg)
    datasets = write_series(tmp_path / "longer", HU, geometry(origin=(-20.0, 31.0, -120.0)))
    seg = write_seg(tmp_path / "longer.dcm", datasets, [OUTLINE])
    assert "reaches beyond its image" in error_of(scan / "ct", seg)


def test_contours_that_do_not_fit_are_refused(scan, place):
    write = lambda **options: write_rtstruct(scan / "odd.dcm", {"a": OUTLINE}, place, **options)  # noqa: E731
    assert "lie between the slices" in error_of(scan / "ct", write(lift=1.2))
    assert "beyond its image" in error_of(scan / "ct", write(lift=40))
    assert "open or single-point contours" in error_of(scan / "ct", write(kind="OPEN_PLANAR"))
    assert "no region with contours" in error_of(scan / "ct", write_rtstruct(scan / "none.dcm", {}, place))


def test_objects_in_the_wrong_column_are_told_apart(scan):
    assert "is no DICOM image (but perhaps an outline)" in error_of(scan / "seg.dcm", box=(1, 1, 9, 9, 0))
    mask = next((scan / "ct").iterdir())
    assert "or give a DICOM SEG or RTSTRUCT" in error_of(scan / "ct", mask)
    assert "is a folder; give one file" in error_of(scan / "ct", scan / "ct")


# The pieces


def test_only_the_slice_that_is_kept_is_decoded(scan, monkeypatch):
    decoded = []
    original = dicom_series.decode_frame
    monkeypatch.setattr(dicom_series, "decode_frame", lambda *arguments: decoded.append(1) or original(*arguments))
    crop_of(scan / "ct", scan / "seg.dcm")
    assert len(decoded) == 1


def test_grid_turns_voxels_and_positions_alike():
    for orientation in ORIENTATIONS:
        axes, spacing, positions = geometry(orientation)
        affine = np.eye(4)
        affine[:3, :3] = np.stack([axes[:3] * spacing, axes[3:] * spacing, positions[1] - positions[0]], axis=1)
        affine[:3, 3] = positions[0]
        grid = Grid(HU.shape, affine)
        places = np.moveaxis(np.indices(HU.shape), 0, -1)[..., ::-1] @ affine[:3, :3].T + affine[:3, 3]
        turned = grid.turned()
        again = np.moveaxis(np.indices(turned.shape), 0, -1)[..., ::-1] @ turned.affine[:3, :3].T + turned.affine[:3, 3]
        for axis in range(3):
            np.testing.assert_allclose(grid.turn(places[..., axis]), again[..., axis], atol=1e-9)
            assert turned.affine[axis, axis] > 0
        np.testing.assert_allclose(grid.to_index(places.reshape(-1, 3))[-1], np.array(HU.shape[::-1]) - 1)
        assert generate_uid() not in repr(grid)
