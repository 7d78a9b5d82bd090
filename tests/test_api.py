"""The order of the package's page, and what it keeps of a docstring."""

import re

import api

import lesion_utils
from lesion_utils import settings


def test_every_module_stands_once_after_those_it_rests_on():
    order = [name for _, _, names in api.chapters() for name in names]
    modules = {path.stem for path in api.PACKAGE.glob("*.py")} - {"__init__"}
    assert len(order) == len(set(order)) and set(order) == modules
    for place, name in enumerate(order):
        needed = {other for other in api.imported((api.PACKAGE / f"{name}.py").read_text(encoding="utf-8")) if other != name}
        assert needed <= set(order[:place]), name


def test_chain_of_the_package_holds():
    """What its docstring says: nothing in the chain needs what stands at or after its own place."""
    chain = re.search(r"(?:\w+ -> )+\w+", " ".join(lesion_utils.__doc__.split()))[0].split(" -> ")
    assert len(chain) == len(set(chain)) > 5
    for place, name in enumerate(chain):
        needed = api.modules_of((api.PACKAGE / f"{name}.py").read_text(encoding="utf-8"), set())
        assert set(needed) & set(chain[place:]) == set(), name


def test_headings_are_the_notebooks_that_need_a_module_first():
    chapters = {heading: names for heading, _, names in api.chapters()}
    titles = [text for text in chapters if text.startswith("ACGAN")]
    assert len(titles) == 1 and "acgan" in chapters[titles[0]]
    assert len(chapters) <= len(settings.notebooks()) + 1


def test_imports_are_found_in_every_way_of_writing_them():
    code = "import numpy\nfrom lesion_utils import rois, figures\nfrom lesion_utils.runs import open_run\nfrom . import gans\n"
    assert api.imported(code + "from .units import fingerprint\nfrom scipy import stats") == [
        *("rois", "figures", "runs", "gans", "units")
    ]


def test_first_paragraph_of_a_docstring_is_kept_but_all_of_a_modules():
    text = ["Do this", "and that.", "", "Parameters", "----------"]
    lines = list(text)
    api.summarise(None, "function", "name", None, None, lines)
    assert lines == text[:2]
    lines = list(text)
    api.summarise(None, "module", "name", None, None, lines)
    assert lines == text
