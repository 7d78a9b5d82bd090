"""Options of GANs, each against a closed form or a reference."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import random_rois

from lesion_utils import gan_options, networks
from lesion_utils.errors import SettingsError

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.uniform(-1, 1, (5, 64, 64, 1)).astype(np.float32)
NUMBERS = RANDOM.random((5, gan_options.NUMBERS), np.float32)


def shifted(image, down, right):
    """Return a (64, 64) image moved by whole pixels, with zeros where nothing comes in."""
    moved = np.zeros_like(image)
    height, width = image.shape
    moved[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = image[
        max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)
    ]
    return moved


# Augmentation


def test_names_of_techniques_are_read_in_any_order_and_unknown_ones_are_errors():
    assert gan_options.techniques("") == ()
    assert gan_options.techniques("cutout, colour") == ("colour", "cutout")
    with pytest.raises(SettingsError, match="'augmentation' is 'saturation'; choose one of colour, translation, cutout"):
        gan_options.techniques("colour,saturation")


def test_no_technique_leaves_images_alone():
    np.testing.assert_array_equal(gan_options.augment(tf.constant(IMAGES), (), NUMBERS), IMAGES)


@pytest.mark.parametrize(("down", "right"), [(0, 0), (-8, 8), (8, -8), (3, -5), (-1, 0)])
def test_translation_moves_by_known_offsets(down, right):
    numbers = NUMBERS.copy()
    numbers[:, 2], numbers[:, 3] = ((offset + 8.5) / 17 for offset in (down, right))
    moved = gan_options.augment(tf.constant(IMAGES), ("translation",), numbers).numpy()
    for image, own in zip(IMAGES, moved, strict=True):
        np.testing.assert_array_equal(own[..., 0], shifted(image[..., 0], down, right))


def test_translations_are_whole_pixels_from_minus_to_plus_eight_each_as_often():
    spot = np.zeros((4000, 64, 64, 1), np.float32)
    spot[:, 32, 32] = 1
    numbers = np.random.default_rng(1).random((4000, gan_options.NUMBERS), np.float32)
    _, row, column, _ = np.nonzero(gan_options.augment(tf.constant(spot), ("translation",), numbers).numpy())
    assert len(row) == 4000
    for place in (row, column):
        counts = np.bincount(place - 24, minlength=17)
        assert len(counts) == 17 and counts.min() > 170 and counts.max() < 310
    assert abs(np.corrcoef(row, column)[0, 1]) < 0.05


@pytest.mark.parametrize("centre", [0, 10, 32, 64])
def test_cutout_sets_a_square_to_zero_and_nothing_else(centre):
    numbers = NUMBERS.copy()
    numbers[:, 4], numbers[:, 5] = (centre + 0.5) / 65, 40.5 / 65
    cut = gan_options.augment(tf.constant(IMAGES), ("cutout",), numbers).numpy()
    expected = IMAGES.copy()
    expected[:, max(0, centre - 16) : centre + 16, 24:56] = 0
    np.testing.assert_array_equal(cut, expected)


def test_colour_is_brightness_then_contrast_about_the_own_mean():
    seen = gan_options.augment(tf.constant(IMAGES), ("colour",), NUMBERS).numpy()
    for image, own, (brightness, contrast, *_) in zip(IMAGES.astype(float), seen, NUMBERS, strict=True):
        mean = image.mean() + brightness - 0.5
        np.testing.assert_allclose(own, (image - image.mean()) * (contrast + 0.5) + mean, atol=1e-5)


def test_all_techniques_let_the_gradient_through():
    images = tf.constant(IMAGES)
    weight = np.random.default_rng(2).normal(size=IMAGES.shape).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(images)
        seen = gan_options.augment(images, gan_options.TECHNIQUES, NUMBERS)
        total = tf.reduce_sum(seen * weight)
    gradient = tape.gradient(total, images).numpy()
    assert seen.shape == gradient.shape == IMAGES.shape
    # The augmentation is linear but for a constant: a step along a direction changes the sum by gradient times direction.
    step = np.random.default_rng(3).normal(size=IMAGES.shape).astype(np.float32)
    after = gan_options.augment(images + step, gan_options.TECHNIQUES, NUMBERS)
    assert float(tf.reduce_sum((after - seen) * weight)) == pytest.approx((gradient * step).sum(), rel=1e-3)
    for image in gradient:
        assert 0.2 < (image != 0).mean() <= 1


def test_discriminator_sees_every_call_and_step_through_other_numbers():
    seen = []

    class Eye:
        trainable_variables = ("w",)

        def __call__(self, images, training):
            seen.append(images.numpy())
            return images

    noise = np.random.default_rng(0).uniform(-1, 1, (2, 1, 5, 100)).astype(np.float32)
    for step in (0, 1, 0):
        eye = gan_options.Augmented(Eye(), ("colour",), gan_options.seed_of(tf.constant(noise[step])))
        assert eye.trainable_variables == ("w",)
        eye(tf.constant(IMAGES), training=True)
        eye(tf.constant(IMAGES), training=True)
    changes = [(image - IMAGES).std(axis=(1, 2, 3)) for image in seen]
    for one, two in ((0, 1), (0, 2), (1, 3)):
        assert not np.allclose(changes[one], changes[two], rtol=0.01)
    np.testing.assert_array_equal(seen[:2], seen[4:])


# The penalty and the norm


def test_penalty_of_a_linear_discriminator_is_half_the_squared_length_of_its_weights():
    weight = np.random.default_rng(4).normal(size=(64 * 64, 1)).astype(np.float32)

    def linear(images, training):
        return [tf.reshape(images, (len(images), -1)) @ weight + 3, None]

    penalty = gan_options.slope_penalty(linear, tf.constant(IMAGES), 0.5)
    assert float(penalty) == pytest.approx(0.25 * (weight**2).sum(), rel=1e-4)


def test_penalty_has_a_gradient_in_the_weights():
    weight = tf.Variable(2.0)

    def quadratic(images, training):  # logit w * sum(x^2) / 2 has the gradient w x
        return [weight * tf.reduce_sum(images**2, axis=(1, 2, 3))[:, None] / 2, None]

    with tf.GradientTape() as tape:
        penalty = gan_options.slope_penalty(quadratic, tf.constant(IMAGES), 3.0)
    squares = (IMAGES.astype(float) ** 2).sum(axis=(1, 2, 3)).mean()
    assert float(penalty) == pytest.approx(1.5 * 4 * squares, rel=1e-4)
    assert float(tape.gradient(penalty, weight)) == pytest.approx(1.5 * 4 * squares, rel=1e-4)


def largest_singular_value(kernel):
    return np.linalg.svd(np.reshape(kernel, (-1, kernel.shape[-1])), compute_uv=False)[0]


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_spectral_norm_of_every_layer_is_one(precision):
    discriminator = networks.auxiliary_discriminator(3, width=4, normalisation="spectral", precision=precision, seed=3)
    wrapped = [layer for layer in discriminator.layers if isinstance(layer, keras.layers.SpectralNormalization)]
    assert len(wrapped) == 6 and not any(isinstance(layer, keras.layers.BatchNormalization) for layer in discriminator.layers)
    before = [largest_singular_value(layer.layer.kernel.numpy()) for layer in wrapped]
    assert max(abs(value - 1) for value in before) > 0.2
    for _ in range(60):
        discriminator(IMAGES, training=True)
    after = [layer.layer.kernel.numpy() for layer in wrapped]
    np.testing.assert_allclose([largest_singular_value(kernel) for kernel in after], 1, atol=0.03)
    assert all(kernel.dtype == np.float32 for kernel in after)
    rounded = [(kernel == np.float32(tf.cast(kernel, tf.bfloat16))).mean() for kernel in after]
    assert max(rounded) < 0.1, "weights stay float32, not bfloat16 ones"


def test_spectral_discriminator_begins_the_same_from_the_same_seed():
    one, two, other = (
        [
            variable.numpy()
            for variable in networks.auxiliary_discriminator(3, width=2, normalisation="spectral", seed=seed).variables
        ]
        for seed in (3, 3, 4)
    )
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first, second)
    differ = [not np.array_equal(first, second) for first, second in zip(one, other, strict=True)]
    assert sum(differ) == 12, "kernels and vectors; biases begin at zero"


# The average


def test_average_follows_the_recurrence():
    average, weight = tf.Variable([1.0, 2.0]), tf.Variable([0.0, 0.0])
    expected, values = np.array([1.0, 2.0]), np.random.default_rng(5).normal(size=(30, 2)).astype(np.float32)
    for step, value in enumerate(values, start=1):
        weight.assign(value)
        gan_options.update_average([average], [weight], gan_options.decay_at(step, 0.7))
        decay = min(0.7, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    np.testing.assert_allclose(average.numpy(), expected, rtol=1e-4)


def test_decay_begins_small_and_ends_as_asked():
    decays = [float(gan_options.decay_at(step, 0.999)) for step in (0, 1, 90, 10_000_000)]
    assert decays == pytest.approx([0.1, 2 / 11, 0.91, 0.999])


def test_settled_statistics_are_the_means_over_the_batches():
    noise, image = keras.Input((3,)), keras.layers.BatchNormalization(momentum=0.9)
    network = keras.Model(noise, image(noise))
    batches = np.random.default_rng(6).normal(2, 3, (7, 20, 3)).astype(np.float32)
    image.moving_mean.assign([100.0, 100.0, 100.0])  # of other weights; must not remain
    gan_options.settle(network, batches)
    np.testing.assert_allclose(image.moving_mean.numpy(), batches.mean(axis=(0, 1)), rtol=1e-4)
    np.testing.assert_allclose(image.moving_variance.numpy(), batches.var(axis=1).mean(axis=0), rtol=1e-3)
    assert image.momentum == 0.9


# Rejection


def test_realness_is_the_log_probability_of_real_and_of_the_class():
    discriminator = networks.auxiliary_discriminator(3, width=4, seed=5)
    rois = random_rois(9, classes=3)
    logit, class_logit = (part.numpy().astype(float) for part in discriminator(rois.images * 2 - 1, training=False))
    odds = np.exp(class_logit)
    expected = -np.log1p(np.exp(-logit[:, 0])) + np.log(odds[np.arange(9), rois.label] / odds.sum(axis=1))
    found = gan_options.realness(discriminator, rois.images, rois.label, batch_size=4)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert gan_options.realness(discriminator, rois.images[:0], rois.label[:0]).shape == (0,)


def test_exactly_the_top_share_is_kept_in_the_order_of_drawing():
    scores = np.random.default_rng(7).permutation(100)
    kept = gan_options.best(scores, 30)
    assert set(scores[kept]) == set(range(70, 100)) and (np.diff(kept) > 0).all()
    np.testing.assert_array_equal(gan_options.best([1, 1, 1, 0], 2), [0, 1])
    np.testing.assert_array_equal(gan_options.best([1, 2], 2), [0, 1])
    with pytest.raises(SettingsError, match="3 images are to be kept of 2 that were drawn; lower 'kept_share'"):
        gan_options.best([1, 2], 3)
