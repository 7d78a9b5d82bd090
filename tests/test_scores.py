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


def arms(old, new, patients=None):
    """Return two arms from lists of right (1) and wrong (0) answers for the same lesions."""
    lesions = [f"L{number}" for number in range(len(old))]
    base = pd.DataFrame({"lesion_id": lesions, "patient_id": patients if patients is not None else lesions, "fold": 0, "seed": 0})
    frames = [base.assign(true="cyst", predicted=np.where(right, "cyst", "metastasis")) for right in (old, new)]
    return frames[1], frames[0]


def test_difference_counts_lesion_by_lesion():
    difference = scores.paired_difference(*arms([1, 1, 0, 0, 0, 0, 0, 0], [1, 0, 1, 1, 1, 0, 0, 0]), draws=4000, seed=0)
    assert difference.value == 2 / 8 and difference.lesions == 8
    low, high = difference.interval
    assert low < 2 / 8 < high and (low, high) == pytest.approx((-0.125, 0.625), abs=0.13)
    again = scores.paired_difference(*arms([1, 1, 0, 0, 0, 0, 0, 0], [1, 0, 1, 1, 1, 0, 0, 0]), draws=4000, seed=0)
    assert again == difference


def test_identical_arms_differ_by_exactly_nothing():
    difference = scores.paired_difference(*arms([1, 0, 1, 1], [1, 0, 1, 1]), draws=200, seed=0)
    assert difference.value == 0 and difference.interval == (0, 0)
    assert "make no difference that matters" in scores.verdict(difference, "synthetic ROIs", 0.01)


def test_interval_covers_the_truth_and_agrees_with_the_normal_one():
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(100):
        old, new = rng.random(200) < 0.6, rng.random(200) < 0.7
        difference = scores.paired_difference(*arms(old, new), draws=300, seed=seed)
        covered += difference.interval[0] <= 0.1 <= difference.interval[1]
    assert 88 <= covered <= 100
    half = 1.96 * np.std(new.astype(float) - old) / np.sqrt(200)
    assert np.ptp(difference.interval) / 2 == pytest.approx(half, rel=0.2)


def test_lesions_of_a_patient_that_agree_widen_the_interval():
    old = np.zeros(120, int)
    new = np.repeat(np.random.default_rng(0).integers(0, 2, 30), 4)  # four lesions of a patient, all helped or none
    alone = scores.paired_difference(*arms(old, new), draws=2000, seed=0)
    together = scores.paired_difference(*arms(old, new, np.repeat(np.arange(30), 4)), draws=2000, seed=0)
    assert alone.value == together.value
    assert np.ptp(together.interval) / np.ptp(alone.interval) == pytest.approx(2, rel=0.15)


def several(changes, **more):
    """Return two arms with one model a row of ``changes``: +1 only the new one is right, -1 only the old one, 0 both."""
    parts = [arms(np.asarray(one) <= 0, np.asarray(one) >= 0) for one in changes]
    models = [{"fold": number} | {name: values[number] for name, values in more.items()} for number in range(len(changes))]
    return [pd.concat([part[side].assign(**own) for part, own in zip(parts, models, strict=True)]) for side in (0, 1)]


def test_networks_that_differ_widen_the_interval_by_students():
    """Three networks name 400 lesions: for one the new arm gains 20, for one it loses 4, for one nothing changes."""
    changes = np.zeros((3, 400), int)
    changes[0, :20], changes[1, 20:24] = 1, -1
    by_model = changes.mean(axis=1)
    found = scores.paired_difference(*several(changes), draws=2000, seed=0)
    rows = pd.DataFrame({"lesion_id": range(400), "patient_id": range(400), "change": changes.mean(axis=0)})
    low, high = scores.patient_mean(rows, "change", draws=2000, seed=0).interval
    reach = 4.302653 * by_model.std(ddof=1) / np.sqrt(3)  # Student's t, 2 degrees of freedom, 97.5 %: printed tables
    assert found.value == pytest.approx(16 / 1200) and low > 0 > found.interval[0], "over patients alone it would be a gain"
    halves = found.value - found.interval[0], found.interval[1] - found.value
    assert halves[0] == pytest.approx(np.hypot(reach, found.value - low), rel=0.03)
    assert halves[1] == pytest.approx(np.hypot(reach, high - found.value), rel=0.03)


def test_folds_that_test_in_turn_are_one_model_and_seeds_are_several():
    changes = np.zeros(400, int)
    changes[:30], changes[200:205] = 1, -1
    new, old = arms(changes <= 0, changes >= 0)
    fold = np.arange(400) // 200
    alone = scores.paired_difference(new.assign(fold=fold), old.assign(fold=fold), draws=500, seed=0)
    assert alone == scores.paired_difference(new, old, draws=500, seed=0), "folds differ in their lesions, not only by chance"
    seeds = [pd.concat([part.assign(fold=fold, seed=number) for number in range(3)]) for part in (new, old)]
    assert scores.paired_difference(*seeds, draws=500, seed=0).interval == alone.interval, "seeds that agree widen nothing"
    apart = seeds[0].assign(predicted=seeds[0]["predicted"].where(seeds[0]["seed"] < 2, "metastasis"))
    assert np.ptp(scores.paired_difference(apart, seeds[1], draws=500, seed=0).interval) > 5 * np.ptp(alone.interval)


def test_interval_holds_the_methods_gain_as_often_as_it_says_where_networks_differ():
    """Networks gain 2 points, give or take 4: over patients alone most intervals miss that."""
    rng, held, alone = np.random.default_rng(0), 0, 0
    for seed in range(100):
        gains = rng.normal(0.02, 0.04, (3, 1))
        changes = (rng.random((3, 600)) < 0.15 + gains / 2).astype(int) - (rng.random((3, 600)) < 0.15 - gains / 2)
        found = scores.paired_difference(*several(changes), draws=200, seed=seed)
        held += found.interval[0] <= 0.02 <= found.interval[1]
        rows = pd.DataFrame({"lesion_id": range(600), "patient_id": range(600), "change": changes.mean(axis=0)})
        low, high = scores.patient_mean(rows, "change", draws=200, seed=seed).interval
        alone += low <= 0.02 <= high
    assert held >= 90 > 70 > alone


def test_difference_wants_the_same_lesions_once():
    new, old = arms([1, 0, 1], [1, 1, 1])
    with pytest.raises(ValueError, match="do not predict the same lesions"):
        scores.paired_difference(new, old.iloc[:2], draws=10, seed=0)
    with pytest.raises(ValueError, match="do not predict the same lesions"):
        scores.paired_difference(new, old.assign(lesion_id=["L0", "L1", "L7"]), draws=10, seed=0)
    with pytest.raises(ValueError, match="one-to-one"):
        scores.paired_difference(pd.concat([new, new]), pd.concat([old, old]), draws=10, seed=0)


@pytest.mark.parametrize(
    ("better", "worse", "words"),
    [
        (40, 5, "says that synthetic ROIs help here, by more than 5 points"),
        (5, 40, "says that synthetic ROIs harm here, by more than 5 points"),
        (1, 1, "make no difference that matters"),
        (20, 22, "cannot tell"),
        (9, 0, "cannot tell"),
    ],
)
def test_verdict_on_planted_effects(better, worse, words):
    old = np.repeat([0, 1, 1], [better, worse, 120 - better - worse])
    new = np.repeat([1, 0, 1], [better, worse, 120 - better - worse])
    difference = scores.paired_difference(*arms(old, new), draws=1000, seed=0)
    assert words in scores.verdict(difference, "synthetic ROIs", 0.05)
    assert scores.points(difference).startswith(f"{100 * (better - worse) / 120:+.1f} points (95 % interval ")


@pytest.mark.parametrize(
    ("interval", "margin", "word"),
    [
        ((0.011, 0.08), 0.01, "helps"),
        ((-0.08, -0.011), 0.01, "harms"),
        ((-0.009, 0.009), 0.01, "makes no difference that matters"),
        ((0.002, 0.009), 0.01, "makes no difference that matters"),  # surely above zero, and surely too small to matter
        ((-0.01, 0.01), 0.01, "makes no difference that matters"),  # the margin itself lies inside
        ((0.01, 0.08), 0.01, "cannot tell"),  # on the margin is not beyond it
        ((-0.08, -0.01), 0.01, "cannot tell"),
        ((0.002, 0.08), 0.01, "cannot tell"),
        ((-0.02, 0.005), 0.01, "cannot tell"),
        ((-0.2, 0.2), 0.01, "cannot tell"),
        ((0.001, 0.08), 0, "helps"),
        ((0, 0), 0, "makes no difference that matters"),
        ((0, 0.08), 0, "cannot tell"),
        ((np.nan, np.nan), 0.01, "cannot tell"),
    ],
)
def test_decision_of_every_kind_and_on_the_margin(interval, margin, word):
    assert scores.decide(interval, margin) == word
    low, high = interval
    mirrored = {"helps": "harms", "harms": "helps"}.get(word, word)
    assert scores.decide((-high, -low), margin) == mirrored


def test_decision_wants_a_margin_and_an_interval():
    for margin in (-0.01, np.nan):
        with pytest.raises(ValueError, match="parameter 'margin'"):
            scores.decide((0, 1), margin)
    with pytest.raises(ValueError, match="lower end first"):
        scores.decide((0.2, 0.1), 0.01)


def test_optimum_is_the_smallest_of_the_best():
    assert scores.smallest_best({0: 0.6, 500: 0.7, 1000: 0.8, 2000: 0.8, 3000: 0.79}) == 1000
    assert scores.smallest_best({2000: 0.5, 500: 0.5, 0: 0.4}) == 500
    assert scores.smallest_best({0: 0.3, 500: 0.1 + 0.2}) == 0, "rounding of the last bit is no improvement"
