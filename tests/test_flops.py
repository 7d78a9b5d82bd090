"""Arithmetic counted from shapes: by hand, and against the operations of the very graphs that TensorFlow runs."""

import math

import keras
import pytest
import tensorflow as tf
from keras import layers

from lesion_utils import flops, networks
from lesion_utils.acgan import Acgan
from lesion_utils.gans import Dcgan

BATCH = 4
GAN = {"batch_size": BATCH, "learning_rate": 1e-3, "beta_1": 0.5, "noise": "uniform", "precision": "float32"}


def graph_operations(step, *signature):
    """Trace ``step`` and count the products in its graph that something depends on, from the shapes of their tensors."""
    graph = tf.function(step).get_concrete_function(*signature).graph
    needed, waiting, total = set(), [tensor.op for tensor in graph.outputs] + list(graph.control_outputs), 0
    while waiting:
        operation = waiting.pop()
        if operation.name in needed:
            continue
        needed.add(operation.name)
        waiting += [tensor.op for tensor in operation.inputs] + list(operation.control_inputs)
        kind, shapes = operation.type, [tensor.shape for tensor in operation.inputs]
        if kind == "MatMul":
            rows, columns = operation.outputs[0].shape
            total += 2 * rows * columns * shapes[0][0 if operation.get_attr("transpose_a") else 1]
        elif kind == "Conv2D":
            total += 2 * math.prod(operation.outputs[0].shape[:-1]) * math.prod(shapes[1])
        elif kind in (
            "Conv2DBackpropInput",
            "Conv2DBackpropFilter",
        ):  # of image, kernel, gradient
            kernel = shapes[1] if kind == "Conv2DBackpropInput" else operation.outputs[0].shape
            total += 2 * math.prod(shapes[2][:-1]) * math.prod(kernel)
    return total


def image(channels=1):
    return tf.TensorSpec((BATCH, 64, 64, channels), tf.float32)


def label():
    return tf.TensorSpec((BATCH,), tf.int32)


def test_a_small_network_by_hand():
    given = keras.Input((8, 8, 3))
    x = layers.Conv2D(5, 3)(given)  # 6 x 6 places
    x = layers.Conv2DTranspose(2, 4, strides=2)(layers.ReLU()(x))  # from 6 x 6 places
    model = keras.Model(given, layers.Dense(7)(layers.Flatten()(x)))
    sizes = [2 * 36 * 9 * 3 * 5, 2 * 36 * 16 * 5 * 2, 2 * 14 * 14 * 2 * 7]
    assert [flops.layer_operations(layer) for layer in model.layers] == [0, sizes[0], 0, sizes[1], 0, sizes[2]]
    assert flops.forward(model) == sum(sizes)
    assert flops.backward(model) == 2 * sum(sizes) - sizes[0], "nothing asks for the gradient by the image"
    assert flops.backward(model, by_input=True) == 2 * sum(sizes)
    assert flops.backward(model, by_weights=False, by_input=True) == sum(sizes)
    assert flops.training_step(model, 10) == 10 * (3 * sum(sizes) - sizes[0])


def test_a_step_at_the_papers_size():
    generator, discriminator = networks.generator(), networks.discriminator()
    assert flops.gan_step(generator, discriminator, 64) / 1e9 == pytest.approx(384, rel=0.005)
    assert flops.forward(generator) == 2 * (
        100 * 16 * 1024 + 25 * (16 * 1024 * 512 + 64 * 512 * 256 + 256 * 256 * 128 + 1024 * 128)
    )


@pytest.mark.parametrize("fused", [False, True])
def test_cnn_counts_what_its_graph_computes(fused):
    model = networks.cnn(3, width=8, fused=fused)

    def step(images):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(images, training=True))
        return tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    assert flops.training_step(model, BATCH) == graph_operations(step, image()) > 0


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (Dcgan, {}),
        (Dcgan, {"generator_updates": 3}),
        (Acgan, {"classes": 3}),
    ],
)
def test_gans_count_what_their_graphs_compute(kind, more):
    gan = kind(generator_width=16, discriminator_width=4, **GAN, **more)
    updates = gan.settings["generator_updates"]
    noise = tf.TensorSpec((updates, BATCH, networks.NOISE_SIZE), tf.float32)
    counted = flops.gan_step(gan.generator, gan.discriminator, BATCH, updates)
    assert counted == graph_operations(gan.step, image(), label(), noise, label()) > 0


def test_layers_whose_weights_are_held_count_as_without():
    held, plain = (networks.auxiliary_discriminator(3, width=4, normalisation=how) for how in ("spectral", "none"))
    assert flops.forward(held) == flops.forward(plain) > 0
    assert flops.backward(held) == flops.backward(plain) > 0
