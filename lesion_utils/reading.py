"""The reader study (paper, section 4.4): which ROIs are shown, and the page on which a person reads them.

The page is one HTML file that needs no network. It holds images, opaque ids and class names, but not the truth: that is in the
key, ``reader_study_key.csv``, which stays in the run's folder. What comes back is read by :mod:`answers` and weighed by
:mod:`agreement`.
"""

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from .errors import DataError, MissingInputError, SettingsError
from .files import write_csv, write_text
from .gans import GANS
from .sampling import chosen_synthetic
from .settings import require_choice
from .streams import stream
from .units import fingerprint

#: What the second question asks.
ORIGINS = ("real", "synthetic")
#: Columns of a study's key.
KEY_COLUMNS = ["study", "item", "origin", "class", "fold", "lesion_id", "sample"]
KEY_FILE = "reader_study_key.csv"
PAGE_FILE = "reader_study.html"
TEMPLATE = Path(__file__).with_name(PAGE_FILE)


@dataclass(frozen=True)
class Study:
    """The ROIs of a reader study in the order of their ids.

    Attributes
    ----------
    classes : tuple of str
    key : DataFrame
        Columns :data:`KEY_COLUMNS`: what each item is. A real ROI has a ``lesion_id`` and the fold that tests it; a synthetic one
        has the fold of its GAN and its number (``sample``) among that GAN's ROIs.
    pixels : (n, 64, 64) uint8
        What is shown, to people and machines alike: the window is applied, 256 grey levels.
    """

    classes: tuple
    key: pd.DataFrame
    pixels: np.ndarray = field(repr=False)

    @property
    def id(self):
        """Name of this very set of ROIs; it is written into every reader's file."""
        return self.key["study"].iloc[0]

    @property
    def images(self):
        """(n, 64, 64, 1) float32 in [0, 1]: the shown pixels as a network wants them."""
        return self.pixels[..., None].astype(np.float32) / 255


def eight_bit(images):
    """Return (n, 64, 64, 1) images in [0, 1] as (n, 64, 64) uint8."""
    return np.round(np.clip(images[..., 0], 0, 1) * 255).astype(np.uint8)


def make_study(state, *, real=None, synthetic=None, gan="dcgan", seed=0):
    """Choose the ROIs of a study and give them ids in random order, so that an id tells nothing.

    Parameters
    ----------
    state : Run
    real : int, optional
        Original ROIs of the cohort, each at most once, dealt evenly to the classes as far as these have lesions. None: all; if
        ``synthetic`` is None too, of no class more than half of its synthetic ROIs, because the other half trains a reader.
    synthetic : int, optional
        Samples of the GAN, dealt evenly to classes and folds. None: of each class as many as real ones. The paper: 182 and 120.
    gan : str
    seed : int
        The repetition whose folds and GANs are used.

    Returns
    -------
    Study

    Raises
    ------
    SettingsError
        If the run has fewer ROIs than asked for, or ``gan`` is unknown; names the parameter.
    MissingInputError
        If a GAN has not been sampled yet, or its amounts have not been chosen.
    """
    require_choice("gan", gan, GANS)
    random = np.random.default_rng(stream(seed, "reading"))
    k, cohort, folds = len(state.classes), state.cohort, state.folds(seed)
    counts = _counts("real", real, np.bincount(cohort.label, minlength=k))
    made = {fold: chosen_synthetic(state, gan, seed, fold) for fold in state.fold_numbers}
    available = np.array([np.bincount(rois.label, minlength=k) for rois in made.values()])
    if real is None and synthetic is None:
        counts = np.minimum(counts, available.sum(axis=0) // 2)
    lesions = np.sort(np.concatenate([_draw(random, np.flatnonzero(cohort.label == label), counts[label]) for label in range(k)]))
    if synthetic is None and (short := np.flatnonzero(available.sum(axis=0) < counts)).size:
        label = short[0]
        raise SettingsError(
            f"parameter 'synthetic' is None, as many of each class as real ones ({counts[label]}), but the run has "
            f"{available[:, label].sum()} of class {state.classes[label]}; give a number, or draw more (samples_per_class)"
        )
    wanted = counts if synthetic is None else _counts("synthetic", synthetic, available.sum(axis=0))
    rows = [("real", cohort.label[n], folds[n], cohort.lesion_id[n], -1) for n in lesions]
    images = [state.originals.images[lesions]]
    for label in range(k):
        for fold, count in zip(made, even_counts(wanted[label], available[:, label]), strict=True):
            chosen = np.sort(_draw(random, np.flatnonzero(made[fold].label == label), count))
            rows += [("synthetic", label, fold, "", n) for n in chosen]
            images.append(made[fold].images[chosen])
    shuffled = random.permutation(len(rows))
    pixels = eight_bit(np.concatenate(images))[shuffled]
    key = pd.DataFrame([rows[n] for n in shuffled], columns=["origin", "class", "fold", "lesion_id", "sample"])
    truth = [key["class"].to_numpy(np.int64), (key["origin"] == "real").to_numpy()]
    key.insert(0, "item", [f"R{n + 1:0{max(3, len(str(len(key))))}d}" for n in range(len(key))])
    # A letter first: a spreadsheet would take digits, or digits around an e, for a number and change it.
    key.insert(0, "study", "S" + fingerprint(arrays=[pixels, *truth], classes=list(state.classes)))
    key["class"] = np.array(state.classes, object)[truth[0]]
    return Study(tuple(state.classes), key, pixels)


def _counts(name, total, available):
    """Return how many ROIs of each class make up ``total``; None takes all."""
    if total is None:
        return available
    if not isinstance(total, int) or isinstance(total, bool) or total < 1:
        raise SettingsError(f"parameter '{name}' is {total!r}; give a whole number above 0, or None")
    if total > available.sum():
        raise SettingsError(
            f"parameter '{name}' is {total}, but the run has {available.sum()} {name} ROIs; give a smaller number, or None"
        )
    return even_counts(total, available)


def even_counts(total, available):
    """Deal ``total`` to groups as evenly as what is ``available`` in each allows; ``total`` is at most their sum."""
    counts = np.zeros(len(available), int)
    for place, group in enumerate(np.argsort(available, kind="stable")):
        counts[group] = min(available[group], (total - counts.sum()) // (len(available) - place))
    return counts


def _draw(random, numbers, count):
    return random.choice(numbers, count, replace=False)


def study_page(study):
    """Return the HTML text of the page: images, ids and class names, without the truth.

    Class names come from users' tables. They stand in the page only inside a block of JSON in which no character can end the
    block, and the page's script sets them as text, never as HTML. A content security policy lets the page's own script and style
    run, named by their hashes, and nothing else; nor may the page load or send anything.
    """
    items = [{"id": item, "image": _data_uri(pixels)} for item, pixels in zip(study.key["item"], study.pixels, strict=True)]
    content = {"study": study.id, "classes": list(study.classes), "origins": list(ORIGINS), "items": items}
    page = TEMPLATE.read_text(encoding="utf-8")
    for kind in ("style", "script"):
        own = re.search(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
        page = page.replace(f"__{kind.upper()}_HASH__", f"sha256-{digest}")
    return page.replace("__STUDY__", json_for_script(content))


def json_for_script(content):
    """Return JSON that can stand in a ``<script>`` element: <, >, & and the line ends U+2028 and U+2029 as escapes."""
    text = json.dumps(content, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _data_uri(pixels):
    _, png = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return "data:image/png;base64," + base64.b64encode(png).decode()


def write_study(study, folder):
    """Write ``figures/reader_study.html`` and the key into a run's folder and return the page's path.

    The key of another study, made from other settings or images, is kept as ``reader_study_key_<study>.csv``, so that readings
    made with it are not lost.
    """
    folder = Path(folder)
    path = folder / KEY_FILE
    if path.exists() and (old := read_key(path)["study"].iloc[0]) != study.id:
        path.rename(folder / f"reader_study_key_{old}.csv")
    write_csv(path, study.key.assign(**{"class": study.key["class"].map(guard)}))
    page = folder / "figures" / PAGE_FILE
    write_text(page, study_page(study))
    return page


def read_key(path):
    """Read a key that :func:`write_study` wrote.

    Raises
    ------
    MissingInputError, DataError
        If there is none, or it is not a key.
    """
    if not Path(path).exists():
        raise MissingInputError(f"{path} is missing: run notebooks/08_reader_study.ipynb first (`make book` runs all in order)")
    key = pd.read_csv(path, dtype={"lesion_id": str, "class": str}, keep_default_na=False)
    if list(key.columns) != KEY_COLUMNS or key.empty or key["item"].duplicated().any():
        raise DataError(f"{path} is not the key of a reader study; delete it and run notebook 08_reader_study again")
    return key.assign(**{"class": key["class"].map(unguard)})


def guard(cell):
    """Return text that no spreadsheet takes for a formula: with an apostrophe before =, +, -, @, white space or an apostrophe."""
    return f"'{cell}" if cell[:1] in tuple("=+-@\t\r\n'") else cell


def unguard(cell):
    """Take off what :func:`guard` put before a cell."""
    return cell[1:] if cell.startswith("'") else cell
