"""The page on reporting guidelines: every item is answered once, and what it points to is there."""

import re

import pytest
import yaml

from lesion_utils.settings import ROOT

PAGE = ROOT / "book" / "reporting.md"
TEXT = PAGE.read_text(encoding="utf-8")
CLAIM = [str(number) for number in range(1, 45)]
#: Letters of the items of TRIPOD+AI that have parts.
PARTS = {3: "abc", 5: "ab", 6: "abc", 8: "abc", 9: "abc", 12: "abcdefg", 18: "abcdef", 20: "abc", 23: "ab", 27: "abc"}
TRIPOD = [f"{number}{letter}" for number in range(1, 28) for letter in PARTS.get(number, [""])]


def rows(text, heading):
    """Return the cells of the table below a heading: item, what is asked for, answer."""
    section = re.split(r"^## ", text.split(f"## {heading}\n", 1)[1], flags=re.M)[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")]
    assert cells[0] == ["item", "asked for", "where the book answers it"] and set(cells[1]) == {"---"}
    return cells[2:]


@pytest.mark.parametrize(("heading", "items"), [("CLAIM, 2024 update", CLAIM), ("TRIPOD+AI", TRIPOD)])
def test_every_item_is_there_once_and_in_order(heading, items):
    assert [row[0] for row in rows(TEXT, heading)] == items


def test_numbers_of_items_are_those_of_the_guidelines():
    assert len(CLAIM) == 44 and len(TRIPOD) == 52
    assert len({re.match(r"\d+", item)[0] for item in TRIPOD}) == 27


@pytest.mark.parametrize("heading", ["CLAIM, 2024 update", "TRIPOD+AI"])
def test_every_item_is_answered_by_a_link_a_reason_or_an_open_word(heading):
    for item, asked, answer in rows(TEXT, heading):
        assert len(asked) > 5, item
        said = (
            "](" in answer
            or "{ref}" in answer
            or "not applicable because" in answer
            or "not answered" in answer
            or len(answer.split()) > 3
        )
        assert said, f"{heading} {item}: {answer}"
        assert not re.search(r"not applicable(?! because \w)", answer), f"{heading} {item}: say why"


def test_every_link_leads_to_a_page_of_the_book():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    pages = {toc["root"]} | {chapter["file"] for part in toc["parts"] for chapter in part["chapters"]}
    targets = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert len(targets) > 100
    for target in targets:
        found = (PAGE.parent / target).resolve()
        assert found.is_file(), target
        assert str(found.relative_to(ROOT).with_suffix("")) in pages, f"{target} is not in _toc.yml"
    for label in re.findall(r"\{ref\}`[^`]*<([^>]+)>`", TEXT):
        assert f"\n({label})=\n## " in TEXT, label


def test_a_notebook_is_called_by_its_number():
    for number, target in re.findall(r"\[(\d\d)\]\(\.\./notebooks/(\d\d)_", TEXT):
        assert number == target


def test_guidelines_are_cited_and_in_the_bibliography():
    keys = set(re.findall(r"@\w+\{(\w+),", (ROOT / "book" / "references.bib").read_text(encoding="utf-8")))
    cited = set(re.findall(r"\{cite\}`(\w+)`", TEXT))
    assert {"tejani2024", "collins2024"} <= cited <= keys


def test_limits_are_said():
    limits = TEXT.split("## Limits, said openly\n", 1)[1]
    for word in ("simulated", "slice", "small", "organ", "reader", "hospital", "seeds"):
        assert word in limits, word
