"""Are synthetic ROIs copies of training ROIs? The nearest training ROI against the nearest real ROI of an unseen patient."""

import numpy as np
import pandas as pd
from scipy.stats import beta
from statsmodels.stats.proportion import confint_proportions_2indep

from .errors import DataError, SettingsError
from .paired import over_models, share_over_models
from .rois import lesion_geometry, sampling_matrices, warp
from .scores import proportion_row, result_row

#: Images whose distances to all views are held in memory at once.
CHUNK = 1024


def turned_views(lesions, *, rotations, margin, window_level, window_width):
    """Sample every lesion at evenly spaced angles, and mirrored at each: four angles give the eight rotations and flips.

    Parameters
    ----------
    lesions : Cohort
    rotations : int
        Angles over the full circle, a multiple of 4. Each ROI is one bicubic warp straight from the slice, so that a ROI turned
        by 30 degrees lacks no corner.
    margin, window_level, window_width : float
        See :func:`rois.extract_rois`.

    Returns
    -------
    (n, 2 rotations, 64, 64, 1) float32
        The first view is the ROI itself; then come its mirror image, the next angle, its mirror image, and so on.

    Raises
    ------
    SettingsError
        If ``rotations`` is no multiple of 4.
    """
    if rotations != int(rotations) or rotations < 4 or rotations % 4:
        raise SettingsError(f"parameter 'rotations' is {rotations}; choose a multiple of 4, so that right angles are among them")
    n, views = len(lesions), 2 * rotations
    centre, diameter = lesion_geometry(lesions.outlines)
    angle = np.tile(np.repeat(np.arange(rotations) * 360 / rotations, 2), n)
    mirrored = np.tile([False, True], n * rotations)
    centre, diameter = np.repeat(centre, views, axis=0), np.repeat(diameter, views)
    matrices = sampling_matrices(centre, diameter, margin=margin, angle=angle, mirror_x=mirrored)
    which = np.repeat(np.arange(n), views)
    images = warp(lesions.slices, which, matrices, window_level=window_level, window_width=window_width)
    return images.reshape(n, views, *images.shape[1:])


def right_angles(views):
    """Return the eight views at right angles from those of :func:`turned_views`."""
    pairs = views.reshape(len(views), -1, 2, *views.shape[2:])
    return pairs[:, :: pairs.shape[1] // 4].reshape(len(views), 8, *views.shape[2:])


def nearest(images, views, barred=None):
    """Find the nearest real ROI of each image, over all its views.

    Parameters
    ----------
    images : (n, 64, 64, 1) float
    views : (m, v, 64, 64, 1) float
        From :func:`turned_views`.
    barred : (n, m) bool, optional
        Lesions that an image may not be compared with.

    Returns
    -------
    distance : (n,) float64
        Root mean square difference of the pixels' grey values, which run from 0 to 1; infinite where all lesions are barred.
    lesion, view : (n,) int
    """
    flat = views.reshape(-1, images[0].size)
    half_square = np.einsum("ij,ij->i", flat, flat, dtype=np.float64).astype(np.float32) / 2
    distance, place = np.empty(len(images)), np.empty(len(images), int)
    for start in range(0, len(images), CHUNK):
        part = slice(start, start + CHUNK)
        own = images[part].reshape(-1, flat.shape[1])
        # Where |x - y|^2 is smallest, x y - |y|^2 / 2 is largest. Single precision finds the place, then the distance is exact.
        likeness = np.asarray(own, flat.dtype) @ flat.T
        likeness -= half_square
        if barred is not None:
            likeness[np.repeat(barred[part], views.shape[1], axis=1)] = -np.inf
        place[part] = likeness.argmax(axis=1)
        distance[part] = np.sqrt(((own.astype(np.float64) - flat[place[part]]) ** 2).mean(axis=1))
        distance[part][likeness.max(axis=1) == -np.inf] = np.inf
    return distance, place // views.shape[1], place % views.shape[1]


def audit(images, seen, unseen, barred=None):
    """Set each image's nearest training ROI against its nearest ROI of unseen patients.

    Parameters
    ----------
    images : (n, 64, 64, 1) float
    seen, unseen : (m, v, 64, 64, 1) float
        Views of training ROIs and, best as many, of real ROIs that the GAN has not seen.
    barred : (n, m) bool, optional
        Of ``unseen``: for real images, the lesions of their own patient.

    Returns
    -------
    DataFrame
        A row an image: ``to_seen, seen_lesion, seen_view, to_unseen, unseen_lesion, unseen_view`` and ``ratio``, to_seen by
        to_unseen: small where an image lies much nearer to a training ROI than to any other. The ratio, unlike the distance,
        is not small merely because an image is smooth: a smooth image is near to everything.
    """
    columns = {}
    for name, views, mask in (("seen", seen, None), ("unseen", unseen, barred)):
        columns[f"to_{name}"], columns[f"{name}_lesion"], columns[f"{name}_view"] = nearest(images, views, mask)
    frame = pd.DataFrame(columns)
    frame["ratio"] = frame["to_seen"] / np.maximum(frame["to_unseen"], 1e-12)
    return frame


def copy_threshold(ratio, share):
    """Say from real ROIs of unseen patients alone below which ratio an image counts as a near-copy.

    Parameters
    ----------
    ratio : (n,) float
        Of real ROIs that the GAN has not seen; see :func:`audit`.
    share : float
        Share of such ROIs that may be called near-copies, such as 0.05.

    Returns
    -------
    threshold : float
        The j-th smallest ratio, j = share x (n + 1) rounded down, at least 1.
    expected : float
        j / (n + 1): the share of images at or below it when they are drawn as the real ROIs were. With few real ROIs it is larger
        than ``share``: 1 / (n + 1) at the least.
    rank : int
        j.

    Raises
    ------
    DataError
        If there is no real ROI.
    SettingsError
        If ``share`` is not between 0 and 0.5.
    """
    if not 0 < share <= 0.5:
        raise SettingsError(f"parameter 'copy_share' is {share}; choose a share above 0 and up to 0.5, such as 0.05")
    if not len(ratio):
        raise DataError("no real ROI of an unseen patient is there to say what a near-copy is; add lesions of other patients")
    rank = max(1, int(np.floor(share * (len(ratio) + 1) + 1e-9)))
    return float(np.sort(ratio)[rank - 1]), rank / (len(ratio) + 1), rank


def judge(audits, share):
    """Count near-copies among the sets of one class and fold.

    Parameters
    ----------
    audits : dict of str to DataFrame
        From :func:`audit`; ``real`` are the fresh reals, from which the thresholds come.
    share : float

    Returns
    -------
    DataFrame
        A row a set: ``set, n, near_copies``; ``near_copies_swapped``, the same with training and unseen ROIs exchanged, which no
        GAN can have copied; ``nearer_to_training``; ``rank``, of ``real`` only; and the ``threshold``.
    """
    real = audits["real"]["ratio"]
    threshold, _, rank = copy_threshold(real, share)
    swapped, _, _ = copy_threshold(1 / np.maximum(real, 1e-12), share)
    rows = []
    for name, frame in audits.items():
        ratio = frame["ratio"]
        counts = (ratio <= threshold).sum(), (1 / np.maximum(ratio, 1e-12) <= swapped).sum(), (ratio < 1).sum()
        rows.append((name, len(frame), *map(int, counts), rank if name == "real" else 0, threshold))
    columns = ["set", "n", "near_copies", "near_copies_swapped", "nearer_to_training", "rank", "threshold"]
    return pd.DataFrame(rows, columns=columns)


def memorisation_rows(judged, *, classes, seed):
    """Return rows of results.csv (table ``fidelity``) for the near-copies of each class and of all.

    Parameters
    ----------
    judged : DataFrame
        From :func:`judge`, with ``fold``, ``label`` and ``test_set`` beside.
    classes : sequence of str
    seed : int

    Returns
    -------
    list of dict
        ``near_copies`` of arm ``real`` is the share expected without memorisation, j / (n + 1), with the 95 % range that so few
        real ROIs leave open (a beta distribution); all other shares have Wilson's intervals, widened by the spread between folds
        and classes (:func:`paired.share_over_models`), because the ROIs of one GAN are alike. ``near_copies_excess`` is the share
        minus that with exchanged parts, with Newcombe's interval, widened likewise. Real ROIs of the independent test set are
        asked in every fold and count once.
    """
    rows = []
    folds = [("all", judged), *judged.groupby("fold")]
    for fold, of_fold in folds:
        for label in [*sorted(of_fold["label"].unique()), "all"]:
            part = of_fold if label == "all" else of_fold[of_fold["label"] == label]
            where = {"table": "fidelity", "seed": seed, "fold": fold, "label": "all" if label == "all" else classes[label]}
            for name, group in part.groupby("set", sort=False):
                where |= {"arm": name, "test_set": group["test_set"].iloc[0]}
                total = group[["n", "near_copies", "near_copies_swapped", "nearer_to_training", "rank"]].sum()
                if name == "real":
                    times = group["fold"].nunique() if where["test_set"] == "independent" else 1
                    total, places = total / times, (total["n"] + len(group)) / times  # one place more than ROIs a threshold
                    interval = tuple(beta.ppf([0.025, 0.975], total["rank"], places - total["rank"]).tolist())
                    rows.append(result_row("near_copies", total["rank"] / places, interval, total["n"], **where))
                    rows.append(proportion_row("nearer_to_training", total["nearer_to_training"], total["n"], **where))
                    continue
                for metric in ("near_copies", "near_copies_swapped", "nearer_to_training"):
                    interval = share_over_models(total[metric], total["n"], group[metric] / group["n"])
                    rows.append(result_row(metric, total[metric] / total["n"], interval, total["n"], **where))
                found, swapped = total["near_copies"], total["near_copies_swapped"]
                interval = confint_proportions_2indep(found, total["n"], swapped, total["n"], method="newcomb")
                excess = (found - swapped) / total["n"]
                by_gan = (group["near_copies"] - group["near_copies_swapped"]) / group["n"]
                interval = over_models(interval, excess, by_gan)
                rows.append(result_row("near_copies_excess", excess, interval, total["n"], **where))
    return rows


def memorisation_sentence(rows, gan, label="all"):
    """Say how many synthetic ROIs are near-copies, how many would be by chance, and whether the audit would have seen copies.

    Parameters
    ----------
    rows : DataFrame
        Rows of results.csv from :func:`memorisation_rows`, over all folds.
    gan : str
        Arm.
    label : str
        Name of a class, or ``all``.
    """
    own = rows[(rows["fold"] == "all") & (rows["label"] == label)].set_index(["arm", "metric"])
    share, chance = own.loc[(gan, "near_copies")], own.loc[("real", "near_copies")]
    control, swapped = own.loc[("classic", "near_copies")], own.loc[(gan, "near_copies_swapped")]
    above_swapped = own.loc[(gan, "near_copies_excess"), "ci_low"] > 0
    if above_swapped and share["ci_low"] > chance["ci_high"]:
        meaning = "More than chance explains: copies, or smooth training ROIs that lie near to many; the pairs below tell which"
    elif share["ci_high"] >= control["ci_low"]:
        meaning = "This cannot tell: the search would hardly find copies if there were some"
    elif above_swapped:
        meaning = "More than with exchanged parts; too few real ROIs to say whether chance explains it: look at the pairs below"
    elif share["value"] > chance["ci_high"]:
        meaning = "More than expected, yet chance cannot be ruled out: look at the pairs below"
    else:
        meaning = "No sign of copying beyond chance"
    return (
        f"{label}: {share['value']:.1%} near-copies ({share['ci_low']:.1%} to {share['ci_high']:.1%}) among synthetic ROIs, "
        f"{chance['value']:.1%} ({chance['ci_low']:.1%} to {chance['ci_high']:.1%}) expected without memorisation; "
        f"false alarms {swapped['value']:.1%}; found of true copies {control['value']:.1%}. {meaning}."
    )


def nearest_pairs(frame, images, seen, unseen, *, by, count=10):
    """Return the ``count`` images with the smallest value of column ``by``, with their pictures.

    Returns
    -------
    DataFrame
        Rows of ``frame`` from :func:`audit`, with ``pictures``: (3, 64, 64, 1), the image, its nearest training ROI and its
        nearest unseen one, both turned as they match best.
    """
    chosen = frame.nsmallest(count, by)
    pictures = [
        np.stack([images[index], seen[row.seen_lesion, row.seen_view], unseen[row.unseen_lesion, row.unseen_view]])
        for index, row in zip(chosen.index, chosen.itertuples(), strict=True)
    ]
    return chosen.assign(pictures=pictures)
