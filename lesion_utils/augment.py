"""Classic augmentation: a plan of rotations, flips, translations and scales (paper, section 3.1), and its nested groups."""

import numpy as np

from .errors import SettingsError
from .rois import ROI_SIZE, RoiSet, leaves_slice, lesion_geometry, sampling_matrices, warp

#: Fields of a plan of augmentations, as NumPy dtypes.
PLAN_FIELDS = [
    ("angle", "f8"),
    ("mirror_x", "?"),
    ("mirror_y", "?"),
    ("offset_x", "f8"),
    ("offset_y", "f8"),
    ("margin", "f8"),
]


def augmentation_plan(diameter, *, margin, rotations, flips, translations, scales, seed):
    """Draw every augmentation of every lesion: N = rotations x (1 + flips + translations + scales) each.

    A lesion is first turned by a random angle; each turned ROI is kept as it is, flipped (left-right, up-down, both), moved by
    up to p = min(4, 0.1 d) pixels, and cropped with a random margin between 0.1 d and 0.4 d. No shear: shape is diagnosis.

    Parameters
    ----------
    diameter : (n,) float
        Lesion diameters d in slice pixels.
    margin : float
        Margin of ROIs that are not scaled, as a share of d.
    rotations, flips, translations, scales : int
        The paper: 30, 3, 7, 5, hence N = 480. At most 3 flips exist.
    seed : int
        Lesion i draws from its own stream (seed, i), so its plan depends on no other lesion and on no fold.

    Returns
    -------
    (n, N) structured array
        Fields of :data:`PLAN_FIELDS`: degrees, bool, bool, pixels, pixels, share of d. Columns are in random order: the first m
        are a random sample without replacement, which makes the groups nested.
    """
    if not 0 <= flips <= 3:
        raise SettingsError(f"flips is {flips}; a ROI has 3 flips (left-right, up-down, both): choose 0 to 3")
    if min(rotations, translations + 1, scales + 1) < 1:
        raise SettingsError("rotations must be at least 1, translations and scales at least 0")
    variants = 1 + flips + translations + scales
    plan = np.zeros((len(diameter), rotations, variants), dtype=PLAN_FIELDS)
    plan["margin"] = margin
    plan["mirror_x"][:, :, 1 : 1 + flips] = np.array([True, False, True])[:flips]
    plan["mirror_y"][:, :, 1 : 1 + flips] = np.array([False, True, True])[:flips]
    moved = slice(1 + flips, 1 + flips + translations)
    scaled = slice(1 + flips + translations, variants)
    for lesion, d in enumerate(diameter):
        random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(lesion,)))
        own = plan[lesion]
        own["angle"] = random.uniform(0, 180, (rotations, 1))
        reach = min(4, 0.1 * d)
        own["offset_x"][:, moved] = random.uniform(-reach, reach, (rotations, translations))
        own["offset_y"][:, moved] = random.uniform(-reach, reach, (rotations, translations))
        own["margin"][:, scaled] = random.uniform(0.1, 0.4, (rotations, scales))
        plan[lesion] = random.permutation(own.ravel()).reshape(own.shape)
    return plan.reshape(len(diameter), rotations * variants)


def nested_group(lesions, amount, per_lesion):
    """Return the first ``amount`` augmentations, dealt to the lesions in turn.

    A larger group contains every smaller one, and lesions differ by at most one augmentation (paper, section 4.2.1).

    Parameters
    ----------
    lesions : (m,) int
        Training lesions in the order in which they are dealt to.
    amount : int
        Augmented images in all, 0 to m * per_lesion.
    per_lesion : int
        Columns of the plan.

    Returns
    -------
    lesion, column : (amount,) int
        Rows and columns of the plan.
    """
    lesions = np.asarray(lesions)
    if not 0 <= amount <= len(lesions) * per_lesion:
        raise SettingsError(
            f"{amount} classic augmentations were asked for, but {len(lesions)} training lesions with {per_lesion} each give "
            f"0 to {len(lesions) * per_lesion}; ask for fewer, or set rotations, translations or scales higher"
        )
    turn = np.arange(amount)
    return lesions[turn % len(lesions)], turn // len(lesions)


def augmented_rois(cohort, plan, lesion, column, *, window_level, window_width, size=ROI_SIZE):
    """Sample augmentations of the plan from the slices.

    Parameters
    ----------
    cohort : Cohort
    plan : (n, N) structured array
        From :func:`augmentation_plan`, one row a lesion of ``cohort``.
    lesion, column : (m,) int
        From :func:`nested_group`. A large group may be sampled in parts: each image depends on its own lesion and column alone.
    size : int
        Side of the ROIs in pixels.

    Returns
    -------
    rois : RoiSet
        m images in [0, 1].
    padded : int
        How many of them reach beyond their slice and are padded by mirroring.
    """
    matrices = plan_matrices(cohort, plan, lesion, column, size=size)
    images = warp(cohort.slices, lesion, matrices, window_level=window_level, window_width=window_width, size=size)
    shapes = np.array([image.shape for image in cohort.slices]).reshape(-1, 2)
    patients = frozenset(cohort.patient_id[np.unique(lesion)].tolist())
    rois = RoiSet(images, cohort.label[lesion], patients, cohort.lesion_id[lesion])
    return rois, int(leaves_slice(matrices, shapes[lesion], size).sum())


def plan_matrices(cohort, plan, lesion, column, *, size=ROI_SIZE):
    """Return the (m, 2, 3) affine maps of augmentations: all steps composed into one."""
    own, row = np.unique(lesion, return_inverse=True)
    centre, diameter = lesion_geometry([cohort.outlines[number] for number in own])
    step = plan[lesion, column]
    return sampling_matrices(
        centre[row],
        diameter[row],
        margin=step["margin"],
        angle=step["angle"],
        mirror_x=step["mirror_x"],
        mirror_y=step["mirror_y"],
        offset=np.stack([step["offset_x"], step["offset_y"]], axis=-1),
        size=size,
    )
