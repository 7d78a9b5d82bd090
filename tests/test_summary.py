"""The paper's tables and figures beside a run's: none is missing, and the sentences follow the numbers."""

import re
from dataclasses import replace
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest
from test_scores import predictions_of

from lesion_utils import paper, scores, sentences, summary, summary_figures
from lesion_utils.errors import MissingInputError
from lesion_utils.phantom import CLASSES
from lesion_utils.scores import proportion_row, result_row
from lesion_utils.settings import ROOT, notebook_defaults

OTHER = ("solid", "part-solid", "ground glass")
NAMES = [f"Table {number}" for number in range(1, 8)] + [f"Fig. {number}" for number in range(1, 10)]
MARGIN = 0.01
FACTS = sentences.Facts(
    counts=dict(zip(CLASSES, (53, 64, 65), strict=True)),
    patients=120,
    simulated=True,
    augmentations=480,
    network_parameters=1_273_347,
    cnn_width=32,
    generator_width=1024,
    folds=3,
    seeds=1,
    reduced=False,
)
CLASSIC, DCGAN = scores.PAPER_TABLE_2, scores.PAPER_TABLE_3
WORSE = np.array([[30, 13, 10], [20, 24, 20], [20, 20, 25]])


def planted(arms, *, classes=CLASSES, gain=None, readers=(), silhouette=None, agreement=None):
    """Return results as a run's notebooks write them.

    Parameters
    ----------
    arms : dict of arm to (amount, confusion matrix)
        The amount is what every inner fold chose.
    gain : (low, high), optional
        Interval of the DCGAN's paired difference.
    readers : sequence of (arm, correct of 302, real or synthetic correct of 302)
    silhouette : (low, high), optional
        Interval of the paired difference of Fig. 9.
    agreement : int, optional
        Of 300 synthetic ROIs.
    """
    rows, both = [], {"fold": "all", "seed": "all"}
    for arm, (amount, matrix) in arms.items():
        where = {"arm": arm, "amount": amount, "test_set": "cross_validation"}
        own = predictions_of(matrix, classes, **where)
        if arm in ("real", "classic", "dcgan", "acgan", "classic_extra_real"):
            rows += scores.score_rows(own, classes, table="fig8")
            rows += [result_row("chosen_amount", amount, table="inner", arm=arm, fold=fold, seed=0) for fold in range(3)]
        table = {"acgan_discriminator": "table5"}.get(arm, "table6" if arm[0] in "bg" else "chosen")
        if arm != "real":
            rows += scores.score_rows(own, classes, table=table)
        for name, of in (("table2", "classic"), ("table3", "dcgan")):
            rows += scores.confusion_rows(matrix, classes, table=name, **where, **both) if arm == of else []
    if gain:
        where = {"table": "answer", "arm": "dcgan", "test_set": "cross_validation"} | both
        rows.append(result_row("accuracy_difference", sum(gain) / 2, gain, 182, **where))
    if silhouette:
        where = {"table": "fig9", "arm": "dcgan", "test_set": "cross_validation", "label": "all", "fold": "all", "seed": 0}
        rows.append(result_row("silhouette_difference", sum(silhouette) / 2, silhouette, 182, **where))
    for reader, named, told in readers:
        where = {"table": "table4", "arm": reader, "label": "all", "test_set": "reader_study"}
        rows.append(proportion_row("class_accuracy", named, 302, **where))
        rows.append(proportion_row("origin_accuracy", told, 302, **where))
        rows.append(result_row("always_real", 182 / 302, n=302, **where))
    if agreement is not None:
        rows.append(proportion_row("class_agreement", agreement, 300, table="gan_check", arm="dcgan", **both))
    return scores.results_frame(rows)


def summarise(folder, results, classes=CLASSES):
    """Return the Summary of results that went through a file, as those of a run do."""
    results.to_csv(folder / "results.csv", index=False)
    return summary.Summary(summary.load_results(folder), classes)


FULL = {
    "real": (0, WORSE),
    "classic": (5000, CLASSIC),
    "classic_extra_real": (3000, DCGAN),
    "dcgan": (3000, DCGAN),
    "acgan": (1500, CLASSIC),
    "acgan_discriminator": (5000, CLASSIC),
    "bovw_mi_multi": ("", CLASSIC),
    "bovw_mi_single": ("", CLASSIC),
    "gabor": ("", WORSE),
    "glcm": ("", WORSE),
}


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    more = {"gain": (0.02, 0.12), "silhouette": (0.01, 0.05), "agreement": 240, "readers": [("reader_1", 230, 200)]}
    return summarise(tmp_path_factory.mktemp("full"), planted(FULL, **more))


# What the paper prints


def test_the_papers_numbers_agree_with_each_other():
    for arm, matrix in (("dcgan", DCGAN), ("classic", CLASSIC)):
        for measure, values in (("sensitivity", scores.sensitivity(matrix)), ("specificity", scores.specificity(matrix))):
            printed = paper.TABLE_7[arm, measure]
            np.testing.assert_allclose(printed.iloc[:3], values, atol=0.00054)
            assert printed.iloc[3] == pytest.approx(scores.weighted_average(values, matrix), abs=0.00054)
            assert paper.TABLE_6.loc[arm, measure] == printed.iloc[3]
    assert paper.LESIONS == 182 and paper.COUNTS["metastasis"] == 64
    for share in [*paper.TABLE_5["sensitivity"], *paper.TABLE_6["sensitivity"]]:
        assert abs(share - round(share * 182) / 182) < 0.001, "a whole number of lesions stands behind it"
    assert set(paper.ACCURACY) == set(FULL) and paper.ACCURACY["classic_extra_real"] == pytest.approx(0.806)


def test_intervals_of_the_papers_two_accuracies_overlap():
    classic, dcgan = (summary.Estimate.printed(paper.ACCURACY[arm], paper.LESIONS) for arm in ("classic", "dcgan"))
    assert (classic.text, dcgan.text) == ("78.6 % [72.1, 83.9]", "85.7 % [79.9, 90.1]")
    assert classic.overlaps(dcgan) and not summary.Estimate.of(90, 182).overlaps(classic)
    assert summary.Estimate(0.9).overlaps(classic) is None and summary.Estimate(0.9).text == "90.0 %"


# None is missing


def test_every_table_and_figure_has_a_sentence_with_or_without_results(full, tmp_path):
    assert list(sentences.sentences(full, FACTS, MARGIN)) == NAMES
    bare = summarise(tmp_path, planted({"real": (0, WORSE), "classic": (5000, CLASSIC)}))
    nothing = summarise(tmp_path, planted({}))
    for one in (full, bare, nothing):
        for name, sentence in sentences.sentences(one, FACTS, MARGIN).items():
            assert sentence.endswith(".") and len(sentence.split()) > 6 and "nan" not in sentence, (name, sentence)
    assert "not in this run" not in sentences.sentences(full, FACTS, MARGIN)["Table 6"]


def test_the_notebook_lists_every_table_and_figure_with_its_place_and_its_sentence():
    text = "\n".join(cell.source for cell in nbformat.read(ROOT / "notebooks" / "09_results.ipynb", 4).cells)
    lines = re.findall(r"^\| ((?:Table|Fig\.) \d) \|.*\| (.*\.ipynb.*) \| \{glue\}`(\w+)` \|$", text, re.M)
    assert [name for name, _, _ in lines] == NAMES
    assert [key for _, _, key in lines] == [re.sub(r"\W+", "_", name.lower()) for name in NAMES]
    figures = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "notebooks").glob("*.ipynb"))
    for anchor in re.findall(r"\{numref\}`([\w-]+)`", text):
        assert f'"name": "{anchor}"' in figures, anchor


def test_missing_parts_are_named(tmp_path):
    said = sentences.sentences(summarise(tmp_path, planted({"real": (0, WORSE), "classic": (5000, CLASSIC)})), FACTS, MARGIN)
    assert said["Table 3"].startswith("This run has no accuracy with synthetic ROIs (DCGAN)")
    assert said["Table 4"].startswith("This run has no reader study")
    assert "BoVW-MI, multi" in said["Table 6"] and "no synthetic ROIs (DCGAN) in this run" in said["Fig. 8"]
    assert "no extra real ROIs in this run" in said["Fig. 8"] and "no pair of networks" in said["Fig. 9"]
    assert "no DCGAN arm" in said["Table 1"] and "only classic augmentation" in said["Table 7"]


# Sentences follow the numbers


@pytest.mark.parametrize(
    ("matrix", "place", "overlap"),
    [
        (DCGAN, "the same as the paper's 85.7 % [79.9, 90.1]", "overlap, so the two may agree"),
        (CLASSIC, "7.1 points below the paper's", "overlap, so the two may agree"),
        (WORSE, "42.3 points below the paper's", "do not overlap, so chance alone does not explain the gap"),
        (np.diag([53, 64, 65]), "14.3 points above the paper's", "do not overlap"),
    ],
)
def test_comparison_says_which_side_and_whether_intervals_overlap(tmp_path, matrix, place, overlap):
    said = sentences.sentences(summarise(tmp_path, planted({"classic": (500, CLASSIC), "dcgan": (90, matrix)})), FACTS, MARGIN)
    assert place in said["Table 3"] and overlap in said["Table 3"]


@pytest.mark.parametrize(
    ("gain", "words"), [((0.02, 0.05), "they help here"), ((-0.05, -0.02), "they harm here"), ((-0.01, 0.05), "cannot tell")]
)
def test_gain_helps_harms_or_cannot_be_told(tmp_path, gain, words):
    results = planted({"real": (0, WORSE), "classic": (5000, CLASSIC), "dcgan": (90, DCGAN)}, gain=gain, silhouette=gain)
    said = sentences.sentences(summarise(tmp_path, results), FACTS, MARGIN)
    assert words in said["Fig. 8"] and f"{100 * gain[0]:+.1f} to {100 * gain[1]:+.1f}" in said["Fig. 8"]
    maps = {
        "they help here": "further apart in these networks",
        "they harm here": "closer together in these",
        "cannot tell": "neither measurably",
    }
    assert maps[words] in said["Fig. 9"]


def test_order_of_methods_and_what_their_intervals_decide(tmp_path, full):
    said = sentences.sentences(full, FACTS, MARGIN)
    assert "Best on simulated lesions is classic + synthetic (DCGAN)" in said["Table 6"] and "the same best" in said["Table 6"]
    assert "first and the last do not overlap" in said["Table 6"] and "overlap, which decides nothing" in said["Table 5"]
    swapped = FULL | {"dcgan": (90, WORSE), "gabor": ("", DCGAN)}
    said = sentences.sentences(summarise(tmp_path, planted(swapped)), FACTS, MARGIN)
    assert "is Gabor + SVM" in said["Table 6"] and "paper's best is classic + synthetic (DCGAN)" in said["Table 6"]


def test_class_by_class_names_what_lies_apart(tmp_path, full):
    assert (
        "12 of 12 sensitivities and specificities have intervals that overlap"
        in sentences.sentences(full, FACTS, MARGIN)["Table 7"]
    )
    said = sentences.sentences(summarise(tmp_path, planted({"classic": (50, CLASSIC), "dcgan": (90, WORSE)})), FACTS, MARGIN)[
        "Table 7"
    ]
    assert "sensitivity for cyst, classic + synthetic (DCGAN): 56.6 %" in said and "12 of 12" not in said


def test_readers_are_people_only_if_they_are(tmp_path):
    machine = sentences.sentences(summarise(tmp_path, planted({}, readers=[("cnn", 250, 182)])), FACTS, MARGIN)["Table 4"]
    assert machine.startswith("No person has read") and "77.8 % [72.8, 82.1]" in machine
    readers = [("cnn", 250, 182), ("reader_1", 200, 182), ("R2", 200, 260)]
    people = sentences.sentences(summarise(tmp_path, planted({}, readers=readers)), FACTS, MARGIN)["Table 4"]
    assert "reader 1 named 66.2 %" in people and "cnn" not in people
    assert "reader 1 did not tell real from synthetic" in people and "R2 told real from synthetic" in people


def test_other_classes_claim_nothing(tmp_path):
    three = {arm: FULL[arm] for arm in ("real", "classic", "dcgan")}
    said = sentences.sentences(summarise(tmp_path, planted(three, classes=OTHER, gain=(0.01, 0.02)), OTHER), FACTS, MARGIN)
    assert all("may agree" not in sentence and "the paper has the same" not in sentence for sentence in said.values())
    assert said["Table 2"].endswith("measured on other classes and stands here for context only.")
    assert "The classes are not the paper's" in said["Table 7"] and "+7.1" not in said["Fig. 8"]
    two = summarise(tmp_path, planted({"classic": (50, np.array([[9, 3], [4, 8]]))}, classes=("a", "b")), ("a", "b"))
    assert list(sentences.sentences(two, FACTS, MARGIN)) == NAMES and two.confusion("table2").shape == (3, 3)


@pytest.mark.parametrize(("reduced", "words"), [(True, "with reduced settings"), (None, "not on record"), (False, None)])
def test_reduced_settings_are_said_beside_every_comparison(full, reduced, words):
    said = sentences.sentences(full, replace(FACTS, reduced=reduced), MARGIN)
    for name in ("Table 2", "Table 3", "Table 5", "Table 6", "Table 7"):
        assert "on simulated lesions" in said[name]
        assert (words in said[name]) if words else "settings" not in said[name]
    assert "on other lesions than the paper's" in sentences.sentences(full, replace(FACTS, simulated=False), MARGIN)["Table 2"]


def test_facts_of_the_setting_stand_in_their_sentences(full):
    small = {"augmentations": 96, "network_parameters": 99, "cnn_width": 16, "generator_width": 64, "counts": {"cyst": 3}}
    same, other = (sentences.sentences(full, facts, MARGIN) for facts in (FACTS, replace(FACTS, **small)))
    for name, number in (("Fig. 1", "3 cyst"), ("Fig. 2", "99"), ("Fig. 3", "96"), ("Fig. 5", "64 channels")):
        assert number in other[name] and same[name] != other[name], name
    assert "1,273,347 is for three, with 32 filters in the first convolution, where this run has 16" in other["Fig. 2"]
    assert "not on record" in sentences.sentences(full, replace(FACTS, generator_width=None), MARGIN)["Fig. 5"]
    assert "better than chance" in same["Fig. 6"] and "80.0 % [75.1, 84.1]" in same["Fig. 6"]


# Tables


def test_confusion_stands_beside_the_papers_with_rates(full):
    table = full.confusion("table2")
    assert table["ours"].equals(table["paper"]), "the planted matrix is the paper's"
    assert table.loc["metastasis", ("ours", "hemangioma")] == 18
    assert table.loc["cyst", ("ours", "sensitivity")] == "98.1 % [90.1, 99.7]"
    assert table.loc["specificity", ("ours", "metastasis")].startswith("83.9 %")


def test_tables_hold_ours_and_theirs(full, tmp_path):
    table = full.methods(paper.TABLE_6)
    assert table.loc["GLCM + SVM", ("sensitivity", "ours")].startswith("43.4 %")
    assert table.loc["GLCM + SVM", ("sensitivity", "paper")] == "71.4 % [64.5, 77.5]"
    assert table.loc["Gabor + SVM", ("specificity", "paper")] == "86.5 %"
    by_class = full.by_class()
    assert by_class.shape == (8, 4) and (by_class[("sensitivity", "ours")] == by_class[("sensitivity", "paper")]).all()
    curves = full.curves()
    assert curves.set_index("samples added").loc[8000].query("arm == 'classic + synthetic (DCGAN)'")["paper"].tolist() == [
        "85.7 % [79.9, 90.1]"
    ]
    readers = full.readers()
    assert list(readers.index) == ["reader 1", "paper, expert 1", "paper, expert 2"]
    assert (
        readers.loc["reader 1", "class, all ROIs"] == "76.2 % [71.0, 80.6]" and readers.loc["reader 1", "class, real ROIs"] == ""
    )
    assert readers.loc["paper, expert 2", "real or synthetic"] == "58.6 % [53.0, 64.0]"
    assert full.procedure()["this run"].tolist()[0] == "5,000 augmentations, chosen on inner folds"
    assert len(full.separability()) == 1
    neighbours = replace(full, results=full.results.assign(metric="knn_accuracy_difference"))
    assert set(neighbours.separability()["measure"]) == {"k-NN accuracy difference"}
    nothing = summarise(tmp_path, planted({}))
    assert (nothing.methods(paper.TABLE_5)[("sensitivity", "ours")] == "").all() and nothing.curves().empty
    assert list(nothing.confusion("table3").columns.unique(0)) == ["paper"] and nothing.separability().empty


def test_chosen_amount_and_pooled_seeds_are_taken(tmp_path):
    parts = [predictions_of(CLASSIC, amount=5000, seed=seed) for seed in (0, 1)]
    worse = [predictions_of(WORSE, amount=500, seed=seed) for seed in (0, 1)]
    rows = scores.score_rows(pd.concat(worse + parts), CLASSES, table="fig8")
    rows += scores.score_rows(pd.concat(parts).assign(amount="all"), CLASSES, table="chosen")
    rows += [result_row("chosen_amount", n, table="inner", arm="classic", fold=n % 3, seed=0) for n in (500, 5000)]
    found = summarise(tmp_path, scores.results_frame(rows))
    assert found.score("classic").text == "78.6 % [72.1, 83.9]", "a lesion counts once, whatever the number of seeds"
    assert found.amounts("classic") == [500, 5000] and found.amount_text("classic") == "500 to 5,000"
    assert found.amounts("dcgan") == [] and found.amount_text("dcgan") is None


def test_overview_has_a_row_an_arm_and_is_drawn(full, tmp_path):
    rows = full.overview()
    assert rows["arm"].nunique() == 10 and set(rows["source"]) == {"cross-validation", "paper"}
    figure = summary_figures.overview_figure(rows)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(rows["arm"].unique())
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["this run, cross-validation", "paper"]
    assert summarise(tmp_path, planted({})).overview()["source"].unique().tolist() == ["paper"]


# Files


def test_results_that_are_not_joined_are_an_error(tmp_path):
    with pytest.raises(MissingInputError, match=r"results\.csv is missing; make it with: python -m lesion_utils join"):
        summary.load_results(tmp_path)


def test_what_parameters_change_is_read_from_the_runs_record(tmp_path):
    assert summary.recorded_parameters(tmp_path) == {}
    (tmp_path / "parameters").mkdir()
    (tmp_path / "parameters" / "03_dcgan.yml").write_text("run: runs/x\nepochs: 3\n", encoding="utf-8")
    (tmp_path / "parameters" / "02_classic_augmentation.yml").write_text("run: runs/x\n", encoding="utf-8")
    recorded = summary.recorded_parameters(tmp_path)
    assert recorded["03_dcgan"] == notebook_defaults("03_dcgan") | {"run": "runs/x", "epochs": 3}
    assert summary.reductions(recorded) == {"03_dcgan": ["epochs"]}
    state = SimpleNamespace(
        augmentation={"plan": {"rotations": 2, "flips": 1, "translations": 1, "scales": 1}},
        classes=CLASSES,
        cohort=SimpleNamespace(label=np.array([0, 0, 1, 2]), patient_id=np.array(["a", "a", "b", "c"])),
        everything=SimpleNamespace(source="simulated"),
        fold_numbers=[0, 1, 2],
        preparation={"seeds": [0, 1]},
    )
    facts = sentences.run_facts(state, recorded)
    assert facts.counts == {"cyst": 2, "metastasis": 1, "hemangioma": 1} and facts.patients == 3
    assert (facts.augmentations, facts.network_parameters, facts.generator_width) == (8, 1_273_347, 1024)
    narrow = sentences.run_facts(state, {"05_classification": notebook_defaults("05_classification") | {"cnn_width": 16}})
    assert (narrow.network_parameters, narrow.cnn_width) == (318_723, 16), "those of the run's own network"
    assert facts.reduced and facts.seeds == 2 and sentences.run_facts(state, {}).reduced is None
