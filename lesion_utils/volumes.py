"""NIfTI and NRRD files, read through ITK: whole, finite and of a size that was checked before memory was taken."""

import gzip
import math
import re
import threading
import zlib
from contextlib import contextmanager

import numpy as np
import SimpleITK as sitk

from .errors import DataError
from .grids import Grid, check_size

#: File endings that are read, with ITK's reader for each.
FORMATS = {".nii": "NiftiImageIO", ".nii.gz": "NiftiImageIO", ".nrrd": "NrrdImageIO", ".nhdr": "NrrdImageIO"}
#: ITK's readers share state: two threads in them at once have ended the process. Unpacking and checking need no lock.
_ITK = threading.Lock()
#: Bytes of a compressed file that are unpacked at a time.
_PIECE = 1 << 22
#: Bytes of an NRRD header, and of one of its fields. ITK quotes a wrong field in a message that has room for less than 1,000.
_HEADER, _FIELD = 1 << 20, 500


def is_volume(path):
    """Return whether the file's name ends as those that are read here."""
    return path.name.lower().endswith(tuple(FORMATS))


@contextmanager
def without_itk_warnings():
    """Keep ITK's own warnings from the terminal: what matters is raised."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def read_volume(name, path):
    """Read a volume as stored.

    Parameters
    ----------
    name : str
        Starts the error messages: ``image`` or ``mask``.
    path : Path
        A file with one of the endings of :data:`FORMATS`.

    Returns
    -------
    grid : Grid
    volume : SimpleITK.Image
        3-D. A view of its voxels, (slices, rows, columns), is valid as long as it lives.

    Raises
    ------
    DataError
        If the file is cut off or unreadable, too large, holds NaN, or not one number a voxel in 3-D.
    """
    suffix = next(suffix for suffix in FORMATS if path.name.lower().endswith(suffix))
    reader = sitk.ImageFileReader()
    reader.SetImageIO(FORMATS[suffix])
    reader.SetNumberOfThreads(1)
    reader.SetFileName(str(path))
    try:
        if FORMATS[suffix] == "NrrdImageIO":
            _check_nrrd(path)
        with _ITK:
            reader.ReadImageInformation()
            bytes_each = sitk.Image([1, 1], reader.GetPixelID()).GetSizeOfPixelComponent() * reader.GetNumberOfComponents()
        check_size(name, path, reader.GetSize(), bytes_each)
        if FORMATS[suffix] == "NiftiImageIO":
            _check_nifti(name, path, reader)
        with _ITK:
            volume = reader.Execute()
    except DataError:
        raise
    except (RuntimeError, EOFError, OSError, ValueError, zlib.error) as error:
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
    voxels = sitk.GetArrayViewFromImage(volume)
    if voxels.dtype.kind not in "iuf":
        raise DataError(f"{name} {path} holds {volume.GetPixelIDTypeAsString()}; export whole or decimal numbers")
    _check_finite(name, path, voxels)
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(volume.GetDirection(), (3, 3)) * volume.GetSpacing()
    affine[:3, 3] = volume.GetOrigin()
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine)) < 1e-12:
        raise DataError(f"{name} {path} has no usable position, spacing and direction in its header; export it again")
    return Grid(voxels.shape, affine), volume


def _check_nrrd(path):
    """Raise an error if an NRRD header has a field so long that ITK, when it complains of it, would write beyond its memory."""
    with path.open("rb") as file:
        header = file.read(_HEADER)
    for line in header.split(b"\n"):
        if not line.strip(b"\r"):
            return
        # Comments, a user's own pairs (key:=value) and the description may be of any length.
        free = line.startswith((b"#", b"content:")) or b":=" in line.partition(b": ")[0]
        if len(line) > _FIELD and not free:
            raise ValueError(f"a line of its header has {len(line):,} bytes")
    if len(header) == _HEADER:
        raise ValueError(f"its header does not end within {_HEADER:,} bytes")


def _check_nifti(name, path, reader):
    """Raise an error if a NIfTI file is cut off or holds NaN: ITK would read zeros in their place, without a word."""
    offset = int(float(reader.GetMetaData("vox_offset")))
    size = math.prod(reader.GetSize()) * int(reader.GetMetaData("bitpix")) // 8
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    if offset > _PIECE:
        raise EOFError(f"its voxels would begin at byte {offset:,}")
    there = 0
    with (gzip.open if compressed else open)(path, "rb") as file:
        header = file.read(offset)
        # 16 and 64 are NIfTI's codes of decimal numbers; the first number of the header tells the order of bytes.
        number = {"16": "f4", "64": "f8"}.get(reader.GetMetaData("datatype"))
        order = "<" if int.from_bytes(header[:4], "little") in (348, 540) else ">"
        while there < size and (piece := file.read(min(_PIECE, size - there))):
            there += len(piece)
            if number and len(piece) % int(number[1]) == 0:
                _check_finite(name, path, np.frombuffer(piece, order + number))
        # To the end, where gzip keeps its checksum; a file that goes on and on is none of ours.
        rest = 0
        while rest <= size + _PIECE and (piece := file.read(_PIECE)):
            rest += len(piece)
    if there < size:
        raise EOFError(f"it holds {len(header) + there:,} of {offset + size:,} bytes")


def _check_finite(name, path, values):
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise DataError(f"{name} {path} has NaN or infinite values; replace them, by -1024 where there is no CT")
