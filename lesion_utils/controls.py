"""Control arms: training sets that each answer one doubt about a gain from synthetic ROIs, and what they must show.

Every control stands on the classic group that the inner folds chose and, where it stands in for synthetic ROIs, adds as many as
that arm does, so that all of them train for the same number of steps.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from .augment import augmented_rois
from .errors import DataError
from .settings import require_choice, require_positive
from .streams import stream

#: Control arms that are trained here. The order sets their random streams: append, do not insert.
ARMS = ("equal_steps", "more_classic", "oversampling", "placebo", "permuted", "planted_leak")


def chosen_arms(only=()):
    """Return the control arms to train, in the book's order: those named in ``only``, or all if it is empty.

    Raises
    ------
    SettingsError
        If one is unknown.
    """
    for arm in only:
        require_choice("only_controls", arm, ARMS)
    return [arm for arm in ARMS if arm in only or not only]


def equal_steps(classic, added, seed):
    """Return the whole classic group passed more often: as many images an epoch as with ``added`` synthetic ROIs, and none new.

    With the same batch size and number of epochs it trains for exactly as many steps of gradient descent. Unlike
    :func:`oversampling` it changes no proportion: originals, augmentations and classes keep their shares.

    Parameters
    ----------
    classic : RoiSet
        n images.
    added : int
    seed : int

    Returns
    -------
    RoiSet
        n + ``added`` images; each image of ``classic`` comes floor or ceil((n + ``added``) / n) times.
    """
    n = len(classic)
    passes, rest = divmod(n + added, n)
    shuffled = np.random.default_rng(seed).permutation(n)
    by_class = shuffled[np.argsort(classic.label[shuffled], kind="stable")]
    # Evenly spaced along the classes: the images that come once more are divided among the classes as the whole group is.
    return classic.take(np.concatenate([np.tile(np.arange(n), passes), by_class[np.arange(rest) * n // max(rest, 1)]]))


def oversampling(originals, per_class, classes, seed):
    """Return repeats of the un-augmented training ROIs, as many of each class: the oldest cure of small or uneven classes.

    Unlike :func:`equal_steps` it repeats the originals alone, never their augmentations, and balances the classes.

    Parameters
    ----------
    originals : RoiSet
    per_class : int
    classes : int
    seed : int

    Returns
    -------
    RoiSet
        ``per_class`` images of each class, in blocks of one class; within a class originals differ by at most one repeat.

    Raises
    ------
    DataError
        If a class has no original.
    """
    return originals.take(_of_each_class(originals.label, per_class, classes, seed))


def placebo(classic, per_class, classes, *, noise, seed):
    """Return noisy copies of images of the classic group: new to the network, but with nothing in them that a GAN might add.

    Parameters
    ----------
    classic : RoiSet
    per_class, classes, seed : int
        As in :func:`oversampling`; images are drawn without repeats while there are enough.
    noise : float
        Standard deviation of independent Gaussian noise of each pixel, as a share of the intensity window.

    Returns
    -------
    RoiSet
        ``per_class`` images of each class in [0, 1], clipped.

    Raises
    ------
    SettingsError
        If ``noise`` is not above 0: without noise they would be repeats.
    DataError
        If a class has no image.
    """
    require_positive(placebo_noise=noise)
    copies = classic.take(_of_each_class(classic.label, per_class, classes, seed))
    random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
    grain = random.standard_normal(copies.images.shape, np.float32) * np.float32(noise)
    return replace(copies, images=np.clip(copies.images + grain, 0, 1))


def permuted_labels(training, seed):
    """Return the same images with the labels dealt anew among the lesions: all images of a lesion get one label.

    A network that still does better than chance on other patients learned something that it must not see. Labels are permuted,
    not exchanged for wrong ones: by chance some lesions keep theirs, because a label that is always wrong would teach too.

    Parameters
    ----------
    training : RoiSet
        Real images; ``lesion_id`` says what each shows.
    seed : int

    Returns
    -------
    RoiSet
        The number of lesions of each class is unchanged.
    """
    _, first, lesion = np.unique(training.lesion_id, return_index=True, return_inverse=True)
    return replace(training, label=np.random.default_rng(seed).permutation(training.label[first])[lesion])


def more_classic(run, seed, classic, per_class, number):
    """Return further classic augmentations of the training lesions, which go on where the classic group ends.

    Parameters
    ----------
    run : Run
    seed : int
        Whose augmentation plan.
    classic : RoiSet
        From :meth:`runs.Run.fold_sets`: one original of each lesion and its first augmentations.
    per_class : int
    number : int
        Seed of the order in which the lesions have their turn.

    Returns
    -------
    RoiSet
        ``per_class`` images of each class, dealt to its lesions in turn. No augmentation of ``classic`` comes again before the
        lesion's plan is used up.
    """
    shown = pd.Series(classic.lesion_id).value_counts()
    used = np.array([shown.get(lesion, 1) - 1 for lesion in run.cohort.lesion_id])
    return _augmentations(run, seed, np.isin(run.cohort.lesion_id, classic.lesion_id), per_class, used, number)


def leaked_augmentations(run, seed, test, per_class, number):
    """Return classic augmentations of the lesions under test, honestly declared: with their patients behind them.

    Parameters are those of :func:`more_classic`, ``test`` is the fold's test RoiSet. What contains them cannot train:
    :meth:`runs.Run.assert_clean` raises LeakError.
    """
    used = np.zeros(len(run.cohort), int)
    return _augmentations(run, seed, np.isin(run.cohort.lesion_id, test.lesion_id), per_class, used, number)


def planted_leak(classic, leaked):
    """Return the classic group with images of test patients, and hide those patients: a leak made on purpose.

    This is the only place in the package where patients are left out of a RoiSet that shows them. It is there to see that the
    experiment notices a leak: accuracy on the leaked lesions must rise, and more than on the independent test set.

    Parameters
    ----------
    classic : RoiSet
    leaked : RoiSet
        From :func:`leaked_augmentations`.
    """
    return replace(classic + leaked, patients=classic.patients)


def added_images(arm, classic, per_class, classes):
    """Return how many images a control adds to the classic group: as many as the synthetic arm, with two exceptions.

    Permuted labels add none. The planted leak adds as many as the classic group has, whatever the inner folds chose: an alarm is
    tried with a leak that it cannot miss, and a few leaked images among many could be missed by chance.
    """
    return {"permuted": 0, "planted_leak": len(classic) // classes * classes}.get(arm, per_class * classes)


def training_set(run, arm, seed, fold, *, per_class, noise):
    """Build the training set of one control arm in one fold.

    Parameters
    ----------
    run : Run
    arm : str
        One of :data:`ARMS`.
    seed, fold : int
    per_class : int
        Synthetic ROIs of each class that the control stands in for; see :func:`added_images`.
    noise : float
        Of :func:`placebo`.
    """
    (arm,) = chosen_arms([arm])
    classic, test = run.fold_sets(seed, fold, run.chosen("classic", seed, fold)["amount"])
    k, number = len(run.classes), stream(seed, "controls", fold, ARMS.index(arm))
    if arm == "equal_steps":
        return equal_steps(classic, k * per_class, number)
    if arm == "more_classic":
        return classic + more_classic(run, seed, classic, per_class, number)
    if arm == "oversampling":
        return classic + oversampling(classic.first(len(run.cohort) - len(test)), per_class, k, number)
    if arm == "placebo":
        return classic + placebo(classic, per_class, k, noise=noise, seed=number)
    if arm == "permuted":
        return permuted_labels(classic, number)
    leaked = added_images(arm, classic, per_class, k) // k
    return planted_leak(classic, leaked_augmentations(run, seed, test, leaked, number))


def steps(images, *, epochs, batch_size):
    """Return the steps of gradient descent that so many images get; the last batch of an epoch may be smaller."""
    return epochs * -(-images // batch_size)


def _of_each_class(label, per_class, classes, seed):
    """Return ``per_class`` indices of each class, each index floor or ceil times, in blocks of one class."""
    random, chosen = np.random.default_rng(seed), []
    for number in range(classes):
        own = random.permutation(np.flatnonzero(label == number))
        chosen.append(np.resize(_some(own, number), per_class))
    return np.concatenate(chosen)


def _augmentations(run, seed, among, per_class, used, number):
    """Return ``per_class`` augmentations of each class, from columns of the plan after the ``used``, (lesions,), first ones."""
    plan, random = run.plan(seed), np.random.default_rng(number)
    lesion, column = [], []
    for label in range(len(run.classes)):
        own = random.permutation(np.flatnonzero(among & (run.cohort.label == label)))
        own = _some(own[np.argsort(used[own], kind="stable")], label)  # those that have had fewer come first
        turn = np.arange(per_class)
        lesion.append(own[turn % len(own)])
        column.append(used[lesion[-1]] + turn // len(own))
    lesion, column = np.concatenate(lesion), np.concatenate(column) % plan.shape[1]
    return augmented_rois(run.cohort, plan, lesion, column, **run.window)[0]


def _some(own, label):
    if len(own) == 0:
        raise DataError(
            f"a control arm needs images of every class, but class number {label} has none in this fold; merge classes"
        )
    return own
