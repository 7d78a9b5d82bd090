"""Figures of image fidelity and memorisation: every set beside the floor of real ROIs."""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.ticker import NullLocator

from .figures import WIDTH
from .likeness import MEASURES, SPACES

_BLUE, _ORANGE = sns.color_palette("colorblind", 2)
#: Colour and marker: the floor, the GAN's training images, the GAN.
LOOKS = (("0.45", "s"), (_BLUE, "D"), (_ORANGE, "o"))


def fidelity_figure(rows, names, classes):
    """Draw each measure in both feature spaces, class by class, one mark a set, with its spread over the subsets.

    Parameters
    ----------
    rows : DataFrame
        Rows of results.csv (table ``fidelity``, fold ``all``).
    names : dict of arm to str
        The floor, the training images and the GAN, in this order.
    classes : sequence of str
        Those that were measured.
    """
    size = (WIDTH, 1.4 + 2 * (0.5 + 0.5 * len(classes)))
    figure, axes = plt.subplots(len(SPACES), len(MEASURES), figsize=size, sharey=True, squeeze=False)
    for line, (space, title) in zip(axes, SPACES.items(), strict=True):
        for axis, (measure, measured) in zip(line, MEASURES.items(), strict=True):
            own = rows[rows["metric"] == f"{measure}_{space}"]
            for shift, ((arm, name), (colour, marker)) in enumerate(zip(names.items(), LOOKS, strict=True)):
                part = own[own["arm"] == arm].set_index("label").loc[list(classes)]
                y = np.arange(len(classes)) + 0.22 * (shift - 1)
                axis.hlines(y, part["ci_low"].astype(float), part["ci_high"].astype(float), color=colour, linewidth=3, alpha=0.5)
                axis.plot(part["value"].astype(float), y, marker, color=colour, markersize=5, label=name)
            if measure == "kid":
                _kid_scale(axis.xaxis, own)
            axis.set_title(f"{measured},\n{title}", loc="left", fontsize=9)
            axis.set_yticks(np.arange(len(classes)), classes)
            axis.grid(axis="y", visible=False)
    axes[0, 0].set_ylim(len(classes) - 0.5, -0.5)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9)
    return figure


def _kid_scale(axis, rows):
    """Make an axis linear within the floor's spread and logarithmic beyond: KID is near 0 for real ROIs and may be anything."""
    floor = max(float(rows.loc[rows["arm"] == "real", ["ci_low", "ci_high"]].astype(float).abs().to_numpy().max()), 1e-6)
    highest = max(float(rows["ci_high"].astype(float).max()), floor)
    scale = {"value": "symlog", "linthresh": floor, "linscale": 1}
    (axis.axes.set_xscale if axis.axis_name == "x" else axis.axes.set_yscale)(**scale)
    power = int(np.floor(np.log10(floor)))
    round_floor = max(step * 10.0**power for step in (1, 2, 5) if step * 10.0**power <= floor)
    decades = np.arange(power + 1, np.ceil(np.log10(highest)) + 1)
    decades = decades[10**decades > 2.5 * round_floor]
    axis.set_ticks([0, round_floor, *10 ** decades[:: max(1, -(-len(decades) // 3))]])
    axis.set_major_formatter(lambda value, position: f"{value:g}")
    axis.set_minor_locator(NullLocator())
    lowest = 1.4 * min(float(rows["ci_low"].astype(float).min()), -0.2 * floor)
    axis.axes.set(**{f"{axis.axis_name}lim": (lowest, 1.6 * highest)})


def epochs_figure(rows, metrics, names, classes):
    """Draw measures over the saved epochs: the GAN as a line, floor and training images as bands across.

    Parameters
    ----------
    rows : DataFrame
        Rows of results.csv (tables ``fidelity`` and ``fidelity_epochs``, fold ``all``).
    metrics : dict of str to str
        Metric, such as ``kid_radiomic``, to title: one column each.
    names : dict of arm to str
        The floor, the training images and the GAN, in this order.
    classes : sequence of str
        One row each.
    """
    size = (WIDTH, 0.8 + 1.5 * len(classes))
    figure, axes = plt.subplots(len(classes), len(metrics), figsize=size, sharex=True, sharey="col", squeeze=False)
    *across, gan = names
    for line, one in zip(axes, classes, strict=True):
        for axis, metric in zip(line, metrics, strict=True):
            own = rows[(rows["metric"] == metric) & (rows["label"] == one)]
            for arm, (colour, _) in zip(across, LOOKS, strict=False):
                (row,) = own[(own["arm"] == arm) & (own["table"] == "fidelity")].itertuples()
                axis.axhspan(float(row.ci_low), float(row.ci_high), color=colour, alpha=0.25, linewidth=0, label=names[arm])
                axis.axhline(float(row.value), color=colour, linewidth=1)
            curve = own[own["table"] == "fidelity_epochs"].astype({"amount": int}).sort_values("amount")
            values = curve[["value", "ci_low", "ci_high"]].astype(float)
            colour, marker = LOOKS[-1]
            axis.fill_between(curve["amount"], values["ci_low"], values["ci_high"], color=colour, alpha=0.25, linewidth=0)
            axis.plot(curve["amount"], values["value"], color=colour, marker=marker, markersize=4, label=names[gan])
        line[0].set_ylabel(one, fontsize=9)
    for axis, (metric, title) in zip(axes[0], metrics.items(), strict=True):
        axis.set_title(title, loc="left", fontsize=9)
        if metric.startswith("kid"):
            _kid_scale(axis.yaxis, rows[rows["metric"] == metric])
    for axis in axes[-1]:
        axis.set_xlabel("epoch")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9)
    return figure


def distances_figure(audits, names, thresholds):
    """Draw every ROI's distance to the nearest training ROI against that to the nearest unseen one.

    Parameters
    ----------
    audits : dict of str to dict of arm to DataFrame
        One panel each (a class); frames from :func:`memorisation.audit`.
    names : dict of arm to str
        Unseen real ROIs, augmented training ROIs and the GAN, in this order.
    thresholds : dict of str to float
        Ratio at or below which a ROI is a near-copy, by panel.
    """
    columns = min(3, len(audits))
    lines = -(-len(audits) // columns)
    size = (WIDTH, 0.9 + lines * WIDTH / columns)
    figure, axes = plt.subplots(lines, columns, figsize=size, sharex=True, sharey=True, squeeze=False)
    for axis, (title, frames) in zip(axes.flat, audits.items(), strict=False):
        for (arm, name), (colour, marker) in zip(names.items(), LOOKS, strict=True):
            frame = frames[arm]
            axis.plot(
                frame["to_unseen"], frame["to_seen"], marker, color=colour, markersize=3, alpha=0.6, markeredgewidth=0, label=name
            )
        furthest = max(max(frame["to_seen"].max(), frame["to_unseen"].max()) for frame in frames.values())
        ends = np.array([0, 1.05 * furthest])
        axis.plot(ends, ends, color="0.3", linewidth=1, label="equally far")
        axis.plot(ends, thresholds[title] * ends, color="0.3", linewidth=1, linestyle="--", label="near-copies lie below")
        axis.set_title(title, loc="left", fontsize=9)
        axis.set_xlabel("to the nearest unseen ROI", fontsize=9)
        axis.set_box_aspect(1)
    for axis in axes.flat[len(audits) :]:
        axis.axis("off")
    for axis in axes[:, 0]:
        axis.set_ylabel("to the nearest training ROI", fontsize=9)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9)
    return figure


def pairs_figure(pairs):
    """Draw synthetic ROIs, under each its nearest training ROI and its nearest unseen real ROI, with their distances.

    Parameters
    ----------
    pairs : DataFrame
        From :func:`memorisation.nearest_pairs`, with ``class`` and ``near_copy`` (bool) beside; drawn from left to right.
    """
    figure, axes = plt.subplots(3, len(pairs), figsize=(WIDTH, 0.3 + 3 * (WIDTH / len(pairs) + 0.12)), squeeze=False)
    for column, row in zip(axes.T, pairs.to_dict("records"), strict=True):
        texts = row["class"], f"{row['to_seen']:.3f}", f"{row['to_unseen']:.3f}"
        for axis, picture, text in zip(column, row["pictures"], texts, strict=True):
            axis.imshow(picture[..., 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            axis.set_title(text, fontsize=7, pad=2)
        for spine in column[1].spines.values():
            spine.set(color=_ORANGE if row["near_copy"] else "0.8", linewidth=3 if row["near_copy"] else 1)
    for axis, name in zip(axes[:, 0], ("synthetic", "nearest\ntraining ROI", "nearest\nunseen ROI"), strict=True):
        axis.set_ylabel(name, fontsize=8)
    return figure
