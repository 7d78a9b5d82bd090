"""Image fidelity: KID without bias, coverage that sees a collapse, the floor by patient; and copies that are found."""

import os
from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from conftest import random_rois, round_lesions

from lesion_utils import fidelity, fidelity_figures, gan_training, gans, likeness, memorisation, networks, sampling
from lesion_utils.errors import DataError, LeakError, MissingInputError, SettingsError
from lesion_utils.rois import extract_rois
from lesion_utils.runs import Run
from lesion_utils.streams import stream

CUT = {"margin": 0.25, "window_level": 60.0, "window_width": 400.0}
RADIOMICS = {"levels": 8, "distances": [1, 2], "frequencies": [0.16, 0.32], "orientations": 4}
NAMES = {"real": "floor", "classic": "training", "dcgan": "synthetic"}


def points(n, d=6, *, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1, (n, d))


# KID


def test_kid_is_the_double_loop_over_all_pairs():
    first, second = points(4, 3), points(5, 3, seed=1, shift=0.4)

    def kernel(x, y):
        return (sum(a * b for a, b in zip(x, y, strict=True)) / 3 + 1) ** 3

    expected = 0.0
    for one, sign in ((first, 1), (second, 1)):
        pairs = [kernel(one[i], one[j]) for i in range(len(one)) for j in range(len(one)) if i != j]
        expected += sign * sum(pairs) / len(pairs)
    across = [kernel(x, y) for x in first for y in second]
    expected -= 2 * sum(across) / len(across)
    assert likeness.kid(first, second) == pytest.approx(expected, rel=1e-12)
    assert likeness.kid(first, second) == pytest.approx(likeness.kid(second, first), rel=1e-12)


@pytest.mark.parametrize("sizes", [(6, 6), (5, 15)])
def test_kid_of_like_distributions_is_zero_on_average_however_small_the_sets(sizes):
    random = np.random.default_rng(0)
    values = [likeness.kid(random.normal(size=(sizes[0], 4)), random.normal(size=(sizes[1], 4))) for _ in range(4000)]
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 4 * error and min(values) < 0 < max(values)
    # A point's likeness to itself, left in, would show: the biased form lies far above zero.
    first, second = random.normal(size=(sizes[0], 4)), random.normal(size=(sizes[1], 4))
    biased = sum(likeness.polynomial_kernel(part, part).mean() for part in (first, second))
    assert biased - 2 * likeness.polynomial_kernel(first, second).mean() > 10 * error


def expected_kernel(one, other, d):
    """Return the mean of (x y / d + 1)^3 over x and y of normal distributions about ``one`` and ``other``, of unit variance.

    Given x, s = x y is a normal variable, whose moments are averaged over x. With a = one other and b = |one|^2 + |other|^2:
    E s = a, E s^2 = d + b + a^2, E s^3 = a^3 + 3 a (b + d + 2).
    """
    a, lengths = one @ other, one @ one + other @ other
    moments = a, d + lengths + a**2, a**3 + 3 * a * (lengths + d + 2)
    return moments[2] / d**3 + 3 * moments[1] / d**2 + 3 * moments[0] / d + 1


@pytest.mark.parametrize(("shift", "n"), [(0.0, 8), (0.7, 8), (1.5, 20)])
def test_kid_of_gaussians_is_the_closed_form(shift, n):
    d = 5
    means = np.linspace(0.2, 0.6, d), np.linspace(0.2, 0.6, d) + shift * np.cos(np.arange(d))
    within = [expected_kernel(mean, mean, d) for mean in means]
    expected = sum(within) - 2 * expected_kernel(*means, d)
    random = np.random.default_rng(1)
    values = [likeness.kid(*(random.normal(mean, 1, (n, d)) for mean in means)) for _ in range(3000)]
    assert np.mean(values) == pytest.approx(expected, abs=4 * np.std(values) / np.sqrt(len(values)))
    assert (expected > 20 * np.std(values) / np.sqrt(len(values))) == (shift > 0), "the shifts are not lost in the noise"


def test_kid_grows_with_a_planted_shift():
    values = [likeness.kid(points(200), points(200, seed=1, shift=shift)) for shift in (0, 0.3, 0.6, 1.2)]
    assert abs(values[0]) < values[1] < values[2] < values[3]
    with pytest.raises(DataError, match="two ROIs in each set; these have 1 and 5"):
        likeness.kid(points(1), points(5))


# Density and coverage


@pytest.mark.parametrize(("n", "m", "k"), [(12, 9, 3), (9, 3, 5)])
def test_density_and_coverage_are_the_loops_of_their_definition(n, m, k):
    real, other = points(n, 2), points(m, 2, seed=1)
    inside = np.zeros((n, m), bool)
    for i, point in enumerate(real):
        radius = sorted(np.linalg.norm(point - one) for j, one in enumerate(real) if j != i)[k - 1]
        inside[i] = [np.linalg.norm(point - one) < radius for one in other]
    found = likeness.density_coverage(real, other, k)
    assert found == pytest.approx((inside.sum() / (k * m), inside.any(axis=1).mean()))


def test_like_distributions_have_density_and_coverage_near_one():
    found = np.array([likeness.density_coverage(points(150, seed=s), points(150, seed=100 + s), 5) for s in range(20)])
    np.testing.assert_allclose(found.mean(axis=0), [1, 1 - 0.5**5], atol=0.03)


def test_identical_sets_are_covered_wholly_and_fewer_points_than_neighbours_are_an_error():
    same = points(30)
    density, coverage = likeness.density_coverage(same, same, 4)
    # Of every ball's own points, its centre and the 3 nearer ones lie inside; the fourth lies on the rim, which is outside.
    assert (density, coverage) == (1.0, 1.0)
    repeated = np.zeros((6, 2))
    assert likeness.density_coverage(repeated, repeated, 2) == (0, 0), "balls without extent hold nothing"
    with pytest.raises(SettingsError, match="'neighbours' is 5; 3 real ROIs allow 1 to 2"):
        likeness.density_coverage(points(3), points(9), 5)


def test_mode_collapse_lowers_coverage_and_noise_lowers_density():
    random = np.random.default_rng(3)
    real = random.normal(size=(200, 4)) + 8 * (np.arange(200) % 4)[:, None]
    like = random.normal(size=(200, 4)) + 8 * (np.arange(200) % 4)[:, None]
    collapsed = random.normal(size=(200, 4)) * 0.5  # one of four kinds, and less of it
    density, coverage = likeness.density_coverage(real, collapsed, 5)
    assert coverage < 0.26 < 0.9 < likeness.density_coverage(real, like, 5)[1]
    assert density > 1, "the images crowd where real ones are dense"
    assert likeness.density_coverage(real, like + random.normal(0, 3, like.shape), 5)[0] < 0.3
    for neighbours in (0, 200):
        with pytest.raises(SettingsError, match=f"'neighbours' is {neighbours}; 200 real ROIs allow 1 to 199"):
            likeness.density_coverage(real, like, neighbours)


# Halves


@pytest.mark.parametrize("counts", [[2] * 10, [15, 1, 1, 1, 2], [1, 2, 3, 4, 5, 6], [1, 1]])
def test_halves_part_patients_and_are_as_large_as_promised(counts):
    patient = np.repeat([f"P{number}" for number in range(len(counts))], counts)
    random = np.random.default_rng(0)
    sizes, deals = [], set()
    for _ in range(50):
        one, two = likeness.halves(patient, random)
        assert sorted([*one, *two]) == list(range(len(patient)))
        assert set(patient[one]).isdisjoint(patient[two])
        sizes.append(min(len(one), len(two)))
        deals.add(tuple(sorted(one)))
    assert min(sizes) >= likeness.half_size(patient) >= 1
    assert len(deals) > 1


def test_of_a_single_patient_there_are_no_halves():
    assert likeness.half_size(np.array(["P1"] * 9)) == 0 == likeness.half_size(np.array([]))


def test_chosen_patients_come_whole_and_suffice_for_the_halves():
    patient = np.repeat([f"P{number}" for number in range(10)], 3)
    chosen = likeness.choose_patients(patient, 5, seed=1)
    assert len(chosen) == 12 and set(np.unique(patient[chosen], return_counts=True)[1]) == {3}
    assert likeness.half_size(patient[chosen]) == 5
    assert likeness.choose_patients(patient, 99, seed=1).tolist() == list(range(30))


def compared(real, patient, others, **more):
    settings = {"largest_half": 99, "subsets": 30, "neighbours": 3, "seed": 0}
    return likeness.compare(real, patient, others, **(settings | more))


def test_all_sets_have_one_size_and_follow_the_seed():
    patient = np.repeat([f"P{number}" for number in range(20)], 2)
    others = {"classic": points(90, seed=1), "dcgan": points(25, seed=2, shift=1.0), 7: points(25, seed=3)}
    frame = compared(points(40), patient, others)
    assert set(frame["n"]) == {19} and frame["set"].value_counts().to_dict() == dict.fromkeys(["real", *others], 30)
    pd.testing.assert_frame_equal(frame, compared(points(40), patient, others))
    assert not frame.equals(compared(points(40), patient, others, seed=1))
    assert set(compared(points(40), patient, others, largest_half=8)["n"]) == {8}
    assert set(compared(points(40), patient, others | {"few": points(5)})["n"]) == {5}
    mean = frame.groupby("set")["kid"].mean()
    spread = frame[frame["set"] == "real"]["kid"].std()
    assert abs(mean["real"]) < spread, "real half against real half is near zero"
    assert mean["dcgan"] > 5 * spread and abs(mean["classic"]) < 2 * spread
    with pytest.raises(SettingsError, match="'subsets' is 0; it must be above 0"):
        compared(points(40), patient, others, subsets=0)
    with pytest.raises(DataError, match="halves of 19 ROIs cannot be compared by 19 neighbours"):
        compared(points(40), patient, others, neighbours=19)


def test_blocks_of_the_comparison_are_the_measures_themselves():
    """Two patients, so that each half is a patient, of whom three of six lesions are drawn."""
    real, other = points(12), points(3, seed=1, shift=0.5)
    frame = compared(real, np.repeat(["P1", "P2"], 6), {"dcgan": other}, subsets=6, neighbours=2)
    possible = {}
    for half in (range(6), range(6, 12)):
        for chosen in combinations(half, 3):
            reference = real[list(chosen)]
            possible[round(likeness.kid(reference, other), 9)] = likeness.density_coverage(reference, other, 2)
    measured = frame[frame["set"] == "dcgan"]
    assert set(frame["n"]) == {3} and len(measured) == 6
    for row in measured.itertuples():
        assert possible[round(row.kid, 9)] == (row.density, row.coverage)


def test_floor_is_wider_when_a_patients_lesions_are_alike():
    """Halves by patient know that ten lesions of a patient are not ten patients."""
    people = points(8, seed=5)
    alike = np.repeat(people, 10, axis=0) + 0.1 * points(80, seed=6)
    by_patient = compared(alike, np.repeat(np.arange(8).astype(str), 10), {})
    by_lesion = compared(alike, np.arange(80).astype(str), {})
    assert by_patient["coverage"].mean() < 0.5 < by_lesion["coverage"].mean()
    assert by_patient["kid"].mean() > by_lesion["kid"].mean()


# Features


def test_radiomic_features_are_the_same_for_a_turned_roi_and_differ_in_texture():
    images = extract_rois(round_lesions(4), **CUT).images
    features = fidelity.radiomic_features(images, **RADIOMICS)
    assert features.shape == (4, 2 * 15 * 2 + 2 * 4 * 2) and np.isfinite(features).all()
    turned = fidelity.radiomic_features(np.rot90(images, axes=(1, 2)).copy(), **RADIOMICS)
    other = fidelity.radiomic_features(images[::-1].copy(), **RADIOMICS)
    look = fidelity.fit_units(features, each_feature=True)
    apart = [np.abs(look(part) - look(features)).mean() for part in (turned, other)]
    assert apart[0] < 0.1 * apart[1]


def test_units_are_those_of_the_real_images_alone():
    real = points(50, 4) * [1, 10, 100, 0] + [0, 5, -3, 7]
    each = fidelity.fit_units(real, each_feature=True)
    np.testing.assert_allclose([each(real).mean(axis=0), each(real).std(axis=0)], [[0] * 3, [1] * 3], atol=1e-12)
    assert each(real + 1000).shape == (50, 3), "what does not vary among real images is left out"
    np.testing.assert_allclose(
        each(np.array([[1.0, 5, 97, 9]])) - each(np.array([[0.0, 5, 97, 3]])), [[1 / real[:, 0].std(), 0, 0]]
    )
    assert set(each(real + 1000).ravel()) == {fidelity.FARTHEST} and set(each(real - 1000).ravel()) == {-fidelity.FARTHEST}
    whole = fidelity.fit_units(real, each_feature=False)
    assert np.sqrt((whole(real) ** 2).mean()) == pytest.approx(1)
    first, second = whole(real)[0] - whole(real)[1], real[0] - real[1]
    np.testing.assert_allclose(first / np.linalg.norm(first), second / np.linalg.norm(second))
    assert np.isfinite(fidelity.fit_units(np.ones((3, 2)), each_feature=False)(np.ones((2, 2)))).all()


def test_one_odd_image_does_not_decide_kid():
    """Two sets of one distribution, one of them with an image 40 standard deviations off in a few features."""
    real, first, second = points(100, 8), points(60, 8, seed=1), points(60, 8, seed=2)
    odd = second.copy()
    odd[0, :3] += 40
    each = fidelity.fit_units(real, each_feature=True)
    values = [[likeness.kid(look(first), look(other)) for other in (second, odd)] for look in (each, lambda features: features)]
    assert abs(values[0][1]) < 0.5 and abs(values[1][1]) > 20 * abs(values[0][1])
    wide = likeness.kid(each(first), each(1.5 * second))
    assert wide > 3 * abs(values[0][0]), "a set that differs as a whole still does"


def test_feature_spaces_see_all_images_alike():
    rois = random_rois(8)
    classifier = SimpleNamespace(features=lambda images: images[:, :4, 0, 0])
    spaces = fidelity.feature_spaces(classifier, rois.images, RADIOMICS)
    assert list(spaces) == list(fidelity.SPACES)
    for look in spaces.values():
        np.testing.assert_allclose(look(rois.images)[3:5], look(rois.images[3:5]), atol=1e-6)
        assert abs(look(rois.images).mean()) < 1e-5


# The run


def small_run(tmp_path, *, independent=True):
    cohort = round_lesions(24)
    test = round_lesions(12, seed=9, role="test", first=100).subset(slice(12 if independent else 0))
    folds = np.arange(24) // 6 % 3
    state = SimpleNamespace(cohort=cohort, test=test, folds=lambda seed: folds, classes=cohort.classes, folder=tmp_path)
    return state, folds


def test_yardstick_is_the_independent_test_set_or_the_test_fold_and_never_a_training_patient(tmp_path):
    state, folds = small_run(tmp_path)
    name, lesions = fidelity.unseen_lesions(state, 0, 1)
    assert name == "independent" and lesions.lesion_id.tolist() == state.test.lesion_id.tolist()
    name, lesions = fidelity.unseen_lesions(state, 0, 1, "cross_validation")
    assert name == "cross_validation" and lesions.lesion_id.tolist() == state.cohort.lesion_id[folds == 1].tolist()
    alone, _ = small_run(tmp_path, independent=False)
    assert fidelity.unseen_lesions(alone, 0, 2)[0] == "cross_validation"
    with pytest.raises(SettingsError, match="no independent test set; choose auto"):
        fidelity.unseen_lesions(alone, 0, 2, "independent")
    with pytest.raises(SettingsError, match="'reference' is 'extra'"):
        fidelity.unseen_lesions(state, 0, 1, "extra")
    state.folds = lambda seed: np.arange(24) % 3  # parts the two lesions of a patient
    with pytest.raises(LeakError, match="image fidelity, seed 0, fold 1"):
        fidelity.unseen_lesions(state, 0, 1, "cross_validation")


def test_class_with_few_unseen_lesions_is_left_out_and_no_class_is_an_error():
    training, unseen = round_lesions(24), round_lesions(24, seed=1, first=100)
    unseen = unseen.subset((unseen.label != 1) | (np.arange(24) < 4))
    table = fidelity.count_reals({0: (training, unseen, "independent")}, training.classes, largest_half=50, neighbours=2)
    assert table["measured"].tolist() == [True, False, True]
    assert table["ROIs in a half"].tolist() == [3, 0, 3] and table["unseen patients"].tolist() == [4, 1, 4]
    with pytest.raises(DataError, match=r"halves of more than 5 unseen real ROIs \(the largest: 3\)"):
        fidelity.count_reals({0: (training, unseen, "independent")}, training.classes, largest_half=50, neighbours=5)
    few = {"reals": {0: (training, unseen, "independent")}, "classes": training.classes, "largest_half": 50}
    assert [fidelity.suitable_neighbours(**few, neighbours=wanted) for wanted in (1, 2, 5)] == [1, 2, 2]
    assert fidelity.suitable_neighbours(**few | {"largest_half": 1}, neighbours=5) == 1, "too few for any; count_reals says so"


@pytest.mark.parametrize("gan", gans.GANS)
def test_saved_epochs_are_those_of_the_training_that_made_the_runs_synthetic_rois(tmp_path, gan):
    """Settings were changed and changed back: the training that finished last is not the run's."""
    state, _ = small_run(tmp_path)
    state.synthetic_path = Run(tmp_path).synthetic_path
    with pytest.raises(MissingInputError, match=f"has no finished training: run notebooks/0[34]_{gan}"):
        fidelity.generator_folder(state, gan, 0, 1, 2, noise="uniform")
    unit = "seed0_fold1" + ("_class2" if gan == "dcgan" else "")
    make = {"dcgan": networks.generator, "acgan": lambda **more: networks.conditional_generator(3, **more)}[gan]
    trainings = (("cut", False, ()), ("back", True, (2, 10)), ("longer", True, (20,)), ("other", True, (2, 10)))
    for age, (key, finished, epochs) in enumerate(trainings):
        folder = tmp_path / gan / f"{unit}_{key}"
        folder.mkdir(parents=True)
        for epoch in epochs:
            network = make(width=8, seed=epoch + 100 * (key == "other"))
            # Networks without training draw nearly grey images, all alike.
            for weight in network.trainable_variables[:-1]:
                weight.assign(30 * weight)
            network.save(gan_training.generator_path(folder, epoch))
        if finished:
            (folder / "history.csv").write_text("epoch\n")
            os.utime(folder / "history.csv", (0, 1000 + age))
    made = tmp_path / gan / f"{unit}_back"
    number = sampling.drawing_seed(gan, 0, 1, 2)
    assert number == (stream(0, "sampling", 1, 2) if gan == "dcgan" else stream(0, "acgan", 1, 1002))
    asked = None if gan == "dcgan" else [0, 0, 1]
    for epoch in (2, 10):
        how = {"noise": "uniform", "seed": number, "class_weights": asked}
        images = sampling.sample_images(gan_training.load_generator(made, epoch), 5, **how)
        rois = replace(random_rois(5), images=images, label=np.full(5, 2))
        sampling.save_synthetic(state.synthetic_path(gan, 0, 1, epoch), rois)
    folder = fidelity.generator_folder(state, gan, 0, 1, 2, noise="uniform")
    assert folder == made, "one has not all epochs that were drawn, one draws others"
    samples = fidelity.epoch_samples(state, gan, 0, 1, 2, 3, noise="uniform")
    assert list(samples) == [2, 10] and samples[2].shape == (3, 64, 64, 1)
    if gan == "dcgan":
        expected = sampling.sample_images(
            gan_training.load_generator(folder, 2), 3, noise="uniform", seed=stream(0, "sampling", 1, 2)
        )
        np.testing.assert_array_equal(samples[2], expected)
    gan_training.generator_path(made, 10).unlink()
    with pytest.raises(MissingInputError, match="none of the 3 finished trainings draws the run's synthetic ROIs"):
        fidelity.generator_folder(state, gan, 0, 1, 2, noise="uniform")


def measured_twice():
    patient = np.repeat([f"P{number}" for number in range(12)], 2)
    parts = []
    for fold in (0, 1):
        for label in (0, 1):
            for space in fidelity.SPACES:
                others = {"classic": points(30, seed=1), "dcgan": points(30, seed=2, shift=1), 5: points(30, seed=3, shift=2)}
                frame = compared(points(24, seed=fold), patient, others | {10: points(30, seed=2, shift=1)}, subsets=8)
                parts.append(frame.assign(fold=fold, label=label, space=space, test_set="independent"))
    return pd.concat(parts, ignore_index=True)


def test_rows_name_set_epoch_space_and_fold():
    measured = measured_twice()
    rows = pd.DataFrame(fidelity.fidelity_rows(measured, gan="dcgan", classes=["cyst", "other"], seed=3))
    assert set(rows["metric"]) == {f"{measure}_{space}" for measure in likeness.MEASURES for space in fidelity.SPACES}
    assert len(rows) == 2 * 2 * 3 * 5 * 3  # classes, spaces, measures, sets, folds and all
    epochs = rows[rows["table"] == "fidelity_epochs"]
    assert set(epochs["arm"]) == {"dcgan"} and set(epochs["amount"]) == {5, 10}
    assert set(rows[rows["table"] == "fidelity"]["arm"]) == {"real", "classic", "dcgan"}
    wanted = (rows["metric"] == "kid_radiomic") & (rows["label"] == "other") & (rows["fold"] == "all") & (rows["amount"] == 5)
    (row,) = rows[wanted].to_dict("records")
    own = measured[(measured["space"] == "radiomic") & (measured["label"] == 1) & (measured["set"] == 5)]["kid"]
    assert row["value"] == pytest.approx(own.mean()) and row["seed"] == 3 and row["n"] == 11
    assert (row["ci_low"], row["ci_high"]) == pytest.approx(tuple(own.quantile([0.025, 0.975])))
    best = fidelity.best_epochs(rows[rows["fold"] == "all"], ["cyst", "other"])
    assert best["epoch"].tolist() == [10] * 4 and len(best) == 4


# Copies


@pytest.fixture(scope="module")
def lesions():
    """Training and unseen lesions of one class, with their views at eight angles."""
    seen, unseen = round_lesions(20, classes=1, seed=1), round_lesions(40, classes=1, seed=2, first=100)
    strangers = unseen.subset(slice(20))
    return SimpleNamespace(
        seen=seen,
        unseen=unseen,
        strangers=strangers,
        seen_views=memorisation.turned_views(seen, rotations=8, **CUT),
        views=memorisation.turned_views(strangers, rotations=8, **CUT),
        barred=unseen.patient_id[:, None] == strangers.patient_id,
    )


def test_four_angles_give_the_eight_rotations_and_flips(lesions):
    images = extract_rois(lesions.seen, **CUT).images
    views = memorisation.turned_views(lesions.seen, rotations=4, **CUT)
    assert views.shape == (20, 8, 64, 64, 1)
    np.testing.assert_allclose(views[:, 0], images, atol=1e-6)
    turned = [np.rot90(one, turns, axes=(1, 2)) for one in (images, images[:, :, ::-1]) for turns in range(4)]
    for one in turned:
        assert np.abs(views - one[:, None]).max(axis=(2, 3, 4)).min(axis=1).max() < 1e-4
    np.testing.assert_allclose(memorisation.right_angles(lesions.seen_views), views, atol=1e-5)
    for rotations in (0, 2, 6):
        with pytest.raises(SettingsError, match=f"'rotations' is {rotations}; choose a multiple of 4"):
            memorisation.turned_views(lesions.seen, rotations=rotations, **CUT)


def test_nearest_is_the_smallest_root_mean_square_difference_over_all_views(lesions, monkeypatch):
    monkeypatch.setattr(memorisation, "CHUNK", 2)
    images = extract_rois(lesions.unseen.subset(slice(5)), **CUT).images
    distance, lesion, view = memorisation.nearest(images, lesions.seen_views)
    apart = np.sqrt(((images[:, None, None].astype(float) - lesions.seen_views[None]) ** 2).mean(axis=(3, 4, 5)))
    np.testing.assert_allclose(distance, apart.min(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(distance, apart[np.arange(5), lesion, view], rtol=1e-5)
    barred = np.zeros((5, 20), bool)
    barred[np.arange(5), lesion] = True
    other, elsewhere, _ = memorisation.nearest(images, lesions.seen_views, barred)
    assert (other > distance).all() and (elsewhere != lesion).all()


def audited(lesions, images, barred=None):
    return memorisation.audit(images, lesions.seen_views, lesions.views, barred)


def test_planted_copy_turned_and_noisy_is_found_and_comes_first(lesions):
    random = np.random.default_rng(0)
    fresh = extract_rois(round_lesions(30, classes=1, seed=5), **CUT).images
    original = extract_rois(lesions.seen.subset([7]), **CUT).images[0]
    copy = np.rot90(original, axes=(0, 1)) + random.normal(0, 0.01, original.shape)
    images = np.concatenate([fresh[:11], copy[None], fresh[11:]]).astype(np.float32)
    frame = audited(lesions, images)
    real = audited(lesions, extract_rois(lesions.unseen, **CUT).images, lesions.barred)
    threshold, _, _ = memorisation.copy_threshold(real["ratio"], 0.01)
    assert frame["ratio"].idxmin() == frame["to_seen"].idxmin() == 11 and frame.loc[11, "seen_lesion"] == 7
    assert frame.loc[11, "to_seen"] == pytest.approx(0.01, abs=0.001) and frame.loc[11, "ratio"] <= threshold
    for by in ("ratio", "to_seen"):
        pairs = memorisation.nearest_pairs(frame, images, lesions.seen_views, lesions.views, by=by)
        assert len(pairs) == 10 and pairs.index[0] == 11 and pairs[by].is_monotonic_increasing
        np.testing.assert_array_equal(pairs.iloc[0]["pictures"][0], images[11])
        assert np.abs(pairs.iloc[0]["pictures"][1] - copy).mean() < 0.02, "turned as the copy is"


def test_copy_between_right_angles_needs_finer_rotations(lesions):
    copy = lesions.seen_views[3, 2][None]  # turned by 45 degrees
    fine = audited(lesions, copy)["to_seen"][0]
    coarse = memorisation.nearest(copy, memorisation.right_angles(lesions.seen_views))[0][0]
    assert fine < 1e-3 < 0.02 < coarse


def test_fresh_reals_give_about_the_expected_share():
    seen = memorisation.turned_views(round_lesions(12, classes=1, seed=1), rotations=4, **CUT)
    strangers = round_lesions(12, classes=1, seed=2, first=100)
    views = memorisation.turned_views(strangers, rotations=4, **CUT)
    parts = [extract_rois(round_lesions(400, classes=1, seed=seed), **CUT).images for seed in (3, 4)]
    real, fresh = (memorisation.audit(images, seen, views) for images in parts)
    judged = memorisation.judge({"real": real, "dcgan": fresh}, 0.1).set_index("set")
    threshold, expected, rank = memorisation.copy_threshold(real["ratio"], 0.1)
    assert (expected, rank) == (40 / 401, 40) and judged.loc["real", "near_copies"] == 40
    for column in ("near_copies", "near_copies_swapped"):
        assert 0.05 < judged.loc["dcgan", column] / 400 < 0.16, column
    assert 0.3 < judged.loc["dcgan", "nearer_to_training"] / 400 < 0.7
    smooth = np.full((1, 64, 64, 1), parts[1].mean(), np.float32)
    assert memorisation.audit(smooth, seen, views)["ratio"][0] > threshold, "smooth and near to all is no copy"


@pytest.mark.parametrize(("n", "share", "rank"), [(99, 0.05, 5), (300, 0.05, 15), (19, 0.05, 1), (8, 0.05, 1), (1, 0.05, 1)])
def test_threshold_comes_with_the_share_to_expect(n, share, rank):
    ratio = np.random.default_rng(n).permutation(np.arange(1.0, n + 1))
    assert memorisation.copy_threshold(ratio, share) == (rank, pytest.approx(rank / (n + 1)), rank)
    random = np.random.default_rng(0)
    below = [random.random() <= memorisation.copy_threshold(random.random(n), share)[0] for _ in range(4000)]
    assert np.mean(below) == pytest.approx(rank / (n + 1), abs=4 * np.sqrt(0.25 / 4000))


def test_threshold_without_reals_or_with_a_wrong_share_is_an_error():
    with pytest.raises(DataError, match="no real ROI of an unseen patient"):
        memorisation.copy_threshold([], 0.05)
    for share in (0, 0.6):
        with pytest.raises(SettingsError, match=f"'copy_share' is {share}"):
            memorisation.copy_threshold([1.0], share)


def judged_frame(copies, *, test_set="independent", folds=2):
    """99 real ROIs, 200 synthetic and 50 augmented a class and fold."""
    columns = ["set", "n", "near_copies", "near_copies_swapped", "nearer_to_training", "rank", "threshold"]
    rows = [("real", 99, 5, 5, 50, 5, 0.8), ("classic", 50, 40, 0, 50, 0, 0.8), ("dcgan", 200, copies, 8, 100, 0, 0.8)]
    parts = [pd.DataFrame(rows, columns=columns).assign(fold=f, label=c, test_set=test_set) for f in range(folds) for c in (0, 1)]
    return pd.concat(parts, ignore_index=True)


def test_rows_pool_classes_and_folds_and_count_a_test_lesion_once():
    rows = pd.DataFrame(memorisation.memorisation_rows(judged_frame(10), classes=["cyst", "other"], seed=0))
    pooled = rows[(rows["fold"] == "all") & (rows["label"] == "all")].set_index(["arm", "metric"])
    assert pooled.loc[("dcgan", "near_copies"), ["value", "n"]].tolist() == [0.05, 800]
    assert pooled.loc[("real", "near_copies"), ["value", "n"]].tolist() == [0.05, 198]
    folds = pd.DataFrame(
        memorisation.memorisation_rows(judged_frame(10, test_set="cross_validation"), classes=["cyst", "other"], seed=0)
    )
    wider = folds[(folds["fold"] == "all") & (folds["label"] == "all")].set_index(["arm", "metric"])
    assert wider.loc[("real", "near_copies"), "n"] == 396
    assert wider.loc[("real", "near_copies"), "ci_high"] < pooled.loc[("real", "near_copies"), "ci_high"]
    one = rows[(rows["fold"] == 1) & (rows["label"] == "cyst") & (rows["arm"] == "dcgan")].set_index("metric")
    assert one.loc["near_copies", ["value", "n"]].tolist() == [0.05, 200]
    assert 0.05 > one.loc["near_copies", "ci_low"] > 0.02


@pytest.mark.parametrize(
    ("copies", "meaning"), [(60, "More than chance explains"), (15, "More than with exchanged parts"), (10, "No sign of copying")]
)
def test_sentence_says_what_the_shares_allow_to_say(copies, meaning):
    rows = pd.DataFrame(memorisation.memorisation_rows(judged_frame(copies), classes=["cyst", "other"], seed=0))
    sentence = memorisation.memorisation_sentence(rows, "dcgan")
    assert meaning in sentence and sentence.startswith(f"all: {copies / 200:.1%} near-copies"), sentence
    assert "5.0% (" in sentence and "found of true copies 80.0%" in sentence
    assert memorisation.memorisation_sentence(rows, "dcgan", "cyst").startswith(f"cyst: {copies / 200:.1%} near-copies")


def test_gans_that_differ_widen_the_share_of_near_copies_and_its_excess():
    frame = judged_frame(10)
    synthetic = frame["set"] == "dcgan"
    frame.loc[synthetic, "near_copies"] = [0, 40, 0, 40]
    rows = pd.DataFrame(memorisation.memorisation_rows(frame, classes=["cyst", "other"], seed=0))
    own = rows[(rows["fold"] == "all") & (rows["label"] == "all") & (rows["arm"] == "dcgan")].set_index("metric")
    reach = 3.182446 * 0.2 / np.sqrt(3) / 2  # Student's t, 3 degrees of freedom; standard deviation of 0, 0.2, 0, 0.2
    assert own.loc["near_copies", "value"] == 0.1 and own.loc["near_copies", "ci_low"] == 0
    assert own.loc["near_copies", "ci_high"] == pytest.approx(0.1 + reach, abs=0.004)
    assert own.loc["near_copies_excess", "value"] == pytest.approx(0.06) and own.loc["near_copies_excess", "ci_low"] < 0
    assert own.loc["near_copies_excess", "ci_high"] == pytest.approx(0.06 + reach, abs=0.005)
    assert "cannot be ruled out" in memorisation.memorisation_sentence(rows, "dcgan"), "more than expected, by two GANs of four"


def test_audit_that_would_not_see_copies_says_so():
    frame = judged_frame(10)
    frame.loc[frame["set"] == "classic", "near_copies"] = 4
    rows = pd.DataFrame(memorisation.memorisation_rows(frame, classes=["cyst", "other"], seed=0))
    assert "This cannot tell" in memorisation.memorisation_sentence(rows, "dcgan")


# Figures


def test_figures_draw_every_class_and_set(lesions):
    rows = pd.DataFrame(fidelity.fidelity_rows(measured_twice(), gan="dcgan", classes=["cyst", "other"], seed=0))
    rows = rows[rows["fold"] == "all"]
    figure = fidelity_figures.fidelity_figure(rows[rows["table"] == "fidelity"], NAMES, ["cyst", "other"])
    assert len(figure.axes) == 6 and [text.get_text() for text in figure.legends[0].get_texts()] == list(NAMES.values())
    titles = [axis.get_title(loc="left").replace("\n", " ") for axis in figure.axes]
    assert titles == [f"{measure}, {space}" for space in likeness.SPACES.values() for measure in likeness.MEASURES.values()]
    figure = fidelity_figures.epochs_figure(
        rows, {"kid_radiomic": "KID", "coverage_radiomic": "coverage"}, NAMES, ["cyst", "other"]
    )
    assert len(figure.axes) == 4 and figure.axes[0].lines[-1].get_xdata().tolist() == [5, 10]
    images = extract_rois(lesions.unseen, **CUT).images
    frames = {
        "real": audited(lesions, images, lesions.barred),
        "classic": audited(lesions, images),
        "dcgan": audited(lesions, images),
    }
    panels = {f"class {number}": frames for number in range(5)}
    figure = fidelity_figures.distances_figure(panels, NAMES, dict.fromkeys(panels, 0.8))
    assert sum(axis.axison for axis in figure.axes) == 5
    pairs = memorisation.nearest_pairs(frames["dcgan"], images, lesions.seen_views, lesions.views, by="ratio", count=4)
    figure = fidelity_figures.pairs_figure(pairs.assign(near_copy=[True, False, False, False], **{"class": "cyst"}))
    assert len(figure.axes) == 12
    plt.close("all")
