"""The rendered book: links, pictures, what a page may say, the tables beside it, and its pages in a real browser.

Which run that is: see rendered.py.
"""

import re
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import numpy as np
import pandas as pd
import pytest
from rendered import CHAPTERS, PAGES, ROOT, RUN, SITE, chapters, needs_run, soup

from lesion_utils import scores

pytestmark = needs_run
VIEWS = [(width, scheme) for width in (1280, 390) for scheme in ("light", "dark")]

#: An absolute path of some machine; the character before it keeps parts of web addresses out.
MACHINE_PATH = re.compile(r"(?<![\w.:/~-])(?:/(?:home|root|tmp|work|mnt|opt|srv|usr|var|Users|private)/|[A-Z]:\\\\?Users)\S*")

PREDICTION_COLUMNS = "arm amount test_set seed fold lesion_id patient_id true predicted".split()
RESULT_COLUMNS = "table arm amount test_set label predicted metric value ci_low ci_high n fold seed".split()


def anchors(page):
    named = {a["name"] for a in soup(page).find_all("a", attrs={"name": True})}
    return {element["id"] for element in soup(page).find_all(id=True)} | named


def test_every_chapter_of_the_table_of_contents_is_rendered():
    assert [page for page in chapters() if page not in PAGES] == []
    assert f"url={chapters()[0]}" in soup("index.html").find("meta", {"http-equiv": "Refresh"})["content"]


def test_every_internal_link_and_image_resolves():
    known = {page: anchors(page) for page in PAGES}
    broken = []
    checked = 0
    for page in PAGES:
        targets = [element["href"] for element in soup(page).find_all(["a", "link"], href=True)]
        targets += [element["src"] for element in soup(page).find_all(["img", "script", "iframe", "source"], src=True)]
        for target in targets:
            address, fragment = urldefrag(target)
            if urlsplit(address).scheme or address.startswith("//"):
                continue
            checked += 1
            path = unquote(urlsplit(address).path)
            file = (SITE / page).parent / path if path else SITE / page
            if not file.resolve().is_relative_to(SITE) or not file.is_file():
                broken.append(f"{page}: {target}")
                continue
            name = file.resolve().relative_to(SITE).as_posix()
            if fragment and name in known and unquote(fragment) not in known[name]:
                broken.append(f"{page}: {target} (no such place on that page)")
    assert checked > 0
    assert broken == []


def test_nothing_is_loaded_from_elsewhere():
    outside = [
        f"{page}: {element}"
        for page in PAGES
        for element in soup(page).find_all(["link", "script", "img", "iframe", "source", "video"])
        if (address := element.get("src") or element.get("href")) and urlsplit(address).netloc
        if "canonical" not in element.get("rel", [])
    ]
    assert outside == []


@pytest.mark.parametrize("page", CHAPTERS)
def test_every_picture_says_what_it_shows(page):
    poor = []
    for image in soup(page).select("article img"):
        alt = image.get("alt", "").strip()
        if len(alt.split()) < 3 or Path(alt).name == Path(image["src"]).name or "_images/" in alt:
            poor.append(f"{image['src']}: alt={alt!r}")
    assert poor == []


def test_notebooks_show_pictures():
    for page in CHAPTERS:
        if page.startswith("notebooks/"):
            assert soup(page).select("div.cell_output img"), f"{page} shows no figure"


@pytest.mark.parametrize("page", CHAPTERS)
def test_no_page_keeps_an_error_or_a_warning(page):
    kept = soup(page).select(".output.stderr, .output.traceback, .problematic, .system-message")
    assert [block.get_text()[:300] for block in kept] == []
    assert "Traceback (most recent call last)" not in soup(page).get_text()


def test_no_file_of_the_site_names_a_place_on_this_machine():
    text_files = [path for path in SITE.rglob("*") if path.suffix in {".html", ".ipynb", ".md", ".txt", ".js", ".json", ".csv"}]
    text_files = [path for path in text_files if "_static" not in path.relative_to(SITE).parts]
    places = {str(ROOT), str(Path.home()), sys.prefix} - {"/"}
    found = []
    for path in text_files:
        text = path.read_text(encoding="utf-8")
        found += [f"{path.relative_to(SITE)}: {match[0][:120]}" for match in MACHINE_PATH.finditer(text)]
        found += [f"{path.relative_to(SITE)}: {place}" for place in places if f"{place}/" in text]
    assert len(text_files) > len(PAGES)
    assert found == []


# --- results.csv and predictions.csv -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results():
    return pd.read_csv(RUN / "results.csv", dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def predictions():
    return pd.read_csv(RUN / "predictions.csv", dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def chosen(results):
    """Return the amount that the inner folds chose for each arm, seed and fold; classic with nothing added is the arm `real`."""
    rows = results[results["metric"] == "chosen_amount"]
    amounts = rows["value"].astype(float).astype(int).astype(str)
    return dict(zip(zip(rows["arm"], rows["seed"], rows["fold"], strict=True), amounts, strict=True))


def select(predictions, row, chosen):
    """Return the predictions that a row of results.csv sums up: `all` pools, or is each fold's own chosen amount."""
    own = np.ones(len(predictions), bool)
    for column in ("test_set", "fold", "seed"):
        if row[column] != "all":
            own &= (predictions[column] == row[column]).to_numpy()
    units = list(zip(predictions["arm"], predictions["amount"], predictions["seed"], predictions["fold"], strict=True))
    if row["amount"] != "all":
        wanted = {(row["arm"], row["amount"])}
        return predictions[own & [unit[:2] in wanted for unit in units]]
    wanted = {(arm, amount, seed, fold) for (arm, seed, fold), amount in chosen.items() if arm == row["arm"]}
    if not wanted:  # an arm that has one amount a fold
        return predictions[own & (predictions["arm"] == row["arm"]).to_numpy()]
    wanted |= {("real", "0", seed, fold) for arm, amount, seed, fold in wanted if (arm, amount) == ("classic", "0")}
    return predictions[own & [unit in wanted for unit in units]]


def test_tables_have_the_columns_that_were_promised(results, predictions):
    assert list(results.columns) == RESULT_COLUMNS
    assert list(predictions.columns[: len(PREDICTION_COLUMNS)]) == PREDICTION_COLUMNS
    classes = set(predictions["true"])
    assert len(predictions.columns) - len(PREDICTION_COLUMNS) >= len(classes) >= 2
    assert set(predictions["predicted"]) <= classes
    assert predictions["lesion_id"].str.fullmatch(r"L\d{4,}").all()
    assert predictions["patient_id"].str.fullmatch(r"P\d{4,}").all()
    key = ["arm", "amount", "test_set", "seed", "fold", "lesion_id"]
    assert not predictions.duplicated(key).any(), "a lesion is predicted twice by the same classifier"


def test_predicted_class_has_the_largest_probability(predictions):
    columns = predictions.columns[len(PREDICTION_COLUMNS) :]
    probability = predictions[columns].astype(float).to_numpy()
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-3)
    names = {column: [name for name in set(predictions["true"]) if column == f"probability_{name}"] for column in columns}
    assert all(len(name) == 1 for name in names.values()), f"probability columns do not name the classes: {names}"
    predicted = np.array([names[column][0] for column in columns])
    best = probability.max(axis=1)
    chosen = probability[np.arange(len(probability)), [list(predicted).index(name) for name in predictions["predicted"]]]
    np.testing.assert_allclose(chosen, best, atol=1e-3)


def accuracies(results):
    """Return the rows of accuracies whose predictions are kept: not those of inner trainings and of fresh lesions."""
    return results[(results["metric"] == "accuracy") & ~results["test_set"].isin(["inner", "fresh"])]


def test_accuracies_follow_from_the_predictions(results, predictions, chosen):
    accuracy = accuracies(results)
    assert len(accuracy) > 0
    for _, row in accuracy.iterrows():
        what = " ".join(f"{column}={row[column]}" for column in ("table", "arm", "amount", "test_set", "fold", "seed"))
        pooled = select(predictions, row, chosen)
        assert len(pooled) > 0, f"results.csv has {what}, for which predictions.csv has nothing"
        value = float((pooled["true"] == pooled["predicted"]).mean())
        assert float(row["value"]) == pytest.approx(value, abs=5e-5), what
        lesions = pooled["lesion_id"].nunique() if "all" in (row["fold"], row["seed"]) else len(pooled)
        assert float(row["n"]) == pytest.approx(lesions), what
        if row["ci_low"] or row["ci_high"]:
            assert float(row["ci_low"]) <= float(row["value"]) <= float(row["ci_high"]), what


def test_every_prediction_is_summed_up(results, predictions, chosen):
    rows = accuracies(results)
    summed = set(map(tuple, rows[["arm", "amount", "test_set"]].to_numpy()))
    of_one_amount = {key for key in summed if key[1] != "all"}
    every = set(map(tuple, predictions[["arm", "amount", "test_set"]].to_numpy()))
    assert of_one_amount <= every
    with_choice = {"real", *(arm for arm, _, _ in chosen)}  # these are summed up at each amount, the others at one a fold
    for arm, amount, test_set in every:
        assert (arm, amount, test_set) in summed or (arm not in with_choice and (arm, "all", test_set) in summed)


def test_amount_of_every_arm_was_chosen_on_inner_folds(results, chosen):
    inner = results[(results["table"] == "inner") & (results["metric"] == "accuracy")]
    assert {arm for arm, _, _ in chosen} == set(inner["arm"]) >= {"classic", "dcgan", "acgan"}
    for (arm, seed, fold), amount in chosen.items():
        own = inner[(inner["arm"] == arm) & (inner["seed"] == seed) & (inner["fold"] == fold)]
        value = dict(zip(own["amount"].astype(int), own["value"].astype(float), strict=True))
        assert int(amount) == min(number for number in value if value[number] == max(value.values())), (arm, seed, fold)


def test_the_texture_methods_stand_beside_the_network(results):
    arms = set(results.loc[results["table"].isin(["chosen", "table6"]), "arm"]) - {"better_gan"}  # trained in a later notebook
    named = {cell.get_text() for cell in soup("notebooks/07_texture_baselines.html").find(id="tab-texture").find_all("th")}
    assert len(arms) > 4 and {scores.ARM_NAMES[arm] for arm in arms} <= named


def test_confusion_matrices_follow_from_the_predictions(results, predictions, chosen):
    cells = results[(results["predicted"] != "") & (results["predicted"] != "all") & (results["metric"] == "count")]
    assert len(cells) > 0
    for _, row in cells.iterrows():
        pooled = select(predictions, row, chosen)
        count = ((pooled["true"] == row["label"]) & (pooled["predicted"] == row["predicted"])).sum()
        models = len(pooled) / pooled["lesion_id"].nunique()  # a lesion that several models predict counts once
        assert float(row["value"]) == pytest.approx(count / models, abs=5e-5), row.to_dict()


def test_cross_validation_predicts_every_lesion_once(predictions):
    for (arm, amount, test_set, seed), group in predictions.groupby(["arm", "amount", "test_set", "seed"]):
        if test_set != "cross_validation":
            continue
        repeated = [lesion for lesion, count in Counter(group["lesion_id"]).items() if count > 1]
        assert repeated == [], f"{arm} {amount} seed {seed}: {repeated[:5]}"
        folds = group.groupby("patient_id")["fold"].nunique()
        assert (folds == 1).all(), f"{arm} {amount} seed {seed}: a patient is in two folds"


# --- in a browser --------------------------------------------------------------------------------------------------


every_view = pytest.mark.parametrize(("page", "width", "scheme"), [(page, *view) for page in CHAPTERS for view in VIEWS])


@pytest.mark.browser
@every_view
def test_page_loads_whole_and_asks_no_other_site(page, width, scheme, visited):
    seen = visited(page, width, scheme)
    assert seen["complaints"] == []
    assert seen["outside"] == []
    assert seen["unloaded"] == []
    assert seen["text"] > 100
    assert seen["theme"] == scheme


@pytest.mark.browser
@every_view
def test_page_does_not_scroll_sideways(page, width, scheme, visited):
    seen = visited(page, width, scheme)
    assert seen["overflow"] <= 0, f"the page scrolls sideways by {seen['overflow']} px; too wide: {seen['wide']}"


@pytest.mark.browser
@every_view
def test_page_has_no_serious_barrier(page, width, scheme, visited):
    assert visited(page, width, scheme)["barriers"] == []


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("page", CHAPTERS)
def test_dark_page_neither_dims_a_picture_nor_shows_through_it(page, width, visited):
    seen = visited(page, width, "dark")
    assert seen["seeThrough"] == []
    assert seen["dimmed"] == []


@pytest.mark.browser
def test_front_page_leads_to_the_welcome_page(browser, address):
    tab = browser.new_page()
    tab.goto(address)
    tab.wait_for_url(f"{address}book/index.html")
    tab.close()
