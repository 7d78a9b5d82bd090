"""GAN-test: counts, intervals over ROIs and GANs."""

import numpy as np
import pandas as pd
import pytest

from lesion_utils import gan_judge, scores

CLASSES = ("x", "y", "z")


def judged(asked, named, **unit):
    return pd.DataFrame({"asked": asked, "named": named, "seed": 0, "fold": 0} | unit)


def test_gan_test_is_counted_class_by_class():
    rows = gan_judge.agreement_rows(judged([0] * 10 + [1] * 5, [0] * 8 + [1] * 2 + [1] * 5), CLASSES, arm="dcgan")
    assert [(row["label"], row["value"], row["n"]) for row in rows[:2]] == [("x", 0.8, 10), ("y", 1.0, 5)]
    assert np.isnan(rows[2]["value"]) and rows[3]["label"] == "all" and rows[3]["value"] == pytest.approx(13 / 15)
    assert (rows[0]["ci_low"], rows[0]["ci_high"]) == pytest.approx((0.4902, 0.9433), abs=1e-4)  # Wilson, 8 of 10
    table = gan_judge.agreement_table(rows)
    assert table.loc["x"].tolist() == ["80.0%", "49.0% to 94.3%", "10"]


def test_gans_that_differ_widen_the_interval():
    """Three GANs with 90, 70 and 50 of 100 ROIs named as asked: Wilson over 300 alone would say 70 % give or take 5."""
    units = [judged([0] * 100, [0] * right + [1] * (100 - right), fold=fold) for fold, right in enumerate((90, 70, 50))]
    row = gan_judge.agreement_rows(pd.concat(units), CLASSES)[0]
    reach = 4.302653 * 0.2 / np.sqrt(3)  # Student's t, 2 degrees of freedom, 97.5 %: printed tables
    wilson = 0.6459  # of 210 among 300
    assert row["value"] == pytest.approx(0.7) and row["ci_low"] == pytest.approx(0.7 - np.hypot(reach, 0.7 - wilson), abs=1e-3)
    assert row["ci_high"] == 1.0, "a share ends at one"


def test_checks_are_told_in_words_and_pooled_ones_alone():
    agreement = gan_judge.agreement_rows(judged([0] * 10, [0] * 8 + [1] * 2), CLASSES, arm="dcgan", fold="all", seed="all")
    lesions = pd.DataFrame({"lesion_id": range(4), "patient_id": range(4), "true": list("xxyy"), "predicted": list("xxyx")})
    lesions = lesions.assign(arm="gan_only", amount=9, seed=0, fold=0)
    predictions = pd.concat([lesions.assign(test_set=name) for name in ("cross_validation", "independent")])
    rows = scores.score_rows(predictions, CLASSES, table="gan_check")
    table = gan_judge.checks_table(scores.results_frame(agreement[-1:] + rows), "judge")
    assert table.to_numpy().tolist() == [
        ["named as asked", "synthetic ROIs", "80.0%", "49.0% to 94.3%", "10"],
        ["accuracy of the judge", "cross-validation", "75.0%", "30.1% to 95.4%", "4"],  # Wilson, 3 of 4
        ["accuracy of the judge", "independent test set", "75.0%", "30.1% to 95.4%", "4"],
    ]
