"""Each notebook as a lesson: what it opens with, its exercises, and the plan for teaching with it."""

import ast
import re
import sys
from collections import Counter

import pytest
from exercises import CELLS, EXERCISES, notebook_exercises
from test_notebooks import STANDARD_STACK

from lesion_utils import provenance, settings

LEVELS = ("Easy: ", "Middle: ", "Open: ")
TEACHING = (settings.ROOT / "book" / "teaching.md").read_text(encoding="utf-8")
OPENING = re.compile(
    r"\*\*In this notebook\*\* .+?\n\n\*\*You will learn\*\*\n\n(?P<goals>(?:- to .+\n)+)\n"
    r"\*\*You need to know\*\* .+?\n\n\*\*Time\*\*\n\n```\{include\} \.\./book/figures/times/(?P<time>\w+)\.md\n```",
    re.S,
)

each_notebook = pytest.mark.parametrize("name", CELLS)
each_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.label)


@each_notebook
def test_opens_with_goals_what_to_know_and_the_time(name):
    opening = OPENING.search(CELLS[name][0])
    assert opening, "the first cell says: in this notebook, you will learn, you need to know, time"
    assert 2 <= opening["goals"].count("\n") <= 4
    assert opening["time"] == name


@each_notebook
def test_ends_with_a_summary_and_three_exercises_from_easy_to_open(name):
    own = [exercise for exercise in EXERCISES if exercise.notebook == name]
    assert [exercise.title.startswith(level) for exercise, level in zip(own, LEVELS, strict=True)] == [True] * 3
    *_, summary, first, second, third = CELLS[name]
    assert "\n## Summary\n\nIn this notebook we have " in f"\n{summary}"
    assert first.startswith("## Exercises\n")
    for cell, exercise in zip((first, second, third), own, strict=True):
        assert exercise.label in cell and cell.endswith("\n:::")


@each_exercise
def test_a_solution_is_folded_away_and_explains_code_that_checks_itself(exercise):
    assert exercise.solution.startswith(":class: dropdown\n")
    prose = re.sub(r"```python\n.*?```", "", exercise.solution, flags=re.S)
    assert len(exercise.text.split()) >= 25 and len(prose.split()) >= 25
    tree = ast.parse(exercise.code)
    assert any(isinstance(node, ast.Assert) for node in ast.walk(tree))
    assert max(len(line) for line in exercise.code.splitlines()) <= 106
    for node in ast.walk(tree):
        packages = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        packages += [node.module] if isinstance(node, ast.ImportFrom) else []
        for package in packages:
            top = package.split(".")[0]
            assert top == "lesion_utils" or top in STANDARD_STACK or top in sys.stdlib_module_names, package


def test_labels_are_unique_in_the_book():
    assert [label for label, count in Counter(exercise.label for exercise in EXERCISES).items() if count > 1] == []


SOLUTION = ":::{solution} exercise-a\n:class: dropdown\n\n```python\nassert 1\n```\n\n```python\nx = 2\n```\n:::"


def test_the_code_of_a_solution_is_what_a_reader_sees():
    (found,) = notebook_exercises("n", [":::{exercise} Easy: one\n:label: exercise-a\n\nText.\n:::", SOLUTION])
    assert (found.title, found.code) == ("Easy: one", "assert 1\n\n\nx = 2\n")


@pytest.mark.parametrize(
    "cells",
    [
        [":::{exercise} Easy: one\n:label: exercise-a\n\nText.\n:::"],
        [":::{exercise} Easy: one\n\nText.\n:::", SOLUTION],
        [SOLUTION],
        [":::{exercise} Easy: one\n:label: exercise-a\n\nText.\n:::", SOLUTION, SOLUTION],
    ],
)
def test_an_exercise_or_a_solution_that_stands_alone_is_seen(cells):
    with pytest.raises(ValueError, match="exercise"):
        notebook_exercises("n", cells)


def test_the_time_of_a_notebook_is_measured_or_said_not_to_be():
    parts = {"classic_groups": {"minutes": 1.0}, "classification": {"minutes": 1.5}, "data": {"minutes": 0.2}}
    without = provenance.notebook_times({"hardware": "a processor, 2 cores"}, parts)
    assert set(without) == set(CELLS)
    assert without["01_data"].startswith("12 seconds on a processor, 2 cores in the run")
    assert without["01_data"].endswith("; on a GPU: not measured.\n")
    assert without["05_classification"].startswith("2.5 minutes")
    assert without["03_dcgan"] == "Not measured in the run shown here.\n"
    withal = provenance.notebook_times({"hardware": "a processor, 2 cores, a GPU"}, parts)
    assert withal["01_data"].endswith("; without a GPU: not measured.\n")


def test_teaching_plans_lead_to_exercises_and_figures_that_exist():
    assert "## 90 minutes" in TEACHING and "## Half a day" in TEACHING
    labels = {exercise.label for exercise in EXERCISES}
    named = re.findall(r"\{(?:num)?ref\}`([^`]+)`", TEACHING)
    exercises = [label for label in named if label.startswith("exercise-")]
    assert len(exercises) >= 6 and set(exercises) <= labels
    assert re.search(r"\]\(\.\./notebooks/\w+\.ipynb\)", TEACHING)
