"""The pages on the published run on real CT: the sentence without one, and every number that the results hold with one."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lesion_utils import cohort_pages
from lesion_utils.markdown import markdown_table
from lesion_utils.paired import paired_difference
from lesion_utils.scores import RESULT_COLUMNS

MADE = {
    "profile": "standard", "cohort": "table", "label": "kind", "settings": {"window_level": -600},
    "commit": "0123456789abcdef", "changed": [], "hardware": "a processor, 2 cores", "versions": {"numpy": "2.1"},
    "minutes": 61.4, "classes": ["flat|round", "solid"], "command": "make book PROFILE=standard SETTINGS=my.yml",
    "counts": {"lesions": 40, "patients": 31, "independent_lesions": 90},
}  # fmt: skip


def rows():
    """Return one row of every kind that the pages show, each with a value of its own."""
    sets = ("cross_validation", "independent")
    interval = {"ci_low": 0.5, "ci_high": 0.9, "fold": "all", "seed": "all", "n": 40}
    for test, plus in zip(sets, (0, 0.004), strict=True):
        own = {"test_set": test, "metric": "accuracy", **interval}
        yield own | {"table": "fig8", "arm": "real", "amount": "0", "value": 0.611 + plus}
        yield own | {"table": "fig8", "arm": "classic", "amount": "500", "value": 0.999}
        for arm, value in (("classic", 0.711), ("dcgan", 0.721), ("acgan", 0.731)):
            yield own | {"table": "chosen", "arm": arm, "amount": "all", "value": value + plus}
        yield own | {"table": "table6", "arm": "glcm", "amount": "all", "value": 0.651 + plus}
        change = own | {"metric": "accuracy_difference", "amount": "all"}
        yield change | {"table": "answer", "arm": "dcgan", "value": 0.05 + plus, "ci_low": 0.02, "ci_high": 0.08}
        for arm in ("dcgan", "placebo", "permuted"):
            yield change | {"table": "controls", "arm": arm, "value": -0.031 - plus, "ci_low": -0.05, "ci_high": 0.02}
        yield change | {
            "table": "synthetic_minus_control",
            "arm": "placebo",
            "value": 0.04 + plus,
            "ci_low": 0.015,
            "ci_high": 0.07,
        }
    for fold, amount in enumerate((500, 1500)):
        yield {"table": "inner", "metric": "chosen_amount", "arm": "dcgan", "value": amount, "fold": fold, "seed": 0}
    for arm in ("real", "classic", "dcgan"):
        own = {"table": "fidelity", "arm": arm, "test_set": "independent", **interval, "seed": 0}
        for metric, value in (("kid_radiomic", 0.123), ("density_classifier", 0.456), ("coverage_radiomic", 0.789)):
            yield own | {"label": "solid", "metric": metric, "value": value}
        yield own | {"label": "all", "metric": "near_copies", "value": 0.011}


def predictions():
    """Return predictions of two folds: DCGAN gains half of each; of the independent lesions one network gains half, one loses."""
    classic = np.arange(90) % 2 == 0
    for arm, right in {
        "classic": (classic, classic), "dcgan": (classic | True, classic & False), "placebo": (classic, classic),
        "permuted": (classic & False, classic & False),
    }.items():  # fmt: skip
        for fold in (0, 1):
            amount = (500, 1500)[fold] if arm == "dcgan" else 500
            tests = {"cross_validation": right[0][fold * 20 : fold * 20 + 20], "independent": right[fold]}
            for test, named in tests.items():
                first = fold * 20 if test == "cross_validation" else 100
                lesions = [f"L{first + number}" for number in range(len(named))]
                own = {"arm": arm, "amount": amount, "test_set": test, "seed": 0, "fold": fold, "lesion_id": lesions}
                said = np.where(named, "solid", "flat|round")
                yield pd.DataFrame(own | {"patient_id": lesions, "true": "solid", "predicted": said})


@pytest.fixture
def pages(tmp_path):
    run, target = tmp_path / "standard-table", tmp_path / "figures"
    (run / "parameters").mkdir(parents=True)
    target.mkdir()
    (run / "provenance.json").write_text(json.dumps(MADE))
    (run / "parameters" / "05_classification.yml").write_text("accuracy_margin: 0.01\nbootstrap_draws: 300\n")
    pd.DataFrame(list(rows()), columns=RESULT_COLUMNS).to_csv(run / "results.csv", index=False)
    pd.concat(predictions()).to_csv(run / "predictions.csv.xz", index=False)
    cohort_pages.write_pages(run, target)
    return target


def test_without_a_published_run_each_page_says_so_in_a_sentence(tmp_path):
    cohort_pages.write_pages(None, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["real_ct.md", "real_ct_answer.md"]
    for path in tmp_path.iterdir():
        text = path.read_text().strip()
        assert text.startswith("No run on real CT has been published") and text.count("\n") == 0 and text.endswith("make one.")
    assert "(real_ct.md)" in (tmp_path / "real_ct_answer.md").read_text()


def test_chapter_shows_every_number_and_its_source(pages):
    text = (pages / "real_ct.md").read_text()
    for word in (
        "`standard-table`", "profile `standard`", "`0123456789ab`", "61 minutes", "a processor, 2 cores",
        "40 lesions of 31 patients",
        "90 lesions of other patients", "61.1 % [50.0, 90.0]", "61.5 %", "71.1 %", "71.5 %", "72.1 %", "65.1 %", "500; 1,500",
        "0.12 [0.50, 0.90]", "0.46 [", "0.79 [", "1.1 %", "unseen real ROIs (floor)", "synthetic ROIs (DCGAN)",
        "]: cannot tell |", "]: helps |",
        "make book PROFILE=standard SETTINGS=my.yml", "window_level: -600", "classic + noisy copies",
    ):  # fmt: skip
        assert word in text, word
    assert "99.9 %" not in text, "only amounts that the inner folds chose"
    assert "$" not in text, "a place of the template is left"


def test_welcome_page_answers_and_leads_to_the_chapter(pages):
    text = (pages / "real_ct_answer.md").read_text()
    assert "]: helps |" in text and "(real_ct.md)" in text and "`standard-table`" in text


def test_page_says_what_the_largest_class_alone_would_score_and_counts_classes_alike(tmp_path):
    """Of 90 lesions 80 are solid; the new arm finds 8 more solid ones and 5 fewer of the others."""
    true = np.repeat(["solid", "flat"], [80, 10])
    own = {"test_set": "independent", "seed": 0, "fold": 0, "lesion_id": range(90), "patient_id": range(90), "true": true}
    classic = pd.DataFrame(own | {"arm": "classic", "predicted": np.where(np.arange(90) % 10 == 0, "other", true)})
    named = classic["predicted"].where(np.arange(90) >= 80, "solid")
    dcgan = classic.assign(arm="dcgan", predicted=named.where(np.arange(90) < 85, "solid"))
    answers = pd.DataFrame({"arm": ["dcgan"], "test_set": ["independent"], "value": 0.0, "ci_low": 0.0, "ci_high": 0.0})
    row = cohort_pages.balanced_rows(answers, {"classic": classic, "dcgan": dcgan}, 300).iloc[0]
    assert row["value"] == pytest.approx((8 / 80 - 5 / 10) / 2) and row["ci_low"] < row["value"] < row["ci_high"] < 0
    assert paired_difference(dcgan, classic, draws=300, seed=0).value > 0, "in accuracy it gains"
    said = cohort_pages.mix_sentence(pd.concat([classic, dcgan]))
    assert "holds 80 solid, 10 flat: whoever always answers solid is right in 88.9 %, and accuracy there says mostly" in said
    assert "accuracy there" not in cohort_pages.mix_sentence(classic[70:])
    assert cohort_pages.mix_sentence(classic[:0]) == "There is no independent test set."


def test_every_kind_that_gains_or_loses_is_counted():
    rows = pd.DataFrame({"arm": ["dcgan", "acgan", "better_gan", "placebo"], "test_set": "independent"})
    rows = rows.assign(ci_low=[0.01, -0.02, -0.05, 0.1], ci_high=[0.05, 0.02, -0.01, 0.2])
    said = "Of 3 kinds of synthetic ROIs that were tried, 1 gained on the independent test set by an interval that excludes zero"
    assert cohort_pages.gains_sentence(rows) == f"{said}, and 1 lost by one."
    assert cohort_pages.gains_sentence(rows[rows["arm"] == "placebo"]) == ""


def test_figures_are_there_and_not_empty(pages):
    for name in ("answer", "controls"):
        with Image.open(pages / f"real_ct_{name}.png") as picture:
            assert picture.width > 1000 and picture.getextrema()[0][0] < 100


def test_margin_of_the_published_run_decides(pages, tmp_path):
    run = tmp_path / "standard-table"
    (run / "parameters" / "05_classification.yml").write_text("accuracy_margin: 0.9\nbootstrap_draws: 300\n")
    cohort_pages.write_pages(run, pages)
    assert "]: makes no difference that matters |" in (pages / "real_ct_answer.md").read_text()


@pytest.mark.parametrize(
    ("test", "where"), [("independent", "on the independent test set"), ("cross_validation", "in cross-validation")]
)
def test_welcome_page_sets_other_additions_beside_the_answer(pages, tmp_path, test, where):
    run = tmp_path / "standard-table"
    kept = [row for row in rows() if test == "independent" or row.get("test_set") != "independent"]
    pd.DataFrame(kept, columns=RESULT_COLUMNS).to_csv(run / "results.csv", index=False)
    cohort_pages.write_answer(run, pages)
    text = (pages / "controls_answer.md").read_text()
    synthetic, copies = (line.strip("|").split("|") for line in text.splitlines() if line.startswith("| classic"))
    value, beyond, answer = ("-3.5", "+4.4", "+5.4") if test == "independent" else ("-3.1", "+4.0", "+5.0")
    assert synthetic == [" classic + synthetic (DCGAN) ", f" {value} [-5.0, +2.0]: cannot tell ", "  "]
    assert copies[0] == " classic + noisy copies ", "permuted labels are no addition"
    assert copies[1:] == [f" {value} [-5.0, +2.0]: cannot tell ", f" {beyond} [+1.5, +7.0]: helps "]
    assert "the margin of 1 point, the synthetic ROIs beat 1 of the 1 additions" in text
    assert where in text and "11_controls.ipynb" in text
    said = (pages / "answer_sentence.md").read_text()
    assert said.startswith(
        "Adding synthetic ROIs (DCGAN) to the classic group, in amounts chosen on inner folds, changes accuracy by "
        f"{answer} points (95 % interval +2.0 to +8.0) {where}: this run says that synthetic ROIs (DCGAN) help here"
    )
    assert said.endswith(f"Of 1 kind of synthetic ROIs that were tried, 1 gained {where} by an interval that excludes zero.\n")


def test_run_without_control_arms_says_nothing_of_them(pages, tmp_path):
    run = tmp_path / "standard-table"
    kept = [row for row in rows() if row["table"] not in ("controls", "synthetic_minus_control")]
    pd.DataFrame(kept, columns=RESULT_COLUMNS).to_csv(run / "results.csv", index=False)
    cohort_pages.write_answer(run, pages)
    assert (pages / "controls_answer.md").read_text() == ""


def test_answer_is_that_of_the_first_gan_and_of_none_without_any():
    table = pd.DataFrame(list(rows()), columns=RESULT_COLUMNS)
    answer = table[table["table"] == "answer"]
    later = answer.assign(arm="acgan", ci_low=-0.2)
    assert "says that synthetic ROIs (DCGAN) help here" in cohort_pages.answer_sentence(pd.concat([later, answer]), 0.01)
    assert "cannot tell whether synthetic ROIs (ACGAN)" in cohort_pages.answer_sentence(later, 0.01)
    assert cohort_pages.answer_sentence(answer.assign(arm="classic_extra_real"), 0.01) == "This run has no synthetic arm."


def test_cells_of_a_table_cannot_break_it():
    text = markdown_table(pd.DataFrame({"class": ["a|b", "<script>", "$x$ `y` *z*", "back\\slash"]}))
    assert text.splitlines()[2:] == ["| a\\|b |", "| &lt;script> |", "| \\$x\\$ 'y' \\*z\\* |", "| back\\\\slash |"]
