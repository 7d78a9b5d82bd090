"""Measures of probabilities and classes, against scikit-learn, worked values and their definitions."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, matthews_corrcoef, roc_auc_score

from lesion_utils import comparison_figures, comparison_tables, measures, scores
from lesion_utils.errors import DataError

CLASSES = ("cyst", "metastasis", "hemangioma")


def predictions_of(true, probabilities, seed=0, fold=0, patients=None, prefix="L"):
    """Return rows of predictions.csv from class numbers and (n, 3) probabilities."""
    probabilities = np.asarray(probabilities, float)
    lesions = [f"{prefix}{number:04d}" for number in range(len(true))]
    frame = pd.DataFrame({"lesion_id": lesions, "patient_id": lesions if patients is None else patients})
    frame = frame.assign(arm="classic", amount="all", test_set="independent", seed=seed, fold=fold)
    frame["true"] = np.array(CLASSES)[np.asarray(true)]
    frame["predicted"] = np.array(CLASSES)[probabilities.argmax(axis=1)]
    return frame.assign(**{f"probability_{name}": probabilities[:, number] for number, name in enumerate(CLASSES)})


def random_predictions(n=120, seed=0, ties=False, **columns):
    rng = np.random.default_rng(seed)
    true = rng.choice(3, n, p=[0.2, 0.3, 0.5])
    probabilities = rng.dirichlet([0.7] * 3, n) + 0.5 * np.eye(3)[true] * rng.random((n, 1))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    if ties:
        probabilities = np.round(probabilities * 5) / 5
    return predictions_of(true, probabilities, **columns)


def truth(predictions):
    return pd.Categorical(predictions["true"], CLASSES).codes, measures.probabilities_of(predictions, CLASSES)


@pytest.mark.parametrize("ties", [False, True])
def test_measures_are_scikit_learns(ties):
    frame = random_predictions(ties=ties)
    found, (codes, values) = measures.measure(frame, CLASSES), truth(frame)
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(frame["true"], frame["predicted"]))
    assert found["mcc"] == pytest.approx(matthews_corrcoef(frame["true"], frame["predicted"]))
    by_class = [roc_auc_score(codes == number, values[:, number]) for number in range(3)]
    assert found["auc"] == pytest.approx(np.mean(by_class))
    if not ties:
        assert found["auc"] == pytest.approx(roc_auc_score(codes, values, multi_class="ovr", average="macro"))
    by_class = [np.mean((values[:, number] - (codes == number)) ** 2) for number in range(3)]
    assert found["brier"] == pytest.approx(sum(by_class))
    assert by_class[0] == pytest.approx(brier_score_loss(codes == 0, values[:, 0])) if not ties else True


def test_mcc_of_the_papers_tables():
    """Multi-class MCC (Gorodkin 2004) from the confusion matrix: (c s - sum t p) / sqrt((s^2 - sum p^2)(s^2 - sum t^2))."""
    for matrix in (scores.PAPER_TABLE_2, scores.PAPER_TABLE_3):
        true, predicted = np.repeat(np.indices((3, 3)).reshape(2, 9), matrix.ravel(), axis=1)
        found = measures.measure(predictions_of(true, np.eye(3)[predicted]), CLASSES)
        t, p, s = matrix.sum(axis=1), matrix.sum(axis=0), matrix.sum()
        expected = (np.trace(matrix) * s - t @ p) / np.sqrt((s**2 - p @ p) * (s**2 - t @ t))
        assert found["mcc"] == pytest.approx(expected) and found["accuracy"] == np.trace(matrix) / 182
        assert found["balanced_accuracy"] == pytest.approx(scores.sensitivity(matrix).mean())


def test_brier_score_at_its_ends_and_of_a_guess():
    """Brier (1950): 0 for certainty that is right, 2 for certainty that is wrong, 2/3 for a third each."""
    true = [0, 1, 2]
    for probabilities, score in ((np.eye(3), 0), (np.eye(3)[[1, 2, 0]], 2), (np.full((3, 3), 1 / 3), 2 / 3)):
        assert measures.measure(predictions_of(true, probabilities), CLASSES)["brier"] == pytest.approx(score)


def test_calibration_error_by_hand():
    # Two lesions at 0.9, one of them right; two at 0.6, both right: |0.9 - 0.5| / 2 + |0.6 - 1| / 2.
    sure, unsure = [0.9, 0.1, 0.0], [0.6, 0.4, 0.0]
    frame = predictions_of([0, 1, 0, 0], [sure, sure, unsure, unsure])
    assert measures.measure(frame, CLASSES)["calibration_error"] == pytest.approx(0.4)
    table = measures.calibration_bins(frame, CLASSES)
    assert table[["low", "high", "confidence", "share", "n"]].round(9).to_numpy().tolist() == [
        [0.6, 0.7, 0.6, 1, 2],
        [0.9, 1.0, 0.9, 0.5, 2],
    ]
    assert tuple(table.loc[1, ["ci_low", "ci_high"]]) == scores.wilson(1, 2)


def test_calibration_curve_is_scikit_learns():
    frame = random_predictions(400, seed=1)
    table, (_, values) = measures.calibration_bins(frame, CLASSES), truth(frame)
    share, confidence = calibration_curve(frame["true"] == frame["predicted"], values.max(axis=1), n_bins=10)
    np.testing.assert_allclose(table["share"], share)
    np.testing.assert_allclose(table["confidence"], confidence)
    certain = predictions_of([0, 1], np.eye(3)[:2])
    assert measures.calibration_bins(certain, CLASSES)["high"].tolist() == [1.0], "certainty lies in the last bin"


def test_lesions_of_several_models_count_once_in_the_curve():
    models = pd.concat([random_predictions(60, seed=2, fold=fold) for fold in range(3)], ignore_index=True)
    table, alone = measures.calibration_bins(models, CLASSES), measures.calibration_bins(models.iloc[:60], CLASSES)
    np.testing.assert_allclose(table["n"], alone["n"])
    np.testing.assert_allclose(table["ci_low"], alone["ci_low"])


# A class that is absent, ties, bad values


def test_an_absent_class_leaves_auc_undefined_and_the_others_right():
    frame = random_predictions(90)
    frame = frame[frame["true"] != "metastasis"]
    found, codes = measures.measure(frame, CLASSES), truth(frame)[0]
    assert np.isnan(found["auc"]) and np.isnan(measures.class_auc(frame, "metastasis"))
    assert 0.5 < measures.class_auc(frame, "cyst") < 1, "the classes that are there have theirs"
    own = [np.mean(frame["predicted"].to_numpy()[codes == number] == CLASSES[number]) for number in (0, 2)]
    assert found["balanced_accuracy"] == pytest.approx(np.mean(own))
    assert found["mcc"] == pytest.approx(matthews_corrcoef(frame["true"], frame["predicted"]))
    assert not np.isnan([found[name] for name in ("accuracy", "brier", "calibration_error")]).any()
    intervals = measures.measure_intervals(frame, CLASSES, draws=100, seed=0)
    assert np.isnan(intervals["auc"]).all() and intervals["brier"][0] < found["brier"] < intervals["brier"][1]
    rows = measures.measure_rows(frame, CLASSES, draws=50, seed=0)
    table = comparison_tables.measures_table(rows)
    assert table["macro AUC"].tolist() == ["not defined"] and "[" in table["MCC"].iloc[0]


def test_one_class_alone_and_one_class_predicted():
    one = predictions_of([0, 0, 0], [[0.6, 0.4, 0]] * 3)
    found = measures.measure(one, CLASSES)
    assert (found["accuracy"], found["balanced_accuracy"], found["mcc"]) == (1, 1, 0) and np.isnan(found["auc"])
    measures.measure_intervals(one, CLASSES, draws=20, seed=0)


def test_ties_count_one_half():
    same = predictions_of([0, 0, 1, 2], np.full((4, 3), 1 / 3))
    assert measures.measure(same, CLASSES)["auc"] == 0.5
    assert measures.resampled_measures(same, CLASSES, np.ones((1, 4)))["auc"] == [0.5]


def test_a_failed_network_and_a_missing_class_are_errors():
    frame = random_predictions(30, fold=2)
    frame.loc[4, "probability_cyst"] = np.nan
    with pytest.raises(DataError, match=r"arm classic, seed 0, fold 2: a probability of lesion L0004 .* failed to train"):
        measures.measure(frame, CLASSES)
    with pytest.raises(DataError, match="no column probability_hemangioma"):
        measures.measure(frame.drop(columns="probability_hemangioma"), CLASSES)


def test_auc_compares_lesions_of_one_model_only():
    first, second = random_predictions(60, seed=4), random_predictions(60, seed=5, fold=1, prefix="M")
    both = pd.concat([first, second], ignore_index=True)
    shifted = both.copy()
    shifted.loc[shifted["fold"] == 1, "probability_cyst"] *= 0.2  # another scale, the same order
    assert measures.class_auc(shifted, "cyst") == measures.class_auc(both, "cyst")
    weights = [(part["true"] == "cyst").sum() * (part["true"] != "cyst").sum() for part in (first, second)]
    by_model = [measures.class_auc(part, "cyst") for part in (first, second)]
    assert measures.class_auc(both, "cyst") == pytest.approx(np.average(by_model, weights=weights))


# Resampling


@pytest.mark.parametrize("ties", [False, True])
def test_a_weight_is_as_good_as_a_repeat(ties):
    frame = pd.concat(
        [random_predictions(40, seed=6, ties=ties), random_predictions(40, seed=7, ties=ties, fold=1, prefix="M")],
        ignore_index=True,
    )
    weights = np.random.default_rng(0).integers(0, 4, (5, len(frame)))
    found = measures.resampled_measures(frame, CLASSES, weights)
    for draw, own in enumerate(weights):
        expected = measures.measure(frame.loc[frame.index.repeat(own)], CLASSES)
        for name, value in expected.items():
            assert found[name][draw] == pytest.approx(value, abs=1e-12), name
    assert list(found) == list(measures.MEASURES) == list(expected)


def test_a_resample_without_a_class_has_no_auc_and_the_rest():
    frame = random_predictions(40)
    found = measures.resampled_measures(frame, CLASSES, (frame["true"] != "cyst").to_numpy(float)[None])
    expected = measures.measure(frame[frame["true"] != "cyst"], CLASSES)
    assert np.isnan(found["auc"][0]) and found["balanced_accuracy"][0] == pytest.approx(expected["balanced_accuracy"])


def test_intervals_are_those_of_whole_patients(monkeypatch):
    frame = random_predictions(60)
    alone = measures.measure_intervals(frame, CLASSES, draws=1000, seed=0)
    alike = pd.concat([frame, frame, frame, frame], ignore_index=True).assign(lesion_id=[f"L{n}" for n in range(240)])
    together = measures.measure_intervals(alike, CLASSES, draws=1000, seed=0)
    for name in measures.MEASURES:
        np.testing.assert_allclose(together[name], alone[name], atol=1e-9, err_msg="four equal lesions of a patient are one")
    monkeypatch.setattr(measures, "_CELLS", 1000)
    parts = measures.measure_intervals(frame, CLASSES, draws=1000, seed=0)
    np.testing.assert_allclose(list(parts.values()), list(alone.values()), err_msg="in many parts or in one")


def test_intervals_cover_the_truth():
    everyone = random_predictions(60000, seed=8)
    true, covered = measures.measure(everyone, CLASSES), dict.fromkeys(measures.MEASURES, 0)
    for number in range(150):
        sample = everyone.iloc[400 * number : 400 * (number + 1)]
        for name, (low, high) in measures.measure_intervals(sample, CLASSES, draws=200, seed=number).items():
            covered[name] += low <= true[name] <= high
    assert all(0.88 * 150 <= count for count in covered.values()), covered


# Rows and the figure


def test_rows_and_the_curve_of_an_arm():
    frame = random_predictions(80)
    rows = measures.measure_rows(frame, CLASSES, draws=100, seed=0)
    table = scores.results_frame(rows)
    assert set(table["table"]) == {"measures"} and set(table["arm"]) == {"classic"} and set(table["test_set"]) == {"independent"}
    named = table[table["metric"].isin(measures.MEASURES)].set_index("metric")
    assert (named["n"] == 80).all() and (named["ci_low"] <= named["ci_high"]).all()
    shares = table[table["metric"] == "share_right"]
    assert shares["n"].sum() == 80 and shares["label"].is_unique and "0.9 to 1" in set(shares["label"])
    figure = comparison_figures.calibration_figure(rows)
    assert [line.get_label() for line in figure.axes[0].lines] == ["as sure as right", "classic augmentation"]
    plt.close(figure)
