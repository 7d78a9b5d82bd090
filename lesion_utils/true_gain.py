"""How large is the true gain, and how sure? Intervals over trained models and patients at once, and the seeds they would need."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from .paired import over_models
from .scores import mean_interval, proportion_row, result_row


@dataclass(frozen=True)
class TrueValue:
    """A mean over models and fresh lesions with its 95 % interval over both, and what each contributes to its variance.

    ``model_variance`` is the variance between single models, ``patient_variance`` that of infinitely many models.
    """

    value: float
    interval: tuple
    model_variance: float
    patient_variance: float
    models_per_seed: int

    @property
    def half_width(self):
        """Half the length of the interval."""
        return (self.interval[1] - self.interval[0]) / 2


def patient_sums(values, patient):
    """Return the sums of (m, n) values over each patient's lesions, (m, p), and the lesions of each, (p,)."""
    person = np.unique(patient, return_inverse=True)[1]
    order = np.argsort(person, kind="stable")
    starts = np.flatnonzero(np.diff(person[order], prepend=-1))
    return np.add.reduceat(np.asarray(values, float)[:, order], starts, axis=1), np.bincount(person)


def true_value(values, patient, seeds, *, draws, seed):
    """Return the mean of (m, n) values over models and lesions, with its interval and the components of its variance.

    Parameters
    ----------
    values : (m, n)
        Correctness, or the difference of two arms' correctness, of each model and lesion.
    patient : (n,)
    seeds : (m,)
        Seed of each model. All have as many.
    draws, seed : int
        Resamplings of whole patients.

    Returns
    -------
    TrueValue
        Its interval is over patients and models (:func:`paired.over_models`). The variance of patients is that of a mean of
        clusters of unequal size.
    """
    parts, (sums, sizes) = components(values, patient, seeds), patient_sums(np.mean(values, axis=0, keepdims=True), patient)
    interval = mean_interval(sums[0], sizes, draws=draws, seed=seed)
    return TrueValue(interval=over_models(interval, parts["value"], np.mean(values, axis=1)), **parts)


def components(values, patient, seeds):
    """Return all of a :class:`TrueValue` but its interval, by name; arguments as in :func:`true_value`."""
    values = np.asarray(values, float)
    mean, models = values.mean(), len(values)
    model_variance = values.mean(axis=1).var(ddof=1) if models > 1 else np.nan
    sums, sizes = patient_sums(values.mean(axis=0, keepdims=True), patient)
    rest, people = sums[0] - mean * sizes, len(sizes)
    patient_variance = people / (people - 1) * (rest**2).sum() / sizes.sum() ** 2
    return {
        "value": float(mean),
        "model_variance": float(model_variance),
        "patient_variance": float(patient_variance),
        "models_per_seed": models // len(np.unique(seeds)),
    }


def seeds_needed(model_variance, patient_variance, models_per_seed, half_width=0.01):
    """Return how many seeds an interval of a wanted half-width needs, with as many fresh lesions as there are.

    The smallest S with t^2 v_m / m + z^2 v_p <= h^2, the interval's own rule (:func:`paired.over_models`), where m is the number
    of models of S seeds, 2 or more, v_m the variance between models, v_p that of patients, h the half-width, z the normal and t
    Student's quantile of 97.5 % with m - 1 degrees of freedom.

    Returns
    -------
    float
        A whole number; infinite if the patients alone make the interval wider; nan if a variance is unknown.
    """
    z = norm.ppf(0.975)
    left = half_width**2 - z**2 * patient_variance
    if np.isnan(model_variance) or np.isnan(left):
        return np.nan
    if left <= 0:
        return np.inf
    # With t in place of z a few more are needed, never fewer.
    enough = max(1 if models_per_seed > 1 else 2, int(z**2 * model_variance / left / models_per_seed))
    seeds = np.arange(enough, enough + 20)
    models = seeds * models_per_seed
    return float(seeds[student.ppf(0.975, models - 1) ** 2 * model_variance / models <= left][0])


def rows_of(arm, correct, difference, truth, gain, names):
    """Return an arm's rows of results.csv: its true accuracy, that of each model, and its true gain over classic.

    ``seeds_for_one_point`` is empty where no number of seeds would do.

    Parameters
    ----------
    arm : str
    correct : (m, n) bool
    difference : (m, n) or None
        None: the arm is classic itself.
    truth, gain : TrueValue, TrueValue or None
    names : list of (seed, fold)
        Of the models.
    """
    where = {"table": "truth", "arm": arm, "amount": "all", "test_set": "fresh"}
    pooled, n = where | {"seed": "all", "fold": "all"}, correct.shape[1]
    rows = [result_row("accuracy", truth.value, truth.interval, n, **pooled)]
    for (seed, fold), own in zip(names, correct, strict=True):
        rows.append(proportion_row("accuracy", int(own.sum()), n, seed=seed, fold=fold, **where))
    if gain is None:
        return rows
    rows.append(result_row("accuracy_difference", gain.value, gain.interval, n, **pooled))
    rows.append(result_row("half_width", gain.half_width, n=n, **pooled))
    needed = seeds_needed(gain.model_variance, gain.patient_variance, gain.models_per_seed)
    rows.append(result_row("seeds_for_one_point", needed if np.isfinite(needed) else np.nan, n=n, **pooled))
    for (seed, fold), own in zip(names, difference, strict=True):
        rows.append(result_row("accuracy_difference", own.mean(), n=n, seed=seed, fold=fold, **where))
    return rows
