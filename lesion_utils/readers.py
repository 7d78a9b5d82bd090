"""Reading a user's own lesions: a table, images and outlines become a cohort of axial slices.

Every problem of the table is collected and reported at once, with its line and a remedy, before anything is trained.
The cohort holds none of the user's ids or paths; the key that maps them back is a table of its own.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from .cohort import Cohort
from .crops import read_crops
from .errors import DataError
from .files import write_csv
from .table import read_rows, report, sorted_labels


def read_table(path, label, *, seed=0, progress=None):
    """Read a table of lesions and, of each lesion, the axial slice with the largest outline.

    Parameters
    ----------
    path : str or Path
        CSV with the columns ``lesion_id, patient_id, image``, an outline (``mask``, or ``x1, y1, x2, y2, slice``) and
        labels; optional ``role, segment, spacing_mm, hu_offset, intensity``. Paths are relative to the table.
    label : str
        The column that holds the classes.
    seed : int
        Order of the anonymous ids. The order of the table's rows has no influence.
    progress : callable, optional
        Wraps an iterable and takes ``total``, as ``tqdm.auto.tqdm`` does; it counts images.

    Returns
    -------
    cohort : Cohort
        Crops of axial slices in HU (or grey levels), int16, at least 2.7 diameters wide where the slice allows it.
    key : pandas.DataFrame
        ``lesion, lesion_id, patient, patient_id``: the cohort's ids beside the table's own.

    Raises
    ------
    DataError
        With every problem found: the file, the line of the table, what is wrong and what to do.
    """
    rows, crops, problems = read_lesions(path, label, progress=progress)
    if problems:
        raise DataError(report(Path(path), problems))
    return _build_cohort(rows, crops, seed)


def read_lesions(path, label, progress=None):
    """Read every row and image of a table, and collect what is wrong.

    Parameters
    ----------
    path, label, progress
        As of :func:`read_table`; without a label (None) classes are not checked.

    Returns
    -------
    rows : list of table.Row
    crops : list of Crop or DataError
        One a row.
    problems : list of (int, str)
        Line (0 is the whole table) and what is wrong there.

    Raises
    ------
    DataError
        If it is no table, or columns are missing.
    """
    rows, problems = read_rows(path, label)
    crops = read_crops([row.source for row in rows], progress)
    problems += [(row.line, str(crop)) for row, crop in zip(rows, crops, strict=True) if isinstance(crop, DataError)]
    problems += _check_hounsfield(rows, [crop for crop in crops if not isinstance(crop, DataError)])
    return rows, crops, problems


def write_key(path, key):
    """Write the key of :func:`read_table` to ``path`` (CSV), readable by its owner alone, whole or not at all."""
    write_csv(path, key, mode=0o600)


def _check_hounsfield(rows, crops):
    """Return a problem if no slice of the table has fat or air, as CT has somewhere."""
    if not crops or rows[0].source.intensity == "grey" or min(crop.lowest for crop in crops) < 0:
        return []
    highest = max(crop.highest for crop in crops)
    remedy = "" if highest <= 255 else "hu_offset (often -1024), or "
    return [(0, f"no image has a value below 0 (highest {highest:.4g}): not HU; set {remedy}intensity to grey")]


def _build_cohort(rows, crops, seed):
    rng = np.random.default_rng(seed)
    lesion = _anonymous("L", {row.lesion_id for row in rows}, rng)
    patient = _anonymous("P", {row.patient_id for row in rows}, rng)
    pairs = sorted(zip(rows, crops, strict=True), key=lambda pair: lesion[pair[0].lesion_id])
    rows, crops = [row for row, _ in pairs], [crop for _, crop in pairs]
    classes = sorted_labels({row.label for row in rows})
    cohort = Cohort(
        classes=classes,
        label=np.array([classes.index(row.label) for row in rows], np.int64),
        lesion_id=np.array([lesion[row.lesion_id] for row in rows]),
        patient_id=np.array([patient[row.patient_id] for row in rows]),
        role=np.array([row.role for row in rows]),
        spacing=np.array([crop.spacing for crop in crops], np.float32),
        slices=[crop.pixels for crop in crops],
        outlines=[crop.outline for crop in crops],
        source="table",
        intensity=rows[0].source.intensity,
    )
    key = pd.DataFrame(
        {
            "lesion": cohort.lesion_id,
            "lesion_id": [row.lesion_id for row in rows],
            "patient": cohort.patient_id,
            "patient_id": [row.patient_id for row in rows],
        }
    )
    return cohort, key


def _anonymous(prefix, names, rng):
    """Return ``{name: prefix and number}`` in random order; sorting first makes it independent of the table's order."""
    width = max(4, len(str(len(names))))
    numbers = rng.permutation(len(names)) + 1
    return {name: f"{prefix}{number:0{width}d}" for name, number in zip(sorted(names), numbers, strict=True)}
