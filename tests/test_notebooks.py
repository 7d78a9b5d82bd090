"""The notebooks as they are committed, and what one says that is run before its turn."""

import ast
import importlib
import re
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import papermill
import pytest
import yaml
from conftest import random_rois

from lesion_utils import scores, settings
from lesion_utils.errors import DataError

NOTEBOOKS = settings.notebooks()
BOOKS = {name: nbformat.read(path, 4) for name, path in NOTEBOOKS.items()}
#: Beside lesion_utils and the standard library: what anyone who works with data knows.
STANDARD_STACK = {"cv2", "IPython", "keras", "matplotlib", "myst_nb", "numpy", "pandas", "scipy", "seaborn", "skimage", "sklearn"}
FIGURE_CALL = re.compile(r"diagrams\.\w+\(|figures\.(?!use_style|show_source|class_colours|WIDTH|PAPER)\w+\(|plt\.subplots\(")

each_notebook = pytest.mark.parametrize("name", NOTEBOOKS)


def code_cells(name):
    return [cell for cell in BOOKS[name].cells if cell.cell_type == "code"]


def parameters_cell(name):
    (cell,) = [cell for cell in code_cells(name) if "parameters" in cell.metadata.get("tags", [])]
    return cell


def test_notebooks_of_the_chain_are_there():
    assert {"01_data", "02_classic_augmentation", "03_dcgan", "05_classification"} <= set(NOTEBOOKS)


@each_notebook
def test_committed_without_outputs(name):
    for cell in code_cells(name):
        assert cell.outputs == [] and cell.execution_count is None, cell.source


@each_notebook
def test_is_a_valid_notebook_with_a_title(name):
    nbformat.validate(BOOKS[name])
    first = BOOKS[name].cells[0]
    assert first.cell_type == "markdown" and re.match(r"# \w", first.source)
    assert "**You need to know**" in first.source
    assert len([cell for cell in BOOKS[name].cells if re.search(r"^# ", cell.source, re.M) and cell.cell_type == "markdown"]) == 1


@each_notebook
def test_parameters_are_literals_and_every_line_says_what_it_is(name):
    lines = parameters_cell(name).source.splitlines()
    assert lines[0].startswith('run = "runs/')
    for line in lines:
        assert re.fullmatch(r"\w+ = [^#]+  # \S.{2,}", line), line
        (statement,) = ast.parse(line).body
        ast.literal_eval(statement.value)


@each_notebook
def test_papermill_shows_the_comments_as_help(name):
    inferred = papermill.inspect_notebook(str(NOTEBOOKS[name]))
    assert set(inferred) == set(settings.notebook_defaults(name))
    assert [parameter for parameter, about in inferred.items() if not about["help"]] == []


@each_notebook
def test_every_parameter_is_used(name):
    used = {
        node.id
        for cell in code_cells(name)
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    assert set(settings.notebook_defaults(name)) <= used


@each_notebook
def test_every_figure_has_alt_text_and_a_caption_of_its_own(name):
    captions, labels = [], []
    for cell in code_cells(name):
        mystnb = cell.metadata.get("mystnb", {})
        if FIGURE_CALL.search(cell.source) or mystnb:
            figure, image = mystnb.get("figure", {}), mystnb.get("image", {})
            assert len(figure.get("caption", "")) > 20, f"no caption: {cell.source}"
            is_picture = FIGURE_CALL.search(cell.source) is not None  # a table, or HTML that brings its own alt text
            assert len(image.get("alt", "")) > 20 or not is_picture, f"no alt text: {cell.source}"
            assert re.fullmatch(r"fig-[a-z0-9-]+" if is_picture else r"(fig|tab)-[a-z0-9-]+", figure.get("name", "")), cell.source
            captions.append(figure["caption"])
            labels.append(figure["name"])
    assert labels, "a notebook without a figure"
    assert len(set(captions)) == len(captions) and len(set(labels)) == len(labels)


def test_figure_names_are_unique_in_the_book():
    names = [
        cell.metadata["mystnb"]["figure"]["name"] for name in NOTEBOOKS for cell in code_cells(name) if "mystnb" in cell.metadata
    ]
    assert len(names) > 10 and len(set(names)) == len(names)


@each_notebook
def test_cells_are_short_and_lie_between_prose(name):
    prose = sum(len(cell.source.split()) for cell in BOOKS[name].cells if cell.cell_type == "markdown")
    lines = 0
    for cell in code_cells(name):
        own = [line for line in cell.source.splitlines() if line.strip()]
        assert len(own) <= 40, cell.source
        lines += len(own)
    assert prose >= 2 * lines, f"{prose} words for {lines} lines of code"


@each_notebook
def test_imports_only_the_package_and_the_standard_stack(name):
    for cell in code_cells(name):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Import):
                packages = [alias.name for alias in node.names]
            else:
                packages = [node.module] if isinstance(node, ast.ImportFrom) else []
            for package in packages:
                top = package.split(".")[0]
                assert top == "lesion_utils" or top in STANDARD_STACK or top in sys.stdlib_module_names, package


@each_notebook
def test_no_cell_gives_the_name_of_an_import_to_something_else(name):
    """Such a cell works once: run again, it finds a table where it calls a module."""
    imported, assigned = set(), set()
    for statement in [node for cell in code_cells(name) for node in ast.parse(cell.source).body]:
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            imported |= {alias.asname or alias.name for alias in statement.names}
        elif isinstance(statement, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
            names = [node for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
            assigned |= {node.id for node in names}
    assert imported & assigned == set()


@each_notebook
def test_links_between_notebooks_lead_somewhere(name):
    for cell in BOOKS[name].cells:
        for target in re.findall(r"\]\(([^)#]+\.(?:ipynb|md))\)", cell.source) if cell.cell_type == "markdown" else []:
            assert (NOTEBOOKS[name].parent / target).is_file(), target


@each_notebook
def test_citations_are_in_the_bibliography(name):
    keys = re.findall(r"@\w+\{(\w+),", (settings.ROOT / "book" / "references.bib").read_text(encoding="utf-8"))
    for cell in BOOKS[name].cells:
        for cited in re.findall(r"\{cite\w*\}`([^`]+)`", cell.source):
            assert set(re.split(r"\s*,\s*", cited)) <= set(keys), cited


def test_plain_papermill_before_its_turn_says_what_makes_the_input(tmp_path):
    name, run = "02_classic_augmentation", tmp_path / "run"
    profile = settings.ROOT / "profiles" / "smoke" / f"{name}.yml"
    words = [sys.executable, "-m", "papermill", NOTEBOOKS[name], tmp_path / "out.ipynb", "-k", "python3", "-f", profile]
    words = [str(word) for word in [*words, "-p", "run", run]]
    result = subprocess.run(words, cwd=settings.ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode != 0
    last = [line for line in result.stderr.splitlines() if line.strip()][-1]
    message = r"MissingInputError: (\S+) is missing: run notebooks/01_data\.ipynb first \(`make book` runs all in order\)"
    found = re.fullmatch(message, last)
    assert found and found[1] in (str(run / "cohort.npz"), str(run / "preparation.json")), last
    made = {path.name for path in run.rglob("*") if path.is_file()}
    assert made <= {"augmentation.json"}, "nothing but the notebook's own settings"


def test_profiles_are_what_plain_papermill_reads():
    for profile in settings.PROFILES:
        for name in NOTEBOOKS:
            text = (settings.ROOT / "profiles" / profile / f"{name}.yml").read_text(encoding="utf-8")
            values = yaml.safe_load(text)
            assert values["run"] == f"runs/{profile}" and set(values) <= set(settings.notebook_defaults(name))


def test_classification_refuses_fewer_synthetic_rois_than_asked_and_says_which_extra_cases_are_missing(capsys):
    (cell,) = [cell.source for cell in code_cells("05_classification") if "def amounts_of(" in cell.source]
    (function,) = [part for part in ast.parse(cell).body if getattr(part, "name", "") == "amounts_of"]
    drawn = {"dcgan": 10, "classic_extra_real": 10}
    names = {
        "np": np, "state": None, "seeds": [0], "folds": [0, 1], "k": 2, "synthetic_arms": ["dcgan"],
        "added_per_class": [5, 10, 20],
        "sampling": SimpleNamespace(drawn_epochs=lambda *which: [7]),
        "rois_on_top": lambda arm, seed, fold, epoch: random_rois(2 * drawn[arm]),
    }  # fmt: skip
    exec(ast.unparse(function), names)
    with pytest.raises(DataError, match=r"20 images of each class were asked for, but one class has 10; draw more \(samples_per"):
        names["amounts_of"]("dcgan")
    drawn["dcgan"] = 20
    assert names["amounts_of"]("dcgan") == [5, 10, 20]
    assert names["amounts_of"]("classic_extra_real") == [5, 10]
    assert "The extra cases give 10 images a class" in capsys.readouterr().out


def test_table_of_texture_methods_has_the_networks_arms_where_the_inner_folds_chose_their_amounts(tmp_path):
    (cell,) = [cell.source for cell in code_cells("07_texture_baselines") if "order = " in cell.source]
    classes, lesions = ("x", "y"), 4
    frame = pd.DataFrame({"lesion_id": range(lesions), "patient_id": range(lesions), "seed": 0, "fold": 0, "true": list("xxyy")})
    frame = frame.assign(test_set="cross_validation", predicted=list("xxyx"))
    by_amount = [frame.assign(arm=arm, amount=amount) for arm in ("real", "classic", "dcgan") for amount in (0, 100)]
    chosen = pd.concat([frame.assign(arm=arm, amount="all", predicted=list("xxyy")) for arm in ("classic", "dcgan")])
    rows = scores.score_rows(pd.concat(by_amount), classes, table="fig8")
    rows += scores.score_rows(chosen, classes, table="chosen") + scores.score_rows(chosen, classes, table="table7")
    (tmp_path / "results").mkdir()
    scores.results_frame(rows).to_csv(tmp_path / "results" / "05_classification.csv", index=False)
    state = SimpleNamespace(classes=classes, folder=tmp_path, save_results=lambda *whatever: None)
    names = {"pd": pd, "scores": scores, "state": state, "predictions": frame.assign(arm="glcm", amount=0)}
    exec(cell, names)
    assert names["order"] == ["classic", "dcgan", "glcm"]
    accuracy = names["every"].query("metric == 'accuracy'").set_index("arm")["value"]
    assert accuracy.to_dict() == {"classic": 1.0, "dcgan": 1.0, "glcm": 0.75}, "one line an arm"


@each_notebook
def test_names_that_a_notebook_takes_from_the_package_are_there(name):
    """A run finds a name that is gone only when its cell is reached, after hours of training."""
    trees = [ast.parse(cell.source) for cell in code_cells(name)]
    modules = {}
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "lesion_utils":
            for alias in node.names:
                try:
                    modules[alias.asname or alias.name] = importlib.import_module(f"{node.module}.{alias.name}")
                except ModuleNotFoundError:
                    assert hasattr(importlib.import_module(node.module), alias.name), f"{node.module}.{alias.name}"
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            assert hasattr(modules[node.value.id], node.attr), f"{node.value.id}.{node.attr}"
