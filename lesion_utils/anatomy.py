"""The parts of a simulated CT slice: lesion, vessels, what lies beyond the liver's edge, noise, and the outline drawn by hand.

:mod:`phantom` puts them together; lengths are in mm, grey values in HU.
"""

import cv2
import numpy as np
from scipy.fft import irfft2
from scipy.special import ndtri


def smooth_fields(random, number, side, scale):
    """Return (number, side, side) float32 Gaussian fields, mean 0, variance 1, correlated over ``scale`` pixels."""
    # A coarse random grid enlarged with Gaussian weights: two small matrix products in place of a wide blur.
    place = np.arange(side, dtype=np.float32) / scale + random.random(dtype=np.float32) + 2
    coarse = int(place[-1]) + 4
    weights = np.exp(-0.5 * ((place[:, None] - np.arange(coarse, dtype=np.float32)) / 0.75) ** 2)
    weights /= np.sqrt((weights**2).sum(axis=1, keepdims=True))
    return weights @ random.standard_normal((number, coarse, coarse), dtype=np.float32) @ weights.T


def _through(fields_pair, planes, depth):
    """Return a field that changes over ``depth`` mm from plane to plane, from two independent ones."""
    angle = planes / depth
    return np.cos(angle) * fields_pair[0] + np.sin(angle) * fields_pair[1]


def lesion_tissue(random, look, radius, x, y, planes, scan):
    """Return the lesion on the slice, averaged over the planes.

    Returns
    -------
    weight : (h, w) float32
        Share of the voxel that is lesion.
    substance : (h, w) float32
        HU of that share.
    inside : (h, w) float32
        Depth under the lesion's surface in mm, negative outside.
    """
    side, spacing = x.shape[1], scan["spacing"]
    half = int(1.6 * radius / spacing) + 4  # nothing of the lesion lies beyond
    column, row = int(np.argmin(np.abs(x))), int(np.argmin(np.abs(y)))
    window = np.s_[max(0, row - half) : row + half, max(0, column - half) : column + half]
    x, y = x[:, window[1]], y[window[0]]
    size = max(x.shape[1], y.shape[0])

    def fields_3d(scale):
        pair = smooth_fields(random, 2, size, scale * radius / spacing)[:, : y.shape[0], : x.shape[1]]
        return _through(pair, planes, scale * radius)

    # The slice passes near the middle of an ellipsoid; z is counted from that middle.
    z = planes + random.uniform(-0.2, 0.2) * radius
    turn, ratio = random.uniform(0, np.pi), look["axis_ratio"]
    long, short = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    depth_ratio = random.uniform(0.8, 1.1)
    distance = np.sqrt(long**2 + (short / ratio) ** 2 + (z / depth_ratio) ** 2) / radius
    bulges = max(0.0, look["lobulation"]) * (np.abs(fields_3d(0.7)) - 0.8)
    shape = bulges + look["irregularity"] * (0.8 * fields_3d(0.7) + 0.6 * fields_3d(0.3)) - distance
    # The level that gives the area of the ellipse with the long axis asked for, on the middle plane.
    pixels = int(np.pi * ratio * (0.92 * radius / spacing) ** 2)
    level = np.partition(shape[len(planes) // 2], -pixels, axis=None)[-pixels]
    inside = (shape - level) * radius
    weight = _step(inside / min(look["edge"], 0.1 * radius))

    hu = np.full_like(inside, look["attenuation"] + (scan["liver"] if look["relative"] else 0.0))
    to_vessel = scan["liver"] + scan["vessels"] - hu
    hu += max(0.0, look["filled"]) * to_vessel
    if look["mottling"] > 0:
        hu += look["mottling"] * fields_3d(0.25)
    centre = random.uniform(0.25, 0.55)
    hu -= max(0.0, look["dark_centre"]) * _step((inside / radius - centre + 0.2 * fields_3d(0.4)) / 0.06)
    if look["rim"] > 0:
        width = random.uniform(0.08, 0.16) * radius
        present = _step((fields_3d(0.9) - ndtri(look["rim_gap"])) / 0.2)
        hu += look["rim"] * present * np.exp(-(((inside - width) / width) ** 2))
    hu += look["enhancement"] * to_vessel * _nodules(random, look, radius, long, short / ratio, z / depth_ratio)
    if look["calcification"] > 0:
        grains = fields_3d(0.15)
        hu += look["calcification"] * _step((grains - 2.0) / 0.15) * (inside > 0)

    full = [np.zeros((side, side), np.float32) for _ in range(2)] + [np.full((side, side), -radius, np.float32)]
    mean_weight = weight.mean(axis=0)
    for whole, part in zip(full, (mean_weight, (weight * hu).mean(axis=0), inside.mean(axis=0)), strict=True):
        whole[window] = part
    return full[0], full[1] / np.maximum(full[0], 1e-6), full[2]


def _step(value):
    """Logistic step from 0 to 1."""
    return 1 / (1 + np.exp(-np.clip(value, -30, 30)))


def _nodules(random, look, radius, x, y, z):
    """Return the share of each voxel in soft balls along one side of the periphery."""
    result = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape), np.float32)
    around = random.uniform(0, 2 * np.pi)
    for _ in range(round(max(0.0, look["nodules"]))):
        # Nodules sit near the slice's plane, crowded on one side: the ring they form is never closed.
        angle, lift = around + random.normal(0, 1.3), random.normal(0, 0.25)
        place = radius * look["nodule_depth"] * random.uniform(0.85, 1.1)
        size = radius * look["nodule_size"] * random.uniform(0.6, 1.3)
        flat = random.uniform(0.55, 1.0)  # along the surface they are longer than across
        across = x * np.cos(angle) + y * np.sin(angle) - place
        along = y * np.cos(angle) - x * np.sin(angle)
        away = np.sqrt((across / flat) ** 2 + along**2 + (z - lift * radius) ** 2)
        np.maximum(result, _step((size - away) / (0.15 * size + 0.4)), out=result)
    return result


def vessel_share(random, hugging, radius, x, y, planes, trees_per_cm2):
    """Return the (h, w) share of each voxel in vessels: trees of tapering tubes in 3-D, some touching the lesion."""
    result = np.zeros((y.shape[0], x.shape[1]), np.float32)
    low, high = np.array([x[0, 0], y[0, 0]]), np.array([x[0, -1], y[-1, 0]])
    trees = random.poisson(trees_per_cm2 * np.prod(high - low) / 100)
    start = np.column_stack([random.uniform(low, high, (trees, 2)), random.uniform(-15, 15, trees)])
    course = random.standard_normal((trees, 3)) * (1, 1, 0.6)
    width = 1.2 + random.gamma(1.2, 0.8, trees)
    if hugging > 0:
        # From a point at the lesion's surface, along it or straight through the slice.
        angle = random.uniform(0, 2 * np.pi, hugging)
        out = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(hugging)])
        past = np.column_stack([-out[:, 1], out[:, 0], np.zeros(hugging)]) * random.normal(0, 0.8, (hugging, 1))
        upwards = np.column_stack([np.zeros((hugging, 2)), random.normal(0, 0.8, hugging)])
        start = np.vstack([start, out * radius * random.uniform(0.9, 1.15, (hugging, 1))])
        course = np.vstack([course, past + 0.3 * out + upwards])
        width = np.append(width, random.uniform(1.2, 2.6, hugging))
    for step in range(6):
        if step == 3:  # every vessel sends out a branch at its third bend
            start, width = np.vstack([start, start]), np.append(width, 0.7 * width)
            course = np.vstack([course, course + 0.8 * random.standard_normal(course.shape)])
        course = course / np.linalg.norm(course, axis=1, keepdims=True)
        end = start + course * random.uniform(6, 14, (len(start), 1))
        near = np.minimum(start[:, 2], end[:, 2]) - width < planes.max()
        near &= np.maximum(start[:, 2], end[:, 2]) + width > planes.min()
        for piece in np.flatnonzero(near):
            _draw_tube(result, start[piece], end[piece], width[piece], x, y, planes)
        start, width = end, 0.88 * width
        course = course + 0.35 * random.standard_normal(course.shape)
    return result


def _draw_tube(result, start, end, width, x, y, planes):
    """Draw one straight piece of vessel into ``result``, averaged over the planes."""
    spacing, reach = x[0, 1] - x[0, 0], width + 1.0
    first, last = np.minimum(start, end) - reach, np.maximum(start, end) + reach
    left, right = int((first[0] - x[0, 0]) / spacing), int((last[0] - x[0, 0]) / spacing) + 2
    top, bottom = int((first[1] - y[0, 0]) / spacing), int((last[1] - y[0, 0]) / spacing) + 2
    window = np.s_[max(0, top) : max(0, bottom), max(0, left) : max(0, right)]
    start, end, width = start.astype(np.float32), end.astype(np.float32), np.float32(width)
    px, py, pz = x[:, window[1]] - start[0], y[window[0]] - start[1], planes - start[2]
    if px.size == 0 or py.size == 0:
        return
    axis = end - start
    along = np.clip((px * axis[0] + py * axis[1] + pz * axis[2]) / (axis @ axis), 0, 1)
    away = np.sqrt((px - along * axis[0]) ** 2 + (py - along * axis[1]) ** 2 + (pz - along * axis[2]) ** 2)
    tube = np.clip((width - away) / 0.8 + 0.5, 0, 1).mean(axis=0)
    np.maximum(result[window], tube, out=result[window])


def beyond_the_liver(random, radius, x, y, planes, scan):
    """Return what lies beyond the liver's edge: the (h, w) share of each voxel outside the liver, and its HU."""
    side, spacing = x.shape[1], scan["spacing"]
    angle = random.uniform(0, 2 * np.pi)
    normal = x * np.cos(angle) + y * np.sin(angle)
    along = y * np.cos(angle) - x * np.sin(angle)
    gap = radius * random.uniform(1.0, 1.6)
    # The liver is convex: its edge falls back to either side. Mild bumps, and a slant from plane to plane.
    surface = (
        normal
        - gap
        + along**2 / (2 * random.uniform(70, 250))
        + random.uniform(0.4, 1.2) * smooth_fields(random, 1, side, 14 / spacing)[0]
    )
    depth = surface + random.uniform(-0.7, 0.7) * planes
    texture = smooth_fields(random, 1, side, 5 / spacing)[0]
    kind = random.choice(["chest wall", "lung", "fat"], p=[0.45, 0.25, 0.3])
    fat = random.uniform(-112, -88)
    if kind == "chest wall":
        # Fat stripe, muscle with ribs, fat under the skin.
        inner, muscle = random.uniform(0.8, 6), random.uniform(8, 16)
        layers = [(0, fat), (inner, fat), (inner + 0.6, 58), (inner + muscle, 58), (inner + muscle + 0.8, fat)]
    elif kind == "lung":
        diaphragm = random.uniform(0.8, 3)
        layers = [(0, 45), (diaphragm, 45), (diaphragm + 0.8, -860)]
    else:
        # Fat, then an organ: stomach, bowel, kidney, or the next segment of liver beyond a fissure.
        inner = random.gamma(2.0, 3.5) + 1.5
        layers = [(0, fat), (inner, fat), (inner + 0.6, random.choice([15, 35, 60, 120, scan["liver"]]))]
    distances, values = zip(*layers, strict=True)
    hu = np.interp(depth, distances, values).astype(np.float32)
    if kind == "chest wall":
        length, thick = random.uniform(6, 18), random.uniform(3, 4.5)
        period = 2 * length + random.uniform(12, 40)
        place = np.mod(along + random.uniform(0, period), period) - period / 2
        bone = np.sqrt((place / length) ** 2 + ((depth - inner - 0.45 * muscle) / thick) ** 2)
        hu += _step((1 - bone) * thick / 0.35) * (np.where(bone > 0.72, random.uniform(450, 800), 220) - hu)
    outside = np.clip(depth / 0.8 + 0.5, 0, 1)
    mean_outside = outside.mean(axis=0)
    # Averaged with their share, so that a slanted edge is a partial volume of the right tissues.
    return mean_outside, (outside * hu).mean(axis=0) / np.maximum(mean_outside, 1e-6) + 7 * texture


def ct_noise(random, side, scan):
    """Return (side, side) CT noise in HU: ramp times kernel, and mottle in the low frequencies."""
    across = np.fft.rfftfreq(side, scan["spacing"]).astype(np.float32)
    down = np.fft.fftfreq(side, scan["spacing"]).astype(np.float32)[:, None]
    squared = across**2 + down**2
    fine = squared * np.exp(-2 * squared / scan["cutoff"] ** 2)
    coarse = np.exp(-squared * (2 * np.pi * scan["mottle_scale"]) ** 2)
    coarse[0, 0] = 0
    power = (1 - scan["mottle"]) * fine / fine.sum() + scan["mottle"] * coarse / coarse.sum()
    waves = random.standard_normal((2, *squared.shape), dtype=np.float32)
    # rfft keeps half of the waves: each stands for two, hence the half in the variance of its parts.
    field = irfft2((waves[0] + 1j * waves[1]) * np.sqrt(power / 4), s=(side, side), norm="forward")
    return scan["noise"] * field.astype(np.float32)


def drawn_outline(random, inside, spacing):
    """Return the radiologist's outline: the lesion's surface, smoothed, drawn a little too tight or too wide."""
    hand = random.normal(0.1, 0.35) + 0.35 * smooth_fields(random, 1, inside.shape[0], 7 / spacing)[0]
    mask = (cv2.GaussianBlur(inside, (0, 0), 0.8 / spacing) + hand > 0).astype(np.uint8)
    _, parts, table, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    largest = 1 + int(np.argmax(table[1:, cv2.CC_STAT_AREA]))
    curve, _ = cv2.findContours((parts == largest).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    # Filling the outer curve closes holes.
    return cv2.drawContours(np.zeros_like(mask), curve, -1, 1, cv2.FILLED).astype(bool)
