"""Regions of interest: where they lie, how they are sampled, and the set that holds them."""

import tracemalloc

import numpy as np
import pytest
from conftest import random_rois, round_lesions
from scipy import ndimage

from lesion_utils.errors import DataError
from lesion_utils.rois import ROI_SIZE, extract_rois, leaves_slice, lesion_geometry, roi_outlines, sampling_matrices, warp

HU = {"window_level": 0, "window_width": 1000}


def sampled(image, matrices):
    """Warp with a window that clips nothing, and undo the window."""
    return warp([image], np.zeros(len(matrices), int), matrices, **HU)[:, :, :, 0] * 1000 - 500


def points(matrix):
    """Return x and y of every ROI pixel in the slice, each (64, 64)."""
    row, column = np.mgrid[:ROI_SIZE, :ROI_SIZE]
    return np.einsum("ij,jrc->irc", matrix[:, :2], np.stack([column, row])) + matrix[:, 2][:, None, None]


def outline_of(shape, top, left, bottom, right):
    outline = np.zeros(shape, bool)
    outline[top : bottom + 1, left : right + 1] = True
    return outline


def test_centre_and_diameter_of_known_outlines():
    outlines = [
        outline_of((40, 50), 10, 20, 19, 23),
        outline_of((30, 30), 5, 5, 5, 5),
        outline_of((64, 64), 8, 4, 11, 34) | outline_of((64, 64), 0, 9, 20, 9),
    ]
    centre, diameter = lesion_geometry(outlines)
    np.testing.assert_array_equal(centre, [[21.5, 14.5], [5, 5], [19, 10]])
    np.testing.assert_array_equal(diameter, [10, 1, 31])


def test_empty_outline_is_an_error_that_counts_lesions_from_one():
    with pytest.raises(DataError, match="lesion number 2 has an empty outline"):
        lesion_geometry([outline_of((9, 9), 2, 2, 3, 3), np.zeros((9, 9), bool)])


def test_square_spans_the_diameter_with_its_margin_around_the_centre():
    (matrix,) = sampling_matrices([[50.0, 40.0]], [20.0], margin=0.25)
    x, y = points(matrix)
    step = 20 * 1.5 / ROI_SIZE
    assert np.allclose([x.mean(), y.mean()], [50, 40])
    assert np.allclose([x[0, 0], x[0, -1]], [50 - 15 + step / 2, 50 + 15 - step / 2])
    assert np.allclose([y[0, 0], y[-1, 0]], [40 - 15 + step / 2, 40 + 15 - step / 2])


@pytest.mark.parametrize("angle", [0, 30, 90, 147.3])
def test_rotation_mirroring_and_offset_follow_their_formula(angle):
    plain = points(sampling_matrices([[0.0, 0.0]], [64.0], margin=0.0)[0])
    turned = points(sampling_matrices([[0.0, 0.0]], [64.0], margin=0.0, angle=angle, mirror_x=True, offset=(3.0, -2.0))[0])
    number = -plain[0] + 1j * plain[1]
    expected = number * np.exp(1j * np.deg2rad(angle))
    np.testing.assert_allclose(turned[0], expected.real + 3, atol=1e-9)
    np.testing.assert_allclose(turned[1], expected.imag - 2, atol=1e-9)


def test_smooth_slice_is_sampled_where_the_matrix_says():
    y, x = np.mgrid[:120, :130].astype(float)
    matrices = sampling_matrices([[60.3, 58.7]] * 3, [30.0, 50.0, 12.0], margin=0.25, angle=[33.0, 0.0, 170.0])
    images = sampled(200 * np.sin(x / 7) * np.cos(y / 9), matrices)
    for matrix, image in zip(matrices, images, strict=True):
        at_x, at_y = points(matrix)
        # OpenCV's cubic kernel (a = -0.75) is off by up to 5 % of the step between neighbouring pixels; nearest pixels by 50 %.
        np.testing.assert_allclose(image, 200 * np.sin(at_x / 7) * np.cos(at_y / 9), atol=2)


def test_warp_agrees_with_scipy_at_whole_pixels_and_beyond_the_edge():
    rng = np.random.default_rng(0)
    image = rng.normal(0, 60, (70, 80))
    matrices = sampling_matrices([[39.5, 34.5], [10.5, 60.5]], [64.0, 64.0], margin=0.0)
    for matrix, ours in zip(matrices, sampled(image, matrices), strict=True):
        at_x, at_y = points(matrix)
        expected = ndimage.map_coordinates(image, [at_y, at_x], order=1, mode="mirror")
        np.testing.assert_allclose(ours, expected, atol=1e-3)


def test_interpolation_is_bicubic():
    image = np.zeros((80, 80))
    image[40, 40] = 100
    half_a_pixel = sampling_matrices([[40.0, 39.5]], [64.0], margin=0.0)
    (response,) = sampled(image, half_a_pixel)
    assert response.max() > 55, "linear interpolation gives 50"
    assert response.min() < -5, "a cubic kernel undershoots"
    assert response.sum() == pytest.approx(100, abs=0.1)


def test_window_maps_its_level_to_one_half_and_clips():
    image = np.full((80, 80), 60.0)
    image[:, :30], image[:, 50:] = -500, 900
    (roi,) = warp([image], [0], sampling_matrices([[40.0, 40.0]], [64.0], margin=0.0), window_level=60, window_width=400)
    assert roi.shape == (64, 64, 1) and roi.dtype == np.float32
    assert roi[32, 32, 0] == pytest.approx(0.5, abs=1e-6)
    assert roi[:, 0].max() == 0.0 and roi[:, -1].min() == 1.0
    ends = [np.full((80, 80), value) for value in (-140, 260, 160)]
    matrices = sampling_matrices([[40.0, 40.0]] * 3, [20.0] * 3, margin=0.25)
    values = warp(ends, [0, 1, 2], matrices, window_level=60, window_width=400)
    np.testing.assert_allclose(values.mean(axis=(1, 2, 3)), [0, 1, 0.75], atol=1e-6)


def test_window_without_width_is_an_error():
    with pytest.raises(DataError, match="window_width is 0"):
        warp([np.zeros((9, 9))], [0], sampling_matrices([[4.0, 4.0]], [4.0], margin=0.0), window_level=0, window_width=0)


def test_rois_that_leave_their_slice_are_found_and_padded():
    shapes = np.array([[64, 100]] * 5)
    centre = [[50, 31.5], [50, 30.5], [31.5, 31.5], [31.4, 31.5], [67.6, 31.5]]
    matrices = sampling_matrices(centre, [64.0] * 5, margin=0.0)
    np.testing.assert_array_equal(leaves_slice(matrices, shapes), [False, True, False, True, True])
    turned = sampling_matrices([[50, 31.5]], [64.0], margin=0.0, angle=45)
    assert leaves_slice(turned, shapes[:1]).all()
    image = np.random.default_rng(0).normal(0, 50, (64, 100))
    padded = sampled(image, sampling_matrices([[21.5, 31.5]], [64.0], margin=0.0))[0]
    np.testing.assert_allclose(padded[:, 10:], image[:, :54], atol=1e-3)
    np.testing.assert_allclose(padded[:, :10], image[:, 10:0:-1], atol=1e-3)


def test_every_lesion_is_cut_from_its_own_slice_in_any_order():
    cohort = round_lesions(6)
    rois = extract_rois(cohort, margin=0.25, window_level=60, window_width=400)
    assert rois.images.shape == (6, 64, 64, 1)
    assert rois.patients == {"P0001", "P0002", "P0003"}
    np.testing.assert_array_equal(rois.label, cohort.label)
    reverse = extract_rois(cohort.subset(np.arange(6)[::-1]), margin=0.25, window_level=60, window_width=400)
    np.testing.assert_array_equal(reverse.images[::-1], rois.images)
    lesion_value = [
        (np.median(image[outline]) - 60) / 400 + 0.5 for image, outline in zip(cohort.slices, cohort.outlines, strict=True)
    ]
    np.testing.assert_allclose(np.median(rois.images[:, 24:40, 24:40, 0], axis=(1, 2)), lesion_value, atol=0.02)


def test_no_lesions_give_no_images():
    nobody = extract_rois(round_lesions(4).subset([]), margin=0.25, window_level=60, window_width=400)
    assert nobody.images.shape == (0, 64, 64, 1) and nobody.patients == frozenset()


def test_patients_of_two_sets_add_up_and_stay_when_images_are_left_out():
    first, second = random_rois(4), random_rois(3, seed=1)
    second = type(second)(second.images, second.label, frozenset({"P9"}), second.lesion_id)
    both = first + second
    assert len(both) == 7 and both.patients == first.patients | {"P9"}
    np.testing.assert_array_equal(both.images[4:], second.images)
    np.testing.assert_array_equal(both.label, [0, 1, 0, 1, 0, 1, 0])
    assert both.first(2).patients == both.of_class(1).patients == both.take([0]).patients == both.patients
    assert both.of_class(1).lesion_id.tolist() == ["L0002", "L0004", "L0002"]


def test_balanced_groups_are_nested():
    rois = random_rois(9, classes=3)
    small, large = (rois.first_of_each_class(n, 3) for n in (1, 3))
    assert small.label.tolist() == [0, 1, 2] and large.label.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert {*small.lesion_id} < {*large.lesion_id} and len({*large.lesion_id}) == 9
    np.testing.assert_array_equal(small.images, large.images[::3])


@pytest.mark.parametrize(("n", "classes", "fewest"), [(4, 3, 3), (1, 4, 0)])
def test_too_few_images_of_a_class_are_an_error(n, classes, fewest):
    with pytest.raises(DataError, match=f"{n} images of each class .* one class has {fewest}.*samples_per_class"):
        random_rois(9, classes=3).first_of_each_class(n, classes)


def test_outlines_and_rois_of_another_size():
    cohort = round_lesions(3)
    outlines, large = (roi_outlines(cohort, margin=0.25, size=size) for size in (ROI_SIZE, 2 * ROI_SIZE))
    assert large.shape == (3, 128, 128)
    assert large.mean() == pytest.approx(outlines.mean(), rel=0.03)
    assert extract_rois(cohort, margin=0.25, **HU, size=128).images.shape == (3, 128, 128, 1)


def test_no_more_windowed_slices_are_in_memory_than_are_being_sampled():
    slices = [np.full((512, 512), number, np.int16) for number in range(40)]  # 1 MB each when windowed
    matrices = sampling_matrices(np.full((40, 2), 256.0), np.full(40, 40.0), margin=0.25)
    tracemalloc.start()
    images = warp(slices, np.arange(40), matrices, **HU)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(images[:, 5, 5, 0], np.arange(40) / 1000 + 0.5, atol=1e-6)
    assert peak - images.nbytes < 10e6, "40 windowed slices would be 42 MB"
