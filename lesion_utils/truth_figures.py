"""Figures of the truth by simulation: every model's true gain, and the gains that chance alone reports."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from .figures import WIDTH, draw_differences
from .scores import ARM_NAMES


def gains_figure(differences, gains, *, margin):
    """Draw each arm's true gain over classic in points: a small dot a model, a large one for their mean with its 95 % interval.

    Parameters
    ----------
    differences : dict of str to (m, n)
        By arm: difference of correctness of each model and fresh lesion.
    gains : dict of str to true_gain.TrueValue
    margin : float
        Drawn as a band around zero, a share of lesions.
    """
    return _gains({ARM_NAMES[arm]: (differences[arm], gain) for arm, gain in gains.items()}, margin)


def _gains(rows, margin):
    """Draw (differences, TrueValue) by name: a small dot for each row of the differences, a large one for the mean."""
    figure, axis = plt.subplots(figsize=(WIDTH, 1.2 + 0.6 * len(rows)))
    colours = dict(zip(rows, sns.color_palette("colorblind", len(rows)), strict=True))
    means = [(name, gain.value, *gain.interval) for name, (_, gain) in rows.items()]
    draw_differences(axis, means, {name: name for name in rows}, colours, margin=margin)
    for number, (name, (differences, _)) in enumerate(rows.items()):
        dots = 100 * differences.mean(axis=1)
        axis.plot(dots, np.full(len(dots), -number - 0.2), ".", color=colours[name], alpha=0.7)
    axis.set_xlabel("true accuracy minus that of classic, points")
    return figure


def cohorts_figure(own, own_gain, others, other_gain, *, margin):
    """Draw one arm's true gain in the run's own cohort and on further cohorts, in points.

    Parameters
    ----------
    own, others : (m, n), (C, n)
        Difference of correctness on each fresh lesion: of each model of the run, and of each further cohort.
    own_gain, other_gain : true_gain.TrueValue
    margin : float
        Drawn as a band around zero, a share of lesions.
    """
    rows = {"this run's cohort": (own, own_gain), f"{len(others)} further cohorts": (others, other_gain)}
    return _gains(rows, margin)


def false_gains_figure(experiments, *, lesions, amounts, paper):
    """Draw how often experiments without an effect report which gain, and the paper's gain beside them.

    Parameters
    ----------
    experiments : false_gain.Experiments
    lesions : int
        Of one experiment: gains are whole lesions.
    amounts : int
        Tried in each experiment.
    paper : float
        The paper's gain in accuracy.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 3.6))
    sets = {f"best of {amounts} amounts": experiments.best, "one amount, named beforehand": experiments.beforehand}
    counts = {name: np.rint(gains * lesions).astype(int) for name, gains in sets.items()}
    low, high = (end([values for values in counts.values()]) for end in (np.min, np.max))
    step = max(1, -(-(high - low + 1) // 40))
    edges = 100 * (np.arange(low, high + step + 1, step) - 0.5) / lesions
    for (name, values), colour in zip(counts.items(), sns.color_palette("colorblind", 2), strict=True):
        weights = np.full(len(values), 100 / len(values))
        axis.hist(100 * values / lesions, edges, weights=weights, histtype="stepfilled", color=colour, alpha=0.45, label=name)
    axis.axvline(0, color="0.3", linewidth=1)
    axis.axvline(100 * paper, color="0.2", linestyle="--", label=f"the paper's {100 * paper:.1f} points")
    axis.set(xlabel="reported gain, points; the true gain is 0", ylabel="% of experiments")
    axis.legend(fontsize=8)
    return figure
