"""What the control arms say: every arm against classic at one amount, and whether chance and the planted leak behave."""

import numpy as np
import pandas as pd
from scipy import stats

from .errors import DataError, LesionBookError, SettingsError
from .paired import paired_changes, paired_difference, patient_mean
from .scores import result_row
from .selection import selected
from .settings import require_positive

#: Arms of 05_classification that stand beside the controls, each at the amount that its inner folds chose.
COMPARED = ("classic_extra_real", "dcgan", "acgan")
#: Arms that lie far from classic by what they are; in figures they have a scale of their own.
FAR_OFF = ("gan_only", "permuted", "planted_leak")


def synthetic_per_class(run, gan, seed, fold, asked=None):
    """Return how many synthetic ROIs of each class the arm under study adds in one fold.

    Parameters
    ----------
    run : Run
    gan : str
    seed, fold : int
    asked : int, optional
        Overrides what the inner folds chose.

    Raises
    ------
    SettingsError
        If ``asked`` is not above 0.
    """
    if asked is None:
        return run.chosen(gan, seed, fold)["amount"] // len(run.classes)
    require_positive(control_per_class=asked)
    return asked


def synthetic_group(rois, per_class, classes, where):
    """Return the first ``per_class`` synthetic ROIs of each class.

    Raises
    ------
    DataError
        If there are fewer, naming ``where``: the GAN, seed and fold.
    """
    try:
        return rois.first_of_each_class(per_class, classes)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


def compared_arms(run, gan, seeds, asked=None):
    """Read the predictions of the arms that other notebooks trained, each fold at its own chosen amount.

    Parameters
    ----------
    run : Run
    gan : str
        The arm under study; at ``asked`` ROIs a class if that is given.
    seeds : list of int
    asked : int, optional

    Returns
    -------
    dict of arm to DataFrame
        ``classic`` first, then those of :data:`COMPARED` that the run has, then ``gan_only``.

    Raises
    ------
    SettingsError
        If ``gan`` was not trained with ``asked`` ROIs a class.
    MissingInputError
        If a notebook has not been run, or not with these seeds.
    """
    trained, alone = run.predictions("05_classification"), run.predictions("03_dcgan")
    units = [(seed, fold) for seed in seeds for fold in run.fold_numbers]

    def at_chosen(arm):
        return selected(trained, arm, {unit: run.chosen(arm, *unit) for unit in units})

    arms = {"classic": at_chosen("classic")}
    for arm in COMPARED:
        own = trained[(trained["arm"] == arm) & trained["seed"].isin(seeds)]
        if arm == gan and asked is not None:
            amounts = sorted(own["amount"].unique() // len(run.classes))
            if asked not in amounts:
                raise SettingsError(
                    f"parameter 'control_per_class' is {asked}, but 05_classification trained {gan} with "
                    f"{', '.join(map(str, amounts)) or 'no'} synthetic ROIs a class; choose one of these, or leave it empty"
                )
            arms[arm] = own[own["amount"] == asked * len(run.classes)].assign(amount="all")
        elif len(own):
            arms[arm] = at_chosen(arm)
    alone = alone[(alone["arm"] == "gan_only") & alone["seed"].isin(seeds)]
    return arms | ({"gan_only": alone.assign(amount="all")} if len(alone) else {})


def difference_rows(arms, base, *, table, draws, seed, these_networks=False):
    """Compare arms with one of them on the same lesions, folds and seeds.

    Parameters
    ----------
    arms : dict of arm to DataFrame
        Rows of predictions.csv.
    base : str
        The arm to subtract.
    table : str
        For results.csv.
    draws, seed : int
        Of :func:`paired.paired_difference`.
    these_networks : bool
        Ask about the networks that were trained, not about all that might have been: then intervals are over patients alone.

    Returns
    -------
    list of dict
        Rows of results.csv with metric ``accuracy_difference``, one an arm and test set.

    Raises
    ------
    LesionBookError
        If an arm does not predict what ``base`` predicts.
    """
    rows = []
    for arm, predictions in arms.items():
        for test_set in predictions["test_set"].unique() if arm != base else ():
            new, old = (part[part["test_set"] == test_set] for part in (predictions, arms[base]))
            try:
                if these_networks:
                    difference = patient_mean(paired_changes(new, old), "change", draws=draws, seed=seed)
                else:
                    difference = paired_difference(new, old, draws=draws, seed=seed)
            except ValueError as error:
                raise LesionBookError(
                    f"arm {arm}, {test_set}: not the lesions, folds and seeds of {base}; run its notebook with the same seeds"
                ) from error
            where = {"table": table, "arm": arm, "amount": "all", "test_set": test_set, "fold": "all", "seed": "all"}
            measured = difference.value, difference.interval, difference.lesions
            rows.append(result_row("accuracy_difference", *measured, **where))
    return rows


def chance_row(predictions, **where):
    """Return balanced accuracy with an interval that holds for a network without knowledge, whose errors go in one direction.

    Such a network gives all lesions of one kind the same answer: lesions are then not independent, not even those of different
    patients, and Wilson's interval is much too narrow. So each true class in each fold and seed counts once, with the share of
    its lesions that were named rightly, and the interval is Student's over these shares. Chance is one over the number of
    classes, however uneven they are.

    Parameters
    ----------
    predictions : DataFrame
        Rows of predictions.csv of one arm and test set.
    **where
        Further columns of results.csv.

    Returns
    -------
    dict
        A row of results.csv with metric ``balanced_accuracy``; ``n`` is the number of shares.
    """
    right = predictions["true"] == predictions["predicted"]
    shares = right.groupby([predictions[name] for name in ("seed", "fold", "true")]).mean()
    value, interval = shares.mean(), (np.nan, np.nan)
    if len(shares) > 1:
        reach = stats.t.ppf(0.975, len(shares) - 1) * stats.sem(shares)
        interval = max(0.0, value - reach), min(1.0, value + reach)
    return result_row("balanced_accuracy", value, interval, len(shares), **where)


def alarm_table(chance_rows, differences, classes):
    """Say of each alarm whether it went off as it must.

    Parameters
    ----------
    chance_rows : list of dict
        From :func:`chance_row`, of the arm ``permuted``.
    differences : list of dict
        From :func:`difference_rows` of ``these_networks``, which an alarm is about; of it the arm ``planted_leak`` is used.
    classes : int

    Returns
    -------
    DataFrame
        Columns ``control``, ``test_set``, ``expected``, ``found``, ``as_expected``.
    """
    lines = []
    for row in chance_rows:
        low, high = row["ci_low"], row["ci_high"]
        found = f"balanced accuracy {row['value']:.1%} [{low:.1%}, {high:.1%}]"
        inside = low - 1e-9 <= 1 / classes <= high + 1e-9
        lines.append(("permuted", row["test_set"], f"interval holds chance, {1 / classes:.1%}", found, inside))
    leak = {row["test_set"]: row for row in differences if row["arm"] == "planted_leak"}
    for test_set, row in leak.items():
        fresh = test_set == "independent"
        value, low, high = surplus(_rise(leak["cross_validation"]), _rise(row)) if fresh else _rise(row)
        expected = "cross-validation rises more than this" if fresh else "accuracy rises"
        found = f"{100 * value:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"
        lines.append(("planted_leak", test_set, f"{expected}: interval above 0", found, low > 0))
    return pd.DataFrame(lines, columns=["control", "test_set", "expected", "found", "as_expected"])


def _rise(row):
    return row["value"], row["ci_low"], row["ci_high"]


def surplus(one, other):
    """Return ``one`` minus ``other``, two independent estimates with 95 % intervals (Zou & Donner 2008, method MOVER).

    Parameters
    ----------
    one, other : (value, low, high)

    Returns
    -------
    value, low, high : float
    """
    (a, a_low, a_high), (b, b_low, b_high) = one, other
    return a - b, a - b - np.hypot(a - a_low, b_high - b), a - b + np.hypot(a_high - a, b - b_low)
