"""Finds the exercises at the end of a notebook, and in their solutions the code that a reader sees."""

import re
from dataclasses import dataclass

import nbformat

from lesion_utils import settings

BLOCK = re.compile(r"^:::\{(exercise|solution)\} ([^\n]+)\n(.*?)^:::$", re.M | re.S)
CODE = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Exercise:
    """One exercise of a notebook: its title, its text, and its solution with the code of all its blocks in one."""

    notebook: str
    label: str
    title: str
    text: str
    solution: str
    code: str


def notebook_exercises(name, cells):
    """Return the exercises of a notebook in order.

    Parameters
    ----------
    name : str
    cells : list of str
        The sources of its Markdown cells.

    Raises
    ------
    ValueError
        If a label or a solution is missing, or stands where it does not belong.
    """
    found, solutions = {}, {}
    for kind, argument, body in BLOCK.findall("\n\n".join(cells)):
        if kind == "exercise":
            label = re.match(r":label: (\S+)\n", body)
            if not label or label[1] in found:
                raise ValueError(f"{name}: exercise '{argument}' has no label of its own")
            found[label[1]] = argument, body
        elif argument not in found or argument in solutions:
            raise ValueError(f"{name}: a solution of {argument} does not follow its exercise, or is its second one")
        else:
            solutions[argument] = body
    if found.keys() != solutions.keys():
        raise ValueError(f"{name}: without a solution: {', '.join(sorted(found.keys() - solutions.keys()))}")
    return [
        Exercise(name, label, title, text, solutions[label], "\n\n".join(CODE.findall(solutions[label])))
        for label, (title, text) in found.items()
    ]


def read_cells(path):
    """Return the sources of a notebook's Markdown cells."""
    return [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown"]


CELLS = {name: read_cells(path) for name, path in settings.notebooks().items()}
EXERCISES = [exercise for name, cells in CELLS.items() for exercise in notebook_exercises(name, cells)]
