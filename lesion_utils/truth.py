"""The truth by simulation: what trained classifiers, those of a run and further ones, say of thousands of fresh lesions."""

import numpy as np

from . import classifier, networks, steps
from .experiment import load_classifier
from .files import atomic_path
from .parallel import side_by_side
from .settings import threads
from .splits import patient_folds
from .streams import stream
from .units import fingerprint

#: Seed of the first classifier that is trained here; those of a run count from 0.
FIRST_SEED = 1000


def chosen_predictions(run, fresh, arms, seeds):
    """Let the classifiers of a run, each fold's at the amount that its inner folds chose, name the fresh lesions.

    Parameters
    ----------
    run : Run
    fresh : fresh.FreshLesions
    arms : sequence of str
    seeds : sequence of int

    Returns
    -------
    dict of str to (models, n) uint8
        Predicted classes by arm; models in the order of :func:`model_names`, the same for each arm. What an earlier call has
        predicted is taken up from ``truth/`` in the run's folder.
    """
    names = model_names(run, seeds)

    def job(arm, seed, fold):
        unit = run.chosen_unit(arm, seed, fold)
        key = fingerprint(modules=(classifier, networks, steps.backend), unit=unit.name, fresh=fresh.key)

        def predict(worker, advance):
            named = _keep(run, f"{arm}_seed{seed}_fold{fold}_{key}", lambda: _named(load_classifier(unit), fresh))
            advance()
            return named

        return predict

    jobs = [job(arm, *name) for arm in arms for name in names]
    named = side_by_side(range(threads()), jobs, total=len(jobs), description="fresh lesions", unit="model")
    return {arm: np.stack(named[number * len(names) :][: len(names)]) for number, arm in enumerate(arms)}


def model_names(run, seeds):
    """Return (seed, fold) of every classifier of an arm."""
    return [(seed, fold) for seed in seeds for fold in run.fold_numbers]


def training_set(run, seed, amount):
    """Return the classic training set of one further classifier: the cohort's patients less a fold, dealt anew by its seed.

    Parameters
    ----------
    run : Run
    seed : int
        Of the deal of patients to folds and of the augmentations.
    amount : int
        Classic augmentations, in the paper's counting; see :meth:`runs.Run.added_samples`.

    Returns
    -------
    RoiSet
    """
    fold = patient_folds(
        run.cohort.label,
        run.cohort.patient_id,
        folds=run.preparation["folds"],
        classes=run.classes,
        seed=stream(seed, "folds"),
    )
    return run.training_set(seed, fold != 0, run.added_samples(amount), (0,))


def independent_models(run, pool, fresh, amount, models):
    """Train classifiers of the classic arm, alike in all but chance, and let each name the fresh lesions.

    Model i has the seed :data:`FIRST_SEED` + i, from which follow who trains, the augmentations, the initial weights and the
    order of images.

    Parameters
    ----------
    run : Run
    pool : list of classifier.Trainer
    fresh : fresh.FreshLesions
    amount : int
        As in :func:`training_set`.
    models : int

    Returns
    -------
    (models, n) uint8
        Predicted classes. Finished models are taken up from ``truth/`` in the run's folder.

    Raises
    ------
    LeakError
        If a fresh patient, or one of the independent test set, stands behind the training images.
    """
    epochs = pool[0].settings["epochs"]

    def job(seed):
        def training():
            return training_set(run, seed, amount)

        where = f"independent model, amount {amount}, seed {seed}"
        return naming_job(
            run, training, fresh, name=f"classic_{amount}", seed=seed, number=stream(seed, "classifier", 0), where=where
        )

    jobs = [job(FIRST_SEED + number) for number in range(models)]
    return np.stack(side_by_side(pool, jobs, total=models * epochs, description=f"{models} classifiers"))


def naming_job(run, training, fresh, *, name, seed, number, where):
    """Return a job for :func:`parallel.side_by_side`: a trainer learns a training set, and names the fresh lesions.

    Parameters
    ----------
    run : Run
        Keeps the predictions, in ``truth/``.
    training : RoiSet, or function without arguments that returns one
    fresh : fresh.FreshLesions
    name, where : str
        Of the file, and in error messages.
    seed, number : int
        Of the file, and of the training.
    """

    def job(trainer, advance):
        rois, done = training() if callable(training) else training, [0]
        run.assert_clean(rois, fresh.rois, where)
        arrays, modules = [rois.images, rois.label], (classifier, networks, steps.backend)
        key = fingerprint(arrays=arrays, modules=modules, seed=seed, fresh=fresh.key, **trainer.settings)

        def count(epoch, loss):
            done[0] = epoch
            advance()

        named = _keep(
            run,
            f"{name}_seed{seed}_{key}",
            lambda: _named(trainer.train(rois, seed=number, on_epoch=count, where=where), fresh),
        )
        advance(trainer.settings["epochs"] - done[0])
        return named

    return job


def _named(trained, fresh):
    return trained.predict(fresh.rois.images).argmax(axis=1)


def _keep(run, name, predict):
    """Return predicted classes from their file in ``truth/``, made by ``predict`` if it is not there."""
    path = run.folder / "truth" / f"{name}.npz"
    if not path.exists():
        named = predict().astype(np.uint8)
        with atomic_path(path) as temporary:
            np.savez_compressed(temporary, predicted=named)
    with np.load(path, allow_pickle=False) as file:
        return file["predicted"]
