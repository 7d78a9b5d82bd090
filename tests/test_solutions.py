"""The solutions of the exercises, run as a reader finds them, and how exercises look on the page.

Which run that is: see rendered.py.
"""

import re

import pytest
from exercises import CELLS, EXERCISES
from rendered import RUN, needs_run, soup

from lesion_utils import settings
from lesion_utils.runs import open_run

pytestmark = needs_run

#: Notebooks in the order of the table of contents, in which exercises are numbered.
ORDER = re.findall(r"file: notebooks/(\w+)", (settings.ROOT / "_toc.yml").read_text(encoding="utf-8"))


def files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.label)
def test_a_solution_runs_and_its_checks_hold(exercise, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = files(RUN)
    exec(compile(exercise.code, exercise.label, "exec"), {"state": open_run(RUN), "__name__": exercise.label})
    assert capsys.readouterr().out.strip(), "a solution prints what the text below it speaks of"
    assert files(RUN) == before and files(tmp_path) == {}, "a solution writes nothing"


@pytest.mark.parametrize("name", CELLS)
def test_exercises_are_numbered_and_the_time_is_on_the_page(name):
    page = soup(f"notebooks/{name}.html")
    titles = [" ".join(title.get_text().split()) for title in page.select("div.exercise > p.admonition-title")]
    own = [exercise for exercise in EXERCISES if exercise.notebook == name]
    first = 1 + sum(exercise.notebook in ORDER[: ORDER.index(name)] for exercise in EXERCISES)
    assert titles == [f"Exercise {number} ({exercise.title})" for number, exercise in enumerate(own, start=first)]
    assert len(page.select("div.solution.dropdown")) == 3
    text = " ".join(page.select_one("article").get_text().split())
    assert "on a GPU: not measured." in text or "without a GPU: not measured." in text or "Not measured in the run" in text


@pytest.mark.browser
@pytest.mark.parametrize("name", CELLS)
def test_solutions_open_and_fit_a_telephone(name, visited):
    seen = visited(f"notebooks/{name}.html", 390, "light")["solutions"]
    assert seen["before"] == 0, "a solution is open before anyone has asked for it"
    assert seen["open"] >= 3 and seen["overflow"] <= 0 and seen["wide"] == [], seen
