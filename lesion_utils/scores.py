"""What a set of predictions is worth: the paper's measures (section 4.1), Wilson intervals, and tidy rows for results.csv."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix
from statsmodels.stats.proportion import proportion_confint

from .files import write_csv

#: Columns of results.csv, one figure a row. Empty: not applicable; ``all``: pooled over folds or seeds.
RESULT_COLUMNS = [
    "table", "arm", "amount", "test_set", "label", "predicted",
    "metric", "value", "ci_low", "ci_high", "n", "fold", "seed",
]  # fmt: skip

#: Arms in words, in the order in which the book shows them.
ARM_NAMES = {
    "real": "no augmentation",
    "classic": "classic augmentation",
    "classic_extra_real": "classic + extra real cases",
    "dcgan": "classic + synthetic (DCGAN)",
    "acgan": "classic + synthetic (ACGAN)",
    "better_gan": "classic + synthetic (better GAN)",
    "acgan_discriminator": "ACGAN discriminator alone",
    "bovw_mi_multi": "BoVW-MI, multi, + SVM",
    "bovw_mi_single": "BoVW-MI, single, + SVM",
    "gabor": "Gabor + SVM",
    "glcm": "GLCM + SVM",
    "gan_only": "trained on synthetic alone (DCGAN)",
    "equal_steps": "classic, as many steps",
    "more_classic": "classic + more of the same",
    "oversampling": "classic + repeated originals",
    "placebo": "classic + noisy copies",
    "permuted": "classic, labels permuted",
    "planted_leak": "classic + planted leak",
}
#: Sets of lesions on which arms are tested, in words: as a title, and in a sentence.
TEST_SETS = {"cross_validation": "cross-validation", "independent": "independent test set"}
ON_TEST_SET = {"cross_validation": "in cross-validation", "independent": "on the independent test set"}
#: What an arm adds to the classic group that the inner folds chose, for sentences.
WHAT = {
    "classic_extra_real": "extra real ROIs",
    "dcgan": "synthetic ROIs (DCGAN)",
    "acgan": "synthetic ROIs (ACGAN)",
    "better_gan": "synthetic ROIs (better GAN)",
}

#: The paper's Tables 2 and 3: rows true, columns predicted; cyst, metastasis, hemangioma.
PAPER_TABLE_2 = np.array([[52, 1, 0], [2, 44, 18], [0, 18, 47]])
PAPER_TABLE_3 = np.array([[53, 0, 0], [2, 52, 10], [1, 13, 51]])
#: Table 5: mean sensitivity and specificity of the classes.
PAPER_TABLE_5 = {"dcgan": (0.857, 0.924), "acgan": (0.813, 0.900), "acgan_discriminator": (0.791, 0.888)}
#: Fig. 8 read off arXiv:1803.01229v1: total samples added per fold -> accuracy.
PAPER_CLASSIC = {
    0: 0.571, 500: 0.714, 1000: 0.747, 2000: 0.775, 3000: 0.775, 5000: 0.786, 7500: 0.786, 10000: 0.780, 15000: 0.780,
}  # fmt: skip
PAPER_SYNTHETIC = {5300: 0.808, 6500: 0.835, 8000: 0.857, 11000: 0.857, 14000: 0.852, 17000: 0.852}


def wilson(successes, trials, confidence=0.95):
    """Return the Wilson score interval of a proportion as (low, high); (nan, nan) without trials."""
    if trials == 0:
        return np.nan, np.nan
    low, high = proportion_confint(successes, trials, alpha=1 - confidence, method="wilson")
    return float(low), float(high)


def confusion(true, predicted, k):
    """Return the (k, k) confusion matrix: rows true, columns predicted."""
    return confusion_matrix(true, predicted, labels=np.arange(k))


def accuracy(matrix):
    """Return correct over all (paper, equation 2)."""
    return np.trace(matrix) / matrix.sum()


def class_counts(matrix):
    """Return one-vs-rest counts of each class: true positives, positives, true negatives, negatives, each (..., k).

    This and the measures below take one (k, k) confusion matrix or many, (..., k, k).
    """
    matrix = np.asarray(matrix)
    positives, predicted = matrix.sum(axis=-1), matrix.sum(axis=-2)
    true_positives = np.diagonal(matrix, axis1=-2, axis2=-1)
    negatives = positives.sum(axis=-1, keepdims=True) - positives
    return true_positives, positives, negatives - (predicted - true_positives), negatives


def sensitivity(matrix):
    """Return the share of each class that is found (paper, equation 3); nan for a class that is absent."""
    true_positives, positives, _, _ = class_counts(matrix)
    return _ratio(true_positives, positives)


def specificity(matrix):
    """Return the share of all other lesions that is not taken for the class (paper, equation 4)."""
    _, _, true_negatives, negatives = class_counts(matrix)
    return _ratio(true_negatives, negatives)


def weighted_average(values, matrix):
    """Return the mean of per-class values weighted by the number of lesions of each class (paper, Table 7)."""
    weights = np.asarray(matrix).sum(axis=-1)
    return np.where(weights > 0, values * weights, 0).sum(axis=-1) / weights.sum(axis=-1)


def _ratio(part, whole):
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)


def result_row(metric, value, interval=(np.nan, np.nan), n=np.nan, **where):
    """Return one row of results.csv as a dictionary; ``where`` fills any of the other columns."""
    unknown = set(where) - set(RESULT_COLUMNS)
    if unknown:
        raise KeyError(f"results.csv has no column {', '.join(sorted(unknown))}; its columns are {', '.join(RESULT_COLUMNS)}")
    row = dict.fromkeys(RESULT_COLUMNS, "")
    return row | where | {"metric": metric, "value": value, "ci_low": interval[0], "ci_high": interval[1], "n": n}


def proportion_row(metric, successes, trials, **where):
    """Return a row of results.csv for a proportion with its Wilson interval."""
    trials = round(trials, 6)  # shares of lesions add up to whole ones
    value = successes / trials if trials else np.nan
    return result_row(metric, value, wilson(successes, trials), trials, **where)


def score_rows(predictions, classes, *, table):
    """Turn predictions into rows of results.csv: accuracy per fold, and all measures pooled, for each arm and amount.

    Parameters
    ----------
    predictions : DataFrame
        Columns of predictions.csv; ``true`` and ``predicted`` hold class names.
    classes : sequence of str
    table : str
        The paper's table or figure that the rows belong to.

    Returns
    -------
    list of dict
        Pooled rows count lesions, not predictions: a lesion that several models predict (the independent test set by every fold,
        any lesion by every seed) counts once, with the share of the models that were right, because its predictions are not
        independent.
    """
    rows = []
    for (arm, amount, test_set), group in predictions.groupby(["arm", "amount", "test_set"], sort=False):
        where = {"table": table, "arm": arm, "amount": amount, "test_set": test_set}
        for (seed, fold), part in group.groupby(["seed", "fold"], sort=True):
            correct = int((part["true"] == part["predicted"]).sum())
            rows.append(proportion_row("accuracy", correct, len(part), seed=seed, fold=fold, **where))
        for seed, part in [*group.groupby("seed", sort=True), ("all", group)]:
            rows += _pooled_rows(part, classes, where | {"seed": seed, "fold": "all"})
    return rows


def _pooled_rows(part, classes, where):
    models_per_lesion = len(part) / part["lesion_id"].nunique()
    by_patient = patient_matrices(part, classes) / models_per_lesion
    matrix = by_patient.sum(axis=0)
    rows = [proportion_row("accuracy", np.trace(matrix), matrix.sum(), **where)]
    true_positives, positives, true_negatives, negatives = class_counts(matrix)
    for index, name in enumerate(classes):
        rows.append(proportion_row("sensitivity", true_positives[index], positives[index], label=name, **where))
        rows.append(proportion_row("specificity", true_negatives[index], negatives[index], label=name, **where))
    for metric, measure in (("sensitivity", sensitivity), ("specificity", specificity)):
        interval = patient_interval(by_patient, lambda matrix, measure=measure: weighted_average(measure(matrix), matrix))
        value = weighted_average(measure(matrix), matrix)
        rows.append(result_row(f"weighted_{metric}", value, interval, matrix.sum(), label="all", **where))
    return rows


def patient_matrices(predictions, classes):
    """Return one confusion matrix a patient, (patients, k, k), patients in the order of their ids."""
    codes = {name: index for index, name in enumerate(classes)}
    patients, patient = np.unique(predictions["patient_id"], return_inverse=True)
    matrices = np.zeros((len(patients), len(classes), len(classes)))
    np.add.at(matrices, (patient, predictions["true"].map(codes), predictions["predicted"].map(codes)), 1)
    return matrices


def patient_interval(matrices, measure, *, draws=1000, seed=0):
    """Return the 95 % percentile interval of a measure over resamplings of whole patients, whose lesions are alike.

    Parameters
    ----------
    matrices : (patients, k, k)
        From :func:`patient_matrices`.
    measure : callable
        Takes (draws, k, k) confusion matrices, returns (draws,) numbers.
    draws, seed : int

    Returns
    -------
    low, high : float
    """
    drawn = drawn_patients(len(matrices), draws, seed)
    low, high = np.nanquantile(measure(np.tensordot(drawn, matrices, axes=1)), [0.025, 0.975])
    return float(low), float(high)


def mean_interval(sums, sizes, *, draws, seed):
    """Return the 95 % percentile interval of a mean over resamplings of whole patients, from each one's sum and size, (p,)."""
    resampled = drawn_patients(len(sizes), draws, seed) @ np.stack([sums, sizes], axis=1)
    low, high = np.quantile(resampled[:, 0] / resampled[:, 1], [0.025, 0.975])
    return float(low), float(high)


def drawn_patients(n, draws, seed):
    """Return (draws, n): how often each of n patients is drawn when n are drawn with replacement."""
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), draws)


def confusion_rows(matrix, classes, **where):
    """Return the k x k counts of a confusion matrix as rows of results.csv (metric ``count``)."""
    return [
        result_row("count", matrix[i, j], n=matrix[i].sum(), label=classes[i], predicted=classes[j], **where)
        for i in range(len(classes))
        for j in range(len(classes))
    ]


def results_frame(rows):
    """Return rows as a DataFrame with the columns of results.csv, in order."""
    return pd.DataFrame(rows, columns=RESULT_COLUMNS)


def join_results(folder):
    """Join the notebooks' parts to ``results.csv`` and ``predictions.csv`` of the run."""
    folder = Path(folder)
    for name, columns in (("results", RESULT_COLUMNS), ("predictions", None)):
        files = sorted((folder / name).glob("[!.]*.csv"))  # what a killed process left half-written starts with a dot
        parts = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in files]
        table = pd.concat(parts, ignore_index=True)
        write_csv(folder / f"{name}.csv", table[columns] if columns else table)


def smallest_best(accuracy_by_amount):
    """Return the smallest amount that reaches the best accuracy (paper, section 4.2.1: the optimum).

    Parameters
    ----------
    accuracy_by_amount : dict of int to float
    """
    best = max(accuracy_by_amount.values())
    return min(amount for amount, value in accuracy_by_amount.items() if value >= best - 1e-12)
