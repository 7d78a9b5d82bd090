"""A DICOM series as a volume: its slices put in order by where they lie in the patient, its values rescaled.

Names of files and numbers of instances have no say: only ImagePositionPatient and ImageOrientationPatient.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .dicom_files import decode_frame, first, is_dicom, read_header, reading
from .errors import DataError
from .grids import AIR_HU, Grid, Volume, check_size

#: Objects that lie in a folder beside images and are none.
NO_IMAGES = ("SEG", "RTSTRUCT", "RTPLAN", "RTDOSE", "SR", "PR", "KO", "REG", "DOC")
#: Slices may be this share of their distance off the line that they should lie on: headers round.
TOLERANCE = 0.1
#: HU between which a padding value is left as it is: a hole of air in tissue would do more harm.
TISSUE_HU = (-1000, 3071)
#: Most files of a folder that are looked at.
MAXIMUM_FILES = 20_000


@dataclass(frozen=True)
class _Frame:
    """Where one slice is stored, where it lies, and how its values are rescaled."""

    path: Path
    header: object = field(repr=False)
    index: int
    position: np.ndarray | None
    orientation: np.ndarray | None
    spacing: np.ndarray | None
    thickness: float
    slope: float
    intercept: float


def read_series(name, path, intensity):
    """Read the geometry of a DICOM series; pixels are read slice by slice when they are asked for.

    Parameters
    ----------
    name : str
        Starts the error messages.
    path : Path
        A folder with one series, one file of a series among others, or a multi-frame file.
    intensity : str
        ``hu`` or ``grey``. Inverted grey levels (MONOCHROME1) are turned so that bright is high; HU need no turning.

    Returns
    -------
    Volume
        In HU or grey levels, float32.

    Raises
    ------
    DataError
        If there are several series or phases, gaps, localisers, colours, another modality than CT for HU, or a coding that is
        not read.
    """
    with reading(name, path):
        files = _series_files(name, path)
        _check_modality(name, path, files[0][1].get("Modality"), intensity)
        frames = [frame for file, own in files for frame in _frames(name, file, own)]
        grid, frames = _grid(name, path, frames)

    def read(number):
        frame = frames[number]
        stored = decode_frame(name, frame.path, frame.header, frame.index)
        with reading(name, frame.path):
            return _rescale(frame, stored, intensity)

    return Volume(grid, read, "multi-frame DICOM" if len(frames) > len(files) else "DICOM series")


def _check_modality(name, path, modality, intensity):
    if intensity == "hu" and modality != "CT":
        known = modality if str(modality).isalpha() and len(modality) <= 3 else "unknown"
        raise DataError(f"{name} {path} is of modality {known}, which has no HU; set intensity to grey in all rows, or give CT")


def _series_files(name, path):
    """Return ``[(path, header)]`` of one series."""
    if path.is_file():
        own = read_header(name, path)
        if not own.get("Rows") or own.get("Modality") in NO_IMAGES:
            raise DataError(f"{name} {path} is no DICOM image (but perhaps an outline); give a file of the image series")
        if int(own.get("NumberOfFrames") or 1) > 1:
            return [(path, own)]
    folder = path if path.is_dir() else path.parent
    files = [file for file in sorted(folder.iterdir()) if not file.name.startswith(".") and file.is_file()]
    if len(files) > MAXIMUM_FILES:
        raise DataError(
            f"{name} {folder} holds {len(files)} files, more than the {MAXIMUM_FILES} that are looked through; split it"
        )
    headers = [(file, read_header(name, file)) for file in files if is_dicom(file)]
    images = [(file, header) for file, header in headers if header.get("Rows") and header.get("Modality") not in NO_IMAGES]
    if path.is_file():
        return [(file, header) for file, header in images if header.get("SeriesInstanceUID") == own.get("SeriesInstanceUID")]
    if not images:
        raise DataError(f"{name} {path} is a folder without DICOM images or PNG slices; correct its path or delete the row")
    series = {header.get("SeriesInstanceUID") for _, header in images}
    if len(series) > 1:
        raise DataError(
            f"{name} {path} holds {len(series)} DICOM series; give one file of the right series instead of the folder"
        )
    return images


def _frames(name, path, header):
    """Return the frames of one file; a multi-frame file says of each, or of all together, what a plain file says once."""
    count = int(header.get("NumberOfFrames") or 1)
    check_size(name, path, (count, int(header.Rows), int(header.Columns)), 1)
    if count > MAXIMUM_FILES:
        raise DataError(f"{name} {path} says it has {count} frames, more than the {MAXIMUM_FILES} that are read; split it")
    shared = (header.get("SharedFunctionalGroupsSequence") or [None])[0]
    each = header.get("PerFrameFunctionalGroupsSequence") or []
    frames = []
    for index in range(count):
        groups = (each[index] if index < len(each) else None, shared)

        def find(sequence, element, groups=groups):
            values = (first(group, sequence, element) for group in groups)
            return next((value for value in values if value is not None), header.get(element))

        position = find("PlanePositionSequence", "ImagePositionPatient")
        orientation = find("PlaneOrientationSequence", "ImageOrientationPatient")
        spacing = find("PixelMeasuresSequence", "PixelSpacing") or header.get("ImagerPixelSpacing")
        thickness = find("PixelMeasuresSequence", "SpacingBetweenSlices") or find("PixelMeasuresSequence", "SliceThickness")
        slope = find("PixelValueTransformationSequence", "RescaleSlope")
        frames.append(
            _Frame(
                path=path,
                header=header,
                index=index,
                position=_numbers(position, 3),
                orientation=_numbers(orientation, 6),
                spacing=_numbers(spacing, 2),
                thickness=float(thickness or 0) or 1.0,
                slope=1.0 if slope is None else float(slope),
                intercept=float(find("PixelValueTransformationSequence", "RescaleIntercept") or 0),
            )
        )
    return frames


def _numbers(values, count):
    if values is None or len(values) != count:
        return None
    numbers = np.array([float(value) for value in values])
    return numbers if np.isfinite(numbers).all() else None


def _grid(name, path, frames):
    """Return the grid of the frames, and the frames in its order."""
    start, header = frames[0], frames[0].header
    shapes = {(int(frame.header.Rows), int(frame.header.Columns)) for frame in frames}
    if len(shapes) > 1:
        raise DataError(f"{name} {path} has slices of different sizes in one series; remove the odd ones")
    shape = (len(frames), *shapes.pop())
    check_size(name, path, shape, 1)
    reference, measured = str(header.get("FrameOfReferenceUID") or ""), start.spacing is not None
    spacing = start.spacing if measured else np.ones(2)
    if start.position is None or start.orientation is None:
        if len(frames) > 1:
            raise DataError(f"{name} {path} does not say where its slices lie (ImagePositionPatient); export them as CT or MR")
        return Grid(shape, np.diag([spacing[1], spacing[0], start.thickness, 1.0]), reference, measured), frames
    if any(frame.position is None or frame.orientation is None or frame.spacing is None for frame in frames):
        raise DataError(f"{name} {path} has slices without position, orientation or pixel size; remove or export them again")
    if any(np.abs(frame.orientation - start.orientation).max() > 1e-3 for frame in frames):
        raise DataError(f"{name} {path} has slices of different orientations (a localiser among them?); keep one stack")
    if any(np.abs(frame.spacing - start.spacing).max() > 1e-3 * start.spacing.min() for frame in frames):
        raise DataError(f"{name} {path} has slices of different pixel sizes in one series; keep one reconstruction")
    along, down = start.orientation[:3], start.orientation[3:]
    if abs(np.linalg.norm(along) - 1) > 1e-2 or abs(np.linalg.norm(down) - 1) > 1e-2 or abs(along @ down) > 1e-2:
        raise DataError(f"{name} {path} has an ImageOrientationPatient that is no rotation; export it again")
    if spacing.min() <= 0:
        raise DataError(f"{name} {path} has a pixel size of 0 or less; export it again")
    normal = np.cross(along, down)
    frames = sorted(frames, key=lambda frame: float(frame.position @ normal))
    affine = np.eye(4)
    affine[:3, :3] = np.stack([along * spacing[1], down * spacing[0], _step(name, path, frames, normal, spacing.min())], axis=1)
    affine[:3, 3] = frames[0].position
    return Grid(shape, affine, reference), frames


def _step(name, path, frames, normal, pixel):
    """Return the vector from a slice to the next, and refuse repeated, missing and shifted slices."""
    if len(frames) == 1:
        return normal * frames[0].thickness
    positions = np.array([frame.position for frame in frames])
    steps = np.diff(positions @ normal)
    usual = float(np.median(steps))
    if steps.min() < 1e-3 or steps.min() < TOLERANCE * usual:
        raise DataError(
            f"{name} {path} has several slices at one position (phases, echoes or copies of a file); keep one image of each"
        )
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    if steps.max() > 1.5 * usual:
        number = int(steps.argmax())
        raise DataError(
            f"{name} {path} has a gap: slices {number} and {number + 1} (from 0) are {steps.max():.4g} mm apart, the others "
            f"{usual:.4g} mm; add the missing slices, or keep those on one side of it"
        )
    off = np.abs(positions - positions[0] - np.arange(len(positions))[:, None] * step)
    if (off @ np.abs(normal)).max() > 2 * TOLERANCE * usual or off.max() > max(pixel, 2 * TOLERANCE * usual):
        raise DataError(
            f"{name} {path} has slices at uneven distances ({steps.min():.4g} to {steps.max():.4g} mm) or shifted "
            "against each other; export one evenly spaced reconstruction"
        )
    return step


def _rescale(frame, stored, intensity):
    header = frame.header
    values = stored.astype(np.float32) * np.float32(frame.slope) + np.float32(frame.intercept)
    padding = header.get("PixelPaddingValue")
    if intensity == "grey":
        if header.get("PhotometricInterpretation") == "MONOCHROME1":
            bits = int(header.get("BitsStored") or 16)
            lowest = -(1 << bits - 1) if header.get("PixelRepresentation") else 0
            ends = np.array([lowest, lowest + (1 << bits) - 1]) * frame.slope + frame.intercept
            values = np.float32(ends.sum()) - values
    elif isinstance(padding, int):
        limit = header.get("PixelPaddingRangeLimit")
        ends = sorted([padding, limit if isinstance(limit, int) else padding])
        hu = np.array(ends) * frame.slope + frame.intercept
        if hu.max() < TISSUE_HU[0] or hu.min() > TISSUE_HU[1]:
            values[(stored >= ends[0]) & (stored <= ends[1])] = AIR_HU
    return values
