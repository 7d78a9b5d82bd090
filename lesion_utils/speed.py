"""How fast, and how cost grows: what the page ``book/speed.md`` shows, drawn from two tables that ``make bench`` writes.

``book/speed.csv`` holds what stands beside a peer, ``book/scaling.csv`` what grows with the data. Both name the hardware and the
commit that they were measured with. No number of the page is typed.
"""

import pandas as pd

from .files import atomic_path, write_text
from .markdown import markdown_table
from .settings import ROOT

TABLE, SCALING = ROOT / "book" / "speed.csv", ROOT / "book" / "scaling.csv"
#: Of ``speed.csv``: a row is a contestant's rate (median), or its ratio to a peer (median, lowest and highest of the rounds).
COLUMNS = ["benchmark", "contestant", "peer", "unit", "rate", "ratio", "lowest", "highest", "rounds", "goal"]
COLUMNS += ["hardware", "versions", "commit"]
#: Of ``scaling.csv``: processor seconds and peak memory of one stage, measured in a process of its own.
SCALING_COLUMNS = ["stage", "lesions", "roi_size", "classes", "items", "seconds", "peak_gb", "hardware", "commit"]
FIGURE = """```{{figure}} figures/scaling.png
:name: fig-scaling
:width: 100%
:alt: Processor time and peak memory of each stage against the number of lesions, with a dotted line for proportional growth

Processor time (left) and peak memory (right) of each stage for {lesions} lesions. A line parallel to the dotted one grows in
proportion to the number of lesions.
```
"""
NONE_YET = "Nothing has been measured with this copy of the book yet: `make bench` does.\n"
#: Begins the names of benchmarks that want a GPU, whose rows are kept only if there was one.
GPU = "DCGAN training, GPU"
NO_GPU = """### On a GPU

**Not measured.** `benchmarks/gpu_dcgan.py` (DCGAN training beside PyTorch's example) and `benchmarks/gpu_book.py` (the whole
`paper` profile) were rehearsed on a processor with narrow networks, which says nothing about speed. What the first measures on a
GPU will stand here.
"""


def read_table(path=None, columns=COLUMNS):
    """Return one of the tables, :data:`TABLE` if no ``path`` is given; empty if it has not been made."""
    path = path or TABLE
    return pd.read_csv(path, dtype={"commit": str}) if path.exists() else pd.DataFrame(columns=columns)


def write_pages(target, table=TABLE, scaling=SCALING):
    """Write what ``book/speed.md`` includes: the ratios in words, and the figure and the table of how cost grows.

    Parameters
    ----------
    target : Path
        ``book/figures/`` of the tree that is rendered.
    table, scaling : Path
    """
    measured = read_table(table)
    gpu = "" if measured["benchmark"].str.startswith(GPU).any() else f"\n{NO_GPU}"
    write_text(target / "speed.md", (speed_text(measured) if len(measured) else NONE_YET) + gpu)
    measured = read_table(scaling, SCALING_COLUMNS)
    if measured.empty:
        write_text(target / "scaling.md", NONE_YET)
        return
    with atomic_path(target / "scaling.png") as path:
        scaling_figure(measured).savefig(path, dpi=150)
    write_text(target / "scaling.md", scaling_text(measured))


def made_line(rows):
    """Say on what and from which commits rows were measured."""
    commits = ", ".join(f"`{commit[:12]}`" for commit in rows["commit"].dropna().unique()) or "unknown"
    versions = "; ".join(rows["versions"].dropna().unique()) if "versions" in rows else ""
    return f"Measured on {'; '.join(rows['hardware'].unique())}, commit {commits}{f' ({versions})' if versions else ''}."


def speed_text(table):
    """Return a section a benchmark: rates, then ratios with their spread over the rounds and their goals."""
    parts = []
    for name, rows in table.groupby("benchmark", sort=False):
        rates, ratios = rows[rows["peer"].isna()], rows[rows["peer"].notna()]
        parts.append(f"### {name}\n\n{made_line(rows)}\n")
        lines = [{"contestant": row.contestant, "median rate": f"{_figures(row.rate)} {row.unit}"} for row in rates.itertuples()]
        parts.append(markdown_table(pd.DataFrame(lines)) + "\n")
        lines = [
            {
                "ratio": f"{row.contestant} / {row.peer}",
                "median": f"{row.ratio:.2f}",
                "rounds": f"{row.lowest:.2f} to {row.highest:.2f} ({row.rounds:.0f})",
                "goal": "" if pd.isna(row.goal) else f"{row.goal:g}: {'met' if row.ratio >= row.goal else 'missed'}",
            }
            for row in ratios.itertuples()
        ]
        parts.append(markdown_table(pd.DataFrame(lines)) + "\n")
    return "\n".join(parts)


def _figures(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def usual_points(table):
    """Return the rows with the paper's ROI size and number of classes, in the order of lesions."""
    usual = (table["roi_size"] == table["roi_size"].min()) & (table["classes"] == table["classes"].min())
    return table[usual].sort_values("lesions")


def growth(table):
    """Return how much a stage's time grows from the second largest to the largest number of lesions, by the number's own growth.

    Returns
    -------
    dict of str to float
        1: proportional; the number's growth itself: with its square.
    """
    found = {}
    for stage, rows in usual_points(table).groupby("stage", sort=False):
        if len(rows) > 1:
            small, large = rows.iloc[-2], rows.iloc[-1]
            found[stage] = (large["seconds"] / small["seconds"]) / (large["lesions"] / small["lesions"])
    return found


def beside_usual(table, column):
    """Return the time of each point with a larger ROI, or more classes, by that of the usual point with as many lesions.

    Returns
    -------
    dict of (str, int) to float
        By stage and value of ``column``.
    """
    usual = usual_points(table).set_index(["stage", "lesions"])["seconds"]
    other = table[table[column] > table[column].min()]
    return {(row.stage, getattr(row, column)): row.seconds / usual[row.stage, row.lesions] for row in other.itertuples()}


def scaling_figure(table):
    """Draw processor time and peak memory of each stage against the number of lesions, both axes logarithmic."""
    import matplotlib.pyplot as plt
    import seaborn as sns

    from .figures import WIDTH, use_style

    use_style()
    points = usual_points(table)
    figure, axes = plt.subplots(1, 2, figsize=(WIDTH, 4.2))
    colours, markers = sns.color_palette("colorblind"), "osD^vPX*<>"
    for number, (stage, rows) in enumerate(points.groupby("stage", sort=False)):
        for axis, column in zip(axes, ("seconds", "peak_gb"), strict=True):
            style = {"color": colours[number % len(colours)], "marker": markers[number % len(markers)], "markersize": 5}
            axis.plot(rows["lesions"], rows[column], label=stage, **style)
    lesions = sorted(points["lesions"].unique())
    ends = [lesions[0], lesions[-1]]
    start = points["seconds"].min() / 2
    axes[0].plot(ends, [start, start * ends[1] / ends[0]], color="0.4", linestyle=":", label="proportional")
    axes[0].set(ylabel="processor time (s)", yscale="log")
    axes[1].set(ylabel="peak memory of the process (GB)", ylim=(0, None))
    for axis in axes:
        axis.set(xlabel="lesions", xscale="log")
        axis.set_xticks(lesions, [f"{number:,}" for number in lesions], minor=False)
        axis.minorticks_off()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def scaling_text(table):
    """Return a table of all points, and sentences on memory and growth."""
    largest = table.loc[table["peak_gb"].idxmax()]
    grown = growth(table)
    lines = [
        {
            "stage": row.stage,
            "lesions": f"{row.lesions:,}",
            "ROI": f"{row.roi_size} x {row.roi_size}",
            "classes": row.classes,
            "items": f"{row.items:,}",
            "processor time (s)": _figures(row.seconds),
            "peak memory (GB)": f"{row.peak_gb:.2f}",
        }
        for row in table.itertuples()
    ]
    worst = max(grown, key=grown.get)
    sentences = [
        f"{made_line(table)} The most memory that any stage took is {largest['peak_gb']:.1f} GB ({largest['stage']}, "
        f"{largest['lesions']:,} lesions).",
        "From the second largest number of lesions to the largest, the time that a stage takes for one lesion is multiplied by "
        f"{min(grown.values()):.2f} to {grown[worst]:.2f} (the last: {worst}); 1 is proportional growth.",
    ]
    for column, words in (("roi_size", "ROIs of {0} x {0}"), ("classes", "{0} classes")):
        factors = beside_usual(table, column)
        if factors:
            named = ", ".join(f"{stage} {factor:.2f}" for (stage, _), factor in factors.items())
            sentences.append(f"Times with {words.format(max(value for _, value in factors))}, by those without: {named}.")
    figure = FIGURE.format(lesions=", ".join(f"{number:,}" for number in sorted(usual_points(table)["lesions"].unique())))
    return f"{' '.join(sentences)}\n\n{figure}\n{markdown_table(pd.DataFrame(lines))}\n"
