"""Buttons that open the book elsewhere: off without the repository's address, all on and right with it; the files they need."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import launch
import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = "https://github.com/made-up/lesions"


def render(folder, address):
    """Render a page and a notebook with the project's own configuration and an address; return the notebook's links."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    config["repository"]["url"] = address
    config["sphinx"]["config"]["html_extra_path"] = []
    (folder / "_config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    (folder / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nchapters:\n  - file: notebooks/01_data\n", encoding="utf-8"
    )
    for part in ("_extensions", "_static"):
        shutil.copytree(ROOT / "book" / part, folder / "book" / part)
    shutil.copy2(ROOT / "book" / "references.bib", folder / "book")
    (folder / "book" / "index.md").write_text("# Welcome\n", encoding="utf-8")
    (folder / "notebooks").mkdir()
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_markdown_cell("# Data"), nbformat.v4.new_code_cell("1")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "notebooks" / "01_data.ipynb")
    jupyter_book = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", "-W", "--quiet", str(folder)]
    result = subprocess.run(jupyter_book, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    page = (folder / "_build" / "html" / "notebooks" / "01_data.html").read_text(encoding="utf-8")
    return [link["href"] for link in BeautifulSoup(page, "html.parser").find_all("a", href=True)]


def test_one_address_turns_on_every_button(tmp_path):
    links = render(tmp_path, f"{ADDRESS}/")
    assert "https://colab.research.google.com/github/made-up/lesions/blob/main/notebooks/01_data.ipynb" in links
    assert "https://mybinder.org/v2/gh/made-up/lesions/main?urlpath=lab/tree/notebooks/01_data.ipynb" in links
    assert "https://codespaces.new/made-up/lesions/tree/main" in links
    assert ADDRESS in links and [link for link in links if link.startswith(f"{ADDRESS}/issues/new")]
    assert f"{ADDRESS}/edit/main/notebooks/01_data.ipynb" in links


def test_without_an_address_there_are_no_buttons(tmp_path):
    words = ("colab", "mybinder", "codespaces", "github.com/made-up", "issues/new")
    assert [link for link in render(tmp_path, "") if any(word in link for word in words)] == []


def test_address_is_the_only_setting():
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert set(config["repository"]) == {"url", "branch"}
    assert [name for name in config["html"] if name.startswith("use_") and name.endswith("_button")] == []
    options = {"repository_url": ADDRESS, "launch_buttons": {"notebook_interface": "jupyterlab"}}
    assert launch.theme_options(options)["launch_buttons"]["notebook_interface"] == "jupyterlab"
    assert "launch_buttons" not in launch.theme_options(options | {"repository_url": ""})


@pytest.mark.parametrize("address", ["", None, "https://gitlab.com/a/b"])
def test_codespaces_are_of_github_alone(address):
    assert launch.codespaces_url({"repository_url": address}) is None


def test_dev_container_installs_as_the_makefile_does():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    words = container["postCreateCommand"].split()
    assert words[0] == "make" and re.search(rf"^{re.escape(words[1])}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    python = re.search(r"python:(3\.\d+)", container["image"])[1]
    assert python in ("3.11", "3.12", "3.13")
