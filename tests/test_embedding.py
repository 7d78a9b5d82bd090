"""Test lesions: the start two maps share, t-SNE that repeats itself, and measures that a lesion's own copies cannot flatter."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import random_rois, round_lesions
from sklearn.metrics import silhouette_samples
from sklearn.neighbors import KNeighborsClassifier

from lesion_utils import augment, embedding, embedding_figures
from lesion_utils.errors import DataError, SettingsError
from lesion_utils.figures import class_colours
from lesion_utils.paired import Difference
from lesion_utils.rois import extract_rois, lesion_geometry

WINDOW = {"window_level": 60.0, "window_width": 400.0}


def clouds(patients=24, copies=5, *, classes=3, apart=4.0, seed=0):
    """Return features, label and patient: ``copies`` images near each patient's point, patients near their class's."""
    random = np.random.default_rng(seed)
    label = np.arange(patients) % classes
    middle = np.zeros((patients, 8))
    middle[np.arange(patients), label] = apart
    middle += random.normal(0, 1, middle.shape)
    features = np.repeat(middle, copies, axis=0) + random.normal(0, 0.05, (patients * copies, 8))
    patient = np.repeat([f"P{number:04d}" for number in range(patients)], copies)
    return features.astype(np.float32), np.repeat(label, copies), patient


def table_of(features, label, patient, k=5):
    rois = SimpleNamespace(lesion_id=patient, label=label)
    return embedding.separability(features, rois, patient, neighbours=k, fold=0)


# Images


@pytest.fixture(scope="module")
def state():
    cohort = round_lesions(12)
    originals = extract_rois(cohort, margin=0.25, **WINDOW)
    _, diameter = lesion_geometry(cohort.outlines)
    plan = augment.augmentation_plan(diameter, margin=0.25, rotations=2, flips=1, translations=1, scales=1, seed=0)
    folds = np.arange(12) // 2 % 3
    return SimpleNamespace(cohort=cohort, originals=originals, window=WINDOW, plan=lambda seed: plan, folds=lambda seed: folds)


def test_images_are_the_folds_lesions_and_their_augmentations_and_nobody_elses(state):
    rois, original, patient = embedding.test_images(state, 0, 1, 3)
    test = np.flatnonzero(state.folds(0) == 1)
    assert len(rois) == len(original) == len(patient) == 4 * len(test) and original.sum() == len(test)
    np.testing.assert_array_equal(rois.images[original], state.originals.images[test])
    assert rois.lesion_id[~original].tolist() == np.repeat(state.cohort.lesion_id[test], 3).tolist()
    owner = dict(zip(state.cohort.lesion_id, state.cohort.patient_id, strict=True))
    assert patient.tolist() == [owner[lesion] for lesion in rois.lesion_id]
    assert set(patient).isdisjoint(state.cohort.patient_id[state.folds(0) != 1])
    copies = rois.images[~original].reshape(len(test), 3, -1)
    assert not np.array_equal(copies[:, 0], copies[:, 1])
    alone, original, _ = embedding.test_images(state, 0, 1, 0)
    assert original.all() and len(alone) == len(test)
    with pytest.raises(SettingsError, match="'augmentations_per_lesion' is 9; the plan of 02 has 0 to 8"):
        embedding.test_images(state, 0, 1, 9)


# Maps


def test_start_is_shared_small_and_gives_each_network_one_say():
    features, _, _ = clouds()
    other = np.random.default_rng(1).normal(size=(len(features), 5))
    start = embedding.common_start([features, other])
    assert start.shape == (len(features), 2) and start[:, 0].std() == pytest.approx(1e-4)
    assert start[:, 0].std() >= start[:, 1].std()
    rescaled = embedding.common_start([1000 * features + 7, other])
    np.testing.assert_allclose(np.abs(rescaled), np.abs(start), atol=1e-9)
    swapped = embedding.common_start([other, features])
    np.testing.assert_allclose(np.abs(swapped), np.abs(start), atol=1e-9)
    assert np.isfinite(embedding.common_start([np.ones((6, 3)), np.ones((6, 2))])).all()


def test_tsne_repeats_itself_keeps_neighbours_and_leaves_the_start_alone():
    features, label, _ = clouds(apart=8)
    start = embedding.common_start([features])
    before = start.copy()
    first, again = (embedding.embed(features, start, perplexity=10, seed=3, n_jobs=jobs) for jobs in (1, 2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(start, before)
    assert first.shape == (len(features), 2)
    assert KNeighborsClassifier(5).fit(first, label).score(first, label) > 0.95
    assert not np.allclose(first, embedding.embed(features, start, perplexity=30, seed=3), atol=1e-3)


def test_largest_perplexity_is_taken_and_the_next_is_not():
    features = np.random.default_rng(0).normal(size=(44, 8))
    most = embedding.largest_perplexity(len(features))
    assert np.isfinite(embedding.embed(features, features[:, :2] * 1e-4, perplexity=most, seed=0, n_jobs=1)).all()
    with pytest.raises(SettingsError, match="choose 1 to 14"):
        embedding.embed(features, features[:, :2], perplexity=most + 1, seed=0)


@pytest.mark.parametrize("perplexity", [0.5, 41])
def test_perplexity_that_does_not_suit_is_an_error(perplexity):
    features, _, _ = clouds()
    with pytest.raises(SettingsError, match=f"a perplexity of {perplexity} does not suit 120 images: choose 1 to 39"):
        embedding.embed(features, features[:, :2], perplexity=perplexity, seed=0)


# Measures


def test_with_every_image_its_own_group_the_silhouette_is_scikit_learns():
    features, label, _ = clouds(apart=2)
    own = embedding.silhouette(features, label, np.arange(len(label)))
    np.testing.assert_allclose(own, silhouette_samples(features.astype(float), label), atol=1e-9)


def test_silhouette_without_the_own_patient_by_hand():
    features = np.array([[0.0], [0.1], [2.0], [5.0], [7.0]])
    label, patient = np.array([0, 0, 0, 1, 1]), np.array(["a", "a", "b", "c", "d"])
    found = embedding.silhouette(features, label, patient)
    # The first image: 2 to the other patient's image of its class, (5 + 7) / 2 to the other class.
    np.testing.assert_allclose(found[[0, 3]], [(6 - 2) / 6, ((5 + 4.9 + 3) / 3 - 2) / ((5 + 4.9 + 3) / 3)])
    alone = embedding.silhouette(features[:4], label[:4], patient[:4])
    assert np.isnan(alone[3]) and np.isfinite(alone[:3]).all(), "a class of one patient has no own distance"
    with pytest.raises(DataError, match="all of one class"):
        embedding.silhouette(features, np.zeros(5, int), patient)


def test_neighbours_are_those_of_scikit_learn_when_images_stand_alone():
    features, label, _ = clouds(patients=40, copies=1, apart=1.5)
    found = embedding.neighbours_agree(features, label, np.arange(40), 1)
    nearest = KNeighborsClassifier(2).fit(features, label).kneighbors(features)[1][:, 1]
    np.testing.assert_array_equal(found, label[nearest] == label)
    assert 0 < found.mean() < 1


def test_copies_of_a_lesion_flatter_no_measure():
    """Features that know the patient and nothing of the class: k-NN is perfect among copies and chance among patients."""
    features, label, patient = clouds(patients=60, apart=0)
    assert embedding.neighbours_agree(features, label, np.arange(len(label)), 4).mean() == 1
    assert embedding.neighbours_agree(features, label, patient, 4).mean() < 0.55
    assert abs(embedding.silhouette(features, label, patient).mean()) < 0.1


def test_of_equal_votes_the_nearest_decides_and_too_many_neighbours_are_an_error():
    features, label = np.array([[0.0], [1.0], [-1.5], [1.6], [-1.7]]), np.array([0, 0, 1, 1, 0])
    assert embedding.neighbours_agree(features, label, np.arange(5), 2)[0] == 1
    assert embedding.neighbours_agree(features, np.array([1, 0, 1, 1, 0]), np.arange(5), 2)[0] == 0
    with pytest.raises(SettingsError, match="'neighbours' is 5; the images of a fold allow 1 to 4"):
        embedding.neighbours_agree(features, label, np.arange(5), 5)


# Intervals


def test_interval_counts_patients_not_images():
    few = table_of(*clouds(patients=24, copies=2))
    many = table_of(*clouds(patients=24, copies=20))
    widths = []
    for table in (few, many):
        values = pd.factorize(table["patient_id"])[0] % 2  # a value a patient
        mean = embedding.mean_by_patients(values, table, draws=500, seed=0)
        assert mean.value == 0.5 and mean.lesions == 24
        widths.append(mean.interval[1] - mean.interval[0])
    assert widths[0] == pytest.approx(widths[1]) and 0.3 < widths[0] < 0.5


def test_rows_hold_every_class_both_arms_and_a_paired_difference():
    features, label, patient = clouds(apart=1.5)
    better, _, _ = clouds(apart=5)
    tables = {"classic": table_of(features, label, patient), "dcgan": table_of(better, label, patient)}
    about = {"draws": 300, "seed": 1, "run_seed": 0}
    classes = ("one", "two", "three")
    rows = pd.DataFrame(embedding.separability_rows(tables, classes, **about))
    assert len(rows) == 2 * 2 * 4 + 2 and (rows["table"] == "fig9").all()
    change = rows[rows["metric"] == "silhouette_difference"].iloc[0]
    means = rows[(rows["metric"] == "silhouette") & (rows["label"] == "all")].set_index("arm")["value"]
    assert change["value"] == pytest.approx(means["dcgan"] - means["classic"]) and change["ci_low"] > 0
    same = embedding.separability_rows(tables, classes, **about)
    pd.testing.assert_frame_equal(pd.DataFrame(same), rows)
    alone = embedding.separability_rows({"classic": tables["classic"]}, classes, **about)
    assert {row["metric"] for row in alone} == {"silhouette", "knn_accuracy"}
    two = table_of(*clouds(classes=2))
    assert len(embedding.separability_rows({"classic": two}, ("a", "b"), **about)) == 6


@pytest.mark.parametrize(
    ("interval", "words"),
    [((0.01, 0.03), "lie further apart"), ((-0.03, -0.01), "lie closer together"), ((-0.01, 0.03), "cannot tell")],
)
def test_sentence_follows_the_interval(interval, words):
    sentence = embedding.difference_sentence(Difference(sum(interval) / 2, interval, 60), "silhouette")
    assert words in sentence and f"{interval[0]:+.3f} to {interval[1]:+.3f}" in sentence
    assert f"{100 * interval[0]:+.1f}" in embedding.difference_sentence(Difference(0.0, interval, 60), "knn_accuracy")


# Figures


def simulate(colour, kind):
    """Return a colour as people see it who lack the red or the green cones (Machado et al. 2009, full severity)."""
    matrix = {
        "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    }[kind]
    linear = np.where(np.array(colour) <= 0.04045, np.array(colour) / 12.92, ((np.array(colour) + 0.055) / 1.055) ** 2.4)
    return np.clip(np.array(matrix) @ linear, 0, 1)


@pytest.mark.parametrize("kind", ["protanopia", "deuteranopia"])
def test_class_colours_stay_apart_without_red_or_green_cones(kind):
    def nearest(colours):
        seen = [simulate(colour, kind) ** (1 / 2.2) for colour in colours]
        return min(np.linalg.norm(one - two) for n, one in enumerate(seen) for two in seen[:n])

    assert nearest(list(class_colours(["a", "b", "c"]).values())) > 0.2
    assert nearest([(0.8, 0.2, 0.2), (0.35, 0.45, 0.1)]) < 0.2, "red and green of one brightness do not"


def test_maps_show_every_image_with_a_marker_of_its_class():
    features, label, _ = clouds()
    original = np.arange(len(label)) % 5 == 0
    maps = {f"map {number}": features[:, number : number + 2] for number in range(3)}
    figure = embedding_figures.embedding_maps(maps, label, original, ("a", "b", "c"))
    shown = [axis for axis in figure.axes if axis.axison]
    assert len(shown) == 3
    for axis in shown:
        assert sum(len(dots.get_offsets()) for dots in axis.collections) == len(label)
        (left, right), (low, high) = axis.get_xlim(), axis.get_ylim()
        for dots in axis.collections:
            x, y = np.asarray(dots.get_offsets()).T
            assert left < x.min() and x.max() < right and low < y.min() and y.max() < high
    assert len(set(embedding_figures.MARKERS)) == 10


def test_separability_figure_draws_one_or_two_networks():
    features, label, patient = clouds()
    table = table_of(features, label, patient)
    for names in ({"classic": "CNN-AUG"}, {"classic": "CNN-AUG", "dcgan": "CNN-AUG-GAN"}):
        rows = embedding.separability_rows(dict.fromkeys(names, table), ("a", "b", "c"), draws=50, seed=0, run_seed=0)
        figure = embedding_figures.separability_figure(pd.DataFrame(rows), names, ("a", "b", "c"))
        assert [len(axis.lines) for axis in figure.axes] == [len(names)] * 2


def test_network_features_come_from_the_chosen_classifier(monkeypatch):
    rois = random_rois(4)
    seen = []

    class Network:
        def features(self, images):
            seen.append(images)
            return np.zeros((len(images), 256), np.float32)

    state = SimpleNamespace(chosen_unit=lambda arm, seed, fold: f"{arm}-{seed}-{fold}")
    monkeypatch.setattr(embedding, "load_classifier", lambda path: seen.append(path) or Network())
    assert embedding.network_features(state, "dcgan", 2, 1, rois.images).shape == (4, 256)
    assert seen[0] == "dcgan-2-1" and seen[1] is rois.images
