"""The run that LESION_BOOK_HTML names, and the pages of its rendered book as they are parsed.

`make test` renders the smoke book and names its run folder; any other finished run can be checked likewise:
``LESION_BOOK_HTML=runs/quick python -m pytest tests/test_pages.py tests/test_screen.py tests/test_solutions.py``.
"""

import functools
import os
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[1]
RUN = Path(os.environ["LESION_BOOK_HTML"]).resolve() if os.environ.get("LESION_BOOK_HTML") else None
SITE = RUN / "html" if RUN else None
needs_run = pytest.mark.skipif(RUN is None, reason="LESION_BOOK_HTML does not name a run folder (`make test` does)")

PAGES = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html")) if RUN else []
PAGES = [page for page in PAGES if not page.startswith("_static/")]  # the theme keeps templates there


def chapters():
    """Return the pages of the table of contents, in its order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    files = [toc["root"]] + [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    return [f"{file}.html" for file in files]


#: Every written page and notebook that was rendered: with nothing rendered, no test of them is there to run.
CHAPTERS = [page for page in PAGES if page.startswith(("book/", "notebooks/"))]


@functools.cache
def soup(page):
    """Return a page, parsed: once, for all tests of all modules."""
    return BeautifulSoup((SITE / page).read_text(encoding="utf-8"), "html.parser")
