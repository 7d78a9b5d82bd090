"""Training the CNN: it learns, it repeats itself bit for bit, and it says what went wrong."""

import keras
import numpy as np
import pytest
from conftest import random_rois

from lesion_utils.classifier import Trainer
from lesion_utils.errors import LesionBookError
from lesion_utils.tensorflow_steps import NesterovMomentum

SETTINGS = {"epochs": 2, "batch_size": 8, "learning_rate": 0.01, "momentum": 0.9, "precision": "float32"}


@pytest.fixture(scope="module")
def trainer():
    """One compilation for all tests; every training starts from its own initial weights."""
    return Trainer(2, **SETTINGS)


def weights(classifier):
    return [variable.numpy() for variable in classifier.model.trainable_variables]


def same(first, second):
    return all(np.array_equal(one, two) for one, two in zip(weights(first), weights(second), strict=True))


def test_training_reduces_the_loss_and_separates_two_easy_classes(trainer):
    losses = []
    trained = trainer.train(random_rois(80), seed=0, on_epoch=lambda epoch, loss: losses.append((epoch, loss)))
    assert [epoch for epoch, _ in losses] == [1, 2]
    assert losses[1][1] < losses[0][1] < 1.5
    fresh = random_rois(30, seed=9)
    probability = trained.predict(fresh.images)
    assert probability.shape == (30, 2) and probability.dtype == np.float32
    assert (probability.argmax(axis=1) == fresh.label).mean() > 0.9


def test_same_seed_gives_the_same_bits_after_other_trainings(trainer):
    rois = random_rois(21)  # the last batch of an epoch has five
    first = trainer.train(rois, seed=4)
    other = trainer.train(random_rois(16, seed=1), seed=5)
    again = trainer.train(rois, seed=4)
    assert same(first, again)
    np.testing.assert_array_equal(first.predict(rois.images), again.predict(rois.images))
    assert not same(first, other) and not same(first, trainer.train(rois, seed=6))
    assert same(first, Trainer(2, **SETTINGS).train(rois, seed=4)), "nor does the order of trainings matter"


@pytest.mark.parametrize("nesterov", [True, False])
def test_momentum_as_one_operation_is_that_of_keras(nesterov):
    values = []
    for kind in (keras.optimizers.SGD, NesterovMomentum):
        variable = keras.Variable(np.linspace(-1, 1, 7), dtype="float32")
        optimizer = kind(0.01, momentum=0.9, nesterov=nesterov)
        for step in range(20):
            optimizer.apply([keras.ops.sin(keras.ops.arange(7, dtype="float32") + step)], [variable])
        values.append(variable.numpy())
        assert int(optimizer.iterations) == 20
    np.testing.assert_allclose(values[1], values[0], rtol=1e-6)
    assert np.abs(values[0] - np.linspace(-1, 1, 7)).min() > 1e-3, "and it has moved"


def test_earlier_classifiers_keep_their_weights(trainer):
    rois = random_rois(16)
    first = trainer.train(rois, seed=0)
    before = first.predict(rois.images)
    trainer.train(rois, seed=1)
    np.testing.assert_array_equal(first.predict(rois.images), before)


def test_features_are_what_the_last_layer_sees(trainer):
    rois = random_rois(9)
    trained = trainer.train(rois, seed=0)
    features = trained.features(rois.images, batch_size=4)
    assert features.shape == (9, 256) and features.dtype == np.float32 and (features >= 0).all()
    last = trained.model.get_layer("scores")
    logit = features @ last.kernel.numpy() + last.bias.numpy()
    probability = np.exp(logit) / np.exp(logit).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probability, trained.predict(rois.images), rtol=1e-4)
    assert trained.features(rois.images[:0]).shape == (0, 256)


def test_mean_image_of_the_training_set_is_subtracted(trainer):
    rois = random_rois(16)
    trained = trainer.train(rois, seed=0)
    np.testing.assert_array_equal(trained.mean_image, rois.images.mean(axis=0))
    expected = trained.model(rois.images - rois.images.mean(axis=0), training=False).numpy()
    np.testing.assert_array_equal(trained.predict(rois.images), expected)
    np.testing.assert_allclose(trained.predict(rois.images, batch_size=5), expected, atol=1e-6)
    assert trained.predict(rois.images[:0]).shape == (0, 2)


def test_fewer_images_than_a_batch_are_enough(trainer):
    losses = []
    trainer.train(random_rois(5), seed=0, on_epoch=lambda epoch, loss: losses.append(loss))
    assert np.isfinite(losses).all() and len(losses) == 2


def test_mean_loss_counts_every_image_once():
    still = Trainer(2, **(SETTINGS | {"learning_rate": 1e-12, "epochs": 1}))
    rois, losses = random_rois(21), []
    trained = still.train(rois, seed=0, on_epoch=lambda epoch, loss: losses.append(loss))
    probability = trained.predict(rois.images)[np.arange(21), rois.label]
    assert losses[0] == pytest.approx(-np.log(probability).mean(), abs=0.02)  # dropout is on in training


def test_no_images_are_an_error(trainer):
    with pytest.raises(LesionBookError, match="arm real, fold 1: no training images"):
        trainer.train(random_rois(4).take([]), seed=0, where="arm real, fold 1")


def test_loss_that_is_not_a_number_is_an_error_that_names_unit_and_epoch(trainer):
    epochs, too_fast = [], Trainer(2, **(SETTINGS | {"learning_rate": 1e6}))
    with pytest.raises(
        LesionBookError, match="arm dcgan, fold 2: the loss or a weight is not a number in epoch 1.*learning_rate.*1000000"
    ):
        too_fast.train(random_rois(32), seed=0, where="arm dcgan, fold 2", on_epoch=lambda epoch, loss: epochs.append(epoch))
    assert epochs == []


def test_images_that_are_not_numbers_are_an_error(trainer):
    rois = random_rois(16)
    rois.images[3, 5, 5] = np.nan
    with pytest.raises(LesionBookError, match="arm dcgan, fold 2: training images hold values that are not numbers"):
        trainer.train(rois, seed=0, where="arm dcgan, fold 2")
