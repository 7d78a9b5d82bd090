"""Tests of selection.py: what inner folds choose, and the paper's choice beside it."""

import pandas as pd
import pytest

from lesion_utils import selection


def rows(correct, **where):
    """Return predictions of ten lesions, ``correct`` of them right."""
    return pd.DataFrame({"true": ["cyst"] * 10, "predicted": ["cyst"] * correct + ["metastasis"] * (10 - correct)} | where)


def inner(table, **more):
    """Return inner predictions: ``table`` maps (outer fold, amount) to the lesions named rightly on each of two inner folds."""
    parts = [rows(right, seed=0, fold=fold, amount=amount, **more) for (fold, amount), each in table.items() for right in each]
    return pd.concat(parts, ignore_index=True)


def test_each_fold_takes_the_smallest_amount_that_is_best_on_its_inner_folds():
    table = {(0, 100): (4, 6), (0, 300): (8, 8), (0, 900): (7, 9), (1, 100): (9, 9), (1, 300): (1, 2), (1, 900): (10, 7)}
    assert selection.best_of_each_fold(inner(table)) == {(0, 0): 300, (0, 1): 100}
    accuracy = selection.inner_accuracy(inner(table))
    assert accuracy[0, 0, 100] == 0.5 and accuracy[0, 1, 900] == 0.85


def test_epoch_is_chosen_like_an_amount():
    frame = pd.concat([inner({(0, 300): (5, 5)}, epoch=12), inner({(0, 300): (6, 5)}, epoch=20)])
    assert selection.best_of_each_fold(frame, "epoch") == {(0, 0): 20}


def test_naive_choice_looks_at_the_test_folds_and_ignores_the_independent_test_set():
    frame = pd.concat(
        [
            rows(6, amount=100, test_set="cross_validation"),
            rows(9, amount=300, test_set="cross_validation"),
            rows(10, amount=100, test_set="independent"),
        ]
    )
    assert selection.naive_amount(frame) == 300
    assert selection.pooled_accuracy(frame) == {100: 0.6, 300: 0.9}


def outer(right):
    """Return outer predictions: ``right`` maps (fold, amount) to the lesions named rightly."""
    where = {"seed": 0, "test_set": "cross_validation", "arm": "classic"}
    return pd.concat([rows(n, fold=fold, amount=amount, **where) for (fold, amount), n in right.items()], ignore_index=True)


def test_test_fold_has_no_say_in_its_own_choice():
    """On its own test fold 900 would be best, but the inner folds say 100, and 100 is what is reported."""
    predictions = outer({(0, 100): 5, (0, 900): 10})
    amount = selection.best_of_each_fold(inner({(0, 100): (9, 9), (0, 900): (5, 5)}))[0, 0]
    chosen = selection.selected(predictions, "classic", {(0, 0): {"amount": amount}})
    assert (chosen["true"] == chosen["predicted"]).mean() == 0.5 and set(chosen["amount"]) == {"all"}
    assert selection.naive_amount(predictions) == 900


def test_selected_takes_each_fold_at_its_own_amount():
    predictions = outer({(0, 100): 1, (0, 300): 2, (1, 100): 3, (1, 300): 4})
    chosen = selection.selected(predictions, "classic", {(0, 0): {"amount": 300}, (0, 1): {"amount": 100}})
    assert chosen.groupby("fold")[["true", "predicted"]].apply(lambda own: (own["true"] == own["predicted"]).sum()).tolist() == [
        2,
        3,
    ]
    with pytest.raises(ValueError, match="classic, seed 0, fold 2 at the chosen amount 100"):
        selection.selected(predictions, "classic", {(0, 2): {"amount": 100}})
