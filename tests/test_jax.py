"""``KERAS_BACKEND=jax``: losses and gradients are TensorFlow's, and no module wants TensorFlow.

A process has one backend. So this file is also a program: with JAX as the backend it writes the arrays that the tests look at.
What takes longer, whole trainings with JAX, is in ``jax_trainings.py`` (`make jax`).
"""

import functools
import importlib
import os
import subprocess
import sys

if __name__ == "__main__":
    sys.modules["tensorflow"] = None  # as where it is not installed: whatever imports it fails

import keras
import numpy as np
import pytest
from conftest import random_rois

from lesion_utils import acgan, gan_options, gans, networks, settings, steps

CLASSES, BATCH_SIZE = 3, 4
ROIS = random_rois(10, classes=CLASSES)


# What both backends compute from the same numbers


class Recorder:
    """Stand where an optimiser stands and add up the gradients."""

    def __init__(self, model):
        self.variables = [keras.Variable(np.zeros(weight.shape, np.float32)) for weight in model.trainable_variables]

    def apply(self, gradients, weights):
        for variable, gradient in zip(self.variables, gradients, strict=True):
            variable.assign_add(gradient)

    def of(self, model):
        """Return the sums and begin anew."""
        sums = {weight.path: kept.numpy() for weight, kept in zip(model.trainable_variables, self.variables, strict=True)}
        for variable in self.variables:
            variable.assign(np.zeros(variable.shape, np.float32))
        return sums


def with_numbers(*models):
    """Set what networks begin with to numbers that do not hang on the backend's random numbers."""
    random = np.random.default_rng(0)
    for variable in (variable for model in models for variable in model.variables if "seed" not in variable.path):
        middle = 1 if variable.name in ("gamma", "moving_variance") else 0
        variable.assign(random.normal(middle, 0.1, variable.shape).clip(middle - 0.5).astype(np.float32))


def of_the_cnn():
    """Return loss and gradients of a batch, and of a last batch of two images; dropout is off, which is random."""
    model = networks.cnn(CLASSES, width=4, fused=True)
    with_numbers(model)
    model.get_layer("dropout").rate = 0
    recorder, found = Recorder(model), {}
    run, images = steps.compile_classifier_epoch(model, recorder, BATCH_SIZE), steps.hold(ROIS.images)
    for places in ([3, 0, 7, 9], [6, 1]):
        loss = run(images, ROIS.label, np.array(places))
        found |= {f"{name}, {len(places)} images": value for name, value in (recorder.of(model) | {"loss": loss}).items()}
    return found


def of_a_gan(generator, discriminator, step):
    """Return what a step measures, its gradients, and what it leaves in the networks: running averages and normalised weights."""
    models = generator, discriminator
    with_numbers(*models)
    recorders, random = [Recorder(model) for model in models], np.random.default_rng(1)
    whole_numbers = (BATCH_SIZE,), np.int32
    run = steps.compile_epoch(
        lambda images, *rows: step(*models, *recorders, images, *rows),
        lambda: [variable for owner in (*models, *recorders) for variable in owner.variables],
        image_shape=(64, 64, 1),
        rows=[whole_numbers, whole_numbers, ((BATCH_SIZE, 100), np.float32), whole_numbers],
        measures=4 if isinstance(discriminator.output, keras.KerasTensor) else 6,
    )
    rows = (
        np.int32([[3, 0, 7, 9]]),
        np.int32([[0, 1, 2, 0]]),
        random.uniform(-1, 1, (1, BATCH_SIZE, 100)),
        np.int32([[2, 2, 0, 1]]),
    )
    measured = run(ROIS.images * 2 - 1, *rows[:2], rows[2].astype(np.float32), rows[3])
    gradients = recorders[0].of(generator) | recorders[1].of(discriminator)
    after = {f"after {variable.path}": variable.numpy() for model in models for variable in model.variables}
    return gradients | after | {"measured": measured}


def of_the_dcgan():
    """Return those of a step, and of G's further update; the recorder has the sum of G's two gradients."""

    def step(generator, discriminator, of_g, of_d, real, label, noise, asked):
        measured = gans.train_step(generator, discriminator, of_g, of_d, real, noise)
        gans.generator_step(generator, discriminator, of_g, -noise)
        return measured

    return of_a_gan(networks.generator(width=8), networks.discriminator(width=4), step)


def of_an_acgan():
    generator = networks.conditional_generator(CLASSES, width=8)
    discriminator = networks.auxiliary_discriminator(CLASSES, width=4, normalisation="spectral")
    return of_a_gan(generator, discriminator, functools.partial(acgan.acgan_step, penalty=penalty))


def penalty(discriminator, real):
    return gan_options.slope_penalty(discriminator, real, 2.0)


#: The ACGAN is the one in which a step has most to do: spectral normalisation assigns to weights, R1 is a gradient of a gradient.
SAME = {"cnn": of_the_cnn, "dcgan": of_the_dcgan, "acgan": of_an_acgan}


def same_everywhere():
    return {f"{case}|{name}": np.asarray(value) for case, make in SAME.items() for name, value in make().items()}


def main(path):
    for module in sorted({path.stem for path in settings.PACKAGE.glob("[a-z]*.py")} - {"tensorflow_steps"}):
        importlib.import_module(f"lesion_utils.{module}")
    np.savez(path, backend=keras.backend.backend(), tensorflow=sys.modules["tensorflow"] is not None, **same_everywhere())


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Arrays of JAX, made in a process of its own, and in the meantime those of TensorFlow."""
    path = tmp_path_factory.mktemp("jax") / "arrays.npz"
    # Little optimised: what is run here is short, and compiling it takes longer.
    more = {"KERAS_BACKEND": "jax", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "PYTHONPATH": str(settings.ROOT)}
    process = subprocess.Popen([sys.executable, __file__, path], env=os.environ | more)
    ours = same_everywhere()
    assert process.wait(300) == 0
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}, ours


def of(arrays, start):
    found = {name.partition("|")[2]: value for name, value in arrays.items() if name.startswith(f"{start}|")}
    assert found
    return found


@pytest.mark.parametrize("case", SAME)
def test_backends_agree(both, case):
    jax, tensorflow = (of(arrays, case) for arrays in both)
    assert jax.keys() == tensorflow.keys()
    for name, value in tensorflow.items():
        assert np.abs(value).max() > 0 or "bias" in name or "after" in name, name
        np.testing.assert_allclose(jax[name], value, rtol=1e-4, atol=1e-4 * np.abs(value).max(), err_msg=name)


def test_all_modules_are_imported_where_tensorflow_is_not_installed(both):
    arrays = both[0]
    assert arrays["backend"] == "jax" and not arrays["tensorflow"]


def test_a_backend_that_cannot_train_is_an_error(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(settings.SettingsError, match="KERAS_BACKEND=torch cannot train here; choose tensorflow or jax"):
        importlib.reload(steps)


if __name__ == "__main__":
    main(sys.argv[1])
