"""Publishing a run: what a good one leaves behind, and every planted reason for which it is refused."""

import base64
import io
import json
import os
import subprocess

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
import yaml

from lesion_utils import figure_tags, provenance
from lesion_utils.errors import MissingInputError, PublishError
from lesion_utils.publish import publish, reproduce
from lesion_utils.publish_images import LEFT_OUT, text_of, without_images
from lesion_utils.rendering import published_run
from lesion_utils.scores import RESULT_COLUMNS

PARAMETERS = {
    "01_data": {"run": "runs/quick", "data": "", "lesions": [2, 2]},
    "05_classification": {"run": "runs/quick", "accuracy_margin": 0.01},
}


def png(tag=None):
    figure = plt.figure(figsize=(0.5, 0.5))
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={figure_tags.TAG: tag} if tag else {})
    plt.close(figure)
    return base64.b64encode(data.getvalue()).decode()


def show(**data):
    """Return an output of a cell; ``image_png`` stands for image/png."""
    return nbformat.v4.new_output("display_data", {kind.replace("_", "/"): value for kind, value in data.items()})


class Planted:
    """A small project with one commit, and a finished run in it."""

    def __init__(self, folder, cohort):
        self.root, self.run, self.published = folder / "project", folder / "project/runs/quick", folder / "published"
        self.answer = folder / "answer.png"
        (self.root / "notebooks").mkdir(parents=True)
        (self.root / "lesion_utils").mkdir()
        (self.root / "lesion_utils" / "code.py").write_text("x = 1\n")
        for name in PARAMETERS:
            parameters = nbformat.v4.new_code_cell("run = ''", metadata={"tags": ["parameters"]})
            code = [nbformat.v4.new_code_cell("1 + 1"), nbformat.v4.new_code_cell("draw()")]
            nbformat.write(nbformat.v4.new_notebook(cells=[parameters, *code]), self.root / "notebooks" / f"{name}.ipynb")
        self.git("init", "-q")
        self.commit()
        for name, own in PARAMETERS.items():
            self.write(name, self.executed(name, own))
        self.make(cohort)
        self.tables()
        (self.run / "figures").mkdir()
        (self.run / "figures" / "answer.png").write_bytes(base64.b64decode(png()))
        (self.run / "html").mkdir()
        (self.run / "html" / "index.html").write_text("")
        (self.run / "benchmarks").mkdir()
        (self.run / "benchmarks" / "data.tsv").write_text("s\tmax_rss\n90\t2048\n")

    def git(self, *words):
        who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b.c", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b.c"}
        subprocess.run(["git", "-C", self.root, *words], check=True, capture_output=True, env=os.environ | who)

    def commit(self):
        self.git("add", "lesion_utils", "notebooks")
        self.git("commit", "-qm", "code")

    def make(self, cohort, **changes):
        made = {"profile": "quick", "cohort": cohort, "label": "kind" if cohort == "table" else "", "settings": {}}
        made |= {"hardware": "a processor", "versions": {"Python": "3"}} | provenance.code_state(self.root) | changes
        (self.run / "provenance.json").write_text(json.dumps(made))
        if cohort == "table":
            key = {"lesion": ["L0001"], "lesion_id": ["scan-0417-left"], "patient": ["P0001"], "patient_id": ["MUELLER^ANNA"]}
            pd.DataFrame(key).to_csv(self.run / "key.csv", index=False)

    def executed(self, name, parameters):
        notebook = nbformat.read(self.root / "notebooks" / f"{name}.ipynb", 4)
        lines = "\n".join(f"{key} = {value!r}" for key, value in parameters.items() if key != "data")
        notebook.cells.insert(1, nbformat.v4.new_code_cell(lines, metadata={"tags": ["injected-parameters"]}))
        for number, cell in enumerate(notebook.cells, 1):
            cell.execution_count = number
        notebook.cells[2].outputs = [show(text_plain="2")]
        notebook.metadata |= {"papermill": {"exception": None}, "lesion_book": provenance.code_state(self.root)}
        return notebook

    def path(self, name):
        return self.run / "book" / "notebooks" / f"{name}.ipynb"

    def write(self, name, notebook):
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, self.path(name))

    def change(self, name, what):
        notebook = nbformat.read(self.path(name), 4)
        what(notebook)
        self.write(name, notebook)

    def tables(self):
        where = {"test_set": "cross_validation", "seed": "0"}
        rows = [
            {"arm": arm, "amount": amount, "fold": str(n % 2), "lesion_id": f"L{n:04d}", "patient_id": f"P{n:04d}", **where}
            | {
                "true": "cyst",
                "predicted": "cyst" if n < right else "other",
                "probability_cyst": 0.87654,
                "probability_other": 0.12346,
            }
            for arm, amount, right in (("real", "0", 2), ("classic", "500", 3))
            for n in range(4)
        ]
        pd.DataFrame(rows).to_csv(self.run / "predictions.csv", index=False)
        empty = dict.fromkeys(RESULT_COLUMNS, "")
        accuracy = empty | {"metric": "accuracy", "test_set": "cross_validation", "n": 4, "fold": "all", "seed": "all"}
        results = [accuracy | {"table": "fig8", "arm": "real", "amount": "0", "value": 0.5}]
        results += [accuracy | {"table": "chosen", "arm": "classic", "amount": "all", "value": 0.75}]
        chosen = empty | {"table": "inner", "metric": "chosen_amount", "arm": "classic", "value": 500.0, "seed": "0"}
        results += [chosen | {"fold": fold} for fold in "01"]
        pd.DataFrame(results).to_csv(self.run / "results.csv", index=False)

    def publish(self, profile="quick", **options):
        where = {"published": self.published, "answer": self.answer, "root": self.root}
        return publish(self.run, profile, PARAMETERS, **where | options)

    def refused(self, message, **options):
        before = sorted(self.published.rglob("*")) if self.published.exists() else []
        with pytest.raises(PublishError) as caught:
            self.publish(**options)
        assert message in str(caught.value)
        assert (sorted(self.published.rglob("*")) if self.published.exists() else []) == before, "something was written"
        return str(caught.value)


@pytest.fixture
def simulated(tmp_path):
    return Planted(tmp_path, "simulated")


@pytest.fixture
def real(tmp_path):
    return Planted(tmp_path, "table")


def test_good_run_is_published_with_its_provenance(simulated):
    target = simulated.publish()
    files = sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file())
    notebooks = [f"notebooks/{name}.ipynb" for name in PARAMETERS]
    parameters = [f"parameters/{name}.yml" for name in PARAMETERS]
    assert files == sorted(
        [*notebooks, *parameters, "figures/answer.png", "predictions.csv.xz", "provenance.json", "results.csv"]
    )
    assert pd.read_csv(target / "predictions.csv.xz").equals(pd.read_csv(simulated.run / "predictions.csv"))
    made = provenance.read(target)
    assert made["commit"] == provenance.code_state(simulated.root)["commit"] and made["changed"] == []
    assert made["profile"] == "quick" and made["minutes"] == 1.5 and made["parts"]["data"]["memory_gb"] == 2
    assert made["counts"] == {"lesions": 4, "patients": 4, "independent_lesions": 0} and made["classes"] == ["cyst", "other"]
    assert made["command"] == "make book PROFILE=quick" and made["hardware"] and made["versions"]
    assert "data" not in yaml.safe_load((target / "parameters" / "01_data.yml").read_text())
    assert simulated.answer.read_bytes() == (target / "figures" / "answer.png").read_bytes()
    assert os.listdir(simulated.published) == ["quick"], "a temporary folder is left"
    assert published_run("simulated", simulated.published) == target and published_run("table", simulated.published) is None


def test_run_of_the_same_name_is_replaced_and_one_of_another_name_is_not_joined_by_a_second(simulated):
    target = simulated.publish()
    (target / "stale.txt").write_text("")
    simulated.publish()
    assert not (target / "stale.txt").exists()
    target.rename(simulated.published / "standard")
    simulated.refused("standard is published already for this kind of cohort; remove book/published/standard first")


def test_smoke_run_is_refused(simulated):
    simulated.make("simulated", profile="smoke")
    simulated.refused("its profile is smoke; its numbers mean nothing: publish quick, standard, paper", profile="smoke")


def test_other_profile_than_that_of_the_run_is_refused(simulated):
    simulated.refused("it was made with PROFILE=quick, not standard", profile="standard")


def test_changed_code_is_refused(simulated):
    (simulated.root / "lesion_utils" / "code.py").write_text("x = 2\n")
    (simulated.root / "lesion_utils" / "new.py").write_text("")
    assert provenance.code_state(simulated.root)["changed"] == ["lesion_utils/code.py", "lesion_utils/new.py"]
    simulated.make("simulated")
    simulated.refused("code was changed but not committed (lesion_utils/code.py, lesion_utils/new.py); commit, then run")


def test_notebook_of_an_older_commit_is_refused_if_code_differs_and_not_otherwise(simulated):
    (simulated.root / "README.md").write_text("only words")
    simulated.git("add", ".")
    simulated.git("commit", "-qm", "words")
    simulated.make("simulated")
    simulated.publish()
    (simulated.root / "lesion_utils" / "code.py").write_text("x = 2\n")
    simulated.commit()
    simulated.make("simulated")
    simulated.refused("01_data: code differs between its commit")


def test_notebook_executed_from_a_dirty_or_unknown_state_is_refused(simulated):
    simulated.change("01_data", lambda notebook: notebook.metadata["lesion_book"].update(changed=["Snakefile"]))
    simulated.change("05_classification", lambda notebook: notebook.metadata.pop("lesion_book"))
    text = simulated.refused("01_data: was not executed from a clean commit")
    assert "05_classification: was not executed from a clean commit" in text, "all reasons are listed at once"


def test_missing_notebook_is_refused(simulated):
    simulated.path("05_classification").unlink()
    simulated.refused("05_classification: was not executed")


def fail(notebook):
    notebook.cells[3].outputs = [nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[])]


def disorder(notebook):
    notebook.cells[3].execution_count = 9


def not_executed(notebook):
    notebook.cells[3].execution_count = None


def doctored(notebook):
    notebook.cells[2].source = "2 + 2"


def other_parameter(notebook):
    notebook.cells[1].source = notebook.cells[1].source.replace("0.01", "0.05")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (fail, "a cell ended with an error"),
        (disorder, "its cells were not executed once each, from first to last"),
        (not_executed, "its cells were not executed once each, from first to last"),
        (doctored, "its code is not that of notebooks/05_classification.ipynb"),
        (other_parameter, "accuracy_margin differ from the profile and SETTINGS"),
    ],
)
def test_notebook_that_is_not_as_it_should_be_is_refused(simulated, change, message):
    simulated.change("05_classification", change)
    simulated.refused(f"05_classification: {message}")


def test_unfinished_run_is_refused(simulated):
    (simulated.run / "html" / "index.html").unlink()
    with pytest.raises(MissingInputError, match="index.html is missing; make it with: make book"):
        simulated.publish()


@pytest.mark.parametrize(("line", "value"), [(0, 0.6), (1, 0.5)], ids=["an amount", "the chosen amounts"])
def test_results_that_do_not_follow_from_the_predictions_are_refused(simulated, line, value):
    path = simulated.run / "results.csv"
    results = pd.read_csv(path, dtype=str, keep_default_na=False)
    results.loc[line, "value"] = str(value)
    results.to_csv(path, index=False)
    simulated.refused("results.csv: 1 accuracies do not follow from predictions.csv")


def test_ids_of_another_form_in_the_predictions_are_refused(simulated):
    path = simulated.run / "predictions.csv"
    predictions = pd.read_csv(path, dtype=str)
    predictions.loc[2, "patient_id"] = "4711"
    predictions.to_csv(path, index=False)
    simulated.refused("predictions.csv: patient_id holds more than the book's own numbers")


PLACES = {
    "an output": lambda notebook, word: notebook.cells[2].outputs.append(show(text_plain=f"reading {word} now")),
    "HTML": lambda notebook, word: notebook.cells[2].outputs.append(show(text_html=f"<td>{word}</td>")),
    "a stream": lambda notebook, word: notebook.cells[2].outputs.append(nbformat.v4.new_output("stream", text=f"{word}\n")),
    "metadata": lambda notebook, word: notebook.metadata.update(note=[{"who": word}]),
    "text cell": lambda notebook, word: notebook.cells.append(nbformat.v4.new_markdown_cell(word)),
}


@pytest.mark.parametrize("word", ["MUELLER^ANNA", "mueller^anna", "scan-0417-left"])
@pytest.mark.parametrize("place", PLACES)
def test_planted_id_of_the_table_is_refused_wherever_it_hides(real, place, word):
    real.change("01_data", lambda notebook: PLACES[place](notebook, word))
    text = real.refused("notebooks/01_data.ipynb: repeats 1 ids or paths of the table")
    assert word.lower() in text


def test_real_run_without_its_key_is_refused(real):
    (real.run / "key.csv").unlink()
    real.refused("key.csv is missing")


@pytest.mark.parametrize("parts", [("", "home", "anna", "ct", "lesions.csv"), ("", "work", "x.py"), ("C:", "Users", "anna")])
def test_absolute_path_is_refused(simulated, parts):
    path = ("\\" if parts[0] else "/").join(parts)
    simulated.change("01_data", lambda notebook: PLACES["an output"](notebook, path))
    simulated.refused("notebooks/01_data.ipynb: names a place on this machine")


def test_too_large_a_run_is_refused(simulated):
    rng = np.random.default_rng(0)
    (simulated.run / "figures" / "large.bin").write_bytes(rng.bytes(300_000))
    simulated.publish(limit=400_000)
    simulated.refused("at most 0.2 MB can be published", limit=200_000)


# Images of patients


def test_plots_of_a_real_run_stay_and_images_become_a_sentence(real):
    plot, image = show(image_png=png(figure_tags.PLOT)), show(image_png=png(figure_tags.IMAGES), text_plain="<Figure>")
    inline = show(text_html=f'<figure><img alt="ROIs" src="data:image/png;base64,{png(figure_tags.IMAGES)}"></figure>')
    drawing = '<img src="data:image/jpeg;base64,AAAA"><script>draw()</script>'
    declared = show(text_html=f'<div data-content="{figure_tags.IMAGES}">{drawing}</div>')
    real.change("01_data", lambda notebook: notebook.cells[3].update(outputs=[plot, image, inline, declared]))
    target = real.publish()
    outputs = nbformat.read(target / "notebooks" / "01_data.ipynb", 4).cells[3].outputs
    assert [set(output.data) for output in outputs] == [{"image/png"}, *[{"text/markdown", "text/plain"}] * 3]
    assert [output.data["text/plain"] for output in outputs[1:]] == [LEFT_OUT] * 3
    assert not (target / "figures").exists() and not (target / "key.csv").exists() and not real.answer.exists()
    assert provenance.read(target)["command"] == "make book PROFILE=quick DATA=path/lesions.csv LABEL=kind"


UNTAGGED = {
    "picture": {"image/png": png()},
    "invented tag": {"image/png": png("harmless")},
    "no picture": {"image/png": "AAAA"},
    "JPEG": {"image/jpeg": "AAAA"},
    "SVG": {"image/svg+xml": "<svg></svg>"},
    "glued picture": {"application/papermill.record/image/png": png()},
    "picture in HTML": {"text/html": f'<img src="data:image/png;base64,{png()}">'},
    "JPEG in HTML": {"text/html": '<img src="data:image/jpeg;base64,AAAA">'},
    "file in HTML": {"text/html": '<img src="roi.png">'},
    "SVG in HTML": {"text/html": "<p><svg></svg></p>"},
    "script": {"text/html": "<script>draw()</script>"},
    "picture in Markdown": {"text/markdown": "![roi](roi.png)"},
    "program": {"application/javascript": "draw()"},
    "HTML that says it is a plot": {"text/html": f'<div data-content="{figure_tags.PLOT}"><script></script></div>'},
    "widget": {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}},
}


@pytest.mark.parametrize("kind", UNTAGGED)
def test_output_that_does_not_say_what_it_shows_is_refused_in_a_real_run(real, kind):
    output = nbformat.v4.new_output("display_data", UNTAGGED[kind])
    real.change("01_data", lambda notebook: notebook.cells[3].update(outputs=[output]))
    real.refused("01_data, cell 3: an output that does not say whether it shows a patient")


def test_the_same_output_is_no_problem_in_a_simulated_run(simulated):
    output = nbformat.v4.new_output("display_data", UNTAGGED["picture"])
    simulated.change("01_data", lambda notebook: notebook.cells[3].update(outputs=[output]))
    simulated.publish()


def test_attached_file_is_a_problem():
    cell = {"cell_type": "markdown", "source": "", "attachments": {"roi.png": {}}}
    _, problems = without_images("01_data", {"cells": [cell], "metadata": {}})
    assert problems == ["01_data, cell 0: has a file attached; remove it"]


def test_text_of_a_notebook_leaves_out_pictures_and_nothing_else():
    picture = png()
    outputs = [show(image_png=picture), show(text_html=f'<p title="Anna"><img src="data:image/png;base64,{picture}"></p>')]
    cell = nbformat.v4.new_code_cell("x", outputs=outputs)
    text = text_of(nbformat.v4.new_notebook(cells=[cell]))
    assert picture[:60] not in text and 'title="Anna"' in text


def test_command_names_the_example_settings_that_a_run_had(simulated):
    settings = {"window_level": -600, "window_width": 1500, "balanced_per_class": 60}
    made = {"profile": "standard", "cohort": "table", "label": "nodule_type"}
    command = "make book PROFILE=standard DATA=path/lesions.csv LABEL=nodule_type SETTINGS="
    assert reproduce(made | {"settings": settings}) == f"{command}profiles/examples/lung_nodules.yml"
    assert reproduce(made | {"settings": {"epochs": 3}}) == f"{command}my.yml"
