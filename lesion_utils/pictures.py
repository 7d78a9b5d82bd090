"""PNG and JPEG pictures: 16-bit CT slices with an offset, and 8-bit pictures of other modalities."""

import os
import re
import warnings
from dataclasses import replace

import numpy as np
from PIL import Image

from .dicom_files import is_dicom
from .errors import DataError
from .grids import Grid, Volume

#: Endings that are read.
SUFFIXES = (".png", ".jpg", ".jpeg")
#: Largest picture that is unpacked, in pixels; a header can claim anything.
MAXIMUM_PIXELS = 100_000_000
#: Grey pictures saved in colour have channels this close together: JPEG rounds them.
GREY_DIFFERENCE = 12


def is_picture(path):
    """Return whether the file's name ends as those that are read here."""
    return path.suffix.lower() in SUFFIXES


def has_pictures(path):
    """Return whether a path is a folder of pictures; beside DICOM files they are only previews."""
    if not os.path.isdir(path):
        return False
    files = [file for file in path.iterdir() if file.is_file()]
    return any(map(is_picture, files)) and not any(is_dicom(file) for file in files if not is_picture(file))


def read_picture(name, path):
    """Read a picture as one slice.

    Parameters
    ----------
    name : str
        Starts the error messages.
    path : Path
        A PNG file of 1, 8 or 16 bits, or a JPEG file. Grey levels that were saved in colour are read as grey.

    Returns
    -------
    (rows, columns) array of whole numbers

    Raises
    ------
    DataError
        If the file is cut off or unreadable, too large, or in colour.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=["PNG", "JPEG"]) as picture:
                if picture.width * picture.height > MAXIMUM_PIXELS:
                    raise DataError(
                        f"{name} {path} says it has {picture.width} x {picture.height} pixels, more than the "
                        f"{MAXIMUM_PIXELS:,} that are read; crop it around the lesion"
                    )
                mode = picture.mode
                if mode in ("P", "1", "LA", "PA", "RGBA", "RGB", "CMYK", "YCbCr"):
                    picture = picture.convert("L" if mode == "1" else "RGB")
                values = np.array(picture)
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds
        reason = type(error).__name__
        raise DataError(f"{name} {path} is cut off or unreadable as PNG or JPEG ({reason}); export or copy it again") from None
    if values.ndim == 3:
        if (np.ptp(values, axis=2) > GREY_DIFFERENCE).mean() > 0.001:
            raise DataError(f"{name} {path} is in colour; convert it to grey levels if colour does not matter for the classes")
        values = np.rint(values.mean(axis=2)).astype(np.uint8)
    if values.ndim != 2 or values.dtype.kind not in "iu":
        raise DataError(f"{name} {path} is a picture of kind {mode}, which is not read; save it with 8 or 16 bits of grey")
    return values


def picture_volume(path, box):
    """Return a picture, or one of a folder's, as a volume of one slice.

    Parameters
    ----------
    path : Path
        A file; or a folder of PNG slices whose names end in their numbers, of which ``slice`` names one.
    box : tuple or None
        ``x1, y1, x2, y2, slice``.

    Returns
    -------
    Volume
        Its pixels have no size in mm: the table has to give it.
    """
    name = "image"
    if path.is_dir():
        path = _numbered(path, box)
    values = read_picture(name, path)
    grid = Grid((1, *values.shape), np.eye(4), measured=False)
    return Volume(grid, lambda number: values, f"{path.suffix[1:].upper().replace('JPEG', 'JPG')}, {8 * values.itemsize} bit")


def _numbered(folder, box):
    """Return the picture of a folder whose name ends in the number of the box's slice."""
    if box is None:
        raise DataError(f"image {folder} is a folder of pictures; give one file, or a box with the number of its slice")
    found = [path for path in sorted(folder.iterdir()) if is_picture(path) and picture_number(path) == box[4]]
    if len(found) != 1:
        raise DataError(
            f"image {folder} has {len(found) or 'no'} pictures whose name ends in the number {box[4]:g}; correct slice or image"
        )
    return found[0]


def picture_number(path):
    digits = re.search(r"(\d+)$", path.stem)
    return int(digits[1]) if digits else None


def in_picture(source):
    """Return a source with its box in slice 0 if its image is a picture, which is one slice whatever its number.

    Parameters
    ----------
    source : crops.Source

    Raises
    ------
    DataError
        If the slice is neither 0 nor the number in the picture's name.
    """
    path = source.image
    if source.box is None or not (is_picture(path) or has_pictures(path)):
        return source
    if os.path.isfile(path) and source.box[4] not in (0, picture_number(path)):
        raise DataError(f"image {path} is one slice, not number {source.box[4]:g}; set slice to 0")
    return replace(source, box=(*source.box[:4], 0))
