"""What no code may do, because a file from elsewhere could then run code: read from its syntax, without running it."""

import ast
import builtins
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: Modules that run code stored in the files that they read.
FORBIDDEN_IMPORTS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
#: Functions that run what they are given, or what is stored in the file that they read, by their full names.
FORBIDDEN = {
    "builtins.__import__", "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput",
    "asyncio.create_subprocess_shell", "pandas.read_pickle", "torch.load", "keras.config.enable_unsafe_deserialization",
    *(f"yaml.{name}{ending}" for name in ("load", "full_load", "unsafe_load") for ending in ("", "_all")),
}  # fmt: skip
RUN = {"builtins.eval", "builtins.exec"}
#: Functions that are safe only with a word: by the last part of their name, the word and its value.
NEEDS = {"load_model": ("safe_mode", "True"), "numpy.load": ("allow_pickle", "False")}
#: Where text of our own is run: cells of our notebooks, and code shown on our pages.
ALLOWED_EXEC = {
    "lesion_utils/settings.py",
    *(f"tests/test_{name}.py" for name in ("export", "notebooks", "readers", "solutions")),
}


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
    """Return what is forbidden in a source, with its line. Names are followed to what was imported under them."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    known = dict(pair for node in nodes for pair in _imported(node))
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    found = []
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found += [(node.lineno, text) for text in _bad_imports(node)]
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            name = _full_name(node, known)
            if name in FORBIDDEN or (name in RUN and path not in ALLOWED_EXEC):
                found.append((node.lineno, name))
            elif _needs(name) and id(node) not in called:
                found.append((node.lineno, f"{name} under another name"))
        elif isinstance(node, ast.Call):
            found += [(node.lineno, text) for text in _bad_words(node, _full_name(node.func, known))]
    return [f"{path}:{line}: {text}" for line, text in found]


def _imported(node):
    """Yield (name in this source, full name) of what an import brings."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2
    if isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        for alias in node.names:
            yield alias.asname or alias.name, f"{module}.{alias.name}"


def _bad_imports(node):
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
    yield from (f"import {name}" for name in names if name.split(".")[0] in FORBIDDEN_IMPORTS and not getattr(node, "level", 0))
    if any(alias.name == "*" for alias in node.names):
        yield "import *, which hides what is called"


def _full_name(node, known):
    """Return the dotted name that an expression stands for, as far as imports tell; of a computed object only what follows it."""
    if isinstance(node, ast.Attribute):
        return f"{_full_name(node.value, known)}.{node.attr}"
    if isinstance(node, ast.Name):
        return known.get(node.id, f"builtins.{node.id}" if hasattr(builtins, node.id) else node.id)
    return ""


def _needs(name):
    """Return the word that makes a function safe and its value, or None."""
    return next((word for end, word in NEEDS.items() if f".{name}".endswith(f".{end}")), None)


def _bad_words(node, name):
    words = {word.arg: ast.unparse(word.value) for word in node.keywords}
    word, value = _needs(name) or ("shell", words.get("shell"))
    if words.get(word) != value:
        yield f"{name} without {word}={value}"
    if words.get("shell", "False") != "False":
        yield f"{name} with shell={words['shell']}"


@pytest.mark.parametrize(("path", "source"), list(code()), ids=[path for path, _ in code()])
def test_no_file_can_run_code(path, source):
    assert dangers(path, source) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import pickle as p",
        "from pickle import load as x",
        "import pandas, joblib",
        "from joblib import load",
        "from numpy import *",
        "import yaml\nyaml.load(text, Loader=yaml.SafeLoader)",
        "import yaml as y\ny.unsafe_load(text)",
        "from yaml import full_load as safe_load\nsafe_load(text)",
        "eval(text)",
        "exec(text)",
        "run = eval",
        "import builtins as b\nb.exec(text)",
        "from builtins import eval as literal\nliteral(text)",
        "__import__('pickle')",
        "import numpy as np\nnp.load(path)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "import numpy\nnumpy.load(path, **options)",
        "from numpy import load as read\nread(path)",
        "import numpy as np\nread = np.load",
        "import keras\nkeras.saving.load_model(path)",
        "import keras\nkeras.saving.load_model(path, safe_mode=False)",
        "from keras.models import load_model as network\nnetwork(path, compile=False)",
        "from keras import config\nconfig.enable_unsafe_deserialization()",
        "import pandas as pd\npd.read_pickle(path)",
        "from pandas import read_pickle as read_csv\nread_csv(path)",
        "import torch\ntorch.load(path)",
        "from torch import load\nload(path)",
        "import os\nos.system(text)",
        "from os import popen as p\np(text)",
        "import subprocess as s\ns.run(text, shell=True)",
        "from subprocess import check_output as run\nrun(text, shell=where)",
        "from subprocess import getoutput\ngetoutput(text)",
    ],
)
def test_each_danger_is_seen(source):
    assert len(dangers("lesion_utils/new.py", source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "import yaml\nyaml.safe_load(text)",
        "import numpy as np\nnp.load(path, allow_pickle=False)",
        "from keras.saving import load_model\nload_model(path, safe_mode=True)",
        "import subprocess\nsubprocess.run(words, shell=False)",
        "from .units import load\nload(path)",
        "import json\njson.load(file)",
    ],
)
def test_what_is_safe_is_let_pass(source):
    assert dangers("lesion_utils/new.py", source) == []
