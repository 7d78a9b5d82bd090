"""Trainings with JAX (`make jax`): the same bits again and after a cut, networks saved and read, classifiers side by side."""

import os

os.environ["KERAS_BACKEND"] = "jax"
# Little optimised: what is run here is short, and compiling it takes longer.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"

import numpy as np
import pytest
from conftest import random_rois

from lesion_utils import acgan, better_gans, gan_training, gans, steps
from lesion_utils.classifier import Trainer
from lesion_utils.parallel import side_by_side

CLASSES, BATCH_SIZE = 3, 4
ROIS = random_rois(10, classes=CLASSES)
GAN = {"generator_width": 8, "discriminator_width": 4, "batch_size": BATCH_SIZE, "learning_rate": 2e-3, "beta_1": 0.5}
GAN |= {"noise": "uniform"}
EVERYTHING = {"augmentation": better_gans.ALL, "averaging": 0.9, "spectral_norm": True, "r1": 0.5}
CNN = {"width": 4, "epochs": 2, "batch_size": BATCH_SIZE, "learning_rate": 0.01, "momentum": 0.9}
KINDS = {
    "dcgan, two updates": lambda precision: gans.Dcgan(generator_updates=2, precision=precision, **GAN),
    "better acgan": lambda precision: better_gans.BetterAcgan(classes=CLASSES, precision=precision, **GAN, **EVERYTHING),
}


def trained(gan, folder, cut):
    """Train a GAN for two epochs, cut off before the first or after it; return its state."""

    class Cut(Exception):
        pass

    def stop(epochs):
        if gan.epoch == cut:
            raise Cut

    how = {"epochs": 2, "saved_epochs": 1, "seed": 5, "where": "GAN"}
    with pytest.raises(Cut):
        gan_training.train_gan(gan, ROIS, folder, on_epoch=stop, **how)
    gan.start(seed=9)  # nothing may hang on what the object still holds
    gan_training.train_gan(gan, ROIS, folder, **how)
    return gan.state()


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_training_that_was_cut_off_ends_with_the_same_bits(kind, precision, tmp_path, monkeypatch):
    monkeypatch.setattr(gan_training, "CHECKPOINT_SECONDS", 0)
    gan = KINDS[kind](precision)
    whole, resumed = (trained(gan, tmp_path / str(cut), cut) for cut in (0, 1))
    assert whole.keys() == resumed.keys() and any(name.startswith("average_") for name in whole) == (kind == "better acgan")
    for name, value in whole.items():
        np.testing.assert_array_equal(value, resumed[name], err_msg=name)
    history = whole["history"]
    assert history[:, 0].tolist() == [1, 2] and np.isfinite(history).all() and len(np.unique(history[:, 1])) == 2
    assert int(gan.generator_optimizer.iterations) == 4 * gan.settings["generator_updates"]
    saved = gan_training.load_generator(tmp_path / "0", 2)
    for own, other in zip(gan.generator.variables, saved.variables, strict=True):
        np.testing.assert_array_equal(own, other)


def test_better_gans_are_saved_drawn_from_and_name_classes(tmp_path):
    gan = KINDS["better acgan"]("float32")
    gan_training.train_gan(gan, ROIS, tmp_path, epochs=1, saved_epochs=1, seed=0, where="GAN")
    drawing = {"per_class": 3, "classes": CLASSES, "kept_share": 0.5, "noise": "uniform", "seeds": (1, 2, 3)}
    drawn = better_gans.draw(tmp_path, 1, "augmented_averaged_rejection", patients=frozenset(), **drawing).images
    assert drawn.shape == (9, 64, 64, 1) and drawn.std() > 1e-3 and drawn.min() >= 0 and drawn.max() <= 1
    np.testing.assert_allclose(acgan.classify(tmp_path, ROIS.images, batch_size=7).sum(axis=1), np.ones(len(ROIS)), atol=1e-5)
    loaded = gan_training.load_network(tmp_path, "discriminator", 1)
    for one, other in zip(*(steps.infer(model, ROIS.images) for model in (loaded, gan.discriminator)), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_classifiers_trained_side_by_side_follow_their_seeds(precision):
    pool, losses = [Trainer(CLASSES, precision=precision, **CNN) for _ in range(2)], []
    tasks = [
        lambda trainer, advance, seed=seed: trainer.train(ROIS, seed=seed, on_epoch=lambda epoch, loss: losses.append(loss))
        for seed in (1, 2, 1)
    ]
    first, other, again = side_by_side(pool, tasks, total=3, description="classifiers")
    probability = first.predict(ROIS.images)
    np.testing.assert_array_equal(probability, again.predict(ROIS.images))
    assert not np.array_equal(probability, other.predict(ROIS.images))
    assert np.isfinite(losses).all() and len(losses) == 6
    tolerance = 1e-6 if precision == "float32" else 0.02
    np.testing.assert_allclose(first.predict(ROIS.images[:7]), probability[:7], atol=tolerance)
    features = first.features(ROIS.images, batch_size=4)
    assert features.shape == (10, 32) and features.dtype == np.float32 and (features >= 0).all()
