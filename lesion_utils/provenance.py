"""Where and from what a run was made and how long it took: commit, settings, hardware, versions, time and memory of each part."""

import json
import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pandas as pd

from .files import write_json
from .settings import ROOT, require

FILE = "provenance.json"
#: What results follow from: a change in any of these makes another run.
CODE = ("lesion_utils", "notebooks", "profiles", "Snakefile")

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
    "truth": "[](../notebooks/13_truth.ipynb)",
    "better_gans": "[](../notebooks/14_better_gans.ipynb)",
    "summary": "[](../notebooks/09_results.ipynb)",
}


def hardware():
    """Return the processor's name and cores, and the names of NVIDIA's GPUs, as a line of text."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    gpus = [path.read_text(encoding="utf-8") for path in Path("/proc/driver/nvidia/gpus").glob("*/information")]
    models = [match[1] for match in (re.search(r"Model:\s*(.+)", text) for text in gpus) if match]
    return ", ".join([name, f"{os.cpu_count()} cores", *models])


def git(*words, root=ROOT):
    """Return the output of a git command in the project's folder, or None where it fails or there is no git."""
    try:
        run = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout


def code_state(root=ROOT):
    """Return ``commit`` and ``changed``, the files of :data:`CODE` that differ from it or are new; commit None without git."""
    commit = git("rev-parse", "HEAD", root=root)
    status = git("status", "--porcelain", "--untracked-files=all", "--", *CODE, root=root)
    return {"commit": commit and commit.strip(), "changed": sorted(line[3:] for line in (status or "").splitlines())}


def versions():
    """Return the installed releases of the packages that the book names, by package."""
    try:
        needed = [line for line in requires("lesion-book") or () if "extra ==" not in line]
    except PackageNotFoundError:
        needed = []
    backend = [os.environ.get("KERAS_BACKEND", "tensorflow")]  # jax may take TensorFlow's place
    found = {}
    for name in sorted({re.match(r"[\w.-]+", line)[0] for line in needed + backend}, key=str.lower):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return {"Python": platform.python_version(), **found}


def record(folder, profile, label, settings, *, away=False):
    """Write ``provenance.json`` of a run that starts: what it is made from, and on what.

    Parameters
    ----------
    folder : Path
        ``runs/<NAME>``.
    profile : str
    label : str
        Column of the user's table; empty: the simulated cohort.
    settings : dict
        What differs from the profile.
    away : bool
        Whether the jobs are sent to other machines: of those, nothing is known here.
    """
    place = f"a cluster, to which jobs were sent from {hardware()}" if away else hardware()
    made = {"profile": profile, "cohort": "table" if label else "simulated", "label": label, "settings": settings}
    write_json(Path(folder) / FILE, made | code_state() | {"hardware": place, "versions": versions()})


def read(folder):
    """Return what :func:`record` wrote.

    Raises
    ------
    MissingInputError
        If the folder has no such file.
    """
    return json.loads(require(Path(folder) / FILE, "make book").read_text(encoding="utf-8"))


def minutes(folder):
    """Return minutes, peak memory (GB) and number of jobs of each rule of a run that has Snakemake's benchmark files, in order.

    Where a run was made in parts, minutes of all parts add up, and memory is that of the largest job.
    """
    found, benchmarks = {}, Path(folder) / "benchmarks"
    for rule in PARTS:
        if (benchmarks / f"{rule}.tsv").exists():
            files = [benchmarks / f"{rule}.tsv", *sorted((benchmarks / rule).glob("*.tsv"))]
            rows = pd.DataFrame([pd.read_csv(path, sep="\t", na_values="-").iloc[-1] for path in files])
            found[rule] = {
                "minutes": round(rows["s"].sum() / 60, 2),
                "memory_gb": round(rows["max_rss"].max() / 1024, 2),
                "jobs": len(files),
            }
    return found


def run_times(made, parts):
    """Return a Markdown table of the time and peak memory of every part of a run.

    Parameters
    ----------
    made : dict
        From :func:`read`.
    parts : dict
        From :func:`minutes`.
    """
    lines = ["| part | jobs | minutes | peak memory of a job (GB) |", "|---|---:|---:|---:|"]
    lines += [
        f"| {PARTS[rule]} | {one.get('jobs', 1)} | {one['minutes']:.1f} | {one['memory_gb']:.1f} |" for rule, one in parts.items()
    ]
    total = sum(one["minutes"] for one in parts.values())
    lines.append(f"| sum of the parts, some of which ran side by side | | {total:.1f} | |")
    return "\n".join(lines) + f"\n\nMade on {made['hardware']}, {made_from(made)}.\n"


def notebook_times(made, parts):
    """Say for each notebook how long it took in a run.

    Parameters
    ----------
    made, parts : dict
        As :func:`run_times`.

    Returns
    -------
    dict of str to str
        A line of Markdown by the notebook's name. What was not measured, on a GPU or at all, is called so.
    """
    minutes_of = {}
    for rule, page in PARTS.items():
        own = minutes_of.setdefault(re.search(r"notebooks/(\w+)\.ipynb", page)[1], [])
        own += [parts[rule]["minutes"]] if rule in parts else []
    other = "without a GPU" if made["hardware"].rpartition(" cores")[2] else "on a GPU"
    place = f"on {made['hardware']} in the run shown here ([all its times](../book/index.md)); {other}: not measured."
    return {
        notebook: (f"{_duration(sum(own))} {place}" if own else "Not measured in the run shown here.") + "\n"
        for notebook, own in minutes_of.items()
    }


def _duration(minutes):
    return f"{60 * minutes:.0f} seconds" if minutes < 1.5 else f"{minutes:.1f} minutes"


def made_from(made):
    """Return the profile and commit of a run in a few words."""
    commit = f"commit `{made['commit'][:12]}`" if made["commit"] else "an unknown commit"
    changed = ", with changes that are not committed" if made["changed"] else ""
    return f"with the profile `{made['profile']}` from {commit}{changed}"


def version_table(made):
    """Return a Markdown table of the releases that a run was made with."""
    lines = ["| package | release |", "|---|---|", *(f"| {name} | {release} |" for name, release in made["versions"].items())]
    return "\n".join(lines) + "\n"
