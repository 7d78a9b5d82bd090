# The experiment's order: each rule executes one notebook with papermill, whole or not at all. Paths are relative to runs/<NAME>/.
# A rule lists its notebook, its parameters and the modules it imports as inputs: a change of any of them runs it, and what follows, again.
import sys
from pathlib import Path

ROOT = Path(workflow.basedir)
THREADS = int(config.get("cores", 2))
COMMAND = f'"{sys.executable}" -m lesion_utils'
BASE = ["cohort", "errors", "files", "rois", "settings", "splits", "runs", "augment", "scores", "figures", "progress"]
NETS = ["networks", "classifier", "experiment", "units"]

shell.prefix(f'cd "{ROOT}" && ')


def source(notebook, *modules):
    return [ROOT / "notebooks" / f"{notebook}.ipynb", *(ROOT / "lesion_utils" / f"{name}.py" for name in modules)]


def execute(notebook, output=None):
    """Return the shell command that runs a notebook to its place in the staging tree of the book."""
    folder = Path.cwd()
    output = output or f"book/notebooks/{notebook}.ipynb"
    return (
        f'{COMMAND} notebook "notebooks/{notebook}.ipynb" "{folder / output}" '
        f'-f "{folder}/parameters/{notebook}.yml" --threads {THREADS}'
    )


rule all:
    input: "html/index.html", "results.csv", "predictions.csv"


rule data:
    input: source("01_data", "phantom", "appearance", "readers", "volumes", "realism", *BASE), "parameters/01_data.yml", "parameters/table.txt"
    output: "book/notebooks/01_data.ipynb", "cohort.npz", "folds.csv", "preparation.json"
    threads: THREADS
    benchmark: "benchmarks/data.tsv"
    shell: execute("01_data")


rule classic_augmentation:
    input: source("02_classic_augmentation", *BASE), "parameters/02_classic_augmentation.yml", rules.data.output
    output: "book/notebooks/02_classic_augmentation.ipynb", "augmentation.json"
    threads: THREADS
    benchmark: "benchmarks/classic_augmentation.tsv"
    shell: execute("02_classic_augmentation")


# The paper trains its GANs on the classic group that classified best, so the classic half of the classification comes first.
rule classic_groups:
    input: source("05_classification", *BASE, *NETS), "parameters/05_classification_classic.yml", rules.classic_augmentation.output
    output: "classic/05_classification.ipynb", "classic_optimum.json"
    threads: THREADS
    benchmark: "benchmarks/classic_groups.tsv"
    shell:
        execute("05_classification", "classic/05_classification.ipynb").replace(
            "parameters/05_classification.yml", "parameters/05_classification_classic.yml"
        )


rule dcgan:
    input: source("03_dcgan", "gans", *BASE, *NETS), "parameters/03_dcgan.yml", rules.classic_groups.output
    output: "book/notebooks/03_dcgan.ipynb", "results/03_dcgan.csv", "predictions/03_dcgan.csv"
    threads: THREADS
    benchmark: "benchmarks/dcgan.tsv"
    shell: execute("03_dcgan")


rule classification:
    input: source("05_classification", "gans", *BASE, *NETS), "parameters/05_classification.yml", rules.dcgan.output
    output: "book/notebooks/05_classification.ipynb", "results/05_classification.csv", "predictions/05_classification.csv"
    threads: THREADS
    benchmark: "benchmarks/classification.tsv"
    shell: execute("05_classification")


rule results:
    input: rules.dcgan.output, rules.classification.output
    output: "results.csv", "predictions.csv"
    shell: f'{COMMAND} join "{Path.cwd()}"'


rule book:
    input:
        rules.data.output[0], rules.classic_augmentation.output[0], rules.dcgan.output[0], rules.classification.output[0],
        ROOT / "_config.yml", ROOT / "_toc.yml", [path for path in sorted((ROOT / "book").rglob("*.*")) if path.is_file() and path.suffix != ".pyc"],
    output: "html/index.html"
    threads: THREADS
    shell: f'{COMMAND} render "{Path.cwd()}"'
