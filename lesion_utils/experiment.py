"""The units of the experiment: train the CNN on one training set, predict the test sets, keep the probabilities."""

from pathlib import Path

import keras
import numpy as np
import pandas as pd

from . import classifier, networks, steps
from .classifier import Classifier
from .files import atomic_path
from .parallel import side_by_side
from .runs import fold_tuple
from .streams import stream
from .units import fingerprint


def train_all(run, pool, jobs):
    """Train classifiers side by side and predict every test set, taking up the units that are finished.

    Parameters
    ----------
    run : Run
    pool : list of classifier.Trainer
        All of one setting; see :func:`classifier.trainers`.
    jobs : list of dict
        Arguments of :func:`train_and_predict` without its first two. ``training`` may be a function without arguments that
        returns a RoiSet: it is called when the training begins, so that no more sets are in memory than networks are trained.

    Returns
    -------
    list of DataFrame
        Rows of predictions.csv, one frame a job, in order.

    Raises
    ------
    LeakError, LesionBookError
        As :func:`train_and_predict`.
    """

    def task(job):
        return lambda trainer, advance: train_and_predict(run, trainer, on_epoch=advance, **job)

    epochs = pool[0].settings["epochs"]
    description = f"{len(jobs)} classifiers"
    return side_by_side(pool, [task(job) for job in jobs], total=len(jobs) * epochs, description=description)


def train_and_predict(run, trainer, *, training, tests, arm, amount, seed, fold, keep_classifier=False, on_epoch=None):
    """Train a classifier and predict every test set, or take up the finished unit.

    Parameters
    ----------
    run : Run
    trainer : classifier.Trainer
    training : RoiSet, or function without arguments that returns one
    tests : dict of str to RoiSet
        From :meth:`runs.Run.test_sets`.
    arm, amount, seed : str, int, int
        Name the unit, here and in predictions.csv.
    fold : int or pair of int
        What the training leaves out; of a pair see :func:`inner_predictions`.
    keep_classifier : bool
        Keep the trained network too; see :func:`load_classifier`.
    on_epoch : callable, optional
        Called without arguments after every epoch, and with their number when a finished unit is taken up.

    Returns
    -------
    DataFrame
        Rows of predictions.csv; ``attrs["unit"]`` is the name of the unit's file in ``classifiers/``.

    Raises
    ------
    LeakError
        If a patient under test stands behind the training images.
    """
    left_out = fold_tuple(fold)
    where = f"arm {arm}, amount {amount}, seed {seed}, fold {' and '.join(map(str, left_out))}"
    training = training() if callable(training) else training
    for test in tests.values():
        run.assert_clean(training, test, where)
    arrays = [training.images, training.label, *(test.images for test in tests.values())]
    key = fingerprint(arrays=arrays, modules=(classifier, networks, steps.backend), seed=seed, fold=left_out, **trainer.settings)
    folds = "-".join(map(str, left_out))
    path = run.folder / "classifiers" / f"{arm}_{amount}_seed{seed}_fold{folds}_{key}.npz"
    network = path.with_suffix(".keras")
    on_epoch = on_epoch or (lambda epochs=1: None)
    if path.exists() and (network.exists() or not keep_classifier):
        on_epoch(trainer.settings["epochs"])
    else:
        number = stream(seed, "classifier", *left_out)
        trained = trainer.train(training, seed=number, on_epoch=lambda epoch, loss: on_epoch(), where=where)
        if keep_classifier:
            with atomic_path(network) as temporary:
                trained.model.save(temporary)
        probabilities = {name: trained.predict(test.images) for name, test in tests.items()}
        with atomic_path(path) as temporary:
            np.savez(temporary, mean_image=trained.mean_image, **probabilities)
    with np.load(path, allow_pickle=False) as file:
        probabilities = {name: file[name] for name in tests}
    shown_fold = left_out[0] if len(left_out) == 1 else folds
    frame = prediction_frames(run, tests, probabilities, arm=arm, amount=amount, seed=seed, fold=shown_fold)
    frame.attrs["unit"] = path.name
    return frame


def inner_predictions(run, frame, outer, inner, seed):
    """Return what an inner training says about an outer fold's choice: its predictions of the inner fold's lesions.

    Parameters
    ----------
    run : Run
    frame : DataFrame
        From :func:`train_and_predict`, of a training that left out ``outer`` and ``inner``; it predicts the lesions of both.
    outer, inner, seed : int

    Returns
    -------
    DataFrame
        The rows of the inner fold's lesions, with ``fold`` the outer fold.
    """
    lesions = run.cohort.lesion_id[run.folds(seed) == inner]
    return frame[frame["lesion_id"].isin(lesions.tolist())].assign(fold=outer)


def fit_and_predict(run, fit, training, tests, *, arm, seed, fold):
    """Fit one baseline on one fold's training lesions and predict every test set.

    Parameters
    ----------
    run : Run
    fit : callable
        Takes the training RoiSet, returns a function from a RoiSet to (n, k) probabilities. It is handed nothing else.
    training, tests
        RoiSets as in :func:`train_and_predict`.
    arm, seed, fold
        Name the unit in predictions.csv; its amount is 0: baselines are trained on the originals alone.

    Returns
    -------
    DataFrame
        Rows of predictions.csv.

    Raises
    ------
    LeakError
        If a patient under test stands behind the training images; nothing is fitted then.
    """
    for test in tests.values():
        run.assert_clean(training, test, f"arm {arm}, seed {seed}, fold {fold}")
    predict = fit(training)
    probabilities = {name: predict(test) for name, test in tests.items()}
    return prediction_frames(run, tests, probabilities, arm=arm, amount=0, seed=seed, fold=fold)


def load_classifier(path):
    """Return the :class:`Classifier` of a unit that was trained with ``keep_classifier``.

    Parameters
    ----------
    path : str or Path
        From :meth:`runs.Run.chosen_unit`.
    """
    path = Path(path)
    with np.load(path, allow_pickle=False) as file:
        mean_image = file["mean_image"]
    return Classifier(keras.saving.load_model(path.with_suffix(".keras"), compile=False, safe_mode=True), mean_image)


def prediction_frames(run, tests, probabilities, **unit):
    """Return rows of predictions.csv for every test set.

    Parameters
    ----------
    tests : dict of str to RoiSet
        From :meth:`runs.Run.test_sets`.
    probabilities : dict of str to (n, k)
        Of the same sets, in the order of their ROIs.
    **unit
        ``arm``, ``amount``, ``seed`` and ``fold``.
    """
    parts = [_prediction_frame(run, test, probabilities[name], test_set=name, **unit) for name, test in tests.items()]
    return pd.concat(parts, ignore_index=True)


def _prediction_frame(run, test, probability, *, arm, amount, test_set, seed, fold):
    names = np.array(run.classes)
    patient = dict(zip(run.everything.lesion_id, run.everything.patient_id, strict=True))
    frame = pd.DataFrame(
        {
            "arm": arm,
            "amount": amount,
            "test_set": test_set,
            "seed": seed,
            "fold": fold,
            "lesion_id": test.lesion_id,
            "patient_id": [patient[lesion] for lesion in test.lesion_id],
            "true": names[test.label],
            "predicted": names[probability.argmax(axis=1)],
        }
    )
    for index, name in enumerate(names):
        frame[f"probability_{name}"] = probability[:, index]
    return frame
