"""Texture features of a ROI: Haralick's from grey-level co-occurrence (GLCM), and responses of a Gabor filter bank.

The paper's section 4.5 gives both to a support vector machine and compares them with its network (Table 6).
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
from scipy.ndimage import convolve1d
from skimage.feature import graycomatrix
from skimage.filters import gabor_kernel
from threadpoolctl import threadpool_limits

from .errors import DataError, SettingsError
from .settings import threads

#: The paper's Table 6: weighted sensitivity (its total accuracy) and specificity; rows by our names of arms.
PAPER_TABLE_6 = pd.DataFrame(
    {"sensitivity": (0.786, 0.829, 0.780, 0.742, 0.714), "specificity": (0.884, 0.908, 0.883, 0.865, 0.849)},
    index=pd.Index(["classic", "bovw_mi_multi", "bovw_mi_single", "gabor", "glcm"], name="arm"),
)

#: Haralick's features of one co-occurrence matrix, in the order of :func:`haralick`.
HARALICK = (
    "angular second moment", "contrast", "correlation", "variance", "inverse difference moment", "sum average",
    "sum variance", "sum entropy", "entropy", "difference variance", "difference entropy",
    "information measure of correlation 1", "information measure of correlation 2",
    "dissimilarity", "maximum probability",
)  # fmt: skip
#: The four directions of a co-occurrence matrix, in degrees; 45 goes right and down, as rows are counted.
ANGLES = (0, 45, 90, 135)
#: What is measured of each Gabor filter's response, in the order of :func:`gabor_features`.
GABOR_MEASURES = ("mean", "standard deviation", "energy", "entropy")
#: Bandwidth of each Gabor filter in octaves, and how many of its standard deviations its kernel reaches.
BANDWIDTH, REACH = 1.0, 3.0


# Co-occurrence


def quantise(images, levels):
    """Turn grey values into levels of equal width: the same level is the same HU in every image.

    Parameters
    ----------
    images : (..., 64, 64) float
        In [0, 1].
    levels : int
        From 2 to 255.

    Returns
    -------
    uint8, same shape
        1 to ``levels``; 0 is left for pixels outside a region.
    """
    if levels != int(levels) or not 2 <= levels <= 255:
        raise SettingsError(f"'levels' is {levels}; choose 2 to 255 grey levels")
    return (1 + np.clip(np.floor(np.asarray(images) * levels), 0, levels - 1)).astype(np.uint8)


def cooccurrence(image, levels, distances=(1,)):
    """Count how often two grey levels stand at a distance from each other, in four directions, both ways.

    Parameters
    ----------
    image : (h, w) uint8
        1 to ``levels``; a pair with a pixel of 0 (outside the region) does not count.
    levels : int
    distances : sequence of int
        In pixels along the rows and columns; on a diagonal both coordinates move by as much, as Haralick has it.

    Returns
    -------
    (levels, levels, distances, 4) float64
        Symmetric; each matrix adds up to 1, or is all zero where no two pixels of the region are that far apart.
    """
    # scikit-image measures a diagonal by its length, so it is asked for sqrt(2) times the distance there.
    straight = graycomatrix(image, distances, np.deg2rad([0, 90]), levels=levels + 1, symmetric=True)
    diagonal = graycomatrix(image, np.sqrt(2) * np.asarray(distances), np.deg2rad([45, 135]), levels=levels + 1, symmetric=True)
    pairs = np.stack([straight[..., 0], diagonal[..., 0], straight[..., 1], diagonal[..., 1]], axis=-1)
    pairs = pairs[1:, 1:].astype(np.float64)  # it knows no mask: level 0 is the outside
    total = pairs.sum(axis=(0, 1))
    return np.divide(pairs, total, out=np.zeros_like(pairs), where=total > 0)


def haralick(matrix):
    """Return Haralick's features of symmetric co-occurrence matrices.

    Parameters
    ----------
    matrix : (levels, levels, ...) float64
        Each adds up to 1.

    Returns
    -------
    (features, ...) float64
        In the order of :data:`HARALICK`; entropies in bits. Where all pixels have one level, correlation is 1 and both
        information measures are 0. A matrix without pairs has 0 for every feature.
    """
    levels, shape = len(matrix), matrix.shape[2:]
    joint = matrix.reshape(levels, levels, -1)
    row, column = np.mgrid[1 : levels + 1, 1 : levels + 1]
    value = np.arange(1.0, levels + 1)[:, None]
    marginal = joint.sum(axis=0)  # of rows and of columns alike: the matrix is symmetric
    sums = _collect(joint, row + column - 2, 2 * levels - 1)
    differences = _collect(joint, np.abs(row - column), levels)
    sum_value, difference_value = np.arange(2.0, 2 * levels + 1)[:, None], np.arange(levels)[:, None]

    entropy, marginal_entropy = _entropy(joint, (0, 1)), _entropy(marginal)
    mean = (value * marginal).sum(axis=0)
    variance = ((value - mean) ** 2 * marginal).sum(axis=0)
    covariance = (((row * column).reshape(levels, levels, 1) * joint).sum(axis=(0, 1))) - mean**2
    sum_average = (sum_value * sums).sum(axis=0)
    dissimilarity = (difference_value * differences).sum(axis=0)
    # Haralick's HXY1 and HXY2 are both twice the marginal entropy where rows and columns have the same marginal.
    lost = 2 * marginal_entropy - entropy
    one_level = variance < 1e-12
    features = [
        (joint**2).sum(axis=(0, 1)),
        (difference_value**2 * differences).sum(axis=0),
        np.where(one_level, 1.0, covariance / np.where(one_level, 1.0, variance)),
        variance,
        (differences / (1 + difference_value**2)).sum(axis=0),
        sum_average,
        ((sum_value - sum_average) ** 2 * sums).sum(axis=0),
        _entropy(sums),
        entropy,
        ((difference_value - dissimilarity) ** 2 * differences).sum(axis=0),
        _entropy(differences),
        np.where(one_level, 0.0, -lost / np.where(one_level, 1.0, marginal_entropy)),
        np.sqrt(np.clip(1 - np.exp(-2 * lost), 0, 1)),
        dissimilarity,
        joint.max(axis=(0, 1)),
    ]
    empty = marginal.sum(axis=0) == 0
    return np.where(empty, 0.0, np.stack(features)).reshape(-1, *shape)


def _collect(joint, index, size):
    """Add up the entries of each matrix that share an index: (levels, levels, m) -> (size, m)."""
    m = joint.shape[-1]
    places = index[..., None] * m + np.arange(m)
    return np.bincount(places.ravel(), joint.ravel(), size * m).reshape(size, m)


def _entropy(probability, axis=0):
    logarithm = np.log2(np.maximum(probability, np.finfo(probability.dtype).tiny))  # 0 log 0 is 0
    return -(probability * logarithm).sum(axis=axis)


def glcm_features(images, outlines, *, levels, distances):
    """Measure Haralick's features of the outlined lesion and of the whole ROI.

    Parameters
    ----------
    images : (n, 64, 64, 1) float32
        In [0, 1].
    outlines : (n, 64, 64) bool
        From :func:`rois.roi_outlines`.
    levels : int
        Grey levels of equal width, from 2 to 255.
    distances : sequence of int
        In ROI pixels.

    Returns
    -------
    DataFrame
        (n, 2 regions x distances x 15 features x 2): mean over the four directions, so that none is favoured, and range over
        them, as Haralick proposed. Columns such as ``lesion, distance 1, contrast, mean``.

    Raises
    ------
    DataError
        If an outline is empty.
    SettingsError
        If ``levels`` or ``distances`` is out of range.
    """
    if not len(distances) or any(d != int(d) or not 1 <= d < images.shape[1] for d in distances):
        raise SettingsError(f"'distances' is {list(distances)}; give whole numbers from 1 to {images.shape[1] - 1} pixels")
    _require_outlines(outlines)
    rows = []
    for image, outline in zip(quantise(images[..., 0], levels), outlines, strict=True):
        regions = [haralick(cooccurrence(region, levels, distances)) for region in (np.where(outline, image, 0), image)]
        features = np.stack(regions)  # (region, feature, distance, angle)
        rows.append(np.stack([features.mean(axis=-1), np.ptp(features, axis=-1)], axis=-1).transpose(0, 2, 1, 3).ravel())
    names = [
        f"{region}, distance {distance}, {feature}, {over}"
        for region in ("lesion", "ROI")
        for distance in distances
        for feature in HARALICK
        for over in ("mean", "range")
    ]
    return pd.DataFrame(np.reshape(rows, (-1, len(names))), columns=names)


def _require_outlines(outlines):
    empty = np.flatnonzero(~outlines.any(axis=(1, 2)))
    if len(empty):
        raise DataError(f"ROI number {empty[0] + 1} has an empty outline; mark the lesion in its mask or delete its row")


# Gabor


def gabor_bank(frequencies, orientations):
    """Make the complex kernels of a Gabor filter bank: cosine waves (real part) and sine waves (imaginary) under a Gaussian.

    Parameters
    ----------
    frequencies : sequence of float
        Waves per pixel, above 0 and up to 0.5.
    orientations : int
        Directions of the waves, evenly spaced over 180 degrees.

    Returns
    -------
    dict of (float, float) to (side, side) complex64
        Frequency and direction in degrees -> kernel; bandwidth one octave. Kernels differ in size, because scikit-image cuts
        each where its own window ends; that changes with the direction too.

    Raises
    ------
    SettingsError
        If a frequency or the number of orientations is out of range.
    """
    if not len(frequencies) or any(not 0 < frequency <= 0.5 for frequency in frequencies):
        raise SettingsError(f"'frequencies' is {list(frequencies)}; give waves per pixel above 0 and up to 0.5")
    if orientations != int(orientations) or orientations < 1:
        raise SettingsError(f"'orientations' is {orientations}; it must be a whole number of at least 1")
    angles = np.arange(orientations) * 180 / orientations
    return {
        (frequency, float(angle)): gabor_kernel(
            frequency, np.deg2rad(angle), bandwidth=BANDWIDTH, n_stds=REACH, dtype=np.complex64
        )
        for frequency in frequencies
        for angle in angles
    }


def separate(kernels, shape):
    """Turn Gabor kernels into matrices, which filter all images of one shape.

    The Gaussian is round and its window a rectangle, so a kernel is the product of its middle column and its middle row, and a
    convolution with it is one along the columns and one along the rows. Each is a matrix, whose entries hold the image's mirrored
    edge as well: many times fewer multiplications than pixel by pixel.

    Parameters
    ----------
    kernels : iterable of complex64
        From :func:`gabor_bank`.
    shape : (int, int)
        Height h and width w of the images.

    Returns
    -------
    rows : (kernels, h, h) complex64
    columns : (kernels, w, w) complex64
    """
    rows, columns = [], []
    for kernel in kernels:
        middle = kernel.shape[0] // 2, kernel.shape[1] // 2
        factors = kernel[:, middle[1]], kernel[middle[0]] / kernel[middle]
        for factor, side, matrices in zip(factors, shape, (rows, columns), strict=True):
            matrices.append(convolve1d(np.eye(side), factor, axis=0, mode="reflect"))
    return np.array(rows, np.complex64), np.array(columns, np.complex64).transpose(0, 2, 1).copy()


def gabor_responses(image, rows, columns):
    """Convolve an image with complex kernels; beyond its edge the image is mirrored.

    Parameters
    ----------
    image : (h, w) float
    rows, columns
        From :func:`separate`.

    Returns
    -------
    (kernels, h, w) complex64
    """
    # The image is real: to BLAS, a complex matrix beside it is a real one of twice the width.
    return rows @ (np.asarray(image, np.float32) @ columns.view(np.float32)).view(np.complex64)


def gabor_features(images, bank, outlines=None):
    """Measure the magnitude of every filter's response: mean, standard deviation, energy, entropy (paper, section 4.5).

    Parameters
    ----------
    images : (n, 64, 64, 1) float32
        In [0, 1].
    bank : dict
        From :func:`gabor_bank`.
    outlines : (n, 64, 64) bool, optional
        From :func:`lesion_utils.rois.roi_outlines`. With them everything is measured twice, as for :func:`glcm_features`: over
        the outlined lesion, where no edge of the liver answers louder than the lesion, and over the whole ROI.

    Returns
    -------
    DataFrame
        (n, filters x 4), or twice as many columns, the lesion's first. Energy is the mean square of the magnitude. Entropy, in
        bits, is that of the magnitudes taken as shares of their sum: highest where the whole region responds alike, as a
        constant ROI does; 0 where nothing responds.

    Raises
    ------
    DataError
        If an outline is empty.
    """
    whole = [slice(None)] * len(images)
    if outlines is None:
        regions = {"": whole}
    else:
        _require_outlines(outlines)
        regions = {"lesion, ": outlines.reshape(len(images), -1), "ROI, ": whole}
    filters = separate(bank.values(), images.shape[1:3])

    def measure(number):
        magnitudes = np.abs(gabor_responses(images[number, ..., 0], *filters)).reshape(len(bank), -1)
        return np.concatenate([measure_region(magnitudes[:, region[number]]) for region in regions.values()])

    def measure_region(magnitudes):
        mean, deviation = magnitudes.mean(axis=1), magnitudes.std(axis=1)
        # Of n shares that are r / n, the entropy is log n less the mean of r log r: small numbers, which keep their digits.
        relative = magnitudes / np.maximum(mean, 1e-15)[:, None]
        entropy = np.where(mean > 1e-15, np.log2(magnitudes.shape[1]) + _entropy(relative, 1) / magnitudes.shape[1], 0)
        return np.stack([mean, deviation, mean**2 + deviation**2, entropy], axis=1).ravel()

    # Images side by side, on one thread each: the matrices are small, and a sum is always made in one order.
    with threadpool_limits(1), ThreadPoolExecutor(threads()) as pool:
        rows = list(pool.map(measure, range(len(images))))
    names = [
        f"{region}frequency {frequency:g}, {angle:g} degrees, {measure}"
        for region in regions
        for frequency, angle in bank
        for measure in GABOR_MEASURES
    ]
    return pd.DataFrame(np.reshape(rows, (-1, len(names))), columns=names, dtype=np.float64)
