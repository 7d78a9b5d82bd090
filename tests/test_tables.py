"""Tables of notebooks are counted as tables, figures as figures."""

import pytest
import tables
from docutils import nodes
from docutils.utils import new_document


def page_with(*names):
    document = new_document("page")
    for name in names:
        figure = nodes.figure("", nodes.container(), nodes.caption("", f"About {name}."), names=[name], ids=[name])
        document += figure
    return document


def test_only_outputs_that_are_named_as_tables_become_tables():
    document = page_with("tab-arms", "fig-arms")
    tables.NumberTables(document).apply()
    table, figure = document.children
    assert isinstance(table, tables.table_output) and isinstance(figure, nodes.figure)
    assert table["ids"] == ["tab-arms"] and table["names"] == ["tab-arms"]


def test_caption_of_a_table_stands_above_it():
    document = page_with("tab-arms")
    tables.NumberTables(document).apply()
    assert isinstance(document[0][0], nodes.caption) and isinstance(document[0][1], nodes.container)
    assert tables.caption_of(document[0]) == "About tab-arms."


@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        ("78.6 % [72.1, 83.9]", ["78.6&nbsp;%", "[72.1,&nbsp;83.9]"]),
        ("+2.7 (-2.1 to +6.5)", ["+2.7", "(-2.1&nbsp;to&nbsp;+6.5)"]),
        ("13.0% to 14.3%", ["13.0%&nbsp;to&nbsp;14.3%"]),
        ("classic + synthetic (DCGAN)", ["classic", "+", "synthetic", "(DCGAN)"]),
    ],
)
def test_line_breaks_between_a_number_and_its_interval_alone(cell, parts):
    document = new_document("page")
    style = "<style>td { color: rgb(1, 2, 3) }</style>"
    document += nodes.raw("", f'{style}<table><tr><td class="data">{cell}</td></tr></table>', format="html")
    tables.KeepIntervalsWhole(document).apply()
    shown = document[0].astext()
    assert shown.startswith(style)
    assert shown.split('"data">')[1].split("</td>")[0].split(" ") == parts
