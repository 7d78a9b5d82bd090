"""Folds by patient, the balanced sub-cohort, and a planted leak."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lesion_utils.errors import DataError, LeakError, SettingsError
from lesion_utils.splits import assert_no_leak, balanced_subcohort, patient_folds

NAMES = ("cyst", "metastasis", "hemangioma", "abscess")


@st.composite
def tables(draw):
    """Labels and patients: up to 4 lesions a patient, the first of which deals the classes round."""
    classes = draw(st.integers(2, 4))
    patients = draw(st.integers(4 * classes, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    label, patient = [], []
    for number in range(patients):
        for lesion in range(rng.integers(1, 5)):
            label.append(number % classes if lesion == 0 or rng.random() < 0.7 else rng.integers(classes))
            patient.append(f"P{number:04d}")
    order = rng.permutation(len(label))
    return np.array(label)[order], np.array(patient)[order], NAMES[:classes]


@settings(deadline=None, max_examples=12)
@given(tables(), st.integers(2, 4), st.integers(0, 2**24))
def test_folds_divide_lesions_by_patient_with_every_class_in_every_fold(table, folds, seed):
    label, patient, classes = table
    try:
        fold = patient_folds(label, patient, folds=folds, classes=classes, seed=seed)
    except DataError as error:
        assert "no deal of patients" in str(error)
        assume(False)
    assert fold.shape == label.shape and set(fold) == set(range(folds))
    assert sum((fold == number).sum() for number in range(folds)) == len(label)
    for person in np.unique(patient):
        assert len(np.unique(fold[patient == person])) == 1, f"{person} is in two folds"
    for number in range(folds):
        assert set(label[fold == number]) == set(range(len(classes)))
        assert_no_leak(patient[fold != number], patient[fold == number], "test")
    np.testing.assert_array_equal(fold, patient_folds(label, patient, folds=folds, classes=classes, seed=seed))


def test_folds_of_the_papers_size_are_balanced_and_follow_the_seed():
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1, 2], [53, 64, 65])
    patient = np.array([f"P{3 * (number // 3) + (number % 3 == 2):04d}" for number in range(182)])
    order = rng.permutation(182)
    label, patient = label[order], patient[order]
    deals = [patient_folds(label, patient, folds=3, classes=NAMES[:3], seed=seed) for seed in range(3)]
    for fold in deals:
        counts = np.array([np.bincount(fold[label == index], minlength=3) for index in range(3)])
        assert counts.sum() == 182
        assert np.ptp(counts, axis=1).max() <= 3 and np.ptp(counts.sum(axis=0)) <= 4
    assert len({tuple(fold) for fold in deals}) == 3


def test_class_with_fewer_patients_than_folds_is_named():
    label = np.repeat([0, 1], 6)
    patient = np.array([f"A{number}" for number in range(6)] + ["B0", "B0", "B0", "B1", "B1", "B1"])
    assert set(patient_folds(label, patient, folds=2, classes=NAMES[:2], seed=0)) == {0, 1}
    with pytest.raises(DataError, match="class 'metastasis' has 2 patients, fewer than the 3 folds.*set folds"):
        patient_folds(label, patient, folds=3, classes=NAMES[:2], seed=0)
    with pytest.raises(DataError, match="class 'metastasis' has 1 patient, fewer than the 3 folds"):
        patient_folds(label, np.where(label, "B0", patient), folds=3, classes=NAMES[:2], seed=0)


def test_one_fold_is_an_error():
    with pytest.raises(SettingsError, match="folds is 1"):
        patient_folds([0, 1], ["a", "b"], folds=1, classes=NAMES[:2], seed=0)


def test_patients_who_cannot_be_dealt_are_an_error():
    # Each pair of the three patients shares a class, so each pair would have to be in different ones of two folds.
    label, patient = [0, 0, 1, 1, 2, 2], ["a", "b", "a", "c", "b", "c"]
    with pytest.raises(DataError, match="no deal of patients to 2 folds gives every fold every class"):
        patient_folds(label, patient, folds=2, classes=NAMES[:3], seed=0)
    label, patient = [*label, 2], [*patient, "d"]
    assert set(patient_folds(label, patient, folds=2, classes=NAMES[:3], seed=0)) == {0, 1}


@settings(deadline=None, max_examples=40)
@given(tables(), st.integers(1, 12), st.integers(0, 2**24))
def test_balanced_subcohort_takes_whole_patients_up_to_its_size(table, per_class, seed):
    label, patient, classes = table
    assume(np.bincount(label, minlength=len(classes)).min() >= per_class)
    chosen = balanced_subcohort(label, patient, per_class=per_class, classes=classes, seed=seed)
    assert chosen.dtype == bool and chosen.shape == label.shape
    assert not set(patient[chosen]) & set(patient[~chosen]), "a patient was divided"
    counts = np.bincount(label[chosen], minlength=len(classes))
    assert counts.max() <= per_class
    for person in np.unique(patient[~chosen]):
        more = np.bincount(label[patient == person], minlength=len(classes))
        assert (counts + more).max() > per_class, f"{person} would still have fitted"
    np.testing.assert_array_equal(chosen, balanced_subcohort(label, patient, per_class=per_class, classes=classes, seed=seed))


def test_subcohort_follows_the_seed_and_names_a_class_that_is_too_small():
    label = np.repeat([0, 1], 30)
    patient = np.array([f"P{number}" for number in range(60)])
    choices = {tuple(balanced_subcohort(label, patient, per_class=10, classes=NAMES[:2], seed=seed)) for seed in range(5)}
    assert len(choices) == 5 and {sum(choice) for choice in choices} == {20}
    with pytest.raises(DataError, match="class 'metastasis' has 30 lesions.*balanced_per_class = 31"):
        balanced_subcohort(np.repeat([0, 1], [40, 30]), np.arange(70), per_class=31, classes=NAMES[:2], seed=0)


def test_a_planted_leak_is_caught_and_names_its_patients():
    assert_no_leak(["P1", "P2"], ["P3"], "fold 0")
    with pytest.raises(LeakError, match="DCGAN of class cyst, fold 0: patients P2 are in the test set"):
        assert_no_leak(frozenset({"P1", "P2"}), np.array(["P2", "P3"]), "DCGAN of class cyst, fold 0")
    with pytest.raises(LeakError, match="P0, P1, P2, P3, P4 and more"):
        assert_no_leak([f"P{number}" for number in range(9)], [f"P{number}" for number in range(8)], "fold 1")
