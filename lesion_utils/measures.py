"""Measures beside accuracy (Maier-Hein et al. 2024): balanced accuracy, MCC, AUC, and what probabilities are worth."""

import numpy as np
import pandas as pd
from sklearn.metrics import matthews_corrcoef, recall_score, roc_auc_score

from .comparison import PROBABILITY
from .errors import DataError
from .scores import drawn_patients, result_row, sensitivity, wilson

#: In words, in the order of the tables.
MEASURES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "mcc": "MCC",
    "auc": "macro AUC",
    "brier": "Brier score",
    "calibration_error": "calibration error",
}
#: Cells of the resampled weights that are held at once.
_CELLS = 4_000_000


def probabilities_of(predictions, classes):
    """Return the (n, k) probabilities of rows of predictions.csv, in the order of ``classes``.

    Raises
    ------
    DataError
        If a class has no column, or a probability is no number between 0 and 1: it names arm, seed and fold.
    """
    missing = [name for name in classes if PROBABILITY + name not in predictions]
    if missing:
        raise DataError(f"predictions have no column {PROBABILITY}{missing[0]}: run the notebook that made them again")
    values = predictions[[PROBABILITY + name for name in classes]].to_numpy(float)
    bad = ~((values >= 0) & (values <= 1 + 1e-6)).all(axis=1)
    if bad.any():
        row = predictions.iloc[int(np.flatnonzero(bad)[0])]
        raise DataError(
            f"arm {row['arm']}, seed {row['seed']}, fold {row['fold']}: a probability of lesion {row['lesion_id']} is no number "
            "between 0 and 1, so its network failed to train; lower the learning rate and train it again"
        )
    return values


def measure(predictions, classes, bins=10):
    """Return every measure of :data:`MEASURES` of one arm and test set.

    Parameters
    ----------
    predictions : DataFrame
        Rows of predictions.csv. Lesions that several models predict count once for each.
    classes : sequence of str
    bins : int
        Of :func:`calibration_bins`.

    Returns
    -------
    dict of str to float
        Balanced accuracy is the mean sensitivity of the classes that are there. ``mcc`` is 0 where only one class is there or is
        predicted. ``auc`` is the mean over the classes of :func:`class_auc`, and nan if a class is absent: the others are
        measured still. ``brier`` is the original one of several classes (Brier 1950), from 0 to 2; ``calibration_error`` the
        mean distance of confidence from share right over the bins, weighted by their lesions (Guo et al. 2017).
    """
    values = probabilities_of(predictions, classes)
    present = [name for name in classes if (predictions["true"] == name).any()]
    hits = predictions["true"].to_numpy()[:, None] == np.array(classes)
    table = calibration_bins(predictions, classes, bins)
    several = len({*predictions["true"], *predictions["predicted"]}) > 1
    return {
        "accuracy": float((predictions["true"] == predictions["predicted"]).mean()),
        "balanced_accuracy": float(recall_score(predictions["true"], predictions["predicted"], labels=present, average="macro")),
        "mcc": float(matthews_corrcoef(predictions["true"], predictions["predicted"])) if several else 0.0,
        "auc": float(np.mean([class_auc(predictions, name) for name in classes])),
        "brier": float(((values - hits) ** 2).sum(axis=1).mean()),
        "calibration_error": float((table["n"] * (table["confidence"] - table["share"]).abs()).sum() / table["n"].sum()),
    }


def class_auc(predictions, name):
    """Return the chance that a lesion of a class gets a higher probability of it than another lesion; ties count one half.

    Only lesions that the same model has scored are compared, since models differ in how sure they are (Forman & Scholz 2010): the
    mean of scikit-learn's AUC over seeds and folds, weighted by their pairs. nan where the class, or any other, is absent.
    """
    total, pairs = 0.0, 0
    for _, part in predictions.groupby(["seed", "fold"]):
        own = (part["true"] == name).to_numpy()
        number = own.sum() * (~own).sum()
        if number:
            total, pairs = total + number * roc_auc_score(own, part[PROBABILITY + name]), pairs + number
    return total / pairs if pairs else np.nan


def calibration_bins(predictions, classes, bins=10):
    """Return a calibration curve: of the lesions whose class was named with a like confidence, how many were named rightly.

    Parameters
    ----------
    predictions : DataFrame
        Rows of predictions.csv of one arm and test set.
    classes : sequence of str
    bins : int
        Of equal width between 0 and 1; empty ones are left out.

    Returns
    -------
    DataFrame
        ``low``, ``high`` (the bin), ``confidence`` (mean highest probability), ``share`` (right), its Wilson interval ``ci_low``,
        ``ci_high``, and ``n`` lesions: one that several models place in the bin counts once.
    """
    bin_of, confidence, correct = _confidence(predictions, classes, bins)
    frame = pd.DataFrame({"bin": bin_of, "confidence": confidence, "share": correct})
    models = predictions.groupby("lesion_id").size().mean()
    table = frame.groupby("bin").agg(confidence=("confidence", "mean"), share=("share", "mean"), n=("share", "size"))
    table["n"] = table["n"] / models
    intervals = [wilson(row.share * row.n, row.n) for row in table.itertuples()]
    table[["ci_low", "ci_high"]] = np.array(intervals).reshape(-1, 2)
    return table.assign(low=table.index / bins, high=(table.index + 1) / bins).reset_index(drop=True)


def _confidence(predictions, classes, bins):
    confidence = probabilities_of(predictions, classes).max(axis=1).clip(0, 1)
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    return bin_of, confidence, (predictions["true"] == predictions["predicted"]).to_numpy(float)


def measure_intervals(predictions, classes, *, draws, seed, bins=10):
    """Return the 95 % interval of every measure over resamplings of whole patients.

    Percentile intervals; draws without a class are left out of its AUC. The calibration error grows with noise, and a resample is
    noisier than the data: for it, the quantiles are mirrored at the value (the basic bootstrap), which takes that off again.

    Parameters
    ----------
    predictions, classes, bins
        As of :func:`measure`.
    draws, seed : int

    Returns
    -------
    dict of str to (low, high)
        nan where the measure is.
    """
    values = measure(predictions, classes, bins)
    patients, patient = np.unique(predictions["patient_id"], return_inverse=True)
    drawn = drawn_patients(len(patients), draws, seed)
    step = max(1, _CELLS // len(predictions))
    parts = [resampled_measures(predictions, classes, drawn[i : i + step][:, patient], bins) for i in range(0, draws, step)]
    intervals = {}
    for name, value in values.items():
        sample = np.concatenate([part[name] for part in parts])
        low, high = np.nanquantile(sample, [0.025, 0.975]) if not np.isnan(value) else (np.nan, np.nan)
        if name == "calibration_error":
            low, high = max(0.0, 2 * value - high), max(0.0, 2 * value - low)
        intervals[name] = float(low), float(high)
    return intervals


def resampled_measures(predictions, classes, weights, bins=10):
    """Return what :func:`measure` gives if every prediction counts ``weights`` times, for many weights at once.

    Parameters
    ----------
    predictions, classes, bins
        As of :func:`measure`.
    weights : (draws, n) array
        0 or more for each row of ``predictions``.

    Returns
    -------
    dict of str to (draws,) array
    """
    values, weights = probabilities_of(predictions, classes), np.asarray(weights, float)
    true, predicted = (pd.Categorical(predictions[name], classes).codes for name in ("true", "predicted"))
    k, total = len(classes), weights.sum(axis=1)
    cells = np.eye(k * k)[true * k + predicted]
    matrices = (weights @ cells).reshape(-1, k, k)
    bin_of, confidence, correct = _confidence(predictions, classes, bins)
    gaps = weights @ (np.eye(bins)[bin_of] * (confidence - correct)[:, None])
    right, rows, columns = np.trace(matrices, axis1=1, axis2=2), matrices.sum(axis=2), matrices.sum(axis=1)
    spread = (total**2 - (rows**2).sum(axis=1)) * (total**2 - (columns**2).sum(axis=1))
    covariance = right * total - (rows * columns).sum(axis=1)
    return {
        "accuracy": right / total,
        "balanced_accuracy": np.nanmean(sensitivity(matrices), axis=1),
        "mcc": np.divide(covariance, np.sqrt(spread), out=np.zeros(len(total)), where=spread > 0),
        "auc": np.mean([_resampled_auc(predictions, values[:, c], true == c, weights) for c in range(k)], axis=0),
        "brier": weights @ ((values - np.eye(k)[true]) ** 2).sum(axis=1) / total,
        "calibration_error": np.abs(gaps).sum(axis=1) / total,
    }


def _resampled_auc(predictions, score, own, weights):
    """Return :func:`class_auc` for many weights: beaten weight, and half the tied one, over all pairs of weight."""
    won, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for rows in predictions.reset_index(drop=True).groupby(["seed", "fold"]).indices.values():
        rows = rows[np.argsort(score[rows], kind="stable")]
        starts = np.flatnonzero(np.r_[True, np.diff(score[rows]) > 0])
        one = np.add.reduceat(weights[:, rows] * own[rows], starts, axis=1)
        other = np.add.reduceat(weights[:, rows] * ~own[rows], starts, axis=1)
        won += (one * (np.cumsum(other, axis=1) - other / 2)).sum(axis=1)
        pairs += one.sum(axis=1) * other.sum(axis=1)
    return np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0)


def measure_rows(predictions, classes, *, draws, seed, bins=10):
    """Return rows of results.csv (table ``measures``): every measure with its interval, and the calibration curve.

    The curve's points are metrics ``confidence`` and ``share_right``, their label the bin. ``n`` is the number of lesions,
    whatever the number of models that predict them.

    Parameters
    ----------
    predictions : DataFrame
        Rows of predictions.csv of one arm and one test set, of each seed and fold at one amount.
    classes, bins
        As of :func:`measure`.
    draws, seed : int
    """
    where = {"table": "measures"} | {name: predictions[name].iloc[0] for name in ("arm", "amount", "test_set")}
    where |= {"fold": "all", "seed": "all"}
    values, lesions = measure(predictions, classes, bins), predictions["lesion_id"].nunique()
    intervals = measure_intervals(predictions, classes, draws=draws, seed=seed, bins=bins)
    rows = [result_row(name, value, intervals[name], lesions, **where) for name, value in values.items()]
    for line in calibration_bins(predictions, classes, bins).itertuples():
        label = {"label": f"{line.low:.2g} to {line.high:.2g}"}
        rows.append(result_row("confidence", line.confidence, n=line.n, **where, **label))
        rows.append(result_row("share_right", line.share, (line.ci_low, line.ci_high), line.n, **where, **label))
    return rows
