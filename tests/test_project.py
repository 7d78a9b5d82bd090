"""What the project says of itself in several files must agree: packages, versions, licences, contents."""

import ast
import json
import re
import sys
import tomllib
from pathlib import Path

import api
import pytest
import yaml
from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import lesion_utils

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")

#: Names under which a package of another name is imported, or the listed package that brings it.
PROVIDED_BY = {
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "gdcm": "python-gdcm",
    "docutils": "jupyter-book",
    "IPython": "ipykernel",
    "nbclient": "papermill",
    "nbformat": "jupyter",
    "psutil": "ipykernel",
    "skimage": "scikit-image",
    "snakemake_interface_executor_plugins": "snakemake",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "sphinx": "jupyter-book",
    "threadpoolctl": "scikit-learn",
    "yaml": "PyYAML",
}


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def requirements(lines):
    """Map canonical package names to their version ranges."""
    parsed = [Requirement(line) for line in lines]
    return {canonicalize_name(requirement.name): requirement.specifier for requirement in parsed}


def project_packages():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    return requirements(project["dependencies"]), requirements(project["optional-dependencies"]["test"])


def conda_packages(text):
    """Return the ranges of an environment.yml: its Python, and its pip section without pip's own options."""
    listed = yaml.safe_load(text)["dependencies"]
    python = [entry for entry in listed if isinstance(entry, str) and entry.startswith("python")]
    (pip,) = [entry["pip"] for entry in listed if isinstance(entry, dict)]
    return SpecifierSet(python[0].removeprefix("python")), requirements(e for e in pip if not e.startswith("-"))


def test_what_a_cluster_needs_is_named_and_pinned_too():
    lines = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]["cluster"]
    pins = dict(line.split("==") for line in read("constraints.txt").splitlines() if line.startswith("snakemake-executor"))
    assert len(lines) == 2 and all(versions.contains(pins[name]) for name, versions in requirements(lines).items())
    assert all(line in read("environment.yml") for line in lines)


def test_environment_and_pyproject_name_the_same_packages_and_ranges():
    python, packages = conda_packages(read("environment.yml"))
    needed, for_tests = project_packages()
    assert packages == needed | for_tests
    assert python == SpecifierSet(tomllib.loads(read("pyproject.toml"))["project"]["requires-python"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("- numpy>=2.1,<3", "- numpy>=2,<3"),
        ("- numpy>=2.1,<3", "- numpy2>=2.1,<3"),
        ("- python>=3.11,<3.14", "- python>=3.10,<3.14"),
    ],
)
def test_a_difference_between_the_two_would_be_seen(old, new):
    text = read("environment.yml")
    assert old in text
    needed, for_tests = project_packages()
    python = SpecifierSet(tomllib.loads(read("pyproject.toml"))["project"]["requires-python"])
    assert conda_packages(text.replace(old, new)) != (python, needed | for_tests)


def test_every_package_of_the_environment_says_who_needs_it():
    entries = [line for line in read("environment.yml").splitlines() if line.strip().startswith("- ")]
    entries.remove("  - pip:")
    assert len(entries) > 20
    assert [line for line in entries if not re.search(r"\S\s+# \w{2,}", line)] == []


@pytest.mark.parametrize("python", PYTHONS)
def test_constraints_pin_every_package_inside_its_range(python):
    environment = default_environment() | {"python_version": python, "python_full_version": f"{python}.0"}
    pins = {}
    for line in read("constraints.txt").splitlines():
        if line.startswith("#"):
            continue
        pin, _, marker = line.partition(";")
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", pin.strip()), f"not name==version: {line}"
        if not marker or Marker(marker).evaluate(environment):
            name, version = pin.strip().split("==")
            assert canonicalize_name(name) not in pins, f"pinned twice on Python {python}: {name}"
            pins[canonicalize_name(name)] = version
    needed, for_tests = project_packages()
    for name, versions in (needed | for_tests).items():
        assert name in pins, f"constraints.txt does not pin {name}"
        assert versions.contains(pins[name], prereleases=True), f"{name}=={pins[name]} is outside {versions}"
    assert not [name for name, version in pins.items() if "+" in version], "a local build cannot be installed elsewhere"


def imported_packages(path):
    """Return the packages that a module imports, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


def test_every_imported_package_is_declared():
    own = {path.stem for folder in ("tests", "book/_extensions") for path in (ROOT / folder).glob("*.py")} | {"lesion_utils"}
    needed, for_tests = project_packages()
    other_backend = requirements(tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]["gpu"])
    undeclared = set()
    for folder, declared in (
        ("lesion_utils", needed | other_backend),
        ("book/_extensions", needed),
        ("tests", needed | for_tests),
    ):
        for path in (ROOT / folder).glob("*.py"):
            packages = set(imported_packages(path)) - set(sys.stdlib_module_names) - own
            undeclared |= {
                f"{path.relative_to(ROOT)}: {name}"
                for name in packages
                if canonicalize_name(PROVIDED_BY.get(name, name)) not in declared
            }
    assert undeclared == set(), "imported, but not listed in pyproject.toml"


def test_versions_agree():
    assert yaml.safe_load(read("CITATION.cff"))["version"] == lesion_utils.__version__
    assert f"## {lesion_utils.__version__}" in read("CHANGELOG.md")


def test_citation_names_the_book_and_the_paper():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["title"] == yaml.safe_load(read("_config.yml"))["title"]
    assert citation["references"][0]["doi"] in read("book/references.bib")
    assert citation["license"] == "BSD-3-Clause" == tomllib.loads(read("pyproject.toml"))["project"]["license"]


def test_every_page_of_the_contents_exists():
    toc = yaml.safe_load(read("_toc.yml"))
    files = [toc["root"]] + [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    missing = [file for file in files if not any((ROOT / f"{file}{end}").is_file() for end in (".md", ".ipynb"))]
    assert missing == []
    notebooks = {f"notebooks/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert notebooks <= set(files), "a notebook is missing from _toc.yml"


def test_project_files_hold_no_machine_paths():
    names = ["pyproject.toml", "constraints.txt", "environment.yml", "Makefile", "README.md", ".ci/run", "_config.yml"]
    names += ["CONTRIBUTING.md", "book/how_to_rerun.md", ".pre-commit-config.yaml"]
    for name in names:
        text = read(name)
        assert not re.search(r"(?<![\w.:/])/(?:home|root|work|mnt|opt|Users)/", text), name
        assert not re.search(r"file:|index-url|find-links", text), name


def rules():
    """Return what each rule of the workflow declares by the notebook that it executes: modules by name, and those of lists."""
    text = read("Snakefile")
    lists = {name: ast.literal_eval(re.search(rf"^{name} = (\[.*\])$", text, re.M)[1]) for name in ("BASE", "NETS", "READERS")}
    declared = {}
    for notebook, words in re.findall(r'source\("(\w+)"((?:, (?:"\w+"|\*\w+))*)\)', text):
        listed = {name for part in re.findall(r"\*(\w+)", words) for name in lists[part]}
        declared.setdefault(notebook, []).append((set(re.findall(r'"(\w+)"', words)), listed))
    return declared


class WithoutFunctions(ast.NodeTransformer):
    """What is left runs when a module is imported; what functions import is loaded when they are called, if ever."""

    def visit_FunctionDef(self, node):  # noqa: N802
        return None


def loaded_modules(code, seen=()):
    """Return the modules of the package that are loaded when code runs, by it and by one another, beside those ``seen``."""
    found = set(seen)
    for name in api.imported(ast.unparse(WithoutFunctions().visit(ast.parse(code)))):
        if name not in found:
            found = loaded_modules(read(f"lesion_utils/{name}.py"), found | {name})
    return found


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_changed_module_runs_the_notebooks_that_need_it(path):
    declared = rules()
    assert path.stem in declared, "no rule executes it"
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    loaded = loaded_modules("\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"))
    for named, listed in declared[path.stem]:
        assert {name for name in named | listed if not (ROOT / "lesion_utils" / f"{name}.py").is_file()} == set()
        assert loaded - named - listed - set.union(*declared["01_data"][0]) == set(), "what 01_data declares runs all the rest"
        assert named - loaded == set(), "declared, and not needed"
