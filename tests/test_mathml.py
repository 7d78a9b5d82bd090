"""Formulas of the book become MathML, and one that cannot be read stops the build."""

import mathml
import pytest
from docutils import nodes


def test_formula_becomes_mathml():
    written = mathml.formula(nodes.math(text=r"\frac{\hat p}{n} < 1"), as_block=False)
    assert written.startswith("<math")
    assert "<mfrac>" in written and "&lt;" in written


@pytest.mark.parametrize("environment", ["align", "align*", "equation", "gather*"])
def test_outer_environment_changes_nothing(environment):
    text = r"a &= b \\ c &= d"
    wrapped = rf"\begin{{{environment}}}{text}\end{{{environment}}}"
    plain = mathml.formula(nodes.math_block(text=text), as_block=True)
    assert plain.count("<mtr>") == 2
    assert mathml.formula(nodes.math_block(text=wrapped), as_block=True) == plain


def test_unknown_command_is_a_warning_that_quotes_the_formula(monkeypatch):
    messages = []
    monkeypatch.setattr(mathml.logger, "warning", lambda text, *values, location: messages.append(text % values))
    written = mathml.formula(nodes.math(text=r"a < \nosuchcommand"), as_block=False)
    assert "nosuchcommand" in messages[0]
    assert written == r"a &lt; \nosuchcommand"
