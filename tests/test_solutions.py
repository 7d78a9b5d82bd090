"""The solutions of the exercises, run as a reader finds them, and how exercises look on the page.

`make test` names the smoke run in LESION_BOOK_HTML; any other finished run will do.
"""

import os
import re
from pathlib import Path

import pytest
from browser import chromium, serve
from bs4 import BeautifulSoup
from exercises import CELLS, EXERCISES

from lesion_utils import settings
from lesion_utils.runs import open_run

RUN = Path(os.environ["LESION_BOOK_HTML"]).resolve() if os.environ.get("LESION_BOOK_HTML") else None
pytestmark = pytest.mark.skipif(RUN is None, reason="LESION_BOOK_HTML does not name a run folder (`make test` does)")

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
    page = BeautifulSoup((RUN / "html" / "notebooks" / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
    titles = [" ".join(title.get_text().split()) for title in page.select("div.exercise > p.admonition-title")]
    own = [exercise for exercise in EXERCISES if exercise.notebook == name]
    first = 1 + sum(exercise.notebook in ORDER[: ORDER.index(name)] for exercise in EXERCISES)
    assert titles == [f"Exercise {number} ({exercise.title})" for number, exercise in enumerate(own, start=first)]
    assert len(page.select("div.solution.dropdown")) == 3
    text = " ".join(page.select_one("article").get_text().split())
    assert "on a GPU: not measured." in text or "without a GPU: not measured." in text or "Not measured in the run" in text


OPEN_SOLUTIONS = """() => {
  for (const button of document.querySelectorAll('div.solution button.toggle-button')) { button.click(); }
  const width = document.documentElement.clientWidth;
  return {
    overflow: Math.max(document.documentElement.scrollWidth, document.body.scrollWidth) - width,
    open: [...document.querySelectorAll('div.solution .highlight pre')].filter(e => e.getClientRects().length).length,
    wide: [...document.querySelectorAll('div.exercise *, div.solution *')]
      .filter(e => e.getBoundingClientRect().right > width + 1).slice(0, 5).map(e => `${e.tagName}.${e.className}`.slice(0, 80)),
  };
}"""


@pytest.mark.browser
def test_solutions_open_and_fit_a_telephone():
    with serve(RUN / "html") as address, chromium() as browser:
        tab = browser.new_page(viewport={"width": 390, "height": 800})
        for name in CELLS:
            tab.goto(f"{address}notebooks/{name}.html", wait_until="load")
            hidden = tab.locator("div.solution .highlight pre").first.is_visible()
            seen = tab.evaluate(OPEN_SOLUTIONS)
            assert not hidden, f"{name}: a solution is open before anyone has asked for it"
            assert seen["open"] >= 3 and seen["overflow"] <= 0 and seen["wide"] == [], (name, seen)
