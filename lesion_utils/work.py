"""How much a run computes, counted from its parameters alone: images through networks, steps, trainings, synthetic ROIs."""

from dataclasses import dataclass
from itertools import permutations
from math import comb
from pathlib import Path

import numpy as np

from . import phantom, splits, table
from .better_work import BetterWork, count_better
from .cohort import ROLES
from .errors import DataError
from .runs import pair_owner

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
    """What a run computes; images and steps are counted as often as they pass through a network, inner trainings included.

    Attributes
    ----------
    classic_images, added_images : int
        CNN training images of 05_classification: classic groups, and groups with synthetic or extra real ROIs on top.
    control_images : int
        CNN training images of 11_controls, at the largest amounts.
    truth_images : int
        CNN training images of 13_truth: models of the classic arm on further deals of the patients, and those of further cohorts.
    judge_images : int
        CNN training images of 03_dcgan: synthetic ROIs alone.
    detector_images : int
        CNN training images of 08_reader_study: real against synthetic ROIs.
    classic_units, added_units, control_units, truth_units, judge_units : int
        Trained classifiers.
    kept_units : int
        Classifiers whose networks stay on the disk: those of 05_classification that are no inner ones.
    generators, discriminators : int
        Networks of DCGANs and ACGANs that stay on the disk: a generator of each saved epoch (on further cohorts, of the last),
        and the ACGANs' last discriminators.
    gan_steps, gan_units : int
        Of DCGAN training, on further cohorts too.
    acgan_steps, acgan_units : int
        Of ACGAN training.
    samples : int
        Synthetic ROIs drawn.
    fresh_lesions : int
        Lesions that 13_truth simulates, further cohorts included.
    better : BetterWork
        Of 14_better_gans.
    optimum : int
        Classic amount that the numbers are based on.
    """

    classic_images: int
    added_images: int
    control_images: int
    truth_images: int
    judge_images: int
    detector_images: int
    classic_units: int
    added_units: int
    control_units: int
    truth_units: int
    judge_units: int
    kept_units: int
    generators: int
    discriminators: int
    gan_steps: int
    gan_units: int
    acgan_steps: int
    acgan_units: int
    samples: int
    fresh_lesions: int
    better: BetterWork
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
    rows, problems = table.read_rows(path, label)
    if problems:
        raise DataError(table.report(path, problems))
    names = table.sorted_labels({row.label for row in rows})
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

    A fold is counted with the mean share of the cohort; the run's own folds differ from it by a lesion or two. All folds are
    assumed to choose the same classic amount: where they do not, an inner training that serves two folds is made twice.

    Parameters
    ----------
    parameters : dict of str to dict
        As in :func:`count_lesions`.
    lesions : Lesions
    """
    from .controls import ARMS
    from .gan_training import saved_epoch_numbers
    from .sampling import epochs_to_draw

    cnn, gan, acgan, control = (parameters[name] for name in ("05_classification", "03_dcgan", "04_acgan", "11_controls"))
    folds, classes, cohort = parameters["01_data"]["folds"], len(lesions.cohort), sum(lesions.cohort)
    reading = 1 if parameters["02_classic_augmentation"]["amount_reading"] == "training_set" else folds - 1
    optimum = classic_optimum(parameters)
    pairs = comb(folds, 2)  # of folds that inner trainings leave out
    inner = (folds - 2) / (folds - 1)  # of the images of an outer training

    def group(amount, added=0):
        return cohort * (folds - 1) / folds + amount * reading + added * classes

    def epochs_drawn(own):
        return len(epochs_to_draw(own["sample_epochs"], own["epochs"], own["saved_epochs"]))  # raises if they do not go together

    def trained(groups, tried=()):
        """Return images and units of outer trainings, and of inner ones on the same groups and those tried before."""
        images = folds * sum(groups) + pairs * inner * (sum(groups) + sum(tried))
        return len(cnn["seeds"]) * images * cnn["epochs"], len(cnn["seeds"]) * (
            folds * len(groups) + pairs * (len(groups) + len(tried))
        )

    classic_groups = [group(amount) for amount in [0, *cnn["classic_amounts"]]]
    classic_images, classic_units = trained(classic_groups)
    added_groups = [group(optimum, number) for number in cnn["added_per_class"]]
    added_images, added_units, added_arms = 0, 0, 0
    for arm in cnn["arms"]:
        if arm in ("real", "classic") or (arm == "classic_extra_real" and not lesions.extra):
            continue
        # Epochs are tried at the middle amount, one of them for the second time with the amounts.
        own = {"dcgan": gan, "acgan": acgan}.get(arm)
        tried = [added_groups[len(added_groups) // 2]] * (epochs_drawn(own) - 1) if own else []
        images, units = trained(added_groups, tried)
        added_images, added_units, added_arms = added_images + images, added_units + units, added_arms + 1

    chosen = gan["only_classes"] or list(range(classes))
    dcgan = _gan_work(gan, folds, inner)
    amount = optimum if gan["classic_amount"] is None else gan["classic_amount"]
    # Augmentations are dealt to the training lesions in turn, so each class gets its share of them.
    images = [group(amount) * lesions.cohort[label] / cohort for label in chosen]
    acgan_work = _gan_work(acgan, folds, inner)
    acgan_amount = optimum if acgan["classic_amount"] is None else acgan["classic_amount"]
    judges = len(gan["seeds"]) * (len(gan["only_folds"]) or folds) if chosen == list(range(classes)) else 0
    reader = parameters["08_reader_study"]
    detected = 2 * min(reader["machine_rois"], group(optimum))  # as many real as synthetic ones
    controls = len(control["only_controls"] or ARMS) * len(control["seeds"]) * folds
    truth = parameters["13_truth"]
    simulated = not parameters["01_data"]["data"]  # only then are there fresh lesions
    models = truth["models"] if simulated else 0
    # Each further cohort trains a DCGAN a class and the CNN twice; the last epoch and the largest amount are assumed.
    further = truth["cohorts"] if simulated and "dcgan" in cnn["arms"] else 0
    largest = max(cnn["added_per_class"], default=0)
    dcgan_epochs, acgan_epochs = (len(saved_epoch_numbers(own["epochs"], own["saved_epochs"])) for own in (gan, acgan))
    further_images = [group(amount) * number / cohort for number in lesions.cohort]
    return Work(
        classic_images=round(classic_images),
        added_images=round(added_images),
        control_images=round(controls * control["epochs"] * max(added_groups, default=group(optimum))),
        truth_images=round(truth["epochs"] * (models * group(optimum) + further * (group(optimum) + group(optimum, largest)))),
        judge_images=judges * gan["judge_epochs"] * gan["judge_per_class"] * classes,
        detector_images=round(folds * reader["detector_epochs"] * detected),
        classic_units=classic_units,
        added_units=added_units,
        control_units=controls,
        truth_units=models + 2 * further,
        judge_units=judges,
        kept_units=len(cnn["seeds"]) * folds * (len(classic_groups) + added_arms * len(added_groups)),
        generators=dcgan.units * len(chosen) * dcgan_epochs + acgan_work.units * acgan_epochs + further * classes,
        discriminators=acgan_work.units,
        gan_steps=sum(dcgan.steps(number) for number in images)
        + further * gan["epochs"] * sum(_steps(number, gan["batch_size"]) for number in further_images),
        gan_units=dcgan.units * len(chosen) + further * classes,
        acgan_steps=acgan_work.steps(group(acgan_amount)),
        acgan_units=acgan_work.units,
        samples=round(dcgan.draws * epochs_drawn(gan) * len(chosen) * gan["samples_per_class"])
        + round(acgan_work.draws * epochs_drawn(acgan) * classes * acgan["samples_per_class"])
        + further * classes * largest,
        fresh_lesions=truth["fresh_lesions"] + further * cohort if models else 0,
        better=count_better(parameters["14_better_gans"], group, folds=folds, classes=classes, optimum=optimum),
        optimum=optimum,
    )


def _steps(images, batch_size):
    """Return the steps of one pass through so many images: whole batches, and at least one step."""
    return max(1, int(images / batch_size + 1e-9))


@dataclass(frozen=True)
class _GanWork:
    """Trainings of one GAN: outer and inner ones, and sets of samples, counted in those of an outer training."""

    outer: int
    inner: int
    inner_share: float
    draws: float
    batch_size: int
    epochs: int

    @property
    def units(self):
        return self.outer + self.inner

    def steps(self, images):
        """Return the steps of all trainings, if an outer one has so many images."""
        outer, inner = (_steps(number, self.batch_size) for number in (images, images * self.inner_share))
        return self.epochs * (self.outer * outer + self.inner * inner)


def _gan_work(own, folds, inner_share):
    """Count trainings of one GAN: of each pair of folds one network, and samples for both of its orders."""
    which = own["only_folds"] or list(range(folds))
    orders = [(outer, inner) for outer, inner in permutations(range(folds), 2) if pair_owner((outer, inner)) in which]
    seeds = len(own["seeds"])
    return _GanWork(
        outer=seeds * len(which),
        inner=seeds * len({frozenset(pair) for pair in orders}),
        inner_share=inner_share,
        draws=seeds * (len(which) + len(orders) * inner_share),
        batch_size=own["batch_size"],
        epochs=own["epochs"],
    )
