"""What simulated lesions and scanners look like: every constant of the simulated cohort that a calibration may vary.

Values in HU at portal phase; sources: the paper's section 2.1 and radiology's usual descriptions of the three classes. Within
those, :mod:`calibration` set them by the paper's five results without a GAN.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """What lesions of one class look like: (low, high) over patients, uniform; a negative amount means "none".

    ``R`` is the lesion's radius. Patients draw a point in each range; their lesions lie near it.
    """

    attenuation: tuple  # HU of the lesion's substance; relative to the liver if the next line says so
    relative: bool  # True: attenuation is added to the liver's HU; False: it stands alone (water stays water)
    edge: tuple  # mm over which lesion turns into liver (logistic scale; at most 0.1 R)
    axis_ratio: tuple  # short over long axis
    irregularity: tuple  # departure of the outline from an ellipse, standard deviation / R
    lobulation: tuple  # bulges with creases between them, / R
    mottling: tuple  # HU, standard deviation of the texture inside
    dark_centre: tuple  # HU by which the centre lies below the substance (necrosis, scar)
    rim: tuple  # HU by which the rim lies above the substance
    rim_gap: tuple  # share of the rim that is missing
    nodules: tuple  # number of enhancing nodules at the periphery, rounded
    nodule_size: tuple  # radius / R
    nodule_depth: tuple  # distance of nodule centres from the lesion's centre / R
    enhancement: tuple  # nodules' HU as a share of the way from substance to vessels
    filled: tuple  # share of the way from substance to vessels that the whole lesion has gone (delayed filling in)
    hugging_vessels: tuple  # number of vessels that touch the lesion from outside, rounded
    calcification: tuple  # HU above the substance of small bright grains


@dataclass(frozen=True)
class Appearance:
    """Every constant that a calibration may vary; difficulty is how far metastasis and hemangioma overlap."""

    cyst: Look = Look(
        attenuation=(2, 30),
        relative=False,
        edge=(0.15, 0.35),
        axis_ratio=(0.75, 1.0),
        irregularity=(0.02, 0.08),
        lobulation=(-0.25, 0.35),
        mottling=(0, 2),
        dark_centre=(0, 0),
        rim=(0, 0),
        rim_gap=(0, 0),
        nodules=(0, 0),
        nodule_size=(0, 0),
        nodule_depth=(0, 0),
        enhancement=(0, 0),
        filled=(0, 0),
        hugging_vessels=(-1, 1.5),
        calcification=(-1, 0),
    )
    metastasis: Look = Look(
        attenuation=(-74, -24),
        relative=True,
        edge=(0.4, 2.2),
        axis_ratio=(0.65, 1.0),
        irregularity=(0.05, 0.16),
        lobulation=(-0.2, 0.25),
        mottling=(2, 9),
        dark_centre=(-25, 18),
        rim=(-25, 22),
        rim_gap=(0.1, 0.5),
        nodules=(-3, 0.4),
        nodule_size=(0.15, 0.4),
        nodule_depth=(0.05, 0.7),
        enhancement=(0.2, 0.6),
        filled=(0, 0),
        hugging_vessels=(-1, 1.5),
        calcification=(-600, 150),
    )
    hemangioma: Look = Look(
        attenuation=(-72, -34),
        relative=True,
        edge=(0.3, 1.8),
        axis_ratio=(0.65, 1.0),
        irregularity=(0.05, 0.16),
        lobulation=(-0.2, 0.28),
        mottling=(2, 9),
        dark_centre=(-25, 20),
        rim=(-30, 25),
        rim_gap=(0.4, 0.85),
        nodules=(2, 7),
        nodule_size=(0.22, 0.48),
        nodule_depth=(0.5, 0.95),
        enhancement=(0.7, 1.3),
        filled=(-1.2, 0.32),
        hugging_vessels=(-1, 3),
        calcification=(-1000, 120),
    )
    alike: float = 0.1  # spread of a patient's lesions, as a share of each range
    second_lesion: float = 0.38  # chance that a patient has a second lesion, and again that there is a third
    diameter_median: float = 24.0  # mm, of a log-normal distribution ...
    diameter_spread: float = 0.55  # ... its standard deviation in log units ...
    diameter_limits: tuple = (11.5, 106.0)  # ... cut off here: outlines then measure about 10-102 mm (paper 2.1)
    liver: tuple = (95.0, 14.0, 66.0, 125.0)  # HU of the liver: mean, standard deviation, lowest, highest
    vessels: tuple = (45, 85)  # HU of vessels above the liver, portal phase
    vessel_trees: float = 0.1  # trees per cm2 of slice whose root lies within 15 mm of it
    parenchyma: tuple = ((4.0, 25.0), (16.0, 8.0))  # unevenness of the liver at two scales: (HU, mm)
    near_edge: float = 0.3  # share of lesions near the liver's edge
    slice_thickness: tuple = (1.25, 2.5, 3.0, 5.0)  # mm, drawn with equal chance
    scanner_pixel: tuple = ((0.70, 0.80), (0.78, 0.90))  # mm, two scanners
    scanner_blur: tuple = ((0.9, 1.3), (1.3, 1.8))  # mm, full width at half maximum of the kernel in the plane
    scanner_cutoff: tuple = ((0.33, 0.42), (0.28, 0.36))  # per mm, f0 of the noise spectrum |f| exp(-(f/f0)^2)
    noise: tuple = (18.0, 0.28, 0.22)  # HU at 1.25 mm; exponent of its fall with thickness; spread in log units
    noise_limits: tuple = (8.0, 28.0)  # HU
    mottle: tuple = (0.6, 0.8)  # share of noise variance in the low frequencies that real scans have
    mottle_scale: tuple = (3.0, 5.0)  # mm, standard deviation of the blobs
