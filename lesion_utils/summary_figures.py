"""The overview of a run: every arm's accuracy beside the paper's, each with its interval."""

import matplotlib.pyplot as plt
import seaborn as sns

from .figures import WIDTH
from .scores import TEST_SETS

_BLUE, _ORANGE = sns.color_palette("colorblind", 2)
#: Colour and marker of each source, from top to bottom within an arm.
LOOKS = dict(zip((*TEST_SETS.values(), "paper"), ((_BLUE, "o"), (_ORANGE, "D"), ("0.45", "s")), strict=True))


def overview_figure(rows, paper_name="paper"):
    """Draw accuracy with its 95 % interval, one row an arm, one line for each of :data:`LOOKS` in it.

    Parameters
    ----------
    rows : DataFrame
        Columns ``arm``, ``source``, ``value``, ``ci_low``, ``ci_high``; arms are drawn from top to bottom.
    paper_name : str
        What the legend calls the paper's numbers.
    """
    arms = list(dict.fromkeys(rows["arm"]))
    figure, axis = plt.subplots(figsize=(WIDTH, 1.2 + 0.5 * len(arms)))
    for shift, (source, (colour, marker)) in enumerate(LOOKS.items()):
        own = rows[rows["source"] == source]
        if own.empty:
            continue
        y = own["arm"].map(arms.index) + 0.22 * (shift - 1)
        axis.hlines(y, own["ci_low"], own["ci_high"], color=colour, linewidth=3, alpha=0.45)
        name = paper_name if source == "paper" else f"this run, {source}"
        axis.plot(own["value"], y, marker, color=colour, markersize=5, label=name)
    axis.set_yticks(range(len(arms)), arms)
    axis.set(xlabel="accuracy, 95 % interval", ylim=(len(arms) - 0.45, -0.55))
    axis.grid(axis="y", visible=False)
    for y in range(1, len(arms)):
        axis.axhline(y - 0.5, color="0.9", linewidth=0.8)
    figure.legend(loc="outside lower center", ncols=3, fontsize=9)
    return figure
