"""What a run keeps on disk, and how one notebook finds what an earlier one made.

``runs/<NAME>/`` holds ``cohort.npz``, ``folds.csv`` and ``preparation.json`` (01_data), ``augmentation.json`` (02),
``dcgan.json`` (03), the trained ``classifiers/`` and ``chosen/``, one file an arm, which says what amount the inner folds chose
(05), ``dcgan/`` (03), ``acgan/`` (04) and ``synthetic/`` (both), and ``results/`` and ``predictions/``, one CSV a notebook, which
are joined to ``results.csv`` and ``predictions.csv``.
"""

import json
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd

from .augment import augmentation_plan, augmented_rois, nested_group
from .cohort import Cohort
from .errors import MissingInputError, SettingsError
from .files import write_csv, write_json
from .rois import extract_rois, lesion_geometry
from .settings import run_folder
from .splits import assert_no_leak
from .streams import stream


def fold_tuple(left_out):
    """Return one fold, or a pair in either order, as a sorted tuple."""
    return (int(left_out),) if np.isscalar(left_out) else tuple(sorted(map(int, left_out)))


def pair_owner(pair):
    """Return the fold of a pair whose job trains what leaves out both: one network serves both, and each fold owns alike many."""
    low, high = fold_tuple(pair)
    return low if (low + high) % 2 else high


@dataclass(frozen=True)
class Run:
    """The state of a run, read when it is asked for.

    Parameters
    ----------
    folder : Path
        ``runs/<NAME>``; see :func:`open_run`.
    """

    folder: Path

    def _path(self, name, notebook, how=""):
        path = self.folder / name
        if not path.exists():
            raise MissingInputError(
                f"{path} is missing: run notebooks/{notebook}.ipynb first{how} (`make book` runs all in order)"
            )
        return path

    def _json(self, name, notebook, how=""):
        return json.loads(self._path(name, notebook, how).read_text(encoding="utf-8"))

    @cached_property
    def everything(self):
        """The Cohort of all roles."""
        return Cohort.load(self.folder / "cohort.npz")

    @cached_property
    def cohort(self):
        """The Cohort of the cross-validation."""
        return self.everything.with_role("cohort")

    @cached_property
    def test(self):
        """The Cohort of the independent test set, possibly empty."""
        return self.everything.with_role("test")

    @cached_property
    def extra(self):
        """The Cohort of the extra real cases (the green line of the paper's Fig. 8), possibly empty."""
        return self.everything.with_role("extra")

    @property
    def classes(self):
        """Names of the classes."""
        return self.everything.classes

    @cached_property
    def preparation(self):
        """Margin, window, number of folds and seeds, as 01_data set them."""
        return self._json("preparation.json", "01_data")

    @cached_property
    def augmentation(self):
        """``plan``: rotations, flips, translations, scales; ``amount_reading``: as 02_classic_augmentation set them."""
        return self._json("augmentation.json", "02_classic_augmentation")

    @cached_property
    def dcgan(self):
        """Settings of the DCGANs and ``classic_amount``, the augmentations they are trained on, as 03_dcgan set them."""
        return self._json("dcgan.json", "03_dcgan")

    @property
    def window(self):
        """``window_level`` and ``window_width`` in HU, as keyword arguments."""
        return {key: self.preparation[key] for key in ("window_level", "window_width")}

    @property
    def fold_numbers(self):
        """0 to folds - 1."""
        return list(range(self.preparation["folds"]))

    @property
    def inner_folds(self):
        """Which folds each training leaves out to choose for an outer fold: ``(outer, inner)`` pairs, both orders of each.

        Raises
        ------
        SettingsError
            If there are fewer than three folds: then nothing would be left to train on.
        """
        folds = self.fold_numbers
        if len(folds) < 3:
            raise SettingsError(
                f"parameter 'folds' is {len(folds)}; choosing amounts without the test fold needs 3 or more: raise it in 01_data"
            )
        return list(permutations(folds, 2))

    def inner_pairs(self, folds):
        """Return the inner trainings that some folds own, as sorted pairs of what they leave out; see :func:`pair_owner`."""
        pairs = sorted({fold_tuple(pair) for pair in self.inner_folds})
        return [pair for pair in pairs if pair_owner(pair) in folds]

    @cached_property
    def originals(self):
        """RoiSet of the cohort's un-augmented ROIs, in the cohort's order."""
        return extract_rois(self.cohort, margin=self.preparation["margin"], **self.window)

    @cached_property
    def independent_test(self):
        """RoiSet of the independent test set, possibly empty."""
        return extract_rois(self.test, margin=self.preparation["margin"], **self.window)

    def folds(self, seed):
        """Return the (n,) fold of each lesion of the cohort.

        Raises
        ------
        MissingInputError
            If 01_data dealt no folds for this seed.
        """
        path = self._path("folds.csv", "01_data")
        table = pd.read_csv(path, dtype={"lesion_id": str})
        table = table[table["seed"] == seed].set_index("lesion_id")["fold"]
        if table.empty:
            raise MissingInputError(f"{path} has no folds for seed {seed}: run 01_data with this seed in its parameter 'seeds'")
        return table.loc[self.cohort.lesion_id].to_numpy()

    def plan(self, seed):
        """Return the cohort's augmentation plan, (n, N); see :func:`augment.augmentation_plan`."""
        return self._augmentation_plan(self.cohort, stream(seed, "augmentation"))

    def _augmentation_plan(self, cohort, seed):
        _, diameter = lesion_geometry(cohort.outlines)
        return augmentation_plan(diameter, margin=self.preparation["margin"], seed=seed, **self.augmentation["plan"])

    def fold_sets(self, seed, left_out, classic_amount):
        """Return what trains and what tests when one fold, or an outer and an inner one, are left out.

        Parameters
        ----------
        seed : int
        left_out : int or pair of int
            A fold, or one of :attr:`inner_folds`; the order of a pair does not matter.
        classic_amount : int
            Classic augmentations to add to the original training ROIs, in the paper's counting; see :meth:`added_samples`.

        Returns
        -------
        training : RoiSet
            The originals of the other folds, then the first ``classic_amount`` augmentations: a prefix of it is a smaller group.
        test : RoiSet
            The originals that are left out.

        Raises
        ------
        LeakError
            If a patient would be on both sides, or a patient of the independent test set would train.
        """
        left_out = fold_tuple(left_out)
        inside = np.isin(self.folds(seed), left_out)
        test = _part(self.originals, inside, self.cohort)
        training = self.training_set(seed, ~inside, self.added_samples(classic_amount, left_out), left_out)
        self.assert_clean(training, test, f"seed {seed}, without fold {' and '.join(map(str, left_out))}")
        return training, test

    def training_set(self, seed, chosen, images, left_out):
        """Return the originals of some lesions of the cohort, then ``images`` of their classic augmentations, dealt in turn.

        Parameters
        ----------
        seed : int
            Of the augmentations and, with ``left_out``, of the order in which lesions are dealt to.
        chosen : (n,) bool
            Lesions of the cohort.
        images : int
            Augmentations in all; see :meth:`added_samples`.
        left_out : tuple of int
            The folds that ``chosen`` leaves out.

        Returns
        -------
        RoiSet
        """
        training = _part(self.originals, chosen, self.cohort)
        if images:
            order = np.random.default_rng(stream(seed, "group", *left_out)).permutation(np.flatnonzero(chosen))
            plan = self.plan(seed)
            lesion, column = nested_group(order, images, plan.shape[1])
            training += augmented_rois(self.cohort, plan, lesion, column, **self.window)[0]
        return training

    def extra_rois(self, seed, per_class):
        """Return the extra real cases and their classic augmentations (paper, section 4.2.2), in blocks of one class.

        Parameters
        ----------
        seed : int
        per_class : int
            Images of each class: its originals first, then their augmentations, dealt to the lesions in turn.

        Returns
        -------
        RoiSet
            ``per_class`` images of each class, or as many as its extra cases give.
        """
        originals = extract_rois(self.extra, margin=self.preparation["margin"], **self.window)
        plan = self._augmentation_plan(self.extra, stream(seed, "extra"))
        parts = []
        for label in range(len(self.classes)):
            own = np.flatnonzero(self.extra.label == label)
            wanted = min(per_class - len(own), len(own) * plan.shape[1])
            part = originals.take(own[:per_class])
            if wanted > 0:
                lesion, column = nested_group(own, wanted, plan.shape[1])
                part += augmented_rois(self.extra, plan, lesion, column, **self.window)[0]
            parts.append(part)
        return sum(parts[1:], parts[0])

    def test_sets(self, test):
        """Return what a fold's model predicts: ``cross_validation``, its ``test``, and ``independent`` if the run has one."""
        return {"cross_validation": test} | ({"independent": self.independent_test} if len(self.test) else {})

    def assert_clean(self, training, test, where):
        """Raise LeakError if a patient of ``test`` or of the independent test set stands behind ``training``."""
        assert_no_leak(training.patients, test.patients, where)
        assert_no_leak(training.patients, self.test.patient_id.tolist(), f"{where}, independent test set")

    def added_samples(self, amount, left_out=(0,)):
        """Return how many images "samples added to each fold" (paper, section 4.2.1) means for the training set.

        The words allow two readings, and 02_classic_augmentation chooses: ``training_set``, that many in all; ``per_fold``, that
        many for each of the training folds. A training that leaves out two folds adds as many for each of its lesions.
        """
        folds = self.preparation["folds"]
        whole = amount if self.augmentation["amount_reading"] == "training_set" else amount * (folds - 1)
        return self.share(whole, left_out)

    def share(self, number, left_out):
        """Return what ``number`` images on top of the folds of one training are for the folds that ``left_out`` leaves."""
        folds = self.preparation["folds"]
        return round(number * (folds - len(fold_tuple(left_out))) / (folds - 1))

    def choose(self, arm, choices):
        """Write what the inner folds chose for an arm.

        Parameters
        ----------
        arm : str
        choices : dict of (seed, fold) to dict
            ``amount``; ``epoch`` of the GAN or None; ``unit``, the file name of the classifier trained so.
        """
        rows = [{"seed": int(seed), "fold": int(fold)} | own for (seed, fold), own in choices.items()]
        write_json(self.folder / "chosen" / f"{arm}.json", rows)

    def choices(self, arm):
        """Return what :meth:`choose` wrote."""
        # GANs need the amount that the classic arm chooses, and the notebook's other arms need GANs.
        how = ", with arms = ['real', 'classic']," if arm == "classic" else ""
        rows = self._json(f"chosen/{arm}.json", "05_classification", how)
        return {(row.pop("seed"), row.pop("fold")): row for row in rows}

    def chosen(self, arm, seed, fold):
        """Return ``amount``, ``epoch`` and ``unit`` of one fold; of ``classic`` the amount may be 0.

        Raises
        ------
        MissingInputError
            If 05_classification has not trained this arm, seed or fold.
        """
        choices = self.choices(arm)
        if (seed, fold) not in choices:
            raise MissingInputError(
                f"{self.folder}/chosen/{arm}.json has no seed {seed}, fold {fold}: "
                "run notebooks/05_classification.ipynb with them"
            )
        return choices[seed, fold]

    def chosen_unit(self, arm, seed, fold):
        """Return the file of the classifier of one fold at its chosen amount; see :func:`experiment.load_classifier`."""
        return self.folder / "classifiers" / self.chosen(arm, seed, fold)["unit"]

    def synthetic_path(self, gan, seed, left_out, epoch):
        """Return the file of the synthetic ROIs that a GAN of one saved epoch drew.

        Parameters
        ----------
        gan : str
        seed : int
        left_out : int or pair of int
            The fold that the GAN was trained without; or (outer, inner), in this order: the GAN of an inner training may follow
            from the classic amount that was chosen for the outer fold.
        epoch : int
        """
        folds = str(left_out) if np.isscalar(left_out) else "_inner".join(map(str, left_out))
        return self.folder / "synthetic" / f"{gan}_seed{seed}_fold{folds}_epoch{epoch:04d}.npz"

    def predictions(self, notebook):
        """Return a notebook's part of predictions.csv.

        Raises
        ------
        MissingInputError
            If the notebook has not been run.
        """
        path = self._path(f"predictions/{notebook}.csv", notebook)
        return pd.read_csv(path, dtype={"lesion_id": str, "patient_id": str, "true": str, "predicted": str})

    def save_results(self, notebook, results, predictions=None):
        """Write a notebook's part of results.csv and predictions.csv."""
        write_csv(self.folder / "results" / f"{notebook}.csv", results)
        if predictions is not None:
            write_csv(self.folder / "predictions" / f"{notebook}.csv", predictions)


def open_run(run):
    """Return the :class:`Run` of a folder name such as ``runs/quick``, making the folder if it is new."""
    folder = run_folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    return Run(folder)


def _part(rois, chosen, cohort):
    return replace(rois.take(chosen), patients=frozenset(cohort.patient_id[chosen].tolist()))
