"""What is seen while something runs: bars that end as one line, in the notebook and in the terminal from which the book is made,
and no messages of compiled libraries.
"""

import contextlib
import os
import sys
from pathlib import Path

from tqdm import tqdm

#: Names the terminal (such as a tty device) on which bars are shown while a notebook runs inside a kernel.
TERMINAL_VARIABLE = "LESION_BOOK_TERMINAL"


class _OneLine:
    """A file for tqdm that keeps only the latest line, shown in a notebook cell and on the terminal."""

    def __init__(self):
        self._display = _cell_line() if _in_kernel() else None
        self._terminal = None
        name = os.environ.get(TERMINAL_VARIABLE)
        if name:
            try:
                self._terminal = open(name, "w", encoding="utf-8")  # noqa: SIM115  (lives as long as the bar)
            except OSError:
                self._terminal = None
        if self._display is None and self._terminal is None:
            self._terminal = sys.stderr

    def write(self, text):
        line = text.strip("\r\n ")
        if self._display is not None and line:
            self._display.update({"text/plain": line}, raw=True)
        if self._terminal is not None:
            self._terminal.write(text)

    def flush(self):
        if self._terminal is not None:
            self._terminal.flush()


#: The running cell's number and its line: a cell that trains thirty classifiers ends with one line, not with thirty.
_shown = {"cell": None, "line": None}


def _cell_line():
    from IPython import get_ipython
    from IPython.display import display

    cell = getattr(get_ipython(), "execution_count", None)
    if cell is None or _shown["cell"] != cell:
        _shown.update(cell=cell, line=display({"text/plain": ""}, raw=True, display_id=True))
    return _shown["line"]


def _in_kernel():
    shell = sys.modules.get("IPython")
    shell = shell.get_ipython() if shell else None
    return shell is not None and hasattr(shell, "kernel")


def progress(iterable=None, description="", total=None, unit="it"):
    """Return a tqdm bar over ``iterable`` (or of ``total`` steps, to be moved by ``update``).

    The bar refreshes once a second and leaves a single line with count and time when it ends.
    """
    return tqdm(iterable, desc=description, total=total, unit=unit, file=_OneLine(), mininterval=1.0, ascii=" #", ncols=78)


@contextlib.contextmanager
def native_messages_to(path):
    """Send what is written to standard error, in this process and those that it starts, to a file until the block ends.

    TensorFlow greets on each import, whatever TF_CPP_MIN_LOG_LEVEL says. An exception leaves the block before it is printed.

    Parameters
    ----------
    path : str or Path
        ``os.devnull`` drops the messages.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    ours = os.dup(2)
    with path.open("wb") as log:
        os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(ours, 2)
        os.close(ours)
