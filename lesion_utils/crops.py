"""From an image and an outline, of whatever format, to the one axial slice with the largest outline, cropped around it."""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from .dicom_files import is_dicom
from .dicom_series import read_series
from .errors import DataError
from .grids import AIR_HU, Volume
from .outlines import read_outline
from .pictures import has_pictures, in_picture, is_picture, picture_volume
from .volumes import FORMATS, is_volume, read_volume, without_itk_warnings

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
        NIfTI, NRRD, a DICOM file or folder, PNG, JPEG, or a folder of PNG slices.
    mask : Path or None
        A volume on the image's grid, a DICOM SEG, an RTSTRUCT or a PNG; None if there is a box.
    box : tuple or None
        ``x1, y1, x2, y2, slice``: first and last pixel and the slice, counted from 0 as the file stores them.
    segment : str or None
        The mask's value, segment number or region name to use; None is every value above 0, or the only one.
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
    segment: str | None = None
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
        Pixel size in mm; 1 where nobody gives it.
    measured : bool
        Whether the pixel size is known.
    lowest, highest : float
        Range of the whole slice before clipping.
    image_format, outline_format : str
        In words.
    """

    pixels: np.ndarray = field(repr=False)
    outline: np.ndarray = field(repr=False)
    spacing: float
    measured: bool
    lowest: float
    highest: float
    image_format: str
    outline_format: str


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
        # Of a folder of pictures, each is an image of its own.
        groups.setdefault((source.image, source.box[4] if source.box and os.path.isdir(source.image) else None), []).append(index)
    crops = [None] * len(sources)
    # zlib and NumPy let go of Python's lock while they work; every thread holds one image and one mask, so there are few.
    with without_itk_warnings(), ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        results = pool.map(lambda group: _read_image([sources[index] for index in group]), groups.values())
        watched = progress(results, total=len(groups)) if progress else results
        for group, result in zip(groups.values(), watched, strict=True):
            for index, crop in zip(group, result, strict=True):
                crops[index] = crop
    return crops


def _read_image(sources):
    """Return a Crop or a DataError for each of several lesions of one image."""
    try:
        volume = open_image(sources[0])
    except (DataError, OSError) as error:
        return [_as_data_error(sources[0].image, error)] * len(sources)
    crops = []
    for source in sources:
        try:
            outlines, outline_format = read_outline(in_picture(source), volume.grid)
            crops.append(_cut_slice(source, volume, outlines, outline_format))
        except (DataError, OSError) as error:
            crops.append(_as_data_error(source.mask or source.image, error))
    return crops


def _as_data_error(path, error):
    if isinstance(error, DataError):
        return error
    return DataError(f"{path} cannot be read ({error.strerror or type(error).__name__}); check its permissions")


def open_image(source):
    """Return the image of a source.

    Parameters
    ----------
    source : Source

    Returns
    -------
    Volume

    Raises
    ------
    DataError
        If it is missing, of a format that is not read, or unusable.
    """
    path = source.image
    if not os.path.exists(path):
        raise DataError(f"image {path} is missing; correct its path or delete the row")
    if path.is_dir():
        return picture_volume(path, source.box) if has_pictures(path) else read_series("image", path, source.intensity)
    if is_picture(path):
        return picture_volume(path, source.box)
    if is_volume(path):
        grid, volume = read_volume("image", path)
        return Volume(grid, lambda number: sitk.GetArrayViewFromImage(volume)[number], "NIfTI or NRRD")
    if is_dicom(path):
        return read_series("image", path, source.intensity)
    raise DataError(
        f"image {path} has a format that is not read; convert it to one of {', '.join(FORMATS)}, or give DICOM, PNG or JPG"
    )


def _cut_slice(source, volume, outlines, outline_format):
    """Return the Crop around the largest outline."""
    turned, outlines = volume.grid.turned(), volume.grid.turn(outlines)
    spacing = turned.spacing[:2]
    if source.spacing is None and max(spacing) > 1.01 * min(spacing):
        raise DataError(
            f"image {source.image} has axial pixels of {spacing[0]:.4g} x {spacing[1]:.4g} mm, not square; resample "
            "image and mask, or give spacing_mm if the file's spacing is wrong"
        )
    measured = source.spacing is not None or turned.measured
    if not measured and source.intensity == "hu":
        raise DataError(f"image {source.image} does not tell the size of its pixels; fill in spacing_mm")
    number = int(np.count_nonzero(outlines, axis=(1, 2)).argmax())
    outline = _largest_part(source, outlines[number])
    values = volume.axial(number) + source.offset
    window = _crop_window(outline)
    lowest, highest = float(values.min()), float(values.max())
    _check_values(source, lowest, highest, values[window], float(np.median(values[outline])))
    floor = AIR_HU if source.intensity == "hu" else -np.inf
    return Crop(
        pixels=np.rint(np.maximum(values[window], floor)).astype(np.int16),
        outline=outline[window].copy(),
        spacing=source.spacing or float(np.mean(spacing)),
        measured=measured,
        lowest=lowest,
        highest=highest,
        image_format=volume.format,
        outline_format=outline_format,
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


def _number(value):
    """Return a value as text: whole from 100 on, else to four figures."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.4g}"


def _check_values(source, lowest, highest, crop, middle):
    """Raise DataError if the slice cannot be what ``intensity`` says; ``middle`` is the median inside the lesion."""
    grey = source.intensity == "grey"
    start = f"image {source.image} has values {_number(lowest)} to {_number(highest)} in the lesion's slice"
    if np.ptp(crop) == 0:
        raise DataError(f"image {source.image} is constant ({crop.flat[0]:.4g}) around the lesion; export it again")
    if lowest < -32768 or highest > 32767:
        remedy = "scale them down" if grey else "export HU, or correct hu_offset (-32768 where a PNG holds HU + 32768)"
        raise DataError(f"{start}, beyond -32768 to 32767; {remedy}")
    if highest - lowest < 16:
        remedy = "multiply them by 255" if grey else "export HU, or multiply by 255 and set intensity to grey"
        raise DataError(f"{start}: scaled, so that whole numbers cannot tell them apart; {remedy}")
    if not grey and (lowest, highest) == (0, 255):
        raise DataError(f"{start}: the grey levels of a picture, not HU; export HU, or set intensity to grey in the whole table")
    if not grey and ((lowest >= 0 and middle > 500) or not -1000 <= middle <= 3000):
        raise DataError(
            f"{start}, {_number(middle)} in the middle of the lesion: not HU; set hu_offset (often -1024; leave it empty "
            "for values that are HU already), or set intensity to grey"
        )
