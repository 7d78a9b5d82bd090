"""Arithmetic of the networks: multiplications and additions of a training step, counted from the shapes of their layers.

Only products with trained weights are counted, two operations (multiply, add) a weight and place: convolutions and dense layers.
Normalisation, activations and the optimiser are left out; at the paper's sizes they are below 1 % of the operations. Borders of
zeros count as any other value. So a step's count divided by its time can be set beside the rate of a matrix product.
"""

import math

from keras import layers, tree


def layer_operations(layer):
    """Return the operations of one layer, forward, for one image; 0 if it has no matrix of weights.

    Forward each weight meets each place once: those of the output of a convolution (before a pooling that may be part of the
    layer), those of the input of a transposed one. The gradient by the weights and that by the inputs take as many each.
    """
    inner = layer.layer if isinstance(layer, layers.SpectralNormalization) else layer
    if isinstance(inner, layers.Conv2DTranspose | layers.Dense):
        places = layer.input.shape[1:-1]
    elif isinstance(inner, layers.Conv2D):
        places = layers.Conv2D.compute_output_shape(inner, layer.input.shape)[1:-1]
    else:
        return 0
    return 2 * math.prod(places) * math.prod(inner.kernel.shape)


def forward(model):
    """Return the operations of one image's way through a network."""
    return sum(map(layer_operations, model.layers))


def backward(model, *, by_weights=True, by_input=False):
    """Return the operations of one image's way back through a network.

    Parameters
    ----------
    model : keras.Model
        Built by calling layers on one another.
    by_weights : bool
        Take the gradient by every weight. If not, the network only hands on a gradient, as D does while G learns.
    by_input : bool
        Take the gradient by the network's input too. If not, layers that no weight comes before hand nothing on.
    """
    learned, operations = set(), 0
    for layer in model.layers:
        if isinstance(layer, layers.InputLayer):
            continue
        hands_on = by_input or any(id(tensor) in learned for tensor in tree.flatten(layer.input))
        operations += layer_operations(layer) * (by_weights + hands_on)
        if layer.trainable_weights or hands_on:
            learned |= {id(tensor) for tensor in tree.flatten(layer.output)}
    return operations


def training_step(model, batch_size):
    """Return the operations of one training step of a classifier: forward, and the gradient by its weights."""
    return batch_size * (forward(model) + backward(model))


def gan_step(generator, discriminator, batch_size, generator_updates=1):
    """Return the operations of a step of :func:`gans.train_step` or :func:`acgan.acgan_step`.

    G runs once, D on real and on generated images. Then there is the gradient of D's loss by D's weights, for both, and that of
    G's loss by G's weights, which goes back through D. Each further update of G runs G and D once more.

    Parameters
    ----------
    generator, discriminator : keras.Model
    batch_size : int
        Real images, and as many generated ones, a step.
    generator_updates : int
        As in :class:`gans.Gan`.
    """
    of_discriminator = 2 * (forward(discriminator) + backward(discriminator))
    of_generator = forward(generator) + backward(discriminator, by_weights=False, by_input=True) + backward(generator)
    further = (generator_updates - 1) * (of_generator + forward(discriminator))
    return batch_size * (of_discriminator + of_generator + further)
