"""Writing files whole or not at all, and saying what to do where they cannot be written."""

import contextlib
import errno
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from .errors import StorageError
from .settings import ERROR_FILE

#: How the names of files and folders begin that are not whole yet; what is called so in a run that nobody makes is left over.
PARTIAL = ".partial-"
#: Bytes that a run must find free before it starts: enough for what it writes beside its results.
LEAST = 1_000_000
_AGAIN = "and give the same command again: what is finished is kept"
_FREE, _OPEN = f"free some space {_AGAIN}", f"make it writable {_AGAIN}"
#: What the system says where a file cannot be kept, and what helps.
_REMEDIES = {
    errno.ENOSPC: _FREE,
    errno.EDQUOT: _FREE,
    errno.EFBIG: f"raise the limit of a file's size (ulimit -f) {_AGAIN}",
    errno.EROFS: _OPEN,
    errno.EACCES: _OPEN,
    errno.EPERM: _OPEN,
}


def storage_error(error, path):
    """Return the StorageError for a failure to write ``path``, or None if its cause is another.

    Parameters
    ----------
    error : Exception or str
        What was raised, or what another program printed. Some libraries pass on the system's words without its number.
    path : str or Path
    """
    for number, remedy in _REMEDIES.items():
        if getattr(error, "errno", None) == number or os.strerror(number) in str(error):
            return StorageError(f"{path} cannot be written ({os.strerror(number)}); {remedy}")
    return None


@contextlib.contextmanager
def storage_errors(path):
    """Raise StorageError, which names ``path``, where the block fails because the disk is full or a folder is read-only."""
    try:
        yield
    except OSError as error:
        if problem := storage_error(error, path):
            raise problem from error
        raise


def require_writable(folder):
    """Make a folder if it is missing, and try whether it and all folders in it can be written, with :data:`LEAST` bytes free.

    Raises
    ------
    StorageError
        Naming the folder that cannot be written.
    """
    folder = Path(folder)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for path, _, _ in os.walk(folder):
        with storage_errors(path), tempfile.TemporaryFile(dir=path, prefix=PARTIAL) as file:
            file.write(bytes(LEAST) if path == str(folder) else b"")


def remove_leftovers(folder):
    """Delete what killed processes left half-written in a run's folder. Nobody else may be making the run."""
    for path in [*Path(folder).rglob(f"{PARTIAL}*")]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_path(path, mode=0o644):
    """Yield a temporary path beside ``path``; rename it to ``path`` when the block ends well, delete it when it fails.

    Parameters
    ----------
    path : str or Path
        Final file. Its folder is made if missing. The temporary name keeps the suffix, because NumPy and Keras choose
        the format by it.
    mode : int
        Permission bits of the final file.

    Raises
    ------
    StorageError
        If the disk is full or the folder cannot be written: names ``path`` and what to do.
    """
    path = Path(path)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{PARTIAL}{path.stem}-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            os.chmod(temporary, mode)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path, text, mode=0o644):
    """Write ``text`` (UTF-8) to ``path`` whole or not at all; a file that already says so keeps its time stamp."""
    if Path(path).exists() and Path(path).read_text(encoding="utf-8") == text:
        return
    with atomic_path(path, mode) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_csv(path, frame, mode=0o644):
    """Write a pandas ``frame`` to ``path`` without its index, whole or not at all; floats keep all their digits."""
    with atomic_path(path, mode) as temporary:
        frame.to_csv(temporary, index=False)


def write_json(path, values):
    """Write a dictionary or list as JSON, whole or not at all."""
    write_text(path, json.dumps(values, indent=1) + "\n")


def leave_error(folder, text):
    """Put an error where the command that started the workflow finds it; if nothing can be written there, on the screen."""
    try:
        write_text(Path(folder) / ERROR_FILE, text, mode=0o600)  # it may quote the user's table
    except StorageError:
        print(f"error: {text}", file=sys.stderr, flush=True)
