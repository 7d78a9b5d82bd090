"""The glossary: in order, each term once, and no word of the book that points to a term which is not there."""

import re

import pytest
from exercises import CELLS

from lesion_utils import settings

TEXT = (settings.ROOT / "book" / "glossary.md").read_text(encoding="utf-8")
ENTRY = re.compile(r"^(?! )(?P<term>[^\n]+)\n  (?P<definition>[^\n]+)$", re.M)
ENTRIES = {match["term"]: match["definition"] for match in ENTRY.finditer(TEXT.split("```{glossary}\n")[1].split("```")[0])}
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in sorted((settings.ROOT / "book").glob("*.md"))}


def named_terms(text):
    """Return the terms that a text links to: {term}`name` or {term}`shown <name>`."""
    return [re.sub(r".*<(.+)>$", r"\1", name, flags=re.S) for name in re.findall(r"\{term\}`([^`]+)`", text)]


def test_terms_are_many_sorted_and_each_there_once():
    terms = [term.casefold() for term in ENTRIES]
    assert len(terms) >= 60
    assert terms == sorted(set(terms))
    assert len(ENTRIES) == len(re.findall(r"^  \S", TEXT, re.M)), "an entry of more than one line, or a term that comes twice"


@pytest.mark.parametrize("term", ENTRIES)
def test_a_definition_is_a_few_whole_sentences(term):
    definition = ENTRIES[term]
    assert definition.endswith((".", "?")) and len(definition.split()) <= 60
    assert term not in named_terms(definition), "a term that is explained by itself"


@pytest.mark.parametrize("name", [*CELLS, *PAGES])
def test_every_term_that_is_named_is_in_the_glossary(name):
    known = {term.casefold() for term in ENTRIES}
    text = "\n".join(CELLS[name]) if name in CELLS else PAGES[name]
    assert [term for term in named_terms(text) if term.casefold() not in known] == []


@pytest.mark.parametrize("name", CELLS)
def test_every_notebook_leads_to_the_glossary(name):
    assert named_terms("\n".join(CELLS[name]))


def test_both_ways_of_naming_a_term_are_read():
    assert named_terms("a {term}`ROI` in a {term}`window <window level and width>`") == ["ROI", "window level and width"]
