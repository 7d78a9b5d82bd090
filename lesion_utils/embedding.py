"""What the CNN sees in test lesions (paper, section 4.3): features before the class scores, t-SNE, and separability in numbers.

A t-SNE picture proves nothing alone, so every measure here is taken in feature space, on lesions of patients
whom the network has not seen, and comes with an interval that counts patients.
"""

import numpy as np
import openTSNE
import pandas as pd
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA

from .augment import augmented_rois
from .errors import DataError, SettingsError
from .experiment import load_classifier
from .paired import Difference, patient_mean
from .scores import result_row
from .settings import threads

#: The measures of :func:`separability`: column, and what it is called in results.csv.
MEASURES = {"silhouette": "silhouette", "neighbours_agree": "knn_accuracy"}


def test_images(state, seed, fold, per_lesion):
    """Return the test lesions of one fold and their first classic augmentations, for looking at and never for training.

    Parameters
    ----------
    state : Run
    seed, fold : int
    per_lesion : int
        Augmentations of each lesion, from the run's own plan.

    Returns
    -------
    rois : RoiSet
        The originals, then the augmentations, lesion by lesion.
    original : (n,) bool
    patient : (n,) str

    Raises
    ------
    SettingsError
        If the plan holds fewer augmentations of a lesion.
    """
    plan = state.plan(seed)
    if not 0 <= per_lesion <= plan.shape[1]:
        raise SettingsError(f"parameter 'augmentations_per_lesion' is {per_lesion}; the plan of 02 has 0 to {plan.shape[1]}")
    test = np.flatnonzero(state.folds(seed) == fold)
    lesion, column = np.repeat(test, per_lesion), np.tile(np.arange(per_lesion), len(test))
    rois = state.originals.take(test) + augmented_rois(state.cohort, plan, lesion, column, **state.window)[0]
    shown = np.concatenate([test, lesion])
    return rois, np.arange(len(shown)) < len(test), state.cohort.patient_id[shown]


def network_features(state, arm, seed, fold, images):
    """Return the (n, 8 ``cnn_width``) features of an arm's chosen classifier of one fold.

    Raises
    ------
    MissingInputError
        If 05_classification has not trained this arm, seed or fold.
    """
    return load_classifier(state.chosen_unit(arm, seed, fold)).features(images)


def common_start(spaces):
    """Return one starting position an image, the same for every network: the first two principal components of all features.

    Each feature space is centred and scaled to one total variance first, so that no network has more say than another.

    Parameters
    ----------
    spaces : sequence of (n, d) arrays
        The same n images in the same order.

    Returns
    -------
    (n, 2) float64
        Scaled to a standard deviation of 0.0001 along the first component, as is usual for t-SNE: it starts near one point.
    """
    centred = [np.asarray(space, np.float64) - np.mean(space, axis=0, dtype=np.float64) for space in spaces]
    together = np.concatenate([space / max(np.linalg.norm(space), 1e-12) for space in centred], axis=1)
    with np.errstate(invalid="ignore"):  # of features that do not vary at all, PCA divides nothing by nothing
        start = PCA(2, svd_solver="full").fit_transform(together)
    return start / max(start[:, 0].std(), 1e-12) * 1e-4


def largest_perplexity(images):
    """Return the largest whole perplexity that t-SNE takes for a number of images: a third of the others."""
    return (images - 1) // 3


def embed(features, start, *, perplexity, seed, n_jobs=None):
    """Return the (n, 2) t-SNE of features, by openTSNE.

    Parameters
    ----------
    features : (n, d)
    start : (n, 2)
        From :func:`common_start`.
    perplexity : float
        How many neighbours each image tries to stay close to: at least 1, at most (n - 1) / 3.
    seed : int
        The same seed gives the same picture on the same machine.
    n_jobs : int, optional
        Processor cores; without it :func:`settings.threads`.

    Raises
    ------
    SettingsError
        If the perplexity does not suit the number of images.
    """
    most = (len(features) - 1) / 3
    if not 1 <= perplexity <= most:
        raise SettingsError(
            f"a perplexity of {perplexity} does not suit {len(features)} images: choose 1 to {int(most)}, "
            "or more augmentations_per_lesion"
        )
    tsne = openTSNE.TSNE(
        perplexity=perplexity,
        initialization=np.array(start),  # a copy: openTSNE moves the points in place
        random_state=seed,
        n_jobs=n_jobs or threads(),
        neighbors="exact" if len(features) <= 2000 else "auto",
    )
    return np.asarray(tsne.fit(np.asarray(features, np.float64)))


def neighbours_agree(features, label, group, k):
    """Return whether most of the k nearest images *of other groups* show an image's class.

    Parameters
    ----------
    features : (n, d)
    label : (n,) int
    group : (n,)
        Images of one group are no neighbours of each other. With patients as groups, no lesion is found by its own augmentation.
    k : int
        Neighbours asked; votes are equal, and of classes with as many votes the one with the nearest neighbour wins.

    Returns
    -------
    (n,) float64
        1 or 0.

    Raises
    ------
    SettingsError
        If an image has fewer than k neighbours to ask.
    """
    distance = _between_groups(features, group)
    fewest = int(np.isfinite(distance).sum(axis=1).min())
    if not 1 <= k <= fewest:
        raise SettingsError(f"parameter 'neighbours' is {k}; the images of a fold allow 1 to {fewest}")
    near = np.asarray(label)[np.argsort(distance, axis=1, kind="stable")[:, :k]]
    votes = np.stack([(near == one).sum(axis=1) for one in range(np.max(label) + 1)], axis=1).astype(float)
    # The nearest neighbour decides between equals: each vote weighs a little more the nearer it is, never a whole vote.
    votes += (
        np.stack([np.where(near == one, 2.0 ** -np.arange(1, k + 1), 0).sum(axis=1) for one in range(votes.shape[1])], axis=1) / 2
    )
    return (votes.argmax(axis=1) == label).astype(float)


def silhouette(features, label, group):
    """Return the silhouette of each image, (b - a) / max(a, b), between -1 and 1, leaving out images of its own group.

    a is the mean distance to the other images of its class, b that to the nearest other class. Without the group's own images,
    because augmentations of one lesion lie close together in any feature space.

    Returns
    -------
    (n,) float64
        NaN where an image's class has no other group.

    Raises
    ------
    DataError
        If the images show a single class.
    """
    label = np.asarray(label)
    classes = np.unique(label)
    if len(classes) < 2:
        raise DataError("the test lesions of this fold are all of one class: separability needs two; use fewer folds")
    distance = _between_groups(features, group)
    allowed = np.isfinite(distance)
    means = np.full((len(label), len(classes)), np.nan)
    for column, one in enumerate(classes):
        members = allowed & (label == one)
        total = np.where(members, distance, 0).sum(axis=1)
        means[:, column] = np.divide(total, members.sum(axis=1), out=means[:, column], where=members.any(axis=1))
    own = label[:, None] == classes
    inside = means[own]
    outside = np.where(own | np.isnan(means), np.inf, means).min(axis=1)
    widest = np.maximum(np.maximum(inside, outside), 1e-12)
    return np.where(np.isinf(outside), np.nan, (outside - inside) / widest)


def _between_groups(features, group):
    """Return the (n, n) Euclidean distances, infinite within a group."""
    distance = cdist(np.asarray(features, np.float64), np.asarray(features, np.float64))
    group = np.asarray(group)
    distance[group[:, None] == group] = np.inf
    return distance


def separability(features, rois, patient, *, neighbours, fold):
    """Return a row an image: ``lesion_id``, ``patient_id``, ``label``, ``fold`` and the columns of :data:`MEASURES`.

    Both measures leave out images of the image's own patient.
    """
    return pd.DataFrame(
        {
            "lesion_id": rois.lesion_id,
            "patient_id": patient,
            "label": rois.label,
            "fold": fold,
            "silhouette": silhouette(features, rois.label, patient),
            "neighbours_agree": neighbours_agree(features, rois.label, patient, neighbours),
        }
    )


def mean_by_patients(values, table, *, draws, seed):
    """Return the mean of a value an image, with its 95 % percentile interval over resamplings of whole patients.

    Parameters
    ----------
    values : (n,)
        NaN is left out. A difference of two networks on the same images gives the paired interval.
    table : DataFrame
        From :func:`separability`, in the same order.
    draws, seed : int

    Returns
    -------
    paired.Difference
        ``value``, ``interval``, ``lesions``. The neighbours are those of the images at hand: the interval says how much the mean
        would change with other patients asked, not with another network trained.
    """
    rows = table.assign(value=np.asarray(values)).dropna(subset="value")
    if rows.empty:
        return Difference(np.nan, (np.nan, np.nan), 0)
    return patient_mean(rows, "value", draws=draws, seed=seed)


def separability_rows(tables, classes, *, draws, seed, run_seed):
    """Return rows of results.csv (table ``fig9``): both measures of each arm, of all images and class by class.

    Parameters
    ----------
    tables : dict of arm to DataFrame
        From :func:`separability`, all folds one below the other, every arm's in the same order. Where there are two or more arms,
        ``silhouette_difference`` and ``knn_accuracy_difference`` of the later ones minus the first are added, paired by image.
    classes : sequence of str
    draws, seed : int
        Of the resamplings.
    run_seed : int
        The seed of the networks.
    """
    rows = []
    baseline, *_ = tables
    for arm, table in tables.items():
        where = {"table": "fig9", "arm": arm, "amount": "all", "test_set": "cross_validation"}
        where |= {"fold": "all", "seed": run_seed}
        for column, metric in MEASURES.items():
            parts = [("all", table.index == table.index)]
            parts += [(name, (table["label"] == number).to_numpy()) for number, name in enumerate(classes)]
            for name, chosen in parts:
                mean = mean_by_patients(table.loc[chosen, column], table[chosen], draws=draws, seed=seed)
                rows.append(result_row(metric, mean.value, mean.interval, mean.lesions, label=name, **where))
            if arm != baseline:
                change = mean_by_patients(table[column] - tables[baseline][column], table, draws=draws, seed=seed)
                measured = change.value, change.interval, change.lesions
                rows.append(result_row(f"{metric}_difference", *measured, label="all", **where))
    return rows


def difference_sentence(difference, metric):
    """Say what the paired difference of two networks' separability allows to say.

    Parameters
    ----------
    difference : paired.Difference
    metric : str
        ``silhouette`` or ``knn_accuracy``.
    """
    low, high = difference.interval
    if metric == "knn_accuracy":
        value, low_text, high_text = (f"{100 * number:+.1f}" for number in (difference.value, low, high))
        change = f"{value} points (95 % interval {low_text} to {high_text})"
    else:
        change = f"{difference.value:+.3f} (95 % interval {low:+.3f} to {high:+.3f})"
    chance = "whether the synthetic ROIs or the chance of training did that, one pair of networks a fold cannot tell"
    if low > 0:
        meaning = f"the classes lie further apart in these networks; {chance}"
    elif high < 0:
        meaning = f"the classes lie closer together in these networks; {chance}"
    else:
        meaning = "zero lies inside the interval, so this run cannot tell whether synthetic ROIs separate the classes better"
    names = {"silhouette": "silhouette", "knn_accuracy": "k-NN accuracy"}
    return f"The {names[metric]} changes by {change}: {meaning}."
