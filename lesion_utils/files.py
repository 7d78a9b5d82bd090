"""Writing files whole or not at all."""

import contextlib
import json
import os
import tempfile
from pathlib import Path


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
    OSError
        If the folder cannot be written; the message of the system names the file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
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
