"""A Sphinx extension that writes formulas as MathML, which browsers draw themselves: nothing comes from the web."""

import html
import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)

#: Around a displayed formula these say nothing new: it is aligned at its & and broken at its line ends as it is.
OUTER_ENVIRONMENT = re.compile(r"\\begin\{(equation|align|gather|split)(\*?)\}(.*)\\end\{\1\2\}", re.DOTALL)


def formula(node, as_block):
    """Return the MathML of ``node``; a formula that cannot be read is a warning, hence an error of the build."""
    text = node.astext().strip()
    while as_block and (outer := OUTER_ENVIRONMENT.fullmatch(text)):
        text = outer[3].strip()
    try:
        return tex2mathml(text, as_block=as_block)
    except MathError as error:
        logger.warning("formula %r: %s", node.astext(), error, location=node)
        return html.escape(node.astext())


def visit_inline(translator, node):
    """Write a formula inside a sentence."""
    translator.body.append(f'<span class="math notranslate">{formula(node, as_block=False)}</span>')
    raise nodes.SkipNode


def visit_block(translator, node):
    """Write a formula on a line of its own, with its number if it has a label."""
    translator.body.append(translator.starttag(node, "div", CLASS="math notranslate"))
    if node["number"]:
        translator.body.append(f'<span class="eqno">({get_node_equation_number(translator, node)})')
        translator.add_permalink_ref(node, "Link to this equation")
        translator.body.append("</span>")
    translator.body.append(formula(node, as_block=True) + "</div>\n")
    raise nodes.SkipNode


def setup(app):
    """Register the renderer; ``html_math_renderer: mathml`` in _config.yml selects it."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
