"""Convolutions as products of matrices: TensorFlow's own results, gradients, and gradients of gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from lesion_utils import convolutions, networks

SIDES = (1, 3, 4, 6, 8)  # products both ways, products for the gradient alone


def arrays(side, size=5, precision="float32"):
    """Return a wide image, a small one and a kernel between them."""
    random = np.random.default_rng(side)
    shapes = ((2, 2 * side, 2 * side, 3), (2, side, side, 4), (size, size, 3, 4))
    return [tf.constant(random.normal(size=shape).astype(np.float32), precision) for shape in shapes]


def close(one, other, tolerance=1e-5):
    one, other = (np.asarray(tf.cast(array, tf.float32)) for array in (one, other))
    np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * np.abs(other).max())
    assert np.abs(other).max() > 0


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.02)])
@pytest.mark.parametrize("size", [3, 4, 5])
@pytest.mark.parametrize("side", SIDES)
def test_results_are_those_of_tensorflow(side, size, precision, tolerance):
    wide, small, kernel = arrays(side, size, precision)
    close(convolutions.shrink(wide, kernel), tf.nn.conv2d(wide, kernel, 2, "SAME"), tolerance)
    close(convolutions.grow(small, kernel), tf.nn.conv2d_transpose(small, kernel, wide.shape, 2, "SAME"), tolerance)
    usual = tf.raw_ops.Conv2DBackpropFilter(
        input=wide, filter_sizes=kernel.shape, out_backprop=small, strides=[1, 2, 2, 1], padding="SAME"
    )
    close(convolutions.between(wide, small, size), usual, tolerance)


def second_order(function, one, other):
    """Return gradients of a function of two arrays, and gradients of a sum over those."""
    with tf.GradientTape() as outer:
        outer.watch([one, other])
        with tf.GradientTape() as tape:
            tape.watch([one, other])
            total = tf.reduce_sum(tf.sin(function(one, other)))
        first = tape.gradient(total, [one, other])
        whole = tf.add_n([tf.reduce_sum(tf.cos(gradient)) for gradient in first])
    return [*first, *outer.gradient(whole, [one, other])]


@pytest.mark.parametrize("side", SIDES)
def test_gradients_and_their_gradients_are_those_of_tensorflow(side):
    wide, small, kernel = arrays(side)
    pairs = [
        (convolutions.shrink, lambda a, b: tf.nn.conv2d(a, b, 2, "SAME"), wide, kernel),
        (convolutions.grow, lambda a, b: tf.nn.conv2d_transpose(a, b, wide.shape, 2, "SAME"), small, kernel),
    ]
    for own, usual, one, other in pairs:
        for mine, theirs in zip(second_order(own, one, other), second_order(usual, one, other), strict=True):
            close(mine, theirs, 1e-4)


@pytest.mark.parametrize("side", [3, 6])
def test_gradient_by_the_kernel_has_gradients_too(side):
    wide, small, _ = arrays(side)
    with tf.GradientTape() as tape:
        tape.watch([wide, small])
        total = tf.reduce_sum(tf.sin(convolutions.between(wide, small, 5)))
    for image, gradient in zip((wide, small), tape.gradient(total, [wide, small]), strict=True):
        step = np.random.default_rng(1).normal(size=image.shape).astype(np.float32) * 1e-3
        moved = [[image + sign * step if other is image else other for other in (wide, small)] for sign in (1, -1)]
        one, two = (float(tf.reduce_sum(tf.sin(convolutions.between(*pair, 5)))) for pair in moved)
        assert (one - two) / 2 == pytest.approx(float(tf.reduce_sum(gradient * step)), rel=0.02, abs=1e-4)


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 0.03)])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("own", "usual"),
    [
        (convolutions.StridedConvolution, layers.Conv2D),
        (convolutions.TransposedConvolution, layers.Conv2DTranspose),
    ],
)
def test_layers_are_those_of_keras(own, usual, bias, precision, tolerance, tmp_path):
    image = keras.Input((8, 8, 3))
    settings = {"strides": 2, "padding": "same", "use_bias": bias, "bias_initializer": "ones", "dtype": precision}
    models = [keras.Model(image, kind(4, 5, **settings)(image)) for kind in (own, usual)]
    models[1].set_weights(models[0].get_weights())
    given = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    close(*(model(given) for model in models), tolerance)
    assert models[0](given).dtype == models[1](given).dtype and models[0].output.shape == models[1].output.shape
    models[0].save(tmp_path / "own.keras")
    again = keras.saving.load_model(tmp_path / "own.keras", safe_mode=True)
    assert isinstance(again.layers[-1], own)
    np.testing.assert_array_equal(np.asarray(again(given)), np.asarray(models[0](given)))


def test_where_a_layer_does_not_fit_it_is_that_of_keras(monkeypatch):
    def refuse(*_):
        raise AssertionError("computed here")

    monkeypatch.setattr(convolutions, "shrink", refuse)
    monkeypatch.setattr(convolutions, "grow", refuse)
    for side, more in (
        (8, {"padding": "valid", "strides": 2}),
        (8, {"padding": "same"}),
        (32, {"padding": "same", "strides": 2}),
    ):
        image = keras.Input((side, side, 3))
        for kind in (convolutions.StridedConvolution, convolutions.TransposedConvolution):
            keras.Model(image, kind(4, 5, use_bias=False, **more)(image))(np.zeros((1, side, side, 3), np.float32))
    fits = keras.Input((8, 8, 3))
    with pytest.raises(AssertionError, match="computed here"):
        keras.Model(fits, convolutions.StridedConvolution(4, 5, strides=2, padding="same")(fits))(np.zeros((1, 8, 8, 3)))


def test_gans_have_products_where_their_images_are_small():
    kinds = [type(layer).__name__ for make in (networks.generator, networks.discriminator) for layer in make(width=8).layers]
    assert kinds.count("TransposedConvolution") == 3 and kinds.count("StridedConvolution") == 4
