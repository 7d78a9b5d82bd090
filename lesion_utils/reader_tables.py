"""Tables and the figure of the reader study, after the paper's Table 4."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

from .agreement import PAPER_MIX, PAPER_TABLE_4, always_real, reader_name
from .figures import WIDTH
from .reading import ORIGINS
from .scores import PAPER_TABLE_2, wilson

#: Columns of the two tables, one a question: metric and label of results.csv, and the words.
_COLUMNS = {
    "class": {
        ("class_accuracy", "real"): "real ROIs",
        ("class_accuracy", "synthetic"): "synthetic ROIs",
        ("class_accuracy", "all"): "all ROIs",
        ("cnn_class_accuracy", "real"): "CNN, same real",
        ("cnn_class_accuracy", "synthetic"): "CNN, same synthetic",
        ("cnn_class_accuracy", "all"): "CNN, all the same",
    },
    "origin": {
        ("origin_accuracy", "all"): "right",
        ("always_real", "all"): "always “real”",
        ("origin_sensitivity", "synthetic"): "sensitivity",
        ("origin_specificity", "real"): "specificity",
        ("d_prime", "all"): "d'",
    },
}


def reader_table(results, question):
    """Return one half of the paper's Table 4 from rows of results.csv, as text with 95 % intervals in a second line.

    Parameters
    ----------
    results : DataFrame
    question : str
        ``class`` or ``origin``: what was asked.

    Returns
    -------
    DataFrame
        A line for each reader who answered the question.
    """
    columns, lines = _COLUMNS[question], {}
    for row in results[results["predicted"] == ""].itertuples():
        if (row.metric, row.label) in columns:
            lines.setdefault(reader_name(row.arm), {})[columns[row.metric, row.label]] = _text(row)
    return _texts(lines, columns.values())


def pair_table(results):
    """Return a line for each pair of readers and task: agreement and both correct as n of N, and kappa with its interval."""
    lines = {}
    for row in results[results["predicted"] != ""].itertuples():
        line = lines.setdefault((f"{reader_name(row.arm)} and {reader_name(row.predicted)}", row.label), {})
        if row.metric == "kappa":
            line["kappa"] = _text(row).replace("\n", " ")
        else:
            line[row.metric.replace("_", " ")] = f"{round(row.value * row.n)} of {row.n} ({row.value:.1%})"
    index = pd.MultiIndex.from_tuples(lines, names=["readers", "task"]) if lines else None
    return pd.DataFrame(list(lines.values()), index=index, columns=["agreement", "both correct", "kappa"])


def paper_table(question):
    """Return the paper's Table 4 in the form of :func:`reader_table`, with Wilson intervals that it does not print.

    The paper's CNN with classic augmentation stands beside on the 182 real ROIs; on the synthetic ones it has no figure.
    """
    lines = {}
    for reader, counts in PAPER_TABLE_4.items():
        if question == "origin":
            line = {"right": _share(*counts["origin"]), "always “real”": f"{100 * always_real(*PAPER_MIX):.1f} %"}
        else:
            line = {f"{part} ROIs": _share(*counts[part]) for part in (*ORIGINS, "all")}
            line["CNN, same real"] = _share(np.trace(PAPER_TABLE_2), PAPER_TABLE_2.sum())
        lines[f"paper, {reader}"] = line
    return _texts(lines, _COLUMNS[question].values())


def _texts(lines, columns):
    """Return a table of dicts of column to text, empty where a line has none."""
    return pd.DataFrame([[line.get(name, "") for name in columns] for line in lines.values()], list(lines), list(columns), object)


def _text(row):
    if row.metric in ("d_prime", "kappa"):
        return "not defined" if np.isnan(row.value) else f"{row.value:.2f}\n[{row.ci_low:.2f}, {row.ci_high:.2f}]"
    if row.metric == "always_real":
        return f"{100 * row.value:.1f} %"
    return "no such ROIs" if np.isnan(row.value) else _share(round(row.value * row.n), row.n)


def _share(right, n):
    low, high = wilson(right, n)
    return f"{100 * right / n:.1f} %\n[{100 * low:.1f}, {100 * high:.1f}]"


def draw_readers(results, *, guessing, always, paper=False):
    """Draw what each reader got right with 95 % intervals: the class on real and on synthetic ROIs, and real or synthetic.

    Parameters
    ----------
    results : DataFrame
        Rows of results.csv.
    guessing : float
        Class accuracy of guessing.
    always : float
        Share of right answers of always saying "real"; see :func:`always_real`.
    paper : bool
        Draw the paper's two experts too, in grey.

    Returns
    -------
    Figure
    """
    shares = {
        "class, real ROIs": ("class_accuracy", "real"),
        "class, synthetic ROIs": ("class_accuracy", "synthetic"),
        "real or synthetic": ("origin_accuracy", "all"),
    }
    own = results[results["predicted"] == ""]
    readers = list(dict.fromkeys(own["arm"]))
    names = [reader_name(reader) for reader in readers] + [f"paper, {reader}" for reader in PAPER_TABLE_4 if paper]
    figure, axes = plt.subplots(1, len(shares), figsize=(WIDTH, 1.3 + 0.42 * len(names)), sharex=True, sharey=True)
    colours = sns.color_palette("colorblind", len(readers))
    for axis, (title, (metric, label)) in zip(axes, shares.items(), strict=True):
        rows = own[(own["metric"] == metric) & (own["label"] == label)]
        for row in rows.dropna(subset=["value"]).itertuples():
            place = readers.index(row.arm)
            _interval(axis, -place, row.value, (row.ci_low, row.ci_high), colours[place])
        for place, counts in enumerate(PAPER_TABLE_4.values() if paper else (), len(readers)):
            right, n = counts["origin" if metric == "origin_accuracy" else label]
            _interval(axis, -place, right / n, wilson(right, n), "0.45")
        mine, theirs, what = guessing, guessing, "guessing"
        if metric == "origin_accuracy":
            mine, theirs, what = always, always_real(*PAPER_MIX), "always “real”"
        # The paper's mix of real and synthetic is its own, so its readers have their own line.
        for level, first, last in ((mine, 0, len(readers) - 1), (theirs, len(readers), len(names) - 1)):
            if first <= last:
                axis.plot([level, level], [0.5 - first, -0.5 - last], color="0.3", linewidth=1.2, linestyle=":")
        axis.set_title(f"{title}\n(dotted: {what})", loc="left", fontsize=9)
        axis.set(xlim=(0, 1.04), ylim=(-len(names) + 0.4, 0.7))
        axis.set_yticks([-place for place in range(len(names))], [name.replace(" (", "\n(") for name in names])
        axis.grid(axis="y", visible=False)
    figure.supxlabel("share right, 95 % interval", fontsize=9)
    return figure


def _interval(axis, y, value, interval, colour):
    axis.plot(interval, [y, y], color=colour, linewidth=3, solid_capstyle="butt", alpha=0.5)
    axis.plot(value, y, "o", color=colour)
    axis.annotate(f"{value:.0%}", (value, y), textcoords="offset points", xytext=(0, 6), ha="center", fontsize=8)
