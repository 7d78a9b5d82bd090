"""The auxiliary classifier GAN: one network for all classes, whose discriminator also names the class (paper, section 3.3)."""

import keras
import numpy as np
from keras import ops

from . import networks, steps
from .errors import MissingInputError
from .gans import Gan, discriminator_loss, generator_loss


def class_loss(class_logit, label):
    """Return the mean cross-entropy of the class, from (n, k) logits and (n,) labels."""
    return ops.mean(keras.losses.sparse_categorical_crossentropy(label, class_logit, from_logits=True))


def acgan_step(generator, discriminator, generator_optimizer, discriminator_optimizer, real, label, noise, asked, penalty=None):
    """Make one update of D and one of G from one run of the generator.

    Both networks want the class to be named rightly, on real and on generated images; they differ in what is real.

    Parameters
    ----------
    real : (b, 64, 64, 1) in [-1, 1]
    label : (b,) int
        Class of each training image.
    noise : (b, 100)
    asked : (b,) int
        Class asked of the generator, drawn evenly.
    penalty : callable, optional
        Takes the discriminator and ``real``, returns what to add to the loss of D. The paper has none.

    Returns
    -------
    (6,) tensor
        Loss of D, loss of G, mean D(x), mean D(G(z)), and the share of real and of generated images whose class D names rightly.
    """

    def losses():
        fake = generator([noise, ops.one_hot(asked, generator.input[1].shape[1])], training=True)
        real_logit, real_class = discriminator(real, training=True)
        fake_logit, fake_class = discriminator(fake, training=True)
        loss_class = class_loss(fake_class, asked)
        loss_d = discriminator_loss(real_logit, fake_logit) + class_loss(real_class, label) + loss_class
        if penalty:
            loss_d = loss_d, penalty(discriminator, real)  # two terms: it runs D a third time
        return (loss_d, generator_loss(fake_logit) + loss_class), (real_logit, fake_logit, real_class, fake_class)

    weights_d, weights_g = discriminator.trainable_variables, generator.trainable_variables
    found, (*logits, real_class, fake_class), (gradient_d, gradient_g) = steps.gradients(losses, weights_d, weights_g)
    discriminator_optimizer.apply(gradient_d, weights_d)
    generator_optimizer.apply(gradient_g, weights_g)
    probabilities = [ops.mean(ops.sigmoid(logit)) for logit in logits]
    return ops.stack([*found, *probabilities, _share_right(real_class, label), _share_right(fake_class, asked)])


def _share_right(class_logit, label):
    right = ops.equal(ops.argmax(class_logit, axis=-1), ops.cast(label, "int32"))
    return ops.mean(ops.cast(right, "float32"))


class Acgan(Gan):
    """The ACGAN: all classes at once. The paper's arXiv version trains it with ``learning_rate`` 0.0001 for 50 epochs."""

    measures = ("discriminator_loss", "generator_loss", "d_real", "d_fake", "class_real", "class_fake")
    keeps_discriminator = True

    def new_networks(self, *, seed):
        """Return a conditional generator and a discriminator with a class head, with weights from N(0, 0.02)."""
        classes, precision = self.settings["classes"], self.settings["precision"]
        width = self.settings["generator_width"], self.settings["discriminator_width"]
        generator = networks.conditional_generator(classes, width=width[0], precision=precision, seed=2 * seed)
        discriminator = networks.auxiliary_discriminator(classes, width=width[1], precision=precision, seed=2 * seed + 1)
        return generator, discriminator

    def step(self, real, label, noise, asked):
        """Make one update of D and one of G."""
        return acgan_step(*self._parts(), real, label, noise[0], asked)


def class_weights(label, classes):
    """Return the (k,) weights that ask a conditional generator for one class."""
    return np.eye(classes, dtype=np.float32)[label]


def classify(folder, images, batch_size=256):
    """Name the class of images with the trained discriminator alone (paper, Table 5).

    Parameters
    ----------
    folder : Path
        Of a finished :func:`gan_training.train_gan`.
    images : (n, 64, 64, 1) float32 in [0, 1]

    Returns
    -------
    (n, k) float32
        Probabilities of the classes.

    Raises
    ------
    MissingInputError
        If no discriminator was kept there.
    """
    path = folder / "discriminator.keras"
    if not path.exists():
        raise MissingInputError(f"{path} is missing: run notebooks/04_acgan.ipynb first (`make book` runs all in order)")
    discriminator = keras.saving.load_model(path, compile=False, safe_mode=True)
    parts = [
        ops.convert_to_numpy(ops.softmax(steps.infer(discriminator, images[start : start + batch_size] * 2 - 1)[1]))
        for start in range(0, len(images), batch_size)
    ]
    return np.concatenate(parts)
