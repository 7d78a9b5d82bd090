"""The simulated cohort: CT slices through 3-D liver lesions, with vessels, neighbouring organs, scanners and noise.

No public CT set carries the paper's three labels, so the default cohort is made here, after the paper's section 2.1.
All appearance is in :mod:`appearance`, the parts of a slice are in :mod:`anatomy`; patients and whole slices are made here.

A slice is made in five steps: liver with vessels, lesion, and what lies beyond the liver's edge (all averaged over
planes through the slice: partial volume), then blur by the scanner's kernel, and noise with a CT noise-power spectrum.
"""

from dataclasses import fields
from typing import NamedTuple

import cv2
import numpy as np
from scipy.special import ndtr, ndtri

from . import anatomy
from .appearance import Appearance, Look
from .cohort import ROLES, Cohort
from .errors import SettingsError

CLASSES = ("cyst", "metastasis", "hemangioma")
#: Lesions a class in the paper's cohort (section 2.1), and in 78 further cases of like distribution (section 4.2.2).
PAPER_COUNTS = (53, 64, 65)
EXTRA_COUNTS = (23, 27, 28)


class Patient(NamedTuple):
    """One entry of the plan: whose lesions, how many, and where the random stream starts."""

    role: str
    label: int
    number: int  # counts the patients of one role and class
    lesions: int


class Lesion(NamedTuple):
    """One simulated lesion: HU slice (int16), outline (bool), pixel size in mm, and class."""

    image: np.ndarray
    outline: np.ndarray
    spacing: float
    label: int


def simulate(counts=PAPER_COUNTS, *, seed, role="cohort", appearance=None, progress=None):
    """Simulate the lesions of one role.

    Parameters
    ----------
    counts : sequence of 3 int
        Cysts, metastases, hemangiomas; met exactly.
    seed : int
        The same seed gives the same cohort, bit for bit.
    role : str
        One of :data:`lesion_utils.cohort.ROLES`; each has random streams of its own.
    appearance : Appearance, optional
    progress : callable, optional
        Wraps the list of patients, like ``tqdm``.

    Returns
    -------
    Cohort
    """
    return _collect(plan_patients(counts, seed=seed, role=role, appearance=appearance), seed, appearance, progress)


def simulate_cohort(seed, counts=PAPER_COUNTS, extra=EXTRA_COUNTS, test=(300, 300, 300), *, appearance=None, progress=None):
    """Simulate the cohort, the extra cases (paper, section 4.2.2) and the independent test set, in this order.

    More test or extra lesions never change the cohort, and a larger role begins with the patients of a smaller one.

    Parameters
    ----------
    seed, appearance, progress
        As in :func:`simulate`.
    counts, extra, test : sequence of 3 int
        Lesions a class in each role.

    Returns
    -------
    Cohort
        Lesions L0001, ... of patients P0001, ...
    """
    plan = []
    for role, role_counts in zip(ROLES, (counts, extra, test), strict=True):
        plan += plan_patients(role_counts, seed=seed, role=role, appearance=appearance)
    return _collect(plan, seed, appearance, progress)


def plan_patients(counts, *, seed, role="cohort", appearance=None):
    """Return the list of :class:`Patient` whose lesions add up to ``counts``, the classes evenly mixed.

    Raises
    ------
    SettingsError
        If ``counts`` is not three whole numbers of 0 or more, or ``role`` is unknown.
    """
    appearance = appearance or Appearance()
    if role not in ROLES:
        raise SettingsError(f"role '{role}' is unknown; use one of {', '.join(ROLES)}")
    if len(counts) != len(CLASSES) or any(count != int(count) or count < 0 for count in counts):
        raise SettingsError(f"counts is {counts}; give one whole number, 0 or more, for each of {', '.join(CLASSES)}")
    placed = []
    for label, count in enumerate(map(int, counts)):
        # The number of lesions is drawn from a stream of its own, so that patients can be simulated in any order.
        random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(ROLES.index(role), label)))
        done = number = 0
        while done < count:
            second, third = random.random(2) < appearance.second_lesion
            lesions = min(1 + int(second) + int(second and third), count - done)
            placed.append(((done + 0.5) / count, Patient(role, label, number, lesions)))
            done, number = done + lesions, number + 1
    return [patient for _, patient in sorted(placed, key=lambda item: item[0])]


def simulate_patient(patient, *, seed, appearance=None):
    """Return the list of :class:`Lesion` of one patient of the plan.

    Depends on the seed and the patient alone: callers can stream any number of lesions, in any order or process.
    """
    appearance = appearance or Appearance()
    key = (ROLES.index(patient.role), patient.label, patient.number)
    random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
    scanner = random.integers(len(appearance.scanner_pixel))
    spacing = round(float(random.uniform(*appearance.scanner_pixel[scanner])), 3)
    thickness = random.choice(appearance.slice_thickness)
    planes = 5 if thickness > 3 else 3
    mean, deviation, lowest, highest = appearance.liver
    thin_noise, exponent, spread = appearance.noise
    noise = thin_noise * (thickness / 1.25) ** -exponent * np.exp(spread * random.standard_normal())
    scan = {
        "spacing": spacing,
        # Planes through the slice, mm from its middle: averaging them is partial volume.
        "planes": thickness * ((np.arange(planes) + 0.5) / planes - 0.5),
        "blur": random.uniform(*appearance.scanner_blur[scanner]) / 2.355 / spacing,
        "cutoff": random.uniform(*appearance.scanner_cutoff[scanner]),
        "noise": float(np.clip(noise, *appearance.noise_limits)),
        "mottle": random.uniform(*appearance.mottle),
        "mottle_scale": random.uniform(*appearance.mottle_scale),
        "liver": float(np.clip(random.normal(mean, deviation), lowest, highest)),
        "vessels": random.uniform(*appearance.vessels),
    }
    look = getattr(appearance, CLASSES[patient.label])
    point = random.random(len(fields(Look)))
    return [
        _simulate_lesion(random, patient.label, _near(random, look, point, appearance.alike), scan, appearance)
        for _ in range(patient.lesions)
    ]


def _collect(plan, seed, appearance, progress):
    """Simulate all patients of the plan and number them."""
    lesions, patient_ids, roles = [], [], []
    for number, patient in enumerate(progress(plan) if progress else plan, start=1):
        lesions += simulate_patient(patient, seed=seed, appearance=appearance)
        patient_ids += [f"P{number:04d}"] * patient.lesions
        roles += [patient.role] * patient.lesions
    return Cohort(
        classes=CLASSES,
        label=np.array([lesion.label for lesion in lesions], np.int64),
        lesion_id=np.array([f"L{number:04d}" for number in range(1, len(lesions) + 1)], dtype=str),
        patient_id=np.array(patient_ids, dtype=str),
        role=np.array(roles, dtype=str),
        spacing=np.array([lesion.spacing for lesion in lesions], np.float32),
        slices=[lesion.image for lesion in lesions],
        outlines=[lesion.outline for lesion in lesions],
    )


def _near(random, look, point, alike):
    """Draw one lesion's values near the patient's point in each range, reflected at the ends of the range."""
    own = np.abs(point + alike * random.standard_normal(len(point)))
    own = 1 - np.abs(1 - own)
    values = {}
    for share, entry in zip(own, fields(Look), strict=True):
        span = getattr(look, entry.name)
        values[entry.name] = span if isinstance(span, bool) else span[0] + share * (span[1] - span[0])
    return values


def _simulate_lesion(random, label, look, scan, appearance):
    """Put the slice together; see the module's docstring."""
    spacing, planes = scan["spacing"], scan["planes"][:, None, None].astype(np.float32)
    low, high = (np.log(limit / appearance.diameter_median) for limit in appearance.diameter_limits)
    share = random.uniform(ndtr(low / appearance.diameter_spread), ndtr(high / appearance.diameter_spread))
    diameter = appearance.diameter_median * np.exp(appearance.diameter_spread * ndtri(share))
    # The widest crop of the classic augmentation (paper, section 3.1), 1.8 d, turned by 45 degrees fits into 2.7 d.
    side = max(128, int(np.ceil(2.7 * diameter / spacing / 2)) * 2)
    middle = (side - 1) / 2 + random.uniform(-2, 2, 2)
    x = ((np.arange(side) - middle[0]) * spacing).astype(np.float32)[None, :]
    y = ((np.arange(side) - middle[1]) * spacing).astype(np.float32)[:, None]

    radius = diameter / 2
    weight, substance, inside = anatomy.lesion_tissue(random, look, radius, x, y, planes, scan)
    slow = sum(hu * anatomy.smooth_fields(random, 1, side, scale / spacing)[0] for hu, scale in appearance.parenchyma)
    vessels = anatomy.vessel_share(random, round(look["hugging_vessels"]), radius, x, y, planes, appearance.vessel_trees)
    liver = scan["liver"] + slow + scan["vessels"] * vessels
    image = liver + weight * (substance - liver)
    if random.random() < appearance.near_edge:
        outside, neighbours = anatomy.beyond_the_liver(random, radius, x, y, planes, scan)
        image += outside * (neighbours - image)
        inside = np.where(outside < 0.5, inside, -radius)

    image = cv2.GaussianBlur(image.astype(np.float32), (0, 0), scan["blur"]) + anatomy.ct_noise(random, side, scan)
    image = np.clip(np.rint(image), -1024, 3071).astype(np.int16)
    return Lesion(image, anatomy.drawn_outline(random, inside, spacing), spacing, label)
