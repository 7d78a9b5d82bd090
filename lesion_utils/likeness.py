"""How alike are two sets of points? KID, density and coverage, between halves of patients and sets of one size.

The measures know nothing of images; :mod:`fidelity` gives them features of real and synthetic ROIs.
"""

import numpy as np
import pandas as pd
from sklearn.metrics import euclidean_distances

from .errors import DataError, SettingsError
from .settings import require_positive

#: What is measured, and what the figures call it, in their order.
MEASURES = {"kid": "KID", "density": "density", "coverage": "coverage"}
#: Spaces of features in which it is measured, and what the figures call them.
SPACES = {"classifier": "classifier's features", "radiomic": "radiomic features"}


# Measures of two sets of points


def polynomial_kernel(first, second):
    """Return the (n, m) kernel (x y / d + 1)^3 of KID, from (n, d) and (m, d) features."""
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    base = first @ second.T / first.shape[1] + 1
    return base * base * base  # NumPy's ** 3 takes many times as long


def kid(first, second):
    """Return the kernel inception distance of Binkowski et al. (2018): the unbiased squared maximum mean discrepancy.

    Parameters
    ----------
    first : (n, d) float
    second : (m, d) float

    Returns
    -------
    float
        Zero on average where both come from one distribution, whatever n and m; single values may be negative.

    Raises
    ------
    DataError
        If a set has fewer than two points.
    """
    if min(len(first), len(second)) < 2:
        raise DataError(f"KID needs two ROIs in each set; these have {len(first)} and {len(second)}")
    return _kid(polynomial_kernel(first, first), polynomial_kernel(second, second), polynomial_kernel(first, second))


def _kid(within_first, within_second, across):
    """Return the squared discrepancy from the three blocks of the kernel; a point is no pair with itself."""
    within = [(block.sum() - np.trace(block)) / (len(block) * (len(block) - 1)) for block in (within_first, within_second)]
    return float(sum(within) - 2 * across.mean())


def density_coverage(real, other, neighbours):
    """Return density and coverage of Naeem et al. (2020).

    Around every real point lies the ball that just reaches its ``neighbours``-th nearest real point.

    Parameters
    ----------
    real : (n, d) float
    other : (m, d) float
    neighbours : int
        From 1 to n - 1.

    Returns
    -------
    density : float
        Mean number of balls that a point of ``other`` lies in, by ``neighbours``: 1 on average for like distributions, above it
        where ``other`` crowds where the real points are dense.
    coverage : float
        Share of the balls with a point of ``other``: what is left out of the real variety lowers it. Like distributions of equal
        size reach about 1 - 0.5 ** neighbours.

    Raises
    ------
    SettingsError
        If ``neighbours`` does not suit the number of real points.
    """
    if not 1 <= neighbours < len(real):
        raise SettingsError(f"parameter 'neighbours' is {neighbours}; {len(real)} real ROIs allow 1 to {len(real) - 1}")
    return _density_coverage(euclidean_distances(real), euclidean_distances(real, other), neighbours)


def _density_coverage(within, across, neighbours):
    radius = np.partition(within, neighbours, axis=1)[:, neighbours]  # the nearest of all is the point itself
    inside = across < radius[:, None]
    return float(inside.sum() / (neighbours * inside.shape[1])), float(inside.any(axis=1).mean())


# Equal sizes, halves by patient


def half_size(patient):
    """Return how many lesions the smaller half has at least when patients are dealt by :func:`halves`."""
    counts = np.unique(patient, return_counts=True)[1]
    return int(-(-(counts.sum() - counts.max()) // 2)) if len(counts) else 0


def halves(patient, random):
    """Deal patients in random order, each to the half with fewer lesions so far; return the lesions of both halves."""
    people, number = np.unique(patient, return_inverse=True)
    sides = [], []
    for person in random.permutation(len(people)):
        min(sides, key=len).extend(np.flatnonzero(number == person).tolist())
    return np.array(sides[0], int), np.array(sides[1], int)


def choose_patients(patient, half, seed):
    """Return lesions of whole patients in random order, until halves of ``half`` lesions are sure or no patients are left."""
    people, number = np.unique(patient, return_inverse=True)
    chosen = np.zeros(len(patient), bool)
    for person in np.random.default_rng(seed).permutation(len(people)):
        if half_size(np.asarray(patient)[chosen]) >= half:
            break
        chosen |= number == person
    return np.flatnonzero(chosen)


def compare(real, patient, others, *, largest_half, subsets, neighbours, seed):
    """Compare sets of ROIs with one half of the real ROIs, many times over; the other half of the real ROIs is the floor.

    In each subset the patients are halved at random. The first half is the reference of all sets; the second half and as many
    ROIs of every other set, drawn at random, are compared with it: all sets have one size, on which density, coverage and the
    spread of KID depend.

    Parameters
    ----------
    real : (n, d) float
        Features.
    patient : (n,) str
        Patients of ``real``.
    others : dict of name to (m, d) float
    largest_half : int
        Most ROIs in a half.
    subsets, neighbours, seed : int

    Returns
    -------
    DataFrame
        ``subset, set, n, kid, density, coverage``; the floor is the set ``real``.

    Raises
    ------
    DataError
        If a half would have no more ROIs than ``neighbours``.
    """
    require_positive(largest_half=largest_half, subsets=subsets, neighbours=neighbours)
    size = min(half_size(patient), largest_half, *(len(other) for other in others.values()))
    if size <= neighbours:
        raise DataError(
            f"halves of {size} ROIs cannot be compared by {neighbours} neighbours: choose a smaller 'neighbours', a larger "
            "'largest_half', or give the class more lesions"
        )
    points = np.concatenate([np.asarray(part, np.float64) for part in (real, *others.values())])
    kernel, distance = polynomial_kernel(points, points), euclidean_distances(points)
    ends = len(real) + np.cumsum([len(other) for other in others.values()]).astype(int)
    places = {name: np.arange(end - len(other), end) for (name, other), end in zip(others.items(), ends, strict=True)}
    random = np.random.default_rng(seed)
    rows = []
    for subset in range(subsets):
        one, two = halves(patient, random)
        one = random.choice(one, size, replace=False)
        for name, place in {"real": two, **places}.items():
            chosen = random.choice(place, size, replace=False)
            blocks = [np.ix_(one, one), np.ix_(chosen, chosen), np.ix_(one, chosen)]
            near = _density_coverage(distance[blocks[0]], distance[blocks[2]], neighbours)
            rows.append((subset, name, size, _kid(*(kernel[block] for block in blocks)), *near))
    return pd.DataFrame(rows, columns=["subset", "set", "n", *MEASURES])
