"""Generative adversarial networks: losses, a training step, and an epoch of steps (paper, section 3.2).

The DCGAN is here; the ACGAN, which shares all but networks and losses, is in :mod:`acgan`. A whole training is in
:mod:`gan_training`.
"""

import keras
import numpy as np
import pandas as pd
from keras import ops

from . import networks, steps
from .classifier import copy_variables, reset_optimizer
from .settings import require_choice, require_positive

NOISES = ("uniform", "normal")
#: Arms whose synthetic ROIs a run may hold.
GANS = ("dcgan", "acgan")


def discriminator_loss(real_logit, fake_logit):
    """Return the mean of -log D(x) - log(1 - D(G(z))), from logits (paper, equation 1)."""
    return ops.mean(ops.softplus(-real_logit)) + ops.mean(ops.softplus(fake_logit))


def generator_loss(fake_logit):
    """Return the mean of -log D(G(z)), from logits: the non-saturating form of equation 1."""
    return ops.mean(ops.softplus(-fake_logit))


def train_step(generator, discriminator, generator_optimizer, discriminator_optimizer, real, noise):
    """Make one update of D and one of G from one run of the generator.

    Both gradients are taken at the same weights: the generator and D(G(z)) are computed once and serve both losses, where the
    usual recipe computes them twice.

    Parameters
    ----------
    real : (b, 64, 64, 1) in [-1, 1]
    noise : (b, 100)

    Returns
    -------
    (4,) tensor
        Loss of D, loss of G, mean D(x), mean D(G(z)).
    """

    def losses():
        fake = generator(noise, training=True)
        real_logit = discriminator(real, training=True)
        fake_logit = discriminator(fake, training=True)
        return (discriminator_loss(real_logit, fake_logit), generator_loss(fake_logit)), (real_logit, fake_logit)

    weights_d, weights_g = discriminator.trainable_variables, generator.trainable_variables
    found, logits, (gradient_d, gradient_g) = steps.gradients(losses, weights_d, weights_g)
    discriminator_optimizer.apply(gradient_d, weights_d)
    generator_optimizer.apply(gradient_g, weights_g)
    return ops.stack([*found, *(ops.mean(ops.sigmoid(logit)) for logit in logits)])


def generator_step(generator, discriminator, generator_optimizer, noise):
    """Make one further update of G alone, for ``generator_updates`` above 1."""
    weights = generator.trainable_variables

    def losses():
        return (generator_loss(discriminator(generator(noise, training=True), training=True)),), None

    _, _, (gradient,) = steps.gradients(losses, weights)
    generator_optimizer.apply(gradient, weights)


class Gan:
    """Generator, discriminator and their optimisers, which train any number of times with one compilation.

    A kind of GAN gives its networks, its step and the names of what the step measures; all else is shared.

    Parameters
    ----------
    generator_width, discriminator_width : int
        See :func:`networks.generator` and :func:`networks.discriminator`.
    batch_size : int
        Training images, and as many noise vectors, a step. The paper: 64.
    learning_rate, beta_1 : float
        Of both Adam optimisers; beta_2 is 0.999.
    generator_updates : int
        Updates of G for each one of D. The paper alternates: 1.
    noise : str
        ``uniform`` on (-1, 1), the paper's, or ``normal``.
    precision : str
        ``float32`` or ``mixed_bfloat16``.
    classes : int
        Classes that one network draws.
    """

    #: What a step measures; ``history`` has a row an epoch with the number of the epoch before them.
    measures = ()
    #: Whether the last discriminator is kept too.
    keeps_discriminator = False

    def __init__(
        self,
        *,
        generator_width,
        discriminator_width,
        batch_size,
        learning_rate,
        beta_1,
        noise,
        precision,
        generator_updates=1,
        classes=1,
    ):
        require_choice("noise", noise, NOISES)
        require_positive(
            generator_width=generator_width,
            discriminator_width=discriminator_width,
            batch_size=batch_size,
            learning_rate=learning_rate,
            generator_updates=generator_updates,
        )
        self.settings = {
            "generator_width": generator_width,
            "discriminator_width": discriminator_width,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "beta_1": beta_1,
            "generator_updates": generator_updates,
            "noise": noise,
            "precision": precision,
            "classes": classes,
        }
        self.generator, self.discriminator = self.new_networks(seed=0)
        self.generator_optimizer = keras.optimizers.Adam(learning_rate, beta_1=beta_1, beta_2=0.999)
        self.discriminator_optimizer = keras.optimizers.Adam(learning_rate, beta_1=beta_1, beta_2=0.999)
        self.generator_optimizer.build(self.generator.trainable_variables)
        self.discriminator_optimizer.build(self.discriminator.trainable_variables)
        whole_numbers, noise_shape = ((batch_size,), np.int32), (generator_updates, batch_size, networks.NOISE_SIZE)
        self._run_steps = steps.compile_epoch(
            self.step,
            self.variables,
            image_shape=(networks.ROI_SIZE, networks.ROI_SIZE, 1),
            rows=[whole_numbers, whole_numbers, (noise_shape, np.float32), whole_numbers],
            measures=len(self.measures),
        )
        self.start(seed=0)

    def new_networks(self, *, seed):
        """Return a new generator and discriminator with initial weights from ``seed``."""
        raise NotImplementedError

    def step(self, real, label, noise, asked):
        """Make one training step and return what :attr:`measures` names, as one tensor.

        Parameters
        ----------
        real : (b, 64, 64, 1) in [-1, 1]
        label : (b,) int
            Class of each training image.
        noise : (generator_updates, b, 100)
        asked : (b,) int
            Class asked of the generator.
        """
        raise NotImplementedError

    def start(self, *, seed):
        """Begin a training: initial weights from ``seed``, which also sets the order of images and the noise."""
        for new, own in zip(self.new_networks(seed=seed), (self.generator, self.discriminator), strict=True):
            copy_variables(new.variables, own.variables)
        reset_optimizer(self.generator_optimizer)
        reset_optimizer(self.discriminator_optimizer)
        self.seed = seed
        self.history = pd.DataFrame(columns=["epoch", *self.measures])

    @property
    def epoch(self):
        """Number of epochs trained so far."""
        return len(self.history)

    def kept_networks(self):
        """Return what is kept beside the generator at each saved epoch: dict of name to network."""
        return {}

    def _parts(self):
        return (self.generator, self.discriminator, self.generator_optimizer, self.discriminator_optimizer)

    def variables(self):
        """Return all Keras variables that a step reads or changes."""
        return [variable for owner in self._parts() for variable in owner.variables]

    def is_finite(self):
        """Return whether all weights, and all that was measured so far, are finite numbers."""
        return bool(np.isfinite(self.history.to_numpy(np.float64)).all() and steps.all_finite(self.variables()))

    def state(self):
        """Return every number that training changes, as a dict of arrays.

        The random state is the epoch: each epoch draws its order and noise from the stream (seed, epoch).
        """
        arrays = {
            f"{part}_{number:03d}": variable.numpy()
            for part, owner in enumerate(self._parts())
            for number, variable in enumerate(owner.variables)
        }
        return arrays | {"seed": np.array(self.seed), "history": self.history.to_numpy(np.float64)}

    def restore(self, arrays):
        """Take up the state that :meth:`state` returned."""
        for part, owner in enumerate(self._parts()):
            for number, variable in enumerate(owner.variables):
                variable.assign(arrays[f"{part}_{number:03d}"])
        self.seed = int(arrays["seed"])
        self.history = pd.DataFrame(arrays["history"], columns=["epoch", *self.measures]).astype({"epoch": int})

    def train_epoch(self, images, label):
        """Train for one epoch and append a row to ``history``.

        Parameters
        ----------
        images : (n, 64, 64, 1) float32 array in [-1, 1], or what :func:`steps.hold` made of it
            Fewer than a batch are repeated at random to fill one; a last, smaller batch is left out, as batch normalisation
            wants batches of one size.
        label : (n,) int
            Their classes.
        """
        batch_size = self.settings["batch_size"]
        random = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(self.epoch,)))
        n = len(label)
        order = random.permutation(n) if n >= batch_size else random.integers(0, n, batch_size)
        order = order[: len(order) - len(order) % batch_size].reshape(-1, batch_size).astype(np.int32)
        size = (len(order), self.settings["generator_updates"], batch_size, networks.NOISE_SIZE)
        noise = draw_noise(size, self.settings["noise"], random)
        asked = random.integers(0, self.settings["classes"], order.shape, dtype=np.int32)
        values = (self._run_steps(images, order, label[order].astype(np.int32), noise, asked) / np.float32(len(order))).tolist()
        row = pd.DataFrame([{"epoch": self.epoch + 1} | dict(zip(self.measures, values, strict=True))])
        self.history = pd.concat([self.history, row], ignore_index=True) if self.epoch else row


class Dcgan(Gan):
    """The DCGAN: one class a network. The paper trains it with ``learning_rate`` 0.0002 and ``beta_1`` 0.5 (section 3.2)."""

    #: Mean losses, and the mean probability D gives to real and to generated images.
    measures = ("discriminator_loss", "generator_loss", "d_real", "d_fake")

    def new_networks(self, *, seed):
        """Return a generator and a discriminator with weights from N(0, 0.02)."""
        precision = self.settings["precision"]
        generator = networks.generator(width=self.settings["generator_width"], precision=precision, seed=2 * seed)
        discriminator = networks.discriminator(width=self.settings["discriminator_width"], precision=precision, seed=2 * seed + 1)
        return generator, discriminator

    def step(self, real, label, noise, asked):
        """Make one update of D and ``generator_updates`` of G; a single class needs no labels."""
        measured = train_step(*self._parts(), real, noise[0])
        for extra in range(1, self.settings["generator_updates"]):
            generator_step(self.generator, self.discriminator, self.generator_optimizer, noise[extra])
        return measured


def draw_noise(shape, noise, random):
    """Return the generator's input: uniform on (-1, 1) or standard normal, float32 of ``shape``."""
    if noise == "uniform":
        return random.uniform(-1, 1, shape).astype(np.float32)
    return random.standard_normal(shape, np.float32)
