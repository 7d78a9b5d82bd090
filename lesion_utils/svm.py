"""A support vector machine whose kernel and C are chosen inside the training fold, with one probability a class.

The texture baselines (paper, section 4.5) end in an SVM. The paper states neither its kernel nor its C, so both are chosen by an
inner cross-validation over training patients: no lesion under test, and no sibling of it, has a say.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from .errors import DataError, SettingsError

#: What is chosen from. ``rbf`` has scikit-learn's own width, one over the number of features times their variance.
KERNELS = ("linear", "rbf")
COSTS = (0.01, 0.1, 1.0, 10.0, 100.0)
#: Inner folds that are tried, most first: the first number that leaves every class in every inner training part is taken.
INNER_FOLDS = (5, 4, 3, 2)
#: Kernel and C where no inner split is possible: scikit-learn's own defaults.
FALLBACK = ("rbf", 1.0)


@dataclass(frozen=True)
class ChosenSvm:
    """A trained SVM and how it was chosen.

    Attributes
    ----------
    pipeline : sklearn estimator
        Selection of features (if any), scaling and one SVM a class, all fitted to the training fold.
    kernel : str
    cost : float
        The C of the SVM.
    inner_folds : int
        Folds of the inner cross-validation; 0 if there was none.
    inner_accuracy : float
        Accuracy of this kernel and C there; NaN if there was none. It is optimistic: it chose them.
    temperature : float
        Decision values are divided by it before softmax.
    note : str
        What a reader should know about the choice; empty if all went as described.
    """

    pipeline: object = field(repr=False)
    kernel: str
    cost: float
    inner_folds: int
    inner_accuracy: float
    temperature: float
    note: str = ""

    def predict(self, features):
        """Return (n, k) float32 probabilities for (n, d) features; the most probable class is the SVM's answer."""
        return softmax(_decisions(self.pipeline.decision_function(features)) / self.temperature, axis=1).astype(np.float32)


def fit_svm(features, label, patient, *, classes, seed, selector=None, each_class=False, kernels=KERNELS, costs=COSTS):
    """Choose kernel and C by patients, train on all given lesions, and fit the scale of the probabilities.

    One binary SVM a class, this class against the rest; the class with the largest decision value wins. Features are brought
    to mean 0 and standard deviation 1 of whatever part is trained on. Probabilities are the softmax of the decision values
    over a temperature, which is fitted to the inner test parts: it changes how sure, never which class.

    Parameters
    ----------
    features : (n, d) float
    label : (n,) int
        0 to k - 1.
    patient : (n,) str
        The patient of each row: the inner folds keep patients together.
    classes : sequence of str
        Names of the k classes.
    seed : int
        Deals the inner folds.
    selector : sklearn transformer, optional
        Chooses features; it is fitted anew in every inner training part.
    each_class : bool
        Fit the selector for each class against the rest, so that every class's SVM sees features of its own.
    kernels, costs : sequences
        What is chosen from. Of equally accurate ones the first kernel with the smallest C is taken.

    Returns
    -------
    ChosenSvm

    Raises
    ------
    DataError
        If a class has no training lesion, or a feature is not a number.
    SettingsError
        If there is nothing to choose from.
    """
    label, patient = np.asarray(label), np.asarray(patient)
    if not len(kernels) or not len(costs):
        raise SettingsError("'kernels' and 'costs' must each name at least one value for the SVM")
    for index, name in enumerate(classes):
        if not np.any(label == index):
            raise DataError(f"class '{name}' has no lesion in the training fold; add lesions or set folds to a smaller number")
    if not np.isfinite(features).all():
        raise DataError("a texture feature is not a number: an image holds NaN or infinity; mend it or delete its row")
    pipeline, prefix = _pipeline(selector, each_class)
    splits = inner_splits(label, patient, seed=seed)
    if not splits:
        kernel, cost = FALLBACK
        pipeline.set_params(**{f"{prefix}kernel": kernel, f"{prefix}C": cost}).fit(features, label)
        note = f"a class has too few patients for an inner split: kernel {kernel} and C = {cost:g} were not chosen"
        return ChosenSvm(pipeline, kernel, cost, 0, np.nan, 1.0, note)
    # One grid a kernel: scikit-learn takes the first of equally good ones.
    grid = [{f"{prefix}kernel": [kernel], f"{prefix}C": sorted(costs)} for kernel in kernels]
    search = GridSearchCV(pipeline, grid, cv=splits, scoring="accuracy", error_score="raise").fit(features, label)
    chosen = search.best_params_
    decisions = _decisions(cross_val_predict(search.best_estimator_, features, label, cv=splits, method="decision_function"))
    return ChosenSvm(
        pipeline=search.best_estimator_,
        kernel=chosen[f"{prefix}kernel"],
        cost=chosen[f"{prefix}C"],
        inner_folds=len(splits),
        inner_accuracy=float(search.best_score_),
        temperature=fit_temperature(decisions, label),
        note=""
        if len(splits) == INNER_FOLDS[0]
        else f"few patients in a class: {len(splits)} inner folds in place of {INNER_FOLDS[0]}",
    )


def inner_splits(label, patient, *, seed):
    """Deal training lesions to inner folds by patient so that every inner training part holds every class.

    Parameters
    ----------
    label : (n,) int
    patient : (n,) str
    seed : int

    Returns
    -------
    list of (training, test)
        Indices; empty if no deal into :data:`INNER_FOLDS` works, as when a class has only one patient.
    """
    label, patient = np.asarray(label), np.asarray(patient)
    present = np.unique(label)
    fewest = min(len(np.unique(patient[label == value])) for value in present)
    for folds in INNER_FOLDS:
        if folds > max(fewest, 1):
            continue
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        splits = list(splitter.split(label, label, patient))
        if all(np.isin(present, label[training]).all() and len(test) for training, test in splits):
            return splits
    return []


def fit_temperature(decisions, label):
    """Return the temperature at which the softmax of decision values is least surprised by the true classes.

    Parameters
    ----------
    decisions : (n, k) float
        Of lesions that the SVM was not trained on.
    label : (n,) int

    Returns
    -------
    float
        Between 1/100 and 100.
    """

    def surprise(log_temperature):
        return log_loss(label, softmax(decisions / np.exp(log_temperature), axis=1), labels=np.arange(decisions.shape[1]))

    limit = np.log(100)
    return float(np.exp(minimize_scalar(surprise, bounds=(-limit, limit), method="bounded").x))


def _pipeline(selector, each_class):
    """Return the untrained estimator and what stands before ``kernel`` and ``C`` in the names of its parameters."""
    if selector is not None and each_class:
        return OneVsRestClassifier(
            Pipeline([("select", selector), ("scale", StandardScaler()), ("svc", SVC())])
        ), "estimator__svc__"
    first = [] if selector is None else [selector]
    return make_pipeline(*first, StandardScaler(), OneVsRestClassifier(SVC())), "onevsrestclassifier__estimator__"


def _decisions(values):
    """Return (n, k) decision values; for two classes scikit-learn gives one column."""
    return np.column_stack([-values, values]) if values.ndim == 1 else values
