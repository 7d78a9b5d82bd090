"""A walk through a generator's latent space for the rendered page: one precomputed picture and two sliders, no server."""

import base64
import json
from html import escape
from pathlib import Path
from string import Template

import cv2
import numpy as np
from keras import ops
from scipy.stats import norm

from . import networks
from .errors import SettingsError
from .rois import ROI_SIZE

TEMPLATE = Path(__file__).with_name("latent_walk.html")
#: Most bytes that the picture of a walk may have.
LARGEST_SHEET = 400_000
#: Rows that are filled with mixtures between the classes, where there are few.
ROWS = 9


def noise_path(noise, *, stops, steps, seed):
    """Return noise vectors on the way from one draw to the next.

    Two independent normal vectors, weighted by the cosine and the sine of an angle, add up to a normal vector: so every point of
    the way is as likely as its ends, which a straight line's are not. Uniform noise goes the same way, by its quantiles.

    Parameters
    ----------
    noise : str
        ``uniform`` or ``normal``.
    stops : int
        Draws that are passed.
    steps : int
        Steps from one to the next.
    seed : int

    Returns
    -------
    ((stops - 1) * steps + 1, 100) float32
    """
    draws = np.random.default_rng(seed).standard_normal((stops, networks.NOISE_SIZE))
    angles = np.arange(steps) / steps * np.pi / 2
    way = [np.cos(angle) * a + np.sin(angle) * b for a, b in zip(draws[:-1], draws[1:], strict=True) for angle in angles]
    path = np.array([*way, draws[-1]])
    return np.float32(2 * norm.cdf(path) - 1 if noise == "uniform" else path)


def class_path(classes):
    """Return the weights on the way from the first class over each next one to the last, (rows, k): at most :data:`ROWS` or k."""
    steps = max(1, (ROWS - 1) // max(classes - 1, 1))
    position = np.linspace(0, classes - 1, (classes - 1) * steps + 1)
    return np.float32(np.maximum(0, 1 - np.abs(position[:, None] - np.arange(classes))))


def draw_walk(generator, *, classes, noise, seed, stops=4, steps=6):
    """Draw every image of a walk.

    Parameters
    ----------
    generator : keras.Model
        Of an ACGAN.
    classes : int
    noise, stops, steps, seed
        See :func:`noise_path`.

    Returns
    -------
    (rows, columns, 64, 64) float32 in [0, 1]
        Rows mix classes (:func:`class_path`), columns mix noise.
    """
    path = noise_path(noise, stops=stops, steps=steps, seed=seed)
    rows = [generator([path, np.tile(weights, (len(path), 1))], training=False) for weights in class_path(classes)]
    return np.clip((np.stack([ops.convert_to_numpy(row)[..., 0] for row in rows]) + 1) / 2, 0, 1)


def sheet(images, largest=LARGEST_SHEET):
    """Return the images of a walk side by side as one JPEG, in the best quality that ``largest`` bytes allow.

    Raises
    ------
    SettingsError
        If even a poor quality needs more.
    """
    rows, columns = images.shape[:2]
    panel = np.round(255 * images).astype(np.uint8).swapaxes(1, 2).reshape(rows * ROI_SIZE, columns * ROI_SIZE)
    for quality in range(90, 40, -10):
        _, jpeg = cv2.imencode(".jpg", panel, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if len(jpeg) <= largest:
            return jpeg.tobytes()
    raise SettingsError(f"a walk of {rows} x {columns} images needs more than {largest:,} bytes: draw fewer stops or steps")


def class_names(weights, classes):
    """Return what each row asks for, in words: ``cyst``, or ``75 % cyst, 25 % metastasis``."""
    mixed = [[(share, name) for share, name in zip(row, classes, strict=True) if share > 0] for row in weights]
    return [", ".join(name if share == 1 else f"{100 * share:.0f} % {name}" for share, name in row) for row in mixed]


def walk_page(images, classes, *, steps=6):
    """Return a walk as HTML: the picture, whole where no script runs, and sliders that show one image of it.

    Class names come from users' tables: they stand in the page as attributes, with every special character escaped, and the
    script sets them as text.

    Parameters
    ----------
    images : (rows, columns, 64, 64) in [0, 1]
        From :func:`draw_walk`.
    classes : sequence of str
    steps : int
        As the walk was drawn with.

    Returns
    -------
    str
    """
    rows, columns = images.shape[:2]
    stops = (columns - 1) // steps + 1
    about = (
        f"Sheet of {rows} times {columns} synthetic lesions: from top to bottom the class changes from {' over '.join(classes)}"
    )
    values = {
        "picture": "data:image/jpeg;base64," + base64.b64encode(sheet(images)).decode(),
        "alt": f"{about}; from left to right the noise changes over {stops} draws",
        "labels": json.dumps(class_names(class_path(len(classes)), classes)),
        "last_row": rows - 1,
        "last_column": columns - 1,
        "steps": steps,
    }
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute({name: escape(str(value)) for name, value in values.items()})
