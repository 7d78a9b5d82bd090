"""Texture baselines: Gabor filters against OpenCV and scikit-image, and seconds per fold of all three as in the full experiment.

All filter the same ROI with the same kernels; the printed differences are the largest of any response. Goal: at most 60 s a fold
for GLCM, Gabor and both representations of BoVW-MI together, on two cores.
"""

import cv2
import numpy as np
from side_by_side import hardware, report, stopwatch, take_turns
from skimage import filters

from lesion_utils import phantom, rois, splits, svm, texture, words
from lesion_utils.settings import notebook_defaults

ROUNDS, OURS, OPENCV, SCIKIT_IMAGE = 5, 400, 40, 1
#: Parameters of the notebook, which are the paper's where it states them, and what its SVMs and its dictionary take of them.
OWN, DATA = notebook_defaults("07_texture_baselines"), notebook_defaults("01_data")
CHOICE = {name: OWN[name] for name in ("kernels", "costs")}
DICTIONARY = {name: OWN[name] for name in ("patch_size", "components", "words")}
DICTIONARY |= {"step": OWN["patch_step"], "sample": OWN["dictionary_patches"]}
#: For filtering alone, kernels that all can do in reasonable time; slower waves favour ours still more.
COMPARED = (0.08, 0.16, 0.32)
WINDOW = {name: DATA[name] for name in ("margin", "window_level", "window_width")}


def compare_filters(images):
    """Print images a second of all three, and how far their responses differ."""
    bank = texture.gabor_bank(COMPARED, OWN["orientations"])

    def ours():
        filters = texture.separate(bank.values(), images.shape[1:])
        return [texture.gabor_responses(image, *filters) for image in images[:OURS]]

    def with_opencv():
        parts = [[part[::-1, ::-1].copy() for part in (kernel.real, kernel.imag)] for kernel in bank.values()]
        border = {"borderType": cv2.BORDER_REFLECT}
        return [[[cv2.filter2D(image, -1, part, **border) for part in both] for both in parts] for image in images[:OPENCV]]

    def with_scikit_image():
        return [
            [filters.gabor(image, frequency, np.deg2rad(angle), bandwidth=texture.BANDWIDTH) for frequency, angle in bank]
            for image in images[:SCIKIT_IMAGE]
        ]

    contestants = {"ours": (ours, OURS), "OpenCV": (with_opencv, OPENCV), "scikit-image": (with_scikit_image, SCIKIT_IMAGE)}
    print(f"{len(bank)} filters, waves of {1 / max(COMPARED):.1f} to {1 / min(COMPARED):.1f} pixels, even and odd part")
    for name, theirs in (("OpenCV", with_opencv), ("scikit-image", with_scikit_image)):
        pairs = zip(ours()[0], theirs()[0], strict=True)
        difference = max(np.abs(response - (even + 1j * odd)).max() for response, (even, odd) in pairs)
        print(f"largest difference of a response from {name}: {difference:.1e}")
    peers = {("ours", "OpenCV"): None, ("ours", "scikit-image"): None}
    report("Gabor filters", take_turns(contestants, ROUNDS), peers, "ROI", "opencv-python-headless", "scikit-image")


def seconds_of_a_fold(training, test, patient, classes):
    """Train and test all three baselines on one fold; return seconds by step, feature extraction of these ROIs included."""
    seconds, lap = stopwatch()
    settings = {"classes": classes, "seed": 0, **CHOICE}
    (own, own_outlines), (other, other_outlines) = training, test
    pairs, bank = (
        {name: OWN[name] for name in ("levels", "distances")},
        texture.gabor_bank(OWN["frequencies"], OWN["orientations"]),
    )
    for name, measure in {
        "GLCM": lambda images, outlines: texture.glcm_features(images, outlines, **pairs),
        "Gabor": lambda images, outlines: texture.gabor_features(images, bank, outlines),
    }.items():
        features = [measure(*part).to_numpy() for part in ((own.images, own_outlines), (other.images, other_outlines))]
        lap(f"{name}, features")
        svm.fit_svm(features[0], own.label, patient, **settings).predict(features[1])
        lap(f"{name}, SVM")
    vocabulary = words.learn_vocabulary(own, seed=0, **DICTIONARY)
    lap("BoVW-MI, dictionary")
    counts, test_counts = vocabulary.count(own.images, own_outlines), vocabulary.count(other.images, other_outlines)
    lap("BoVW-MI, counting")
    for name in words.REPRESENTATIONS:
        shared = {"share": OWN[f"{name}_share"], "vocabulary": vocabulary, "counts": counts}
        model = words.train_bovw(own, patient, representation=name, **shared, **settings)
        model.predict_counts(test_counts)
        lap(f"BoVW-MI, {name}")
    return seconds


def main():
    print(__doc__.splitlines()[0])
    print(hardware("opencv-python-headless", "scikit-image", "scikit-learn"))
    everything = phantom.simulate_cohort(0, [53, 64, 65], [1, 1, 1], [300, 300, 300])
    cohort, independent = everything.with_role("cohort"), everything.with_role("test")
    sets = [
        (rois.extract_rois(part, **WINDOW), rois.roi_outlines(part, margin=WINDOW["margin"])) for part in (cohort, independent)
    ]
    compare_filters(sets[0][0].images[..., 0])
    fold = splits.patient_folds(cohort.label, cohort.patient_id, folds=3, classes=cohort.classes, seed=0)
    train, test = np.flatnonzero(fold != 0), np.flatnonzero(fold == 0)
    (own, outlines), (other, other_outlines) = sets
    both = own.take(test) + other, np.concatenate([outlines[test], other_outlines])
    seconds = seconds_of_a_fold((own.take(train), outlines[train]), both, cohort.patient_id[train], cohort.classes)
    print(f"one fold: {len(train)} training ROIs, {len(both[0])} ROIs to predict")
    for name, value in seconds.items():
        print(f"  {name:22s} {value:6.1f} s")
    print(f"  all                    {sum(seconds.values()):6.1f} s a fold (goal: at most 60)")


if __name__ == "__main__":
    main()
