"""What a notebook that was run on patients may show when it is published: numbers, tables and plots, no image of a patient.

Pictures say themselves what they show (see :mod:`figure_tags`), and HTML may say that it shows images (:data:`DECLARED`). What
says so is replaced by a sentence; a picture that says nothing, and any other output that could hold an image, is a problem.
Nothing is let through because it looks harmless.
"""

import base64
import binascii
import copy
import re

from .figure_tags import IMAGES, PLOT, read_tag, squeeze

LEFT_OUT = (
    "This figure shows images of patients, or made from them, and is left out of what is published. "
    "Run the notebook on the data to see it."
)
#: Prefix of the kinds of output that ``glue`` stores.
GLUE = "application/papermill.record/"
#: An attribute by which HTML that draws for itself says that it shows images. There is none to say that it does not.
DECLARED = f'data-content="{IMAGES}"'
TEXTS = ("text/plain", "text/html", "text/markdown", "text/latex")
EMBEDDED = re.compile(r"data:(?!image/png;base64,)[\w+.-]+/[\w+.-]+|data:image/png;base64,([A-Za-z0-9+/=\s]+)")
#: Elements of HTML, and Markdown's own, that can show a picture or run a program.
ACTIVE = re.compile(
    r"<\s*(?:svg|canvas|script|iframe|object|embed|video|audio|img(?![^>]*src=[\"']data:image/png)|image)\b|!\[", re.I
)


def without_images(name, notebook):
    """Return a copy of an executed notebook without its images, and the problems.

    Parameters
    ----------
    name : str
        What the notebook is called in messages.
    notebook : dict

    Returns
    -------
    notebook : dict
    problems : list of str
    """
    notebook, problems = copy.deepcopy(notebook), []
    notebook["metadata"].pop("widgets", None)
    for number, cell in enumerate(notebook["cells"]):
        if cell.get("attachments"):
            problems.append(f"{name}, cell {number}: has a file attached; remove it")
        outputs = []
        for output in cell.get("outputs", []):
            kinds = {_tag(kind.removeprefix(GLUE), _joined(value)) for kind, value in output.get("data", {}).items()}
            if None in kinds:
                problems.append(
                    f"{name}, cell {number}: an output that does not say whether it shows a patient; "
                    "draw it with matplotlib after figures.use_style()"
                )
            outputs.append(_sentence() if IMAGES in kinds else output)
        if "outputs" in cell:
            cell["outputs"] = outputs
    return notebook, problems


def _joined(value):
    return "".join(value) if isinstance(value, list) else value


def _tag(kind, value):
    """Return ``plot`` (or text), ``images``, or None where nobody can tell."""
    if kind == "image/png":
        return _picture(value)
    if kind not in TEXTS or not isinstance(value, str):
        return None
    if kind == "text/plain":
        return PLOT
    if DECLARED in value:
        return IMAGES
    if ACTIVE.search(value):
        return None
    tags = {_picture(match[1]) if match[1] else None for match in EMBEDDED.finditer(value)}
    return None if None in tags else IMAGES if IMAGES in tags else PLOT


def _picture(text):
    try:
        return read_tag(base64.b64decode(text))
    except (binascii.Error, ValueError):
        return None


def _sentence():
    data = {"text/markdown": f"*{LEFT_OUT}*", "text/plain": LEFT_OUT}
    return {"output_type": "display_data", "data": data, "metadata": {}}


def squeeze_pictures(notebook):
    """Save the pictures of a notebook in fewer bytes, without a loss; see :func:`figure_tags.squeeze`."""
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            for kind, value in output.get("data", {}).items():
                if kind.removeprefix(GLUE) == "image/png":
                    output["data"][kind] = base64.b64encode(squeeze(base64.b64decode(_joined(value)))).decode()


def text_of(notebook):
    """Return everything in a notebook that can be read, without the bytes of its pictures."""
    parts = []

    def walk(value, key=""):
        if isinstance(value, dict):
            for inner, one in value.items():
                parts.append(str(inner))
                walk(one, str(inner))
        elif isinstance(value, list) and all(isinstance(one, str) for one in value):
            walk("".join(value), key)
        elif isinstance(value, list):
            for one in value:
                walk(one, key)
        elif not key.removeprefix(GLUE).startswith("image/"):
            parts.append(re.sub(r"(data:[\w+.-]+/[\w+.-]+;base64,)[A-Za-z0-9+/=\s]+", r"\1", str(value)))

    walk(notebook)
    return "\n".join(parts)
