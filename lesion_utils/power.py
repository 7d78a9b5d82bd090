"""What could this number of lesions show at all? Power of a paired comparison of proportions."""

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from .comparison import changes, one_vote
from .scores import drawn_patients


def lesions_needed(gain, discordant_share, design_effect=1, alpha=0.05, power=0.8, margin=0):
    """Return how many lesions show a gain in accuracy with a given probability (Connett, Smith & McHugh 1987; Connor 1987).

    For independent lesions n = ((z_a sqrt(p - m^2) + z_b sqrt(p - d^2)) / (d - m))^2, with the gain d, the share p of lesions
    that only one of the two arms names rightly, normal quantiles z_a of 1 - alpha/2, two-sided, and z_b of the power, and the
    margin m that is to be exceeded; the references have m = 0.

    Parameters
    ----------
    gain : float
        In accuracy: 0.03 is three points.
    discordant_share : float
        Between 0 and 1. A gain of d moves at least a share d of the lesions; a smaller share is raised to it.
    design_effect : float
        How many times as many lesions are needed because those of one patient are alike; see :func:`design_effect`.
    alpha, power : float
    margin : float
        0: the gain is to differ from zero. Above 0: it is to be shown larger than the margin, as the verdict *helps* asks.

    Returns
    -------
    float
        Not rounded; nan where ``discordant_share`` or ``design_effect`` is nan.

    Raises
    ------
    ValueError
        If a gain, share, level or power is outside its range.
    """
    if not 0 < gain <= 1:
        raise ValueError(f"lesions_needed: a gain of {gain}; it must be above 0 and at most 1 (0.03 is three points)")
    if not 0 <= margin < gain:
        raise ValueError(f"lesions_needed: a margin of {margin}; no number of lesions shows that a gain of {gain} exceeds it")
    return float(design_effect * _independent_lesions(gain, margin, *_checked(discordant_share, alpha, power)))


def smallest_detectable_gain(discordant_share, lesions, design_effect=1, alpha=0.05, power=0.8, margin=0):
    """Return the smallest gain in accuracy that a number of lesions shows with a given probability.

    The inverse of :func:`lesions_needed`, with the same parameters.

    Parameters
    ----------
    lesions : int
        Pairs of predictions, one a lesion.

    Returns
    -------
    float
        Between 0 and 1; nan where so few lesions could not even show that all of them change to the better.
    """
    share, z_alpha, z_power = _checked(discordant_share, alpha, power)
    if not lesions > 0:
        raise ValueError(f"smallest_detectable_gain: {lesions} lesions; there must be some")
    alone = lesions / design_effect

    def excess(gain):
        return np.log(_independent_lesions(gain, margin, share, z_alpha, z_power) / alone)

    return float(brentq(excess, margin + 1e-9, 1.0)) if excess(1.0) <= 0 else np.nan


def _checked(discordant_share, alpha, power):
    if not (np.isnan(discordant_share) or 0 <= discordant_share <= 1):
        raise ValueError(f"a discordant share of {discordant_share}; it must lie between 0 and 1")
    if not (0 < alpha < 1 and 0.5 <= power < 1):
        raise ValueError(f"alpha {alpha} and power {power}: alpha must lie between 0 and 1, power between 0.5 and 1")
    return discordant_share, norm.ppf(1 - alpha / 2), norm.ppf(power)


def _independent_lesions(gain, margin, share, z_alpha, z_power):
    share = share if np.isnan(share) else max(share, gain)
    return ((z_alpha * np.sqrt(share - margin**2) + z_power * np.sqrt(share - gain**2)) / (gain - margin)) ** 2


def seed_changes(new, old):
    """Return what becomes of each lesion in each seed, one vote a lesion: dict of seed to :func:`comparison.changes`.

    Parameters
    ----------
    new, old : DataFrame
        Rows of predictions.csv of one test set, for the same seeds.
    """
    by_seed = dict(list(old.groupby("seed")))
    return {seed: changes(one_vote(part), one_vote(by_seed[seed])) for seed, part in new.groupby("seed")}


def discordant_share(new, old):
    """Return the share of lesions that only one of two arms names rightly, mean over seeds; parameters as above."""
    return float(np.mean([frame["change"].abs().mean() for frame in seed_changes(new, old).values()]))


def design_effect(new, old, *, draws, seed):
    """Return how many times the variance of a difference grows because lesions of one patient change together.

    The variance over resamplings of patients, divided by that of independent lesions. Of few patients it is itself uncertain, and
    may come out below 1.

    Parameters
    ----------
    new, old : DataFrame
        Rows of predictions.csv of one test set, for the same seeds.
    draws, seed : int

    Returns
    -------
    float
        Mean over the seeds in which some lesion changes; nan if none does in any.
    """
    effects = []
    for frame in seed_changes(new, old).values():
        alone = frame["change"].var(ddof=0) / len(frame)
        if alone > 0:
            patients = frame.groupby("patient_id")["change"].agg(["sum", "size"]).to_numpy(float)
            resampled = drawn_patients(len(patients), draws, seed) @ patients
            effects.append(np.var(resampled[:, 0] / resampled[:, 1]) / alone)
    return float(np.mean(effects)) if effects else np.nan
