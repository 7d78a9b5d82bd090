"""What no code may do, because a file from elsewhere could then run code: read from its syntax, without running it."""

import ast
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: Modules that run code stored in the files that they read.
FORBIDDEN_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
#: Where text of our own is run: a parameters cell of our notebooks, and code shown on our pages.
ALLOWED_EXEC = {"lesion_utils/settings.py", "tests/test_export.py", "tests/test_readers.py", "tests/test_solutions.py"}


def code():
    """Return (path, source) of every module, notebook and test; lines of IPython's own are left out."""
    for folder in ("lesion_utils", "notebooks", "tests", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        for path in sorted((ROOT / folder).rglob("*.ipynb")):
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            source = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
            lines = [line for line in source.splitlines() if not line.startswith(("%", "!"))]
            yield path.relative_to(ROOT).as_posix(), "\n".join(lines)


def dangers(path, source):
    """Return what is forbidden in a source, with its line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [(node.lineno, f"import {name}") for name in names if name.split(".")[0] in FORBIDDEN_IMPORTS]
        if isinstance(node, ast.Call):
            found += [(node.lineno, text) for text in _call(node, path in ALLOWED_EXEC)]
    return [f"{path}:{line}: {text}" for line, text in found]


def _call(node, may_run):
    name = ast.unparse(node.func)
    words = {word.arg: ast.unparse(word.value) for word in node.keywords}
    last = name.rpartition(".")[2]
    if name in ("eval", "exec", "builtins.eval", "builtins.exec") and not may_run:
        yield name
    if name in ("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "pandas.read_pickle", "pd.read_pickle"):
        yield name
    if last == "load_model" and words.get("safe_mode") != "True":
        yield "load_model without safe_mode=True"
    if last == "enable_unsafe_deserialization":
        yield last
    if name in ("np.load", "numpy.load") and words.get("allow_pickle") != "False":
        yield "np.load without allow_pickle=False"


@pytest.mark.parametrize(("path", "source"), list(code()), ids=[path for path, _ in code()])
def test_no_file_can_run_code(path, source):
    assert dangers(path, source) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "yaml.load(text)",
        "eval(text)",
        "exec(text)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "keras.saving.load_model(path)",
        "keras.saving.load_model(path, safe_mode=False)",
        "pd.read_pickle(path)",
    ],
)
def test_each_danger_is_seen(source):
    assert len(dangers("lesion_utils/new.py", source)) == 1
