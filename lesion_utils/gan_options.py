"""What has been found since the paper to train GANs on few images, each as a function without state.

Augmentation that both networks see (Zhao et al. 2020), a penalty on the discriminator's slope (Mescheder et al. 2018), a running
average of the generator's weights (Yazıcı et al. 2019), and the rejection of poor samples (Azadi et al. 2019). The fourth remedy,
spectral normalisation (Miyato et al. 2018), is a matter of the network: :func:`networks.auxiliary_discriminator`.
"""

import keras
import numpy as np
from keras import ops

from . import steps
from .errors import SettingsError
from .settings import require_choice

#: Techniques of :func:`augment`, in the order in which they are applied.
TECHNIQUES = ("colour", "translation", "cutout")
#: Farthest translation, in pixels: an eighth of the side; side of the square that is cut out: half of it.
SHIFT, CUTOUT = 8, 32
#: Uniform random numbers that :func:`augment` wants for an image.
NUMBERS = 6
#: Batches of noise from which an averaged generator takes its statistics.
SETTLING_BATCHES = 16


def techniques(augmentation):
    """Return the techniques that a text such as ``colour,translation`` names, in their order; none of an empty one.

    Raises
    ------
    SettingsError
        If one is unknown.
    """
    named = [name.strip() for name in augmentation.split(",") if name.strip()]
    for name in named:
        require_choice("augmentation", name, TECHNIQUES)
    return tuple(name for name in TECHNIQUES if name in named)


def augment(images, chosen, numbers):
    """Change images at random in ways that have a gradient (DiffAugment; Zhao et al. 2020).

    If real images alone were augmented, the generator would learn to draw augmented ones. So D sees real *and* generated images
    through this, and the gradient reaches the generator through it.

    Parameters
    ----------
    images : (n, s, s, 1) tensor in [-1, 1]
    chosen : sequence of str
        Some of :data:`TECHNIQUES`. ``colour``: brightness up to half a unit up or down, and contrast half to one and a half
        times; ``translation``: up to 8 pixels in each direction, what comes in is 0; ``cutout``: a square of 32 pixels becomes 0.
    numbers : (n, 6) tensor
        Uniform on [0, 1).

    Returns
    -------
    (n, s, s, 1) tensor
        Not clipped: an image that is all black or white has no gradient.
    """
    side = images.shape[1]
    place = ops.arange(side)
    if "colour" in chosen:
        brightness, contrast = (numbers[:, index, None, None, None] for index in (0, 1))
        images = images + (brightness - 0.5)
        mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
        images = (images - mean) * (contrast + 0.5) + mean
    if "translation" in chosen:
        shift = ops.cast(ops.floor(numbers[:, 2:4] * (2 * SHIFT + 1)), "int32") - SHIFT
        # A translation is a product with a matrix that has ones beside its diagonal, and such a product has a gradient.
        rows, columns = (
            ops.cast(place[None, :, None] == place[None, None, :] + shift[:, axis, None, None], images.dtype) for axis in (0, 1)
        )
        images = ops.einsum("nij,njkc,nlk->nilc", rows, images, columns)
    if "cutout" in chosen:
        centre = ops.cast(ops.floor(numbers[:, 4:6] * (side + 1)), "int32")
        distance = place[None, None, :] - centre[:, :, None]
        inside = ops.cast(ops.logical_and(distance >= -CUTOUT // 2, distance < CUTOUT // 2), images.dtype)
        images = images * (1 - inside[:, 0, :, None, None] * inside[:, 1, None, :, None])
    return images


class Augmented:
    """A discriminator that sees all images through :func:`augment`, with other random numbers at each call.

    Parameters
    ----------
    discriminator : keras.Model
    chosen : sequence of str
    seed : (2,) int32 tensor
        Another one for each step.
    """

    def __init__(self, discriminator, chosen, seed):
        self.discriminator, self.chosen, self.seed, self.calls = discriminator, chosen, seed, 0
        self.trainable_variables = discriminator.trainable_variables

    def __call__(self, images, training):
        self.calls += 1
        numbers = steps.uniform((images.shape[0], NUMBERS), self.seed + np.array([0, self.calls], np.int32))
        return self.discriminator(augment(images, self.chosen, numbers), training=training)


def seed_of(noise):
    """Return (2,) int32, the bits of the first two numbers of a step's noise.

    The random numbers of a step's augmentations thus follow from its noise: a training that was cut off goes on with the same.
    """
    return steps.bits(ops.reshape(noise, [-1])[:2])


def slope_penalty(discriminator, images, weight):
    """Return R1: ``weight`` / 2 times the mean squared length of the gradient of D's logit at real images.

    D may tell real from generated images, but not by a cliff: where the data lie, it is to be flat in the end (Mescheder et al.
    2018). Each image's own gradient is asked for, so D must have no batch normalisation, which mixes the images of a batch.

    Parameters
    ----------
    discriminator : callable
        Returns logits of real, (n, 1), first.
    images : (n, s, s, 1) tensor
    weight : float

    Returns
    -------
    () tensor
    """
    gradient = steps.input_gradient(lambda images: ops.sum(discriminator(images, training=True)[0]), images)
    return weight / 2 * ops.mean(ops.sum(ops.square(gradient), axis=(1, 2, 3)))


def decay_at(step, decay):
    """Return the decay of the running average after ``step`` updates: at most (1 + step) / (10 + step).

    So a short training is averaged over its last tenth or so, where a decay of 0.999 from the first step on would still hold the
    initial weights.
    """
    step = ops.cast(step, "float32")
    return ops.minimum(decay, (1 + step) / (10 + step))


def update_average(averages, weights, decay):
    """Assign ``decay`` times itself plus 1 - ``decay`` times the weight to each average."""
    for average, weight in zip(averages, weights, strict=True):
        average.assign(average * decay + weight * (1 - decay))


def settle(network, inputs):
    """Give the batch normalisations of an averaged network the statistics that its own weights make.

    Those that were gathered during the training belong to the weights of the training, and their average to none. So batches pass
    through, and the means over them are taken up (as Izmailov et al. 2018 do for averaged classifiers).

    Parameters
    ----------
    network : keras.Model
        Changed in place; its weights stay.
    inputs : sequence
        Batches of what the network takes.
    """
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [layer.momentum for layer in norms]
    for number, batch in enumerate(inputs):
        for layer in norms:
            layer.momentum = number / (number + 1)  # makes the moving average the plain mean of the batches so far
        network(batch, training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum


def realness(discriminator, images, label, batch_size=256):
    """Return how much the discriminator of an ACGAN believes in images: log D(x) + log P(class asked for | x).

    Parameters
    ----------
    discriminator : keras.Model
        (n, 64, 64, 1) in [-1, 1] -> logits of real, (n, 1), and of the classes, (n, k).
    images : (n, 64, 64, 1) in [0, 1]
    label : (n,) int

    Returns
    -------
    (n,) float32
        At most 0.
    """
    scores = [np.zeros(0, np.float32)]
    for start in range(0, len(images), batch_size):
        logit, class_logit = steps.infer(discriminator, images[start : start + batch_size] * 2 - 1)
        own = ops.one_hot(label[start : start + batch_size], class_logit.shape[1])
        score = ops.log_sigmoid(logit[:, 0]) + ops.sum(own * ops.log_softmax(class_logit), axis=1)
        scores.append(ops.convert_to_numpy(score))
    return np.concatenate(scores)


def best(scores, n):
    """Return the places of the ``n`` highest scores, in the order in which they were drawn; of equal ones the earlier.

    In that order, so that the first few of them are not the best few: smaller groups are no better than larger ones.

    Raises
    ------
    SettingsError
        If there are fewer.
    """
    if n > len(scores):
        raise SettingsError(f"{n} images are to be kept of {len(scores)} that were drawn; lower 'kept_share'")
    return np.sort(np.argsort(-np.asarray(scores), kind="stable")[:n])
