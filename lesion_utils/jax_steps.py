"""Training with JAX: gradients of functions without state, and an epoch of steps as one program for XLA. See :mod:`steps`.

Keras's layers and optimisers change their variables. Inside a ``keras.StatelessScope`` they change numbers that belong to
the scope instead, so a step becomes a function from all variables to all variables, which JAX can differentiate and compile.

A program holds for one size of its arrays, and compiling takes longer than many an epoch. So numbers of images, of steps and of
images to infer from are rounded up to powers of two, and networks that are alike share their programs.
"""

import threading
import weakref
from functools import reduce
from operator import add

import jax
import jax.numpy as jnp
import keras
import numpy as np

_PROGRAMS, _COMPILING = {}, threading.Lock()
#: Of each network that has inferred, its programs by the size of the batch.
_INFERENCE = weakref.WeakKeyDictionary()


def hold(images):
    """Return (n, 64, 64, 1) float32 images on the device, filled up with empty ones to a power of two."""
    return jax.device_put(_filled(np.asarray(images)))


def gradients(function, *weights):
    """Compute losses and the gradient of each by its own weights; see :func:`tensorflow_steps.gradients`.

    As on a tape of TensorFlow, the gradient is that by the values which were read of a weight. If a layer assigns to a weight
    (spectral normalisation does), it does not lead back through what was assigned.
    """
    flat = [weight for group in weights for weight in group]
    before, changed = [weight.value for weight in flat], []

    def shifted(shifts):
        with _Reads(flat, before, shifts) as scope:
            losses, rest = function()
        losses = tuple(reduce(add, loss) if isinstance(loss, tuple) else loss for loss in losses)
        changed[:] = scope.changed
        return losses, (rest, [scope.state_mapping[id(variable)] for variable in changed])

    losses, pull, (rest, after) = jax.vjp(shifted, [jnp.zeros_like(value) for value in before], has_aux=True)
    for variable, value in zip(changed, after, strict=True):
        variable.assign(value)
    found, start = [], 0
    for number, group in enumerate(weights):
        (by_all,) = pull(tuple(jnp.full_like(loss, number == other) for other, loss in enumerate(losses)))
        found.append(by_all[start : start + len(group)])
        start += len(group)
    return losses, rest, found


class _Reads(keras.StatelessScope):
    """Keeps what is assigned, and adds a shift of zero to a weight when it is read: the gradient by the shift is the weight's."""

    def __init__(self, weights, values, shifts):
        super().__init__(list(zip(weights, values, strict=True)))
        self.shifts = {id(weight): shift for weight, shift in zip(weights, shifts, strict=True)}
        self.changed = []

    def add_update(self, update):
        variable, value = update
        super().add_update((variable, jax.lax.stop_gradient(value)))
        if not any(variable is other for other in self.changed):
            self.changed.append(variable)

    def get_current_value(self, variable):
        value = super().get_current_value(variable)
        if value is None and self.original_scope is not None:  # a scope within the scope of an epoch
            value = self.original_scope.get_current_value(variable)
        return value + self.shifts[id(variable)] if id(variable) in self.shifts else value


def input_gradient(function, images):
    """Return the gradient of a sum that ``function`` makes of ``images``, by the images."""
    return jax.grad(function)(images)


def bits(numbers):
    """Return the bits of float32 numbers as int32."""
    return jax.lax.bitcast_convert_type(numbers, jnp.int32)


def uniform(shape, seed):
    """Return float32 numbers, uniform on [0, 1), that follow from ``seed``, two int32; not those of TensorFlow."""
    key = jax.lax.bitcast_convert_type(jnp.asarray(seed, jnp.int32), jnp.uint32)
    return jax.random.uniform(jax.random.wrap_key_data(key, impl="threefry2x32"), shape)


def compile_epoch(step, variables, *, measures, **signature):
    """Return a function that runs a training step for each row of some arrays; see :func:`tensorflow_steps.compile_epoch`.

    The numbers of all variables are handed to the program, which writes the new ones in their place.
    """
    del signature  # what TensorFlow has to be told beforehand
    programs = {}

    def run(images, order, *rows):
        images = hold(images) if isinstance(images, np.ndarray) else images
        own = variables()
        arguments = [variable.value for variable in own], images, np.int32(len(order)), [_filled(row) for row in (order, *rows)]
        sizes = images.shape, arguments[3][0].shape
        if sizes not in programs:
            programs[sizes] = _program(_loop(step, own, measures), *arguments, donate_argnums=0)
        values, total = programs[sizes](*arguments)
        for variable, value in zip(own, values, strict=True):
            variable.assign(value)
        return np.asarray(total)

    return run


def _loop(step, variables, measures):
    """Return a function from the variables' values to those after ``count`` steps, and the sum of what the steps measure."""

    def epoch(values, images, count, rows):
        def body(number, carried):
            values, total = carried
            batch, *others = (row[number] for row in rows)
            with keras.StatelessScope(list(zip(variables, values, strict=True))) as scope:
                measured = step(jnp.take(images, batch, axis=0, mode="clip"), *others)
            return [scope.get_current_value(variable) for variable in variables], total + measured

        return jax.lax.fori_loop(0, count, body, (values, jnp.zeros(measures)))

    return epoch


def compile_classifier_epoch(model, optimizer, batch_size):
    """Return a function that trains a classifier for an epoch; see :func:`tensorflow_steps.compile_classifier_epoch`.

    A last, smaller batch is filled up with images that do not count.
    """
    weights = model.trainable_variables

    def step(images, label, counts):
        def loss():
            losses = keras.losses.sparse_categorical_crossentropy(label, model(images, training=True)) * counts
            return (jnp.sum(losses) / jnp.sum(counts),), jnp.sum(losses)

        _, total, (gradient,) = gradients(loss, weights)
        optimizer.apply(gradient, weights)
        return total

    run = compile_epoch(step, lambda: [*model.variables, *optimizer.variables], measures=())

    def run_epoch(images, label, order):
        missing = -len(order) % batch_size
        counts = np.r_[np.ones(len(order), np.float32), np.zeros(missing, np.float32)]
        order = np.r_[order, np.zeros(missing, int)].astype(np.int32)
        return float(run(images, *(array.reshape(-1, batch_size) for array in (order, label[order].astype(np.int32), counts))))

    return run_epoch


def infer(model, inputs):
    """Return what a network makes of a batch, with ``training=False``: float32 arrays of NumPy."""
    n = len(inputs[0] if isinstance(inputs, list) else inputs)
    variables = model.variables

    def forward(values, inputs):
        with keras.StatelessScope(list(zip(variables, values, strict=True))):
            return model(inputs, training=False)

    arguments = [variable.value for variable in variables], jax.tree.map(_filled, inputs)
    programs, size = _INFERENCE.setdefault(model, {}), len(jax.tree.leaves(arguments[1])[0])
    if size not in programs:
        programs[size] = _program(forward, *arguments)
    return jax.tree.map(lambda output: np.asarray(output)[:n], programs[size](*arguments))


def all_finite(variables):
    """Return whether every number of Keras variables is finite; one small number leaves the device."""
    return bool(_all_finite([variable.value for variable in variables]))


@jax.jit
def _all_finite(values):
    return jnp.stack([jnp.isfinite(value).all() for value in values]).all()


def gpu_multiplies_bfloat16():
    """Return whether there is a GPU that multiplies bfloat16 natively."""
    capability = getattr(jax.devices()[0], "compute_capability", "0")  # of a processor there is none
    return jax.default_backend() == "gpu" and float(capability) >= 8


def momentum_optimizer(learning_rate, momentum):
    """Return stochastic gradient descent with Nesterov momentum."""
    return keras.optimizers.SGD(learning_rate, momentum=momentum, nesterov=True)


def _filled(array):
    """Return an array whose first axis is filled up with zeros to a power of two, of at least 8."""
    size = max(8, 1 << (len(array) - 1).bit_length()) if len(array) else 0
    return np.concatenate([array, np.zeros((size - len(array), *array.shape[1:]), array.dtype)])


def _program(function, *arguments, **options):
    """Compile a function for arrays of these sizes, or return the program that was compiled from the same code before."""
    lowered = jax.jit(function, **options).lower(*arguments)
    text = lowered.as_text()
    with _COMPILING:
        if text not in _PROGRAMS:
            _PROGRAMS[text] = lowered.compile()
        return _PROGRAMS[text]
