"""Where a run was made and how long it took: hardware, versions, and time and memory of every notebook."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import pandas as pd

#: Rules of the workflow in order, with the page that shows what they made.
PARTS = {
    "data": "[](../notebooks/01_data.ipynb)",
    "classic_augmentation": "[](../notebooks/02_classic_augmentation.ipynb)",
    "classic_groups": "[](../notebooks/05_classification.ipynb), classic groups",
    "dcgan": "[](../notebooks/03_dcgan.ipynb)",
    "acgan": "[](../notebooks/04_acgan.ipynb)",
    "classification": "[](../notebooks/05_classification.ipynb), the other arms",
    "tsne": "[](../notebooks/06_tsne.ipynb)",
    "texture_baselines": "[](../notebooks/07_texture_baselines.ipynb)",
    "reader_study": "[](../notebooks/08_reader_study.ipynb)",
    "fidelity": "[](../notebooks/10_fidelity.ipynb)",
    "controls": "[](../notebooks/11_controls.ipynb)",
    "statistics": "[](../notebooks/12_statistics.ipynb)",
    "better_gans": "[](../notebooks/14_better_gans.ipynb)",
    "truth": "[](../notebooks/13_truth.ipynb)",
    "summary": "[](../notebooks/09_results.ipynb)",
}


def hardware():
    """Return the processor's name and cores, and the GPU's name if TensorFlow sees one, as a line of text."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name}, {os.cpu_count()} cores"


def run_times(folder):
    """Return a Markdown table of the time and peak memory of every part of a run, from Snakemake's benchmark files.

    Parameters
    ----------
    folder : Path
        ``runs/<NAME>``.
    """
    lines = ["| part | minutes | peak memory (GB) |", "|---|---:|---:|"]
    total = 0.0
    for rule, page in PARTS.items():
        path = Path(folder) / "benchmarks" / f"{rule}.tsv"
        if path.exists():
            row = pd.read_csv(path, sep="\t", na_values="-").iloc[-1]
            total += row["s"]
            lines.append(f"| {page} | {row['s'] / 60:.1f} | {row['max_rss'] / 1024:.1f} |")
    lines.append(f"| sum of the parts, some of which ran side by side | {total / 60:.1f} | |")
    packages = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras", "numpy", "scikit-learn", "jupyter-book"))
    return "\n".join(lines) + f"\n\nMade on {hardware()}, with Python {platform.python_version()}, {packages}.\n"
