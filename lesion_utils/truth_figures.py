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
    figure, axis = plt.subplots(figsize=(WIDTH, 1.2 + 0.6 * len(gains)))
    colours = dict(zip(gains, sns.color_palette("colorblind", len(gains)), strict=True))
    means = [(arm, gain.value, *gain.interval) for arm, gain in gains.items()]
    draw_differences(axis, means, {arm: ARM_NAMES[arm] for arm in gains}, colours, margin=margin)
    for number, arm in enumerate(gains):
        models = 100 * differences[arm].mean(axis=1)
        axis.plot(models, np.full(len(models), -number - 0.2), ".", color=colours[arm], alpha=0.7)
    axis.set_xlabel("true accuracy minus that of classic, points")
    return figure


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
