"""Texture features against outside values, the SVM's inner choice by patients, and leaks that must stop a baseline."""

from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import random_rois, round_lesions
from scipy.special import softmax
from skimage.feature import graycomatrix, graycoprops
from skimage.filters import gabor
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import StandardScaler

from lesion_utils import experiment, rois, scores, svm, texture
from lesion_utils.errors import DataError, LeakError, SettingsError
from lesion_utils.files import write_json
from lesion_utils.rois import ROI_SIZE, extract_rois, lesion_geometry, roi_outlines
from lesion_utils.runs import Run

#: The digital phantom of the Image Biomarker Standardisation Initiative: four slices, 0 outside the region.
IBSI = np.array(
    [
        [[1, 4, 4, 1, 1], [1, 4, 6, 1, 1], [4, 1, 6, 4, 1], [4, 4, 6, 4, 1]],
        [[1, 4, 4, 1, 1], [1, 1, 6, 1, 1], [0, 1, 3, 1, 1], [4, 4, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 0, 1, 1], [1, 1, 6, 1, 1]],
        [[1, 4, 4, 0, 0], [1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 1, 6, 1, 1]],
    ],
    np.uint8,
)
#: Its reference values for the 2-D co-occurrence matrix, averaged over slices and directions, to the digits printed.
IBSI_VALUES = {
    "contrast": "5.28", "correlation": "-0.0121", "angular second moment": "0.368", "inverse difference moment": "0.619",
    "entropy": "2.05", "dissimilarity": "1.42", "maximum probability": "0.519",
}  # fmt: skip

FREQUENCIES = [0.02, 0.08, 0.32]
IMAGE = np.random.default_rng(0).uniform(0, 1, (64, 64)).astype(np.float32)


def feature(matrix, name):
    return texture.haralick(matrix)[texture.HARALICK.index(name)]


# Co-occurrence


@pytest.mark.parametrize(("name", "expected"), IBSI_VALUES.items())
def test_features_of_the_digital_phantom_are_the_reference_values(name, expected):
    values = [feature(texture.cooccurrence(image, 6), name) for image in IBSI]
    digits = len(expected.split(".")[1])
    assert f"{np.mean(values):.{digits}f}" == expected


def test_pairs_with_a_pixel_outside_the_region_do_not_count():
    image = np.array([[1, 2, 0], [2, 2, 2], [0, 1, 1]], np.uint8)
    horizontal, down_right = (texture.cooccurrence(image, 2)[:, :, 0, angle] for angle in (0, 1))
    np.testing.assert_allclose(horizontal, np.array([[2, 1], [1, 4]]) / 8)
    np.testing.assert_allclose(down_right, np.array([[0, 3], [3, 2]]) / 8)


def test_diagonals_move_by_the_distance_in_both_coordinates():
    image = np.zeros((7, 7), np.uint8)
    image[1, 1], image[4, 4], image[4, 1] = 1, 2, 3
    pairs = texture.cooccurrence(image, 3, (3,))[:, :, 0]
    found = {(i + 1, j + 1, texture.ANGLES[angle]) for i, j, angle in np.argwhere(pairs)}
    assert found == {(1, 2, 45), (2, 1, 45), (2, 3, 0), (3, 2, 0), (1, 3, 90), (3, 1, 90)}


def test_features_are_those_of_scikit_image_where_it_has_them():
    image = texture.quantise(IMAGE, 16)
    theirs = graycomatrix(image - 1, [1, 3], [0, np.pi / 2], levels=16, symmetric=True, normed=True)
    ours = texture.cooccurrence(image, 16, (1, 3))[..., [0, 2]]
    np.testing.assert_allclose(ours, theirs)
    names = {"contrast": "contrast", "dissimilarity": "dissimilarity", "ASM": "angular second moment",
             "homogeneity": "inverse difference moment", "correlation": "correlation", "variance": "variance"}  # fmt: skip
    for name, own in names.items():
        np.testing.assert_allclose(feature(ours, own), graycoprops(theirs, name), rtol=1e-9, err_msg=name)


def test_features_of_sums_and_differences_follow_their_definitions():
    matrix = texture.cooccurrence(texture.quantise(IMAGE, 4), 4)[:, :, 0, 1]
    chances, sums, differences = (
        matrix.ravel(),
        *(np.add.outer(np.arange(1, 5), sign * np.arange(1, 5)).ravel() for sign in (1, -1)),
    )
    differences = np.abs(differences)
    own = {name: feature(matrix[..., None], name)[0] for name in texture.HARALICK}
    assert own["sum average"] == pytest.approx(np.average(sums, weights=chances))
    assert own["sum variance"] == pytest.approx(np.average((sums - own["sum average"]) ** 2, weights=chances))
    assert own["difference variance"] == pytest.approx(np.average((differences - own["dissimilarity"]) ** 2, weights=chances))
    for name, values in (("sum entropy", sums), ("difference entropy", differences)):
        shares = np.bincount(values, chances)
        assert own[name] == pytest.approx(-sum(p * np.log2(p) for p in shares if p > 0))
    marginal = matrix.sum(axis=0)
    product = np.outer(marginal, marginal)
    hxy1, hxy2, hx = (
        -(matrix * np.log2(product)).sum(),
        -(product * np.log2(product)).sum(),
        -(marginal * np.log2(marginal)).sum(),
    )
    assert own["information measure of correlation 1"] == pytest.approx((own["entropy"] - hxy1) / hx)
    assert own["information measure of correlation 2"] == pytest.approx(np.sqrt(1 - np.exp(-2 * (hxy2 - own["entropy"]))))


def test_constant_patch_and_region_without_pairs_have_defined_features():
    constant = dict(
        zip(texture.HARALICK, texture.haralick(texture.cooccurrence(np.full((8, 8), 3, np.uint8), 5))[:, 0, 0], strict=True)
    )
    assert constant["contrast"] == constant["entropy"] == constant["variance"] == 0
    assert constant["angular second moment"] == constant["maximum probability"] == constant["correlation"] == 1
    assert constant["information measure of correlation 1"] == constant["information measure of correlation 2"] == 0
    lonely = np.zeros((8, 8), np.uint8)
    lonely[3, 3] = 2
    np.testing.assert_array_equal(texture.haralick(texture.cooccurrence(lonely, 5)), np.zeros((15, 1, 4)))


def test_levels_are_of_equal_width_and_leave_zero_for_the_outside():
    values = np.array([-0.1, 0, 0.249, 0.25, 0.5, 0.999, 1, 1.2])
    assert texture.quantise(values, 4).tolist() == [1, 1, 1, 2, 3, 4, 4, 4]


def test_glcm_features_of_lesion_and_roi():
    images = np.stack([IMAGE, np.full((64, 64), 0.4, np.float32)])[..., None]
    outlines = np.zeros((2, 64, 64), bool)
    outlines[:, 20:40, 20:44] = True
    table = texture.glcm_features(images, outlines, levels=8, distances=(1, 2))
    assert table.shape == (2, 2 * 2 * 15 * 2) and table.columns.is_unique and np.isfinite(table.to_numpy()).all()
    alone = feature(texture.cooccurrence(texture.quantise(IMAGE[20:40, 20:44], 8), 8, (2,)), "contrast")
    assert table.loc[0, "lesion, distance 2, contrast, mean"] == pytest.approx(alone.mean())
    assert table.loc[0, "lesion, distance 2, contrast, range"] == pytest.approx(np.ptp(alone))
    assert table.loc[0, "ROI, distance 1, contrast, mean"] != table.loc[0, "lesion, distance 1, contrast, mean"]
    assert (table.filter(like="range").loc[1] == 0).all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"levels": 1}, SettingsError, "'levels' is 1; choose 2 to 255"),
        ({"levels": 300}, SettingsError, "'levels' is 300"),
        ({"distances": [0]}, SettingsError, r"'distances' is \[0\]; give whole numbers from 1 to 63"),
        ({"distances": []}, SettingsError, r"'distances' is \[\]"),
        ({"outlines": np.zeros((1, 64, 64), bool)}, DataError, "ROI number 1 has an empty outline"),
    ],
)
def test_bad_glcm_input_is_an_error(change, error, message):
    good = {"outlines": np.ones((1, 64, 64), bool), "levels": 8, "distances": [1]}
    with pytest.raises(error, match=message):
        texture.glcm_features(IMAGE[None, ..., None], **(good | change))


# Outlines in the frame of the ROI


def test_outline_is_warped_like_its_roi():
    cohort = round_lesions(4, classes=2)
    # A slice that is bright where the outline is: its ROI shows the outline.
    painted = replace(cohort, slices=[np.where(outline, 400, -400).astype(np.int16) for outline in cohort.outlines])
    shown = extract_rois(painted, margin=0.25, window_level=0, window_width=800).images[..., 0]
    outlines = roi_outlines(cohort, margin=0.25)
    assert outlines.shape == (4, ROI_SIZE, ROI_SIZE) and outlines.dtype == bool
    assert ((shown > 0.5) == outlines).mean() > 0.99
    _, diameter = lesion_geometry(outlines)
    np.testing.assert_allclose(diameter, ROI_SIZE / 1.5, atol=2)


def test_outline_of_one_pixel_and_outline_beyond_the_slice_stay():
    cohort = round_lesions(2, classes=2)
    cohort.outlines[0][:] = False
    cohort.outlines[0][50, 50] = True
    cohort.outlines[1][:] = False
    cohort.outlines[1][:, 0] = True
    inside = roi_outlines(cohort, margin=0.25).sum(axis=(1, 2))
    assert inside[0] > 1000 and inside[1] > 0
    assert rois.roi_outlines(cohort.subset([]), margin=0.25).shape == (0, ROI_SIZE, ROI_SIZE)


# Gabor


def response(image, kernel):
    return texture.gabor_responses(image, *texture.separate([kernel], image.shape))[0]


@pytest.mark.parametrize("frequency", [0.05, 0.08, 0.32])
@pytest.mark.parametrize("angle", [0, 22.5, 112.5])
def test_responses_are_those_of_scikit_image(frequency, angle):
    bank = texture.gabor_bank([frequency], 8)
    ours = response(IMAGE, bank[frequency, angle])
    even, odd = gabor(IMAGE, frequency, np.deg2rad(angle), bandwidth=1.0, n_stds=3, mode="reflect")
    np.testing.assert_allclose(ours.real, even, atol=1e-5)
    np.testing.assert_allclose(ours.imag, odd, atol=1e-5)
    other = gabor(IMAGE, frequency, np.deg2rad(angle + 5), bandwidth=1.0)[0]
    assert np.abs(ours.real - other).max() > 1e-4, "this test can tell one filter from the next"


def test_separated_kernels_filter_as_the_kernels_themselves_do():
    """Every direction, kernels larger than the image and one that is no square, and an image that is none."""
    bank, image = texture.gabor_bank([0.02, 0.08, 0.32], 8), IMAGE[:, :48]
    kernels = [*bank.values(), bank[0.08, 22.5][4:-4]]
    rows, columns = texture.separate(kernels, image.shape)
    assert rows.shape == (25, 64, 64) and columns.shape == (25, 48, 48) and len(kernels[0]) > 128
    for kernel, found in zip(kernels, texture.gabor_responses(image, rows, columns), strict=True):
        flipped = kernel[::-1, ::-1].astype(complex)  # OpenCV correlates
        even, odd = (
            cv2.filter2D(image.astype(float), -1, part.copy(), borderType=cv2.BORDER_REFLECT)
            for part in (flipped.real, flipped.imag)
        )
        np.testing.assert_allclose(found, even + 1j * odd, rtol=0, atol=2e-7)


def test_filter_answers_to_its_own_wave():
    bank = texture.gabor_bank([0.08, 0.16, 0.32], 4)
    x = np.arange(64)
    wave = np.tile(0.5 + 0.5 * np.cos(2 * np.pi * 0.16 * x), (64, 1)).astype(np.float32)
    energy = texture.gabor_features(wave[None, ..., None], bank).filter(like="energy").iloc[0]
    assert energy.idxmax() == "frequency 0.16, 0 degrees, energy"


def test_gabor_features_of_an_image_follow_their_definitions():
    bank = texture.gabor_bank(FREQUENCIES, 4)
    images = np.stack([IMAGE, np.zeros_like(IMAGE), np.full_like(IMAGE, 0.5)])[..., None]
    table = texture.gabor_features(images, bank)
    assert table.shape == (3, 3 * 4 * 4) and table.columns.is_unique
    magnitude = np.abs(response(IMAGE, bank[0.08, 45.0]))
    share = magnitude / magnitude.sum()
    expected = [magnitude.mean(), magnitude.std(), (magnitude**2).mean(), -(share * np.log2(share)).sum()]
    own = table.filter(like="frequency 0.08, 45 degrees").iloc[0]
    np.testing.assert_allclose(own, expected, rtol=1e-4)
    assert (table.iloc[1] == 0).all(), "nothing responds"
    constant = table.iloc[2]
    np.testing.assert_allclose(constant.filter(like="entropy"), 12, atol=0.01)
    np.testing.assert_allclose(constant.filter(like="standard"), 0, atol=1e-4)


def test_gabor_features_inside_an_outline_know_nothing_of_the_outside():
    bank = texture.gabor_bank([0.16], 2)
    outline = np.zeros((1, 64, 64), bool)
    outline[:, 20:44, 20:44] = True
    loud = IMAGE.copy()
    loud[:, 63] = 30
    own, other = (texture.gabor_features(image[None, ..., None], bank, outline).iloc[0] for image in (IMAGE, loud))
    magnitude = np.abs(response(IMAGE, bank[0.16, 90.0]))
    assert own["lesion, frequency 0.16, 90 degrees, mean"] == pytest.approx(magnitude[20:44, 20:44].mean(), rel=1e-5)
    # The edge lies further away than the kernel reaches.
    np.testing.assert_allclose(own.filter(like="lesion"), other.filter(like="lesion"), rtol=1e-3)
    assert other["ROI, frequency 0.16, 0 degrees, mean"] > 1.5 * own["ROI, frequency 0.16, 0 degrees, mean"]
    plain = texture.gabor_features(IMAGE[None, ..., None], bank).iloc[0]
    np.testing.assert_array_equal(own.filter(like="ROI"), plain)
    with pytest.raises(DataError, match="number 1 has an empty outline"):
        texture.gabor_features(IMAGE[None, ..., None], bank, ~np.ones_like(outline))


@pytest.mark.parametrize(
    ("frequencies", "orientations", "message"),
    [([0.7], 8, "'frequencies' is"), ([], 8, "'frequencies' is"), ([0], 8, "above 0"), ([0.1], 0, "'orientations' is 0")],
)
def test_bad_bank_is_an_error(frequencies, orientations, message):
    with pytest.raises(SettingsError, match=message):
        texture.gabor_bank(frequencies, orientations)


# The SVM


def clouds(n=60, k=3, seed=0, width=1.0):
    """Return features, labels and patients: two lesions a patient, classes some way apart."""
    random = np.random.default_rng(seed)
    label = np.arange(n) // 2 % k
    features = random.normal(0, width, (n, 5)) + 2 * np.eye(k, 5)[label]
    return features, label, np.array([f"P{number // 2:03d}" for number in range(n)])


@pytest.mark.parametrize("k", [2, 3, 5])
def test_svm_learns_and_gives_probabilities(k):
    features, label, patient = clouds(80, k)
    classes = [f"class {number}" for number in range(k)]
    model = svm.fit_svm(features, label, patient, classes=classes, seed=0)
    new, true, _ = clouds(80, k, seed=1)
    probability = model.predict(new)
    assert probability.shape == (80, k) and probability.dtype == np.float32
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(probability.argmax(axis=1), model.pipeline.predict(new))
    assert accuracy_score(true, probability.argmax(axis=1)) > 0.6 > 1 / k
    assert model.inner_folds == 5 and model.note == "" and 0.5 < model.inner_accuracy <= 1
    again = svm.fit_svm(features, label, patient, classes=classes, seed=0)
    np.testing.assert_array_equal(again.predict(new), probability)


def test_inner_folds_keep_patients_together_and_train_on_every_class():
    _, label, patient = clouds(60)
    splits = svm.inner_splits(label, patient, seed=0)
    assert len(splits) == 5 and sorted(np.concatenate([test for _, test in splits])) == list(range(60))
    for training, test in splits:
        assert not set(patient[training]) & set(patient[test])
        assert set(label[training]) == {0, 1, 2}


def test_choice_scale_and_selection_never_see_what_they_are_judged_on(monkeypatch):
    features, label, patient = clouds(30)
    seen = []
    real = StandardScaler.fit

    def watched(self, values, *more, **others):
        seen.append(len(values))
        return real(self, values, *more, **others)

    monkeypatch.setattr(StandardScaler, "fit", watched)
    svm.fit_svm(features, label, patient, classes="abc", seed=0)
    splits = svm.inner_splits(label, patient, seed=0)
    inner = {len(training) for training, _ in splits}
    assert set(seen) == inner | {30} and seen.count(30) == 1


def test_siblings_in_both_inner_parts_would_have_chosen_otherwise():
    """Patients can be told apart, classes cannot: only an inner split by patient sees that nothing can be learned."""
    random = np.random.default_rng(0)
    patient = np.repeat([f"P{number:02d}" for number in range(30)], 4)
    label = np.repeat(np.arange(30) % 3, 4)
    features = np.repeat(random.normal(0, 1, (30, 8)), 4, axis=0) + random.normal(0, 0.05, (120, 8))
    by_patient = svm.fit_svm(features, label, patient, classes="abc", seed=0)
    by_lesion = svm.fit_svm(features, label, np.arange(120).astype(str), classes="abc", seed=0)
    assert by_lesion.inner_accuracy > 0.9 and by_patient.inner_accuracy < 0.6


@pytest.mark.parametrize(("patients", "folds"), [(5, 5), (4, 4), (3, 3), (2, 2), (1, 0)])
def test_class_with_few_patients_makes_fewer_inner_folds_and_a_note(patients, folds):
    features, label, patient = clouds(60)
    patient = np.where(label == 2, [f"Q{number % patients}" for number in np.cumsum(label == 2)], patient)
    model = svm.fit_svm(features, label, patient, classes="abc", seed=0)
    assert model.inner_folds == folds
    assert model.predict(features).shape == (60, 3)
    if folds == 5:
        assert model.note == ""
    elif folds:
        assert model.note == f"few patients in a class: {folds} inner folds in place of 5" and model.temperature > 0
    else:
        assert "too few patients for an inner split: kernel rbf and C = 1 were not chosen" in model.note
        assert np.isnan(model.inner_accuracy) and model.temperature == 1


def test_training_fold_without_a_class_and_values_that_are_not_numbers_are_errors():
    features, label, patient = clouds(30)
    with pytest.raises(DataError, match="class 'c' has no lesion in the training fold"):
        svm.fit_svm(features[label < 2], label[label < 2], patient[label < 2], classes="abc", seed=0)
    features[3, 2] = np.nan
    with pytest.raises(DataError, match="not a number"):
        svm.fit_svm(features, label, patient, classes="abc", seed=0)
    with pytest.raises(SettingsError, match="'kernels' and 'costs'"):
        svm.fit_svm(features, label, patient, classes="abc", seed=0, kernels=[])


def test_constant_features_are_harmless():
    features, label, patient = clouds(30)
    model = svm.fit_svm(np.column_stack([features, np.ones(30)]), label, patient, classes="abc", seed=0)
    assert np.isfinite(model.predict(np.column_stack([features, np.ones(30)]))).all()


def test_temperature_makes_probabilities_honest_and_changes_no_answer():
    random = np.random.default_rng(0)
    truth = random.normal(0, 1, (4000, 3))
    label = np.array([random.choice(3, p=row) for row in softmax(truth, axis=1)])
    assert svm.fit_temperature(4 * truth, label) == pytest.approx(4, rel=0.1)


# In the experiment


@pytest.fixture
def run(tmp_path):
    """Eighteen lesions of nine patients, dealt to three folds."""
    cohort = round_lesions(18, classes=3)
    cohort.save(tmp_path / "cohort.npz")
    folds = {"seed": 0, "lesion_id": cohort.lesion_id, "fold": np.arange(18) // 6}
    pd.DataFrame(folds).to_csv(tmp_path / "folds.csv", index=False)
    write_json(tmp_path / "preparation.json", {"folds": 3, "seeds": [0], "margin": 0.25, "window_level": 60, "window_width": 400})
    write_json(tmp_path / "augmentation.json", {"plan": {}, "amount_reading": "training_set"})
    return Run(tmp_path)


UNIT = {"arm": "glcm", "seed": 0, "fold": 1}


def test_predictions_have_the_columns_of_the_runs_file(run):
    training, test = run.fold_sets(0, 1, 0)
    asked = []

    def fit(rois):
        asked.append(rois)
        return lambda rois: np.tile(np.float32([0.2, 0.5, 0.3]), (len(rois), 1))

    frame = experiment.fit_and_predict(run, fit, training, {"cross_validation": test}, **UNIT)
    assert asked == [training]
    assert frame["lesion_id"].tolist() == test.lesion_id.tolist() and set(frame["amount"]) == {0}
    assert set(frame["predicted"]) == {"class 1"} and set(frame["test_set"]) == {"cross_validation"}
    rows = scores.results_frame(scores.score_rows(frame, run.classes, table="table6"))
    assert set(rows["arm"]) == {"glcm"} and {"accuracy", "weighted_specificity"} <= set(rows["metric"])


def test_planted_leak_stops_the_flow_before_anything_is_fitted(run):
    training, test = run.fold_sets(0, 1, 0)
    leaked = training + test.take(slice(0, 1))

    def fit(rois):
        raise AssertionError("fitted on a leak")

    with pytest.raises(LeakError, match="arm glcm, seed 0, fold 1: patients P"):
        experiment.fit_and_predict(run, fit, leaked, {"cross_validation": test}, **UNIT)
    stray = random_rois(3, classes=3)
    with pytest.raises(LeakError):
        tests = {"cross_validation": test, "independent": replace(stray, patients=frozenset(run.cohort.patient_id[:1].tolist()))}
        experiment.fit_and_predict(run, fit, training, tests, **UNIT)


def test_leak_planted_in_the_folds_is_caught_when_the_flow_asks_for_its_sets(run):
    folds = pd.read_csv(run.folder / "folds.csv")
    folds.loc[0, "fold"] = 2  # one of the two lesions of patient P0001
    folds.to_csv(run.folder / "folds.csv", index=False)
    with pytest.raises(LeakError, match="seed 0, without fold 0: patients P0001"):
        run.fold_sets(0, 0, 0)


def test_papers_table_has_the_papers_arms():
    assert texture.PAPER_TABLE_6.shape == (5, 2) and set(texture.PAPER_TABLE_6.index) <= set(scores.ARM_NAMES)
    assert texture.PAPER_TABLE_6.loc["bovw_mi_multi"].tolist() == [0.829, 0.908]
