"""Regions of interest: from a slice in HU and an outline to a 64x64 image in (0, 1), in one bicubic warp.

Every image that a network sees, original or augmented, is sampled here, once, straight from the slice: never a resample of a
resample (paper sections 2.1 and 3.1).
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import cv2
import numpy as np

from .errors import DataError
from .settings import threads

# A 64x64 image is too small to share among OpenCV's own threads.
cv2.setNumThreads(1)

#: Side of a region of interest in pixels (paper, section 2.2). Sampling can make others; the networks are built for this one.
ROI_SIZE = 64


@dataclass(frozen=True)
class RoiSet:
    """Images ready for a network, with the patients who stand behind them.

    Attributes
    ----------
    images : (n, 64, 64, 1) float32
        Intensity window mapped to [0, 1].
    label : (n,) int64
    patients : frozenset of str
        Every patient whose data influenced these images. For a synthetic set: all patients its GAN was trained on.
    lesion_id : (n,) str
        The lesion each image shows; empty text for synthetic images.
    """

    images: np.ndarray = field(repr=False)
    label: np.ndarray = field(repr=False)
    patients: frozenset = field(repr=False)
    lesion_id: np.ndarray = field(repr=False)

    def __len__(self):
        return len(self.label)

    def __add__(self, other):
        """Return both sets, one after the other; the patients behind them add up."""
        return RoiSet(
            images=np.concatenate([self.images, other.images]),
            label=np.concatenate([self.label, other.label]),
            patients=self.patients | other.patients,
            lesion_id=np.concatenate([self.lesion_id, other.lesion_id]),
        )

    def take(self, chosen):
        """Return the images at ``chosen`` (a slice, integers or a mask); the patients stay those of the whole set."""
        return RoiSet(self.images[chosen], self.label[chosen], self.patients, self.lesion_id[chosen])

    def first(self, n):
        """Return the first ``n`` images, as a view."""
        return self.take(slice(n))

    def of_class(self, label):
        """Return the images of one class."""
        return self.take(self.label == label)

    def first_of_each_class(self, n, classes):
        """Return the first ``n`` images of each of ``classes`` classes: nested, balanced groups.

        Raises
        ------
        DataError
            If a class has fewer.
        """
        chosen = [np.flatnonzero(self.label == label)[:n] for label in range(classes)]
        fewest = min(len(part) for part in chosen)
        if fewest < n:
            raise DataError(f"{n} images of each class were asked for, but one class has {fewest}; draw more (samples_per_class)")
        return self.take(np.concatenate(chosen))


def lesion_geometry(outlines):
    """Return centre and diameter of each outline.

    Parameters
    ----------
    outlines : list of (h, w) bool

    Returns
    -------
    centre : (n, 2) float64
        x, y of the middle of the bounding box, in pixels (pixel centres are whole numbers).
    diameter : (n,) float64
        Longer side of the bounding box in pixels: the d of the paper's section 3.1.

    Raises
    ------
    DataError
        If an outline is empty.
    """
    boxes = []
    for number, outline in enumerate(outlines):
        columns, rows = np.flatnonzero(outline.any(axis=0)), np.flatnonzero(outline.any(axis=1))
        if len(columns) == 0:
            raise DataError(f"lesion number {number + 1} has an empty outline; mark it in its mask or delete its row")
        boxes.append((columns[0], rows[0], columns[-1], rows[-1]))
    boxes = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    diameter = (boxes[:, 2:] - boxes[:, :2]).max(axis=1) + 1
    return centre, diameter


def sampling_matrices(centre, diameter, *, margin, angle=0.0, mirror_x=False, mirror_y=False, offset=(0.0, 0.0), size=ROI_SIZE):
    """Return the affine maps from ROI pixels to slice pixels; arguments broadcast against each other.

    The square has the side d (1 + 2 margin), is turned by ``angle``, mirrored, and moved by ``offset``.

    Parameters
    ----------
    centre : (n, 2)
        x, y in slice pixels.
    diameter : (n,)
        In slice pixels.
    margin : (n,) or float
        Tissue on each side as a share of the diameter.
    angle : (n,) or float
        Degrees.
    mirror_x, mirror_y : (n,) or bool
        Left-right and up-down flips.
    offset : (n, 2) or pair
        Translation in slice pixels.
    size : int
        Side of the ROI in its own pixels.

    Returns
    -------
    (n, 2, 3) float64
        ``slice_xy = matrix @ (column, row, 1)``.
    """
    centre = np.asarray(centre, np.float64)
    scale = np.asarray(diameter) * (1 + 2 * np.asarray(margin)) / size
    radians = np.deg2rad(np.asarray(angle, np.float64))
    sign_x, sign_y = np.where(mirror_x, -1.0, 1.0), np.where(mirror_y, -1.0, 1.0)
    entries = np.broadcast_arrays(
        scale * np.cos(radians) * sign_x,
        -scale * np.sin(radians) * sign_y,
        scale * np.sin(radians) * sign_x,
        scale * np.cos(radians) * sign_y,
    )
    linear = np.stack(entries, axis=-1).reshape(*entries[0].shape, 2, 2)
    middle = (size - 1) / 2
    shift = centre + np.asarray(offset) - linear.sum(axis=-1) * middle
    return np.concatenate([linear, shift[..., None]], axis=-1)


def leaves_slice(matrices, shapes, size=ROI_SIZE):
    """Return which ROIs reach beyond their slice, so that part of them is padded.

    Parameters
    ----------
    matrices : (n, 2, 3)
    shapes : (n, 2)
        Rows and columns of each slice.
    size : int
        As in :func:`sampling_matrices`.

    Returns
    -------
    (n,) bool
    """
    edge = size - 0.5
    corners = np.array([[-0.5, -0.5, 1], [edge, -0.5, 1], [-0.5, edge, 1], [edge, edge, 1]]).T
    points = matrices @ corners
    limit = np.asarray(shapes, np.float64)[:, ::-1, None] - 0.5
    return ((points < -0.5 - 1e-6) | (points > limit + 1e-6)).any(axis=(1, 2))


def warp(slices, lesion, matrices, *, window_level, window_width, size=ROI_SIZE):
    """Sample ROIs from slices: one bicubic warp each, then the intensity window.

    Parameters
    ----------
    slices : list of (h, w) arrays
        HU.
    lesion : (n,) int
        Which slice each ROI comes from.
    matrices : (n, 2, 3)
        From :func:`sampling_matrices`. Pixels beyond the slice are mirrored at its edge.
    window_level, window_width : float
        HU mapped to [0, 1] with clipping.
    size : int
        As in :func:`sampling_matrices`.

    Returns
    -------
    (n, size, size, 1) float32
    """
    if window_width <= 0:
        raise DataError(f"window_width is {window_width}; it must be above 0 HU")
    lesion = np.asarray(lesion)
    images = np.empty((len(lesion), size, size, 1), np.float32)

    def sample(numbers):
        shown = windowed = None
        for number in numbers.tolist():
            if lesion[number] != shown:
                # Windowing is linear, so it may stand before the warp: once per slice in place of once per ROI.
                shown, windowed = lesion[number], _window(slices[lesion[number]], window_level, window_width)
            cv2.warpAffine(
                windowed,
                matrices[number],
                (size, size),
                dst=images[number, :, :, 0],
                flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REFLECT_101,
            )

    def clip(part):
        np.clip(part, 0, 1, out=part)

    # ROIs of one lesion in a row: its slice stays in the cache, and no more windowed slices than threads are in memory. Threads
    # work side by side because OpenCV releases Python's lock. Clipping many images at once costs a fifth of clipping one by one.
    parts = max(1, len(lesion) // 256)
    with ThreadPoolExecutor(threads()) as pool:
        list(pool.map(sample, np.array_split(np.argsort(lesion, kind="stable"), parts)))
        list(pool.map(clip, np.array_split(images, parts)))
    return images


def _window(image, level, width):
    return (image.astype(np.float32) - (level - width / 2)) / width


def extract_rois(cohort, *, margin, window_level, window_width, size=ROI_SIZE):
    """Return the un-augmented ROI of every lesion (paper, section 2.1 and Fig. 1b).

    Returns
    -------
    RoiSet
        In the cohort's order.
    """
    centre, diameter = lesion_geometry(cohort.outlines)
    matrices = sampling_matrices(centre, diameter, margin=margin, size=size)
    window = {"window_level": window_level, "window_width": window_width}
    images = warp(cohort.slices, np.arange(len(cohort)), matrices, **window, size=size)
    return RoiSet(images, cohort.label, frozenset(cohort.patient_id.tolist()), cohort.lesion_id)


def roi_outlines(cohort, *, margin, size=ROI_SIZE):
    """Return the outline of every lesion in the frame of its un-augmented ROI; see :func:`extract_rois`.

    Returns
    -------
    (n, size, size) bool
        In the cohort's order. True where at least half of what a pixel samples lies inside; for an outline so thin that no pixel
        does, the pixels that sample most of it.
    """
    centre, diameter = lesion_geometry(cohort.outlines)
    outlines = np.zeros((len(cohort), size, size), bool)
    for number, matrix in enumerate(sampling_matrices(centre, diameter, margin=margin, size=size)):
        inside = cv2.warpAffine(
            cohort.outlines[number].astype(np.float32),
            matrix,
            (size, size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        )
        outlines[number] = inside >= min(0.5, inside.max())
    return outlines
