"""The augmentation plan, its groups, and what it does to an image."""

import numpy as np
import pytest
from conftest import round_lesions
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from lesion_utils.augment import augmentation_plan, augmented_rois, nested_group, plan_matrices
from lesion_utils.errors import SettingsError
from lesion_utils.rois import ROI_SIZE, extract_rois, lesion_geometry, warp

WINDOW = {"window_level": 60, "window_width": 400}
PAPER = {"rotations": 30, "flips": 3, "translations": 7, "scales": 5}

diameters = st.lists(st.floats(1, 200), min_size=1, max_size=6)
steps = st.fixed_dictionaries(
    {"rotations": st.integers(1, 6), "flips": st.integers(0, 3), "translations": st.integers(0, 4), "scales": st.integers(0, 4)}
)
quick = settings(deadline=None, max_examples=40)


def kinds(plan, margin):
    """Return which augmentations are moved, scaled, flipped, and only turned."""
    moved = (plan["offset_x"] != 0) | (plan["offset_y"] != 0)
    scaled, flipped = plan["margin"] != margin, plan["mirror_x"] | plan["mirror_y"]
    return moved, scaled, flipped, ~(moved | scaled | flipped)


def test_paper_setting_gives_480_of_each_lesion():
    plan = augmentation_plan([10.0, 55.0], margin=0.25, seed=0, **PAPER)
    assert plan.shape == (2, 480)
    for own in plan:
        moved, scaled, flipped, turned = kinds(own, 0.25)
        assert [moved.sum(), scaled.sum(), flipped.sum(), turned.sum()] == [210, 150, 90, 30]
        assert len(np.unique(own["angle"])) == 30
        assert np.unique(own[flipped][["mirror_x", "mirror_y"]]).tolist() == [(False, True), (True, False), (True, True)]


@quick
@given(diameters, steps, st.integers(0, 2**30))
def test_counts_and_ranges(diameter, steps, seed):
    plan = augmentation_plan(diameter, margin=0.6, seed=seed, **steps)
    rotations, flips, translations, scales = (steps[name] for name in PAPER)
    assert plan.shape == (len(diameter), rotations * (1 + flips + translations + scales))
    assert (plan["angle"] >= 0).all() and (plan["angle"] < 180).all()
    for d, own in zip(diameter, plan, strict=True):
        moved, scaled, flipped, turned = kinds(own, 0.6)
        assert [moved.sum(), scaled.sum(), flipped.sum(), turned.sum()] == [
            rotations * translations,
            rotations * scales,
            rotations * flips,
            rotations,
        ]
        reach = min(4, 0.1 * d)
        assert np.abs(own["offset_x"]).max() <= reach and np.abs(own["offset_y"]).max() <= reach
        assert ((own["margin"][scaled] >= 0.1) & (own["margin"][scaled] <= 0.4)).all()
        angles, uses = np.unique(own["angle"], return_counts=True)
        assert len(angles) == rotations and (uses == 1 + flips + translations + scales).all()


@quick
@given(diameters, steps, st.integers(0, 2**30), st.data())
def test_plan_of_a_lesion_depends_on_no_other_lesion(diameter, steps, seed, data):
    chosen = data.draw(st.integers(0, len(diameter) - 1))
    others = [value if number == chosen else value + 7 for number, value in enumerate(diameter)][: chosen + 1]
    plan = augmentation_plan(diameter, margin=0.25, seed=seed, **steps)
    np.testing.assert_array_equal(plan[chosen], augmentation_plan(others, margin=0.25, seed=seed, **steps)[chosen])


def test_lesions_and_seeds_have_their_own_plans():
    plan = augmentation_plan([20.0, 20.0], margin=0.25, seed=3, **PAPER)
    assert not np.isin(plan[0]["angle"], plan[1]["angle"]).any()
    np.testing.assert_array_equal(plan, augmentation_plan([20.0, 20.0], margin=0.25, seed=3, **PAPER))
    assert not np.isin(plan["angle"], augmentation_plan([20.0, 20.0], margin=0.25, seed=4, **PAPER)["angle"]).any()


def test_first_columns_are_a_mixture():
    plan = augmentation_plan(np.full(200, 30.0), margin=0.25, seed=0, **PAPER)[:, :20]
    shares = [kind.mean() for kind in kinds(plan, 0.25)]
    np.testing.assert_allclose(shares, np.array([7, 5, 3, 1]) / 16, atol=0.04)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"flips": 4}, "flips is 4"),
        ({"flips": -1}, "flips is -1"),
        ({"rotations": 0}, "rotations must be at least 1"),
        ({"translations": -1}, "translations and scales at least 0"),
        ({"scales": -2}, "translations and scales at least 0"),
    ],
)
def test_impossible_steps_are_errors(changed, message):
    with pytest.raises(SettingsError, match=message):
        augmentation_plan([10.0], margin=0.25, seed=0, **(PAPER | changed))


groups = st.integers(1, 12).flatmap(
    lambda m: st.tuples(
        st.lists(st.integers(0, 400), min_size=m, max_size=m, unique=True), st.integers(1, 9), st.integers(0, 9 * m)
    )
)


@quick
@given(groups, st.data())
def test_groups_are_nested_balanced_and_without_repeats(group, data):
    lesions, per_lesion, amount = group
    amount = min(amount, per_lesion * len(lesions))
    lesion, column = nested_group(lesions, amount, per_lesion)
    assert len(lesion) == len(column) == amount
    pairs = list(zip(lesion.tolist(), column.tolist(), strict=True))
    assert len(set(pairs)) == amount
    counts = [np.sum(lesion == one) for one in lesions]
    assert max(counts) - min(counts) <= 1 and sum(counts) == amount
    for one in lesions:
        assert column[lesion == one].tolist() == list(range(np.sum(lesion == one)))
    smaller = data.draw(st.integers(0, amount))
    small_lesion, small_column = nested_group(lesions, smaller, per_lesion)
    assert list(zip(small_lesion.tolist(), small_column.tolist(), strict=True)) == pairs[:smaller]


@pytest.mark.parametrize("amount", [-1, 13])
def test_amounts_that_the_plan_does_not_hold_are_errors(amount):
    with pytest.raises(SettingsError, match=f"{amount} classic augmentations .* 3 training lesions with 4 each give 0 to 12"):
        nested_group([5, 6, 7], amount, 4)


def test_labels_lesions_and_patients_are_kept():
    cohort = round_lesions(8)
    plan = augmentation_plan(lesion_geometry(cohort.outlines)[1], margin=0.25, seed=0, **PAPER)
    lesion, column = nested_group([6, 2, 3], 30, plan.shape[1])
    rois, _ = augmented_rois(cohort, plan, lesion, column, **WINDOW)
    assert rois.images.shape == (30, 64, 64, 1) and rois.images.dtype == np.float32
    np.testing.assert_array_equal(rois.label, cohort.label[lesion])
    np.testing.assert_array_equal(rois.lesion_id, cohort.lesion_id[lesion])
    assert rois.patients == {"P0002", "P0004"}
    alone, _ = augmented_rois(cohort, plan, lesion[:7], column[:7], **WINDOW)
    np.testing.assert_array_equal(alone.images, rois.images[:7])


def test_no_step_at_all_gives_the_original_roi():
    cohort = round_lesions(4)
    plan = augmentation_plan(lesion_geometry(cohort.outlines)[1], margin=0.25, seed=0, **PAPER)[:, :1]
    plan[["angle", "offset_x", "offset_y"]] = 0.0
    plan["margin"], plan["mirror_x"], plan["mirror_y"] = 0.25, False, False
    rois, _ = augmented_rois(cohort, plan, np.arange(4), np.zeros(4, int), **WINDOW)
    np.testing.assert_array_equal(rois.images, extract_rois(cohort, margin=0.25, **WINDOW).images)


def test_flips_flip():
    cohort = round_lesions(1)
    plan = np.zeros((1, 4), augmentation_plan([9.0], margin=0.25, seed=0, **PAPER).dtype)
    plan["margin"] = 0.25
    plan["mirror_x"][0, [1, 3]] = plan["mirror_y"][0, [2, 3]] = True
    rois, _ = augmented_rois(cohort, plan, np.zeros(4, int), np.arange(4), **WINDOW)
    original, left_right, up_down, both = rois.images
    assert np.abs(original - original[:, ::-1]).max() > 0.05, "a symmetric image would prove nothing"
    # OpenCV rounds positions to 1/32 pixel, which can fall on either side.
    np.testing.assert_allclose(left_right, original[:, ::-1], atol=0.01)
    np.testing.assert_allclose(up_down, original[::-1], atol=0.01)
    np.testing.assert_allclose(both, original[::-1, ::-1], atol=0.01)


def test_lesion_stays_within_the_allowed_offset_of_the_centre():
    cohort = round_lesions(6)
    _, diameter = lesion_geometry(cohort.outlines)
    plan = augmentation_plan(diameter, margin=0.25, seed=0, rotations=6, flips=3, translations=4, scales=3)
    lesion, column = (each.ravel() for each in np.indices(plan.shape))
    matrices = plan_matrices(cohort, plan, lesion, column)
    marks = warp([outline * 100 for outline in cohort.outlines], lesion, matrices, window_level=50, window_width=100)[..., 0]
    centroid = np.array([ndimage.center_of_mass(mark) for mark in marks])[:, ::-1] - (ROI_SIZE - 1) / 2
    step = plan[lesion, column]
    pixels_per_roi_pixel = diameter[lesion] * (1 + 2 * step["margin"]) / ROI_SIZE
    distance = np.linalg.norm(centroid, axis=1) * pixels_per_roi_pixel
    offset = np.hypot(step["offset_x"], step["offset_y"])
    np.testing.assert_allclose(distance, offset, atol=0.5)  # the centre of an outline's box is not quite its centroid
    assert (offset <= np.sqrt(2) * np.minimum(4, 0.1 * diameter[lesion])).all() and offset.max() > 1
    area = np.sum(marks > 0.5, axis=(1, 2)) * pixels_per_roi_pixel**2
    np.testing.assert_allclose(area, np.array([outline.sum() for outline in cohort.outlines])[lesion], rtol=0.06)
    assert marks[:, [0, -1]].max() < 0.5 and marks[:, :, [0, -1]].max() < 0.5, "a lesion is cut off"


def test_crops_beyond_the_slice_are_counted():
    cohort = round_lesions(4, side=40)
    plan = augmentation_plan(lesion_geometry(cohort.outlines)[1], margin=0.25, seed=0, **PAPER)
    lesion, column = nested_group(np.arange(4), 400, plan.shape[1])
    _, padded = augmented_rois(cohort, plan, lesion, column, **WINDOW)
    each = [augmented_rois(cohort, plan, lesion[[i]], column[[i]], **WINDOW)[1] for i in range(0, 400, 7)]
    assert 0 < padded < 400 and 0 < sum(each) < len(each)
    roomy = round_lesions(4, side=150)
    assert augmented_rois(roomy, plan, lesion, column, **WINDOW)[1] == 0


def test_rois_of_another_size_show_the_same_place():
    cohort = round_lesions(4)
    plan = augmentation_plan(lesion_geometry(cohort.outlines)[1], margin=0.25, seed=0, **PAPER)
    lesion, column = nested_group(range(4), 40, plan.shape[1])
    usual, padded = augmented_rois(cohort, plan, lesion, column, **WINDOW)
    large, also_padded = augmented_rois(cohort, plan, lesion, column, **WINDOW, size=2 * ROI_SIZE)
    assert large.images.shape == (40, 2 * ROI_SIZE, 2 * ROI_SIZE, 1) and padded == also_padded
    halved = large.images.reshape(40, ROI_SIZE, 2, ROI_SIZE, 2).mean(axis=(2, 4))
    assert np.median(np.abs(halved - usual.images[..., 0])) < 0.05 * usual.images.std() > 0
