"""One unit of the experiment: train the CNN on one training set, predict the test sets, keep the probabilities."""

from pathlib import Path

import keras
import numpy as np
import pandas as pd

from . import classifier, networks
from .classifier import Classifier
from .files import atomic_path
from .progress import progress
from .runs import stream
from .units import fingerprint


def train_and_predict(run, trainer, training, tests, *, arm, amount, seed, fold, keep_classifier=False):
    """Train a classifier and predict every test set, or take up the finished unit.

    Parameters
    ----------
    run : Run
    trainer : classifier.Trainer
    training : RoiSet
    tests : dict of str to RoiSet
        From :meth:`runs.Run.test_sets`.
    arm, amount, seed, fold
        Name the unit, here and in predictions.csv.
    keep_classifier : bool
        Keep the trained network too; see :func:`load_classifier`.

    Returns
    -------
    DataFrame
        Rows of predictions.csv.

    Raises
    ------
    LeakError
        If a patient under test stands behind the training images.
    """
    where = f"arm {arm}, amount {amount}, seed {seed}, fold {fold}"
    for test in tests.values():
        run.assert_clean(training, test, where)
    arrays = [training.images, training.label, *(test.images for test in tests.values())]
    key = fingerprint(arrays=arrays, modules=(classifier, networks), seed=seed, fold=fold, **trainer.settings)
    path = run.folder / "classifiers" / f"{arm}_{amount}_seed{seed}_fold{fold}_{key}.npz"
    network = path.with_suffix(".keras")
    if not path.exists() or (keep_classifier and not network.exists()):
        with progress(total=trainer.settings["epochs"], description=where, unit="epoch") as bar:
            trained = trainer.train(
                training, seed=stream(seed, "classifier", fold), on_epoch=lambda epoch, loss: bar.update(), where=where
            )
        if keep_classifier:
            with atomic_path(network) as temporary:
                trained.model.save(temporary)
        probabilities = {name: trained.predict(test.images) for name, test in tests.items()}
        with atomic_path(path) as temporary:
            np.savez(temporary, mean_image=trained.mean_image, **probabilities)
    with np.load(path, allow_pickle=False) as file:
        probabilities = {name: file[name] for name in tests}
    frame = prediction_frames(run, tests, probabilities, arm=arm, amount=amount, seed=seed, fold=fold)
    frame.attrs["unit"] = str(path)
    return frame


def fit_and_predict(run, fit, training, tests, *, arm, seed, fold):
    """Fit one baseline on one fold's training lesions and predict every test set.

    Parameters
    ----------
    run : Run
    fit : callable
        Takes the training RoiSet, returns a function from a RoiSet to (n, k) probabilities. It is handed nothing else.
    training, tests
        As in :func:`train_and_predict`.
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
        ``frame.attrs["unit"]`` of :func:`train_and_predict`.
    """
    path = Path(path)
    with np.load(path, allow_pickle=False) as file:
        mean_image = file["mean_image"]
    return Classifier(keras.saving.load_model(path.with_suffix(".keras"), compile=False, safe_mode=True), mean_image)


def class_agreement(run, rois, seed, fold):
    """Ask a classifier that was trained on real training ROIs which class synthetic ROIs show.

    Parameters
    ----------
    run : Run
    rois : RoiSet
        Synthetic ROIs of one fold; ``label`` is the class they were asked for.
    seed, fold : int
        The judge is this fold's classifier at the classic optimum.

    Returns
    -------
    DataFrame
        ``seed, fold, asked, named``, one row a ROI; classes by number.
    """
    judge = load_classifier(run.chosen_unit("classic", seed, fold))
    named = judge.predict(rois.images).argmax(axis=1)
    return pd.DataFrame({"seed": seed, "fold": fold, "asked": rois.label, "named": named})


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
