"""Bag of visual words with mutual information (BoVW-MI): what the paper's section 4.5 compares its network with.

An image is told by the small patches that it is made of. Patches of the training images are clustered to a dictionary of
*words*; an image becomes a count of its words; words that say something about the class are kept, judged by their mutual
information with it.

Everything is fitted to the training images given: principal components, dictionary, choice of words, scaling, SVM.
"""

from dataclasses import dataclass, field
from math import ceil, floor

import numpy as np
from scipy.ndimage import binary_dilation
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.metrics import pairwise_distances_argmin
from threadpoolctl import threadpool_limits

from .errors import DataError, SettingsError
from .svm import COSTS, KERNELS, ChosenSvm, fit_svm

#: Share of the words that each representation keeps, and how a fraction of a word is rounded: of 750 words the paper's
#: text keeps 262 (of 262.5) and 23 (of 22.5).
REPRESENTATIONS = {"single": (0.35, floor), "multi": (0.03, ceil)}
#: A word must stand for at least this many patches of the dictionary's sample on average, or there are too many words.
PATCHES_PER_WORD = 5

#: Patches whose middle lies up to this many pixels outside the outline still show the lesion's boundary.
BOUNDARY = 4

#: Sums over several threads differ in their last bits, and k-means carries that on; one thread always gives the same words.
one_thread = threadpool_limits.wrap(limits=1)


def image_patches(images, patch_size=11, step=1):
    """Cut images into overlapping square patches, row by row.

    Parameters
    ----------
    images : (n, h, w, 1) float
    patch_size : int
        Side in pixels.
    step : int
        Pixels from one patch to the next; 1 is dense.

    Returns
    -------
    (n, rows, columns, patch_size ** 2) float32
        Grey levels as they are: neither mean nor contrast is taken out, because in CT the level itself tells tissues apart. A
        constant patch is thus a patch like any other.
    """
    windows = np.lib.stride_tricks.sliding_window_view(images[..., 0], (patch_size, patch_size), axis=(1, 2))
    windows = windows[:, ::step, ::step]
    return windows.reshape(*windows.shape[:3], -1).astype(np.float32, copy=False)


@dataclass(frozen=True)
class Vocabulary:
    """A dictionary of visual words.

    Attributes
    ----------
    pca : sklearn PCA
        From patches to a few components.
    centres : (words, components) float32
        Sorted by brightness of the word, dark to bright.
    patch_size, step : int
    note : str
        What a reader should know, such as fewer words than asked for; empty if all went as described.
    """

    pca: object = field(repr=False)
    centres: np.ndarray = field(repr=False)
    patch_size: int
    step: int
    note: str = ""

    def __len__(self):
        return len(self.centres)

    @one_thread
    def word_map(self, images):
        """Return (n, rows, columns) int: the word nearest to each patch of (n, 64, 64, 1) images."""
        maps = [self._words_of(image) for image in images]  # one by one: all patches of many images would fill the memory
        return np.stack(maps)

    @one_thread
    def count(self, images, outlines=None):
        """Return (n, words) float32: how often each word occurs in each image.

        With ``outlines``, (n, 64, 64) bool, only patches count whose middle lies in the lesion or on its boundary, at most
        :data:`BOUNDARY` pixels outside: the two regions that the method was made for (the paper's reference 29).
        """
        if outlines is None:
            outlines = np.ones((len(images), *images.shape[1:3]), bool)
        counts = [
            np.bincount(self._words_of(image)[self.counting(outline)], minlength=len(self))
            for image, outline in zip(images, outlines, strict=True)
        ]
        return np.array(counts, np.float32).reshape(-1, len(self))

    def counting(self, outline):
        """Return (rows, columns) bool, as :meth:`word_map`: the patches with their middle in or near a (64, 64) outline."""
        near = binary_dilation(outline, iterations=BOUNDARY)
        first = self.patch_size // 2
        last = outline.shape[0] - (self.patch_size - 1 - first)
        return near[first:last, first:last][:: self.step, :: self.step]

    def _words_of(self, image):
        patches = image_patches(image[None], self.patch_size, self.step)[0]
        reduced = self.pca.transform(patches.reshape(-1, self.patch_size**2))
        return pairwise_distances_argmin(reduced, self.centres).reshape(patches.shape[:2])

    def pictures(self):
        """Return (words, patch_size, patch_size) float32: what each word looks like, back from its components."""
        return self.pca.inverse_transform(self.centres).reshape(-1, self.patch_size, self.patch_size).astype(np.float32)


@one_thread
def learn_vocabulary(rois, *, seed, patch_size=11, components=10, words=750, step=1, sample=50_000):
    """Learn a dictionary from the patches of training images: principal components, then k-means.

    Parameters
    ----------
    rois : RoiSet
        Training images alone.
    seed : int
    patch_size, components, words : int
        The paper's 11, 10 and 750. Too few patches make fewer words: at most one for every :data:`PATCHES_PER_WORD` patches of
        the sample, and no more than there are different patches; ``Vocabulary.note`` then says so.
    step : int
        Pixels between patches; 1 is dense.
    sample : int
        Patches that the components and the dictionary are learned from, as many from every image, drawn at random.

    Returns
    -------
    Vocabulary

    Raises
    ------
    SettingsError
        If a number is out of range.
    DataError
        If there is no image, or all of them are one and the same grey.
    """
    _check(patch_size=patch_size, components=components, words=words, step=step, sample=sample)
    if len(rois) == 0:
        raise DataError("no training image to learn visual words from; add lesions or set folds to a smaller number")
    side = rois.images.shape[1]
    if patch_size > side:
        raise SettingsError(f"'patch_size' is {patch_size}, larger than the image of {side} pixels; the paper's is 11")
    if components > patch_size**2:
        raise SettingsError(
            f"'components' is {components}; a patch of {patch_size}x{patch_size} pixels has {patch_size**2} at most"
        )
    random = np.random.default_rng(seed)
    share = ceil(sample / len(rois))
    patches = []
    for image in rois.images:
        own = image_patches(image[None], patch_size, step).reshape(-1, patch_size**2)
        patches.append(own[random.permutation(len(own))[:share]])
    patches = np.concatenate(patches)
    if np.ptp(patches) < 1e-6:
        raise DataError(
            "all training images are one and the same grey: there is nothing to learn; check window_level and window_width"
        )
    pca = PCA(min(components, len(patches)), svd_solver="covariance_eigh").fit(patches)
    reduced = pca.transform(patches)
    different = len(np.unique(reduced.round(6), axis=0))
    found = max(1, min(words, len(reduced) // PATCHES_PER_WORD, different))
    # One start is enough: with hundreds of words, starts differ little, and each takes seconds.
    means = KMeans(found, n_init=1, max_iter=50, tol=1e-3, random_state=seed).fit(reduced)
    brightness = pca.inverse_transform(means.cluster_centers_).mean(axis=1)
    centres = means.cluster_centers_[np.argsort(brightness, kind="stable")]
    note = "" if found == words else f"{len(reduced):,} patches ({different:,} different) make {found} words in place of {words}"
    return Vocabulary(pca, centres, patch_size, step, note)


def word_information(counts, label):
    """Return the mutual information between each word and the class, in nats.

    A word is taken as present in an image that holds it more often than the median of the given images does: with thousands of
    patches an image, many words occur at least once nearly everywhere. For a word that is missing from half of the
    images or more, this is plain occurrence.

    Parameters
    ----------
    counts : (n, words)
        From :meth:`Vocabulary.count`.
    label : (n,)
        Any number of classes; for one class against the rest, two.

    Returns
    -------
    (words,) float64
        0 for a word that occurs equally often in every image: it says nothing.
    """
    counts, label = np.asarray(counts), np.asarray(label)
    present = (counts > np.median(counts, axis=0)).astype(np.float64)
    classes = np.unique(label)
    both = np.stack([present[label == value].sum(axis=0) for value in classes])  # (classes, words)
    size = np.array([(label == value).sum() for value in classes], np.float64)[:, None]
    joint = np.stack([both, size - both]) / len(label)  # present and absent
    independent = joint.sum(axis=0, keepdims=True) * joint.sum(axis=1, keepdims=True)
    ratio = np.divide(joint, independent, out=np.ones_like(joint), where=joint > 0)
    return np.maximum((joint * np.log(ratio)).sum(axis=(0, 1)), 0)


@dataclass(frozen=True)
class BovwModel:
    """A trained BoVW-MI classifier.

    Attributes
    ----------
    vocabulary : Vocabulary
    svm : ChosenSvm
    representation : str
    kept : dict of str to (m,) int
        Numbers of the words that were kept, most informative first: under ``all classes`` (single) or each class's name (multi).
    information : dict of str to (words,) float
        Mutual information of every word, under the same names.
    """

    vocabulary: Vocabulary
    svm: ChosenSvm
    representation: str
    kept: dict = field(repr=False)
    information: dict = field(repr=False)

    @property
    def note(self):
        """What a reader should know about the training; empty if all went as described."""
        return "; ".join(filter(None, [self.vocabulary.note, self.svm.note]))

    def predict(self, images, outlines=None):
        """Return (n, k) float32 probabilities for (n, 64, 64, 1) images in [0, 1]; see :func:`svm.fit_svm`."""
        return self.predict_counts(self.vocabulary.count(images, outlines))

    def predict_counts(self, counts):
        """Return (n, k) float32 probabilities for (n, words) counts of :meth:`Vocabulary.count`."""
        return self.svm.predict(word_frequencies(counts))


def word_frequencies(counts):
    """Return the square root of each word's share of an image's patches, so that a large lesion is not told by its size.

    The root keeps a few very common words from drowning the rare ones (Hellinger's kernel; Arandjelovic & Zisserman 2012).
    """
    counts = np.asarray(counts, np.float64)
    return np.sqrt(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))


def train_bovw(
    rois, patient_of_roi, *, classes, representation, seed, patch_size=11, components=10, words=750, share=None,
    step=1, sample=50_000, kernels=KERNELS, costs=COSTS, vocabulary=None, counts=None, outlines=None,
):  # fmt: skip
    """Train BoVW-MI (paper, section 4.5): dictionary, choice of words by mutual information, SVM.

    ``single`` keeps the words that say most about all classes at once. ``multi`` asks one yes-or-no question a class, keeps
    the words that say most about each, and gives each question's SVM its own small dictionary; the surest yes wins.

    Parameters
    ----------
    rois : RoiSet
        Training images in [0, 1] and their labels.
    patient_of_roi : (n,) str
        Patient of each image; kernel and C are chosen with patients kept together.
    classes : sequence of str
    representation : str
        ``single`` or ``multi``.
    seed : int
    patch_size, components, words, step, sample
        See :func:`learn_vocabulary`.
    share : float, optional
        Share of the words to keep; None: the paper's 35 % (single) or 3 % a class (multi). At least one word is kept.
    kernels, costs : sequences
        See :func:`svm.fit_svm`.
    vocabulary : Vocabulary, optional
        Learned before from the same images, to save the time.
    counts : (n, words) float32, optional
        ``vocabulary.count(rois.images, outlines)``, if it is there already.
    outlines : (n, 64, 64) bool, optional
        Then only patches in and near them count; give :meth:`BovwModel.predict` outlines too.

    Returns
    -------
    BovwModel

    Raises
    ------
    SettingsError
        If a setting is unknown or out of range.
    DataError
        If a class has no image.
    """
    if representation not in REPRESENTATIONS:
        raise SettingsError(f"'representation' is '{representation}'; choose one of {', '.join(REPRESENTATIONS)}")
    published, whole = REPRESENTATIONS[representation]
    share = published if share is None else share
    if not 0 < share <= 1:
        raise SettingsError(f"'share' is {share}; choose above 0 and up to 1 of the words (the paper: {published:.0%})")
    if vocabulary is None:
        vocabulary = learn_vocabulary(
            rois, seed=seed, patch_size=patch_size, components=components, words=words, step=step, sample=sample
        )
        counts = None
    counts = word_frequencies(vocabulary.count(rois.images, outlines) if counts is None else counts)
    keep = max(1, whole(round(share * len(vocabulary), 6)))
    multi = representation == "multi"
    svm = fit_svm(
        counts, rois.label, patient_of_roi, classes=classes, seed=seed, selector=SelectKBest(word_information, k=keep),
        each_class=multi, kernels=kernels, costs=costs,
    )  # fmt: skip
    # With two classes one question is enough: its selector stands for both.
    selectors = [task.named_steps["select"] for task in svm.pipeline.estimators_] if multi else [svm.pipeline[0]]
    names = list(classes) if multi else ["all classes"]
    information = {name: selectors[index % len(selectors)].scores_ for index, name in enumerate(names)}
    kept = {name: selectors[index % len(selectors)].get_support(indices=True) for index, name in enumerate(names)}
    kept = {name: words[np.argsort(-information[name][words], kind="stable")] for name, words in kept.items()}
    return BovwModel(vocabulary, svm, representation, kept, information)


def _check(**numbers):
    for name, value in numbers.items():
        if value != int(value) or value < 1:
            raise SettingsError(f"'{name}' is {value}; it must be a whole number of at least 1")
