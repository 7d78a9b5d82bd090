"""How near is the simulated cohort to the paper's five results without a GAN? The numbers by which its constants were set.

A candidate appearance is judged by cohorts of its own seeds alone: some to search with, at the small settings of profile quick
(all arms but classic were looked at with the paper's settings too), and others, drawn once, to confirm at the paper's
settings. None of them is ever a cohort of the book. Nothing here imports, trains or reads a GAN: the gain from synthetic lesions
cannot have been tuned.
"""

import json
from dataclasses import asdict, is_dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from . import anatomy, augment, classifier, networks, phantom, rois, settings, splits, steps, svm, texture, words
from .appearance import Appearance
from .augment import augmentation_plan, augmented_rois, nested_group
from .calibration_table import ARMS, COLUMNS, TABLE
from .classifier import Trainer
from .errors import SettingsError
from .files import write_csv, write_json
from .paper import CLASSIC_OPTIMUM
from .settings import resolve_precision
from .streams import stream
from .units import fingerprint

#: Cohort seeds of the search, and of the one confirmation. A test keeps them apart, and from every profile's cohort. Results of
#: single cohorts spread by several points, so a mean needs many; the classic arm, by far the longest, is confirmed on five.
SEARCH_SEEDS = tuple(range(1001, 1011))
CONFIRMATION_SEEDS = tuple(range(2001, 2016))
#: What is run on which seeds: the profile whose settings are taken.
STAGES = {"search": ("quick", SEARCH_SEEDS), "confirmation": ("paper", CONFIRMATION_SEEDS)}
#: Notebooks that state the settings of the arms, and which of the last one's each baseline depends on.
NOTEBOOKS = ("01_data", "02_classic_augmentation", "05_classification", "07_texture_baselines")
TEXTURE_SETTINGS = {
    "bovw_mi_single": ("patch_size", "patch_step", "components", "words", "dictionary_patches", "single_share"),
    "gabor": ("frequencies", "orientations"),
    "glcm": ("levels", "distances"),
}
#: Modules whose code goes into a cohort, a network and a baseline.
COHORT_CODE, NETWORK_CODE, BASELINE_CODE = (
    (anatomy, phantom, rois, splits),
    (augment, classifier, networks, steps.backend),
    (svm, texture, words),
)


def varied(appearance, changes):
    """Return an appearance with some constants changed.

    Parameters
    ----------
    appearance : Appearance or Look
    changes : dict
        New values by name; for a class, a dict of its own: ``{"near_edge": 0.3, "metastasis": {"rim": [-20, 30]}}``.

    Raises
    ------
    SettingsError
        If there is no constant of that name, or its value has another shape.
    """
    known, values = asdict(appearance), {}
    for name, value in changes.items():
        if name not in known:
            raise SettingsError(f"'{name}' is no constant of the simulation; known are {', '.join(known)}")
        own = getattr(appearance, name)
        if is_dataclass(own) and isinstance(value, dict):
            values[name] = varied(own, value)
        elif np.shape(value) == np.shape(own) and not is_dataclass(own):
            values[name] = tuple(value) if isinstance(value, list) else value
        else:
            raise SettingsError(f"'{name}' is {value}; give it in the form of {own}")
    return replace(appearance, **values)


def appearance_key(appearance):
    """Return the fingerprint of every constant: it tells which appearance a committed number belongs to."""
    return fingerprint(appearance=asdict(appearance))


def evaluate(stage, folder, *, appearance=None, arms=ARMS, seeds=None, report=print):
    """Cross-validate the arms on simulated cohorts, taking up what is finished.

    Parameters
    ----------
    stage : str
        A key of :data:`STAGES`.
    folder : str or Path
        Finished folds are kept here.
    appearance : Appearance, optional
    arms : sequence of str
    seeds : sequence of int, optional
        Some of the stage's own.
    report : callable
        Called with a line after each arm of each cohort.

    Returns
    -------
    DataFrame
        Rows of the committed table; see :mod:`calibration_table`.

    Raises
    ------
    SettingsError
        If a seed is not one of the stage's, or an arm is unknown.
    LeakError
        If a patient would be tested by what it trained.
    """
    profile, own_seeds = STAGES[stage]
    seeds = own_seeds if seeds is None else seeds
    if not set(seeds) <= set(own_seeds) or not set(arms) <= set(ARMS):
        raise SettingsError(f"stage '{stage}' has the seeds {own_seeds} and the arms {', '.join(ARMS)}; choose among them")
    appearance, parameters = appearance or Appearance(), settings.run_parameters(profile)
    rows = []
    for seed in seeds:
        fold_count, cohort = parameters["01_data"]["folds"], []  # the cohort is made when a fold needs it
        for arm in arms:
            folds = [_fold(arm, seed, fold, Path(folder), appearance, parameters, cohort) for fold in range(fold_count)]
            lesions, correct = (sum(fold[name] for fold in folds) for name in ("lesions", "correct"))
            rows.append((stage, appearance_key(appearance), arm, seed, lesions, correct))
            report(f"{stage}, {arm}, seed {seed}: {correct / lesions:.1%}")
    return pd.DataFrame(rows, columns=COLUMNS)


def finished(stage, folder, appearance=None):
    """Return the rows of :func:`evaluate` of which every fold is finished, and train nothing: a table of what there is."""
    profile, seeds = STAGES[stage]
    appearance, parameters = appearance or Appearance(), settings.run_parameters(profile)
    rows = []
    for seed in seeds:
        for arm in ARMS:
            folds = range(parameters["01_data"]["folds"])
            if all(_path(arm, seed, fold, Path(folder), appearance, parameters).exists() for fold in folds):
                rows.append(evaluate(stage, folder, appearance=appearance, arms=[arm], seeds=[seed], report=lambda line: None))
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=COLUMNS)


def save(stage, folder, path=TABLE):
    """Write every finished cohort of a stage into the table, whose other rows stay if they are of the appearance as it is.

    So a stage may be run in parts, on several machines: no folder needs to hold the folds of all. What is missing is left out.
    """
    rows = finished(stage, folder)
    if path.exists():
        before = pd.read_csv(path)
        rows = pd.concat([before[before["appearance"] == appearance_key(Appearance())], rows], ignore_index=True)
    rows = rows.drop_duplicates(["stage", "arm", "seed"], keep="last")  # what was made again takes the older one's place
    rank = {arm: number for number, arm in enumerate(ARMS)}
    write_csv(path, rows.sort_values(["stage", "seed", "arm"], key=lambda column: column.replace(rank)))


def _settings(arm, parameters):
    """Return the parameters that an arm depends on."""
    data, plan, network, baseline = (parameters[name] for name in NOTEBOOKS)
    common = {name: data[name] for name in ("lesions", "folds", "margin", "window_level", "window_width")}
    if arm not in TEXTURE_SETTINGS:
        amount = min(CLASSIC_OPTIMUM, max(network["classic_amounts"])) if arm == "classic" else 0
        trainer = {name: network[name] for name in ("epochs", "batch_size", "learning_rate", "momentum")}
        trainer |= {"width": network["cnn_width"], "precision": resolve_precision(network["precision"])}
        turns = {name: plan[name] for name in ("rotations", "flips", "translations", "scales")}
        return common | {"amount": amount, "plan": turns, "trainer": trainer}
    return common | {name: baseline[name] for name in (*TEXTURE_SETTINGS[arm], "kernels", "costs")}


def _path(arm, seed, fold, folder, appearance, parameters):
    code = COHORT_CODE + (BASELINE_CODE if arm in TEXTURE_SETTINGS else NETWORK_CODE)
    key = fingerprint(modules=code, appearance=asdict(appearance), **_settings(arm, parameters))
    return folder / f"{arm}_seed{seed}_fold{fold}_{key}.json"


def _fold(arm, seed, fold, folder, appearance, parameters, made):
    """Train one arm on one fold of one cohort, or take up its finished result; ``made`` keeps the cohort for the next."""
    path = _path(arm, seed, fold, folder, appearance, parameters)
    if not path.exists():
        own = _settings(arm, parameters)
        if not made:
            made.append(phantom.simulate(tuple(own["lesions"]), seed=seed, appearance=appearance))
        cohort = made[0]
        dealt = splits.patient_folds(
            cohort.label, cohort.patient_id, folds=own["folds"], classes=cohort.classes, seed=stream(seed, "folds")
        )
        training, test = np.flatnonzero(dealt != fold), np.flatnonzero(dealt == fold)
        where = f"calibration, arm {arm}, seed {seed}, fold {fold}"
        splits.assert_no_leak(cohort.patient_id[training], cohort.patient_id[test], where)
        train = _train_baseline if arm in TEXTURE_SETTINGS else _train_network
        predicted = train(arm, cohort, training, test, own, seed, fold, where)
        write_json(path, {"lesions": len(test), "correct": int((predicted == cohort.label[test]).sum())})
    return json.loads(path.read_text(encoding="utf-8"))


_trainer = cache(Trainer)  # one compilation serves every fold and cohort


def _train_network(arm, cohort, training, test, own, seed, fold, where):
    window = {name: own[name] for name in ("window_level", "window_width")}
    originals = rois.extract_rois(cohort, margin=own["margin"], **window)
    images = originals.take(training)
    if own["amount"]:
        _, diameter = rois.lesion_geometry(cohort.outlines)
        plan = augmentation_plan(diameter, margin=own["margin"], seed=stream(seed, "augmentation"), **own["plan"])
        order = np.random.default_rng(stream(seed, "group", fold)).permutation(training)
        images += augmented_rois(cohort, plan, *nested_group(order, own["amount"], plan.shape[1]), **window)[0]
    trainer = _trainer(len(cohort.classes), **own["trainer"])
    trained = trainer.train(images, seed=stream(seed, "classifier", fold), where=where)
    return trained.predict(originals.images[test]).argmax(axis=1)


def _train_baseline(arm, cohort, training, test, own, seed, fold, where):
    window = {name: own[name] for name in ("window_level", "window_width")}
    originals = rois.extract_rois(cohort, margin=own["margin"], **window)
    outlines = rois.roi_outlines(cohort, margin=own["margin"])
    patients, number = cohort.patient_id[training], stream(seed, "texture", fold)
    choice = {"classes": cohort.classes, "seed": number, "kernels": own["kernels"], "costs": own["costs"]}
    if arm == "bovw_mi_single":
        names = ("patch_size", "components", "words")
        more = {name: own[name] for name in names} | {"step": own["patch_step"], "sample": own["dictionary_patches"]}
        model = words.train_bovw(
            originals.take(training), patients, representation="single", share=own["single_share"],
            outlines=outlines[training], **more, **choice,
        )  # fmt: skip
        return model.predict(originals.images[test], outlines[test]).argmax(axis=1)
    if arm == "gabor":
        features = texture.gabor_features(originals.images, texture.gabor_bank(own["frequencies"], own["orientations"]), outlines)
    else:
        features = texture.glcm_features(originals.images, outlines, levels=own["levels"], distances=own["distances"])
    features = features.to_numpy()
    model = svm.fit_svm(features[training], cohort.label[training], patients, **choice)
    return model.predict(features[test]).argmax(axis=1)
