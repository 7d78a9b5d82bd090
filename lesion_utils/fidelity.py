"""Are synthetic ROIs like real ones? KID, density and coverage, beside the floor that real ROIs reach among themselves.

Nothing is downloaded: images are compared by what the run's own classifier sees in them, and by radiomic features. Whether they
are copies is asked in :mod:`memorisation`.
"""

import numpy as np
import pandas as pd

from . import acgan, gan_training, gans, sampling
from .errors import DataError, MissingInputError, SettingsError
from .likeness import MEASURES, SPACES, half_size
from .scores import result_row
from .settings import require_choice
from .splits import assert_no_leak
from .texture import cooccurrence, gabor_bank, gabor_features, haralick, quantise

#: Grey values by which ROIs that one generator draws twice may differ: a file has steps of 1/65535, bfloat16 coarser ones.
SAME = 0.02
#: Standard deviations of the real training ROIs beyond which a radiomic feature says only "far": KID's kernel is cubic, and one
#: ROI that lies 40 away, of which real CT has some, would decide it alone.
FARTHEST = 4
#: Which real ROIs of unseen patients are the yardstick; ``auto`` is the independent test set where a run has one.
REFERENCES = ("auto", "independent", "cross_validation")


# Feature spaces


def radiomic_features(images, *, levels, distances, frequencies, orientations):
    """Measure the whole ROI by co-occurrence and Gabor filters: synthetic ROIs have no outline.

    Over the directions of both, the mean and the range are taken, so that an image and the same image turned by 90 degrees have
    nearly the same features.

    Parameters
    ----------
    images : (n, 64, 64, 1) float32
        In [0, 1].
    levels, distances
        See :func:`texture.glcm_features`.
    frequencies, orientations
        See :func:`texture.gabor_bank`.

    Returns
    -------
    (n, distances x 15 x 2 + frequencies x 4 x 2) float64
    """
    images = np.asarray(images, np.float32)
    pairs = [haralick(cooccurrence(image, levels, tuple(distances))) for image in quantise(images[..., 0], levels)]
    waves = gabor_features(images, gabor_bank(frequencies, orientations)).to_numpy()
    waves = waves.reshape(len(images), len(frequencies), orientations, -1)
    pairs = np.reshape(pairs, (len(images), -1, 4))
    parts = [pairs.mean(axis=-1), np.ptp(pairs, axis=-1), waves.mean(axis=2), np.ptp(waves, axis=2)]
    return np.concatenate([part.reshape(len(images), -1) for part in parts], axis=1)


def feature_spaces(classifier, originals, radiomics):
    """Return the functions that turn images into the features of each of :data:`SPACES`.

    Parameters
    ----------
    classifier : classifier.Classifier
    originals : (n, 64, 64, 1)
        Real training ROIs, from which the units are taken; see :func:`fit_units`.
    radiomics : dict
        Settings of :func:`radiomic_features`.

    Returns
    -------
    dict of str to callable
        Each takes (m, 64, 64, 1) images in [0, 1] and returns (m, d) float64. The same map for all images, so that KID stays
        without bias.
    """
    looks = {"classifier": classifier.features, "radiomic": lambda images: radiomic_features(images, **radiomics)}
    units = {space: fit_units(look(originals), each_feature=space == "radiomic") for space, look in looks.items()}
    return {space: lambda images, space=space: units[space](looks[space](images)) for space in SPACES}


def fit_units(real, *, each_feature):
    """Return a function that expresses features in units of a set of real images.

    Parameters
    ----------
    real : (n, d) float
        Features of real images alone; synthetic ones would bring their own yardstick.
    each_feature : bool
        True: every feature minus its mean, by its standard deviation (their units differ), at most :data:`FARTHEST` on either
        side, without those that do not vary. False: all minus their means, by one number, the root mean square: distances keep
        their proportions.
    """
    real = np.asarray(real, np.float64)
    middle, spread = real.mean(axis=0), real.std(axis=0)
    if each_feature:
        kept = spread > 1e-9 * np.maximum(1e-3, np.abs(middle))
        return lambda features: np.clip(
            (np.asarray(features, np.float64)[:, kept] - middle[kept]) / spread[kept], -FARTHEST, FARTHEST
        )
    whole = max(np.sqrt(np.mean(spread**2)), 1e-12)
    return lambda features: (np.asarray(features, np.float64) - middle) / whole


# In the experiment


def unseen_lesions(state, seed, fold, reference="auto"):
    """Return what results.csv calls the real lesions that neither GAN nor classifier of a fold has seen, and their Cohort.

    Parameters
    ----------
    state : Run
    seed, fold : int
    reference : str
        One of :data:`REFERENCES`.

    Returns
    -------
    test_set : str
        ``independent`` or ``cross_validation``.
    lesions : Cohort

    Raises
    ------
    SettingsError
        If the independent test set is asked for and the run has none.
    LeakError
        If a training patient is among them.
    """
    require_choice("reference", reference, REFERENCES)
    if reference == "independent" and not len(state.test):
        raise SettingsError("parameter 'reference' is independent, but the run has no independent test set; choose auto")
    folds = state.folds(seed)
    if len(state.test) and reference != "cross_validation":
        name, lesions = "independent", state.test
    else:
        name, lesions = "cross_validation", state.cohort.subset(folds == fold)
    assert_no_leak(state.cohort.patient_id[folds != fold], lesions.patient_id, f"image fidelity, seed {seed}, fold {fold}")
    return name, lesions


def suitable_neighbours(reals, classes, *, largest_half, neighbours):
    """Return ``neighbours``, or as many as the largest half of any class allows, 1 at the least; see :func:`count_reals`."""
    patients = [unseen.patient_id[unseen.label == label] for _, unseen, _ in reals.values() for label in range(len(classes))]
    return min(neighbours, max(1, min(max(map(half_size, patients)), largest_half) - 1))


def count_reals(reals, classes, *, largest_half, neighbours):
    """Count the lesions of each fold and class, and say which classes have enough of them to be measured.

    Parameters
    ----------
    reals : dict of int to (Cohort, Cohort, str)
        Training lesions, unseen lesions and the test set of each fold.
    classes : sequence of str
    largest_half, neighbours : int

    Returns
    -------
    DataFrame
        A row a fold and class: ``fold, label, class, training lesions, unseen lesions, unseen patients, ROIs in a half`` and
        ``measured``: whether a half has more ROIs than ``neighbours``. A class with fewer is left out of all measures.

    Raises
    ------
    DataError
        If no class is left.
    """
    rows = []
    for fold, (training, unseen, _) in reals.items():
        for label, name in enumerate(classes):
            patient = unseen.patient_id[unseen.label == label]
            half, people = min(half_size(patient), largest_half), len(np.unique(patient))
            rows.append((fold, label, name, int((training.label == label).sum()), len(patient), people, half, half > neighbours))
    counted = "training lesions", "unseen lesions", "unseen patients", "ROIs in a half"
    table = pd.DataFrame(rows, columns=["fold", "label", "class", *counted, "measured"])
    if not table["measured"].any():
        raise DataError(
            f"no class has halves of more than {neighbours} unseen real ROIs (the largest: {table['ROIs in a half'].max()}): "
            "choose a smaller 'neighbours', or add lesions of other patients (role test)"
        )
    return table


def generator_folder(state, gan, seed, fold, label, *, noise):
    """Return the folder of a fold's finished GAN, of a class or (ACGAN) of all.

    A run may hold several trainings with different settings, which the folder's name tells apart by a fingerprint that only the
    training notebook can compute. The run's own is the one that draws its synthetic ROIs again, at every epoch that was drawn.

    Raises
    ------
    MissingInputError
        If none has finished, or of several none draws the run's synthetic ROIs.
    """
    require_choice("gan", gan, gans.GANS)
    unit = f"seed{seed}_fold{fold}" + (f"_class{label}" if gan == "dcgan" else "")
    finished = [path.parent for path in sorted((state.folder / gan).glob(f"{unit}_*/history.csv"))]
    notebook = sampling.NOTEBOOKS[gan]
    if not finished:
        raise MissingInputError(
            f"{state.folder / gan / unit} has no finished training: run notebooks/{notebook}.ipynb first "
            "(`make book` runs all in order)"
        )
    if len(finished) == 1:
        return finished[0]
    kept = {}
    for epoch in sampling.drawn_epochs(state, gan, seed, fold):
        rois = sampling.load_synthetic(state.synthetic_path(gan, seed, fold, epoch))
        kept[epoch] = rois.of_class(label).images[:4]
    for folder in finished:
        if all(gan_training.generator_path(folder, epoch).exists() for epoch in kept):
            drawn = {epoch: _draw(state, folder, gan, seed, fold, label, epoch, 4, noise)[: len(kept[epoch])] for epoch in kept}
            if all(np.abs(drawn[epoch] - kept[epoch]).mean() < SAME for epoch in kept):
                return folder
    raise MissingInputError(
        f"{state.folder / gan / unit}: none of the {len(finished)} finished trainings draws the run's synthetic ROIs; run "
        f"notebooks/{notebook}.ipynb again, with the same 'noise' as this notebook"
    )


def _draw(state, folder, gan, seed, fold, label, epoch, n, noise):
    """Draw ROIs of a class from a saved generator, from the noise of the run's synthetic ROIs."""
    number = sampling.drawing_seed(gan, seed, fold, label)
    weights = None if gan == "dcgan" else acgan.class_weights(label, len(state.classes))
    generator = gan_training.load_generator(folder, epoch)
    return sampling.sample_images(generator, n, noise=noise, seed=number, class_weights=weights)


def epoch_samples(state, gan, seed, fold, label, n, *, noise):
    """Draw ``n`` ROIs of a class from every saved epoch, from the noise with which the run's synthetic ROIs were drawn.

    Returns
    -------
    dict of int to (n, 64, 64, 1) float32 in [0, 1]
        By epoch.
    """
    folder = generator_folder(state, gan, seed, fold, label, noise=noise)
    epochs = sorted(int(path.stem.split("_")[1]) for path in folder.glob("epoch_*.keras"))
    return {epoch: _draw(state, folder, gan, seed, fold, label, epoch, n, noise) for epoch in epochs}


def fidelity_rows(measured, *, gan, classes, seed):
    """Return rows of results.csv: the mean of each measure over the subsets, and between which values 95 % of the subsets lie.

    Parameters
    ----------
    measured : DataFrame
        From :func:`likeness.compare`, with ``fold``, ``label``, ``space`` and ``test_set`` beside. A ``set`` is ``real``,
        ``classic``, the GAN's name, or a saved epoch's number.
    gan : str
    classes : sequence of str
    seed : int

    Returns
    -------
    list of dict
        Table ``fidelity``, whose arm is the set that is compared; and table ``fidelity_epochs``, whose ``amount`` is the epoch.
        ``ci_low`` and ``ci_high`` hold the spread over subsets of the same ROIs, which is no confidence interval; n is the number
        of ROIs in each set. Fold ``all`` is the mean over folds.
    """
    rows = []
    for (label, space, name), group in measured.groupby(["label", "space", "set"], sort=False):
        epoch = not isinstance(name, str)
        where = {"table": "fidelity_epochs" if epoch else "fidelity", "arm": gan if epoch else name}
        where |= {"amount": name if epoch else "", "label": classes[label], "seed": seed}
        for fold, part in [*group.groupby("fold"), ("all", group)]:
            for measure in MEASURES:
                spread = tuple(part[measure].quantile([0.025, 0.975]))
                of = {"fold": fold, "test_set": part["test_set"].iloc[0], **where}
                rows.append(result_row(f"{measure}_{space}", part[measure].mean(), spread, int(part["n"].min()), **of))
    return rows


def best_epochs(rows, classes):
    """Return the saved epoch with the smallest KID of each class and feature space, and those that cannot be told from it.

    Parameters
    ----------
    rows : DataFrame
        Rows of results.csv from :func:`fidelity_rows`, fold ``all``.
    classes : sequence of str

    Returns
    -------
    DataFrame
        ``class, features, smallest KID, epoch``, and ``as good as it``: the other epochs whose spread holds that value.
    """
    table = []
    for one in classes:
        for space, title in SPACES.items():
            chosen = (rows["table"] == "fidelity_epochs") & (rows["label"] == one) & (rows["metric"] == f"kid_{space}")
            curve = rows[chosen].set_index("amount")
            best = curve["value"].astype(float).idxmin()
            smallest = float(curve.loc[best, "value"])
            alike = [str(epoch) for epoch in curve.index[curve["ci_low"].astype(float) <= smallest] if epoch != best]
            table.append((one, title, smallest, best, ", ".join(alike) or "none"))
    return pd.DataFrame(table, columns=["class", "features", "smallest KID", "epoch", "as good as it"])
