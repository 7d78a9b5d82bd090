"""Synthetic ROIs: drawn from a trained generator, kept in a file with the patients behind them, and read again."""

from pathlib import Path

import numpy as np
from keras import ops

from . import networks, steps
from .errors import MissingInputError, SettingsError
from .files import atomic_path
from .gan_training import saved_epoch_numbers
from .gans import draw_noise
from .rois import RoiSet
from .runs import fold_tuple
from .streams import stream

#: The notebook that trains each of :data:`gans.GANS` and draws its synthetic ROIs.
NOTEBOOKS = {"dcgan": "03_dcgan", "acgan": "04_acgan"}


def sample_images(generator, n, *, noise, seed, class_weights=None, batch_size=256):
    """Draw ``n`` images; the first m of them are the same for any n of at least m, so groups are nested.

    Parameters
    ----------
    generator : keras.Model
    n : int
    noise : str
        ``uniform`` or ``normal``.
    seed : int
    class_weights : (k,) float, optional
        What to ask a conditional generator for: a single 1, or a mixture of classes.

    Returns
    -------
    (n, 64, 64, 1) float32 in [0, 1]
    """
    random = np.random.default_rng(seed)
    vectors = np.reshape([draw_noise(networks.NOISE_SIZE, noise, random) for _ in range(n)], (n, networks.NOISE_SIZE))
    images = []
    for start in range(0, n, batch_size):
        part = vectors[start : start + batch_size]
        if class_weights is not None:
            part = [part, np.tile(np.float32(class_weights), (len(part), 1))]
        images.append(ops.convert_to_numpy(steps.infer(generator, part)))
    images = np.concatenate(images) if images else np.zeros((0, 64, 64, 1), np.float32)
    return np.clip((images + 1) / 2, 0, 1)


def drawing_seed(gan, seed, left_out, label):
    """Return the seed of the noise from which a run's synthetic ROIs of a class are drawn, whatever the epoch.

    Parameters
    ----------
    gan : str
        One of :data:`gans.GANS`.
    seed : int
    left_out : int or pair of int
        What the GAN was trained without.
    label : int
    """
    if gan == "dcgan":
        return stream(seed, "sampling", *fold_tuple(left_out), label)
    return stream(seed, "acgan", *fold_tuple(left_out), 1000 + label)


def save_synthetic(path, rois):
    """Write synthetic ROIs (16 bit a pixel: steps of 1/65535 of the window) with the patients their GANs were trained on."""
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary,
            images=np.round(rois.images * 65535).astype(np.uint16),
            label=rois.label,
            patients=np.array(sorted(rois.patients)),
        )


def load_synthetic(path):
    """Read what :func:`save_synthetic` wrote, as a RoiSet.

    Parameters
    ----------
    path : Path
        From :meth:`runs.Run.synthetic_path`: its name begins with the GAN's.

    Raises
    ------
    MissingInputError
        If the file is not there, naming the notebook that makes it.
    """
    notebook = NOTEBOOKS.get(Path(path).name.partition("_")[0])
    if notebook and not Path(path).exists():
        raise MissingInputError(f"{path} is missing: run notebooks/{notebook}.ipynb first (`make book` runs all in order)")
    with np.load(path, allow_pickle=False) as file:
        images, label, patients = file["images"], file["label"], file["patients"]
    return RoiSet(images.astype(np.float32) / 65535, label, frozenset(patients.tolist()), np.full(len(label), "", dtype="<U1"))


def chosen_synthetic(state, gan, seed, fold):
    """Read the synthetic ROIs of one fold, drawn at the epoch that the inner folds chose.

    Parameters
    ----------
    state : Run
    gan : str
        One of :data:`gans.GANS`.
    seed, fold : int

    Returns
    -------
    RoiSet
        In blocks of one class.
    """
    epoch = state.chosen(gan, seed, fold)["epoch"]
    return load_synthetic(state.synthetic_path(gan, seed, fold, epoch))


def epochs_to_draw(sample_epochs, epochs, saved_epochs):
    """Return the saved epochs to draw from: ``sample_epochs``, or all of :func:`gan_training.saved_epoch_numbers` if it is empty.

    Raises
    ------
    SettingsError
        If one of them is not saved: said before anything is trained.
    """
    kept = saved_epoch_numbers(epochs, saved_epochs)
    if missing := sorted(set(sample_epochs) - set(kept)):
        raise SettingsError(
            f"parameter 'sample_epochs' holds {missing}, but of {epochs} epochs {kept} are saved; choose among these"
        )
    return list(sample_epochs) or kept


def forget_other_epochs(state, gan, seed, left_out, epochs):
    """Delete synthetic ROIs of epochs that are not drawn any more: a training with other settings left them in the run.

    What is there is taken for drawn (:func:`drawn_epochs`), and would be tried and perhaps chosen.

    Parameters
    ----------
    state : Run
    gan, seed, left_out
        As of :meth:`runs.Run.synthetic_path`.
    epochs : sequence of int
        Those to keep.
    """
    kept = {state.synthetic_path(gan, seed, left_out, epoch) for epoch in epochs}
    for path in set(_drawn(state, gan, seed, left_out)) - kept:
        path.unlink()


def _drawn(state, gan, seed, left_out):
    name = state.synthetic_path(gan, seed, left_out, 0).name.replace("0000.npz", "*.npz")
    return (state.folder / "synthetic").glob(name)


def drawn_epochs(state, gan, seed, fold):
    """Return the saved epochs at which a GAN of one fold has drawn synthetic ROIs, in order.

    Raises
    ------
    MissingInputError
        If it has drawn none.
    """
    epochs = sorted(int(path.stem.rpartition("epoch")[2]) for path in _drawn(state, gan, seed, fold))
    if not epochs:
        raise MissingInputError(
            f"there are no synthetic ROIs of {gan}, seed {seed}, fold {fold}: run notebooks/{NOTEBOOKS[gan]}.ipynb first "
            "(`make book` runs all in order)"
        )
    return epochs
