"""The rendered book in a reader's hands: what it weighs, what can be searched, taken away, numbered, and reached by keyboard.

Runs on the same rendered book as test_pages.py: see rendered.py.
"""

import importlib
import inspect
import json
import re
from pathlib import Path

import pytest
from rendered import ROOT, RUN, SITE, chapters, needs_run, soup
from visits import serious_barriers

pytestmark = needs_run
WALK = "notebooks/04_acgan.html"


# --- what the pages hold --------------------------------------------------------------------------------------------


def test_every_page_leads_to_the_one_before_and_the_one_after():
    order = chapters()
    for place, page in enumerate(order):
        links = {kind: soup(page).select(f"a.{kind}") for kind in ("left-prev", "right-next")}
        for kind, other in (("left-prev", place - 1), ("right-next", place + 1)):
            wanted = [order[other]] if 0 <= other < len(order) else []
            found = [(SITE / page).parent.joinpath(link["href"]).resolve().relative_to(SITE).as_posix() for link in links[kind]]
            assert found == wanted, f"{page}: {kind}"


def test_every_notebook_can_be_downloaded_from_its_page():
    for page in [page for page in chapters() if page.startswith("notebooks/")]:
        (link,) = soup(page).select("a.btn-download-source-button")
        file = (SITE / page).parent / link["href"]
        assert file.name == f"{Path(page).stem}.ipynb"
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        assert any(cell.get("outputs") for cell in cells), f"{file.name} has no outputs"


@pytest.mark.parametrize("name", ["results.csv", "predictions.csv"])
def test_tables_can_be_downloaded_from_the_welcome_page(name):
    (link,) = [link for link in soup("book/index.html").select("a.download") if link["href"].endswith(name)]
    assert (SITE / "book" / link["href"]).read_bytes() == (RUN / name).read_bytes()


def test_figures_and_tables_are_numbered_one_after_another():
    numbers = {"Fig.": [], "Tab.": []}
    for page in chapters():
        for caption in soup(page).select(".caption-number"):
            kind, number = caption.get_text().split()
            numbers.setdefault(kind, []).append(int(number))  # exercises count for themselves
        for image in soup(page).select("div.cell_output img"):
            assert image.find_parent("figure").select_one(".caption-number"), f"{page}: {image.get('alt')}"
        for table in soup(page).select(".table-output"):
            assert table.select_one(".caption-number + .caption-text") and table.select_one("table"), page
    assert numbers["Fig."] == list(range(1, len(numbers["Fig."]) + 1)) and len(numbers["Fig."]) > 20
    assert numbers["Tab."] == list(range(1, len(numbers["Tab."]) + 1)) and len(numbers["Tab."]) > 20


def test_every_reference_has_a_link_to_the_work():
    entries = soup("book/references.html").select("div.citation")
    assert len(entries) > 20
    without = [entry.get_text() for entry in entries if not entry.select("a.external[href^='https://']")]
    assert without == []


def test_package_page_has_every_public_name_with_its_first_line_and_its_source():
    page = soup("book/api.html")
    places = {element["id"]: element for element in page.find_all(id=True)}
    text = re.sub(r"\s+", " ", page.get_text()).replace("’", "'").replace("“", '"').replace("”", '"')
    missing = []
    for path in sorted((ROOT / "lesion_utils").glob("[!_]*.py")):
        module = importlib.import_module(f"lesion_utils.{path.stem}")
        for name, thing in vars(module).items():
            own = inspect.isfunction(thing) or inspect.isclass(thing)
            if name.startswith("_") or not own or thing.__module__ != module.__name__ or not inspect.getdoc(thing):
                continue
            place = places.get(f"{module.__name__}.{name}")
            if place is None or not place.select_one("a .viewcode-link"):
                missing.append(f"{module.__name__}.{name}")
                continue
            first = re.sub(r":\w+:`~?([^`]+)`|[`*]", r"\1", inspect.getdoc(thing).splitlines()[0])
            words = re.split(r"\W+", first)[:4]
            if not re.search(r"\W+".join(map(re.escape, words)), text):
                missing.append(f"{module.__name__}.{name}: {first}")
    assert missing == []


# --- in a browser ---------------------------------------------------------------------------------------------------


@pytest.fixture
def open_page(browser, address):
    """Return a function that opens a page of the book in a window of its own."""
    contexts = []

    def open_page(page, *, width=1280, address=address, **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **options))
        tab = contexts[-1].new_page()
        tab.goto(address + page, wait_until="load", timeout=90_000)
        return tab

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.browser
def test_welcome_page_and_all_it_loads_is_smaller_than_a_megabyte(browser, address):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    sizes = {}
    tab = context.new_page()
    tab.on("response", lambda response: sizes.update({response.url: len(response.body())}))
    tab.goto(f"{address}book/index.html", wait_until="networkidle")
    context.close()
    assert len(sizes) > 10
    assert sum(sizes.values()) < 1_000_000, sorted(sizes.items(), key=lambda item: -item[1])[:5]


@pytest.mark.browser
def test_icons_are_drawn(open_page):
    tab = open_page("book/index.html")
    tab.wait_for_selector("svg.svg-inline--fa", state="attached")
    broken = tab.evaluate("[...document.querySelectorAll('svg[data-icon]')].filter(e => !e.querySelector('path[d]')).length")
    assert broken == 0 and tab.locator("i[class*='fa-']").count() == 0


@pytest.mark.browser
@pytest.mark.parametrize("way", ["served", "as a file"])
def test_search_finds_a_word_of_the_book(way, open_page, address):
    tab = open_page("search.html?q=hemangioma", address=address if way == "served" else f"{SITE.as_uri()}/")
    tab.wait_for_selector("ul.search li a", timeout=60_000)
    found = [link.get_attribute("href") for link in tab.locator("ul.search li a").all()]
    assert any("notebooks/01_data.html" in link for link in found), found


@pytest.mark.browser
def test_first_stop_of_the_keyboard_skips_to_the_text(open_page):
    tab = open_page("notebooks/03_dcgan.html")
    tab.keyboard.press("Tab")
    link = tab.locator("#pst-skip-link a")
    assert link.evaluate("e => e === document.activeElement") and link.is_visible()
    tab.keyboard.press("Enter")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.querySelector('#main-content').contains(document.activeElement)")


PLACE = """() => {
  const seen = e => {
    const style = getComputedStyle(e);
    return (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none';
  };
  const here = document.activeElement;
  return {what: here.outerHTML.slice(0, 100), body: here === document.body, visible: seen(here) || seen(here.parentElement)};
}"""


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_place_of_the_keyboard_is_seen_on_every_stop(scheme, open_page):
    tab = open_page(WALK, color_scheme=scheme)
    tab.locator("#main-content").focus()
    unseen, stops = [], 0
    for _ in range(80):
        tab.keyboard.press("Tab")
        place = tab.evaluate(PLACE)
        if place["body"]:
            break
        stops += 1
        unseen += [] if place["visible"] else [place["what"]]
    assert stops > 30
    assert unseen == []


@pytest.mark.browser
@pytest.mark.parametrize("page", chapters() if RUN else [])
def test_every_control_can_be_reached_by_keyboard(page, visited):
    assert visited(page, 390, "light")["outOfReach"] == []


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", ["search.html?q=lesion", "genindex.html", "_modules/lesion_utils/cohort.html"])
def test_other_pages_have_no_serious_barrier(page, scheme, open_page):
    assert serious_barriers(open_page(page, color_scheme=scheme)) == []


@pytest.mark.browser
def test_formula_that_is_too_wide_is_shown_from_its_beginning(open_page):
    tab = open_page("notebooks/02_classic_augmentation.html", width=320)
    box, formula = (tab.locator(f".bd-content div.math{part}").first for part in ("", " > math"))
    assert box.evaluate("e => e.scrollWidth > e.clientWidth") and box.evaluate("e => e.scrollLeft") == 0
    assert formula.bounding_box()["x"] >= box.bounding_box()["x"] - 1


@pytest.mark.browser
def test_figures_of_written_pages_keep_a_readable_size_on_a_phone(open_page):
    tab = open_page("book/index.html", width=390)
    figure = tab.locator("#fig-welcome")
    assert figure.locator("img").bounding_box()["width"] > 500 and figure.bounding_box()["width"] <= 390
    assert figure.evaluate("e => e.tabIndex") == 0 and tab.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.browser
def test_letters_of_the_module_index_stand_on_dark_in_the_dark(open_page):
    tab = open_page("py-modindex.html", color_scheme="dark")
    colours = tab.locator("tr.cap").first.evaluate("e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]")
    ground, letters = (sum(int(value) for value in re.findall(r"\d+", colour)[:3]) for colour in colours)
    assert ground < 300 < 500 < letters, colours


@pytest.mark.browser
@pytest.mark.parametrize("page", ["search.html?q=lesion", "genindex.html", "py-modindex.html"])
def test_other_pages_fit_a_phone(page, open_page):
    assert open_page(page, width=390).evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_sliders_walk_through_the_latent_space_by_keyboard(width, scheme, open_page):
    tab = open_page(WALK, width=width, color_scheme=scheme)
    picture, said = tab.locator(".latent-walk .picture"), tab.locator(".latent-walk output")
    assert picture.bounding_box()["width"] == 256 and picture.bounding_box()["x"] + 256 <= width
    views, words = [picture.screenshot()], [said.inner_text()]
    for name in ("row", "column"):
        tab.locator(f".latent-walk [name={name}]").focus()
        tab.keyboard.press("End")
        views.append(picture.screenshot())
        words.append(said.inner_text())
    assert len(set(views)) == 3 and len(set(words)) == 3
    assert words[2] in tab.locator(".latent-walk img").get_attribute("alt")
    slider = tab.locator(".latent-walk [name=row]")
    assert slider.get_attribute("aria-valuetext") in words[2] and tab.get_by_label("Class", exact=True).count() == 1


def scrolled_to(tab, selector):
    """The element and its box in pixels, once it is on the screen."""
    element = tab.locator(selector)
    element.scroll_into_view_if_needed()
    return element, element.bounding_box()


@pytest.mark.browser
def test_sliders_follow_a_finger(open_page):
    tab = open_page(WALK, width=390, has_touch=True)
    slider, box = scrolled_to(tab, ".latent-walk [name=column]")
    assert box["height"] >= 40, "large enough for a finger"
    tab.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert 0 < int(slider.input_value()) < int(slider.get_attribute("max"))


@pytest.mark.browser
def test_whole_sheet_is_shown_where_no_script_runs(open_page):
    tab = open_page(WALK, width=390, java_script_enabled=False)
    image, box = scrolled_to(tab, ".latent-walk img")
    assert box["width"] > 250 and box["x"] + box["width"] <= 390 and image.get_attribute("alt").startswith("Sheet of")
    assert not tab.locator(".latent-walk .controls").is_visible()


def test_walk_is_a_picture_of_the_run():
    (image,) = soup(WALK).select(".latent-walk img")
    assert image["src"].startswith("data:image/jpeg;base64,") and len(image["src"]) * 3 / 4 < 400_000 + 100
    assert image.find_parent("figure").get("id") == "fig-acgan-walk"
