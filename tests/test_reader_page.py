"""The page of the reader study in real Chromium: answer, reload, resume, save, and the saved file read by the analysis."""

import csv
import io
import json
import re
from contextlib import contextmanager

import pandas as pd
import pytest
from browser import serve
from test_reading import study_of

from lesion_utils import agreement
from lesion_utils.answers import ANSWER_COLUMNS, machine_answers, read_answers, read_readers
from lesion_utils.reading import KEY_FILE, PAGE_FILE, read_key, study_page, write_study

pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=alert(1)>"
TRICKY = ("</script><script>alert(2)</script>", EVIL, '=HYPERLINK("http://x";"a,b")', "Zyste; grün, „klein“", "l\u2028ine")


@pytest.fixture
def folder(tmp_path):
    """A run's folder with the page of six ROIs of three classes."""
    write_study(study_of(6), tmp_path)
    return tmp_path


@contextmanager
def opened(browser, folder, *, context=None, init=None, **options):
    """Open the page in a context of its own, or in a given one; complaints of the page and requests elsewhere are errors."""
    complaints = []
    own = context is None
    context = context or browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True, **options)
    with serve(folder / "figures") as address:
        context.route("**/*", lambda route: route.continue_() if route.request.url.startswith(address) else route.abort())
        tab = context.new_page()
        tab.set_default_timeout(10_000)
        tab.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on(
            "request",
            lambda request: None if request.url.startswith((address, "data:", "blob:")) else complaints.append(request.url),
        )
        if init:
            tab.add_init_script(init)
        tab.goto(address + PAGE_FILE)
        try:
            yield tab
        finally:
            tab.close()
            if own:
                context.close()
    assert complaints == []


def item(tab):
    """Return the id of the image that is shown."""
    return re.match(r"Image (R\d+):", tab.get_attribute("#image", "alt"))[1]


def settled(tab, place):
    tab.wait_for_function("title => document.getElementById('read-title').textContent.startsWith(title)", arg=f"Image {place} of")


def answer_all(tab, key, first=1):
    """Answer every image rightly by keyboard and return the ids in the order in which they were shown."""
    truth, classes, seen = key.set_index("item"), list(dict.fromkeys(sorted(key["class"]))), []
    for place in range(first, len(key) + 1):
        settled(tab, place)
        seen.append(item(tab))
        tab.keyboard.press(str(classes.index(truth.loc[seen[-1], "class"]) + 1))
        tab.keyboard.press(truth.loc[seen[-1], "origin"][0])
    tab.wait_for_selector("#finish:not([hidden])")
    return seen


def save(tab, path):
    """Save the answers and return the file's text."""
    with tab.expect_download() as download:
        tab.click("#download")
    download.value.save_as(path)
    assert download.value.suggested_filename.startswith("reader_study_S")
    return path.read_text(encoding="utf-8")


def test_answer_reload_resume_save_and_feed_back(browser, folder, tmp_path):
    key = read_key(folder / KEY_FILE)
    context = browser.new_context(accept_downloads=True)
    with opened(browser, folder, context=context) as tab:
        assert "6 images" in tab.inner_text("#start")
        tab.fill("#reader", "Dr A")
        tab.click("#begin")
        settled(tab, 1)
        begun = [item(tab)]
        tab.click("#classes button >> nth=2")
        assert tab.get_attribute("#classes button >> nth=2", "aria-pressed") == "true"
        tab.reload()  # in the middle of an image
        tab.click("text=Start")
        assert item(tab) == begun[0], "the order must survive"
        assert tab.get_attribute("#classes button >> nth=2", "aria-pressed") == "true", "half an answer must survive"
        tab.click("#origins button >> nth=0")
        settled(tab, 2)
        begun.append(item(tab))
        tab.keyboard.press("1")
        tab.keyboard.press("s")
        settled(tab, 3)
        address = tab.url
        tab.close()  # the reader closes the tab, and opens the page once more
        tab = context.new_page()
        tab.goto(address)
        assert tab.inner_text("#begin") == "Go on: 2 of 6 answered"
        assert tab.input_value("#reader") == "Dr A"
        tab.click("#begin")
        seen = answer_all(tab, key, first=3)
        assert len({*begun, *seen}) == 6
        path = tmp_path / "a.csv"
        text = save(tab, path)
    context.close()
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    assert list(rows[0]) == ANSWER_COLUMNS
    assert [row["item"] for row in rows] == begun + seen
    assert {row["study"] for row in rows} == {key["study"].iloc[0]} and {row["reader"] for row in rows} == {"Dr A"}
    assert all(0 <= float(row["seconds"]) < 60 for row in rows)
    answers, warnings = read_readers([path], key, sorted(set(key["class"])))
    assert warnings == [] and len(answers) == 6 and set(answers["reader"]) == {"reader_1"}
    right = answers.merge(key, on="item")
    assert (right["class_x"] == right["class_y"])[2:].all() and (right["origin_x"] == right["origin_y"])[2:].all()
    assert tuple(answers.loc[0, ["class", "origin"]]) == ("class 2", "real")
    machine = machine_answers(study_of(6), "cnn", label=[0] * 6)
    metrics = {row["metric"] for row in agreement.reader_rows(pd.concat([answers, machine], ignore_index=True), key)}
    assert {"class_accuracy", "cnn_class_accuracy", "d_prime", "origin_accuracy"} <= metrics


def test_saved_file_goes_on_in_another_browser(browser, folder, tmp_path):
    key = read_key(folder / KEY_FILE)
    with opened(browser, folder) as tab:
        tab.click("#begin")
        first = item(tab)
        tab.keyboard.press("2")
        tab.keyboard.press("r")
        settled(tab, 2)
        second = item(tab)
        tab.keyboard.press("3")  # half an answer
        tab.keyboard.press("p")
        assert "1 of 6" in tab.inner_text("#finish-text")
        text = save(tab, tmp_path / "part.csv")
    (tmp_path / "semicolons.csv").write_text("\ufeff" + text.removeprefix("\ufeff").replace(",", ";"), encoding="utf-8")
    for name in ("part.csv", "semicolons.csv"):
        with opened(browser, folder) as tab:
            tab.set_input_files("#load", tmp_path / name)
            tab.wait_for_function("document.getElementById('begin').textContent.includes('1 of 6')")
            tab.click("#begin")
            assert item(tab) == second, "the order comes from the file"
            assert tab.get_attribute("#classes button >> nth=2", "aria-pressed") == "true"
            tab.keyboard.press("Backspace")
            settled(tab, 1)
            assert item(tab) == first
            assert tab.get_attribute("#classes button >> nth=1", "aria-pressed") == "true"
            tab.keyboard.press("ArrowRight")
            seen = [first, *answer_all(tab, key, first=2)]
            assert sorted(seen) == sorted(key["item"])
    reading = read_answers(tmp_path / "part.csv", key, sorted(set(key["class"])))
    assert reading.warnings == ["4 of 6 ROIs are not in the file", "1 of 2 rows do not say real or synthetic"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("R00", "X00"), "no image X00"),
        (lambda text: text.replace("class 1", "elephant"), "no class elephant"),
        (lambda text: re.sub(r"S[0-9a-f]{16}", "S0", text), "another study (S0)"),
        (lambda text: text + text.splitlines()[1] + "\n", "answered twice"),
        (lambda text: "a,b\n1,2\n", "not a file that this page saved"),
        (lambda text: text.splitlines()[0], "holds no answers"),
    ],
)
def test_file_that_does_not_fit_is_explained(browser, folder, tmp_path, change, message):
    with opened(browser, folder) as tab:
        tab.click("#begin")
        tab.keyboard.press("2")
        tab.keyboard.press("r")
        settled(tab, 2)
        tab.keyboard.press("p")
        text = save(tab, tmp_path / "good.csv")
        (tmp_path / "bad.csv").write_text(change(text), encoding="utf-8")
        tab.reload()
        tab.set_input_files("#load", tmp_path / "bad.csv")
        tab.wait_for_selector(".notice")
        assert message in tab.inner_text("[role=alert]")
        assert tab.inner_text("#begin") == "Go on: 1 of 6 answered", "what was there stays"


def test_without_storage_the_reader_is_told_and_the_file_carries_on(browser, folder, tmp_path):
    block = "Object.defineProperty(window, 'localStorage', {get() { throw new Error('denied'); }})"
    with opened(browser, folder, init=block) as tab:
        assert "does not keep answers" in tab.inner_text("[role=alert]")
        tab.click("#begin")
        tab.keyboard.press("1")
        tab.keyboard.press("s")
        settled(tab, 2)
        tab.keyboard.press("p")
        assert "Save them before you close" in tab.inner_text("#finish-note")
        save(tab, tmp_path / "part.csv")
        tab.reload()
        assert tab.inner_text("#begin") == "Start"
        tab.set_input_files("#load", tmp_path / "part.csv")
        tab.wait_for_function("document.getElementById('begin').textContent.includes('1 of 6')")


def test_hasty_key_does_not_change_the_answer_before(browser, folder):
    with opened(browser, folder) as tab:
        tab.click("#begin")
        first = item(tab)
        tab.evaluate("for (const key of '1r2') document.body.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}))")
        settled(tab, 2)
        assert tab.evaluate("id => state.answers[id].class", first) == "class 0"
        assert tab.evaluate("countComplete()") == 1


def test_skipped_images_are_asked_for_at_the_end(browser, folder):
    with opened(browser, folder) as tab:
        tab.click("#begin")
        skipped = item(tab)
        tab.keyboard.press("ArrowRight")
        for place in range(2, 7):
            settled(tab, place)
            tab.click("#classes button >> nth=0")
            tab.click("#origins button >> nth=1")
        settled(tab, 1)
        assert item(tab) == skipped and "still without an answer" in tab.inner_text("[role=alert]")
        tab.keyboard.press("2")
        tab.keyboard.press("r")
        settled(tab, 2)  # an answered one: it is shown, not skipped, and can be changed without being moved on
        tab.keyboard.press("3")
        tab.wait_for_timeout(400)
        assert tab.inner_text("#read-title") == "Image 2 of 6"
        assert tab.get_attribute("#classes button >> nth=2", "aria-pressed") == "true"


def test_opened_from_a_folder_without_a_server(browser, folder):
    context = browser.new_context()
    for begin in ("Start", "Go on: 1 of 6 answered"):
        tab = context.new_page()
        tab.goto((folder / "figures" / PAGE_FILE).as_uri())
        assert tab.inner_text("#begin") == begin
        tab.click("#begin")
        tab.keyboard.press("1")
        tab.keyboard.press("r")
        tab.wait_for_function("countComplete() > 0")
        tab.close()
    context.close()


def test_two_tabs_of_one_reader_keep_all_answers(browser, folder):
    context = browser.new_context()
    with opened(browser, folder, context=context) as tab:
        tab.click("#begin")
        second = context.new_page()
        second.goto(tab.url)
        second.click("#begin")
        tab.keyboard.press("1")
        tab.keyboard.press("s")
        settled(tab, 2)
        second.wait_for_function("countComplete() === 1")
        second.click("#next")
        second.keyboard.press("2")
        second.keyboard.press("r")
        tab.wait_for_function("countComplete() === 2")
        assert tab.inner_text("#answered") == "2 of 6 answered"
    context.close()


def test_damaged_storage_starts_anew(browser, folder):
    key = read_key(folder / KEY_FILE)["study"].iloc[0]
    for damage in ("{", "null", '{"study": 1}', f'{{"study": "{key}", "order": 1, "answers": {{"R999": {{}}}}}}'):
        init = f"localStorage.setItem('lesion-reader-study-{key}', {damage!r})"
        with opened(browser, folder, init=init) as tab:
            assert tab.inner_text("#begin") == "Start"
            tab.click("#begin")
            settled(tab, 1)


def test_each_reader_has_an_order_of_their_own(browser, tmp_path):
    study = study_of(40)
    write_study(study, tmp_path)
    orders = []
    for _ in range(3):
        with opened(browser, tmp_path) as tab:
            tab.click("#begin")
            orders.append(tuple(tab.evaluate("order")))
            assert sorted(orders[-1]) == sorted(study.key["item"])
            assert tab.evaluate("JSON.stringify(shuffled([...items.keys()], state.order)) === JSON.stringify(order)")
    assert len(set(orders)) == 3


def test_begin_anew_draws_a_new_order_and_forgets(browser, folder):
    with opened(browser, folder) as tab:
        tab.on("dialog", lambda dialog: dialog.accept())
        tab.click("#begin")
        tab.keyboard.press("1")
        tab.keyboard.press("s")
        settled(tab, 2)
        seed = tab.evaluate("state.order")
        tab.keyboard.press("p")
        tab.click("#restart")
        assert tab.inner_text("#begin") == "Start"
        tab.click("#begin")
        assert tab.evaluate("state.order") != seed and tab.inner_text("#answered") == "0 of 6 answered"


@pytest.mark.parametrize("classes", [TRICKY, TRICKY[:2]])
def test_class_names_of_a_users_table_are_text(browser, tmp_path, classes):
    study = study_of(10, classes=classes)
    write_study(study, tmp_path)
    page = (tmp_path / "figures" / PAGE_FILE).read_text(encoding="utf-8")
    assert not any(name in page for name in TRICKY[:2]) and page.count("</script>") == 2
    dialogs = []
    with opened(browser, tmp_path) as tab:
        tab.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        tab.fill("#reader", "=1+1")
        tab.click("#begin")
        shown = [tab.evaluate("n => document.querySelectorAll('#classes span')[n].textContent", n) for n in range(len(classes))]
        assert shown == list(classes)
        assert tab.evaluate("document.querySelectorAll('img').length") == 1
        for place in range(1, 11):
            settled(tab, place)
            tab.keyboard.press(str((place - 1) % len(classes) + 1))
            tab.keyboard.press("r")
        tab.wait_for_selector("#finish:not([hidden])")
        text = save(tab, tmp_path / "tricky.csv")
        rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
        assert not any(cell.startswith(tuple("=+-@")) for row in rows for cell in row)
        tab.reload()
        assert tab.inner_text("#begin") == "Go on: 10 of 10 answered"
    with opened(browser, tmp_path) as tab:
        tab.set_input_files("#load", tmp_path / "tricky.csv")
        tab.wait_for_function("document.getElementById('begin').textContent.includes('10 of 10')")
        assert tab.input_value("#reader") == "=1+1"
    assert dialogs == []
    reading = read_answers(tmp_path / "tricky.csv", read_key(tmp_path / KEY_FILE), classes)
    assert reading.warnings == [] and set(reading.answers["class"]) == set(classes) and reading.reader == "=1+1"


def test_page_does_not_hold_the_truth():
    study = study_of(12)
    page = study_page(study)
    content = page.split('id="study">')[1].split("</script>")[0]
    assert set(json.loads(content)) == {"study", "classes", "origins", "items"}
    assert set(json.loads(content)["items"][0]) == {"id", "image"}
    assert not any(lesion in page for lesion in study.key["lesion_id"] if lesion)


@pytest.mark.parametrize("classes", [("cyst", "other"), tuple(f"a class with a rather long name, number {n}" for n in range(11))])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_layout_touch_and_screen_readers(browser, tmp_path, width, height, scheme, classes):
    write_study(study_of(11, classes=classes), tmp_path)
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, has_touch=True)
    with opened(browser, tmp_path, context=context) as tab:
        for act in (lambda: tab.tap("#begin"), lambda: tab.tap("#pause"), lambda: None):
            seen = tab.evaluate(MEASURE)
            assert seen["overflow"] <= 0
            assert seen["small"] == [], "targets below 44 px"
            assert seen["nameless"] == []
            assert seen["pale"] == [], "contrast below 4.5"
            act()
        tab.tap("#resume")
        tab.tap("#classes button >> nth=1")
        tab.tap("#origins button >> nth=1")
        settled(tab, 2)
        assert tab.inner_text("#answered") == "1 of 11 answered"
        assert tab.get_attribute("#answered", "aria-live") == "polite"
        assert tab.get_attribute("#bar", "aria-valuenow") == "1"
        assert tab.evaluate("document.activeElement.id") == "read-title", "a screen reader is led to the new image"
        tab.keyboard.press("Tab")
        focused = tab.evaluate(
            "[!!document.activeElement.closest('#classes'), getComputedStyle(document.activeElement).outlineStyle]"
        )
        assert focused == [True, "solid"], "the first class is the next stop, with a visible frame"
    context.close()


#: What is too wide, too small to touch, without a name for screen readers, or too pale.
MEASURE = """() => {
  const all = names => [...document.querySelectorAll(names)].filter(e => e.offsetParent);
  const style = e => getComputedStyle(e);
  const part = v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(v => part(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = e => {
    while (/, 0\\)|transparent/.test(style(e).backgroundColor)) e = e.parentElement;
    return style(e).backgroundColor;
  };
  const contrast = e => {
    const [dark, bright] = [light(style(e).color), light(ground(e))].sort((x, y) => x - y);
    return (bright + 0.05) / (dark + 0.05);
  };
  const small = e => e.getBoundingClientRect().height < 44 || e.getBoundingClientRect().width < 44;
  const named = e => e.textContent.trim() || e.labels?.length || e.alt || e.getAttribute('aria-labelledby');
  const texts = all('h1, h2, p, button, summary, label, td, kbd').filter(e => e.textContent.trim());
  return {
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    small: all('button, summary, label.file, label.switch, input[type=text]').filter(small).map(e => e.outerHTML),
    nameless: all('button, input, img, [role=group], section').filter(e => !named(e)).map(e => e.outerHTML),
    pale: texts.filter(e => contrast(e) < 4.5).map(e => [contrast(e), e.outerHTML]),
  };
}"""
