"""How often a small experiment reports a large gain where there is none: the paper's design, many times, without an effect.

An experiment draws a cohort of fresh lesions, deals its patients to folds, and gives each fold a baseline model and one model for
each amount that is tried, all trained alike. So every gain that it reports is chance. The resampling assumes that amounts have no
effect and that models are exchangeable. Each model was trained on patients of its own deal, where models of one fold of a real
experiment share their patients: so models differ rather more here, and false gains may come out somewhat too frequent.
"""

from dataclasses import dataclass, field

import numpy as np

from .errors import SettingsError
from .scores import result_row, wilson


@dataclass(frozen=True)
class Experiments:
    """Gains that experiments without an effect report, (draws,): of the best amount, and of one named beforehand."""

    best: np.ndarray = field(repr=False)
    beforehand: np.ndarray = field(repr=False)


def patient_table(patient, lesions):
    """Return the lesions of each patient, (p, most lesions of one) int, filled up with -1.

    Parameters
    ----------
    patient : (n,) str
    lesions : (m,) int
        Those to list.
    """
    _, person, sizes = np.unique(patient[lesions], return_inverse=True, return_counts=True)
    order = np.argsort(person, kind="stable")
    nth = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    table = np.full((len(sizes), sizes.max()), -1)
    table[person[order], nth] = lesions[order]
    return table


def draw_cohort(tables, counts, folds, random):
    """Draw whole patients until each class has its number of lesions, and deal them to folds.

    Parameters
    ----------
    tables : list of (p, q) int
        From :func:`patient_table`, one a class.
    counts : sequence of int
        Lesions of each class; of a class's last patient as many as are still wanted, as in the simulated cohort.
    folds : int
    random : numpy.random.Generator

    Returns
    -------
    lesion, fold : (sum of counts,) int
        A patient is in one fold only; in each class the folds differ by as many lesions as a patient has.
    """
    lesions, dealt = [], []
    for table, count in zip(tables, counts, strict=True):
        people = table[random.choice(len(table), min(count, len(table)), replace=False)]
        real = people >= 0
        sizes = real.sum(axis=1)
        middle = np.cumsum(sizes) - sizes / 2  # of a patient's lesions in the row of all
        lesions.append(people[real][:count])
        dealt.append(np.repeat(np.minimum(middle * folds / count, folds - 1).astype(int), sizes)[:count])
    return np.concatenate(lesions), np.concatenate(dealt)


def draw_models(weights, folds, amounts, random):
    """Draw a baseline model and a model for each amount, for every fold.

    Parameters
    ----------
    weights : (m,)
        How often each model counts; 0: not at all.
    folds, amounts : int
    random : numpy.random.Generator

    Returns
    -------
    (folds, 1 + amounts) int
        The baseline first. No model comes twice in a fold while there are enough; the baseline's never does.
    """
    with np.errstate(divide="ignore"):
        keys = np.log(weights) + random.gumbel(size=(folds, len(weights)))  # orders models as weighted draws without replacement
    order = np.argsort(-keys, axis=1)
    others = int((weights > 0).sum()) - 1
    return order[:, np.concatenate([[0], 1 + np.arange(amounts) % others])]


def run_experiments(correct, label, patient, counts, *, folds, amounts, draws, seed, weights=None):
    """Repeat the paper's design on fresh lesions, with nothing to be found.

    Parameters
    ----------
    correct : (m, n) bool
        Which fresh lesion each independently trained model names rightly.
    label : (n,) int
    patient : (n,) str
    counts : sequence of int
        Lesions of each class in one experiment.
    folds : int
    amounts : int
        Tried in each experiment; the best is reported.
    draws, seed : int
    weights : (m,), optional
        See :func:`draw_models`; all 1 by default.

    Returns
    -------
    Experiments

    Raises
    ------
    SettingsError
        If there are fewer than two models, or a class has fewer fresh lesions than ``counts``.
    """
    weights = np.ones(len(correct)) if weights is None else np.asarray(weights, float)
    if (weights > 0).sum() < 2:
        raise SettingsError(f"parameter 'models' is {len(correct)}; a baseline and another need 2 or more")
    available = np.bincount(label, minlength=len(counts))
    if (available < counts).any():
        raise SettingsError(f"fresh lesions of each class: {available.tolist()}, wanted {list(counts)}; raise fresh_lesions")
    random = np.random.default_rng(seed)
    tables = [patient_table(patient, np.flatnonzero(label == number)) for number in range(len(counts))]
    accuracy = np.empty((draws, 1 + amounts))
    for draw in range(draws):
        lesion, fold = draw_cohort(tables, counts, folds, random)
        models = draw_models(weights, folds, amounts, random)
        accuracy[draw] = correct[models[fold], lesion[:, None]].mean(axis=0)
    gains = accuracy[:, 1:] - accuracy[:, :1]
    return Experiments(gains.max(axis=1), gains[:, 0])


def share_at_least(gains, reported):
    """Return the share of experiments whose gain is ``reported`` or more."""
    return float((np.asarray(gains) >= reported - 1e-9).mean())


def share_intervals(correct, label, patient, counts, shares, *, reported, resamplings, draws, seed, **design):
    """Return 95 % intervals of the shares of false gains that allow for the finite number of models and fresh lesions.

    Models and, independently, whole patients are resampled, and the experiments repeated with what was drawn. The percentiles of
    the shares are widened to the Wilson interval of the draws where that reaches further.

    Parameters
    ----------
    correct, label, patient, counts
        As in :func:`run_experiments`.
    shares : dict of str to float
        By field of :class:`Experiments`.
    reported : float
    resamplings : int
    draws : int
        Experiments behind ``shares``; a resampling makes a tenth as many, at least 200.
    seed : int
    **design
        ``folds`` and ``amounts``.

    Returns
    -------
    dict of str to (low, high)
    """
    random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    tables = [patient_table(patient, np.flatnonzero(label == number)) for number in range(len(counts))]
    found = {name: [] for name in shares}
    for number in range(resamplings):
        weights = random.multinomial(len(correct), np.full(len(correct), 1 / len(correct)))
        if (weights > 0).sum() < 2:
            continue  # one and the same model: no experiment
        people = [table[random.integers(len(table), size=len(table))] for table in tables]
        if any((part >= 0).sum() < count for part, count in zip(people, counts, strict=True)):
            continue
        lesion = np.concatenate([part[part >= 0] for part in people])
        # A patient who is drawn twice counts as two.
        names = [np.repeat(np.arange(len(part)), (part >= 0).sum(axis=1)) for part in people]
        offset = np.cumsum([0, *(len(part) for part in people)])
        person = np.concatenate([part + start for part, start in zip(names, offset[:-1], strict=True)])
        again = run_experiments(
            correct[:, lesion], label[lesion], person, counts, draws=max(200, draws // 10),
            seed=np.random.SeedSequence(seed, spawn_key=(2, number)), weights=weights, **design,
        )  # fmt: skip
        for name in shares:
            found[name].append(share_at_least(getattr(again, name), reported))
    intervals = {}
    for name, share in shares.items():
        low, high = wilson(round(share * draws), draws)
        if found[name]:
            ends = np.quantile(found[name], [0.025, 0.975])
            low, high = min(low, ends[0]), max(high, ends[1])
        intervals[name] = (float(low), float(high))
    return intervals


def rows_of(experiments, intervals, reported, amount):
    """Return rows of results.csv: share of false gains with both intervals, median and 95 % quantile of the gains.

    ``label`` is ``best`` or ``beforehand``; ``n`` counts experiments.
    """
    rows = []
    for name, interval in intervals.items():
        gains = getattr(experiments, name)
        where = {"table": "false_gain", "arm": "classic", "amount": amount, "test_set": "fresh", "label": name}
        share, n = share_at_least(gains, reported), len(gains)
        rows.append(result_row("false_gain_share", share, interval, n, **where))
        rows.append(result_row("false_gain_share_of_draws", share, wilson(round(share * n), n), n, **where))
        rows += [result_row(f"gain_quantile_{level}", np.quantile(gains, level), n=n, **where) for level in (0.5, 0.95)]
    return rows
