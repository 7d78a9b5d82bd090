"""Training the CNN on regions of interest and asking it for probabilities (paper, section 2.2)."""

import logging
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from . import networks
from .errors import LesionBookError
from .settings import require_positive, threads

logging.getLogger("tensorflow").setLevel(logging.ERROR)
# It makes long sums into temporary variables that bear the names of their nodes: two networks alike, trained at once, collide.
tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})


@dataclass(frozen=True)
class Classifier:
    """A trained CNN with the mean image of its training set, which is subtracted from all it sees."""

    model: keras.Model
    mean_image: np.ndarray

    def predict(self, images, batch_size=256):
        """Return (n, k) float32 probabilities of (n, 64, 64, 1) images in [0, 1]."""
        return self._outputs(self.model, images, batch_size)

    def features(self, images, batch_size=256):
        """Return the (n, 8 ``width``) float32 outputs of the last layer before the class scores (paper, section 4.3)."""
        layer = self.model.get_layer("features")
        return self._outputs(keras.Model(self.model.inputs[0], layer.output), images, batch_size)

    def _outputs(self, model, images, batch_size):
        parts = [
            ops.convert_to_numpy(ops.cast(model(images[start : start + batch_size] - self.mean_image, training=False), "float32"))
            for start in range(0, len(images), batch_size)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, model.output_shape[-1]), np.float32)


class Trainer:
    """Trains the CNN with stochastic gradient descent and Nesterov momentum, any number of times with one compilation.

    Parameters
    ----------
    classes : int
    width : int
        See :func:`networks.cnn`. The paper: 32.
    epochs, batch_size : int
        The paper: 150, 64. The last batch of an epoch may be smaller.
    learning_rate, momentum : float
        The paper: 0.001; momentum is not stated, 0.9 is usual.
    precision : str
        ``float32`` or ``mixed_bfloat16``.
    """

    def __init__(self, classes, *, width=32, epochs, batch_size, learning_rate, momentum, precision):
        require_positive(width=width, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate)
        self.settings = {
            "classes": classes,
            "width": width,
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "momentum": momentum,
            "precision": precision,
        }
        # What is trained; each training returns a network of the usual layers with its weights.
        self._model = self._new_model(0, fused=True)
        self._optimizer = NesterovMomentum(learning_rate, momentum=momentum, nesterov=True)
        self._optimizer.build(self._model.trainable_variables)
        self._run_steps = _compile_steps(self._model, self._optimizer)

    def _new_model(self, seed, **more):
        return networks.cnn(**{name: self.settings[name] for name in ("classes", "width", "precision")}, seed=seed, **more)

    def train(self, training, *, seed, on_epoch=None, where="CNN"):
        """Train a new network from its initial weights.

        Parameters
        ----------
        training : RoiSet
        seed : int
            Initial weights, dropout and the order of images. The same seed gives the same bits on the same machine.
        on_epoch : callable, optional
            Called with (epoch, mean loss) after each epoch.
        where : str
            Names the arm, fold and seed in error messages.

        Returns
        -------
        Classifier

        Raises
        ------
        LesionBookError
            If there are no images, or if images, loss or weights are not finite.
        """
        n, batch_size = len(training), self.settings["batch_size"]
        if n == 0:
            raise LesionBookError(f"{where}: no training images; give the cohort lesions in every training fold")
        fresh = self._new_model(seed)
        copy_variables(fresh.variables, self._model.variables)
        reset_optimizer(self._optimizer)
        mean_image = training.images.mean(axis=0)
        if not np.isfinite(mean_image).all():
            raise LesionBookError(
                f"{where}: training images hold values that are not numbers; delete what made them and run it again"
            )
        images, label = tf.constant(training.images - mean_image), tf.constant(training.label)
        random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
        whole = n - n % batch_size
        for epoch in range(1, self.settings["epochs"] + 1):
            order = random.permutation(n).astype(np.int32)
            loss_sum = 0.0
            if whole:
                loss_sum += float(self._run_steps(images, label, order[:whole].reshape(-1, batch_size)))
            if whole < n:
                loss_sum += float(self._run_steps(images, label, order[None, whole:]))
            # Of a weight that is not a number, ReLU and pooling can make zero: then the loss alone would not tell.
            if not (np.isfinite(loss_sum) and all(np.isfinite(w.numpy()).all() for w in self._model.trainable_variables)):
                raise LesionBookError(
                    f"{where}: the loss or a weight is not a number in epoch {epoch}; lower learning_rate "
                    f"(now {self.settings['learning_rate']}) or set precision to float32"
                )
            if on_epoch:
                on_epoch(epoch, loss_sum / n)
        copy_variables(self._model.variables, fresh.variables)
        return Classifier(fresh, mean_image)


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


def trainers(classes, **settings):
    """Return a :class:`Trainer` for each thread that the notebook may use, for :func:`experiment.train_all`."""
    return [Trainer(classes, **settings) for _ in range(threads())]


def _compile_steps(model, optimizer):
    """Return a function that runs one training step per row of an (s, b) index array and returns the summed loss.

    All steps of an epoch are one call: images stay where the network is, and Python is entered once an epoch.
    """
    side = networks.ROI_SIZE
    signature = [
        tf.TensorSpec((None, side, side, 1), tf.float32),
        tf.TensorSpec((None,), tf.int64),
        tf.TensorSpec((None, None), tf.int32),
    ]

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

    return run_steps


def copy_variables(source, target):
    """Assign each Keras variable of ``source`` to the one at the same place of ``target``."""
    for old, new in zip(source, target, strict=True):
        new.assign(old)


def reset_optimizer(optimizer):
    """Set step count and moments of a Keras optimiser to zero; the learning rate stays."""
    for variable in optimizer.variables:
        if not variable.path.endswith("learning_rate"):
            variable.assign(tf.zeros_like(variable))
