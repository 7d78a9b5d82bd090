"""Differences of two arms on the same lesions: intervals over patients and networks, and verdicts."""

import numpy as np
import pandas as pd
import pytest

from lesion_utils import paired


def arms(old, new, patients=None):
    """Return two arms from lists of right (1) and wrong (0) answers for the same lesions."""
    lesions = [f"L{number}" for number in range(len(old))]
    base = pd.DataFrame({"lesion_id": lesions, "patient_id": patients if patients is not None else lesions, "fold": 0, "seed": 0})
    frames = [base.assign(true="cyst", predicted=np.where(right, "cyst", "metastasis")) for right in (old, new)]
    return frames[1], frames[0]


def test_difference_counts_lesion_by_lesion():
    difference = paired.paired_difference(*arms([1, 1, 0, 0, 0, 0, 0, 0], [1, 0, 1, 1, 1, 0, 0, 0]), draws=4000, seed=0)
    assert difference.value == 2 / 8 and difference.lesions == 8
    low, high = difference.interval
    assert low < 2 / 8 < high and (low, high) == pytest.approx((-0.125, 0.625), abs=0.13)
    again = paired.paired_difference(*arms([1, 1, 0, 0, 0, 0, 0, 0], [1, 0, 1, 1, 1, 0, 0, 0]), draws=4000, seed=0)
    assert again == difference


def test_identical_arms_differ_by_exactly_nothing():
    difference = paired.paired_difference(*arms([1, 0, 1, 1], [1, 0, 1, 1]), draws=200, seed=0)
    assert difference.value == 0 and difference.interval == (0, 0)
    assert "make no difference that matters" in paired.verdict(difference, "synthetic ROIs", 0.01)


def test_interval_covers_the_truth_and_agrees_with_the_normal_one():
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(100):
        old, new = rng.random(200) < 0.6, rng.random(200) < 0.7
        difference = paired.paired_difference(*arms(old, new), draws=300, seed=seed)
        covered += difference.interval[0] <= 0.1 <= difference.interval[1]
    assert 88 <= covered <= 100
    half = 1.96 * np.std(new.astype(float) - old) / np.sqrt(200)
    assert np.ptp(difference.interval) / 2 == pytest.approx(half, rel=0.2)


def test_lesions_of_a_patient_that_agree_widen_the_interval():
    old = np.zeros(120, int)
    new = np.repeat(np.random.default_rng(0).integers(0, 2, 30), 4)  # four lesions of a patient, all helped or none
    alone = paired.paired_difference(*arms(old, new), draws=2000, seed=0)
    together = paired.paired_difference(*arms(old, new, np.repeat(np.arange(30), 4)), draws=2000, seed=0)
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
    found = paired.paired_difference(*several(changes), draws=2000, seed=0)
    rows = pd.DataFrame({"lesion_id": range(400), "patient_id": range(400), "change": changes.mean(axis=0)})
    low, high = paired.patient_mean(rows, "change", draws=2000, seed=0).interval
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
    alone = paired.paired_difference(new.assign(fold=fold), old.assign(fold=fold), draws=500, seed=0)
    assert alone == paired.paired_difference(new, old, draws=500, seed=0), "folds differ in their lesions, not only by chance"
    seeds = [pd.concat([part.assign(fold=fold, seed=number) for number in range(3)]) for part in (new, old)]
    assert paired.paired_difference(*seeds, draws=500, seed=0).interval == alone.interval, "seeds that agree widen nothing"
    apart = seeds[0].assign(predicted=seeds[0]["predicted"].where(seeds[0]["seed"] < 2, "metastasis"))
    assert np.ptp(paired.paired_difference(apart, seeds[1], draws=500, seed=0).interval) > 5 * np.ptp(alone.interval)


def test_interval_holds_the_methods_gain_as_often_as_it_says_where_networks_differ():
    """Networks gain 2 points, give or take 4: over patients alone most intervals miss that."""
    rng, held, alone = np.random.default_rng(0), 0, 0
    for seed in range(100):
        gains = rng.normal(0.02, 0.04, (3, 1))
        changes = (rng.random((3, 600)) < 0.15 + gains / 2).astype(int) - (rng.random((3, 600)) < 0.15 - gains / 2)
        found = paired.paired_difference(*several(changes), draws=200, seed=seed)
        held += found.interval[0] <= 0.02 <= found.interval[1]
        rows = pd.DataFrame({"lesion_id": range(600), "patient_id": range(600), "change": changes.mean(axis=0)})
        low, high = paired.patient_mean(rows, "change", draws=200, seed=seed).interval
        alone += low <= 0.02 <= high
    assert held >= 90 > 70 > alone


def test_balanced_difference_counts_every_class_alike():
    """90 lesions of one class gain 9, 10 of the other lose 5: more accurate, and worse at telling the classes apart."""
    changes = np.repeat([1, 0, -1, 0], [9, 81, 5, 5])
    kinds = np.repeat(["cyst", "metastasis"], [90, 10])
    new, old = (
        part.assign(true=kinds, predicted=np.where(part["predicted"] == "cyst", kinds, "other")) for part in several([changes])
    )
    assert paired.paired_difference(new, old, draws=500, seed=0).value == pytest.approx(0.04)
    found = paired.balanced_difference(new, old, draws=4000, seed=0)
    assert found.value == pytest.approx((9 / 90 - 5 / 10) / 2) and found.lesions == 100
    error = np.sqrt(0.1 * 0.9 / 90 + 0.5 * 0.5 / 10) / 2  # of independent classes
    assert np.ptp(found.interval) / 2 == pytest.approx(1.96 * error, rel=0.12)


def test_balanced_difference_of_alike_classes_is_the_plain_one_with_its_networks():
    rng = np.random.default_rng(3)
    changes = rng.choice([1, 0, -1], (3, 300), p=[0.2, 0.7, 0.1])
    kinds = np.tile(np.repeat(["cyst", "metastasis", "hemangioma"], 100), 3)
    new, old = (
        part.assign(true=kinds, predicted=np.where(part["predicted"] == "cyst", kinds, "other")) for part in several(changes)
    )
    plain, found = (compare(new, old, draws=4000, seed=0) for compare in (paired.paired_difference, paired.balanced_difference))
    assert found.value == pytest.approx(plain.value) and found.interval == pytest.approx(plain.interval, abs=0.006)


def test_difference_wants_the_same_lesions_once():
    new, old = arms([1, 0, 1], [1, 1, 1])
    with pytest.raises(ValueError, match="do not predict the same lesions"):
        paired.paired_difference(new, old.iloc[:2], draws=10, seed=0)
    with pytest.raises(ValueError, match="do not predict the same lesions"):
        paired.paired_difference(new, old.assign(lesion_id=["L0", "L1", "L7"]), draws=10, seed=0)
    with pytest.raises(ValueError, match="one-to-one"):
        paired.paired_difference(pd.concat([new, new]), pd.concat([old, old]), draws=10, seed=0)


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
    difference = paired.paired_difference(*arms(old, new), draws=1000, seed=0)
    assert words in paired.verdict(difference, "synthetic ROIs", 0.05)
    assert paired.points(difference).startswith(f"{100 * (better - worse) / 120:+.1f} points (95 % interval ")


def test_a_gain_that_may_not_matter_is_still_called_a_gain():
    """Zero excluded and the margin not: neither *helps* nor the same words as of an interval on both sides of zero."""
    said = [paired.verdict(paired.Difference(value, ends, 90), "extra ROIs", 0.01) for value, ends in (
        (0.02, (0.009, 0.04)), (-0.02, (-0.04, -0.009)), (0.02, (-0.001, 0.04)),
    )]  # fmt: skip
    assert said[0] == "sees a gain by extra ROIs, but cannot tell whether it is more than 1 point"
    assert said[1] == "sees a loss by extra ROIs, but cannot tell whether it is more than 1 point"
    assert said[2] == "cannot tell whether extra ROIs make a difference of more than 1 point here"


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
    assert paired.decide(interval, margin) == word
    low, high = interval
    mirrored = {"helps": "harms", "harms": "helps"}.get(word, word)
    assert paired.decide((-high, -low), margin) == mirrored


def test_decision_wants_a_margin_and_an_interval():
    for margin in (-0.01, np.nan):
        with pytest.raises(ValueError, match="parameter 'accuracy_margin'"):
            paired.decide((0, 1), margin)
    with pytest.raises(ValueError, match="lower end first"):
        paired.decide((0.2, 0.1), 0.01)
