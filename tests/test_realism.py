"""Measures of realism: right on fields whose answer is known, and the default cohort inside the real ranges."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lesion_utils import phantom, realism
from lesion_utils.cohort import Cohort
from lesion_utils.errors import DataError


def disc(side, radius):
    row, column = np.mgrid[:side, :side] - (side - 1) / 2
    return row**2 + column**2 < radius**2


def one_lesion(image, outline):
    return Cohort(
        classes=phantom.CLASSES,
        label=np.array([1]),
        lesion_id=np.array(["L0001"]),
        patient_id=np.array(["P0001"]),
        role=np.array(["cohort"]),
        spacing=np.array([0.8], np.float32),
        slices=[np.rint(image).astype(np.int16)],
        outlines=[outline],
    )


def test_white_noise_has_no_autocorrelation():
    noise = np.random.default_rng(1).normal(0, 15, (300, 300))
    np.testing.assert_allclose(realism.autocorrelation(noise, disc(300, 140)), 0, atol=0.02)


@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_blurred_noise_has_the_autocorrelation_of_its_kernel(sigma):
    # White noise blurred by a Gaussian of variance s^2 has a Gaussian autocorrelation of variance 2 s^2.
    noise = gaussian_filter(np.random.default_rng(2).normal(0, 100, (600, 600)), sigma)
    expected = np.exp(-(np.arange(1, 6) ** 2) / (4 * sigma**2))
    np.testing.assert_allclose(realism.autocorrelation(noise, disc(600, 280)), expected, atol=0.03)


def test_autocorrelation_ignores_what_is_outside_the_mask():
    noise = np.random.default_rng(3).normal(0, 15, (200, 200))
    mask = disc(200, 80)
    spoiled = np.where(mask, noise, 1000)
    np.testing.assert_array_equal(realism.autocorrelation(noise, mask), realism.autocorrelation(spoiled, mask))


def test_autocorrelation_without_pairs_is_nan():
    mask = np.zeros((10, 10), bool)
    mask[5, 5] = True
    assert np.isnan(realism.autocorrelation(np.random.default_rng(4).normal(size=(10, 10)), mask)).all()


def test_known_liver_and_contrast_are_found_beside_fat_and_vessels():
    outline = disc(160, 20)
    image = np.full((160, 160), 100.0)
    image[outline] = 60
    image[:, 105:] = -100  # fat, 5 pixels from the lesion
    image[70:80, 50:56] = 190  # a vessel
    image += np.random.default_rng(5).normal(0, 12, image.shape)
    measured = realism.measure(one_lesion(image, outline)).loc["L0001"]
    assert measured["liver_hu"] == pytest.approx(100, abs=1.5)
    assert measured["core_minus_liver_hu"] == pytest.approx(-40, abs=1.5)


def test_known_noise_is_found_under_a_slow_slope():
    outline = disc(160, 20)
    slope = np.linspace(90, 110, 160)[None, :]
    image = slope + np.random.default_rng(5).normal(0, 12, (160, 160))
    measured = realism.measure(one_lesion(image, outline)).loc["L0001"]
    # A Gaussian of 6 pixels takes 1 / (4 pi 36) of the variance of white noise with it: nothing to speak of.
    assert measured["noise_sd_hu"] == pytest.approx(12, rel=0.03)


def test_a_lesion_without_liver_around_it_is_not_measured():
    outline = disc(128, 12)
    measured = realism.measure(one_lesion(np.where(outline, 40.0, -850.0), outline))
    assert measured.drop(columns="label").isna().all(axis=None)


def test_grey_levels_are_refused():
    outline = disc(128, 12)
    grey = replace(one_lesion(np.full((128, 128), 90.0), outline), intensity="grey")
    with pytest.raises(DataError, match="not HU"):
        realism.measure(grey)


def test_default_cohort_lies_inside_the_real_ranges():
    table = realism.compare(realism.measure(phantom.simulate(seed=0)))
    assert len(table) == 8
    assert table["inside"].all(), table.to_string()


def test_white_noise_instead_of_ct_noise_would_be_noticed():
    random = np.random.default_rng(6)
    outline = disc(128, 15)
    white = one_lesion(np.where(outline, 60.0, 95.0) + random.normal(0, 17, (128, 128)), outline)
    table = realism.compare(realism.measure(white))
    assert table.loc["liver_hu", "inside"] and table.loc["noise_sd_hu", "inside"]
    assert not table.filter(like="autocorrelation", axis=0)["inside"].any()
