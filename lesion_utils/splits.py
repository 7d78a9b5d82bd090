"""Who trains and who tests: folds by patient, a balanced sub-cohort, and the assertion that no patient does both."""

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from .errors import DataError, LeakError, SettingsError


def patient_folds(label, patient_id, *, folds, classes, seed):
    """Deal lesions to folds so that a patient is in one fold only and classes are balanced (paper, section 4.1).

    Of 20 shuffled deals by scikit-learn's StratifiedGroupKFold the most even one is kept: with a few dozen patients a class,
    single deals differ by several lesions.

    Parameters
    ----------
    label : (n,) int
    patient_id : (n,) str
    folds : int
        At least 2.
    classes : sequence of str
        For messages.
    seed : int

    Returns
    -------
    (n,) int64
        Fold of each lesion, 0 to folds - 1.

    Raises
    ------
    SettingsError
        If ``folds`` is below 2.
    DataError
        If a class has fewer patients than there are folds.
    """
    label, patient_id = np.asarray(label), np.asarray(patient_id)
    if folds < 2:
        raise SettingsError(f"folds is {folds}; cross-validation needs at least 2")
    for index, name in enumerate(classes):
        patients = len(np.unique(patient_id[label == index]))
        if patients < folds:
            raise DataError(
                f"class '{name}' has {patients} patient{'s' * (patients != 1)}, fewer than the {folds} folds; "
                "add patients, merge classes, or set folds to a smaller number"
            )
    best, best_spread = None, np.inf
    for state in np.random.SeedSequence(seed).generate_state(20):
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=int(state))
        fold = np.empty(len(label), np.int64)
        for number, (_, test) in enumerate(splitter.split(label, label, patient_id)):
            fold[test] = number
        counts = np.stack([np.bincount(fold[label == index], minlength=folds) for index in range(len(classes))])
        if counts.min() == 0:
            continue
        spread = np.ptp(counts, axis=1).sum() + np.ptp(counts.sum(axis=0))
        if spread < best_spread:
            best, best_spread = fold, spread
    if best is None:
        raise DataError(
            f"no deal of patients to {folds} folds gives every fold every class, because single patients hold most of a "
            "class; add patients or set folds to a smaller number"
        )
    return best


def balanced_subcohort(label, patient_id, *, per_class, classes, seed):
    """Choose whole patients, in random order, until each class has about ``per_class`` lesions.

    A patient is taken if none of the classes would then exceed ``per_class``.

    Returns
    -------
    (n,) bool
        True for lesions of the chosen patients; all others can serve as an independent test set.

    Raises
    ------
    DataError
        If a class has fewer lesions than ``per_class``.
    """
    label, patient_id = np.asarray(label), np.asarray(patient_id)
    for index, name in enumerate(classes):
        if (label == index).sum() < per_class:
            raise DataError(
                f"class '{name}' has {(label == index).sum()} lesions, fewer than balanced_per_class = {per_class}; "
                "set balanced_per_class to a smaller number"
            )
    patients, number = np.unique(patient_id, return_inverse=True)
    counts = np.zeros((len(patients), len(classes)), int)
    np.add.at(counts, (number, label), 1)
    total = np.zeros(len(classes), int)
    chosen = np.zeros(len(patients), bool)
    for patient in np.random.default_rng(seed).permutation(len(patients)):
        if np.all(total + counts[patient] <= per_class):
            chosen[patient] = True
            total += counts[patient]
    return chosen[number]


def assert_no_leak(training_patients, test_patients, where):
    """Raise if any patient stands on both sides.

    Parameters
    ----------
    training_patients, test_patients : iterable of str
    where : str
        What is about to happen, for the message: ``"DCGAN of class cyst, fold 0"``.

    Raises
    ------
    LeakError
        Naming the patients.
    """
    both = sorted(set(training_patients) & set(test_patients))
    if both:
        raise LeakError(
            f"{where}: patients {', '.join(both[:5])}{' and more' if len(both) > 5 else ''} are in the test set and behind the "
            "training images; results would be too good. Split by patient and train again"
        )
