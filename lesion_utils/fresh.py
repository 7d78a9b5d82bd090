"""Fresh lesions of new patients, in any number, from the simulator that made the run's own: the test set that no study has.

They are only predicted: no training and no choice sees them.
"""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from . import phantom
from .errors import DataError, LeakError, SettingsError
from .rois import RoiSet, extract_rois
from .streams import stream
from .units import fingerprint

#: Lesions that are simulated at once: of these alone the whole slices are in memory.
CHUNK = 500


@dataclass(frozen=True)
class FreshLesions:
    """Simulated lesions of patients that no run knows.

    Attributes
    ----------
    rois : RoiSet
        n un-augmented ROIs, cut as the run cuts its own.
    patient_id : (n,) str
    key : str
        Changes with any pixel: names what was predicted in the files of kept predictions.
    """

    rois: RoiSet
    patient_id: np.ndarray = field(repr=False)
    key: str

    def __len__(self):
        return len(self.rois)

    @property
    def label(self):
        """The (n,) true classes."""
        return self.rois.label


def proportional_counts(label, total, classes):
    """Return how many of ``total`` lesions each class gets, in the proportions of a cohort, by largest remainder.

    Parameters
    ----------
    label : (n,) int
        Of the cohort.
    total, classes : int

    Returns
    -------
    (classes,) int64
        They add up to ``total``.
    """
    exact = np.bincount(label, minlength=classes) * total / len(label)
    counts = np.floor(exact).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: total - counts.sum()]] += 1
    return counts


def fresh_lesions(run, total, *, seed, progress=None):
    """Simulate lesions of new patients, with the classes in the proportions of the run's cohort.

    Parameters
    ----------
    run : Run
        Of the simulated cohort.
    total : int
        Lesions.
    seed : int
        Starts random streams of their own: no lesion of the run's cohort, extra cases or independent test set comes again.
    progress : callable, optional
        Wraps the list of chunks, like ``tqdm``.

    Returns
    -------
    FreshLesions

    Raises
    ------
    DataError
        If the run's lesions come from a table: there is no simulator for them.
    SettingsError
        If a class would have fewer lesions than in the cohort.
    LeakError
        If a slice is one of the run's, or comes twice.
    """
    if run.everything.source != "simulated":
        raise DataError("fresh lesions can only be simulated; the lesions of this run come from a table")
    own = np.bincount(run.cohort.label, minlength=len(run.classes))
    counts = proportional_counts(run.cohort.label, total, len(run.classes))
    if (counts < own).any():
        raise SettingsError(f"fresh_lesions is {total}, fewer than the cohort's {len(run.cohort)}; set it to that or more")
    ends = np.append(np.arange(CHUNK, total, CHUNK), total)
    seen, parts, patients, known = _digests(run.everything), [], [], 0
    before = np.zeros_like(counts)
    for number, end in enumerate(progress(ends) if progress else ends):
        until = counts * int(end) // total
        chunk = phantom.simulate(tuple(until - before), seed=stream(seed, "truth", number), role="test")
        before, own = until, _digests(chunk)
        if seen & own or len(own) < len(chunk):
            raise LeakError(f"fresh lesions of seed {seed}: a slice is among the run's or comes twice; choose another fresh_seed")
        seen |= own
        parts.append(extract_rois(chunk, margin=run.preparation["margin"], **run.window))
        people, person = np.unique(chunk.patient_id, return_inverse=True)
        patients.append(person + known)
        known += len(people)
    patient_id = np.array([f"FP{number + 1:06d}" for number in np.concatenate(patients)])
    images, label = (np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "label"))
    lesion_id = np.array([f"FL{number + 1:06d}" for number in range(total)])
    rois = RoiSet(images, label, frozenset(patient_id.tolist()), lesion_id)
    return FreshLesions(rois, patient_id, fingerprint(arrays=[images, label]))


def _digests(cohort):
    return {hashlib.sha256(image.tobytes()).digest() for image in cohort.slices}
