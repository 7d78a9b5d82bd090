"""Tables of notebooks are counted as tables, figures as figures."""

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
