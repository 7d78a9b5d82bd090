"""A Sphinx extension that numbers a notebook's tables: a cell's output whose name starts with ``tab-`` is "Tab. 3", not "Fig. 7".

A cell names its output in its metadata, as figures are named: ``{"mystnb": {"figure": {"name": "tab-arms", "caption": "..."}}}``.
MyST-NB makes a figure of any such output; here those of tables become tables, with the caption above, and prose refers to them by
``{numref}`tab-arms```.

In the cells of these tables a line may end between a number and its interval, not inside either.
"""

import re

from docutils import nodes
from sphinx.transforms import SphinxTransform
from sphinx.writers.html5 import HTML5Translator


class table_output(nodes.General, nodes.Element):
    """The output of a cell that shows a table, after its caption."""


class NumberTables(SphinxTransform):
    """Replace the figures of tables by :class:`table_output`, before figures and tables are counted."""

    default_priority = 5

    def apply(self):
        """Go through the page's figures; of several outputs of one cell, the first holds the name."""
        for figure in list(self.document.findall(nodes.figure)):
            if any(name.startswith("tab-") for name in figure["names"] + figure["dupnames"]):
                table = table_output("", *figure.children, **figure.attributes)
                table.children.sort(key=lambda child: not isinstance(child, nodes.caption))
                figure.replace_self(table)


CELL = re.compile(r"(?<=<td)[^>]*>[^<]+(?=</td>)")
NUMBER = r"[-+]?\d[\d,.]*(?: ?%)?"
TOGETHER = re.compile(rf"[\[(]?{NUMBER}(?:,| to) {NUMBER}[\])]?|{NUMBER}")


class KeepIntervalsWhole(SphinxTransform):
    """Put no-break spaces into the numbers and intervals of a notebook's tables: "78.6 % [72.1, 83.9]" has one place to break."""

    default_priority = 5

    def apply(self):
        """Go through the page's outputs in HTML."""
        for output in list(self.document.findall(nodes.raw)):
            if "<table" in output.astext():
                text = CELL.sub(lambda cell: TOGETHER.sub(_no_break, cell[0]), output.astext())
                output.children = [nodes.Text(text)]


def _no_break(found):
    return found[0].replace(" ", "&nbsp;")


def caption_of(table):
    """Return the text of a table's caption, by which Sphinx knows that it has a number."""
    return "".join(child.astext() for child in table.findall(nodes.caption))


def visit_table(translator, node):
    """Open the box around caption and table."""
    translator.body.append(translator.starttag(node, "div", CLASS="table-output"))


def depart_table(translator, node):
    """Close it."""
    translator.body.append("</div>\n")


def visit_citation(translator, node):
    """Open an entry of the references as an item of a list, which it is; docutils gives it a role that ARIA has given up."""
    if not isinstance(node.previous_sibling(), nodes.citation):
        translator.body.append('<div role="list" class="citation-list">\n')
    translator.body.append(translator.starttag(node, "div", CLASS="citation", role="listitem"))


def setup(app):
    """Register the node, the transforms and the look of references."""
    app.add_enumerable_node(table_output, "table", caption_of, html=(visit_table, depart_table))
    app.add_transform(NumberTables)
    app.add_transform(KeepIntervalsWhole)
    app.add_node(nodes.citation, override=True, html=(visit_citation, HTML5Translator.depart_citation))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
