"""Further cohorts from the simulator: is the gain of the DCGANs' images that of one cohort, or of the method?

A run has one cohort, and all its folds and seeds share the patients. Here whole cohorts are drawn anew, and on each of them the
experiment is made once: a fold is left out, a DCGAN a class is trained on the others, then the CNN with and without its images.
Amounts and epoch are those that the run's inner folds chose most often. So the gains of these cohorts differ by all that chance
decides, and their spread is that of the experiment as a whole.
"""

import numpy as np
import pandas as pd
from scipy.stats import norm
from scipy.stats import t as student

from . import gan_training, gans, networks, phantom, sampling, steps, truth
from .errors import SettingsError
from .files import write_csv, write_json
from .parallel import side_by_side
from .rois import RoiSet
from .runs import Run
from .scores import result_row
from .settings import threads
from .splits import patient_folds
from .streams import stream
from .true_gain import TrueValue, components, seeds_needed
from .units import fingerprint

#: Each further cohort has one repetition, and leaves out one fold.
SEED, FOLD = 0, 0


def further_run(run, number, *, seed):
    """Simulate a further cohort, as large as the run's, and return a run of it that lies in ``cohorts/`` of the run's folder.

    Parameters
    ----------
    run : Run
        Of the simulated cohort.
    number, seed : int
        Another number or seed is another cohort, of other patients.

    Returns
    -------
    Run
        Prepared and augmented as the run's own cohort; it has no extra cases and no test set.
    """
    counts = np.bincount(run.cohort.label, minlength=len(run.classes))
    cohort = phantom.simulate(tuple(counts), seed=stream(seed, "cohorts", number))
    folds = patient_folds(
        cohort.label,
        cohort.patient_id,
        folds=run.preparation["folds"],
        classes=cohort.classes,
        seed=stream(SEED, "folds"),
    )
    further = Run(run.folder / "cohorts" / f"seed{seed}_{number}")
    further.folder.mkdir(parents=True, exist_ok=True)
    cohort.save(further.folder / "cohort.npz")
    table = {"seed": SEED, "lesion_id": cohort.lesion_id, "patient_id": cohort.patient_id, "fold": folds}
    write_csv(further.folder / "folds.csv", pd.DataFrame(table))
    write_json(further.folder / "preparation.json", run.preparation)
    write_json(further.folder / "augmentation.json", run.augmentation)
    return further


def usual_choices(run):
    """Return the classic amount, the DCGAN's epoch and its images a class that the run's inner folds chose most often."""
    classic, dcgan = (pd.DataFrame(run.choices(arm).values()) for arm in ("classic", "dcgan"))
    usual = {name: int(values.mode().min()) for name, values in [("amount", classic["amount"]), ("epoch", dcgan["epoch"])]}
    return usual | {"per_class": int(dcgan["amount"].mode().min()) // len(run.classes)}


def predictions(run, fresh, pool, *, cohorts, seed):
    """Make the experiment on further cohorts, and let its classifiers name the fresh lesions.

    Parameters
    ----------
    run : Run
    fresh : fresh.FreshLesions
    pool : list of classifier.Trainer
    cohorts, seed : int
        How many cohorts, two or more, and what they are drawn from.

    Returns
    -------
    (cohorts, 2, n) uint8
        Predicted classes, of the classifier without and with synthetic images. What is finished is taken up.

    Raises
    ------
    SettingsError
        If one cohort is asked for: its gain would have no interval.
    LeakError
        If a patient under test stands behind the training images.
    """
    if cohorts < 2:
        raise SettingsError(f"parameter 'cohorts' is {cohorts}; an interval over cohorts needs 2 or more, and 0 leaves them out")
    usual, runs = usual_choices(run), [further_run(run, number, seed=seed) for number in range(cohorts)]
    drawn = _synthetic(runs, run.dcgan, usual)
    epochs, jobs = pool[0].settings["epochs"], []
    for further, synthetic in zip(runs, drawn, strict=True):
        group = further.fold_sets(SEED, FOLD, usual["amount"])[0]
        for name, training in {"classic": group, "dcgan": group + synthetic}.items():
            where = f"{further.folder.name}, arm {name}"
            further.assert_clean(training, fresh.rois, where)
            unit = {"name": name, "seed": SEED, "number": stream(SEED, "classifier", FOLD), "where": where}
            jobs.append(truth.naming_job(further, training, fresh, **unit))
    named = side_by_side(pool, jobs, total=len(jobs) * epochs, description=f"{len(jobs)} classifiers")
    return np.reshape(named, (cohorts, 2, len(fresh)))


def _synthetic(runs, settings, usual):
    """Train a DCGAN a class on each run's fold; return a RoiSet in blocks of one class for each run."""
    settings = dict(settings)
    fixed = settings.pop("classic_amount")
    amount = usual["amount"] if fixed is None else fixed
    labels = range(len(runs[0].classes))

    def job(further, label):
        def train(gan, advance):
            training = further.fold_sets(SEED, FOLD, amount)[0]
            own = training.of_class(label)
            unit = {"epochs": usual["epoch"], "saved_epochs": 1, "seed": stream(SEED, "gan", FOLD, label)}
            key = fingerprint(arrays=[own.images], modules=(gan_training, gans, networks, steps.backend), **settings, **unit)
            folder = further.folder / "dcgan" / f"class{label}_{key}"
            show = {"where": f"DCGAN of {further.classes[label]}, cohort {further.folder.name}", "on_epoch": advance}
            gan_training.train_gan(gan, own, folder, **unit, **show)
            generator = gan_training.load_generator(folder, usual["epoch"])
            number = stream(SEED, "sampling", FOLD, label)
            images = sampling.sample_images(generator, usual["per_class"], noise=settings["noise"], seed=number)
            return RoiSet(images, np.full(len(images), label), training.patients, np.full(len(images), ""))

        return train

    jobs = [job(further, label) for further in runs for label in labels]
    workers = [gans.Dcgan(**settings) for _ in range(threads())]
    parts = side_by_side(workers, jobs, total=len(jobs) * usual["epoch"], description=f"{len(jobs)} DCGANs")
    starts = range(0, len(parts), len(labels))
    return [sum(parts[start + 1 : start + len(labels)], parts[start]) for start in starts]


def gain_over_cohorts(difference, patient):
    """Return the mean gain with its 95 % interval over cohorts and fresh patients.

    With h^2 = t^2 v_c / C + z^2 v_p, where C is the number of cohorts, v_c the variance of their gains, v_p that of the patients,
    z the normal and t Student's quantile with C - 1 degrees of freedom: a handful of cohorts is too few to be resampled.

    Parameters
    ----------
    difference : (C, n)
        Of correctness with and without synthetic images, of each cohort's classifiers and each fresh lesion.
    patient : (n,)

    Returns
    -------
    true_gain.TrueValue
        Cohorts take the place of seeds.
    """
    cohorts = len(difference)
    parts = components(difference, patient, np.arange(cohorts))
    from_cohorts = student.ppf(0.975, cohorts - 1) * np.sqrt(parts["model_variance"] / cohorts)
    half = np.hypot(from_cohorts, norm.ppf(0.975) * np.sqrt(parts["patient_variance"]))
    return TrueValue(interval=(parts["value"] - half, parts["value"] + half), **parts)


def rows_of(difference, gain):
    """Return the rows of results.csv: each cohort's gain, and their mean with its interval over cohorts and patients.

    ``cohorts_for_one_point`` is how many cohorts a half-width of one point needs, empty where no number would do.

    Parameters
    ----------
    difference : (cohorts, n)
        Of correctness with and without synthetic images, on each fresh lesion. Column ``seed`` numbers the cohorts from 1.
    gain : true_gain.TrueValue
        From :func:`gain_over_cohorts`.
    """
    where = {"table": "cohorts", "arm": "dcgan", "amount": "all", "test_set": "fresh", "fold": FOLD}
    n, needed = difference.shape[1], seeds_needed(gain.model_variance, gain.patient_variance, gain.models_per_seed)
    rows = [
        result_row("accuracy_difference", gain.value, gain.interval, n, seed="all", **where),
        result_row("half_width", gain.half_width, n=n, seed="all", **where),
        result_row("cohorts_for_one_point", needed if np.isfinite(needed) else np.nan, n=n, seed="all", **where),
    ]
    own = difference.mean(axis=1)
    return rows + [
        result_row("accuracy_difference", value, n=n, seed=number, **where) for number, value in enumerate(own, start=1)
    ]
