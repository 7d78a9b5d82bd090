"""What a table of lesions holds, said before any training: counts, sizes, values, formats, and every problem.

Of images only numbers are told. Nothing of a DICOM header that belongs to a person is read, let alone printed.
"""

from collections import Counter
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from .crops import Crop
from .errors import DataError
from .readers import read_lesions
from .rois import leaves_slice, lesion_geometry, sampling_matrices
from .table import BOX, EMPTY, OPTIONAL, REQUIRED, plain_number, sorted_labels

#: Tissue around the lesion that the usual profiles take, as a share of its diameter, and the widest that augmentation takes.
MARGIN, WIDEST_MARGIN = 0.25, 0.4
#: Grey window of the usual profiles, HU from black to white, and the share of the lesions that may lie beyond it without a word.
WINDOW, BEYOND = (-140, 260), 0.05
#: Folds of the usual profiles; each needs a patient of every class.
FOLDS = 3
#: A column with more values than this is hardly one of classes.
MOST_CLASSES = 12


def describe(path, label=None, progress=None):
    """Read a whole table and say what was found.

    Parameters
    ----------
    path : str or Path
        See :func:`readers.read_table`.
    label : str, optional
        The column that holds the classes; without it, columns that could are listed.
    progress : callable, optional
        As of :func:`readers.read_table`.

    Returns
    -------
    text : str
        A summary, then every problem with its line.
    problems : int
        How many there are.
    """
    path = Path(path)
    try:
        rows, crops, problems = read_lesions(path, label, progress)
    except DataError as error:
        return f"problems: 1\n  {error}", 1
    if label is not None and rows:
        problems += _few_patients(rows, label)
    lines = [f"{path}: {_count(len(rows), 'row')} understood"]
    if rows:
        lines += [f"  {name + ':' if name else '':<12}{text}" for name, text in _table_lines(rows, label)]
    usable = [(row, crop) for row, crop in zip(rows, crops, strict=True) if isinstance(crop, Crop)]
    if usable:
        lines += [
            f"  {name + ':' if name else '':<12}{text}" for name, text in _image_lines(*map(list, zip(*usable, strict=True)))
        ]
    lines.append(f"problems: {len(problems) or 'none'}")
    lines += [f"  line {line}: {text}" if line else f"  whole table: {text}" for line, text in sorted(problems)]
    return "\n".join(lines), len(problems)


def _count(number, noun):
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _few_patients(rows, label):
    """Return classes with fewer patients than the folds of the usual profiles need."""
    found, names = [], sorted_labels({row.label for row in rows})
    for name in names:
        patients = {row.patient_id for row in rows if row.label == name and row.role == "cohort"}
        if 0 < len(patients) < FOLDS:
            text = f"class '{name}' of column {label} has {_count(len(patients), 'patient')} of role cohort, fewer than the"
            alike = get_close_matches(name, [other for other in names if other != name and not other[-1].isdigit()], 1, 0.8)
            remedy = f"correct it if '{alike[0]}' is meant, " if alike else ""
            found.append((0, f"{text} {FOLDS} folds; {remedy}add patients, merge classes, or set folds to a smaller number"))
    return found


def _table_lines(rows, label):
    """Yield what the table alone tells."""
    each = Counter(row.patient_id for row in rows)
    if len(each) < len(rows):
        yield "patients", f"{len(each):,}, with {_range(list(each.values()), ' lesions')} each"
    else:
        yield "patients", f"{len(each):,}, with 1 lesion each"
        yield "", "every lesion is a patient of its own: if two images are of one person, give them one patient_id,"
        yield "", "or the same person trains and tests, and every result is too good"
    if label is not None:
        for number, name in enumerate(sorted_labels({row.label for row in rows})):
            own = [row for row in rows if row.label == name]
            patients = _count(len({row.patient_id for row in own}), "patient")
            yield ("" if number else "classes"), f"{name}: {_count(len(own), 'lesion')} of {patients}"
    else:
        yield from _candidates(rows)
    roles = Counter(row.role for row in rows)
    yield "roles", ", ".join(f"{name} {number:,}" for name, number in roles.items())


def _candidates(rows):
    """Yield columns that could be a label, with their values."""
    found = False
    for name in rows[0].cells:
        values = Counter(plain_number(row.cells[name]) for row in rows)
        if name in (*REQUIRED, *OPTIONAL, *BOX) or not 2 <= len(values) <= MOST_CLASSES or 2 * len(values) > len(rows):
            continue
        empty = sum(number for value, number in values.items() if value.lower() in EMPTY)
        shown = ", ".join(f"{value} {values[value]:,}" for value in sorted_labels(set(values)) if value.lower() not in EMPTY)
        yield ("" if found else "labels"), f"{name}: {shown}" + (f", empty {empty:,}" if empty else "")
        found = True
    if not found:
        yield "labels", f"no column has 2 to {MOST_CLASSES} different values that could be classes; add one"


def _image_lines(rows, crops):
    """Yield what the images and outlines tell."""
    formats = Counter(crop.image_format for crop in crops)
    images = {row.source.image for row in rows}
    yield "images", f"{len(images):,}; lesions in " + ", ".join(f"{name} {number:,}" for name, number in formats.most_common())
    outlines = Counter(crop.outline_format for crop in crops)
    yield "outlines", ", ".join(f"{name} {number:,}" for name, number in outlines.most_common())
    unit = "HU" if rows[0].source.intensity == "hu" else "grey levels"
    low, high = min(crop.lowest for crop in crops), max(crop.highest for crop in crops)
    yield (
        "values",
        f"{low:.0f} to {high:.0f} {unit} in the lesions' slices, "
        + _middle([float(np.median(crop.pixels[crop.outline])) for crop in crops], f" {unit} inside the outlines"),
    )
    beyond = np.mean([((crop.pixels < WINDOW[0]) | (crop.pixels > WINDOW[1]))[crop.outline].mean() for crop in crops])
    if unit != "HU" or beyond > BEYOND:
        share = f"; {100 * beyond:.0f} % of what is outlined here would be black or white" if unit == "HU" else ""
        yield "window", f"the usual one, {WINDOW[0]} to {WINDOW[1]} HU, is made for the liver{share}:"
        yield "", "set window_level and window_width to suit these values (SETTINGS=my.yml)"
    measured = [crop for crop in crops if crop.measured]
    if measured:
        yield "pixels", _range([crop.spacing for crop in measured], " mm")
    if len(measured) < len(crops):
        unknown = _count(len(crops) - len(measured), "lesion")
        yield ("" if measured else "pixels"), f"of unknown size for {unknown}: 1 mm is taken"
    centre, diameter = lesion_geometry([crop.outline for crop in crops])
    spacing = np.array([crop.spacing for crop in crops])
    yield "sizes", _range(diameter * spacing, " mm across")
    yield "", _range(diameter, " pixels across")
    shapes = np.array([crop.pixels.shape for crop in crops])
    for margin, name in ((MARGIN, "edges"), (WIDEST_MARGIN, "")):
        leaving = int(leaves_slice(sampling_matrices(centre, diameter, margin=margin), shapes).sum())
        part = f"{leaving:,} of {len(crops):,} ROIs leave their slice"
        yield name, f"{part} with a margin of {margin:g} diameters (pixels are mirrored there)"


def _range(values, unit):
    low, high = min(values), max(values)
    if f"{low:.4g}" == f"{high:.4g}":
        return f"{low:.4g}{unit}"
    return f"{low:.4g} to {high:.4g}{unit} (median {np.median(values):.4g})"


def _middle(values, unit):
    low, middle, high = np.percentile(values, [5, 50, 95])
    return f"median {middle:.0f} (5 to 95 %: {low:.0f} to {high:.0f}){unit}"
