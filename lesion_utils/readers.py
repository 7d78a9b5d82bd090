"""Reading a user's own lesions: a table, CT volumes and outlines become a cohort of axial slices.

Every problem of the table is collected and reported at once, with its line and a remedy, before anything is trained.
The cohort holds none of the user's ids or paths; the key that maps them back is a table of its own.
"""

import csv
import io
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from .cohort import ROLES, Cohort
from .errors import DataError
from .files import write_csv
from .volumes import Source, read_crops

REQUIRED = ("lesion_id", "patient_id", "image")
BOX = ("x1", "y1", "x2", "y2", "slice")
OPTIONAL = ("mask", *BOX, "role", "segment", "spacing_mm", "hu_offset", "intensity")
#: A message lists this many problems, then a count of the rest.
PROBLEMS_SHOWN = 20


@dataclass(frozen=True)
class _Row:
    """One line of the table, its cells parsed."""

    line: int
    lesion_id: str
    patient_id: str
    label: str
    role: str
    source: Source


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
    path = Path(path)
    columns, records, problems = _read_records(path)
    _check_columns(path, columns, label)
    rows = []
    for line, cells in records:
        try:
            rows.append(_parse_row(path.parent, line, dict(zip(columns, cells, strict=True)), label))
        except DataError as error:
            problems.append((line, str(error)))
    if not problems:
        problems += _check_classes(rows, label)
    problems += _check_between_rows(rows)
    crops = read_crops([row.source for row in rows], progress)
    problems += [(row.line, str(crop)) for row, crop in zip(rows, crops, strict=True) if isinstance(crop, DataError)]
    problems += _check_hounsfield(rows, [crop for crop in crops if not isinstance(crop, DataError)])
    if problems:
        raise DataError(_report(path, problems))
    return _build_cohort(rows, crops, seed)


def write_key(path, key):
    """Write the key of :func:`read_table` to ``path`` (CSV), readable by its owner alone, whole or not at all."""
    write_csv(path, key, mode=0o600)


def _report(path, problems):
    lines = [f"  line {line}: {text}" if line else f"  whole table: {text}" for line, text in sorted(problems)]
    if len(lines) > PROBLEMS_SHOWN:
        lines[PROBLEMS_SHOWN:] = [f"  ... and {len(lines) - PROBLEMS_SHOWN} more"]
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return "\n".join([f"{path}: {count}; nothing was run. Mend the table or the files and start again:", *lines])


def _read_records(path):
    """Return the column names, ``[(line, cells)]`` of the rows that fit them, and the problems of those that do not."""
    if not os.path.isfile(path):
        raise DataError(f"{path} is missing or not a file (looked for {os.path.abspath(path)}); give the table's path")
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-16" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions") from error
    except UnicodeDecodeError:
        text = raw.decode("cp1252", errors="replace")
    if "\0" in text:
        raise DataError(f"{path} is not a CSV text; in a spreadsheet program choose 'Save as', then CSV")
    header = next((line for line in text.splitlines() if line.strip()), "")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=header.count), strict=True)
    records, line = [], 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                records.append((line, [cell.strip() for cell in cells]))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {line}: not CSV ({error}); look for an unclosed quotation mark there") from error
    if len(records) < 2:
        raise DataError(f"{path} is empty; it needs a line of column names and one row a lesion")
    columns, fitting, problems = records[0][1], [], []
    for line, cells in records[1:]:
        while len(cells) > len(columns) and not cells[-1]:
            cells.pop()
        if len(cells) == len(columns):
            fitting.append((line, cells))
        else:
            problems.append((line, f"has {len(cells)} cells for {len(columns)} columns; correct its separators"))
    return columns, fitting, problems


def _check_columns(path, columns, label):
    """Raise DataError if a column is missing or there twice, or the label is not a column of labels."""
    there = f"its columns are: {', '.join(columns)}"
    for name in columns:
        if name and columns.count(name) > 1:
            raise DataError(f"{path}: column '{name}' is there twice; rename one ({there})")
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise DataError(f"{path}: missing column {', '.join(missing)}; add it ({there})")
    if "mask" not in columns and not set(BOX) <= set(columns):
        raise DataError(f"{path}: missing column mask, or all of {', '.join(BOX)}; add the outlines ({there})")
    if label not in columns:
        raise DataError(f"{path}: label column '{label}' is unknown; choose another ({there})")
    if label in REQUIRED + OPTIONAL:
        raise DataError(f"{path}: column '{label}' is no label, it has a meaning of its own; choose another ({there})")


def _parse_row(folder, line, cells, label):
    for name in REQUIRED:
        if not cells[name]:
            raise DataError(f"{name} is empty; fill it in or delete the row")
    # Whole numbers that passed through a table of floats come as 1.0.
    value = re.sub(r"^([+-]?\d+)[.,]0+$", r"\1", cells[label])
    if value.lower() in ("", "nan", "na", "n/a", "null"):
        raise DataError(f"the label in column {label} is empty; fill it in or delete the row")
    role = cells.get("role", "").lower() or ROLES[0]
    if role not in ROLES:
        raise DataError(f"role '{role}' is unknown; use {', '.join(ROLES)} or leave it empty")
    intensity = cells.get("intensity", "").lower() or "hu"
    if intensity not in ("hu", "grey"):
        raise DataError(f"intensity '{intensity}' is unknown; use hu or grey")
    spacing = _number(cells, "spacing_mm")
    if spacing is not None and spacing <= 0:
        raise DataError(f"spacing_mm is {spacing:g}; give the pixel size in mm, above 0, or leave it empty")
    mask = cells.get("mask", "")
    box = None if mask else tuple(_number(cells, name) for name in BOX)
    if box and None in box:
        raise DataError(f"has no outline; fill in mask or all of {', '.join(BOX)}, or delete the row")
    return _Row(
        line=line,
        lesion_id=cells["lesion_id"],
        patient_id=cells["patient_id"],
        label=value,
        role=role,
        source=Source(
            image=_resolve(folder, cells["image"]),
            mask=_resolve(folder, mask) if mask else None,
            box=box,
            segment=_number(cells, "segment"),
            spacing=spacing,
            offset=_number(cells, "hu_offset") or 0.0,
            intensity=intensity,
        ),
    )


def _resolve(folder, text):
    # Tables made on Windows separate folders by backslashes.
    return Path(os.path.abspath(folder / text.replace("\\", "/")))


def _number(cells, name):
    text = cells.get(name, "")
    if not text:
        return None
    try:
        # Spreadsheets of much of Europe write 0,7 for 0.7.
        value = float(text.replace(",", ".") if re.fullmatch(r"[+-]?\d+,\d+", text) else text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{name} is '{text}', not a number; correct it or leave it empty")
    return value


def _check_classes(rows, label):
    """Return what is wrong with the classes as a whole."""
    names = sorted({row.label for row in rows})
    if len(names) < 2:
        return [(0, f"column {label} holds only '{names[0]}', and two classes are the least; choose another label")]
    if 2 * len(names) > len(rows):
        return [(0, f"column {label} has {len(names)} values in {len(rows)} rows, no classes; choose another")]
    alike = [name for name in names if sum(name.lower() == other.lower() for other in names) > 1]
    if alike:
        return [(0, f"labels {', '.join(alike)} in column {label} differ only in capitals; write them alike")]
    trained = {row.label for row in rows if row.role == ROLES[0]}
    return [
        (0, f"class '{name}' has no lesion with role {ROLES[0]} to train on; change the role of some")
        for name in names
        if name not in trained
    ]


def _check_between_rows(rows):
    """Return rows that contradict or repeat an earlier one."""
    problems, seen = [], {}
    for row in rows:
        source = row.source
        outline = (source.image, source.mask, source.box, source.segment)
        # What is looked up, what the first row that has it must agree in, and the message if it does not.
        for looked_up, value, message in (
            (("lesion", row.lesion_id), row.line, f"lesion_id '{row.lesion_id}' is there twice; give each its own"),
            (
                ("outline", outline),
                row.line,
                "image and outline are there twice; delete one row, or tell lesions of one mask apart by segment",
            ),
            (
                ("patient", row.patient_id),
                row.role,
                f"patient '{row.patient_id}' has role {row.role} and another; give all lesions of a patient one role",
            ),
            (
                ("image", source.image),
                row.patient_id,
                f"image {source.image} is of patient '{row.patient_id}' and of another; correct patient_id",
            ),
            (("intensity",), source.intensity, f"intensity {source.intensity} and another; use one in the whole table"),
        ):
            first, line = seen.setdefault(looked_up, (value, row.line))
            if first != value:
                problems.append((row.line, f"{message} (compare line {line})"))
    return problems


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
    classes = _sorted_labels({row.label for row in rows})
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


def _sorted_labels(names):
    """Return the class names in order: as numbers if all of them are, else by the alphabet."""
    try:
        return tuple(sorted(names, key=lambda name: (float(name), name)))
    except ValueError:
        return tuple(sorted(names))
