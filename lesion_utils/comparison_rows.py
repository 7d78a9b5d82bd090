"""Every arm at its chosen amount, and its tests, optimism and power as rows of results.csv."""

import numpy as np
import pandas as pd

from .comparison import corrected_t, fold_differences, holm, mcnemar, one_vote
from .errors import MissingInputError
from .paired import decide, paired_changes, paired_difference, patient_mean
from .power import design_effect, discordant_share, lesions_needed, smallest_detectable_gain
from .scores import result_row
from .selection import naive_amount, of_arm, selected

CROSS_VALIDATION = "cross_validation"


def predictions_of(run, notebook, seeds):
    """Return a notebook's predictions of the given seeds.

    Parameters
    ----------
    run : Run
    notebook : str
    seeds : sequence of int

    Raises
    ------
    MissingInputError
        If the notebook was not run, or with none of these seeds.
    """
    everything = run.predictions(notebook)
    own = everything[everything["seed"].isin(seeds)]
    if own.empty:
        raise MissingInputError(
            f"{run.folder}/predictions/{notebook}.csv has none of the seeds {', '.join(map(str, seeds))}: "
            f"run notebooks/{notebook}.ipynb with them in its parameter 'seeds'"
        )
    return own


def seed_status(wanted, asked, folds, predictions):
    """Return what became of every seed: a seed that was not run is marked so, and nothing stands in its place.

    Parameters
    ----------
    wanted : int
        Number of seeds of the full experiment: 0 to wanted - 1.
    asked : sequence of int
        Seeds that this run was asked for.
    folds : int
    predictions : DataFrame
        Rows of predictions.csv of one arm.

    Returns
    -------
    DataFrame
        ``seed``, ``asked`` (bool), ``folds_run``, and ``state``: ``run``, ``run in part`` or ``not run``.
    """
    run = predictions.groupby("seed")["fold"].nunique()
    rows = []
    for seed in sorted({*range(wanted), *asked}):
        done = int(run.get(seed, 0))
        state = "run" if done >= folds else "run in part" if done else "not run"
        rows.append({"seed": seed, "asked": seed in asked, "folds_run": done, "state": state})
    return pd.DataFrame(rows)


def arms_at_choice(predictions, choices):
    """Return every arm's predictions at one amount for each seed and fold, the one that the inner folds chose.

    Parameters
    ----------
    predictions : DataFrame
        Rows of predictions.csv of one or more notebooks.
    choices : dict of arm to dict of (seed, fold) to dict
        From :meth:`runs.Run.choices`; an arm without choices must have one amount only.

    Returns
    -------
    dict of arm to DataFrame

    Raises
    ------
    ValueError
        If an arm without choices has several amounts in one seed and fold.
    """
    arms, seeds = {}, set(predictions["seed"])
    for arm in predictions["arm"].unique():
        own = of_arm(predictions, arm)
        if arm in choices:
            arms[arm] = selected(predictions, arm, {key: one for key, one in choices[arm].items() if key[0] in seeds})
            continue
        amounts = own.groupby(["seed", "fold"])["amount"].nunique()
        if amounts.max() > 1:
            seed, fold = amounts.idxmax()
            raise ValueError(f"arm {arm}, seed {seed}, fold {fold} has {amounts.max()} amounts and nothing says which was chosen")
        arms[arm] = own if own["amount"].nunique() == 1 else own.assign(amount="all")
    return arms


def same_models(old, new):
    """Return the rows of ``old`` of the seeds, folds and test sets that ``new`` has: an arm may have been run for fewer."""
    keys = ["seed", "fold", "test_set"]
    return old.merge(new[keys].drop_duplicates(), on=keys)


def _where(table, part):
    return {"table": table} | {name: part[name].iloc[0] for name in ("arm", "amount", "test_set")}


def _by_test_set(new, old):
    for _, part in new.groupby("test_set", sort=False):
        yield part, same_models(old, part)


def test_rows(new, old, *, margin, draws, seed):
    """Return rows of results.csv (table ``tests``): one arm against another on each test set.

    ``difference`` has its interval over patients and models (:func:`paired.paired_difference`) and decides the ``verdict`` (its
    word is the label, its value the margin). ``mcnemar_gained``, ``_lost`` and ``_p`` are one a seed, by
    :func:`comparison.one_vote`. ``corrected_t`` and ``corrected_t_p`` are of the cross-validation alone: their correction is for
    folds that test in turn; n counts the repeats.

    Parameters
    ----------
    new, old : DataFrame
        Rows of predictions.csv, of each seed and fold at one amount; ``old`` may have more seeds and folds.
    margin : float
        Smallest difference that matters.
    draws, seed : int
        Of the bootstrap.
    """
    rows = []
    for part, base in _by_test_set(new, old):
        where = _where("tests", part) | {"fold": "all"}
        found = paired_difference(part, base, draws=draws, seed=seed)
        pooled = where | {"seed": "all"}
        rows.append(result_row("difference", found.value, found.interval, found.lesions, **pooled))
        rows.append(result_row("verdict", margin, n=found.lesions, label=decide(found.interval, margin), **pooled))
        for number, own in part.groupby("seed"):
            one = mcnemar(one_vote(own), one_vote(base[base["seed"] == number]))
            for name, value in (("gained", one.gained), ("lost", one.lost), ("p", one.p_value)):
                rows.append(result_row(f"mcnemar_{name}", value, n=own["lesion_id"].nunique(), seed=number, **where))
        if where["test_set"] == CROSS_VALIDATION:
            t = corrected_t(*fold_differences(part, old[old["test_set"] == CROSS_VALIDATION]))
            rows.append(result_row("corrected_t", t.value, t.interval, t.repeats, **pooled))
            rows.append(result_row("corrected_t_p", t.p_value, n=t.repeats, **pooled))
    return rows


test_rows.__test__ = False  # its name says that to pytest


def holm_rows(rows, family):
    """Return the adjusted p-values of a family of tests, metric ``<metric>_holm``, for each kind of test and test set.

    Every seed's test belongs to the family: whoever looks at the smallest p-value of several seeds has made several tests.

    Parameters
    ----------
    rows : list of dict
        From :func:`test_rows`, of all arms or amounts of the family.
    family : str
        What is tested together; becomes the label. n is the number of tests in it.
    """
    kinds = {}
    for row in rows:
        if row["metric"] in ("mcnemar_p", "corrected_t_p"):
            kinds.setdefault((row["metric"], row["test_set"]), []).append(row)
    adjusted = []
    for own in kinds.values():
        values = holm([row["value"] for row in own])
        made = int((~np.isnan(values)).sum())
        for row, value in zip(own, values, strict=True):
            adjusted.append(row | {"metric": f"{row['metric']}_holm", "value": value, "n": made, "label": family})
    return adjusted


def family_rows(family, arms, base, **settings):
    """Return the rows of one family of tests, one question asked of several arms: :func:`test_rows` and :func:`holm_rows`.

    Parameters
    ----------
    family : str
    arms : dict of str or int to DataFrame
        Arms, or amounts of one arm.
    base : DataFrame
        What each is compared with.
    settings
        As of :func:`test_rows`.
    """
    rows = [row for new in arms.values() for row in test_rows(new, base, **settings)]
    return [*rows, *holm_rows(rows, family)]


def optimism_rows(predictions, honest, *, draws, seed):
    """Return rows (table ``optimism``): accuracy at the naive amount, at the inner folds' choice, and the difference.

    In cross-validation the difference is what choosing on the test folds flatters (Cawley & Talbot 2010); its interval resamples
    patients and holds the choices and the networks fixed: the optimism is that of this run. On the independent test set neither
    choice has seen the lesions, and the difference asks whether the naive amount is better; networks of different amounts differ
    by chance too, so its interval is that of :func:`paired.paired_difference`.

    Parameters
    ----------
    predictions : DataFrame
        Rows of predictions.csv of one arm at all amounts; see :func:`selection.of_arm`.
    honest : DataFrame
        The same arm from :func:`arms_at_choice`.
    draws, seed : int
    """
    amount = naive_amount(predictions)
    rows = []
    for part, flattered in _by_test_set(honest, predictions[predictions["amount"] == amount]):
        where = _where("optimism", part) | {"fold": "all", "seed": "all"}
        for name, own, at in (("accuracy_honest", part, "all"), ("accuracy_naive", flattered, amount)):
            right = own.assign(right=(own["true"] == own["predicted"]).astype(float))
            found = patient_mean(right, "right", draws=draws, seed=seed)
            rows.append(result_row(name, found.value, found.interval, found.lesions, **where | {"amount": at}))
        if where["test_set"] == CROSS_VALIDATION:
            found = patient_mean(paired_changes(flattered, part), "change", draws=draws, seed=seed)
        else:
            found = paired_difference(flattered, part, draws=draws, seed=seed)
        rows.append(result_row("optimism", found.value, found.interval, found.lesions, **where | {"amount": amount}))
    return rows


def power_rows(new, old, *, gain, margin, alpha, power, draws, seed):
    """Return rows (table ``power``): what the lesions of each test set could show of the difference of two arms, with one seed.

    Metrics ``discordant_share``, ``design_effect``, ``smallest_gain`` and ``lesions_needed`` (for ``gain``), to differ from zero,
    and the last two again with ``_beyond_margin``, to earn the verdict *helps*; where the gain does not exceed the margin, no
    number of lesions does, and the value is empty. A design effect below 1 is chance and counts as 1, and so does one that cannot
    be measured because no lesion changes.

    Parameters
    ----------
    new, old, draws, seed
        As of :func:`test_rows`.
    gain, margin, alpha, power : float
        ``margin`` is the smallest difference that matters.
    """
    rows = []
    for part, base in _by_test_set(new, old):
        where = _where("power", part)
        lesions, share = part["lesion_id"].nunique(), discordant_share(part, base)
        measured = design_effect(part, base, draws=draws, seed=seed)
        effect = 1.0 if np.isnan(measured) else max(1.0, measured)
        levels = {"design_effect": effect, "alpha": alpha, "power": power}
        values = {
            "discordant_share": share,
            "design_effect": measured,
            "smallest_gain": smallest_detectable_gain(share, lesions, **levels),
            "lesions_needed": lesions_needed(gain, share, **levels),
            "smallest_gain_beyond_margin": smallest_detectable_gain(share, lesions, margin=margin, **levels),
            "lesions_needed_beyond_margin": lesions_needed(gain, share, margin=margin, **levels) if gain > margin else np.nan,
        }
        rows += [result_row(name, value, n=lesions, fold="all", seed="all", **where) for name, value in values.items()]
    return rows
