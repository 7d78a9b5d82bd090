"""The simulated cohort: exact counts, the same bits, independent roles, plausible lesions."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from lesion_utils import appearance, phantom, rois
from lesion_utils.errors import SettingsError


@pytest.fixture(scope="module")
def cohort():
    return phantom.simulate(seed=1)


def assert_same(first, second):
    for name in ("label", "lesion_id", "patient_id", "role", "spacing"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    for name in ("slices", "outlines"):
        for one, other in zip(getattr(first, name), getattr(second, name), strict=True):
            np.testing.assert_array_equal(one, other)


def test_counts_of_the_paper_are_met_exactly(cohort):
    assert tuple(np.bincount(cohort.label)) == phantom.PAPER_COUNTS
    assert cohort.classes == phantom.CLASSES
    assert cohort.source == "simulated" and cohort.intensity == "hu"
    assert cohort.lesion_id[0] == "L0001" and cohort.lesion_id[-1] == "L0182"
    assert sum(phantom.PAPER_COUNTS) == 182 and sum(phantom.EXTRA_COUNTS) == 78


@pytest.mark.parametrize("counts", [(0, 0, 0), (1, 0, 0), (7, 3, 5)])
def test_any_counts(counts):
    made = phantom.simulate(counts, seed=2)
    assert tuple(np.bincount(made.label, minlength=3)) == counts


def test_same_seed_gives_same_bits_and_another_seed_does_not():
    first = phantom.simulate((4, 4, 4), seed=5)
    assert_same(first, phantom.simulate((4, 4, 4), seed=5))
    other = phantom.simulate((4, 4, 4), seed=6)
    assert not any(one.shape == two.shape and (one == two).all() for one, two in zip(first.slices, other.slices, strict=True))


def test_a_larger_test_set_changes_neither_cohort_nor_extra_cases():
    sizes = {"counts": (4, 4, 4), "extra": (2, 2, 2)}
    small = phantom.simulate_cohort(3, **sizes, test=(2, 2, 2))
    large = phantom.simulate_cohort(3, **sizes, test=(5, 4, 6))
    for role in ("cohort", "extra"):
        assert_same(small.with_role(role), large.with_role(role))
    assert tuple(np.bincount(large.with_role("test").label)) == (5, 4, 6)
    assert_same(phantom.simulate((4, 4, 4), seed=3), small.with_role("cohort"))


def test_roles_share_no_patient_and_no_slice():
    made = phantom.simulate_cohort(3, (3, 3, 3), (3, 3, 3), (3, 3, 3))
    patients = [set(made.with_role(role).patient_id) for role in ("cohort", "extra", "test")]
    assert sum(map(len, patients)) == len(set.union(*patients))
    assert len({image.tobytes() for image in made.slices}) == len(made)


def test_patients_can_be_simulated_alone_and_in_any_order():
    plan = phantom.plan_patients((3, 3, 3), seed=4, role="test")
    whole = phantom.simulate((3, 3, 3), seed=4, role="test")
    alone = [lesion for patient in plan[::-1] for lesion in phantom.simulate_patient(patient, seed=4)[::-1]][::-1]
    for lesion, image in zip(alone, whole.slices, strict=True):
        np.testing.assert_array_equal(lesion.image, image)


def test_lesions_of_a_patient_share_class_scanner_and_liver(cohort):
    several = 0
    for patient in np.unique(cohort.patient_id):
        own = np.flatnonzero(cohort.patient_id == patient)
        several += len(own) > 1
        assert len(set(cohort.label[own])) == 1
        assert len(set(cohort.spacing[own])) == 1
    assert several > 20
    assert 1.3 < len(cohort) / len(np.unique(cohort.patient_id)) < 1.8


def test_slices_and_outlines_are_sound(cohort):
    _, diameter = rois.lesion_geometry(cohort.outlines)
    for image, outline, d in zip(cohort.slices, cohort.outlines, diameter, strict=True):
        assert image.dtype == np.int16 and outline.dtype == bool
        side = image.shape[0]
        assert image.shape == (side, side) and side % 2 == 0 and side >= 128
        assert side >= 2.3 * d
        assert ndimage.label(outline)[1] == 1
        assert not (ndimage.binary_fill_holes(outline) & ~outline).any()
        centre = np.array(ndimage.center_of_mass(outline))
        assert np.abs(centre - side / 2).max() < 0.2 * side


def test_diameters_span_the_range_of_the_paper():
    made = phantom.simulate((120, 120, 120), seed=8)
    _, diameter = rois.lesion_geometry(made.outlines)
    diameter = diameter * made.spacing
    assert 8 < diameter.min() and diameter.max() < 115
    assert 21 < np.median(diameter) < 28
    assert (diameter > 60).any() and (diameter < 12).any()
    assert made.spacing.min() >= 0.699 and made.spacing.max() <= 0.901


def test_classic_crops_mostly_stay_on_the_slice(cohort):
    centre, diameter = rois.lesion_geometry(cohort.outlines)
    matrices = rois.sampling_matrices(centre, diameter, margin=0.4, angle=45)
    shapes = np.array([image.shape for image in cohort.slices])
    assert rois.leaves_slice(matrices, shapes).mean() < 0.05


def test_cysts_are_darkest_and_hemangiomas_have_bright_parts(cohort):
    inside = [image[ndimage.binary_erosion(outline, iterations=3)] for image, outline in _pairs(cohort)]
    mean = np.array([values.mean() for values in inside])
    bright = np.array([np.percentile(values, 95) - np.median(values) for values in inside])
    cyst, metastasis, hemangioma = (cohort.label == label for label in range(3))
    assert -5 < np.median(mean[cyst]) < 25
    assert np.median(mean[cyst]) + 25 < np.median(mean[metastasis]) < np.median(mean[hemangioma])
    # Nodules make a bright tail; in the other two classes it is little more than noise.
    assert np.median(bright[hemangioma]) > 10 + max(np.median(bright[metastasis]), np.median(bright[cyst]))
    # Still the ranges overlap, or the task would be easy.
    assert np.percentile(mean[metastasis], 75) > np.percentile(mean[hemangioma], 25)


def test_some_but_not_all_lesions_lie_near_the_liver_edge(cohort):
    near = [((image < -60) | (image > 300)).mean() > 0.02 for image in cohort.slices]
    assert 0.25 < np.mean(near) < 0.55


def test_appearance_can_be_varied_without_touching_code():
    plain = appearance.Appearance()
    dark = replace(plain, metastasis=replace(plain.metastasis, attenuation=(-90, -80)))
    usual = phantom.simulate((0, 6, 0), seed=1)
    darker = phantom.simulate((0, 6, 0), seed=1, appearance=dark)
    drop = [
        image[outline].mean() - other[outline_2].mean()
        for (image, outline), (other, outline_2) in zip(_pairs(usual), _pairs(darker), strict=True)
    ]
    assert min(drop) > 5


def test_progress_sees_every_patient():
    seen = []
    phantom.simulate((2, 2, 2), seed=1, progress=lambda plan: [seen.append(patient) or patient for patient in plan])
    assert len(seen) == len(phantom.plan_patients((2, 2, 2), seed=1))


@pytest.mark.parametrize("counts", [(1, 2), (1, -1, 1), (1, 1.5, 1)])
def test_bad_counts_are_named(counts):
    with pytest.raises(SettingsError, match="counts is"):
        phantom.simulate(counts, seed=1)


def test_unknown_role_is_named():
    with pytest.raises(SettingsError, match="'spare'"):
        phantom.simulate((1, 1, 1), seed=1, role="spare")


def _pairs(cohort):
    return zip(cohort.slices, cohort.outlines, strict=True)
