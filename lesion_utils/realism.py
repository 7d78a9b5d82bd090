"""Does the simulated cohort measure like real liver CT? Liver, contrast and noise beside real values."""

import cv2
import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from .errors import DataError

#: Percentiles measured on 23 real liver lesions of a public set (portal phase, several scanners), in HU.
REAL_LIVER_CT = pd.DataFrame(
    {
        "liver_hu": (64, 84, 94, 108, 118),  # liver around the lesion
        "core_minus_liver_hu": (-57, -48, -33, -26, 39),  # core of the lesion minus liver
        "noise_sd_hu": (10, 13, 17, 22, 26),  # in the liver, after removing slow variation
    },
    index=pd.Index([5, 25, 50, 75, 95], name="percentile"),
).T

#: Medians of the noise's autocorrelation at 1 to 5 pixels on the same 23 lesions, by slice thickness.
REAL_AUTOCORRELATION = pd.DataFrame(
    {"thin": (0.74, 0.47, 0.39, 0.35, 0.32), "thick": (0.84, 0.67, 0.54, 0.45, 0.34)},  # about 1 mm, and 5 mm
    index=pd.Index([f"autocorrelation_{lag}" for lag in range(1, 6)], name="quantity"),
)
#: Their percentiles are not known: :func:`compare` takes the interval between the two medians, widened by this.
AUTOCORRELATION_TOLERANCE = 0.1

#: Slow variation is the slice smoothed by a Gaussian of this standard deviation, in pixels.
SLOW_VARIATION = 6.0
#: The surroundings: a ring that begins and ends this far from the outline, in pixels.
RING = (2, 12)
#: Soft tissue in HU: leaves out fat, lung and bone before the liver's median is taken.
SOFT_TISSUE = (20, 180)
#: Liver in a slightly smoothed slice lies this near the median, in HU; large vessels and other organs lie further off.
LIVER_BAND = 60
#: HU from the liver at which bone and lung are cut off before smoothing.
CUT_OFF = 200


def measure(cohort):
    """Measure every lesion's surroundings and contrast.

    Parameters
    ----------
    cohort : Cohort
        Slices in HU.

    Returns
    -------
    DataFrame
        A row per lesion, indexed by ``lesion_id``: ``label``, ``liver_hu``, ``core_minus_liver_hu``, ``noise_sd_hu``,
        ``autocorrelation_1`` ... ``autocorrelation_5``. NaN where too little liver surrounds the lesion.

    Raises
    ------
    DataError
        If the slices are not in HU.
    """
    if cohort.intensity != "hu":
        raise DataError("the slices are grey levels, not HU: measures of liver CT do not apply; skip this comparison")
    rows = [
        _measure_lesion(image.astype(np.float32), outline) for image, outline in zip(cohort.slices, cohort.outlines, strict=True)
    ]
    columns = [*REAL_LIVER_CT.index, *REAL_AUTOCORRELATION.index]
    table = pd.DataFrame(rows, columns=columns, index=pd.Index(cohort.lesion_id, name="lesion_id"))
    table.insert(0, "label", cohort.label)
    return table


def compare(measured):
    """Set the cohort's medians beside the real ranges.

    Parameters
    ----------
    measured : DataFrame
        From :func:`measure`.

    Returns
    -------
    DataFrame
        Indexed by quantity: ``simulated`` (median), ``real_median``, ``real_low``, ``real_high`` and ``inside`` (bool).
        The range is 5 to 95 % of 23 real liver lesions of a public set; for autocorrelation, whose median is that of
        thin slices, the interval between the medians at about 1 mm and 5 mm, widened by 0.1.
    """
    thin, thick = REAL_AUTOCORRELATION["thin"], REAL_AUTOCORRELATION["thick"]
    lags = pd.DataFrame(
        {
            "real_median": thin,
            "real_low": np.minimum(thin, thick) - AUTOCORRELATION_TOLERANCE,
            "real_high": np.maximum(thin, thick) + AUTOCORRELATION_TOLERANCE,
        }
    )
    values = REAL_LIVER_CT[[50, 5, 95]].set_axis(["real_median", "real_low", "real_high"], axis=1)
    table = pd.concat([values, lags])
    table.insert(0, "simulated", measured[table.index].median())
    table["inside"] = table["simulated"].between(table["real_low"], table["real_high"])
    return table.rename_axis("quantity")


def autocorrelation(residual, mask, lags=range(1, 6)):
    """Return the autocorrelation of ``residual`` at each lag, the mean over rows and columns.

    Parameters
    ----------
    residual : (h, w) float
    mask : (h, w) bool
        Pairs count where both pixels lie in the mask.
    lags : iterable of int
        Pixels.

    Returns
    -------
    (len(lags),) float64
        NaN where no pair is left.
    """
    values = np.where(mask, residual - residual[mask].mean(), 0).astype(np.float64)
    variance = (values**2).sum() / max(1, mask.sum())
    result = []
    for lag in lags:
        product = (values[lag:] * values[:-lag]).sum() + (values[:, lag:] * values[:, :-lag]).sum()
        pairs = (mask[lag:] & mask[:-lag]).sum() + (mask[:, lag:] & mask[:, :-lag]).sum()
        result.append(product / pairs / variance if pairs and variance else np.nan)
    return np.array(result)


def _measure_lesion(image, outline):
    """Return the values of one lesion, in the order of the table's columns."""
    to_lesion = cv2.distanceTransform((~outline).astype(np.uint8), cv2.DIST_L2, 5)
    depth = cv2.distanceTransform(outline.astype(np.uint8), cv2.DIST_L2, 5)
    ring = (to_lesion > RING[0]) & (to_lesion < RING[1])
    soft = ring & (image > SOFT_TISSUE[0]) & (image < SOFT_TISSUE[1])
    if soft.sum() < 100:
        return np.full(len(REAL_LIVER_CT) + len(REAL_AUTOCORRELATION), np.nan)
    # Chosen on a smoothed slice: on the slice itself the band would cut off the tails of the noise.
    parenchyma = ring & (np.abs(gaussian_filter(image, 2.0) - np.median(image[soft])) < LIVER_BAND)
    liver = np.median(image[parenchyma])
    core = np.median(image[depth > 0.5 * depth.max()])
    # Bone and lung are cut off at this distance from the liver, or the Gaussian would carry them far into it.
    residual = image - gaussian_filter(np.clip(image, liver - CUT_OFF, liver + CUT_OFF), SLOW_VARIATION)
    return [liver, core - liver, residual[parenchyma].std(), *autocorrelation(residual, parenchyma)]
