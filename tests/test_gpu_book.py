"""The whole book in pieces: a piece ends in time with all its processes, its archive fits, and ten seeds follow from two."""

import importlib.util
import json
import sys
import tarfile
import time

import numpy as np
import psutil
import pytest

from lesion_utils.settings import ROOT


@pytest.fixture
def gpu_book(monkeypatch):
    spec = importlib.util.spec_from_file_location("gpu_book", ROOT / "benchmarks" / "gpu_book.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def command(path, text, monkeypatch):
    """Put a script where a piece calls Python."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


def test_time_that_is_up_ends_every_process_those_of_other_sessions_too(gpu_book, tmp_path, monkeypatch):
    command(
        tmp_path / "book", f"setsid sleep 300 &\necho $! > {tmp_path}/kernel\necho $$ > {tmp_path}/book_itself\nwait", monkeypatch
    )
    started = time.monotonic()
    assert gpu_book.piece([], tmp_path, 1) is None
    assert 1 <= time.monotonic() - started < 30
    for name in ("kernel", "book_itself"):
        number = int((tmp_path / name).read_text())
        assert not psutil.pid_exists(number) or psutil.Process(number).status() == psutil.STATUS_ZOMBIE
    command(tmp_path / "book", '[ "$KERAS_BACKEND" = jax ] && exit 3', monkeypatch)
    assert gpu_book.piece([], tmp_path, 60) == 3
    pieces = json.loads((tmp_path / "pieces.json").read_text())
    assert [piece["exit_code"] for piece in pieces] == [None, 3] and pieces[0]["seconds"] >= 1
    assert gpu_book.seconds_of(tmp_path) == pytest.approx(sum(piece["seconds"] for piece in pieces))


def test_archive_fits_holds_what_is_needed_most_and_never_the_key(gpu_book, tmp_path, monkeypatch):
    for name, value in {"PART": 2000, "PARTS": 8, "TOTAL": 16000}.items():
        monkeypatch.setattr(gpu_book, name, value)
    run, out, random = tmp_path / "run", tmp_path / "out", np.random.default_rng(0)
    sizes = {"results.csv": 3000, "predictions/05.csv": 4000, "key.csv": 10, "chosen/classic.json": 50}
    sizes |= {"book/notebooks/01.ipynb": 4000, "book/notebooks/02.ipynb": 20000, "classifiers/a.keras": 10}
    for name, size in sizes.items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(random.bytes(size))
    out.mkdir()
    (out / "archive.tar.xz.07").write_bytes(b"of an earlier piece")
    assert gpu_book.archive(run, out) == ["book/notebooks/02.ipynb"]
    parts = sorted(out.iterdir())
    assert 4 < len(parts) <= 8 and max(part.stat().st_size for part in parts) <= 2000
    whole = tmp_path / "whole.tar.xz"
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    with tarfile.open(whole) as tar:
        held = {member.name: tar.extractfile(member).read() for member in tar}
    assert set(held) == {"results.csv", "predictions/05.csv", "chosen/classic.json", "book/notebooks/01.ipynb"}
    assert all(content == (run / name).read_bytes() for name, content in held.items())


def test_ten_seeds_follow_from_one_and_two(gpu_book, tmp_path, capsys):
    for name, seconds in (("one", [200, 100]), ("two", [420])):
        (tmp_path / name).mkdir()
        pieces = [{"seconds": value, "exit_code": 0} for value in seconds]
        (tmp_path / name / "pieces.json").write_text(json.dumps(pieces))
    gpu_book.times(tmp_path / "one", tmp_path / "two")
    assert "a further seed: 2.0 min" in (said := capsys.readouterr().out)
    assert "ten seeds, extrapolated from two: 23.0 min" in said
    with pytest.raises(SystemExit, match="one, with two seeds, took no longer than two"):
        gpu_book.times(tmp_path / "two", tmp_path / "one")
