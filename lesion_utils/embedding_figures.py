"""Figures of embedded test images: every class has its colour and its marker, so that neither alone must be told apart."""

import matplotlib.pyplot as plt
import numpy as np

from .figures import WIDTH, class_colours

#: One marker a class, in turn.
MARKERS = "osD^vP*X<>"


def embedding_maps(maps, label, original, classes, *, columns=2):
    """Draw t-SNE maps side by side (the paper's Fig. 9): test ROIs large with a dark edge, their augmentations small and pale.

    Parameters
    ----------
    maps : dict of str to (n, 2)
        One panel each; the name is its title.
    label : (n,) int
    original : (n,) bool
        True for the ROIs themselves.
    classes : sequence of str
    columns : int
        Panels a line.
    """
    lines, side = -(-len(maps) // columns), WIDTH / columns
    spans = np.array([np.ptp(positions, axis=0) for positions in maps.values()])
    shape = float(np.clip((spans[:, 1] / np.maximum(spans[:, 0], 1e-9)).max(), 0.5, 1.2))  # height to width of every panel
    figure, axes = plt.subplots(lines, columns, figsize=(WIDTH, (side * shape + 0.25) * lines + 0.3), squeeze=False)
    colours = class_colours(classes)
    handles = {}
    for axis, (name, positions) in zip(axes.flat, maps.items(), strict=False):
        for number, one in enumerate(classes):
            look = {"color": colours[one], "marker": MARKERS[number % len(MARKERS)]}
            pale, strong = (positions[(label == number) & chosen] for chosen in (~original, original))
            axis.scatter(*pale.T, s=7, alpha=0.4, linewidths=0, **look)
            handles[one] = axis.scatter(*strong.T, s=34, edgecolors="0.1", linewidths=0.7, zorder=3, **look)
        axis.set_title(name, loc="left", fontsize=9)
        axis.set(xticks=[], yticks=[])  # a t-SNE map has no units
        axis.set_box_aspect(shape)
        middle, span = (positions.max(axis=0) + positions.min(axis=0)) / 2, np.ptp(positions, axis=0)
        reach = 0.55 * max(span[0], span[1] / shape, 1e-9)  # both directions to one scale
        axis.set(xlim=middle[0] + np.array([-1, 1]) * reach, ylim=middle[1] + np.array([-1, 1]) * reach * shape)
    for axis in axes.flat[len(maps) :]:
        axis.axis("off")
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=min(len(classes), 5), fontsize=9)
    return figure


def separability_figure(rows, names, classes):
    """Draw silhouette and k-NN accuracy of each network with intervals, for all lesions and class by class.

    Parameters
    ----------
    rows : DataFrame
        Rows of results.csv from :func:`embedding.separability_rows`.
    names : dict of arm to str
    classes : sequence of str
    """
    titles = {"silhouette": "silhouette", "knn_accuracy": "k-NN accuracy"}
    lines = ["all", *classes]
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 1.3 + 0.5 * len(lines)), sharey=True)
    looks = {arm: (colour, marker) for arm, colour, marker in zip(names, ("0.35", "#d55e00"), "os", strict=False)}
    for axis, (metric, title) in zip(axes, titles.items(), strict=True):
        for shift, (arm, name) in enumerate(names.items()):
            own = rows[(rows["metric"] == metric) & (rows["arm"] == arm)].set_index("label").loc[lines]
            y = np.arange(len(lines)) + 0.22 * (shift - (len(names) - 1) / 2)
            colour, marker = looks[arm]
            axis.hlines(y, own["ci_low"].astype(float), own["ci_high"].astype(float), color=colour, linewidth=3, alpha=0.5)
            axis.plot(own["value"].astype(float), y, marker, color=colour, label=name)
        axis.set_title(f"{title}, 95 % interval", loc="left", fontsize=10)
        axis.set_yticks(np.arange(len(lines)), ["all lesions", *classes])
        axis.grid(axis="y", visible=False)
    axes[0].invert_yaxis()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=9)
    return figure
