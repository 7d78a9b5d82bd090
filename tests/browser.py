"""Serve a folder on this machine and open its pages in Chromium."""

import functools
import http.server
import os
import shutil
import threading
from contextlib import contextmanager

#: Without these, Chromium looks things up on the web by itself, which has nothing to do with the page under test.
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """Say nothing: a missing file is reported by the test that asked for it."""


@contextmanager
def serve(folder):
    """Serve ``folder`` on a free port of 127.0.0.1 and yield its address, ending in ``/``."""
    handler = functools.partial(_QuietHandler, directory=os.fspath(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def chromium():
    """Start Chromium without a window and yield Playwright's browser.

    Raises
    ------
    FileNotFoundError
        If no Chromium is installed.
    """
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        raise FileNotFoundError(
            "no Chromium on PATH: install it (on Debian: apt-get install chromium), name it in the variable CHROMIUM, "
            "or leave the browser part out with `make test NO_BROWSER=1`"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()
