"""A full disk and a read-only folder: a clear error, nothing half-written, and the same command goes on afterwards."""

import contextlib
import errno
import os
import resource
import shutil
import subprocess
import sys
import uuid

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from conftest import random_rois, round_lesions

from lesion_utils import __main__ as command
from lesion_utils import files, rendering, sampling, settings
from lesion_utils.errors import LesionBookError, StorageError

RUNS = settings.ROOT / "runs"
FULL, LOCKED = "free some space and give the same command again", "make it writable and give the same command again"


@contextlib.contextmanager
def small_files(size):
    """Let no file of this process grow beyond ``size`` bytes: a disk that is full in the middle of a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def name():
    """A run of our own, removed at the end."""
    name = f"test-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    yield name
    shutil.rmtree(RUNS / name, ignore_errors=True)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, FULL),
        (errno.EDQUOT, FULL),
        (errno.EFBIG, "raise the limit of a file's size (ulimit -f) and give the same command again"),
        (errno.EROFS, LOCKED),
        (errno.EACCES, LOCKED),
        (errno.EPERM, LOCKED),
    ],
)
def test_file_that_cannot_be_written_is_named_with_a_remedy_and_stays_as_it_was(tmp_path, number, remedy):
    path = tmp_path / "unit.npz"
    path.write_text("whole")
    with pytest.raises(StorageError) as raised, files.atomic_path(path) as temporary:
        temporary.write_text("half")
        raise OSError(number, os.strerror(number))
    assert str(raised.value) == f"{path} cannot be written ({os.strerror(number)}); {remedy}: what is finished is kept"
    assert os.listdir(tmp_path) == ["unit.npz"] and path.read_text() == "whole"


def test_another_error_stays_what_it_is(tmp_path):
    with pytest.raises(FileNotFoundError), files.atomic_path(tmp_path / "unit.npz"):
        open(tmp_path / "none")
    assert files.storage_error(KeyError("No space"), tmp_path) is None


def test_words_of_other_programs_are_understood(tmp_path):
    full = os.strerror(errno.ENOSPC)
    assert FULL in str(files.storage_error(shutil.Error([("a", "b", f"[Errno 28] {full}: 'b'")]), tmp_path))
    assert FULL in str(files.storage_error(f"Traceback\n  ...\nOSError: [Errno 28] {full}\n", tmp_path))


def save_figure(path):
    figure, axes = plt.subplots()
    axes.imshow(np.random.default_rng(0).random((64, 64)))
    with files.atomic_path(path) as temporary:
        figure.savefig(temporary)
    plt.close(figure)


def save_table(path):
    files.write_csv(path, pd.DataFrame({"value": np.arange(3000)}))


@pytest.mark.parametrize(
    ("file", "write"),
    [
        ("cohort.npz", lambda path: round_lesions(4).save(path)),
        ("synthetic.npz", lambda path: sampling.save_synthetic(path, random_rois(6))),
        ("answer.png", save_figure),
        ("results.csv", save_table),
        ("augmentation.json", lambda path: files.write_json(path, list(range(2000)))),
    ],
)
def test_every_way_of_writing_ends_with_the_error_in_the_middle_of_a_file(tmp_path, file, write):
    with small_files(4000), pytest.raises(StorageError, match=f"{file} cannot be written .*; raise the limit"):
        write(tmp_path / file)
    assert os.listdir(tmp_path) == []
    write(tmp_path / file)
    assert os.listdir(tmp_path) == [file] and (tmp_path / file).stat().st_size > 4000


def test_leftovers_of_killed_processes_are_removed_and_nothing_else(tmp_path):
    kept = ["classifiers/real_0.npz", ".snakemake/locks/0.input.lock", "book/.hidden", "partial-1"]
    left = ["classifiers/.partial-real_0-abcdefgh.npz", ".partial-html/_build/html/index.html", "book/.partial-01_data.ipynb"]
    for file in kept + left:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("")
    files.remove_leftovers(tmp_path)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)


def test_file_and_book_that_are_not_whole_are_called_leftovers(tmp_path, monkeypatch):
    with files.atomic_path(tmp_path / "unit.npz") as temporary:
        assert temporary.name.startswith(files.PARTIAL)

    def jupyter_book(staging, build, *options):
        assert build.rpartition("/")[2].startswith(files.PARTIAL)
        return subprocess.CompletedProcess([], 1, stdout=f"OSError: [Errno 28] {os.strerror(errno.ENOSPC)}\n")

    monkeypatch.setattr(rendering, "_jupyter_book", jupyter_book)
    with pytest.raises(StorageError, match="html cannot be written .*; free some space"):
        rendering.build_html(tmp_path / "book", tmp_path / "html")


# The command


@pytest.fixture
def workflow(monkeypatch):
    """Stand for the workflow: count its starts, and let ``work`` do what it does."""
    calls, run = [], subprocess.run

    def instead(words, **more):
        if "snakemake" not in words:
            return run(words, **more)
        calls.append(words)
        return subprocess.CompletedProcess(words, work(**more))

    def does(function):
        nonlocal work
        work = function

    def work(**more):
        return 0

    monkeypatch.setattr(command.subprocess, "run", instead)
    return calls, does


@pytest.mark.parametrize("inside", ["", "classifiers", "dcgan/abc"])
def test_read_only_folder_ends_the_command_before_anything_is_run(name, inside, workflow, monkeypatch, capsys):
    locked, temporary_file = RUNS / name / inside, files.tempfile.TemporaryFile
    locked.mkdir(parents=True)

    def refuse(dir, **more):  # to root, permission bits mean nothing
        if str(dir) == str(locked):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(dir))
        return temporary_file(dir=dir, **more)

    monkeypatch.setattr(files.tempfile, "TemporaryFile", refuse)
    assert command.main(["book", "--profile", "smoke", "--name", name]) == 2
    assert capsys.readouterr().err.startswith(f"error: {locked} cannot be written (Read-only file system); {LOCKED}")
    assert workflow[0] == [] and not (RUNS / name / "parameters").exists()


def test_full_disk_ends_the_command_before_anything_is_run(name, workflow, capsys):
    with small_files(files.LEAST - 1):
        assert command.main(["book", "--profile", "smoke", "--name", name]) == 2
    assert capsys.readouterr().err.startswith(f"error: {RUNS / name} cannot be written (File too large)")
    assert workflow[0] == [] and os.listdir(RUNS / name) == []


def test_full_disk_is_told_even_where_no_error_could_be_left(name, workflow, monkeypatch, capsys):
    calls, does = workflow

    def full(path, text, mode=0o644):
        raise StorageError("there is no room for a line")

    def fail(**more):
        monkeypatch.setattr(files, "write_text", full)
        files.leave_error(RUNS / name, "05_classification.ipynb: a cell said why")
        monkeypatch.setattr(files, "LEAST", 1 << 62)  # no disk has room for that
        return 1

    monkeypatch.setattr(command, "require_writable", lambda folder: _room(folder))
    does(fail)
    assert command.main(["book", "--profile", "smoke", "--name", name]) == 2
    told = capsys.readouterr().err
    assert "error: 05_classification.ipynb: a cell said why" in told
    assert told.endswith(f"error: {RUNS / name} cannot be written (No space left on device); {FULL}: what is finished is kept\n")


def _room(folder):
    folder.mkdir(parents=True, exist_ok=True)
    with files.storage_errors(folder):
        if files.LEAST > 1 << 60:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_run_goes_on_belonging_to_a_workflow_whose_command_was_killed(name, workflow, capsys):
    calls, does = workflow
    words, children = ["book", "--profile", "smoke", "--name", name], []

    def outlive(pass_fds=(), **more):
        children.append(subprocess.Popen(["sleep", "600"], pass_fds=pass_fds))
        return 0

    does(outlive)
    try:
        assert command.main(words) == 0
        assert command.main(words) == 2
        assert "is being made by another process; wait for it" in capsys.readouterr().err and len(calls) == 1
    finally:
        for child in children:
            child.kill()
            child.wait()
    assert command.main(words) == 0
    children[-1].kill()
    children[-1].wait()


def test_book_that_cannot_be_rendered_says_so_at_the_end_of_the_command(tmp_path, monkeypatch, capsys):
    def broken(folder):
        raise LesionBookError("the book could not be rendered:\nwarning: no such page")

    monkeypatch.setattr(rendering, "render_run", broken)
    assert command.main(["render", str(tmp_path)]) == 2
    assert (tmp_path / settings.ERROR_FILE).read_text() == "the book could not be rendered:\nwarning: no such page\n"
    assert capsys.readouterr().err.startswith("error: the book could not be rendered")


def test_smoke_run_on_a_disk_that_fills_up_leaves_nothing_that_looks_whole(name):
    """A whole command, with processes of its own: the cohort's file is the first that does not fit."""
    words = [sys.executable, "-m", "lesion_utils", "book", "--profile", "smoke", "--name", name]
    size = files.LEAST + 1
    result = subprocess.run(
        words,
        cwd=settings.ROOT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        capture_output=True,
        text=True,
        check=False,
    )
    last = result.stderr.rstrip().splitlines()[-1]
    assert result.returncode == 2, result.stderr
    path = RUNS / name / "cohort.npz"
    assert last.startswith(f"error: 01_data.ipynb: {path} cannot be written (File too large); raise the limit"), result.stderr
    left = {path.name for path in (RUNS / name).rglob("*") if path.is_file()}
    assert left & {"cohort.npz", "01_data.ipynb", "folds.csv"} == set()
    assert not [file for file in left if file.startswith(files.PARTIAL)]
