"""A whole training of a GAN: epochs, checkpoints and the generators that are kept (paper, section 3.2)."""

import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from . import steps
from .errors import LesionBookError, MissingInputError, SettingsError
from .files import atomic_path, write_csv

#: Seconds of training that a training which is cut off may lose: a small network's epoch is shorter than its checkpoint.
CHECKPOINT_SECONDS = 10


def train_gan(gan, rois, folder, *, epochs, saved_epochs, seed, where, on_epoch=None):
    """Train a GAN, or go on where an earlier call was cut off.

    Parameters
    ----------
    gan : Gan
    rois : RoiSet
        Its images are mapped to (-1, 1), the range of tanh (paper, section 3.2).
    folder : Path
        Receives ``checkpoint.npz`` (rolling, rewritten after the first epoch that ends :data:`CHECKPOINT_SECONDS` after the one
        before), ``epoch_0070.keras`` for each saved epoch and, at the end, ``history.csv``. Must be the training's own: name it
        by :func:`units.fingerprint`.
    epochs : int
    saved_epochs : int
        How many generators to keep, evenly spaced, the last epoch being one of them.
    seed : int
    where : str
        Names class and fold in error messages.
    on_epoch : callable, optional
        Called with a number of epochs that are done: those taken up from an earlier call, then 1 after each that is trained now.

    Returns
    -------
    DataFrame
        The history, one row an epoch.

    Raises
    ------
    LesionBookError
        If a loss or a weight is not finite, or there are no images.
    """
    folder = Path(folder)
    finished, checkpoint = folder / "history.csv", folder / "checkpoint.npz"
    on_epoch = on_epoch or (lambda epochs: None)
    if finished.exists():
        on_epoch(epochs)
        return pd.read_csv(finished)
    if len(rois) == 0:
        raise LesionBookError(f"{where}: no training images; give the class lesions in every training fold")
    keep = saved_epoch_numbers(epochs, saved_epochs)
    gan.start(seed=seed)
    if checkpoint.exists():
        with np.load(checkpoint, allow_pickle=False) as arrays:
            gan.restore(arrays)
    images = steps.hold(rois.images * 2 - 1)
    on_epoch(gan.epoch)
    stored = time.monotonic()
    while gan.epoch < epochs:
        gan.train_epoch(images, rois.label)
        if not gan.is_finite():
            raise LesionBookError(
                f"{where}: a loss or a weight is not a number in epoch {gan.epoch}; lower learning_rate "
                f"(now {gan.settings['learning_rate']}) or set precision to float32"
            )
        if gan.epoch in keep:
            with atomic_path(generator_path(folder, gan.epoch)) as temporary:
                gan.generator.save(temporary)
            for name, network in gan.kept_networks().items():
                with atomic_path(network_path(folder, name, gan.epoch)) as temporary:
                    network.save(temporary)
        if gan.epoch == epochs and gan.keeps_discriminator:
            with atomic_path(folder / "discriminator.keras") as temporary:
                gan.discriminator.save(temporary)
        if time.monotonic() - stored >= CHECKPOINT_SECONDS:
            with atomic_path(checkpoint) as temporary:
                np.savez(temporary, **gan.state())
            stored = time.monotonic()
        on_epoch(1)
    write_csv(finished, gan.history)
    checkpoint.unlink(missing_ok=True)
    return gan.history


def saved_epoch_numbers(epochs, saved_epochs):
    """Return the epochs whose generators are kept: ``saved_epochs`` evenly spaced ones, ending with the last."""
    if not 1 <= saved_epochs <= epochs:
        raise SettingsError(f"parameter 'saved_epochs' is {saved_epochs}; choose 1 to epochs = {epochs}")
    return np.unique(np.linspace(0, epochs, saved_epochs + 1).round().astype(int)[1:]).tolist()


def generator_path(folder, epoch):
    """Return the file of the generator saved at ``epoch``."""
    return Path(folder) / f"epoch_{epoch:04d}.keras"


def network_path(folder, name, epoch):
    """Return the file of another network that was kept at ``epoch``; see :meth:`gans.Gan.kept_networks`."""
    return Path(folder) / f"{name}_{epoch:04d}.keras"


def load_network(folder, name, epoch):
    """Read a network that was kept beside a saved generator, without running any code stored in it.

    Raises
    ------
    MissingInputError
        If it was not kept.
    """
    path = network_path(folder, name, epoch)
    if not path.exists():
        raise MissingInputError(f"no network {name!r} was kept at epoch {epoch} in {path.parent.name}; run its notebook again")
    return keras.saving.load_model(path, compile=False, safe_mode=True)


def load_generator(folder, epoch):
    """Read a saved generator, without running any code stored in it.

    Raises
    ------
    MissingInputError
        Naming the epochs that were saved.
    """
    path = generator_path(folder, epoch)
    if not path.exists():
        saved = sorted(int(file.stem.split("_")[1]) for file in Path(folder).glob("epoch_*.keras"))
        raise MissingInputError(
            f"no generator was saved at epoch {epoch} (saved: {saved}); choose one, or train with more saved_epochs"
        )
    return keras.saving.load_model(path, compile=False, safe_mode=True)
