"""What readers' answers are worth: accuracy, d-prime, kappa and agreement, with intervals (paper, section 4.4 and Table 4)."""

import warnings
from itertools import combinations
from statistics import NormalDist

import numpy as np
import pandas as pd
from statsmodels.stats.inter_rater import cohens_kappa

from .reading import ORIGINS
from .scores import proportion_row, result_row

#: Machine readers in words; whoever is not here is a person.
MACHINES = {
    "cnn": "CNN (machine)",
    "real_or_synthetic_classifier": "real-or-synthetic classifier (machine)",
    "bovw_mi_multi": "BoVW-MI, multi (machine)",
    "bovw_mi_single": "BoVW-MI, single (machine)",
}

#: The paper's Table 4 as counts (correct, of): they are the only whole numbers that give its printed percentages and totals.
PAPER_TABLE_4 = {
    "expert 1": {"real": (142, 182), "synthetic": (93, 120), "all": (235, 302), "origin": (189, 302)},
    "expert 2": {"real": (126, 182), "synthetic": (83, 120), "all": (209, 302), "origin": (177, 302)},
}
#: Its two experts on the 302 ROIs: the same class, and both the right one.
PAPER_PAIR = ((222, 302), (185, 302))
#: The paper's mix: real, synthetic.
PAPER_MIX = (182, 120)


def reader_name(reader):
    """Return a reader's name for tables, figures and sentences; a machine is called a machine."""
    return MACHINES.get(reader, reader.replace("_", " "))


def always_real(real, synthetic):
    """Return the share of right answers of whoever says "real" each time; 60.3 % in the paper's mix."""
    return real / (real + synthetic)


def d_prime(hits, signals, false_alarms, noises, confidence=0.95):
    """Return d', the distance of real and synthetic in a reader's eyes, and its interval.

    Rates are corrected log-linearly (Hautus 1995: half a case added to each cell), so that 0 and 100 % stay finite. The interval
    is d' plus and minus z times the square root of its variance after Gourevitch and Galanter (1967),
    H (1 - H) / (n_s phi(z_H)^2) + F (1 - F) / (n_n phi(z_F)^2), with the corrected rates and numbers.

    Parameters
    ----------
    hits, signals : int
        Synthetic ROIs called synthetic, of all synthetic ROIs.
    false_alarms, noises : int
        Real ROIs called synthetic, of all real ROIs.

    Returns
    -------
    value : float
        0: no better than chance, whatever the reader's leaning. nan if there are no ROIs of one kind.
    interval : (float, float)
    """
    if signals == 0 or noises == 0:
        return np.nan, (np.nan, np.nan)
    normal, value, variance = NormalDist(), 0.0, 0.0
    for sign, yes, n in ((1, hits, signals), (-1, false_alarms, noises)):
        rate = (yes + 0.5) / (n + 1)
        z = normal.inv_cdf(rate)
        value += sign * z
        variance += rate * (1 - rate) / ((n + 1) * normal.pdf(z) ** 2)
    reach = normal.inv_cdf(0.5 + confidence / 2) * np.sqrt(variance)
    return value, (value - reach, value + reach)


def kappa(one, other, labels):
    """Return Cohen's kappa of two readers on the same items and its 95 % interval (large-sample variance of Fleiss et al., 1969).

    Parameters
    ----------
    one, other : sequence of str
    labels : sequence of str

    Returns
    -------
    value : float
        1: all alike; 0: as chance would have it. nan if both only ever gave one and the same answer: chance then explains all.
    interval : (float, float)
    """
    table = pd.crosstab(pd.Categorical(one, labels), pd.Categorical(other, labels), dropna=False).to_numpy()
    n = table.sum()
    if n == 0 or (table.sum(axis=0) @ table.sum(axis=1)) == n * n:
        return np.nan, (np.nan, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # tests of kappa = 0, which we do not use, may divide by zero
        result = cohens_kappa(table)
    return float(result.kappa), (float(max(-1, result.kappa_low)), float(min(1, result.kappa_upp)))


def with_truth(answers, key):
    """Return answers beside the key's ``true_class`` and ``true_origin``.

    Raises
    ------
    ValueError
        If a reader answers an item twice or one that the key does not have.
    """
    truth = key[["item", "class", "origin"]].rename(columns={"class": "true_class", "origin": "true_origin"})
    both = answers.merge(truth, on="item", how="left", validate="many_to_one")
    if both["true_class"].isna().any() or both.duplicated(["reader", "item"]).any():
        raise ValueError("with_truth: an answer to an unknown item, or two answers of one reader to the same item")
    return both


def reader_rows(answers, key, *, machine="cnn"):
    """Return rows of results.csv for each reader by itself, and for ``machine`` on the very ROIs that the reader classified.

    Parameters
    ----------
    answers : DataFrame
        From :func:`answers.read_readers` and :func:`answers.machine_answers`; empty text is no answer and is not counted.
    key : DataFrame
    machine : str
        The reader that stands beside all others.

    Returns
    -------
    list of dict
        ``table4``, ``arm`` the reader. ``class_accuracy`` and ``<machine>_class_accuracy`` with ``label`` real, synthetic or all;
        ``origin_accuracy``; ``origin_sensitivity`` (synthetic ROIs called synthetic), ``origin_specificity`` (real ROIs called
        real), ``d_prime`` and ``always_real``, the share of real ones among the ROIs judged; ``median_seconds`` a ROI.
    """
    both = with_truth(answers, key)
    beside = both[(both["reader"] == machine) & (both["class"] != "")].set_index("item")
    rows = []
    for reader, own in both.groupby("reader", sort=False):
        where = {"table": "table4", "arm": reader, "test_set": "reader_study"}
        classified = own[own["class"] != ""]
        for origin in (*ORIGINS, "all") if len(classified) else ():
            part = classified if origin == "all" else classified[classified["true_origin"] == origin]
            right = (part["class"] == part["true_class"]).sum()
            rows.append(proportion_row("class_accuracy", right, len(part), label=origin, **where))
            if reader != machine:
                same = beside.loc[beside.index.intersection(part["item"])]
                right = (same["class"] == same["true_class"]).sum()
                rows.append(proportion_row(f"{machine}_class_accuracy", right, len(same), label=origin, **where))
        judged = own[own["origin"] != ""]
        rows += _origin_rows(judged["true_origin"], judged["origin"], where) if len(judged) else []
        seconds = own["seconds"].dropna()
        rows += [result_row("median_seconds", seconds.median(), n=len(seconds), label="all", **where)] if len(seconds) else []
    return rows


def _origin_rows(true, said, where):
    real, synthetic = (true == "real").sum(), (true == "synthetic").sum()
    hits = ((true == "synthetic") & (said == "synthetic")).sum()
    kept = ((true == "real") & (said == "real")).sum()
    return [
        proportion_row("origin_accuracy", hits + kept, real + synthetic, label="all", **where),
        proportion_row("origin_sensitivity", hits, synthetic, label="synthetic", **where),
        proportion_row("origin_specificity", kept, real, label="real", **where),
        result_row("d_prime", *d_prime(hits, synthetic, real - kept, real), real + synthetic, label="all", **where),
        result_row("always_real", always_real(real, synthetic), n=real + synthetic, label="all", **where),
    ]


def pair_rows(answers, key, classes):
    """Return rows of results.csv for each pair of readers: how often they agree, and are both right, on what both answered.

    Returns
    -------
    list of dict
        ``table4``, ``arm`` one reader, ``predicted`` the other; ``label`` says the task, class or origin. Metrics ``agreement``,
        ``both_correct`` and ``kappa``. Pairs without a common answer have no rows.
    """
    both = with_truth(answers, key)
    tasks = {"class": classes, "origin": ORIGINS}
    rows = []
    for one, other in combinations(both["reader"].unique(), 2):
        pair = both[both["reader"] == one].merge(both[both["reader"] == other], on="item", suffixes=("", "_other"))
        where = {"table": "table4", "arm": one, "predicted": other, "test_set": "reader_study"}
        for task, labels in tasks.items():
            part = pair[(pair[task] != "") & (pair[f"{task}_other"] != "")]
            if part.empty:
                continue
            alike = part[task] == part[f"{task}_other"]
            right = alike & (part[task] == part[f"true_{task}"])
            rows.append(proportion_row("agreement", alike.sum(), len(part), label=task, **where))
            rows.append(proportion_row("both_correct", right.sum(), len(part), label=task, **where))
            rows.append(result_row("kappa", *kappa(part[task], part[f"{task}_other"], labels), len(part), label=task, **where))
    return rows
