"""Texture baselines: Gabor filters, OpenCV against scikit-image, and seconds per fold of all three at the paper's setting.

Both filter the same ROI with the same kernels; the printed difference is the largest of any response. Goal: at most 60 s a fold
for GLCM, Gabor and both representations of BoVW-MI together, on two cores.
"""

import time

import numpy as np
from side_by_side import hardware, report, take_turns
from skimage import filters

from lesion_utils import phantom, rois, splits, svm, texture, words

ROUNDS, OURS, SCIKIT_IMAGE = 5, 40, 1
#: The parameters of notebooks/07_texture_baselines.ipynb, which are the paper's where it states them.
FREQUENCIES, ORIENTATIONS, LEVELS, DISTANCES = (0.02, 0.04, 0.08, 0.16, 0.32), 8, 32, (1, 2, 4)
#: For filtering alone, kernels that both can do in reasonable time; slower waves favour OpenCV still more.
COMPARED = (0.08, 0.16, 0.32)
WINDOW = {"margin": 0.25, "window_level": 60.0, "window_width": 400.0}


def compare_filters(images):
    """Print images a second of both libraries, and how far their responses differ."""
    bank = texture.gabor_bank(COMPARED, ORIENTATIONS)

    def ours():
        return [[texture.gabor_response(image, kernel) for kernel in bank.values()] for image in images[:OURS]]

    def with_scikit_image():
        return [
            [filters.gabor(image, frequency, np.deg2rad(angle), bandwidth=texture.BANDWIDTH) for frequency, angle in bank]
            for image in images[:SCIKIT_IMAGE]
        ]

    pairs = zip(ours()[0], with_scikit_image()[0], strict=True)
    difference = max(np.abs(response - (even + 1j * odd)).max() for response, (even, odd) in pairs)
    print(f"{len(bank)} filters, waves of {1 / max(COMPARED):.1f} to {1 / min(COMPARED):.1f} pixels, even and odd part")
    print(f"largest difference of a response: {difference:.1e}")
    rates = take_turns({"OpenCV": (ours, OURS), "scikit-image": (with_scikit_image, SCIKIT_IMAGE)}, ROUNDS)
    report("Gabor filters", rates, {("OpenCV", "scikit-image"): None}, "ROI", "opencv-python-headless", "scikit-image")


def seconds_of_a_fold(training, test, patient, classes):
    """Train and test all three baselines on one fold; return seconds by step, feature extraction of these ROIs included."""
    seconds, started = {}, time.perf_counter()

    def lap(name):
        nonlocal started
        now = time.perf_counter()
        seconds[name], started = now - started, now

    settings = {"classes": classes, "seed": 0}
    (own, own_outlines), (other, other_outlines) = training, test
    for name, measure in {
        "GLCM": lambda images, outlines: texture.glcm_features(images, outlines, levels=LEVELS, distances=DISTANCES),
        "Gabor": lambda images, outlines: texture.gabor_features(images, texture.gabor_bank(FREQUENCIES, ORIENTATIONS)),
    }.items():
        features = [measure(*part).to_numpy() for part in ((own.images, own_outlines), (other.images, other_outlines))]
        lap(f"{name}, features")
        svm.fit_svm(features[0], own.label, patient, **settings).predict(features[1])
        lap(f"{name}, SVM")
    vocabulary = words.learn_vocabulary(own, seed=0)
    lap("BoVW-MI, dictionary")
    counts, test_counts = vocabulary.count(own.images), vocabulary.count(other.images)
    lap("BoVW-MI, counting")
    for name in words.REPRESENTATIONS:
        model = words.train_bovw(own, patient, representation=name, vocabulary=vocabulary, counts=counts, **settings)
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
