"""Classic augmentation, ROIs a second: one composed warp straight from the slice, against the same steps one after the other.

The peers are given windowed squares that were cut around each lesion beforehand, so that only their steps are timed: rotate
(bicubic), then flip, translate or scale, then crop and resize (bicubic). Goals: at least 50,000 ROI/s on two idle cores, and 20
times albumentations.
"""

import os

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would look for a newer version on the web

import cv2
import numpy as np
from side_by_side import hardware, report, take_turns
from skimage import transform

from lesion_utils import augment, phantom, rois

try:
    import albumentations
except ImportError:
    albumentations = None

ROUNDS, OURS, ALBUMENTATIONS, SCIKIT_IMAGE = 7, 15_000, 1_500, 500
MARGIN = 0.25
WINDOW = {"window_level": 60.0, "window_width": 400.0}


def squares_around_lesions(cohort, centre, diameter):
    """Return windowed squares around the lesions, wide enough for every rotation, offset and margin."""
    squares = []
    for image, (x, y), d in zip(cohort.slices, np.rint(centre).astype(int), diameter, strict=True):
        half = int(np.ceil(d * (1 + 2 * 0.4) / 2 * np.sqrt(2) + 4))
        windowed = np.clip((image.astype(np.float32) - WINDOW["window_level"]) / WINDOW["window_width"] + 0.5, 0, 1)
        padded = np.pad(windowed, half, mode="reflect")
        squares.append(padded[y : y + 2 * half + 1, x : x + 2 * half + 1].copy())
    return squares


def albumentations_chain(diameter):
    """Return the chain for a lesion of this diameter; its choices have the plan's shares."""
    cubic = {"interpolation": cv2.INTER_CUBIC, "border_mode": cv2.BORDER_REFLECT_101}
    reach, side = int(min(4, 0.1 * diameter)), round(diameter * (1 + 2 * MARGIN))
    scale = tuple((1 + 2 * MARGIN) / (1 + 2 * margin) for margin in (0.4, 0.1))
    one_of = [
        albumentations.NoOp(p=1 / 16),
        albumentations.HorizontalFlip(p=1 / 16),
        albumentations.VerticalFlip(p=1 / 16),
        albumentations.RandomRotate90(p=1 / 16),  # stands for both flips together
        albumentations.Affine(translate_px=(-reach, reach), **cubic, p=7 / 16),
        albumentations.Affine(scale=scale, keep_ratio=True, **cubic, p=5 / 16),
    ]
    steps = [
        albumentations.Rotate((0, 180), **cubic, p=1),
        albumentations.OneOf(one_of, p=1),
        albumentations.CenterCrop(side, side),
        albumentations.Resize(rois.ROI_SIZE, rois.ROI_SIZE, interpolation=cv2.INTER_CUBIC),
    ]
    return albumentations.Compose(steps, seed=0)


def scikit_image_chain(square, diameter, step):
    """Make one augmentation of the plan in the usual steps."""
    image = transform.rotate(square, step["angle"], order=3, mode="reflect")
    image = image[:: -1 if step["mirror_y"] else 1, :: -1 if step["mirror_x"] else 1]
    if step["offset_x"] or step["offset_y"]:
        # The plan's offset is in the slice's directions, and the image is turned by now.
        offset = complex(step["offset_x"], step["offset_y"]) * np.exp(-1j * np.deg2rad(step["angle"]))
        move = transform.SimilarityTransform(translation=(offset.real, offset.imag))
        image = transform.warp(image, move, order=3, mode="reflect")
    side = round(diameter * (1 + 2 * step["margin"]))
    first = (len(square) - side) // 2
    size = (rois.ROI_SIZE, rois.ROI_SIZE)
    return transform.resize(image[first : first + side, first : first + side], size, order=3, anti_aliasing=False)


def main():
    print(__doc__.splitlines()[0])
    print(hardware("opencv-python-headless", "scikit-image", *(["albumentations"] if albumentations else [])))
    if albumentations is None:
        print("albumentations is not installed (python -m pip install '.[bench]'), so only scikit-image is compared")
    cohort = phantom.simulate_cohort(0, [53, 64, 65], [1, 1, 1], [1, 1, 1]).with_role("cohort")
    centre, diameter = rois.lesion_geometry(cohort.outlines)
    plan = augment.augmentation_plan(diameter, margin=MARGIN, rotations=30, flips=3, translations=7, scales=5, seed=0)
    lesion, column = augment.nested_group(np.random.default_rng(0).permutation(len(cohort)), OURS, plan.shape[1])
    squares = squares_around_lesions(cohort, centre, diameter)
    chains = [albumentations_chain(d) for d in diameter] if albumentations else []

    def ours():
        return augment.augmented_rois(cohort, plan, lesion, column, **WINDOW)[0].images

    def ours_on_one_core():
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(cores)})
        try:
            return ours()
        finally:
            os.sched_setaffinity(0, cores)

    def with_scikit_image():
        pairs = zip(lesion[:SCIKIT_IMAGE], column[:SCIKIT_IMAGE], strict=True)
        return [scikit_image_chain(squares[i], diameter[i], plan[i, j]) for i, j in pairs]

    def with_albumentations():
        return [chains[i](image=squares[i])["image"] for i in lesion[:ALBUMENTATIONS]]

    alike = [
        np.corrcoef(one.ravel(), two.ravel())[0, 1] for one, two in zip(ours()[:SCIKIT_IMAGE], with_scikit_image(), strict=True)
    ]
    print(f"correlation of our ROIs with those of scikit-image's chain: median {np.median(alike):.3f}, lowest {min(alike):.3f}")
    contestants = {"ours": (ours, OURS)}
    if hasattr(os, "sched_setaffinity"):
        contestants["ours on one core"] = (ours_on_one_core, OURS)
    peers = {"scikit-image": (with_scikit_image, SCIKIT_IMAGE)}
    if albumentations:
        peers["albumentations"] = (with_albumentations, ALBUMENTATIONS)
    rates = take_turns(contestants | peers, ROUNDS, warm=True)
    goals = {("ours", "albumentations"): 20.0}
    pairs = {(name, peer): goals.get((name, peer)) for name in contestants for peer in peers}
    report("Classic augmentation", rates, pairs, "ROI", "opencv-python-headless", *peers)


if __name__ == "__main__":
    main()
