"""Visual words: the dictionary, mutual information against scikit-learn, and what few or constant patches do."""

import warnings

import numpy as np
import pytest
from conftest import random_rois
from sklearn.feature_selection import mutual_info_classif
from sklearn.metrics import mutual_info_score

from lesion_utils import words
from lesion_utils.errors import DataError, SettingsError
from lesion_utils.rois import RoiSet

SMALL = {"words": 20, "components": 4, "patch_size": 5, "step": 4, "sample": 2000}


def textured(n=24, classes=3, seed=0):
    """Return ROIs that differ in the stripes they show in one corner, two of each patient, and their patients."""
    random = np.random.default_rng(seed)
    label = np.arange(n) // 2 % classes
    images = random.normal(0.5, 0.03, (n, 64, 64))
    for image, value in zip(images, label, strict=True):
        image[10:40, 10:40] += 0.3 * np.sin(np.arange(30) * (0.5 + value))
    patient = np.array([f"P{seed}{number // 2:03d}" for number in range(n)])
    images = np.clip(images, 0, 1)[..., None].astype(np.float32)
    return RoiSet(images, label, frozenset(patient.tolist()), np.array([f"L{number}" for number in range(n)])), patient


ROIS, PATIENT = textured()


def train(representation, rois=ROIS, patient=PATIENT, k=3, **more):
    settings = {"classes": [f"class {number}" for number in range(k)], "seed": 0, **SMALL, **more}
    return words.train_bovw(rois, patient, representation=representation, **settings)


# Patches and dictionary


def test_patches_are_those_of_the_image():
    image = np.arange(64 * 64, dtype=np.float32).reshape(1, 64, 64, 1)
    dense = words.image_patches(image)
    assert dense.shape == (1, 54, 54, 121)
    np.testing.assert_array_equal(dense[0, 7, 9].reshape(11, 11), image[0, 7:18, 9:20, 0])
    np.testing.assert_array_equal(words.image_patches(image, 5, 3), words.image_patches(image, 5)[:, ::3, ::3])


def test_vocabulary_finds_the_nearest_word_of_every_patch():
    vocabulary = words.learn_vocabulary(ROIS, seed=0, **SMALL)
    assert len(vocabulary) == 20 and vocabulary.note == "" and vocabulary.centres.shape == (20, 4)
    found = vocabulary.word_map(ROIS.images[:2])
    patches = words.image_patches(ROIS.images[:2], 5, 4).reshape(-1, 25)
    distance = np.linalg.norm(vocabulary.pca.transform(patches)[:, None] - vocabulary.centres, axis=2)
    np.testing.assert_array_equal(found.ravel(), distance.argmin(axis=1))
    counts = vocabulary.count(ROIS.images[:2])
    assert counts.shape == (2, 20) and counts.dtype == np.float32
    np.testing.assert_array_equal(counts[1], np.bincount(found[1].ravel(), minlength=20))
    assert vocabulary.count(ROIS.images[:0]).shape == (0, 20)
    pictures = vocabulary.pictures()
    assert pictures.shape == (20, 5, 5) and (np.diff(pictures.mean(axis=(1, 2))) > -1e-6).all(), "dark to bright"


@pytest.mark.parametrize(("size", "step"), [(5, 1), (4, 1), (11, 3), (64, 1)])
def test_with_an_outline_only_patches_in_and_near_it_count(size, step):
    vocabulary = words.learn_vocabulary(ROIS, seed=0, **SMALL | {"patch_size": size, "step": step})
    outline = np.zeros((2, 64, 64), bool)
    outline[0, 30, 24] = True  # with the boundary a diamond of 2 b (b + 1) + 1 pixels, b = words.BOUNDARY
    counts = vocabulary.count(ROIS.images[:2], outline)
    row, column = np.mgrid[0 : 65 - size : step, 0 : 65 - size : step] + size // 2
    near = np.abs(row - 30) + np.abs(column - 24) <= words.BOUNDARY
    found = vocabulary.word_map(ROIS.images[:1])[0]
    np.testing.assert_array_equal(counts[0], np.bincount(found[near], minlength=len(vocabulary)))
    assert not counts[1].any(), "no outline, no words"
    whole = vocabulary.count(ROIS.images[:1], np.ones((1, 64, 64), bool))
    np.testing.assert_array_equal(whole, vocabulary.count(ROIS.images[:1]))


def test_frequencies_forget_how_many_patches_there_were():
    counts = np.array([[9, 16, 0], [0, 0, 0], [18, 32, 0]])
    np.testing.assert_allclose(words.word_frequencies(counts), [[0.6, 0.8, 0], [0, 0, 0], [0.6, 0.8, 0]])


def test_same_seed_gives_the_same_words_and_another_seed_others():
    one, same, other = (words.learn_vocabulary(ROIS, seed=seed, **SMALL).centres for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_too_few_patches_make_fewer_words_and_a_note():
    few = words.learn_vocabulary(ROIS.first(1), seed=0, **(SMALL | {"words": 750, "step": 8}))
    assert len(few) == 64 // words.PATCHES_PER_WORD
    assert few.note == "64 patches (64 different) make 12 words in place of 750"
    model = train("multi", words=750, step=16, sample=100)
    assert "words in place of 750" in model.note and model.predict(ROIS.images).shape == (24, 3)


def test_constant_images_are_words_like_any_other():
    grey = np.repeat(np.array([0.2, 0.5, 0.8]), 4)
    images = np.broadcast_to(grey[:, None, None, None], (12, 64, 64, 1)).astype(np.float32)
    rois = RoiSet(images, np.repeat([0, 1, 2], 4), frozenset(), np.full(12, ""))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vocabulary = words.learn_vocabulary(rois, seed=0, **SMALL)
        assert len(vocabulary) == 3 and "(3 different) make 3 words in place of 20" in vocabulary.note
        assert (vocabulary.count(images) > 0).sum(axis=1).tolist() == [1] * 12
        model = train("single", rois, np.arange(12).astype(str), share=1.0)
        np.testing.assert_array_equal(model.predict(images).argmax(axis=1), rois.label)
    one_grey = RoiSet(np.full((6, 64, 64, 1), 0.5, np.float32), np.arange(6) % 2, frozenset(), np.full(6, ""))
    with pytest.raises(DataError, match="one and the same grey: there is nothing to learn; check window_level"):
        train("multi", one_grey, np.arange(6).astype(str), k=2)


# Mutual information


@pytest.mark.parametrize("k", [2, 4])
def test_information_is_that_of_scikit_learn(k):
    random = np.random.default_rng(0)
    label = random.integers(0, k, 40)
    counts = random.poisson(0.2 + 2 * label[:, None] * random.uniform(0, 1, 12), (40, 12))
    ours = words.word_information(counts, label)
    present = counts > np.median(counts, axis=0)
    theirs = [mutual_info_score(column, label) for column in present.T]
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
    np.testing.assert_allclose(ours, mutual_info_classif(present, label, discrete_features=True), atol=1e-12)
    assert ours.max() > 0.1


def test_information_at_its_ends():
    label = np.repeat([0, 1], 10)
    counts = np.column_stack([label, 1 - label, np.ones(20), np.zeros(20), 100 + label, np.tile([0, 1], 10)])
    np.testing.assert_allclose(words.word_information(counts, label), np.log(2) * np.array([1, 1, 0, 0, 1, 0]), atol=1e-12)


def test_word_in_fewer_than_half_of_the_images_counts_by_plain_occurrence():
    label = np.repeat([0, 1, 2], 10)
    counts = np.zeros((30, 1))
    counts[[0, 3, 5, 12], 0] = [1, 7, 2, 1]
    assert words.word_information(counts, label)[0] == pytest.approx(mutual_info_score(counts[:, 0] > 0, label))


# The classifier


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("representation", words.REPRESENTATIONS)
def test_model_learns_and_gives_probabilities(representation, k):
    rois, patient = textured(12 * k, k)
    model = train(representation, rois, patient, k, share=0.2)
    new, _ = textured(12 * k, k, seed=1)
    probability = model.predict(new.images)
    assert probability.shape == (12 * k, k) and probability.dtype == np.float32
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)
    assert (probability.argmax(axis=1) == new.label).mean() > 0.8
    np.testing.assert_array_equal(model.predict_counts(model.vocabulary.count(new.images)), probability)
    np.testing.assert_array_equal(train(representation, rois, patient, k, share=0.2).predict(new.images), probability)


def test_paper_keeps_262_and_23_of_750_words():
    random = np.random.default_rng(0)
    counts = random.poisson(3, (24, 750)).astype(np.float32)
    vocabulary = words.Vocabulary(None, np.zeros((750, 10), np.float32), 11, 1)
    single, multi = (train(name, vocabulary=vocabulary, counts=counts) for name in ("single", "multi"))
    assert {name: len(kept) for name, kept in single.kept.items()} == {"all classes": 262}
    assert {name: len(kept) for name, kept in multi.kept.items()} == {"class 0": 23, "class 1": 23, "class 2": 23}
    information = words.word_information(words.word_frequencies(counts), ROIS.label == 1)
    np.testing.assert_allclose(multi.information["class 1"], information)
    own = information[multi.kept["class 1"]]
    assert (np.diff(own) <= 0).all() and own.min() >= np.delete(information, multi.kept["class 1"]).max()


def test_words_of_the_test_images_have_no_say():
    model = train("single")
    changed = RoiSet(np.concatenate([ROIS.images, np.ones((5, 64, 64, 1), np.float32)]), *(None,) * 3).images
    np.testing.assert_allclose(model.predict(changed)[:24], model.predict(ROIS.images), atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"representation": "both"}, "'representation' is 'both'; choose one of single, multi"),
        ({"share": 0}, "'share' is 0; choose above 0"),
        ({"share": 1.5}, "'share' is 1.5"),
        ({"words": 0}, "'words' is 0; it must be a whole number of at least 1"),
        ({"step": 0}, "'step' is 0"),
        ({"patch_size": 65, "components": 2}, "'patch_size' is 65, larger than the image"),
        ({"components": 26}, "'components' is 26; a patch of 5x5 pixels has 25"),
    ],
)
def test_bad_settings_are_errors(change, message):
    with pytest.raises(SettingsError, match=message):
        train(**({"representation": "single"} | change))


def test_missing_images_and_classes_are_errors():
    with pytest.raises(DataError, match="no training image to learn visual words from"):
        train("single", ROIS.first(0), PATIENT[:0])
    two = ROIS.label < 2
    with pytest.raises(DataError, match="class 'class 2' has no lesion in the training fold"):
        train("multi", ROIS.take(two), PATIENT[two])


def test_class_with_one_patient_is_trained_without_an_inner_choice():
    patient = np.where(ROIS.label == 0, "P9999", PATIENT)
    model = train("multi", patient=patient)
    assert "too few patients for an inner split" in model.note
    assert model.predict(random_rois(4).images).shape == (4, 3)
