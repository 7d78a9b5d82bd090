# The experiment's order: each rule executes one notebook with papermill, whole or not at all. Paths are relative to runs/<NAME>/.
# A rule lists its notebook, its parameters and the modules it imports, itself or through others, as inputs: a change of any of them runs
# it, and what follows, again.
# Where the run is made in parts (standard, paper), what a notebook trains is a job for each seed and fold or arm, which may run on
# any machine: the notebook as far as the cell that trains. The notebook's page is then one run over all, which finds it all done.
import sys
from itertools import product
from pathlib import Path

import yaml

ROOT = Path(workflow.basedir)
THREADS = int(config.get("cores", 2))
HALF = max(1, THREADS // 2)
COMMAND = f'"{sys.executable}" -m lesion_utils'
BASE = ["cohort", "errors", "files", "rois", "settings", "splits", "streams", "runs", "augment", "scores", "figures", "figure_tags", "progress", "parallel"]
READERS = ["readers", "table", "crops", "grids", "outlines", "volumes", "dicom_files", "dicom_series", "dicom_outlines", "pictures"]
NETS = ["networks", "convolutions", "steps", "tensorflow_steps", "jax_steps", "classifier", "experiment", "units"]

shell.prefix(f'cd "{ROOT}" && ')


def source(notebook, *modules):
    return [ROOT / "notebooks" / f"{notebook}.ipynb", *(ROOT / "lesion_utils" / f"{name}.py" for name in modules)]


def execute(notebook, output=None, threads=THREADS, until=None, **values):
    """Return the shell command that runs a notebook to its place in the staging tree of the book, or a part of it."""
    folder = Path.cwd()
    output = output or f"book/notebooks/{notebook}.ipynb"
    part = ", ".join(f"{name}: [{value}]" for name, value in values.items())
    return (
        f'{COMMAND} notebook "notebooks/{notebook}.ipynb" "{folder / output}" '
        f'-f "{folder}/parameters/{notebook}.yml" --threads {threads}'
    ) + (f' --until {until} -y "{{{{{part}}}}}"' if until else "")


def parameters(notebook):
    return yaml.safe_load(Path(f"parameters/{notebook}.yml").read_text(encoding="utf-8")) or {}


def parts(rule, notebook, **names):
    """Return the parts of a notebook, one for each seed and each combination of names; none where it is one job."""
    if not config.get("parts"):
        return []
    names = {"seed": parameters(notebook)["seeds"]} | names
    labels = ["_".join(f"{name}{value}" for name, value in zip(names, values)) for values in product(*names.values())]
    return [f"parts/{rule}/{label}.ipynb" for label in labels]


SEED, FOLD = "{wildcards.seed}", "{wildcards.fold}"
FOLDS = range(parameters("01_data").get("folds", 0))
ADDED = [arm for arm in parameters("05_classification").get("arms", []) if arm not in ("real", "classic")]


localrules: all, results


wildcard_constraints:
    seed=r"\d+", fold=r"\d+", arm=r"[a-z_]+",


rule all:
    input: "html/index.html", "results.csv", "predictions.csv"


rule data:
    input: source("01_data", "calibration_table", "paper", "texture", "phantom", "anatomy", "appearance", "realism", *READERS, *BASE), ROOT / "lesion_utils" / "calibration.csv", "parameters/01_data.yml", "parameters/table.txt"
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
rule classic_groups_part:
    input: source("05_classification", "paired", "diagrams", "selection", "gan_training", "gans", "sampling", *BASE, *NETS), "parameters/05_classification_classic.yml", rules.classic_augmentation.output
    output: "parts/classic_groups/seed{seed}_fold{fold}.ipynb"
    threads: THREADS
    benchmark: "benchmarks/classic_groups/seed{seed}_fold{fold}.tsv"
    shell: execute("05_classification", "{output}", until="units-classic", seeds=SEED, only_folds=FOLD).replace("05_classification.yml", "05_classification_classic.yml")


rule classic_groups:
    input: rules.classic_groups_part.input, parts("classic_groups", "05_classification", fold=FOLDS)
    output: "classic/05_classification.ipynb", "chosen/classic.json"
    threads: THREADS
    benchmark: "benchmarks/classic_groups.tsv"
    shell: execute("05_classification", "classic/05_classification.ipynb").replace("05_classification.yml", "05_classification_classic.yml")


# The two kinds of GAN do not need each other. One thread each, side by side, is faster than both threads for one after the other.
rule dcgan_part:
    input: source("03_dcgan", "gan_judge", "controls_results", "selection", "paired", "diagrams", "gan_training", "gans", "sampling", *BASE, *NETS), "parameters/03_dcgan.yml", rules.classic_groups.output
    output: "parts/dcgan/seed{seed}_fold{fold}.ipynb"
    threads: HALF
    benchmark: "benchmarks/dcgan/seed{seed}_fold{fold}.tsv"
    shell: execute("03_dcgan", "{output}", threads=HALF, until="units", seeds=SEED, only_folds=FOLD)


rule dcgan:
    input: rules.dcgan_part.input, parts("dcgan", "03_dcgan", fold=FOLDS)
    output: "book/notebooks/03_dcgan.ipynb", "dcgan.json", "results/03_dcgan.csv", "predictions/03_dcgan.csv"
    threads: HALF
    benchmark: "benchmarks/dcgan.tsv"
    shell: execute("03_dcgan", threads=HALF)


rule acgan_part:
    input: source("04_acgan", "gan_judge", "paired", "diagrams", "gan_training", "gans", "sampling", "acgan", "interactive", *BASE, *NETS), ROOT / "lesion_utils/latent_walk.html", "parameters/04_acgan.yml", rules.classic_groups.output
    output: "parts/acgan/seed{seed}_fold{fold}.ipynb"
    threads: HALF
    benchmark: "benchmarks/acgan/seed{seed}_fold{fold}.tsv"
    shell: execute("04_acgan", "{output}", threads=HALF, until="units", seeds=SEED, only_folds=FOLD)


rule acgan:
    input: rules.acgan_part.input, parts("acgan", "04_acgan", fold=FOLDS)
    output: "book/notebooks/04_acgan.ipynb", "results/04_acgan.csv", "predictions/04_acgan.csv"
    threads: HALF
    benchmark: "benchmarks/acgan.tsv"
    shell: execute("04_acgan", threads=HALF)


# Arms, not folds: the inner trainings of two folds are often the same one.
rule classification_part:
    input: source("05_classification", "paired", "diagrams", "selection", "gan_training", "gans", "sampling", *BASE, *NETS), "parameters/05_classification.yml", rules.dcgan.output, rules.acgan.output
    output: "parts/classification/seed{seed}_arm{arm}.ipynb"
    threads: THREADS
    benchmark: "benchmarks/classification/seed{seed}_arm{arm}.tsv"
    shell: execute("05_classification", "{output}", until="units", seeds=SEED, arms="real, classic, {wildcards.arm}")


rule classification:
    input: rules.classification_part.input, parts("classification", "05_classification", arm=ADDED)
    output: "book/notebooks/05_classification.ipynb", "results/05_classification.csv", "predictions/05_classification.csv"
    threads: THREADS
    benchmark: "benchmarks/classification.tsv"
    shell: execute("05_classification")


rule tsne:
    input: source("06_tsne", "paired", "embedding", "embedding_figures", *BASE, *NETS), "parameters/06_tsne.yml", rules.classification.output
    output: "book/notebooks/06_tsne.ipynb", "results/06_tsne.csv"
    threads: HALF
    benchmark: "benchmarks/tsne.tsv"
    shell: execute("06_tsne", threads=HALF)


rule texture_baselines:
    input: source("07_texture_baselines", "texture", "texture_figures", "words", "svm", "paper", *BASE, *NETS), "parameters/07_texture_baselines.yml", rules.classification.output
    output: "book/notebooks/07_texture_baselines.ipynb", "results/07_texture_baselines.csv", "predictions/07_texture_baselines.csv"
    threads: HALF
    benchmark: "benchmarks/texture_baselines.tsv"
    shell: execute("07_texture_baselines", threads=HALF)


rule reader_study:
    input:
        source("08_reader_study", "reading", "answers", "agreement", "reader_tables", "detector", "words", "svm", "gan_training", "gans", "sampling", *BASE, *NETS),
        ROOT / "lesion_utils/reader_study.html", sorted(Path("readers").glob("*.csv")),
        "parameters/08_reader_study.yml", "parameters/readers.txt", rules.classification.output,
    output: "book/notebooks/08_reader_study.ipynb", "results/08_reader_study.csv", "figures/reader_study.html"
    threads: HALF
    benchmark: "benchmarks/reader_study.tsv"
    shell: execute("08_reader_study", threads=HALF)


rule fidelity:
    input:
        source("10_fidelity", "fidelity", "likeness", "fidelity_figures", "memorisation", "paired", "texture", "gan_training", "gans", "sampling", "acgan", *BASE, *NETS),
        "parameters/10_fidelity.yml", rules.classification.output,
    output: "book/notebooks/10_fidelity.ipynb", "results/10_fidelity.csv"
    threads: HALF
    benchmark: "benchmarks/fidelity.tsv"
    shell: execute("10_fidelity", threads=HALF)


rule controls_part:
    input:
        source("11_controls", "gan_judge", "paired", "controls", "controls_results", "controls_figures", "selection", "gan_training", "gans", "sampling", *BASE, *NETS),
        "parameters/11_controls.yml", rules.classification.output,
    output: "parts/controls/seed{seed}.ipynb"
    threads: THREADS
    benchmark: "benchmarks/controls/seed{seed}.tsv"
    shell: execute("11_controls", "{output}", until="units", seeds=SEED)


rule controls:
    input: rules.controls_part.input, parts("controls", "11_controls")
    output: "book/notebooks/11_controls.ipynb", "results/11_controls.csv", "predictions/11_controls.csv"
    threads: THREADS
    benchmark: "benchmarks/controls.tsv"
    shell: execute("11_controls")


# Nothing is trained here: the statistics of what all other notebooks have predicted.
rule statistics:
    input:
        source("12_statistics", "paired", "comparison", "comparison_rows", "comparison_tables", "comparison_figures", "measures", "power", "selection", *BASE),
        "parameters/12_statistics.yml", rules.classification.output, rules.texture_baselines.output, rules.controls.output,
    output: "book/notebooks/12_statistics.ipynb", "results/12_statistics.csv"
    threads: HALF
    benchmark: "benchmarks/statistics.tsv"
    shell: execute("12_statistics", threads=HALF)


rule better_gans_part:
    input:
        source("14_better_gans", "paired", "better_gans", "gan_options", "acgan", "gan_training", "gans", "sampling", "selection", "comparison", "comparison_rows", "comparison_tables", "comparison_figures", "controls_results", "measures", "power", *BASE, *NETS),
        "parameters/14_better_gans.yml", rules.classification.output,
    output: "parts/better_gans/seed{seed}.ipynb"
    threads: THREADS
    benchmark: "benchmarks/better_gans/seed{seed}.tsv"
    shell: execute("14_better_gans", "{output}", until="units", seeds=SEED)


rule better_gans:
    input: rules.better_gans_part.input, parts("better_gans", "14_better_gans")
    output: "book/notebooks/14_better_gans.ipynb", "results/14_better_gans.csv", "predictions/14_better_gans.csv"
    threads: THREADS
    benchmark: "benchmarks/better_gans.tsv"
    shell: execute("14_better_gans")


# The simulator makes fresh lesions without end, so this needs phantom too. It also measures the better GAN's true gain.
rule truth:
    input:
        source("13_truth", "paired", "fresh", "truth", "true_gain", "false_gain", "further_cohorts", "truth_figures", "phantom", "anatomy", "appearance", "gan_training", "gans", "sampling", *BASE, *NETS),
        "parameters/13_truth.yml", rules.classification.output, rules.better_gans.output,
    output: "book/notebooks/13_truth.ipynb", "results/13_truth.csv"
    threads: THREADS
    benchmark: "benchmarks/truth.tsv"
    shell: execute("13_truth")


rule results:
    input:
        rules.dcgan.output, rules.acgan.output, rules.classification.output, rules.tsne.output, rules.texture_baselines.output,
        rules.reader_study.output, rules.fidelity.output, rules.controls.output, rules.statistics.output, rules.truth.output,
        rules.better_gans.output,
    output: "results.csv", "predictions.csv"
    shell: f'{COMMAND} join "{Path.cwd()}"'


rule summary:
    input: source("09_results", "summary", "sentences", "summary_figures", "paper", "paired", "agreement", "reading", "texture", "phantom", "gan_training", "gans", "sampling", *BASE, *NETS), "parameters/09_results.yml", rules.results.output
    output: "book/notebooks/09_results.ipynb"
    threads: THREADS
    benchmark: "benchmarks/summary.tsv"
    shell: execute("09_results")


rule book:
    input:
        [rule.output[0] for rule in (rules.data, rules.classic_augmentation, rules.dcgan, rules.acgan, rules.classification)],
        [rule.output[0] for rule in (rules.tsne, rules.texture_baselines, rules.reader_study, rules.summary, rules.fidelity, rules.controls, rules.statistics, rules.truth, rules.better_gans)],
        rules.results.output,
        ROOT / "_config.yml", ROOT / "_toc.yml", [path for path in sorted((ROOT / "book").rglob("*.*")) if path.is_file() and path.suffix != ".pyc"],
    output: "html/index.html"
    threads: THREADS
    shell: f'{COMMAND} render "{Path.cwd()}"'
