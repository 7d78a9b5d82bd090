"""Where voxels lie: a grid of any orientation, its axial slices, and the size that is still read."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from .errors import DataError

#: A file may not ask for more memory than this (512 x 512 x 1,500 voxels of 2 bytes); headers can claim anything.
MAXIMUM_BYTES = 800_000_000
#: Lowest value kept: scanners pad the corners of a slice with values below air.
AIR_HU = -1024


@dataclass(frozen=True)
class Grid:
    """Voxels as a file stores them.

    Attributes
    ----------
    shape : tuple of int
        Slices, rows, columns.
    affine : (4, 4) float64
        Maps ``column, row, slice, 1`` (from 0, at voxel centres) to the patient's left, back and head in mm (LPS, as in DICOM).
        Columns need not be perpendicular: the slices of a tilted gantry are not.
    frame_of_reference : str
        DICOM's name of the coordinate system, or empty.
    measured : bool
        False if the file does not tell the size of its pixels, and 1 mm stands in for it.
    """

    shape: tuple
    affine: np.ndarray = field(repr=False)
    frame_of_reference: str = field(default="", repr=False)
    measured: bool = True

    @property
    def spacing(self):
        """(3,) distance in mm between columns, rows and slices."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def axes(self):
        """For left, back and head: the stored axis (0 columns, 1 rows, 2 slices) nearest to it, and its sign."""
        directions = self.affine[:3, :3] / self.spacing
        _, order = linear_sum_assignment(-np.abs(directions))
        return order, np.sign(directions[range(3), order]).astype(int)

    def to_index(self, points):
        """Return (n, 3) points in mm as column, row and slice numbers with decimals."""
        return np.linalg.solve(self.affine[:3, :3], (np.asarray(points, np.float64) - self.affine[:3, 3]).T).T

    def turn(self, voxels):
        """Return a view of voxels in stored order, turned so that slices go from feet to head, rows and columns in LPS order."""
        order, sign = self.axes
        turned = np.transpose(voxels, [2 - order[axis] for axis in (2, 1, 0)])
        return np.flip(turned, [2 - axis for axis in range(3) if sign[axis] < 0])

    def turned(self):
        """Return the grid of what :meth:`turn` gives."""
        order, sign = self.axes
        corner = np.zeros(3)
        for axis, stored in enumerate(order):
            corner[stored] = self.shape[2 - stored] - 1 if sign[axis] < 0 else 0
        affine = np.eye(4)
        affine[:3, :3] = self.affine[:3, order] * sign
        affine[:3, 3] = self.affine[:3, :3] @ corner + self.affine[:3, 3]
        return Grid(tuple(self.shape[2 - order[axis]] for axis in (2, 1, 0)), affine, self.frame_of_reference, self.measured)


@dataclass(frozen=True)
class Volume:
    """An image that hands out its slices one at a time, so that a long series need not be in memory.

    Attributes
    ----------
    grid : Grid
    frame : callable
        Takes the number of a stored slice, returns its (rows, columns) values.
    format : str
        In words, for the summary of a table.
    """

    grid: Grid
    frame: Callable = field(repr=False)
    format: str

    def axial(self, number):
        """Return one slice of the turned volume, (rows, columns)."""
        order, sign = self.grid.axes
        stored = order[2]
        place = number if sign[2] > 0 else self.grid.shape[2 - stored] - 1 - number
        if stored == 2:
            part = self.frame(place)[None]
        else:
            # Axial slices lie across the stored ones: one row or column of each.
            lines = [np.take(self.frame(k), place, axis=1 - stored) for k in range(self.grid.shape[0])]
            part = np.expand_dims(np.stack(lines), 2 - stored)
        return self.grid.turn(part)[0]


def check_size(name, path, shape, bytes_each):
    """Raise DataError if a header asks for an absurd amount of memory, before any is taken."""
    if min(shape) < 1:
        raise DataError(f"{name} {path} says it has {' x '.join(map(str, shape))} voxels, so none; export or copy it again")
    if math.prod(shape) * bytes_each > MAXIMUM_BYTES:
        raise DataError(
            f"{name} {path} says it has {' x '.join(map(str, shape))} voxels of {bytes_each} bytes, more than the "
            f"{MAXIMUM_BYTES / 1e6:.0f} MB that are read; crop it around the lesion, or store whole numbers of 2 bytes"
        )
