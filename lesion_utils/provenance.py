"""Where a run was made and how long it took: hardware, versions, and time and memory of every notebook."""

import os
import platform
import re
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
        row = _benchmark(folder, rule)
        if row is not None:
            total += row["s"]
            lines.append(f"| {page} | {row['s'] / 60:.1f} | {row['max_rss'] / 1024:.1f} |")
    lines.append(f"| sum of the parts, some of which ran side by side | {total / 60:.1f} | |")
    packages = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras", "numpy", "scikit-learn", "jupyter-book"))
    return "\n".join(lines) + f"\n\nMade on {hardware()}, with Python {platform.python_version()}, {packages}.\n"


def notebook_times(folder, gpus=Path("/proc/driver/nvidia/gpus")):
    """Say for each notebook how long it took in a run, from Snakemake's benchmark files.

    Parameters
    ----------
    folder : Path
        ``runs/<NAME>``.
    gpus : Path
        Where the driver lists the GPUs of this machine.

    Returns
    -------
    dict of str to str
        A line of Markdown by the notebook's name. What was not measured, on a GPU or at all, is called so.
    """
    seconds = {}
    for rule, page in PARTS.items():
        row = _benchmark(folder, rule)
        own = seconds.setdefault(re.search(r"notebooks/(\w+)\.ipynb", page)[1], [])
        if row is not None:
            own.append(row["s"])
    here, there = f"a machine with {os.cpu_count()} processor cores", "on a GPU"
    here, there = (f"{here} and a GPU", "without a GPU") if gpus.is_dir() else (f"{here} and no GPU", there)
    place = f"in the run shown here ([all its times](../book/index.md)); {there}: not measured."
    return {
        notebook: (f"{_duration(sum(own))} on {here} {place}" if own else "Not measured in the run shown here.") + "\n"
        for notebook, own in seconds.items()
    }


def _benchmark(folder, rule):
    """Return the last row of a rule's benchmark file, or None if there is none."""
    path = Path(folder) / "benchmarks" / f"{rule}.tsv"
    return pd.read_csv(path, sep="\t", na_values="-").iloc[-1] if path.exists() else None


def _duration(seconds):
    return f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.1f} minutes"
