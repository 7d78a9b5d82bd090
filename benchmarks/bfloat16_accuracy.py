"""Does bfloat16 cost accuracy? The CNN in float32 and in bfloat16, from the same seeds, on the same images in the same order.

Every seed has its own simulated cohort, augmented classically, and its own fresh test lesions. bfloat16 is kept only if the 90 %
t interval of the paired differences lies within 3 points on either side of zero. Takes about 5 minutes on two cores.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import sys

import numpy as np
from scipy import stats
from side_by_side import hardware

from lesion_utils import augment, phantom, rois
from lesion_utils.classifier import Trainer
from lesion_utils.settings import resolve_precision, run_parameters

SEEDS, LESIONS, CLASSIC, TEST = range(5), (40, 40, 40), 1200, (500, 500, 500)
LIMIT, CONFIDENCE = 3.0, 0.90


def simulated_sets(seed, parameters):
    """Return a training set, originals and classic augmentations, and a test set of other patients."""
    data, steps = parameters["01_data"], parameters["02_classic_augmentation"]
    window = {name: data[name] for name in ("window_level", "window_width")}
    cohort = phantom.simulate(LESIONS, seed=seed)
    test = phantom.simulate(TEST, seed=seed, role="test")
    training = rois.extract_rois(cohort, margin=data["margin"], **window)
    numbers = {name: steps[name] for name in ("rotations", "flips", "translations", "scales")}
    _, diameter = rois.lesion_geometry(cohort.outlines)
    plan = augment.augmentation_plan(diameter, margin=data["margin"], seed=seed, **numbers)
    order = np.random.default_rng(seed).permutation(len(cohort))
    training += augment.augmented_rois(cohort, plan, *augment.nested_group(order, CLASSIC, plan.shape[1]), **window)[0]
    return training, rois.extract_rois(test, margin=data["margin"], **window)


def main():
    print(__doc__.splitlines()[0])
    print(hardware("tensorflow", "keras"))
    if resolve_precision("auto") != "mixed_bfloat16":
        print("this processor does not multiply bfloat16 natively: nothing to compare")
        return 0
    parameters = run_parameters("quick")
    own = parameters["05_classification"]
    settings = {name: own[name] for name in ("epochs", "batch_size", "learning_rate", "momentum")}
    print(f"{LESIONS} lesions and {CLASSIC:,} classic augmentations, {sum(TEST):,} test lesions a seed; {settings}")
    precisions = ("float32", "mixed_bfloat16")
    trainers = {precision: Trainer(len(LESIONS), **settings, precision=precision) for precision in precisions}
    differences = []
    for seed in SEEDS:
        training, test = simulated_sets(seed, parameters)
        predicted = {
            precision: trainer.train(training, seed=seed).predict(test.images).argmax(axis=1)
            for precision, trainer in trainers.items()
        }
        full, mixed = (100 * (predicted[precision] == test.label).mean() for precision in precisions)
        changed = 100 * (predicted["float32"] != predicted["mixed_bfloat16"]).mean()
        differences.append(mixed - full)
        print(
            f"seed {seed}: float32 {full:.1f} %, bfloat16 {mixed:.1f} %, difference {mixed - full:+.1f} points; "
            f"{changed:.1f} % of the lesions are named differently",
            flush=True,
        )
    mean, error = np.mean(differences), stats.sem(differences)
    low, high = stats.t.interval(CONFIDENCE, len(differences) - 1, loc=mean, scale=error)
    kept = -LIMIT < low and high < LIMIT
    print(f"bfloat16 minus float32: mean {mean:+.2f} points, {CONFIDENCE:.0%} interval {low:+.2f} to {high:+.2f}")
    print(
        f"the interval {'lies' if kept else 'does not lie'} within {LIMIT:g} points: bfloat16 is {'kept' if kept else 'not kept'}"
    )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
