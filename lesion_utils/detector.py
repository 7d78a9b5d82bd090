"""A machine that says real or synthetic: the paper's CNN with two classes, trained in each fold against that fold's GAN.

It takes the second task of the readers (paper, section 4.4), so that a study has an answer to it before any person has read.
"""

import numpy as np

from . import classifier, networks, steps
from .errors import SettingsError
from .files import atomic_path
from .progress import progress
from .reading import ORIGINS, eight_bit
from .rois import RoiSet
from .sampling import chosen_synthetic
from .streams import stream
from .units import fingerprint


def training_set(state, study, *, gan, seed, fold, rois):
    """Return what the detector of one fold is trained on: as many real as synthetic images, class by class.

    Parameters
    ----------
    state : Run
    study : reading.Study
        Its own synthetic ROIs are left out of the training.
    gan : str
    seed, fold : int
    rois : int
        Most images of each kind.

    Returns
    -------
    RoiSet
        Label 0 real, 1 synthetic. The same classes in the same numbers on both sides, so that the class tells nothing, and in
        256 grey levels like the study.

    Raises
    ------
    LeakError
        If a patient whose ROI is read in this fold stands behind the training images.
    SettingsError
        If the study left no synthetic ROI to train on.
    """
    training, _ = state.fold_sets(seed, fold, state.chosen("classic", seed, fold)["amount"])
    shown = study.key.query("origin == 'synthetic' and fold == @fold")["sample"].to_numpy()
    synthetic = chosen_synthetic(state, gan, seed, fold)
    synthetic = synthetic.take(~np.isin(np.arange(len(synthetic)), shown))
    k = len(state.classes)
    both = np.minimum(np.bincount(training.label, minlength=k), np.bincount(synthetic.label, minlength=k))
    counts = np.minimum(both, -(-rois // k))
    if counts.sum() == 0:
        raise SettingsError(
            f"parameter 'synthetic': the study shows all synthetic ROIs of fold {fold}, none is left to train the "
            "real-or-synthetic classifier; show fewer, or draw more (samples_per_class)"
        )
    parts = [rois_of.take(_first(rois_of.label, counts)) for rois_of in (training, synthetic)]
    images = np.concatenate([eight_bit(part.images) for part in parts])[..., None].astype(np.float32) / 255
    label = np.repeat(np.arange(len(ORIGINS)), [len(part) for part in parts])
    chosen = RoiSet(images, label, parts[0].patients | parts[1].patients, np.concatenate([part.lesion_id for part in parts]))
    state.assert_clean(chosen, real_items(state, study, fold), f"real-or-synthetic classifier, seed {seed}, fold {fold}")
    return chosen


def _first(label, counts):
    """Return the places of the first ``counts[c]`` of each class c."""
    return np.concatenate([np.flatnonzero(label == number)[:count] for number, count in enumerate(counts)])


def real_items(state, study, fold):
    """Return the study's real ROIs of one fold with their patients, for the check against leaks."""
    chosen = ((study.key["origin"] == "real") & (study.key["fold"] == fold)).to_numpy()
    lesions = study.key["lesion_id"].to_numpy(str)[chosen]
    patients = state.cohort.patient_id[np.isin(state.cohort.lesion_id, lesions)]
    return RoiSet(study.images[chosen], np.zeros(chosen.sum(), np.int64), frozenset(patients.tolist()), lesions)


def detect(state, study, trainer, *, gan, seed, rois):
    """Let each fold's detector read the study's items of that fold, or take up what an earlier call found.

    Parameters
    ----------
    trainer : classifier.Trainer
        Of two classes.
    gan, seed, rois
        See :func:`training_set`.

    Returns
    -------
    (n,) float64
        Probability of synthetic of each of the study's items.
    """
    probability = np.full(len(study.key), np.nan)
    for fold in state.fold_numbers:
        items = np.flatnonzero(study.key["fold"] == fold)
        training = training_set(state, study, gan=gan, seed=seed, fold=fold, rois=rois)
        arrays = [training.images, training.label, study.pixels[items]]
        key = fingerprint(arrays=arrays, modules=(classifier, networks, steps.backend), seed=seed, fold=fold, **trainer.settings)
        path = state.folder / "reader_study" / f"detector_seed{seed}_fold{fold}_{key}.npz"
        if not path.exists():
            where = f"real or synthetic, fold {fold}"
            with progress(total=trainer.settings["epochs"], description=where, unit="epoch") as bar:
                trained = trainer.train(
                    training,
                    seed=stream(seed, "detector", fold),
                    on_epoch=lambda epoch, loss, bar=bar: bar.update(),
                    where=where,
                )
            with atomic_path(path) as temporary:
                np.savez(temporary, synthetic=trained.predict(study.images[items])[:, 1])
        with np.load(path, allow_pickle=False) as file:
            probability[items] = file["synthetic"]
    return probability
