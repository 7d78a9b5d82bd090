"""Outlines from DICOM objects: the frames of a DICOM SEG, and the polygons of an RTSTRUCT filled on an image's grid.

Both say where they lie in the patient in mm, so they fit an image of any format whose grid says so too.
"""

import numpy as np
from skimage.draw import polygon2mask

from .dicom_files import check_whole, first, is_dicom, read_header, reading
from .errors import DataError
from .grids import check_size

#: An outline may be this share of a voxel beside the image's voxels: positions are rounded when they are stored.
TOLERANCE = 0.1
#: A contour may be this share of the distance of slices beside a slice.
CONTOUR_TOLERANCE = 0.25


def outline_kind(path):
    """Return ``SEG`` or ``RTSTRUCT``, or None if the file is neither.

    Raises
    ------
    DataError
        If it is a DICOM file that cannot be read.
    """
    if not is_dicom(path):
        return None
    with reading("mask", path):
        modality = read_header("mask", path, ["Modality"]).get("Modality")
    return modality if modality in ("SEG", "RTSTRUCT") else None


def read_segment(path, segment, grid):
    """Return one segment of a DICOM SEG on an image's grid.

    Parameters
    ----------
    path : Path
    segment : str or None
        Number of the segment; may be None if there is only one.
    grid : Grid
        Of the image.

    Returns
    -------
    (slices, rows, columns) bool
        In stored order. Of a fractional segment, voxels of at least one half.

    Raises
    ------
    DataError
        If there is no such segment, or its pixels do not lie on the image's.
    """
    import highdicom.seg  # here, because it takes a second and few tables need it

    check_size("mask", path, (path.stat().st_size,), 1)
    seg = read_header("mask", path, dataset=highdicom.seg.segread)
    with reading("mask", path):
        _check_reference(path, seg.get("FrameOfReferenceUID"), grid)
        number = _segment_number(path, segment, sorted(int(number) for number in seg.segment_numbers))
        labelmap = seg.get("SegmentationType") == "LABELMAP"
        half = int(seg.get("MaximumFractionalValue") or 1) / 2
        check_size("mask", path, (int(seg.Rows), int(seg.Columns)), 8)
        check_size("mask", path, grid.shape, 1)
        outlines = np.zeros(grid.shape, bool)
        for index, groups in enumerate(seg.PerFrameFunctionalGroupsSequence):
            if not labelmap:
                shared = seg.SharedFunctionalGroupsSequence[0]
                own = ("SegmentIdentificationSequence", "ReferencedSegmentNumber")
                if int(first(groups, *own) or first(shared, *own)) != number:
                    continue
            pixels = seg.get_stored_frame(index, as_index=True)
            pixels = pixels == number if labelmap else pixels >= max(half, 0.5)
            if pixels.any():
                _place(path, seg, groups, pixels, grid, outlines)
    if not outlines.any():
        raise DataError(f"mask {path} is all zero in segment {number}; outline the lesion or delete the row")
    return outlines


def _segment_number(path, segment, there):
    listed = ", ".join(map(str, there[:20]))
    if segment is None:
        if len(there) == 1:
            return there[0]
        raise DataError(f"mask {path} holds {len(there)} segments; say in column segment which is the lesion ({listed})")
    if not segment.isdecimal() or int(segment) not in there:
        raise DataError(f"mask {path} has no segment {segment}, only {listed}; correct segment")
    return int(segment)


def _check_reference(path, reference, grid):
    if reference and grid.frame_of_reference and reference != grid.frame_of_reference:
        raise DataError(f"mask {path} belongs to another scan (its frame of reference is not the image's); give the right pair")


def _place(path, seg, groups, pixels, grid, outlines):
    """Write a frame of a SEG into ``outlines`` at the voxels where it lies."""
    shared = seg.SharedFunctionalGroupsSequence[0]

    def find(sequence, element):
        values = first(groups, sequence, element) or first(shared, sequence, element)
        return np.array([float(value) for value in values])

    orientation = find("PlaneOrientationSequence", "ImageOrientationPatient")
    spacing = find("PixelMeasuresSequence", "PixelSpacing")
    start = find("PlanePositionSequence", "ImagePositionPatient")
    rows, columns = np.nonzero(pixels)
    across, down = orientation[:3] * spacing[1], orientation[3:] * spacing[0]
    index = grid.to_index(start + columns[:, None] * across + rows[:, None] * down)
    voxels = np.rint(index).astype(int)
    if np.abs(index - voxels).max() > TOLERANCE:
        raise DataError(f"mask {path} is not on its image's grid; give the series that it was drawn on, or resample the mask")
    # One pixel onto one voxel: a mask of smaller or larger pixels could meet every one of them, or leave some out.
    if (
        len(np.unique(voxels, axis=0)) < len(voxels)
        or np.abs(np.abs(grid.to_index([across, down] + grid.affine[:3, 3])).max(axis=1) - 1).max() > TOLERANCE
    ):
        raise DataError(f"mask {path} has pixels of another size than its image; resample the mask to the image")
    if (voxels < 0).any() or (voxels >= np.array(grid.shape)[::-1]).any():
        raise DataError(f"mask {path} reaches beyond its image; give the series that it was drawn on")
    outlines[voxels[:, 2], voxels[:, 1], voxels[:, 0]] = True


def read_contours(path, segment, grid):
    """Return one region of an RTSTRUCT on an image's grid: the voxels whose centres its polygons enclose.

    A polygon inside another cuts a hole.

    Parameters
    ----------
    path : Path
    segment : str or None
        Name of the region (ROI); may be None if only one has contours.
    grid : Grid
        Of the image.

    Returns
    -------
    (slices, rows, columns) bool
        In stored order.

    Raises
    ------
    DataError
        If there is no such region, or its contours are not closed, lie between slices or beyond the image.
    """
    tags = ["StructureSetROISequence", "ROIContourSequence"]
    structures = read_header("mask", path, tags)
    check_whole("mask", path)
    with reading("mask", path):
        check_size("mask", path, grid.shape, 1)
        region, contours = _region(path, structures, segment)
        _check_reference(path, region.get("ReferencedFrameOfReferenceUID"), grid)
        points = []
        for contour in contours:
            if contour.ContourGeometricType not in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR"):
                raise DataError(f"mask {path} has open or single-point contours; outline the lesion by closed contours")
            own = np.array([float(value) for value in contour.ContourData]).reshape(-1, 3)
            if len(own) > 2 and np.isfinite(own).all():
                points.append(grid.to_index(own))
        if not points:
            raise DataError(f"mask {path} has no contour of at least three points; outline the lesion or delete the row")
        return _fill(path, points, grid)


def _region(path, structures, segment):
    """Return a region's item of StructureSetROISequence, and its contours."""
    contours = {
        int(item.ReferencedROINumber): item.get("ContourSequence") or [] for item in structures.get("ROIContourSequence") or []
    }
    regions = [item for item in structures.get("StructureSetROISequence") or [] if contours.get(int(item.ROINumber))]
    names = [str(item.get("ROIName") or "").strip() for item in regions]
    listed = ", ".join(names[:20])
    if not regions:
        raise DataError(f"mask {path} has no region with contours; outline the lesion or delete the row")
    if segment is None and len(regions) > 1:
        raise DataError(f"mask {path} holds {len(regions)} regions; say in column segment which is the lesion ({listed})")
    chosen = [item for item, name in zip(regions, names, strict=True) if segment in (None, name)]
    if len(chosen) != 1:
        wrong = f"{len(chosen)} regions named" if chosen else "no region"
        raise DataError(f"mask {path} has {wrong} {segment}, only {listed}; correct segment")
    return chosen[0], contours[int(chosen[0].ROINumber)]


def _fill(path, points, grid):
    # Contours lie in the plane in which they do not vary: that of the slices, but for images that were turned when converted.
    normal = int(np.argmin([max(np.ptp(own[:, axis]) for own in points) for axis in range(3)]))
    first_axis, second_axis = (axis for axis in (2, 1, 0) if axis != normal)
    outlines = np.zeros(grid.shape, bool)
    planes = np.moveaxis(outlines, 2 - normal, 0)
    for own in points:
        number = round(float(own[:, normal].mean()))
        if np.abs(own[:, normal] - number).max() > CONTOUR_TOLERANCE:
            raise DataError(
                f"mask {path} has contours that lie between the slices of its image; give the series they were drawn on"
            )
        sides = own[:, [first_axis, second_axis]]
        if not 0 <= number < len(planes) or sides.min() < -1 or (sides > planes.shape[1:]).any():
            raise DataError(f"mask {path} has contours beyond its image; give the series that they were drawn on")
        planes[number] ^= polygon2mask(planes.shape[1:], sides)
    if not outlines.any():
        raise DataError(f"mask {path} encloses no voxel; outline the lesion or delete the row")
    return outlines
