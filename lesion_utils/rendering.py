"""From executed notebooks to HTML: those of a run, or those that were published. Nothing is trained or computed anew here."""

import contextlib
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import provenance
from .errors import LesionBookError
from .files import PARTIAL, storage_error, storage_errors, write_text
from .progress import native_messages_to
from .settings import ROOT

PUBLISHED = ROOT / "book" / "published"


def published_run(kind, published=PUBLISHED):
    """Return the folder of the published run whose lesions are ``simulated`` or from a ``table``, or None."""
    folders = sorted(path.parent for path in Path(published).glob(f"[!.]*/{provenance.FILE}"))
    return next((folder for folder in folders if provenance.read(folder)["cohort"] == kind), None)


def render_run(folder):
    """Render ``runs/<NAME>/html/`` from the executed notebooks in ``runs/<NAME>/book/``."""
    folder = Path(folder)
    made = provenance.read(folder)
    with storage_errors(folder):
        write_staging(folder / "book", folder, made, provenance.minutes(folder))
        build_html(folder / "book", folder / "html")


def render_published(folder, published=PUBLISHED):
    """Render the published run of the simulated cohort, with the chapter on real CT, into a folder; return its index."""
    folder = Path(folder)
    with storage_errors(folder), _published_staging(published) as staging:
        folder.mkdir(parents=True, exist_ok=True)
        build_html(staging, folder / "html")
    return folder / "html" / "index.html"


def check_links(published=PUBLISHED):
    """Try every link of the published book that leads to another site, and print each; one that fails is an error."""
    with _published_staging(published) as staging:
        result = _jupyter_book(staging, staging, "--builder", "linkcheck")
    print(result.stdout)
    if result.returncode:
        raise LesionBookError("links are broken; the lines above that say so name page and address")


@contextlib.contextmanager
def _published_staging(published):
    """Yield a temporary tree to render: the published run of the simulated cohort and the written pages.

    Raises
    ------
    LesionBookError
        If no run of the simulated cohort has been published.
    """
    run = published_run("simulated", published)
    if run is None:
        raise LesionBookError(f"{published} holds no run of the simulated cohort; publish one: make book, then make publish")
    made = provenance.read(run)
    with tempfile.TemporaryDirectory() as folder:
        staging = Path(folder)
        shutil.copytree(run / "notebooks", staging / "notebooks")
        write_staging(staging, run, made, made["parts"], published)
        yield staging


def write_staging(staging, run, made, parts, published=PUBLISHED):
    """Put the written pages beside the executed notebooks, with what they include: a run's figures, times and versions.

    Parameters
    ----------
    staging : Path
        Holds ``notebooks/``; gets the same relative paths as the project.
    run : Path
        Holds ``figures/``, ``results.csv`` and ``predictions.csv``, the last one perhaps compressed.
    made, parts : dict
        From :func:`provenance.read` and :func:`provenance.minutes`.
    published : Path
        ``book/published/``, for the pages on the published run on real CT.
    """
    with native_messages_to(os.devnull):
        from . import cohort_pages, diagrams, speed  # only here: they draw, and every command would wait for their libraries

    for name in ("_config.yml", "_toc.yml"):
        shutil.copy2(ROOT / name, staging / name)
    shutil.rmtree(staging / "book", ignore_errors=True)
    shutil.copytree(ROOT / "book", staging / "book", ignore=shutil.ignore_patterns("published", "__pycache__"))
    target = staging / "book" / "figures"
    shutil.copytree(run / "figures", target)
    shutil.copy2(run / "results.csv", target)  # the two tables are there to be downloaded
    packed = run / "predictions.csv.xz"
    predictions = lzma.decompress(packed.read_bytes()) if packed.exists() else (run / "predictions.csv").read_bytes()
    (target / "predictions.csv").write_bytes(predictions)
    write_text(target / "run_times.md", provenance.run_times(made, parts))
    for notebook, line in provenance.notebook_times(made, parts).items():
        write_text(target / "times" / f"{notebook}.md", line)
    diagrams.draw_workflow(parts).savefig(target / "workflow.svg", bbox_inches="tight")
    write_text(target / "versions.md", provenance.version_table(made))
    cohort_pages.write_answer(run, target)
    cohort_pages.write_pages(published_run("table", published), target)
    speed.write_pages(target)


def build_html(staging, output):
    """Render a staging tree with Jupyter Book, warnings as errors; ``output`` is replaced when that went well."""
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=PARTIAL) as build:
        result = _jupyter_book(staging, build, "-W", "-n", "--keep-going", "--quiet")
        if result.returncode:
            raise storage_error(result.stdout, output) or LesionBookError(f"the book could not be rendered:\n{result.stdout}")
        shutil.rmtree(output, ignore_errors=True)
        os.replace(Path(build) / "_build" / "html", output)


def _jupyter_book(staging, build, *options):
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", *options]
    command += ["--path-output", str(build), str(staging)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    return subprocess.run(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
