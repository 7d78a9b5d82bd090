"""The committed numbers of :mod:`calibration`: the simulated cohort beside the paper's five results without a GAN."""

from pathlib import Path

import pandas as pd

from .paper import ACCURACY, LESIONS
from .scores import wilson

#: Without a GAN the paper prints five results, by our names of arms.
ARMS = ("real", "classic", "bovw_mi_single", "gabor", "glcm")
#: One row an arm and cohort seed.
TABLE = Path(__file__).with_name("calibration.csv")
COLUMNS = ("stage", "appearance", "arm", "seed", "lesions", "correct")
#: Cohort seeds that an arm needs before its mean counts.
SEEDS_NEEDED = 5


def summary(rows):
    """Set the mean accuracy over cohort seeds beside the paper's interval.

    Parameters
    ----------
    rows : DataFrame
        Of one stage and one appearance; see :func:`evaluate`.

    Returns
    -------
    DataFrame
        Indexed by arm, in the order of :data:`ARMS`: ``seeds`` (how many), ``mean``, ``lowest``, ``highest``, the ``paper``'s
        value and the ends ``low`` and ``high`` of its Wilson 95 % interval, and ``inside``: does the mean lie within it?
        An arm that has not been run has 0 seeds, no mean, and is not inside.
    """
    accuracy = (rows["correct"] / rows["lesions"]).groupby(rows["arm"])
    table = pd.DataFrame({"seeds": accuracy.size(), "mean": accuracy.mean(), "lowest": accuracy.min(), "highest": accuracy.max()})
    table = table.reindex(ARMS)
    table["seeds"] = table["seeds"].fillna(0).astype(int)
    table["paper"] = [ACCURACY[arm] for arm in ARMS]
    table[["low", "high"]] = [wilson(round(ACCURACY[arm] * LESIONS), LESIONS) for arm in ARMS]
    table["inside"] = table["mean"].between(table["low"], table["high"])
    return table.rename_axis("arm")


def sentence(table):
    """Say in words which arms of :func:`summary` lie inside the paper's interval, and which were run on too few cohorts."""
    enough = table["seeds"] >= SEEDS_NEEDED
    parts = [
        f"On at least {SEEDS_NEEDED} cohorts, {(table['inside'] & enough).sum()} of {len(table)} results lie inside the interval"
    ]
    outside, few = table.index[enough & ~table["inside"]], table.index[~enough]
    parts += [f"outside: {', '.join(outside)}"] * bool(len(outside))
    parts += [f"on fewer cohorts, so not counted: {', '.join(few)}"] * bool(len(few))
    return "; ".join(parts) + "."


def stages_sentence(rows):
    """Say in words how much of the confirmation was run: without it, what agrees is what was fitted.

    Parameters
    ----------
    rows : DataFrame
        The whole table, of every stage.
    """
    confirmed = rows[rows["stage"] == "confirmation"]
    if confirmed.empty:
        return (
            "Only the search was run. The confirmation, on further cohorts at the paper's settings, was not: "
            "the table shows what the constants were fitted to, and no independent agreement."
        )
    table = summary(confirmed)
    whole = table.index[table["seeds"] >= SEEDS_NEEDED]
    text = f"The confirmation, on cohorts that nothing was chosen on, was run for {len(whole)} of {len(table)} results"
    missing = table.index.difference(whole, sort=False)
    return f"{text}; not, or on too few cohorts: {', '.join(missing)}." if len(missing) else f"{text}."
