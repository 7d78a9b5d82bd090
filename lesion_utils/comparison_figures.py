"""Figures of the comparison of arms: differences with their margin, and calibration curves."""

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns

from .comparison_tables import arm_name
from .figures import WIDTH, draw_differences
from .scores import TEST_SETS


def differences_figure(rows, margin):
    """Draw each arm's difference in accuracy with its interval, the margin as a band; one panel a test set.

    Parameters
    ----------
    rows : list of dict
        Those of metric ``difference`` are drawn, from top to bottom.
    margin : float
    """
    rows = [row for row in rows if row["metric"] == "difference"]
    tests = list(dict.fromkeys(row["test_set"] for row in rows))
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    size = (WIDTH, 1.2 + 0.4 * len(arms))
    figure, axes = plt.subplots(1, len(tests), figsize=size, sharex=True, sharey=True, squeeze=False)
    colours = dict.fromkeys(arms, sns.color_palette("colorblind")[0])
    for axis, test in zip(axes[0], tests, strict=True):
        own = [(row["arm"], row["value"], row["ci_low"], row["ci_high"]) for row in rows if row["test_set"] == test]
        draw_differences(axis, own, {arm: arm_name(arm) for arm in arms}, colours, margin=margin)
        axis.set_title(TEST_SETS.get(test, test), loc="left", fontsize=10)
        axis.set_xlabel("accuracy against the baseline, points")
    return figure


def calibration_figure(rows):
    """Draw the share of right answers against confidence, one line an arm, one panel a test set.

    Parameters
    ----------
    rows : list of dict
        From :func:`measures.measure_rows`: metrics ``confidence`` and ``share_right``.
    """
    frame = pd.DataFrame([row for row in rows if row["metric"] in ("confidence", "share_right")])
    tests, arms = list(dict.fromkeys(frame["test_set"])), list(dict.fromkeys(frame["arm"]))
    figure, axes = plt.subplots(1, len(tests), figsize=(WIDTH, 1.1 + WIDTH / 2), sharex=True, sharey=True, squeeze=False)
    looks = dict(zip(arms, zip(sns.color_palette("colorblind", len(arms)), "osD^vPX*<>" * len(arms), strict=False), strict=False))
    for axis, test in zip(axes[0], tests, strict=True):
        axis.plot([0, 1], [0, 1], color="0.3", linewidth=1, linestyle=":", label="as sure as right")
        for arm in arms:
            own = frame[(frame["test_set"] == test) & (frame["arm"] == arm)]
            share = own[own["metric"] == "share_right"].set_index("label")
            if share.empty:
                continue
            x = own[own["metric"] == "confidence"].set_index("label")["value"].astype(float).loc[share.index]
            y, (colour, marker) = share["value"].astype(float), looks[arm]
            axis.vlines(x, share["ci_low"].astype(float), share["ci_high"].astype(float), color=colour, linewidth=1, alpha=0.4)
            axis.plot(x, y, marker=marker, markersize=5, color=colour, linewidth=1.2, label=arm_name(arm))
        axis.set_title(TEST_SETS.get(test, test), loc="left", fontsize=10)
        axis.set(xlabel="confidence: probability of the class that is named", xlim=(0, 1.02), ylim=(-0.02, 1.02))
        axis.set_box_aspect(1)
    axes[0, 0].set_ylabel("share named rightly")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=9)
    return figure
