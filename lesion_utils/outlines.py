"""The outline of a lesion on its image's grid: a mask in a volume or picture, a DICOM SEG, an RTSTRUCT, or a box."""

import os

import numpy as np
import SimpleITK as sitk
from skimage.draw import ellipse

from .dicom_outlines import outline_kind, read_contours, read_segment
from .errors import DataError
from .grids import check_size
from .pictures import is_picture, read_picture
from .volumes import FORMATS, is_volume, read_volume


def read_outline(source, grid):
    """Return a lesion's outline on the grid of its image.

    Parameters
    ----------
    source : crops.Source
    grid : Grid
        Of the image, as stored.

    Returns
    -------
    outlines : (slices, rows, columns) bool
        In stored order.
    format : str
        In words.

    Raises
    ------
    DataError
        If the mask is missing, of a format that is not read, empty, without the segment, or does not lie on the grid.
    """
    path = source.mask
    check_size("image", source.image, grid.shape, 1)
    if path is None:
        return _draw_box(source, grid), "box"
    if os.path.isdir(path):
        raise DataError(f"mask {path} is a folder; give one file")
    if not os.path.isfile(path):
        raise DataError(f"mask {path} is missing; correct its path or delete the row")
    if is_volume(path):
        return _read_volume_mask(source, grid), "mask"
    if is_picture(path):
        return _read_picture_mask(source, grid), "mask"
    kind = outline_kind(path)
    if kind is None:
        raise DataError(
            f"mask {path} has a format that is not read; convert it to one of {', '.join(FORMATS)}, .png, "
            "or give a DICOM SEG or RTSTRUCT"
        )
    if not grid.measured:
        raise DataError(f"mask {path} is placed in mm, but image {source.image} does not say where it lies; give a box or a mask")
    if kind == "SEG":
        return read_segment(path, source.segment, grid), "DICOM SEG"
    return read_contours(path, source.segment, grid), "RTSTRUCT"


def _read_volume_mask(source, grid):
    mask, volume = read_volume("mask", source.mask)
    image, mask_turned = grid.turned(), mask.turned()
    remedy = "resample the mask to the image"
    if mask_turned.shape != image.shape:
        sizes = [" x ".join(map(str, own.shape[::-1])) for own in (mask_turned, image)]
        raise DataError(f"mask {source.mask} has {sizes[0]} voxels, its image {sizes[1]}; {remedy}")
    pixel = min(image.spacing)
    for name, tolerance in (("spacing", 0.001 * pixel), ("origin", 0.1 * pixel), ("direction", 0.001)):
        numbers = [_geometry(own)[name] for own in (mask_turned, image)]
        if not np.allclose(*numbers, rtol=0, atol=tolerance):
            own, other = (", ".join(f"{value:.5g}" for value in part + 0.0) for part in numbers)
            raise DataError(f"mask {source.mask} is not on its image's grid: {name} ({own}), not ({other}); {remedy}")
    # From the mask's order to the image's: both turn into the same.
    return _unturn(_choose(source, mask.turn(sitk.GetArrayViewFromImage(volume))), grid)


def _geometry(grid):
    direction = grid.affine[:3, :3] / grid.spacing
    return {"spacing": grid.spacing, "origin": grid.affine[:3, 3], "direction": direction.ravel()}


def _unturn(turned, grid):
    """Return voxels in LPS order as the grid stores them."""
    outlines = np.empty(grid.shape, bool)
    grid.turn(outlines)[...] = turned
    return outlines


def _read_picture_mask(source, grid):
    if source.mask.suffix.lower() != ".png":
        raise DataError(f"mask {source.mask} is a JPEG, which blurs outlines; save masks as PNG")
    values = read_picture("mask", source.mask)
    if (1, *values.shape) != grid.shape:
        sizes = [" x ".join(map(str, shape)) for shape in (values.shape[::-1], grid.shape[::-1])]
        raise DataError(f"mask {source.mask} has {sizes[0]} pixels, its image {sizes[1]}; give masks of the same size")
    return _choose(source, values[None])


def _choose(source, values):
    """Return where a mask's values are those of the lesion."""
    segment = None
    if source.segment is not None:
        try:
            segment = float(source.segment.replace(",", "."))
        except ValueError:
            raise DataError(f"segment is '{source.segment}', not a number; correct it or leave it empty") from None
    outlines = values > 0 if segment is None else values == segment
    if not outlines.any():
        if segment is None:
            raise DataError(f"mask {source.mask} is all zero; outline the lesion or delete the row")
        there = ", ".join(f"{value:g}" for value in np.unique(values)[:10])
        raise DataError(f"mask {source.mask} has no segment {segment:g}, only {there}; correct segment")
    return outlines


def _draw_box(source, grid):
    """Return the ellipse inscribed in the box."""
    x1, y1, x2, y2, number = source.box
    slices, rows, columns = grid.shape
    if not (0 <= x1 <= x2 <= columns - 1 and 0 <= y1 <= y2 <= rows - 1 and number in range(slices)):
        raise DataError(
            f"box x {x1:g} to {x2:g}, y {y1:g} to {y2:g}, slice {number:g} is not inside image {source.image} with "
            f"{columns} columns, {rows} rows, {slices} slices; correct it (from 0, x1 <= x2, y1 <= y2, a whole slice)"
        )
    outlines = np.zeros(grid.shape, bool)
    inside = ellipse((y1 + y2) / 2, (x1 + x2) / 2, (y2 - y1 + 1) / 2, (x2 - x1 + 1) / 2, shape=(rows, columns))
    outlines[int(number)][inside] = True
    return outlines
