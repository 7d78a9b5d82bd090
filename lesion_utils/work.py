"""How much a run computes, counted from its parameters alone: images through networks, steps, trainings, synthetic ROIs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import phantom, readers, splits
from .cohort import ROLES
from .errors import DataError

#: The paper's classic optimum (section 4.2.1), assumed where it is among the amounts, because the run's own is not known yet.
PAPER_OPTIMUM = 5000


@dataclass(frozen=True)
class Lesions:
    """How many lesions a run has: ``cohort``, a tuple with one number a class, and ``extra`` and ``test`` lesions in all."""

    cohort: tuple
    extra: int
    test: int


@dataclass(frozen=True)
class Work:
    """What a run computes; images and steps are counted as often as they pass through a network.

    Attributes
    ----------
    classic_images, added_images : int
        CNN training images of 05_classification: classic groups, and groups with synthetic or extra real ROIs on top.
    judge_images : int
        CNN training images of 03_dcgan: synthetic ROIs alone.
    detector_images : int
        CNN training images of 08_reader_study: real against synthetic ROIs.
    classic_units, added_units, judge_units : int
        Trained classifiers.
    gan_steps, gan_epochs, gan_units : int
        Of DCGAN training.
    acgan_steps, acgan_epochs, acgan_units : int
        Of ACGAN training.
    samples : int
        Synthetic ROIs drawn.
    optimum : int
        Classic amount that the numbers are based on.
    """

    classic_images: int
    added_images: int
    judge_images: int
    detector_images: int
    classic_units: int
    added_units: int
    judge_units: int
    gan_steps: int
    gan_epochs: int
    gan_units: int
    acgan_steps: int
    acgan_epochs: int
    acgan_units: int
    samples: int
    optimum: int


def count_lesions(parameters):
    """Return the :class:`Lesions` of a run: from its table, without opening an image, or from the simulation's parameters.

    Parameters
    ----------
    parameters : dict of str to dict
        Notebook name to its complete parameters; see :func:`settings.run_parameters`.

    Raises
    ------
    DataError
        If the table cannot be read or has problems, or a class has fewer lesions than ``balanced_per_class``.
    SettingsError
        If the simulation's numbers of lesions are not three whole numbers.
    """
    own = parameters["01_data"]
    if own["data"]:
        return _table_lesions(Path(own["data"]), own["label"], own["balanced_per_class"], own["cohort_seed"])
    for name, role in zip(("lesions", "extra_lesions", "test_lesions"), ROLES, strict=True):
        phantom.plan_patients(own[name], seed=own["cohort_seed"], role=role)  # raises if they are not three whole numbers
    return Lesions(tuple(own["lesions"]), sum(own["extra_lesions"]), sum(own["test_lesions"]))


def _table_lesions(path, label, balanced_per_class, seed):
    columns, records, problems = readers._read_records(path)
    readers._check_columns(path, columns, label)
    rows = []
    for line, cells in records:
        try:
            rows.append(readers._parse_row(path.parent, line, dict(zip(columns, cells, strict=True)), label))
        except DataError as error:
            problems.append((line, str(error)))
    problems += ([] if problems else readers._check_classes(rows, label)) + readers._check_between_rows(rows)
    if problems:
        raise DataError(readers._report(path, problems))
    names = readers._sorted_labels({row.label for row in rows})
    kept = [row for row in rows if row.role == ROLES[0]]
    classes = np.array([names.index(row.label) for row in kept])
    if balanced_per_class:
        # Which patients the run will keep hangs on its anonymous ids; how many lesions they have differs by one or two.
        patients = np.array([row.patient_id for row in kept])
        chosen = splits.balanced_subcohort(classes, patients, per_class=balanced_per_class, classes=names, seed=seed)
        classes = classes[chosen]
    counts = np.bincount(classes, minlength=len(names))
    extra = sum(row.role == ROLES[1] for row in rows)
    return Lesions(tuple(counts.tolist()), extra, len(rows) - len(classes) - extra)


def classic_optimum(parameters):
    """Return the classic amount that is assumed to classify best, which a run finds out: the paper's, or else the largest."""
    amounts = parameters["05_classification"]["classic_amounts"]
    return PAPER_OPTIMUM if PAPER_OPTIMUM in amounts else max(amounts, default=0)


def count_work(parameters, lesions):
    """Return the :class:`Work` of a run.

    A fold is counted with the mean share of the cohort; the run's own folds differ from it by a lesion or two.

    Parameters
    ----------
    parameters : dict of str to dict
        As in :func:`count_lesions`.
    lesions : Lesions
    """
    from .gans import saved_epoch_numbers

    cnn, gan, acgan = (parameters[name] for name in ("05_classification", "03_dcgan", "04_acgan"))
    folds, classes = parameters["01_data"]["folds"], len(lesions.cohort)
    share = (folds - 1) / folds  # of the lesions that train
    reading = 1 if parameters["02_classic_augmentation"]["amount_reading"] == "training_set" else folds - 1
    optimum = classic_optimum(parameters)

    def group(amount, added=0):
        return sum(lesions.cohort) * share + amount * reading + added * classes

    trainings = len(cnn["seeds"]) * folds
    amounts = [0, *cnn["classic_amounts"]]
    without = ("real", "classic") if lesions.extra else ("real", "classic", "classic_extra_real")
    added = cnn["added_per_class"] * len([arm for arm in cnn["arms"] if arm not in without])
    classic_images = cnn["epochs"] * trainings * sum(group(amount) for amount in amounts)
    added_images = cnn["epochs"] * trainings * sum(group(optimum, number) for number in added)

    saved_epoch_numbers(gan["epochs"], gan["saved_epochs"])  # raises if they do not go together
    chosen = gan["only_classes"] or list(range(classes))
    gan_folds = len(gan["seeds"]) * (len(gan["only_folds"]) or folds)
    amount = optimum if gan["classic_amount"] is None else gan["classic_amount"]
    # Augmentations are dealt to the training lesions in turn, so each class gets its share of them.
    images = [group(amount) * lesions.cohort[label] / sum(lesions.cohort) for label in chosen]
    steps = sum(max(1, int(number / gan["batch_size"] + 1e-9)) for number in images)
    acgan_folds = len(acgan["seeds"]) * (len(acgan["only_folds"]) or folds)
    acgan_amount = optimum if acgan["classic_amount"] is None else acgan["classic_amount"]
    acgan_steps = max(1, int(group(acgan_amount) / acgan["batch_size"] + 1e-9))
    judges = gan_folds if chosen == list(range(classes)) else 0
    reader = parameters["08_reader_study"]
    detected = 2 * min(reader["machine_rois"], group(optimum))  # as many real as synthetic ones
    return Work(
        classic_images=round(classic_images),
        added_images=round(added_images),
        judge_images=judges * gan["judge_epochs"] * gan["judge_per_class"] * classes,
        detector_images=round(folds * reader["detector_epochs"] * detected),
        classic_units=trainings * len(amounts),
        added_units=trainings * len(added),
        judge_units=judges,
        gan_steps=gan_folds * gan["epochs"] * steps,
        gan_epochs=gan_folds * gan["epochs"] * len(chosen),
        gan_units=gan_folds * len(chosen),
        acgan_steps=acgan_folds * acgan["epochs"] * acgan_steps,
        acgan_epochs=acgan_folds * acgan["epochs"],
        acgan_units=acgan_folds,
        samples=gan_folds * len(chosen) * gan["samples_per_class"] + acgan_folds * classes * acgan["samples_per_class"],
        optimum=optimum,
    )
