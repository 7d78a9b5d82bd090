"""Figures of the book: white background (readable in dark mode too), colours safe for colour-blind readers.

Each function takes data and returns a matplotlib figure.
"""

import inspect

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from .figure_tags import tag_outputs
from .rois import ROI_SIZE

WIDTH = 8.0  # inches: the book's column at 100 % zoom


def use_style():
    """Set fonts, colours and resolution of all figures of a notebook, and have each say whether it shows images of lesions.

    Tables show long cells whole.
    """
    tag_outputs()
    pd.set_option("display.max_colwidth", None)
    sns.set_theme(style="whitegrid", palette="colorblind", context="notebook", font_scale=0.85)
    plt.rcParams.update(
        {"figure.facecolor": "white", "savefig.facecolor": "white", "figure.dpi": 100, "figure.constrained_layout.use": True}
    )


def class_colours(classes):
    """Return a dict of class name to colour; every figure uses the same."""
    return dict(zip(classes, sns.color_palette("colorblind", len(classes)), strict=True))


def show_source(*objects):
    """Return the source of functions or classes as a Markdown output, so that a page shows the code that ran."""
    from IPython.display import Markdown

    return Markdown("\n\n".join(f"```python\n{inspect.getsource(item).rstrip()}\n```" for item in objects))


def roi_rows(rows, columns=10):
    """Draw ROIs side by side, a row or more for each name.

    Parameters
    ----------
    rows : dict of str to (n, 64, 64, 1) images in [0, 1]
    columns : int
        Images a line; further images go to further lines of the same name.
    """
    panels = {name: _montage(images, columns) for name, images in rows.items()}
    heights = [panel.shape[0] for panel in panels.values()]
    scale = WIDTH / max(panel.shape[1] for panel in panels.values())
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(WIDTH, sum(heights) * scale + 0.3 * len(panels)), height_ratios=heights, squeeze=False
    )
    for axis, (name, panel) in zip(axes[:, 0], panels.items(), strict=True):
        axis.imshow(panel, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(name, loc="left", fontsize=10)
        axis.axis("off")
    return figure


def _montage(images, columns, gap=2):
    images = np.asarray(images)[..., 0]
    lines = -(-len(images) // columns)
    panel = np.ones((lines * (ROI_SIZE + gap) - gap, columns * (ROI_SIZE + gap) - gap), np.float32)
    for number, image in enumerate(images):
        top, left = (number // columns) * (ROI_SIZE + gap), (number % columns) * (ROI_SIZE + gap)
        panel[top : top + ROI_SIZE, left : left + ROI_SIZE] = image
    return panel


def slices_with_outlines(cohort, chosen, *, window_level, window_width, corners=None, columns=3):
    """Draw slices in their window, the outline in yellow and, if ``corners`` are given, the ROI's square in orange.

    Parameters
    ----------
    chosen : sequence of int
        Lesions of ``cohort``.
    corners : (len(chosen), 4, 2), optional
        x, y of the ROI's corners in slice pixels.
    """
    lines = -(-len(chosen) // columns)
    figure, axes = plt.subplots(lines, columns, figsize=(WIDTH, 2.8 * lines), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    low, high = window_level - window_width / 2, window_level + window_width / 2
    for number, (axis, index) in enumerate(zip(axes.flat, chosen, strict=False)):
        axis.imshow(cohort.slices[index], cmap="gray", vmin=low, vmax=high)
        axis.contour(cohort.outlines[index], levels=[0.5], colors="#f0e442", linewidths=1)
        if corners is not None:
            axis.plot(*np.vstack([corners[number], corners[number][:1]]).T, color="#d55e00", linewidth=1.5)
            height, width = cohort.slices[index].shape
            axis.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        axis.set_title(f"{cohort.lesion_id[index]}: {cohort.classes[cohort.label[index]]}", fontsize=9)
    return figure


def accuracy_curves(curves, *, chance):
    """Draw accuracy against added samples, with intervals (the paper's Fig. 8).

    Parameters
    ----------
    curves : dict of str to DataFrame
        Columns ``added``, ``value`` and, where there is an interval, ``ci_low`` and ``ci_high``. Names that start with "paper"
        are drawn thin and dashed.
    chance : float
        Accuracy of guessing.
    """
    figure, axis = plt.subplots(figsize=(WIDTH, 4.4))
    colours = iter(sns.color_palette("colorblind"))
    for name, curve in curves.items():
        curve = curve.sort_values("added")
        if name.startswith("paper"):
            axis.plot(
                curve["added"],
                curve["value"],
                "--",
                color="0.55",
                linewidth=1,
                marker="." if "classic" in name else "x",
                label=name,
            )
            continue
        colour = next(colours)
        axis.plot(curve["added"], curve["value"], marker="o", color=colour, label=name)
        axis.fill_between(curve["added"], curve["ci_low"], curve["ci_high"], color=colour, alpha=0.15, linewidth=0)
    axis.axhline(chance, color="0.3", linewidth=1, linestyle=":", label="guessing evenly")
    label = "samples added to the training set of a fold"
    ends = {
        paper: [c["added"].max() for name, c in curves.items() if name.startswith("paper") == paper] for paper in (True, False)
    }
    if max(ends[True], default=0) > 4 * max(ends[False]):  # a reduced run would be a spot at the left of the paper's axis
        axis.set_xscale("symlog", linthresh=100)
        axis.set_xlim(left=-15)
        axis.xaxis.set_major_formatter("{x:,.0f}")
        label += " (logarithmic above 100)"
    axis.set(xlabel=label, ylabel="accuracy")
    axis.legend(loc="lower right", fontsize=8)
    return figure


def answer_figure(rows):
    """Draw each arm's accuracy with its 95 % interval, one row an arm, one panel a test set.

    Parameters
    ----------
    rows : DataFrame
        Columns ``arm``, ``test_set``, ``value``, ``ci_low``, ``ci_high``; drawn from top to bottom.
    """
    tests = list(dict.fromkeys(rows["test_set"]))
    arms = list(dict.fromkeys(rows["arm"]))
    figure, axes = plt.subplots(1, len(tests), figsize=(WIDTH, 1.1 + 0.45 * len(arms)), sharex=True, sharey=True, squeeze=False)
    colours = dict(zip(arms, sns.color_palette("colorblind", len(arms)), strict=True))
    for axis, test in zip(axes[0], tests, strict=True):
        for row in rows[rows["test_set"] == test].itertuples():
            y = -arms.index(row.arm)
            axis.plot([row.ci_low, row.ci_high], [y, y], color=colours[row.arm], linewidth=3, solid_capstyle="butt", alpha=0.5)
            axis.plot(row.value, y, "o", color=colours[row.arm])
            axis.annotate(f"{row.value:.1%}", (row.value, y), textcoords="offset points", xytext=(0, 7), ha="center", fontsize=8)
        axis.set_xlabel("accuracy, 95 % interval")
        axis.set_title(test, loc="left", fontsize=10)
        axis.set_yticks([-arms.index(arm) for arm in arms], arms)
        axis.set_ylim(-len(arms) + 0.4, 0.6)
        axis.grid(axis="y", visible=False)
    return figure


def confusion_heatmaps(matrices, classes):
    """Draw confusion matrices, two in a line (the paper's Tables 2 and 3): counts, shaded by the share of the true class.

    Parameters
    ----------
    matrices : dict of str to (k, k) array
    """
    size = min(0.9 + 0.85 * len(classes), 8)
    columns = min(2, len(matrices))
    lines = -(-len(matrices) // columns)
    shape = (max(WIDTH, size * columns), (size + 0.5) * lines)
    figure, axes = plt.subplots(lines, columns, figsize=shape, squeeze=False)
    for axis in axes.flat[len(matrices) :]:
        axis.axis("off")
    for axis, (name, matrix) in zip(axes.flat, matrices.items(), strict=False):
        share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        sns.heatmap(
            share, annot=matrix, fmt="g", cmap="Blues", vmin=0, vmax=1, cbar=False, square=True, ax=axis,
            xticklabels=classes, yticklabels=classes,
        )  # fmt: skip
        axis.set(xlabel="predicted", ylabel="true")
        axis.set_title(name, loc="left", fontsize=10)
    return figure


def gan_curves(histories):
    """Draw losses and D's mean probabilities over the epochs.

    Parameters
    ----------
    histories : dict of str to DataFrame
        One history (see :attr:`gans.Gan.measures`) a column.
    """
    figure, axes = plt.subplots(2, len(histories), figsize=(WIDTH, 4.2), sharex=True, sharey="row", squeeze=False)
    for column, (name, history) in enumerate(histories.items()):
        axes[0, column].plot(history["epoch"], history["discriminator_loss"], label="loss of D")
        axes[0, column].plot(history["epoch"], history["generator_loss"], label="loss of G")
        axes[1, column].plot(history["epoch"], history["d_real"], label="D(x), real")
        axes[1, column].plot(history["epoch"], history["d_fake"], label="D(G(z)), generated")
        axes[1, column].axhline(0.5, color="0.3", linewidth=1, linestyle=":")
        axes[0, column].set_title(name, loc="left", fontsize=10)
        axes[1, column].set(xlabel="epoch", ylim=(0, 1))
    axes[0, 0].set_ylabel("loss")
    axes[1, 0].set_ylabel("probability of real")
    for axis in axes[:, 0]:
        axis.legend(fontsize=8)
    return figure


def class_curves(histories):
    """Draw the share of images whose class an ACGAN's discriminator names rightly, over the epochs.

    Parameters
    ----------
    histories : dict of str to DataFrame
        One history of an :class:`acgan.Acgan` a line.
    """
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 2.8), sharey=True)
    for axis, (column, title) in zip(axes, {"class_real": "training ROIs", "class_fake": "generated ROIs"}.items(), strict=True):
        for name, history in histories.items():
            axis.plot(history["epoch"], history[column], label=name)
        axis.set_title(title, loc="left", fontsize=10)
        axis.set(xlabel="epoch", ylim=(0, 1.02))
    axes[0].set_ylabel("share named rightly")
    axes[1].legend(fontsize=8, loc="lower right")
    return figure


def draw_differences(axis, rows, names, colours, *, margin):
    """Draw differences of accuracies in points with their 95 % intervals, from top to bottom, and the margin as a band.

    Parameters
    ----------
    axis : matplotlib Axes
    rows : iterable of (key, value, low, high)
        Shares of lesions.
    names : dict of key to str
        Labels of the lines, in order; one that has no row stays empty.
    colours : dict of key to colour
    margin : float
        Smallest difference that matters, a share of lesions.
    """
    lines = list(names)
    axis.axvspan(-100 * margin, 100 * margin, color="0.85", linewidth=0)
    axis.axvline(0, color="0.3", linewidth=1)
    for key, value, low, high in rows:
        y = -lines.index(key)
        axis.plot([100 * low, 100 * high], [y, y], color=colours[key], linewidth=3, alpha=0.5)
        axis.plot(100 * value, y, "o", color=colours[key])
    axis.set_yticks([-number for number in range(len(lines))], names.values())
    axis.set_ylim(-len(lines) + 0.4, 0.6)
    axis.grid(axis="y", visible=False)
