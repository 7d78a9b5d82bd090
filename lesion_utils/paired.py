"""Differences of two arms on the same lesions: their interval over patients and networks, and what it allows to say."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from .scores import drawn_patients, mean_interval, wilson


@dataclass(frozen=True)
class Difference:
    """A difference of two accuracies on the same lesions, with its 95 % interval."""

    value: float
    interval: tuple
    lesions: int


def paired_difference(new, old, *, draws, seed):
    """Compare two arms lesion by lesion: accuracy of ``new`` minus accuracy of ``old``.

    The interval is the percentile interval over resamplings of whole patients, because lesions of one patient are alike; where
    lesions have several predictions it also holds the chance of training, because networks that are trained alike differ too.

    Parameters
    ----------
    new, old : DataFrame
        Rows of predictions.csv for the same lesions, folds and seeds.
    draws : int
    seed : int

    Returns
    -------
    Difference
        Its interval is that of :func:`over_models`. A model is a seed and fold where each of these predicts all lesions, as of
        the independent test set; else a seed, whose folds together do. With one model the interval is over patients alone.

    Raises
    ------
    ValueError
        If the two do not predict the same lesions.
    """
    both = paired_changes(new, old)
    found = patient_mean(both, "change", draws=draws, seed=seed)
    interval = over_models(found.interval, found.value, both.groupby(_model(both))["change"].mean())
    return Difference(found.value, interval, found.lesions)


def balanced_difference(new, old, *, draws, seed):
    """Compare two arms lesion by lesion: balanced accuracy, the mean sensitivity of the classes, of ``new`` minus ``old``.

    Where nearly all lesions are of one class, accuracy says how often that class is answered; here every class counts alike.

    Parameters
    ----------
    new, old, draws, seed
        As of :func:`paired_difference`.

    Returns
    -------
    Difference
        Its interval is over patients and models, as that of :func:`paired_difference`. Resamplings without a class are left out.
    """
    both = paired_changes(new, old)
    classes, label = np.unique(both["true_new"], return_inverse=True)
    patients, patient = np.unique(both["patient_id"], return_inverse=True)
    sums, sizes = np.zeros((2, len(patients), len(classes)))
    np.add.at(sums, (patient, label), both["change"])
    np.add.at(sizes, (patient, label), 1)
    value = float((sums.sum(axis=0) / sizes.sum(axis=0)).mean())
    drawn = drawn_patients(len(patients), draws, seed)
    asked = drawn @ sizes
    changed = np.divide(drawn @ sums, asked, out=np.full(asked.shape, np.nan), where=asked > 0)
    low, high = np.nanquantile(changed.mean(axis=1), [0.025, 0.975])
    model = _model(both)
    by_model = both.groupby([*model, "true_new"])["change"].mean().groupby(level=list(range(len(model)))).mean()
    return Difference(value, over_models((float(low), float(high)), value, by_model), int(both["lesion_id"].nunique()))


def _model(both):
    """Return the columns that tell models apart: a seed's folds are one where none of them predicts all lesions."""
    lesions = both.groupby(["seed", "fold"])["lesion_id"].nunique()
    return ["seed"] if (lesions < both["lesion_id"].nunique()).any() else ["seed", "fold"]


def over_models(interval, value, by_model):
    """Return a 95 % interval over patients, widened by the spread of the models.

    Each end moves away from the value to the root of two squares: its own distance, and half of Student's interval of the mean
    over models. A handful of models is too few to be resampled. The part of the variance that belongs to single pairs of model
    and patient is counted twice (Owen 2007), which makes the interval rather too wide.

    Parameters
    ----------
    interval : (low, high)
        Over patients, of the mean over the models.
    value : float
        The mean.
    by_model : (m,)
        Of single models; with one, the interval is returned as it is.
    """
    m = len(by_model)
    reach = student.ppf(0.975, m - 1) * np.std(by_model, ddof=1) / np.sqrt(m) if m > 1 else 0.0
    if not reach:
        return interval
    low, high = interval
    return float(value - np.hypot(value - low, reach)), float(value + np.hypot(high - value, reach))


def share_over_models(successes, trials, by_model):
    """Return Wilson's 95 % interval of a share, widened by the spread of the models' own shares and cut at 0 and 1.

    For images drawn by a few GANs: those of one are alike. nan without trials.
    """
    if not trials:
        return np.nan, np.nan
    low, high = over_models(wilson(successes, trials), successes / trials, by_model)
    return max(low, 0.0), min(high, 1.0)


def paired_changes(new, old):
    """Return the rows of both arms, one a prediction, with ``change``: +1 if only ``new`` is right, -1 if only ``old``, else 0.

    Raises
    ------
    ValueError
        If the two do not predict the same lesions.
    """
    keys = ["patient_id", "lesion_id", "fold", "seed"]
    both = new.assign(correct=new["true"] == new["predicted"]).merge(
        old.assign(correct=old["true"] == old["predicted"]), on=keys, suffixes=("_new", "_old"), validate="one_to_one"
    )
    if not len(both) == len(new) == len(old):
        raise ValueError("the two arms do not predict the same lesions; compare arms of one run")
    return both.assign(change=both["correct_new"].astype(int) - both["correct_old"].astype(int))


def patient_mean(rows, column, *, draws, seed):
    """Return the mean of a column with its 95 % percentile interval over resamplings of whole patients, as a :class:`Difference`.

    Parameters
    ----------
    rows : DataFrame
        Columns ``patient_id``, ``lesion_id`` and ``column``.
    column : str
    draws, seed : int
    """
    patients = rows.groupby("patient_id")[column].agg(["sum", "size"]).to_numpy(float)
    interval = mean_interval(*patients.T, draws=draws, seed=seed)
    return Difference(float(rows[column].mean()), interval, int(rows["lesion_id"].nunique()))


def points(difference):
    """Write a difference in percentage points with its interval: ``+1.6 points (95 % interval -2.2 to +5.5)``."""
    low, high = (100 * end for end in difference.interval)
    return f"{100 * difference.value:+.1f} points (95 % interval {low:+.1f} to {high:+.1f})"


def margin_text(margin):
    """Write a margin of accuracy in words: ``1 point``, ``2.5 points``."""
    return f"{100 * margin:g} point{'s' * (margin != 0.01)}"


def decide(interval, margin):
    """Say in a word or two what an interval of a difference allows to say, given the smallest difference that matters.

    Parameters
    ----------
    interval : (low, high)
        Of a difference of accuracies; nan where there is none.
    margin : float
        Smallest difference that matters, set before the results are seen; 0 or more.

    Returns
    -------
    str
        ``helps`` if the whole interval lies above ``margin``; ``harms`` if below ``-margin``;
        ``makes no difference that matters`` if it lies wholly inside [-margin, margin], the ends included; else ``cannot tell``.
        An end exactly on the margin is not beyond it. Ends are not rounded first.

    Raises
    ------
    ValueError
        If the margin is negative or no number, or the interval's ends are exchanged.
    """
    low, high = interval
    if not margin >= 0:
        raise ValueError(f"decide: the margin is {margin}; set the parameter 'accuracy_margin' to 0 or more, 0.01 for one point")
    if low > high:
        raise ValueError(f"decide: the interval runs from {low} to {high}; give its lower end first")
    if low > margin:
        return "helps"
    if high < -margin:
        return "harms"
    if low >= -margin and high <= margin:
        return "makes no difference that matters"
    return "cannot tell"


def verdict(difference, added, margin):
    """Say in words what an interval of a difference allows to say about what was ``added``, a plural; see :func:`decide`."""
    size, (low, high) = margin_text(margin), difference.interval
    decided = decide(difference.interval, margin)
    if decided == "cannot tell" and (low > 0 or high < 0):
        return f"sees a {'gain' if low > 0 else 'loss'} by {added}, but cannot tell whether it is more than {size}"
    return {
        "helps": f"says that {added} help here, by more than {size}",
        "harms": f"says that {added} harm here, by more than {size}",
        "makes no difference that matters": f"says that {added} make no difference that matters here: at most {size}",
        "cannot tell": f"cannot tell whether {added} make a difference of more than {size} here",
    }[decided]
