"""Finished units are found by what went into them; progress bars end as one line."""

import os
from types import SimpleNamespace

import numpy as np
import pytest

from lesion_utils import augment, progress, rois, splits
from lesion_utils.units import fingerprint

DATA = np.arange(12, dtype=np.float32).reshape(3, 4)
BASE = {"arrays": [DATA], "modules": (rois,), "seed": 0, "name": "dcgan"}


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"seed": "0"},
        {"name": "acgan"},
        {"epochs": 3},
        {"arrays": [DATA + 1e-6 * (DATA == 11)]},
        {"arrays": [DATA.reshape(4, 3)]},
        {"arrays": [DATA.T]},
        {"arrays": [DATA.astype(np.float64)]},
        {"arrays": [DATA.view(np.int32)]},
        {"arrays": [DATA, DATA]},
        {"arrays": []},
        {"modules": (rois, augment)},
        {"modules": (splits,)},
        {"modules": ()},
    ],
)
def test_fingerprint_changes_with_each_ingredient(change):
    assert fingerprint(**(BASE | change)) != fingerprint(**BASE)


def test_fingerprint_is_the_same_for_the_same_ingredients():
    again = {"name": "dcgan", "seed": 0, "modules": (rois,), "arrays": [np.asfortranarray(DATA)]}
    assert fingerprint(**again) == fingerprint(**BASE)
    assert len(fingerprint(**BASE)) == 16 and set(fingerprint()) <= set("0123456789abcdef")


def test_fingerprint_changes_with_a_line_of_code(monkeypatch):
    before = fingerprint(**BASE)
    monkeypatch.setattr("inspect.getsource", lambda module: "# another line")
    assert fingerprint(**BASE) != before


def on_screen(text):
    """Return the lines that stay on a terminal: of each, what follows its last return to the line's start."""
    return [line.rsplit("\r", 1)[-1].rstrip() for line in text.rstrip("\n").split("\n")]


def test_bar_ends_as_one_line_with_count_and_time(capsys, monkeypatch):
    monkeypatch.delenv(progress.TERMINAL_VARIABLE, raising=False)
    assert list(progress.progress(range(5), "reading images")) == [0, 1, 2, 3, 4]
    (line,) = on_screen(capsys.readouterr().err)
    assert line.startswith("reading images: 100%") and "5/5 [00:0" in line


def test_bar_that_is_moved_by_hand_reaches_the_named_terminal(tmp_path, monkeypatch, capsys):
    terminal = tmp_path / "tty"
    monkeypatch.setenv(progress.TERMINAL_VARIABLE, str(terminal))
    with progress.progress(total=3, description="cyst, fold 0", unit="epoch") as bar:
        for _ in range(3):
            bar.update()
    (line,) = on_screen(terminal.read_bytes().decode())
    assert line.startswith("cyst, fold 0: 100%") and "3/3" in line and "epoch/s" in line
    assert capsys.readouterr().err == ""


def test_terminal_that_is_gone_does_no_harm(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(progress.TERMINAL_VARIABLE, str(tmp_path / "none" / "tty"))
    assert list(progress.progress(range(2), "drawing")) == [0, 1]
    assert "2/2" in capsys.readouterr().err


def test_bar_in_a_notebook_is_one_display_that_is_updated(monkeypatch):
    import IPython
    import IPython.display

    shown, updates = [], []

    class Handle:
        def update(self, content, raw):
            updates.append(content["text/plain"])

    def display(content, raw, display_id):
        shown.append(content)
        return Handle()

    monkeypatch.delenv(progress.TERMINAL_VARIABLE, raising=False)
    monkeypatch.setattr(IPython.display, "display", display)
    monkeypatch.setattr(progress, "_in_kernel", lambda: True)
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(execution_count=7))
    list(progress.progress(range(3), "training the first"))
    list(progress.progress(range(4), "training"))
    assert len(shown) == 1, "both bars of a cell share its line"
    assert updates[-1].startswith("training: 100%") and "\n" not in updates[-1] and "\r" not in updates[-1]


def test_messages_of_compiled_libraries_go_to_a_file_and_standard_error_comes_back(tmp_path, capfd):
    with progress.native_messages_to(tmp_path / "logs" / "a.log"):
        os.write(2, b"greetings\n")
    os.write(2, b"an error\n")
    assert (tmp_path / "logs" / "a.log").read_bytes() == b"greetings\n"
    assert capfd.readouterr().err == "an error\n"
