"""Executing one notebook with papermill, so that what comes out can be shown to anyone: no path, no message of a library."""

import json
import os
import re
import sys
import time

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from . import errors, provenance, settings
from .files import PARTIAL, leave_error, storage_error
from .progress import native_messages_to


def execute(source, output, file, *, threads, changes=None, until=None):
    """Execute a notebook with papermill; its copy with outputs appears whole or not at all.

    Parameters
    ----------
    source, output : Path
        The notebook, and where its executed copy goes.
    file : Path
        YAML file with all its parameters; paths of the user's files come from the environment
        (:data:`settings.DATA_VARIABLE`, :data:`settings.READERS_VARIABLE`).
    threads : int
        Of linear algebra in the notebook's kernel.
    changes : dict, optional
        Parameters that differ from the file's: the seeds and folds of a job that trains a part.
    until : str, optional
        Tag of the last cell to execute: such a job trains its units and leaves figures and results to the run over all.

    Returns
    -------
    int
        Exit code: 1 if a cell failed; its error then stands in the run's :data:`settings.ERROR_FILE`.

    Raises
    ------
    SettingsError
        If a parameter is unknown to the notebook, or no cell has the tag.
    """
    parameters = settings.read_settings(file) | (changes or {})
    defaults = settings.notebook_defaults(source)
    if "data" in defaults:
        parameters.setdefault("data", os.environ.get(settings.DATA_VARIABLE, ""))
    if "reader_files" in defaults:
        parameters.setdefault("reader_files", json.loads(os.environ.get(settings.READERS_VARIABLE, "[]")))
    settings.check_parameters(parameters, defaults, str(file))
    notebook = _cells_until(source, until) if until else source
    name = source.stem if output.stem == source.stem else f"{source.stem} {output.stem}"
    # The number of threads changes the last bits of sums in linear algebra, so it is fixed for every kernel. TensorFlow has one.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = str(threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    partial = output.with_name(f"{PARTIAL}{output.name}")
    started = time.monotonic()
    print(f"{name} ...", file=sys.stderr, flush=True)
    run, message = settings.run_folder(parameters["run"]), None
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with native_messages_to(run / "logs" / f"{name.replace(' ', '_')}.log"):
            papermill.execute_notebook(
                notebook,
                partial,
                parameters,
                kernel_name="python3",
                progress_bar=False,
                cwd=settings.ROOT,
                iopub_timeout=600,  # seconds to wait for what a cell printed; the default of 4 ends the run on a busy machine
                extra_arguments=["--IPKernelApp.capture_fd_output=False"],  # keeps compiled libraries' messages off the page
            )
        _forget_paths(partial, provenance.code_state())
        os.replace(partial, output)
    except PapermillExecutionError as error:
        names = {cls.__name__ for cls in errors.LesionBookError.__subclasses__()} | {"LesionBookError"}
        message = error.evalue if error.ename in names else error.ename == "OSError" and storage_error(error.evalue, run)
        message = message or re.sub(r"\x1b\[[\d;]*m", "", "\n".join(error.traceback))
    except OSError as error:
        message = storage_error(error, output if error.filename in (None, str(partial)) else error.filename)
        if not message:
            raise
    finally:
        partial.unlink(missing_ok=True)
    if message:  # left when the partial notebook is gone: on a full disk there is now room for a line
        leave_error(run, f"{source.name}: {message}\n")
        return 1
    print(f"{name} done in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return 0


def _cells_until(source, tag):
    """Return a notebook without the cells below the one with a tag."""
    notebook = nbformat.read(source, 4)
    last = [number for number, cell in enumerate(notebook.cells) if tag in cell.metadata.get("tags", [])]
    if len(last) != 1:
        raise errors.SettingsError(f"{source.name} has {len(last)} cells with the tag '{tag}'; it must have one to stop at")
    notebook.cells = notebook.cells[: last[0] + 1]
    return notebook


def _forget_paths(notebook, code):
    """Note the commit in an executed notebook; remove what papermill notes of this machine and the paths of the user's files."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    content["metadata"]["lesion_book"] = code
    for name in ("input_path", "output_path", "parameters"):
        content["metadata"].get("papermill", {}).pop(name, None)
    for cell in content["cells"]:
        if "injected-parameters" in cell["metadata"].get("tags", []):
            cell["source"] = [re.sub(r'^data = ".+"', 'data = "lesions.csv"', line) for line in cell["source"]]
            cell["source"] = [re.sub(r"^reader_files = \[.+\]", 'reader_files = ["reader.csv"]', line) for line in cell["source"]]
    notebook.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
