"""The tool that kills runs: it hits what is at work, sees every difference, and leaves no process behind."""

import os
import random
import sys
from collections import Counter

import kills
import pytest

#: Stands for a run: four units, each made once, then a table of them. After each unit but the last it waits to be killed.
PROGRAM = """
import os, subprocess, sys, time
from pathlib import Path

folder = Path(sys.argv[1]) / sys.argv[-1]
folder.mkdir(exist_ok=True)
for number in range(4):
    unit = folder / f"unit_{number}"
    if not unit.exists():
        BEFORE
        partial = folder / "partial"
        partial.write_text(f"{VALUE}\\n")
        partial.rename(unit)
        if number < 3:
            time.sleep(WAIT)
(folder / "results.csv").write_text("".join((folder / f"unit_{number}").read_text() for number in range(4)))
"""
MOMENTS = [(f"unit_{number}", 0) for number in range(3)]


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Return a function that puts a program in the place of a run; its words are replaced in PROGRAM."""

    def put(BEFORE="pass", VALUE="number", WAIT="600"):
        text = PROGRAM.replace("BEFORE", BEFORE).replace("VALUE", VALUE).replace("WAIT", WAIT)
        (tmp_path / "program.py").write_text(text)
        monkeypatch.setattr(kills, "RUNS", tmp_path)
        monkeypatch.setattr(kills, "COMMAND", [sys.executable, str(tmp_path / "program.py"), str(tmp_path)])

    return put


def whole_run(folder, text="0\n1\n2\n3\n"):
    (folder / "whole").mkdir()
    (folder / "whole" / "results.csv").write_text(text)
    return folder / "whole"


def test_run_is_killed_at_every_moment_and_comes_to_its_end(program, tmp_path):
    program()
    killed = kills.Killed("cut")
    killed.run(MOMENTS, random.Random(0))
    assert len(killed.hits) == 3 and killed.finding == ""
    assert kills.differences(whole_run(tmp_path), killed.folder) == []


def test_what_a_kill_changed_is_found_and_named(program, tmp_path):
    program(VALUE="number if len(os.listdir(folder)) < 3 else 'lost'")
    killed = kills.Killed("cut")
    killed.run(MOMENTS, random.Random(0))
    assert kills.differences(whole_run(tmp_path), killed.folder, shown=1) == [
        "results.csv: 1 of 4 lines differ",
        "  line 4, left alone: 3",
        "  line 4, killed:     lost",
    ]


def test_lines_that_are_too_many_or_too_few_differ(tmp_path):
    whole, cut = whole_run(tmp_path, "a\nb\n"), tmp_path / "cut"
    (cut / "results").mkdir(parents=True)
    assert kills.differences(whole, cut) == [f"{cut} holds no table"]
    (cut / "results.csv").write_text("a\n")
    (cut / "results" / "05.csv").write_text("a\n")
    found = kills.differences(whole, cut)
    assert "  line 2, killed:     (no such line)" in found
    assert "results/05.csv: the run that was left alone has none" in found


def test_kill_of_a_run_that_has_ended_is_not_counted(program):
    program(WAIT="0")
    killed = kills.Killed("cut")
    killed.run([("unit_9", 0)], random.Random(0))
    assert killed.hits == [] and killed.finding == ""


def test_run_that_cannot_be_resumed_is_a_finding(program):
    program(BEFORE="number == 1 and sys.exit(3)")
    killed = kills.Killed("cut")
    killed.run(MOMENTS, random.Random(0))
    assert len(killed.hits) == 1 and killed.finding == "it ended with exit code 3"


def test_run_that_hangs_is_a_finding(program, monkeypatch):
    program()
    monkeypatch.setattr(kills, "PATIENCE", 1)
    killed = kills.Killed("cut")
    killed.run([("unit_9", 0)], random.Random(0))
    assert killed.hits == [] and killed.finding == "it neither ended nor came to its moment in 1 s"


@pytest.mark.parametrize("everything", [False, True])
def test_process_that_outlives_its_run_is_found_and_ended(program, monkeypatch, everything):
    program(BEFORE="subprocess.Popen(['sleep', '600'], start_new_session=True)")
    monkeypatch.setattr(kills, "LINGER", 60 if everything else 0)
    killed, chance = kills.Killed("cut"), random.Random(0)
    monkeypatch.setattr(chance, "random", lambda: 0.0 if everything else 0.9)
    killed.run(MOMENTS, chance, end=("unit_0", "unit_3"))
    assert len(killed.hits) == 3
    assert ("a process lived on for 0 s: sleep" in killed.finding) != everything


def test_moments_are_spread_evenly_over_what_a_run_has_finished(tmp_path):
    names = ["parameters/01_data.yml", "cohort.npz", "dcgan/a/history.csv", "html/index.html"]
    for time, name in zip((0, 10, 40, 100), names, strict=True):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (1000 + time, 1000 + time))
    for copied in ("html/old.html", "book/book/old.md", ".snakemake/old", "book/_toc.yml"):
        (tmp_path / copied).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / copied).write_text("")
    files = kills.timeline(tmp_path)
    assert files == [(1000 + time, name) for time, name in zip((0, 10, 40, 100), names, strict=True)]
    moments = kills.draw_moments(files, 1000, random.Random(1))
    longest = dict(zip(names, (10, 30, 60), strict=False))
    assert all(0 <= seconds <= longest[name] for name, seconds in moments)
    assert [names.index(name) for name, _ in moments] == sorted(names.index(name) for name, _ in moments)
    counts = Counter(name for name, _ in moments)
    assert all(abs(counts[name] / 1000 - seconds / 100) < 0.05 for name, seconds in longest.items())


def test_parts_at_work_are_read_from_command_lines():
    python = ["/usr/bin/python3", "-m", "lesion_utils"]
    commands = [
        [*python, "notebook", "notebooks/03_dcgan.ipynb", "/runs/kills/book/notebooks/03_dcgan.ipynb", "-f", "x"],
        [*python, "notebook", "notebooks/05_classification.ipynb", "/runs/kills/classic/05_classification.ipynb"],
        [*python, "render", "/runs/kills"],
        [*python, "book", "--profile", "smoke"],
        ["/usr/bin/python3", "-m", "ipykernel_launcher", "-f", "x.json"],
        [],
    ]
    assert kills.parts(commands) == {"03_dcgan", "05_classification (classic groups)", "render"}
