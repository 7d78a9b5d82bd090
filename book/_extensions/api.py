"""A Sphinx extension that fills ``book/api.md`` with every public name of ``lesion_utils``, in the order of the data flow."""

import ast
import json
from pathlib import Path

from docutils import nodes
from sphinx.util.nodes import make_refnode

import lesion_utils
from lesion_utils import settings

PACKAGE = Path(lesion_utils.__file__).parent
PAGE = "book/api"


def imported(code):
    """Return the modules of the package that a piece of code imports, in order."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.level or node.module.split(".")[0] == PACKAGE.name):
            module = (node.module or "").removeprefix(PACKAGE.name).strip(".")
            found += [module] if module else [alias.name for alias in node.names]
    return [name for name in found if (PACKAGE / f"{name}.py").is_file()]


def modules_of(code, seen):
    """Return the modules that a piece of code needs and are not in ``seen``, each after those it rests on; add them there."""
    order = []
    for name in imported(code):
        if name not in seen:
            seen.add(name)
            order += [*modules_of((PACKAGE / f"{name}.py").read_text(encoding="utf-8"), seen), name]
    return order


def chapters():
    """Return (heading, sentence, modules) of each notebook that is the first to need a module, then of the other modules."""
    seen, found = set(), []
    for name, path in settings.notebooks().items():
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        title = "".join(cells[0]["source"]).splitlines()[0].removeprefix("# ")
        code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
        where = f"First needed by [notebook {name[:2]}](../notebooks/{name}.ipynb)."
        found.append((title, where, modules_of(code, seen)))
    rest = "\n".join(f"from . import {path.stem}" for path in sorted(PACKAGE.glob("*.py")) if path.stem != "__init__")
    found.append(("Around the notebooks", "Commands, forecasts and the record of a run.", modules_of(rest, seen)))
    return [chapter for chapter in found if chapter[2]]


def fill(app, page, source):
    """Append a section a module to the page, in MyST."""
    if page == PAGE:
        for heading, where, names in chapters():
            source[0] += f"\n## {heading}\n\n{where}\n"
            for name in names:
                source[0] += f"\n### `{name}`\n\n```{{eval-rst}}\n.. automodule:: lesion_utils.{name}\n   :members:\n```\n"


def resolve(app, env, node, content):
    """Make a link of a name that a docstring shortens as its code does: ``gans.Gan``, or a neighbour's mere name."""
    if node.get("refdomain") != "py":
        return None
    if not isinstance(content, nodes.literal):  # a word of a type or of an annotation, which leads nowhere
        return content
    place = node.get("py:module"), node.get("py:class")
    found = env.domains["py"].find_obj(env, *place, node["reftarget"], node["reftype"], searchmode=1)
    if len({entry.node_id for _, entry in found}) != 1:
        return None
    name, entry = found[0]
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content, name)


def summarise(app, what, name, thing, options, lines):
    """Keep the first paragraph of a docstring: shapes, units and errors stand in the source, one click away."""
    if what != "module" and "" in lines:
        del lines[lines.index("") :]


def setup(app):
    """Register all steps."""
    app.connect("source-read", fill)
    app.connect("autodoc-process-docstring", summarise)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
