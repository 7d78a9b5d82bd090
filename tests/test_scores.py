"""Measures on the paper's own tables, intervals, and rows of results.csv."""

import numpy as np
import pandas as pd
import pytest

from lesion_utils import scores

CLASSES = ("cyst", "metastasis", "hemangioma")
#: The paper's Tables 2 and 3 with the values printed beside them: sensitivity, specificity, their weighted means, correct of 182.
TABLES = [
    ([[52, 1, 0], [2, 44, 18], [0, 18, 47]], [98.1, 68.7, 72.3], [98.4, 83.9, 84.6], (78.6, 88.4), 143),
    ([[53, 0, 0], [2, 52, 10], [1, 13, 51]], [100, 81.2, 78.5], [97.7, 89.0, 91.4], (85.7, 92.4), 156),
]


def predictions_of(matrix, classes=CLASSES, **columns):
    """Return rows of predictions.csv with this confusion matrix, one lesion a patient."""
    rows = [(classes[i], classes[j]) for i, row in enumerate(matrix) for j, n in enumerate(row) for _ in range(n)]
    frame = pd.DataFrame(rows, columns=["true", "predicted"])
    frame["lesion_id"] = [f"L{number:04d}" for number in range(len(frame))]
    frame["patient_id"] = [f"P{number:04d}" for number in range(len(frame))]
    return frame.assign(**({"arm": "classic", "amount": 5000, "test_set": "cross_validation", "seed": 0, "fold": 0} | columns))


def pick(rows, metric, label="", seed="all", fold="all", **where):
    """Return the one row that fits."""
    wanted = {"metric": metric, "label": label, "seed": seed, "fold": fold} | where
    found = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    assert len(found) == 1, (wanted, found)
    return found[0]


@pytest.mark.parametrize(("matrix", "sensitivity", "specificity", "weighted", "correct"), TABLES)
def test_measures_give_the_papers_values(matrix, sensitivity, specificity, weighted, correct):
    matrix = np.array(matrix)
    assert scores.accuracy(matrix) == correct / 182
    # The paper prints 68.75 as 68.7 and 91.453 as 91.4.
    np.testing.assert_allclose(100 * scores.sensitivity(matrix), sensitivity, atol=0.054)
    np.testing.assert_allclose(100 * scores.specificity(matrix), specificity, atol=0.054)
    averages = [scores.weighted_average(measure(matrix), matrix) for measure in (scores.sensitivity, scores.specificity)]
    np.testing.assert_allclose(100 * np.array(averages), weighted, atol=0.054)


def test_the_papers_numbers_are_stored_as_printed():
    assert [scores.PAPER_TABLE_2.tolist(), scores.PAPER_TABLE_3.tolist()] == [table[0] for table in TABLES]
    assert scores.PAPER_CLASSIC[5000] == pytest.approx(143 / 182, abs=5e-4)
    assert scores.PAPER_SYNTHETIC[8000] == pytest.approx(156 / 182, abs=5e-4)
    assert scores.smallest_best(scores.PAPER_CLASSIC) == 5000
    assert scores.smallest_best(scores.PAPER_SYNTHETIC) == 8000


@pytest.mark.parametrize(("correct", "interval"), [(143, (72.1, 83.9)), (156, (79.9, 90.1))])
def test_wilson_intervals_of_the_papers_accuracies(correct, interval):
    np.testing.assert_allclose(100 * np.array(scores.wilson(correct, 182)), interval, atol=0.05)


def test_wilson_follows_its_formula_and_its_confidence():
    z, n, p = 1.6448536269514722, 20, 0.25
    middle, half = (p + z**2 / (2 * n)) / (1 + z**2 / n), z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    np.testing.assert_allclose(scores.wilson(5, 20, confidence=0.9), (middle - half, middle + half))
    assert scores.wilson(0, 20)[0] == 0 and scores.wilson(0, 20)[1] > 0.1
    assert np.isnan(scores.wilson(0, 0)).all()


def test_confusion_has_true_classes_in_rows_and_room_for_absent_ones():
    np.testing.assert_array_equal(scores.confusion([0, 0, 1], [0, 1, 1], 3), [[1, 1, 0], [0, 1, 0], [0, 0, 0]])


def test_absent_class_has_no_sensitivity_and_no_weight():
    matrix = np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    assert np.isnan(scores.sensitivity(matrix)[2])
    assert scores.weighted_average(scores.sensitivity(matrix), matrix) == pytest.approx(7 / 8)


def test_score_rows_give_the_papers_table_7():
    rows = scores.score_rows(predictions_of(TABLES[1][0]), CLASSES, table="table7")
    accuracy = pick(rows, "accuracy")
    assert (accuracy["value"], accuracy["n"]) == (156 / 182, 182)
    np.testing.assert_allclose([accuracy["ci_low"], accuracy["ci_high"]], [0.799, 0.901], atol=5e-4)
    assert {row["table"] for row in rows} == {"table7"} and {row["amount"] for row in rows} == {5000}
    assert pick(rows, "sensitivity", "metastasis")["value"] == 52 / 64
    assert pick(rows, "specificity", "cyst")["n"] == 129
    assert pick(rows, "weighted_specificity", "all")["value"] == pytest.approx(0.924, abs=5e-4)
    sensitivity = pick(rows, "weighted_sensitivity", "all")
    assert sensitivity["value"] == pytest.approx(156 / 182), "weighted by lesions, it is the accuracy"
    np.testing.assert_allclose([sensitivity["ci_low"], sensitivity["ci_high"]], [0.799, 0.901], atol=0.02)
    assert list(scores.results_frame(rows).columns) == scores.RESULT_COLUMNS


def test_interval_by_patients_is_wider_when_their_lesions_are_alike():
    alone = predictions_of([[40, 20, 0], [10, 30, 20], [0, 20, 40]])
    together = alone.assign(patient_id=[f"P{number // 6}" for number in range(len(alone))])
    ends = [
        scores.patient_interval(
            scores.patient_matrices(part, CLASSES), lambda m: scores.weighted_average(scores.sensitivity(m), m)
        )
        for part in (alone.assign(patient_id=alone["lesion_id"]), together)
    ]
    np.testing.assert_allclose(ends[0], scores.wilson(110, 180), atol=0.015)
    assert ends[1][1] - ends[1][0] > 1.3 * (ends[0][1] - ends[0][0])


def test_folds_pool_by_counting_lesions():
    parts = [predictions_of([[2, 0, 0], [0, 1, 0], [0, 0, 1]]), predictions_of([[0, 3, 0], [0, 1, 1], [0, 0, 1]])]
    both = pd.concat([part.assign(fold=fold, lesion_id=part["lesion_id"] + f"/{fold}") for fold, part in enumerate(parts)])
    rows = scores.score_rows(both, CLASSES, table="fig8")
    assert [pick(rows, "accuracy", seed=0, fold=fold)["value"] for fold in (0, 1)] == [1, 2 / 6]
    pooled = pick(rows, "accuracy")
    assert (pooled["value"], pooled["n"]) == (6 / 10, 10), "not the mean of the folds' accuracies"
    assert pick(rows, "accuracy", seed=0) == pooled | {"seed": 0}
    assert pick(rows, "sensitivity", "cyst")["value"] == 2 / 5


def test_several_models_of_a_lesion_make_one_lesion():
    right = predictions_of([[10, 0, 0], [0, 10, 0], [0, 0, 10]], test_set="independent")
    wrong = right.assign(predicted="cyst", fold=1)
    rows = scores.score_rows(pd.concat([right, wrong]), CLASSES, table="fig8")
    pooled = pick(rows, "accuracy")
    assert (pooled["value"], pooled["n"]) == ((30 + 10) / 60, 30)
    assert (pooled["ci_low"], pooled["ci_high"]) == scores.wilson(20, 30)
    seeds = pd.concat([right, right.assign(seed=1)])
    assert pick(scores.score_rows(seeds, CLASSES, table="fig8"), "accuracy")["n"] == 30


def test_arms_amounts_and_test_sets_stay_apart():
    good, bad = predictions_of([[4, 0, 0], [0, 4, 0], [0, 0, 4]]), predictions_of([[0, 4, 0], [0, 0, 4], [4, 0, 0]])
    frame = pd.concat([good, bad.assign(arm="dcgan"), bad.assign(amount=0), bad.assign(test_set="independent")])
    rows = scores.score_rows(frame, CLASSES, table="fig8")
    assert pick(rows, "accuracy", arm="classic", amount=5000, test_set="cross_validation")["value"] == 1
    for change in ({"arm": "dcgan"}, {"amount": 0}, {"test_set": "independent"}):
        where = {"arm": "classic", "amount": 5000, "test_set": "cross_validation"} | change
        assert pick(rows, "accuracy", **where)["value"] == 0


def test_confusion_rows_hold_every_cell():
    rows = scores.confusion_rows(scores.PAPER_TABLE_2, CLASSES, table="table2", arm="classic")
    assert len(rows) == 9 and sum(row["value"] for row in rows) == 182
    cell = pick(rows, "count", "metastasis", predicted="hemangioma", seed="", fold="")
    assert (cell["value"], cell["n"], cell["table"]) == (18, 64, "table2")


def test_unknown_column_is_an_error():
    with pytest.raises(KeyError, match="no column table_2"):
        scores.result_row("accuracy", 0.5, table_2=500)


def test_proportion_of_nothing_is_empty():
    row = scores.proportion_row("accuracy", 0, 0)
    assert np.isnan([row["value"], row["ci_low"], row["ci_high"]]).all() and row["n"] == 0


def test_optimum_is_the_smallest_of_the_best():
    assert scores.smallest_best({0: 0.6, 500: 0.7, 1000: 0.8, 2000: 0.8, 3000: 0.79}) == 1000
    assert scores.smallest_best({2000: 0.5, 500: 0.5, 0: 0.4}) == 500
    assert scores.smallest_best({0: 0.3, 500: 0.1 + 0.2}) == 0, "rounding of the last bit is no improvement"
