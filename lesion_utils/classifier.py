"""Training the CNN on regions of interest and asking it for probabilities (paper, section 2.2)."""

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from . import networks, steps
from .errors import LesionBookError
from .settings import require_positive, threads


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
            ops.convert_to_numpy(ops.cast(steps.infer(model, images[start : start + batch_size] - self.mean_image), "float32"))
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
        self._optimizer = steps.momentum_optimizer(learning_rate, momentum)
        self._optimizer.build(self._model.trainable_variables)
        self._run_epoch = steps.compile_classifier_epoch(self._model, self._optimizer, batch_size)

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
        n = len(training)
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
        images = steps.hold(training.images - mean_image)
        random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
        for epoch in range(1, self.settings["epochs"] + 1):
            loss_sum = self._run_epoch(images, training.label, random.permutation(n))
            # Of a weight that is not a number, ReLU and pooling can make zero: then the loss alone would not tell.
            if not (np.isfinite(loss_sum) and steps.all_finite(self._model.trainable_variables)):
                raise LesionBookError(
                    f"{where}: the loss or a weight is not a number in epoch {epoch}; lower learning_rate "
                    f"(now {self.settings['learning_rate']}) or set precision to float32"
                )
            if on_epoch:
                on_epoch(epoch, loss_sum / n)
        copy_variables(self._model.variables, fresh.variables)
        return Classifier(fresh, mean_image)


def trainers(classes, **settings):
    """Return a :class:`Trainer` for each thread that the notebook may use, for :func:`experiment.train_all`."""
    return [Trainer(classes, **settings) for _ in range(threads())]


def copy_variables(source, target):
    """Assign a copy of each Keras variable of ``source`` to the one at the same place of ``target``."""
    for old, new in zip(source, target, strict=True):
        new.assign(ops.copy(old))


def reset_optimizer(optimizer):
    """Set step count and moments of a Keras optimiser to zero; the learning rate stays."""
    for variable in optimizer.variables:
        if not variable.path.endswith("learning_rate"):
            variable.assign(ops.zeros(variable.shape, variable.dtype))
