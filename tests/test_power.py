"""Power of paired proportions, against a published example and a simulation."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from lesion_utils import comparison_rows, power

LEVELS = {"alpha": 0.05, "power": 0.8}


def test_lesions_needed_in_a_published_example():
    """Connor (1987, p. 209): discordant shares 0.45 and 0.05, two-sided 5 %, power 80 %: 23 pairs."""
    assert np.ceil(power.lesions_needed(0.4, 0.5)) == 23


def test_the_number_of_lesions_has_the_power_in_a_simulation():
    rng = np.random.default_rng(0)
    for gain, share in ((0.05, 0.15), (0.03, 0.1)):
        lesions = round(power.lesions_needed(gain, share))
        gained = rng.binomial(lesions, (share + gain) / 2, 40000)
        lost = rng.binomial(lesions - gained, (share - gain) / 2 / (1 - (share + gain) / 2))
        shown = np.abs(gained - lost) / np.sqrt(gained + lost) > norm.ppf(0.975)
        assert np.mean(shown) == pytest.approx(0.8, abs=0.015)


def test_smallest_gain_is_the_inverse_and_moves_the_right_way():
    for share, lesions, effect in ((0.2, 182, 1), (0.2, 182, 1.7), (0.05, 900, 1), (0.01, 182, 1)):
        gain = power.smallest_detectable_gain(share, lesions, effect, **LEVELS)
        assert power.lesions_needed(gain, share, effect, **LEVELS) == pytest.approx(lesions, rel=1e-6)
    base = power.smallest_detectable_gain(0.2, 182)
    assert power.smallest_detectable_gain(0.2, 800) < base < power.smallest_detectable_gain(0.2, 182, 2)
    assert power.smallest_detectable_gain(0.1, 182) < base < power.smallest_detectable_gain(0.2, 182, power=0.9)


def test_a_margin_asks_for_more_lesions_and_has_the_power_in_a_simulation():
    """To show that 5 points exceed 1 takes about (5 / 4)^2 as many as to show that they are not 0."""
    rng, margin, gain, share = np.random.default_rng(0), 0.01, 0.05, 0.15
    lesions = round(power.lesions_needed(gain, share, margin=margin))
    assert lesions / power.lesions_needed(gain, share) == pytest.approx((5 / 4) ** 2, rel=0.01)
    gained = rng.binomial(lesions, (share + gain) / 2, 40000)
    lost = rng.binomial(lesions - gained, (share - gain) / 2 / (1 - (share + gain) / 2))
    mean, moved = (gained - lost) / lesions, (gained + lost) / lesions
    shown = mean - norm.ppf(0.975) * np.sqrt((moved - mean**2) / lesions) > margin
    assert np.mean(shown) == pytest.approx(0.8, abs=0.02)
    assert power.smallest_detectable_gain(share, lesions, margin=margin) == pytest.approx(gain, abs=1e-4)
    with pytest.raises(ValueError, match="no number of lesions"):
        power.lesions_needed(0.03, 0.2, margin=0.03)


def test_a_gain_moves_at_least_as_many_lesions():
    assert power.lesions_needed(0.03, 0.0) == power.lesions_needed(0.03, 0.03) < power.lesions_needed(0.03, 0.1)
    nothing_discordant = power.smallest_detectable_gain(0.0, 182)
    assert 0 < nothing_discordant < 0.06 and np.isnan(power.smallest_detectable_gain(0.2, 3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0.2), "must be above 0"),
        ((1.5, 0.2), "at most 1"),
        ((0.1, 1.2), "between 0 and 1"),
        ((0.1, 0.2, 1, 0), "alpha 0"),
        ((0.1, 0.2, 1, 0.05, 0.3), "power 0.3"),
    ],
)
def test_values_out_of_range_are_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        power.lesions_needed(*arguments)


def two_arms(change, patients, seed=0):
    """Return two arms whose lesions change so: +1 gained, -1 lost, 0 both right."""
    base = pd.DataFrame({"lesion_id": np.arange(len(change)).astype(str), "patient_id": patients, "true": "cyst"})
    base = base.assign(amount=1, test_set="cross_validation", seed=seed, fold=0)
    arms = [("dcgan", np.asarray(change) >= 0), ("classic", np.asarray(change) <= 0)]
    return [base.assign(arm=arm, predicted=np.where(right, "cyst", "metastasis")) for arm, right in arms]


def test_design_effect_is_one_for_independent_lesions_and_four_for_four_alike():
    change = np.random.default_rng(7).choice([1, 0, -1], 400, p=[0.2, 0.7, 0.1])
    assert power.design_effect(*two_arms(change, np.arange(400)), draws=4000, seed=0) == pytest.approx(1, abs=0.08)
    alike = np.repeat(change[:100], 4)
    assert power.design_effect(*two_arms(alike, np.repeat(np.arange(100), 4)), draws=4000, seed=0) == pytest.approx(4, rel=0.1)
    assert np.isnan(power.design_effect(*two_arms(np.zeros(40), np.arange(40)), draws=10, seed=0))


def test_discordant_share_is_a_mean_over_seeds():
    first, second = two_arms([1, -1, 0, 0], range(4)), two_arms([1, 0, 0, 0], range(4), seed=1)
    both = [pd.concat(parts, ignore_index=True) for parts in zip(first, second, strict=True)]
    assert power.discordant_share(*both) == pytest.approx((0.5 + 0.25) / 2)


def test_rows_count_a_design_effect_below_one_as_one():
    question = {"gain": 0.03, "margin": 0.01, "draws": 500, "seed": 0, **LEVELS}
    opposed = np.tile([1, -1], 60)  # a patient's two lesions cancel, so that patients differ less than lesions do
    rows = comparison_rows.power_rows(*two_arms(opposed, np.repeat(np.arange(60), 2)), **question)
    values = {row["metric"]: row["value"] for row in rows}
    assert values["design_effect"] < 0.01 and values["discordant_share"] == 1
    assert values["lesions_needed"] == pytest.approx(power.lesions_needed(0.03, 1.0))
    assert values["lesions_needed_beyond_margin"] == pytest.approx(power.lesions_needed(0.03, 1.0, margin=0.01))
    assert values["smallest_gain_beyond_margin"] > values["smallest_gain"]
    too_small = comparison_rows.power_rows(*two_arms(opposed, np.arange(120)), **question | {"margin": 0.05})
    assert np.isnan({row["metric"]: row["value"] for row in too_small}["lesions_needed_beyond_margin"])
    same = comparison_rows.power_rows(*two_arms(np.zeros(50), np.arange(50)), **question)
    values = {row["metric"]: row["value"] for row in same}
    assert np.isnan(values["design_effect"]) and values["lesions_needed"] == pytest.approx(power.lesions_needed(0.03, 0.0))
