"""Training an ACGAN: both losses name the class, one run of the generator a step, and the discriminator as a classifier."""

import os

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from conftest import random_rois
from test_gans import Counted, Recorder, assert_same

from lesion_utils import acgan, gan_training, gans, networks, sampling
from lesion_utils.errors import MissingInputError

CLASSES = 3
TINY = {
    "classes": CLASSES,
    "generator_width": 16,
    "discriminator_width": 4,
    "batch_size": 6,
    "learning_rate": 2e-3,
    "beta_1": 0.5,
    "noise": "uniform",
    "precision": "float32",
}
ROIS = random_rois(30, classes=CLASSES)


@pytest.fixture(scope="module")
def gan():
    """One compilation for all tests."""
    return acgan.Acgan(**TINY)


def train(gan, folder, *, epochs=2, seed=0, **more):
    settings = {"epochs": epochs, "saved_epochs": 1, "seed": seed, "where": "ACGAN, fold 0"}
    return gan_training.train_gan(gan, ROIS, folder, **(settings | more))


def test_class_loss_is_the_cross_entropy():
    logit = np.array([[2.0, 0.0, -1.0], [0.0, 1.0, 3.0]], np.float32)
    probability = np.exp(logit) / np.exp(logit).sum(axis=1, keepdims=True)
    assert float(acgan.class_loss(logit, np.array([0, 1]))) == pytest.approx(
        -np.log(probability[[0, 1], [0, 1]]).mean(), rel=1e-5
    )


def test_step_runs_the_generator_once_and_gives_the_gradients_of_the_papers_losses():
    def nets():
        return networks.conditional_generator(CLASSES, width=16, seed=1), networks.auxiliary_discriminator(
            CLASSES, width=2, seed=2
        )

    random = np.random.default_rng(0)
    real = tf.constant(random.uniform(-1, 1, (6, 64, 64, 1)).astype(np.float32))
    label, asked = tf.constant([0, 1, 2, 0, 1, 2]), tf.constant([2, 2, 1, 0, 1, 0])
    noise = tf.constant(gans.draw_noise((6, 100), "uniform", random))
    generator, discriminator = (Counted(model) for model in nets())
    generator.input = generator.model.input
    ours_g, ours_d = Recorder(), Recorder()
    measures = acgan.acgan_step(generator, discriminator, ours_g, ours_d, real, label, noise, asked).numpy()
    assert (generator.calls, discriminator.calls) == (1, 2)

    generator, discriminator = nets()
    wanted = tf.one_hot(asked, CLASSES)

    def named(logit, true):  # written out: mean of minus the logarithm of the true class's probability
        return -tf.reduce_mean(tf.gather(tf.nn.log_softmax(logit), true, batch_dims=1))

    with tf.GradientTape() as tape:
        (real_logit, real_class), (fake_logit, fake_class) = (
            discriminator(images, training=True) for images in (real, generator([noise, wanted], training=True))
        )
        loss_d = gans.discriminator_loss(real_logit, fake_logit) + named(real_class, label) + named(fake_class, asked)
    expected_d = tape.gradient(loss_d, discriminator.trainable_variables)
    with tf.GradientTape() as tape:
        fake_logit, fake_class = discriminator(generator([noise, wanted], training=True), training=True)
        loss_g = gans.generator_loss(fake_logit) + named(fake_class, asked)
    expected_g = tape.gradient(loss_g, generator.trainable_variables)
    for ours, expected in ((ours_d, expected_d), (ours_g, expected_g)):
        for one, two in zip(ours.gradients, expected, strict=True):
            np.testing.assert_allclose(one, two.numpy(), rtol=2e-4, atol=1e-6)
        assert max(np.abs(gradient).max() for gradient in ours.gradients) > 1e-4
    right = [np.mean(part.numpy().argmax(axis=1) == true) for part, true in ((real_class, label), (fake_class, asked))]
    np.testing.assert_allclose(measures[:2], [loss_d, loss_g], rtol=1e-4)
    np.testing.assert_allclose(measures[4:], right, atol=1e-6)


def test_classes_are_asked_for_evenly_and_the_same_again(gan, monkeypatch):
    seen = []

    def steps(images, order, shown, noise, asked):
        np.testing.assert_array_equal(shown, ROIS.label[order])
        seen.append(asked)
        return np.zeros(6, np.float32)

    monkeypatch.setattr(gan, "_run_steps", steps)
    for _ in range(2):
        gan.start(seed=0)
        for _ in range(60):
            gan.train_epoch(ROIS.images, ROIS.label)
    share = np.bincount(np.ravel(seen[:60]), minlength=CLASSES) / np.size(seen[:60])
    np.testing.assert_allclose(share, 1 / CLASSES, atol=0.05)
    assert_same(seen[:60], seen[60:])


def test_it_learns_to_name_the_classes_and_keeps_its_discriminator(gan, tmp_path):
    history = train(gan, tmp_path, epochs=20)
    assert sorted(os.listdir(tmp_path)) == ["discriminator.keras", "epoch_0020.keras", "history.csv"]
    assert list(history.columns) == ["epoch", *gan.measures]
    assert history["class_real"].iloc[-8:].mean() > 0.85, "classes of three brightnesses are easy"
    probability = acgan.classify(tmp_path, ROIS.images, batch_size=7)
    assert probability.shape == (30, CLASSES) and probability.dtype == np.float32
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-5)
    with pytest.raises(MissingInputError, match="discriminator.keras is missing: run notebooks/04_acgan.ipynb"):
        acgan.classify(tmp_path / "elsewhere", ROIS.images)


def test_class_and_noise_both_change_what_is_drawn():
    generator = networks.conditional_generator(CLASSES, width=16, seed=3)
    draw = {"noise": "uniform", "seed": 5}
    first = sampling.sample_images(generator, 4, class_weights=acgan.class_weights(0, CLASSES), **draw)
    other = sampling.sample_images(generator, 4, class_weights=acgan.class_weights(2, CLASSES), **draw)
    between = sampling.sample_images(generator, 4, class_weights=[0.5, 0, 0.5], **draw)
    assert first.shape == (4, 64, 64, 1) and first.min() >= 0 and first.max() <= 1
    for one, two in ((first, other), (first, between), (between, other), (first[:1], first[1:2])):
        assert not np.array_equal(one, two)
    again = sampling.sample_images(generator, 4, class_weights=acgan.class_weights(0, CLASSES), **draw)
    np.testing.assert_array_equal(first, again)


def test_training_that_was_cut_off_ends_with_the_same_bits(gan, tmp_path):
    class Cut(Exception):
        pass

    def cut(epochs):
        if gan.epoch == 2:
            raise Cut

    with pytest.raises(Cut):
        train(gan, tmp_path / "cut", epochs=4, seed=7, on_epoch=cut)
    resumed = train(gan, tmp_path / "cut", epochs=4, seed=7)
    state = gan.state()
    whole = train(gan, tmp_path / "whole", epochs=4, seed=7)
    pd.testing.assert_frame_equal(resumed.astype(float), whole.astype(float))
    assert_same(list(state.values()), list(gan.state().values()))


@pytest.mark.parametrize("classes", [2, 5])
def test_networks_have_one_head_and_one_vector_a_class(classes):
    generator = networks.conditional_generator(classes, width=32)
    discriminator = networks.auxiliary_discriminator(classes, width=4)
    assert generator.get_layer("class_embedding").kernel.shape == (classes, networks.EMBEDDING_SIZE)
    assert [shape.shape[1:] for shape in discriminator.outputs] == [(1,), (classes,)]
    plain = networks.discriminator(width=4)
    assert discriminator.count_params() - plain.count_params() == classes * (4 * 4 * 32 + 1), "all but the head is the DCGAN's"
    channel = networks.EMBEDDING_SIZE * (classes + 16) + 16 + 5 * 5 * 16  # embedding, its 4x4 map, and who reads the map
    assert generator.count_params() - networks.generator(width=32).count_params() == channel


def test_first_normalisation_sees_the_noise_alone():
    """Else the class could give each channel its variance, and drown the noise: one image a class."""
    generator = networks.conditional_generator(CLASSES, width=16, seed=3)
    heard = keras.Model(generator.inputs, generator.get_layer("relu_0").output)
    noise = gans.draw_noise((6, 100), "uniform", np.random.default_rng(0))
    one, other = (heard([noise, np.tile(acgan.class_weights(label, CLASSES), (6, 1))], training=True) for label in (0, 2))
    np.testing.assert_array_equal(one, other)
    assert np.std(one, axis=0).mean() > 0.3
