"""From a CT volume and an outline to one axial slice: NIfTI and NRRD files, their orientation, grid and values.

A file that is cut off, does not fit its outline or does not hold Hounsfield units is refused here, with a remedy.
"""

import gzip
import math
import os
import re
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from skimage.draw import ellipse

from .errors import DataError

#: File endings that are read, with ITK's reader for each.
FORMATS = {".nii": "NiftiImageIO", ".nii.gz": "NiftiImageIO", ".nrrd": "NrrdImageIO", ".nhdr": "NrrdImageIO"}
#: ITK's readers share state: two threads in them at once have ended the process. Unpacking and checking need no lock.
_ITK = threading.Lock()
#: Lowest value kept: scanners pad the corners of a slice with values below air.
AIR_HU = -1024
#: Side of the crop kept around a lesion: 2.7 diameters and 32 px hold the widest turned and moved ROI, 1.8 d x sqrt 2.
CROP_DIAMETERS, CROP_BORDER, CROP_MINIMUM = 2.7, 32, 128
#: An outline must be at least this many pixels wide and high; its largest part must hold this share of its area.
OUTLINE_PIXELS, OUTLINE_SHARE = 3, 2 / 3


@dataclass(frozen=True)
class Source:
    """Where one lesion is found.

    Attributes
    ----------
    image : Path
    mask : Path or None
        A volume on the image's grid; None if there is a box.
    box : tuple or None
        ``x1, y1, x2, y2, slice``: first and last pixel and the slice, counted from 0 as the file stores them.
    segment : float or None
        The mask's value to use; None is every value above 0.
    spacing : float or None
        Pixel size in mm that overrides the file's.
    offset : float
        Added to the values.
    intensity : str
        ``hu`` or ``grey``.
    """

    image: Path
    mask: Path | None = None
    box: tuple | None = None
    segment: float | None = None
    spacing: float | None = None
    offset: float = 0.0
    intensity: str = "hu"


@dataclass(frozen=True)
class Crop:
    """The tissue around one lesion in the axial slice with its largest outline.

    Attributes
    ----------
    pixels : (h, w) int16
        HU from -1024, or grey levels.
    outline : (h, w) bool
    spacing : float
        Pixel size in mm.
    lowest, highest : float
        Range of the whole slice before clipping.
    """

    pixels: np.ndarray = field(repr=False)
    outline: np.ndarray = field(repr=False)
    spacing: float
    lowest: float
    highest: float


def read_crops(sources, progress=None):
    """Read the crop of every source; each image is opened once, and no whole volume is kept.

    Parameters
    ----------
    sources : list of Source
    progress : callable, optional
        Wraps an iterable and takes ``total``, as ``tqdm.auto.tqdm`` does; it counts images.

    Returns
    -------
    list of Crop or DataError
        In the order of ``sources``; an error, not raised, where a lesion cannot be read.
    """
    groups = {}
    for index, source in enumerate(sources):
        groups.setdefault(source.image, []).append(index)
    crops = [None] * len(sources)
    # zlib and NumPy let go of Python's lock while they work; every thread holds one image and one mask, so there are few.
    with _without_itk_warnings(), ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        results = pool.map(lambda group: _read_image([sources[index] for index in group]), groups.values())
        watched = progress(results, total=len(groups)) if progress else results
        for group, result in zip(groups.values(), watched, strict=True):
            for index, crop in zip(group, result, strict=True):
                crops[index] = crop
    return crops


@contextmanager
def _without_itk_warnings():
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def _read_image(sources):
    """Return a Crop or a DataError for each of several lesions of one image."""
    try:
        stored = read_volume("image", sources[0].image)
    except DataError as error:
        return [error] * len(sources)
    image, crops = _oriented(stored), []
    for source in sources:
        try:
            outlines = _read_mask(source, image) if source.mask else _draw_box(source, stored)
            crops.append(_cut_slice(source, image, outlines))
        except DataError as error:
            crops.append(error)
    return crops


def read_volume(name, path):
    """Return the 3-D volume at ``path`` as a SimpleITK image, oriented as stored; ``name`` starts the error messages.

    Raises
    ------
    DataError
        If the file is missing, of another format, cut off or unreadable, holds NaN, or not one number a voxel in 3-D.
    """
    if os.path.isdir(path):
        raise DataError(f"{name} {path} is a folder, and DICOM series are not read; convert it to one .nii.gz or .nrrd")
    if not os.path.isfile(path):
        raise DataError(f"{name} {path} is missing; correct its path or delete the row")
    suffix = next((suffix for suffix in FORMATS if path.name.lower().endswith(suffix)), None)
    if suffix is None:
        raise DataError(f"{name} {path} has a format that is not read; convert it to one of {', '.join(FORMATS)}")
    reader = sitk.ImageFileReader()
    reader.SetImageIO(FORMATS[suffix])
    reader.SetNumberOfThreads(1)
    reader.SetFileName(str(path))
    try:
        with _ITK:
            reader.ReadImageInformation()
        if FORMATS[suffix] == "NiftiImageIO":
            _check_nifti(name, path, reader)
        with _ITK:
            volume = reader.Execute()
    except (RuntimeError, EOFError, OSError, zlib.error) as error:
        reason = next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
        reason = re.sub(r"^(\[nrrd\]|.*\(0x\w+\):)", "", reason).strip()
        raise DataError(f"{name} {path} is cut off or unreadable ({reason}); export or copy it again") from error
    if volume.GetDimension() == 2:
        with _ITK:
            volume = sitk.JoinSeries(volume)
    numbers = volume.GetNumberOfComponentsPerPixel()
    if volume.GetDimension() != 3 or numbers != 1:
        raise DataError(
            f"{name} {path} has {volume.GetDimension()} dimensions and {numbers} number(s) a voxel; "
            "export one 3-D volume with one number a voxel"
        )
    values = sitk.GetArrayViewFromImage(volume)
    if values.dtype.kind not in "iuf":
        raise DataError(f"{name} {path} holds {volume.GetPixelIDTypeAsString()}; export whole or decimal numbers")
    _check_finite(name, path, values)
    return volume


def _check_nifti(name, path, reader):
    """Raise an error if a NIfTI file is cut off or holds NaN: ITK would read zeros in their place, without a word."""
    offset = int(float(reader.GetMetaData("vox_offset")))
    size = math.prod(reader.GetSize()) * int(reader.GetMetaData("bitpix")) // 8
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    with (gzip.open if compressed else open)(path, "rb") as file:
        header, data = file.read(offset), file.read(size)
        while file.read(1 << 20):
            pass  # to the end, where gzip keeps its checksum
    if len(data) < size:
        raise EOFError(f"it holds {len(header) + len(data):,} of {offset + size:,} bytes")
    # 16 and 64 are NIfTI's codes of decimal numbers; the first number of the header tells the order of bytes.
    number = {"16": "f4", "64": "f8"}.get(reader.GetMetaData("datatype"))
    order = "<" if int.from_bytes(header[:4], "little") in (348, 540) else ">"
    if number:
        _check_finite(name, path, np.frombuffer(data, order + number))


def _check_finite(name, path, values):
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(f"{name} {path} has NaN or infinite values; replace them, by -1024 where there is no CT")


def _oriented(volume):
    """Return the volume with slices from feet to head, rows from front to back and columns from right to left (LPS)."""
    code = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(volume.GetDirection())
    if code == "LPS":
        return volume
    with _ITK:
        return sitk.DICOMOrient(volume, "LPS")


def _read_mask(source, image):
    """Return the outline as (slices, rows, columns) bool on the grid of the oriented ``image``."""
    mask = _oriented(read_volume("mask", source.mask))
    remedy = "resample the mask to the image"
    if mask.GetSize() != image.GetSize():
        sizes = [" x ".join(map(str, volume.GetSize())) for volume in (mask, image)]
        raise DataError(f"mask {source.mask} has {sizes[0]} voxels, its image {sizes[1]}; {remedy}")
    pixel = min(image.GetSpacing())
    for name, tolerance in (("Spacing", 0.001 * pixel), ("Origin", 0.1 * pixel), ("Direction", 0.001)):
        values = [getattr(volume, f"Get{name}")() for volume in (mask, image)]
        if not np.allclose(*values, rtol=0, atol=tolerance):
            own, other = (", ".join(f"{value:.5g}" for value in numbers) for numbers in values)
            raise DataError(f"mask {source.mask} is not on its image's grid: {name.lower()} ({own}), not ({other}); {remedy}")
    values = sitk.GetArrayViewFromImage(mask)
    outlines = values > 0 if source.segment is None else values == source.segment
    if not outlines.any():
        if source.segment is None:
            raise DataError(f"mask {source.mask} is all zero; outline the lesion or delete the row")
        there = ", ".join(f"{value:g}" for value in np.unique(values)[:10])
        raise DataError(f"mask {source.mask} has no segment {source.segment:g}, only {there}; correct segment")
    return outlines


def _draw_box(source, stored):
    """Return the ellipse inscribed in the box as (slices, rows, columns) bool on the grid of the oriented image."""
    x1, y1, x2, y2, number = source.box
    columns, rows, slices = stored.GetSize()
    if not (0 <= x1 <= x2 <= columns - 1 and 0 <= y1 <= y2 <= rows - 1 and number in range(slices)):
        raise DataError(
            f"box x {x1:g} to {x2:g}, y {y1:g} to {y2:g}, slice {number:g} is not inside image {source.image} with "
            f"{columns} columns, {rows} rows, {slices} slices; correct it (from 0, x1 <= x2, y1 <= y2, a whole slice)"
        )
    filled = np.zeros((slices, rows, columns), np.uint8)
    inside = ellipse((y1 + y2) / 2, (x1 + x2) / 2, (y2 - y1 + 1) / 2, (x2 - x1 + 1) / 2, shape=(rows, columns))
    filled[int(number)][inside] = 1
    outlines = sitk.GetImageFromArray(filled)
    outlines.CopyInformation(stored)
    return sitk.GetArrayFromImage(_oriented(outlines)) > 0


def _cut_slice(source, image, outlines):
    """Return the Crop around the largest outline."""
    spacing = image.GetSpacing()[:2]
    if source.spacing is None and max(spacing) > 1.01 * min(spacing):
        raise DataError(
            f"image {source.image} has axial pixels of {spacing[0]:.4g} x {spacing[1]:.4g} mm, not square; resample "
            "image and mask, or give spacing_mm if the file's spacing is wrong"
        )
    number = int(np.count_nonzero(outlines, axis=(1, 2)).argmax())
    outline = _largest_part(source, outlines[number])
    values = sitk.GetArrayViewFromImage(image)[number] + source.offset
    window = _crop_window(outline)
    lowest, highest = float(values.min()), float(values.max())
    _check_values(source, lowest, highest, values[window], float(np.median(values[outline])))
    floor = AIR_HU if source.intensity == "hu" else -np.inf
    return Crop(
        pixels=np.rint(np.maximum(values[window], floor)).astype(np.int16),
        outline=outline[window].copy(),
        spacing=source.spacing or float(np.mean(spacing)),
        lowest=lowest,
        highest=highest,
    )


def _largest_part(source, outline):
    """Return the outline without the specks beside its largest connected part."""
    name = f"mask {source.mask}" if source.mask else f"box in image {source.image}"
    parts, count = ndimage.label(outline, np.ones((3, 3)))
    sizes = np.bincount(parts.ravel())[1:]
    if sizes.max() < OUTLINE_SHARE * sizes.sum():
        raise DataError(f"{name} shows {count} separate parts in one slice; give each lesion its own segment")
    part = parts == sizes.argmax() + 1
    width, height = (int(part.any(axis=axis).sum()) for axis in (0, 1))
    if min(width, height) < OUTLINE_PIXELS:
        raise DataError(
            f"{name} is {width} x {height} pixels in the axial slice, below {OUTLINE_PIXELS} x {OUTLINE_PIXELS}; "
            "correct it or delete the row"
        )
    if part.all():
        raise DataError(f"{name} covers the whole slice; outline the lesion alone, with tissue around it")
    return part


def _crop_window(outline):
    """Return two slices: the square of tissue kept around the lesion, as far as the image goes."""
    spans = [np.flatnonzero(outline.any(axis=axis)) for axis in (1, 0)]
    diameter = max(np.ptp(span) + 1 for span in spans)
    half = math.ceil(max(CROP_MINIMUM, CROP_DIAMETERS * diameter + CROP_BORDER) / 2)
    middles = [(span[0] + span[-1] + 1) // 2 for span in spans]
    return tuple(slice(max(0, middle - half), middle + half) for middle in middles)


def _check_values(source, lowest, highest, crop, middle):
    """Raise DataError if the slice cannot be what ``intensity`` says; ``middle`` is the median inside the lesion."""
    grey = source.intensity == "grey"
    start = f"image {source.image} has values {lowest:.4g} to {highest:.4g} in the lesion's slice"
    if np.ptp(crop) == 0:
        raise DataError(f"image {source.image} is constant ({crop.flat[0]:.4g}) around the lesion; export it again")
    if lowest < -32768 or highest > 32767:
        raise DataError(f"{start}, beyond -32768 to 32767; export HU, correct hu_offset, or scale grey values down")
    if highest - lowest < 16:
        remedy = "multiply them by 255" if grey else "export HU, or multiply by 255 and set intensity to grey"
        raise DataError(f"{start}: scaled, so that whole numbers cannot tell them apart; {remedy}")
    if not grey and ((lowest >= 0 and middle > 500) or not -1000 <= middle <= 3000):
        raise DataError(
            f"{start}, {middle:.4g} in the middle of the lesion: not HU; set hu_offset (often -1024; leave it empty "
            "for values that are HU already), or set intensity to grey"
        )
