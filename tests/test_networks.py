"""The paper's networks: sizes, ranges, initial weights, precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from lesion_utils import networks

IMAGES = np.random.default_rng(0).uniform(-1, 1, (3, 64, 64, 1)).astype(np.float32)
NOISE = np.random.default_rng(1).uniform(-1, 1, (3, 100)).astype(np.float32)


def shapes(model, kinds):
    """Return the output shapes of the layers of these kinds, in order, without the batch."""
    return [tuple(layer.output.shape[1:]) for layer in model.layers if isinstance(layer, kinds)]


@pytest.mark.parametrize(("classes", "parameters"), [(2, 1_273_090), (3, 1_273_347), (5, 1_273_861)])
def test_cnn_has_the_papers_size(classes, parameters):
    model = networks.cnn(classes)
    assert model.count_params() == parameters
    expected = [(60, 60, 32), (28, 28, 64), (12, 12, 128)]
    assert shapes(model, layers.Conv2D) == expected
    assert shapes(model, layers.MaxPooling2D) == [(30, 30, 32), (14, 14, 64), (6, 6, 128)]
    assert shapes(model, layers.Dense) == [(256,), (classes,)]
    (dropout,) = [layer for layer in model.layers if isinstance(layer, layers.Dropout)]
    assert dropout.rate == 0.5
    probability = model(IMAGES, training=False).numpy()
    assert probability.shape == (3, classes)
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-6)
    assert (probability > 0).all()


def test_cnn_of_half_the_width():
    model = networks.cnn(3, width=16)
    assert shapes(model, layers.Conv2D) == [(60, 60, 16), (28, 28, 32), (12, 12, 64)]
    assert shapes(model, layers.Dense) == [(128,), (3,)]


def test_relu_after_pooling_and_the_border_left_out_change_nothing():
    model = networks.cnn(3, seed=1)
    image = x = keras.Input((64, 64, 1))
    left_out = (layers.InputLayer, layers.ReLU, layers.Cropping2D)
    assert {type(layer) for layer in model.layers} >= set(left_out)
    pooled = []
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            x = ops.relu(layer(x))
        elif not isinstance(layer, left_out):
            x = layer(x)
        if isinstance(layer, layers.MaxPooling2D):
            pooled.append(x.shape[1:])
    usual = keras.Model(image, x)
    assert pooled == [(31, 31, 32), (14, 14, 64), (6, 6, 128)], "the paper's Fig. 2"
    np.testing.assert_allclose(usual(IMAGES, training=False).numpy(), model(IMAGES, training=False).numpy(), rtol=1e-5)
    changed = IMAGES.copy()
    changed[:, 62:] += 5
    changed[:, :, 62:] -= 5
    np.testing.assert_allclose(usual(changed, training=False).numpy(), usual(IMAGES, training=False).numpy(), rtol=1e-5)


def outputs_and_gradients(model, images):
    """Return probabilities, and the gradient of a loss by the images and by each weight."""
    images = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        probability = model(images, training=False)
        loss = tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(tf.constant([0, 1, 2]), probability))
    return [
        array.numpy() for array in (probability, *tape.gradient(loss, [images, *(w.value for w in model.trainable_variables)]))
    ]


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 0.1)])
def test_fused_cnn_has_the_same_weights_outputs_and_gradients(precision, tolerance):
    usual, fused = (networks.cnn(3, width=8, seed=1, precision=precision, fused=fused) for fused in (False, True))
    names = [[variable.path for variable in model.trainable_variables] for model in (usual, fused)]
    assert names[0] == names[1]
    for model in (usual, fused):  # biases that matter, some of which rectify whole windows
        for number, layer in enumerate(layer for layer in model.layers if isinstance(layer, layers.Conv2D)):
            layer.bias.assign(np.random.default_rng(number).normal(0, 0.1, layer.bias.shape))
    for one, two in zip(*(outputs_and_gradients(model, IMAGES) for model in (usual, fused)), strict=True):
        np.testing.assert_allclose(two, one, rtol=0, atol=tolerance * np.abs(one).max())
        assert np.abs(one).max() > 0


def test_generator_has_the_papers_layers():
    model = networks.generator()
    assert model.input_shape == (None, 100)
    steps = [*shapes(model, layers.Reshape), *shapes(model, layers.Conv2DTranspose)]
    assert steps == [(4, 4, 1024), (8, 8, 512), (16, 16, 256), (32, 32, 128), (64, 64, 1)]
    assert {(layer.kernel_size, layer.strides) for layer in model.layers if isinstance(layer, layers.Conv2DTranspose)} == {
        ((5, 5), (2, 2))
    }
    assert shapes(model, layers.BatchNormalization) == shapes(model, layers.ReLU) == steps[:-1]


def test_generator_draws_between_minus_one_and_one():
    model = networks.generator(width=16)
    image = model(50 * NOISE, training=True).numpy()
    assert image.shape == (3, 64, 64, 1) and np.abs(image).max() < 1 and image.std() > 0.001
    model.layers[-2].bias.assign([100.0])
    assert (model(NOISE, training=False).numpy() == 1).all(), "tanh ends the network"


@pytest.mark.parametrize("width", [4, 64])
def test_discriminator_halves_the_image_and_doubles_its_width(width):
    model = networks.discriminator(width=width)
    expected = [(32, 32, width), (16, 16, 2 * width), (8, 8, 4 * width), (4, 4, 8 * width)]
    assert shapes(model, layers.Conv2D) == shapes(model, layers.LeakyReLU) == expected
    assert shapes(model, layers.BatchNormalization) == expected[1:], "none on the input layer"
    assert {layer.negative_slope for layer in model.layers if isinstance(layer, layers.LeakyReLU)} == {0.2}
    assert model.output_shape == (None, 1)
    logit = model(1e4 * IMAGES, training=False).numpy()
    assert logit.shape == (3, 1) and (np.abs(logit) > 1).any(), "a logit, not a probability"


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_fused_batch_normalization_is_that_of_keras(precision, tmp_path):
    """The same outputs, gradients and running averages in training, and the same outputs afterwards and from a file."""
    random = np.random.default_rng(0)
    images, weights = (random.normal(3, 2, (5, 6, 7, 4)).astype(np.float32) for _ in range(2))
    image = keras.Input((6, 7, 4))
    own, usual = (
        keras.Model(image, kind(momentum=0.9, epsilon=1e-5, dtype=precision)(image))
        for kind in (networks.FusedBatchNormalization, layers.BatchNormalization)
    )
    seen = []
    for model in (own, usual):
        for variable, value in zip(model.trainable_variables, random.uniform(0.5, 2, (2, 4)), strict=True):
            variable.assign(np.float32(value) if model is own else seen[0][variable.name])
        if model is own:
            seen.append({variable.name: variable.numpy() for variable in model.trainable_variables})
        constant = tf.constant(images)
        with tf.GradientTape() as tape:
            tape.watch(constant)
            output = model(constant, training=True)
            total = ops.sum(ops.cast(output, "float32") * weights)
        gradients = tape.gradient(total, [constant, *(variable.value for variable in model.trainable_variables)])
        averages = [variable.numpy() for variable in model.non_trainable_variables]
        later = model(images, training=False)
        seen.append([np.asarray(ops.cast(array, "float32")) for array in (output, *gradients, *averages, later)])
    _, fused, plain = seen
    tolerance = 1e-4 if precision == "float32" else 0.03
    for one, other in zip(fused, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * np.abs(other).max())
    assert not np.allclose(fused[-2], 1) and not np.allclose(fused[-3], 0), "the running averages have moved"
    own.save(tmp_path / "own.keras")
    again = keras.saving.load_model(tmp_path / "own.keras", safe_mode=True)
    np.testing.assert_array_equal(np.asarray(again(images, training=False)), np.asarray(own(images, training=False)))


@pytest.mark.parametrize("make", [networks.generator, networks.discriminator])
def test_gan_weights_start_from_a_normal_distribution(make):
    model = make(width=32, seed=3)
    kernels = [weight.numpy().ravel() for weight in model.trainable_variables if weight.path.endswith("kernel")]
    assert len(kernels) == 5
    for kernel in kernels:
        standard_error = 0.02 / np.sqrt(len(kernel))
        assert abs(kernel.mean()) < 5 * standard_error
        assert abs(kernel.std() - 0.02) < 5 * standard_error
    together = np.concatenate(kernels)
    assert (np.abs(together) > 0.06).mean() == pytest.approx(0.0027, rel=0.4), "three standard deviations"
    assert not np.array_equal(kernels[1][:100], kernels[2][:100])


@pytest.mark.parametrize(
    ("make", "image"),
    [(lambda **more: networks.cnn(3, **more), True), (networks.generator, False), (networks.discriminator, True)],
)
def test_same_seed_same_weights_and_outputs_are_float32_in_both_precisions(make, image):
    size = {} if make not in (networks.generator, networks.discriminator) else {"width": 8}
    full, same, other = (make(seed=seed, **size) for seed in (1, 1, 2))
    for one, two in zip(full.variables, same.variables, strict=True):
        np.testing.assert_array_equal(one, two)
    kernels = [
        [weight.numpy() for weight in model.trainable_variables if weight.path.endswith("kernel")] for model in (full, other)
    ]
    assert not any(np.array_equal(one, two) for one, two in zip(*kernels, strict=True))
    mixed = make(seed=1, precision="mixed_bfloat16", **size)
    assert {variable.dtype for variable in mixed.trainable_variables} == {"float32"}
    assert any(layer.compute_dtype == "bfloat16" for layer in mixed.layers)
    outputs = [model(IMAGES if image else NOISE, training=False).numpy() for model in (full, mixed)]
    assert {output.dtype for output in outputs} == {np.dtype(np.float32)}
    np.testing.assert_allclose(outputs[1], outputs[0], rtol=0.05, atol=0.01)
    assert not np.array_equal(*outputs), "bfloat16 keeps 8 bits"
