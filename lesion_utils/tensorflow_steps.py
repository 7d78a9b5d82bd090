"""Training with TensorFlow: gradients from tapes, and an epoch of steps as one graph. See :mod:`steps`."""

import logging
from functools import reduce
from operator import add

import keras
import numpy as np
import tensorflow as tf

logging.getLogger("tensorflow").setLevel(logging.ERROR)
# It makes long sums into temporary variables that bear the names of their nodes: two networks alike, trained at once, collide.
tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})


def hold(images):
    """Return (n, 64, 64, 1) float32 images where training reads them."""
    return tf.constant(images)


def gradients(function, *weights):
    """Compute losses and the gradient of each by its own weights.

    Parameters
    ----------
    function : callable
        Takes nothing, returns (a tuple of losses, anything else). A loss may be a tuple of terms that are added: each has a
        gradient of its own. TensorFlow sums more than two gradients of a weight in the order in which they are finished, which
        is not always the same; so a network that a loss runs three times needs two terms.
    *weights : list of Variable
        One list a loss.

    Returns
    -------
    (tuple of losses, anything else, list of lists of gradients)
    """
    with tf.GradientTape(persistent=len(weights) > 1) as tape:
        losses, rest = function()
    totals = tuple(reduce(add, loss) if isinstance(loss, tuple) else loss for loss in losses)
    return totals, rest, [_gradient(tape, loss, own) for loss, own in zip(losses, weights, strict=True)]


def _gradient(tape, loss, weights):
    if not isinstance(loss, tuple):
        return tape.gradient(loss, weights)
    terms = [tape.gradient(term, weights) for term in loss]  # None of a weight that a term does not use
    return [reduce(add, [part for part in parts if part is not None]) for parts in zip(*terms, strict=True)]


def input_gradient(function, images):
    """Return the gradient of a sum that ``function`` makes of ``images``, by the images."""
    with tf.GradientTape() as tape:
        tape.watch(images)
        total = function(images)
    return tape.gradient(total, images)


def bits(numbers):
    """Return the bits of float32 numbers as int32."""
    return tf.bitcast(numbers, tf.int32)


def uniform(shape, seed):
    """Return float32 numbers, uniform on [0, 1), that follow from ``seed``, two int32."""
    return tf.random.stateless_uniform(shape, seed)


def compile_epoch(step, variables, *, image_shape, rows, measures):
    """Return a function that runs a training step for each row of some arrays and returns the sum of what the steps measure.

    All steps of an epoch are one call: images stay where the network is, and Python is entered once an epoch.

    Parameters
    ----------
    step : callable
        Takes the images of a row and that row of each further array, returns what it measures as one tensor.
    variables : callable
        Takes nothing, returns all variables that a step reads or changes.
    image_shape : tuple
        Of one image: (64, 64, 1).
    rows : list of (shape, dtype)
        Of a row of each array: of the places of a step's images, int32, and of the further arrays.
    measures : int
        How many numbers a step measures.

    Returns
    -------
    callable
        Takes images, (s, b) places of the images of each step, and the further arrays, whose first axis is s; returns (measures,)
        float32.
    """
    signature = [tf.TensorSpec((None, *shape), dtype) for shape, dtype in ((image_shape, tf.float32), *rows)]

    @tf.function(input_signature=signature, jit_compile=False)
    def run_steps(images, order, *rows):
        total = tf.zeros(measures)
        for number in tf.range(tf.shape(order)[0]):
            total += step(tf.gather(images, order[number]), *(row[number] for row in rows))
        return total

    return lambda images, order, *rows: run_steps(images, order, *rows).numpy()


def compile_classifier_epoch(model, optimizer, batch_size):
    """Return a function that trains a classifier for an epoch and returns the summed loss.

    Parameters
    ----------
    model : keras.Model
    optimizer : keras.Optimizer
        Built.
    batch_size : int
        The last batch may be smaller.

    Returns
    -------
    callable
        Takes images, (n,) labels and the order in which the images are shown; returns a float.
    """
    images = tf.TensorSpec(model.input_shape, tf.float32)
    signature = [images, tf.TensorSpec((None,), tf.int64), tf.TensorSpec((None, None), tf.int32)]

    @tf.function(input_signature=signature, jit_compile=False)
    def run_steps(images, label, order):
        total = tf.constant(0.0)
        for step in tf.range(tf.shape(order)[0]):
            batch = order[step]
            with tf.GradientTape() as tape:
                probability = model(tf.gather(images, batch), training=True)
                losses = keras.losses.sparse_categorical_crossentropy(tf.gather(label, batch), probability)
                loss = tf.reduce_mean(losses)
            optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
            total += tf.reduce_sum(losses)
        return total

    def run_epoch(images, label, order):
        order = order.astype(np.int32)
        whole = len(order) - len(order) % batch_size
        parts = (order[:whole].reshape(-1, batch_size), order[None, whole:])
        return sum(float(run_steps(images, label, part)) for part in parts if part.size)

    return run_epoch


def infer(model, inputs):
    """Return what a network makes of a batch, with ``training=False``."""
    return model(inputs, training=False)


def all_finite(variables):
    """Return whether every number of Keras variables is finite."""
    return all(np.isfinite(variable.numpy()).all() for variable in variables)


def gpu_multiplies_bfloat16():
    """Return whether there is a GPU that multiplies bfloat16 natively."""
    return any(
        tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0)) >= (8, 0)
        for gpu in tf.config.list_physical_devices("GPU")
    )


def momentum_optimizer(learning_rate, momentum):
    """Return stochastic gradient descent with Nesterov momentum."""
    return NesterovMomentum(learning_rate, momentum=momentum, nesterov=True)


class NesterovMomentum(keras.optimizers.SGD):
    """Keras's SGD with momentum; one operation updates a weight, not several: the same numbers, a little sooner."""

    def update_step(self, gradient, variable, learning_rate):
        moment = self.momentums[self._get_variable_index(variable)]
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=moment.value.handle,
            lr=tf.cast(learning_rate, variable.dtype),
            grad=gradient,
            momentum=tf.cast(self.momentum, variable.dtype),
            use_nesterov=self.nesterov,
        )
