"""Image fidelity and memorisation: seconds for 3,000 synthetic ROIs against 10,000 training ROIs. Goal: under 60 s on two cores.

Every ROI gets its features in both spaces; KID, density and coverage compare all with all; and for each synthetic ROI the nearest
training ROI is sought over its eight rotations and reflections, and the nearest of as many real ROIs of unseen patients. How long
that takes does not depend on what the images show, so classic augmentations of other patients stand in for synthetic ones.
"""

import numpy as np
from side_by_side import hardware, stopwatch

from lesion_utils import augment, fidelity, likeness, memorisation, phantom, rois
from lesion_utils.classifier import Trainer
from lesion_utils.settings import notebook_defaults

SYNTHETIC, TRAINING, LESIONS = 3_000, 10_000, (53, 64, 65)
#: Parameters of the notebooks.
DATA, STEPS, OWN = (notebook_defaults(name) for name in ("01_data", "02_classic_augmentation", "10_fidelity"))
WINDOW = {name: DATA[name] for name in ("window_level", "window_width")}
PLAN = {name: STEPS[name] for name in ("rotations", "flips", "translations", "scales")}
RADIOMICS = {name: OWN[name] for name in ("levels", "distances", "frequencies", "orientations")}


def augmented(cohort, amount, seed):
    """Return (amount, 64, 64, 1) classic augmentations, the same number of every lesion."""
    _, diameter = rois.lesion_geometry(cohort.outlines)
    plan = augment.augmentation_plan(diameter, margin=DATA["margin"], seed=seed, **PLAN)
    order = np.random.default_rng(seed).permutation(len(cohort))
    return augment.augmented_rois(cohort, plan, *augment.nested_group(order, amount, plan.shape[1]), **WINDOW)[0].images


def eight_views(images):
    """Return (n, 8, 64, 64, 1): every image at right angles, and mirrored at each."""
    turned = [np.rot90(images, quarter, axes=(1, 2)) for quarter in range(4)]
    return np.stack([*turned, *(part[:, :, ::-1] for part in turned)], axis=1)


def main():
    print(__doc__.splitlines()[0])
    print(hardware("tensorflow", "scikit-learn", "opencv-python-headless"))
    training, strangers, others = (phantom.simulate(LESIONS, seed=seed) for seed in range(3))
    originals = rois.extract_rois(training, margin=DATA["margin"], **WINDOW)
    seen, unseen = augmented(training, TRAINING, 0), augmented(strangers, TRAINING, 1)
    synthetic = augmented(others, SYNTHETIC, 2)
    settings = {"epochs": 1, "batch_size": 64, "learning_rate": 0.001, "momentum": 0.9, "precision": "float32"}
    network = Trainer(len(LESIONS), **settings).train(originals, seed=0)
    spaces = fidelity.feature_spaces(network, originals.images, RADIOMICS)
    seconds, lap = stopwatch()
    for space, look in spaces.items():
        real, drawn = look(seen), look(synthetic)
        lap(f"{space} features")
        likeness.kid(real, drawn)
        likeness.density_coverage(real, drawn, OWN["neighbours"])
        lap(f"{space} space: KID, density, coverage")
    for name, images in {"training": seen, "unseen": unseen}.items():
        memorisation.nearest(synthetic, eight_views(images))
        lap(f"nearest of {len(images):,} {name} ROIs, 8 views")
    for name, value in seconds.items():
        print(f"  {name:45s} {value:6.1f} s")
    print(f"  {'all':45s} {sum(seconds.values()):6.1f} s (goal: under 60)")


if __name__ == "__main__":
    main()
