"""`make published` on a run that is there: LESION_BOOK_HTML names it, as `make test` does."""

import json
import re

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from rendered import RUN, soup

from lesion_utils import cohort_pages, paired, provenance, publish, publish_checks, rendering, settings
from lesion_utils.errors import LesionBookError
from lesion_utils.publish_images import LEFT_OUT, text_of, without_images
from lesion_utils.summary import load_results


def test_nothing_published_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(LesionBookError, match="holds no run of the simulated cohort; publish one: make book, then make publish"):
        rendering.render_published(tmp_path / "site", published=tmp_path)


#: What the project has published; nothing, in a project that has just begun.
FOLDERS = sorted(path.parent for path in rendering.PUBLISHED.glob("*/provenance.json"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_what_is_published_is_fit_to_be_public(folder):
    made = provenance.read(folder)
    assert made["profile"] in publish.ALLOWED and made["commit"] and made["changed"] == []
    assert {path.stem for path in (folder / "notebooks").glob("*.ipynb")} == set(settings.notebooks())
    for path in sorted(folder.rglob("*")):
        text = path.read_text(encoding="utf-8") if path.suffix in (".csv", ".json", ".yml") else ""
        if path.suffix == ".ipynb":
            notebook = json.loads(path.read_text(encoding="utf-8"))
            text = text_of(notebook)
            if made["cohort"] == "table":
                assert without_images(path.stem, notebook) == (notebook, [])
        assert publish_checks.text_problems(path.name, text, set(), []) == []
    if made["cohort"] == "table":
        assert not (folder / "figures").exists()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_what_published_notebooks_cite_is_in_the_bibliography(folder):
    """They may be older than the notebooks and cite what those no longer do."""
    known = re.findall(r"@\w+\{(\w+),", (settings.ROOT / "book" / "references.bib").read_text(encoding="utf-8"))
    for path in (folder / "notebooks").glob("*.ipynb"):
        cited = ",".join(re.findall(r"\{cite\}`([^`]+)`", path.read_text(encoding="utf-8")))
        assert not set(filter(None, cited.replace(" ", "").split(","))) - set(known), path.name


def test_published_runs_are_one_of_a_kind_and_not_too_large():
    assert len({provenance.read(folder)["cohort"] for folder in FOLDERS}) == len(FOLDERS)
    sizes = [path.stat().st_size for folder in FOLDERS for path in folder.rglob("*") if path.is_file()]
    assert sum(sizes) <= publish.LIMIT


def test_readme_shows_the_figure_of_the_published_run():
    assert "(book/_static/answer.png)" in (settings.ROOT / "README.md").read_text(encoding="utf-8")
    run = rendering.published_run("simulated")
    if run is not None:
        assert publish.ANSWER.read_bytes() == (run / "figures" / "answer.png").read_bytes()


#: Differences from classic on the independent test set that README states, by cohort of the published run.
STATED = {
    "simulated": ("dcgan", "acgan", "better_gan", "classic_extra_real", "more_classic", "placebo"),
    "table": ("dcgan", "acgan", "better_gan"),
}


@pytest.fixture(scope="module", params=STATED)
def run(request):
    """Return a published run with its results, predictions and resamplings of patients."""
    folder = rendering.published_run(request.param)
    if folder is None:
        pytest.skip("no such run is published")
    drawn = settings.read_settings(folder / "parameters" / "05_classification.yml")["bootstrap_draws"]
    return request.param, folder, load_results(folder), pd.read_csv(folder / "predictions.csv.xz"), drawn


def test_published_differences_follow_from_the_published_predictions(run):
    """By the rule of today: a run that prints intervals of an older one must be made again, not published."""
    _, folder, results, predictions, drawn = run
    gan = settings.read_settings(folder / "parameters" / "11_controls.yml")["gan"]
    arms, beyond = cohort_pages.arms_of(results, predictions), cohort_pages.BEYOND
    told = results["table"].isin(["answer", "controls", beyond]) & (results["metric"] == "accuracy_difference")
    assert told.sum() > 20
    for row in results[told].itertuples():
        pair = (gan, row.arm) if row.table == beyond else (row.arm, "classic")
        new, old = (arms[arm][arms[arm]["test_set"] == row.test_set] for arm in pair)
        found = paired.paired_difference(new, old, draws=drawn, seed=0)
        # Ends differ by what resampling with another seed makes of them.
        assert row.value == pytest.approx(found.value, abs=1e-9), row
        assert (row.ci_low, row.ci_high) == pytest.approx(found.interval, abs=0.003), row


def test_readme_states_the_published_differences(run):
    cohort, _, results, predictions, drawn = run
    told = results[(results["metric"] == "accuracy_difference") & (results["test_set"] == "independent")]
    told = told[told["table"].isin(["answer", "controls"])].drop_duplicates("arm").set_index("arm")
    readme = re.sub(r"\s+", " ", (settings.ROOT / "README.md").read_text(encoding="utf-8"))
    readme = readme.replace(" points (95 % interval ", " (").replace(" points (", " (")
    stated = [(arm, told.loc[arm]) for arm in STATED[cohort]]
    if cohort == "simulated":
        truth = results[(results["table"] == "truth") & (results["metric"] == "accuracy_difference") & (results["seed"] == "all")]
        stated += [(arm, truth.set_index("arm").loc[arm]) for arm in ("dcgan", "classic_extra_real")]
    else:
        answers = results[(results["table"] == "answer") & (results["metric"] == "accuracy_difference")]
        balanced = cohort_pages.balanced_rows(answers, cohort_pages.arms_of(results, predictions), drawn)
        stated += [(row["arm"], row) for _, row in balanced[balanced["test_set"] == "independent"].iterrows()]
    gains = results[(results["table"] == "answer") & results["arm"].isin(cohort_pages.GANS)]
    assert (gains["ci_low"] <= 0).all() == ("On neither cohort has an arm with synthetic images a gain" in readme)
    for arm, row in stated:
        value, low, high = (100 * row[name] for name in ("value", "ci_low", "ci_high"))
        assert f" {value:.1f} ({low:.1f} to {high:.1f})" in readme, (arm, value, low, high)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Publish the run as if its profile were allowed and its commit clean; test_publish.py says what is refused."""
    if RUN is None:
        pytest.skip("LESION_BOOK_HTML does not name a run folder (`make test` does)")
    folder = tmp_path_factory.mktemp("published")
    profile = provenance.read(RUN)["profile"]
    parameters = settings.run_parameters(profile, overrides={"run": f"runs/{RUN.name}", "label": ""})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish_checks, "run_problems", lambda *words: [])
        patch.setattr(provenance, "git", lambda *words, **options: None)
        patch.setattr(publish_checks, "notebook_problems", whole(publish_checks.notebook_problems))
        publish.publish(RUN, profile, parameters, published=folder, answer=folder / "answer.png", allowed=(profile,))
    return folder


def whole(check):
    """Return the check of a notebook less what it says of commits."""
    return lambda *words: [one for one in check(*words) if "commit" not in one and "its code is not that of" not in one]


def test_published_run_renders_with_both_answers(published, tmp_path):
    page = rendering.render_published(tmp_path, published=published)
    assert page.is_file() and not [path for path in tmp_path.iterdir() if path.name != "html"]
    site = tmp_path / "html"
    welcome = BeautifulSoup((site / "book" / "index.html").read_text(encoding="utf-8"), "html.parser")
    assert welcome.find(id="the-answer-of-this-run") and welcome.find(id="the-answer-on-real-ct")
    assert "No run on real CT has been published" in welcome.get_text() or welcome.find(id="fig-welcome-real-ct")
    of_run = soup("notebooks/05_classification.html")
    again = BeautifulSoup((site / "notebooks" / "05_classification.html").read_text(encoding="utf-8"), "html.parser")
    assert len(again.select("div.cell_output img")) == len(of_run.select("div.cell_output img")) > 0
    text = (site / "book" / "how_to_rerun.html").read_text(encoding="utf-8")
    assert provenance.read(RUN)["versions"]["numpy"] in text, "the versions of the run"


def test_the_same_run_on_real_lesions_would_show_no_image(published):
    """Take the run for one on a table: its pictures then either are plots or are left out; none is untagged."""
    left_out = 0
    for path in sorted((RUN / "book" / "notebooks").glob("*.ipynb")):
        notebook, problems = without_images(path.stem, json.loads(path.read_text(encoding="utf-8")))
        assert problems == []
        left_out += json.dumps(notebook, ensure_ascii=False).count(LEFT_OUT)
    assert left_out > 5
