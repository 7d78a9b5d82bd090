"""Choosing amounts and epochs without the test fold (Cawley & Talbot 2010), and the paper's way of choosing beside it.

The inner folds of an outer fold f are the other folds: each fold v of them is once held out, and what is trained without f and v
is judged on v. A network that is trained without {f, v} serves twice, for f on the lesions of v and for v on those of f.
"""

import pandas as pd

from .scores import smallest_best


def inner_accuracy(inner, by="amount"):
    """Return the accuracy on the inner folds.

    Parameters
    ----------
    inner : DataFrame
        Predictions of inner trainings of one arm: ``seed``, ``fold`` (the outer fold that is served), ``true``, ``predicted`` and
        the column ``by``. All lesions were held out of the training that predicts them, and none is of the outer fold.
    by : str
        ``amount`` or ``epoch``.

    Returns
    -------
    Series
        Indexed by seed, fold and ``by``; pooled over the inner folds.
    """
    return (inner["true"] == inner["predicted"]).groupby([inner["seed"], inner["fold"], inner[by]]).mean()


def best_of_each_fold(inner, by="amount"):
    """Return what the inner folds choose for every outer fold: the smallest value of ``by`` that reaches the best accuracy.

    Returns
    -------
    dict of (seed, fold) to the value
    """
    accuracy = inner_accuracy(inner, by)
    return {
        key: smallest_best(part.droplevel([0, 1]).to_dict()) for key, part in accuracy.groupby(level=["seed", "fold"], sort=True)
    }


def pooled_accuracy(predictions):
    """Return the cross-validated accuracy by amount, pooled over folds and seeds."""
    own = predictions[predictions["test_set"] == "cross_validation"]
    return (own["true"] == own["predicted"]).groupby(own["amount"]).mean().to_dict()


def naive_amount(predictions):
    """Return the amount that classifies best on the test folds themselves: the paper's choice, which flatters the chosen point.

    Parameters
    ----------
    predictions : DataFrame
        Rows of predictions.csv of one arm; see :func:`of_arm`.
    """
    return smallest_best(pooled_accuracy(predictions))


def of_arm(predictions, arm):
    """Return the rows of one arm; those of ``real`` are amount 0 of ``classic``."""
    return predictions[predictions["arm"].isin(["real", "classic"] if arm == "classic" else [arm])]


def selected(predictions, arm, choices):
    """Return the predictions of one arm, of each seed and fold those at its own chosen amount.

    Parameters
    ----------
    predictions : DataFrame
        Rows of predictions.csv.
    arm : str
    choices : dict of (seed, fold) to dict
        ``amount`` of each; see :meth:`runs.Run.choices`.

    Returns
    -------
    DataFrame
        With ``arm`` as asked, and ``amount`` ``all``: the amounts differ from fold to fold.

    Raises
    ------
    ValueError
        If a choice has no predictions.
    """
    rows, parts = of_arm(predictions, arm), []
    for (seed, fold), choice in choices.items():
        own = (rows["seed"] == seed) & (rows["fold"] == fold) & (rows["amount"] == choice["amount"])
        if not own.any():
            raise ValueError(f"no predictions of {arm}, seed {seed}, fold {fold} at the chosen amount {choice['amount']}")
        parts.append(rows[own].assign(arm=arm, amount="all"))
    return pd.concat(parts, ignore_index=True)
