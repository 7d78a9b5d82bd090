"""The user's table of lesions: a CSV as programs write it becomes rows, and every problem is collected with its line."""

import csv
import io
import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from .cohort import ROLES
from .crops import Source
from .errors import DataError
from .pictures import is_picture

REQUIRED = ("lesion_id", "patient_id", "image")
BOX = ("x1", "y1", "x2", "y2", "slice")
OPTIONAL = ("mask", *BOX, "role", "segment", "spacing_mm", "hu_offset", "intensity")
#: What the name of a class may hold. It stands in tables, figures and web pages, where other characters are markup.
CLASS_NAME = re.compile(r"[\w .,:;'%()/+-]")
#: Texts that stand for no label.
EMPTY = ("", "nan", "na", "n/a", "null")
#: A message lists this many problems, then a count of the rest.
PROBLEMS_SHOWN = 20


@dataclass(frozen=True)
class Row:
    """One line of the table, its cells parsed; ``cells`` holds them as they stand, by column."""

    line: int
    lesion_id: str
    patient_id: str
    label: str
    role: str
    source: Source
    cells: dict = field(repr=False)


def read_rows(path, label):
    """Read the table without opening an image.

    Parameters
    ----------
    path : Path
        The CSV; see :func:`readers.read_table`.
    label : str or None
        The column that holds the classes; None leaves labels empty and unchecked.

    Returns
    -------
    rows : list of Row
    problems : list of (int, str)
        Line (0 is the whole table) and what is wrong there. DataError is raised if it is no table or columns are missing.
    """
    path = Path(path)
    columns, records, problems = read_records(path)
    _check_columns(path, columns, label)
    rows = []
    for line, cells in records:
        try:
            rows.append(_parse_row(path.parent, line, dict(zip(columns, cells, strict=True)), label))
        except DataError as error:
            problems.append((line, str(error)))
    if not problems and label is not None:
        problems += _check_classes(rows, label)
    return rows, problems + _check_between_rows(rows)


def report(path, problems):
    """Return one message: the first problems, and a count of the rest."""
    lines = [f"  line {line}: {text}" if line else f"  whole table: {text}" for line, text in sorted(problems)]
    if len(lines) > PROBLEMS_SHOWN:
        lines[PROBLEMS_SHOWN:] = [f"  ... and {len(lines) - PROBLEMS_SHOWN} more"]
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return "\n".join([f"{path}: {count}; nothing was run. Mend the table or the files and start again:", *lines])


def read_records(path):
    """Read a CSV as programs write it: any usual separator and text encoding.

    Parameters
    ----------
    path : Path

    Returns
    -------
    columns : list of str
    records : list of (int, list of str)
        Line and cells of each row that fits the columns.
    problems : list of (int, str)
        Line of each row that does not, and what is wrong there.

    Raises
    ------
    DataError
        If it is missing, empty or no CSV.
    """
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
        raise DataError(f"{path} is empty; it needs a line of column names, then the rows")
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
        small = {column.lower() for column in columns}
        remedy = "write it in small letters" if set(missing) <= small else "add it"
        raise DataError(f"{path}: missing column {', '.join(missing)}; {remedy} ({there})")
    if "mask" not in columns and not set(BOX[:4]) <= set(columns):
        raise DataError(f"{path}: missing column mask, or all of {', '.join(BOX)}; add the outlines ({there})")
    if label is not None and label not in columns:
        raise DataError(f"{path}: label column '{label}' is unknown; choose another ({there})")
    if label in REQUIRED + OPTIONAL:
        raise DataError(f"{path}: column '{label}' is no label, it has a meaning of its own; choose another ({there})")


def check_class_name(name, place):
    """Raise DataError if the name of a class, which stands in ``place``, holds characters that it may not."""
    strange = "".join(sorted(set(CLASS_NAME.sub("", name))))
    if strange:
        raise DataError(
            f"the label '{name}' {place} holds {strange}; write it with letters, digits, spaces and . , : ; ' % ( ) / + - _ only"
        )


def _parse_row(folder, line, cells, label):
    for name in REQUIRED:
        if not cells[name]:
            raise DataError(f"{name} is empty; fill it in or delete the row")
    value = "" if label is None else plain_number(cells[label])
    if label is not None and value.lower() in EMPTY:
        raise DataError(f"the label in column {label} is empty; fill it in or delete the row")
    check_class_name(value, f"in column {label}")
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
    if is_picture(Path(cells["image"])) and not cells.get("slice"):
        cells = cells | {"slice": "0"}
    box = None if mask else tuple(_number(cells, name) for name in BOX)
    if box and None in box:
        raise DataError(f"has no outline; fill in mask or all of {', '.join(BOX)}, or delete the row")
    return Row(
        line=line,
        lesion_id=cells["lesion_id"],
        patient_id=cells["patient_id"],
        label=value,
        role=role,
        source=Source(
            image=_resolve(folder, cells["image"]),
            mask=_resolve(folder, mask) if mask else None,
            box=box,
            segment=plain_number(cells.get("segment", "")) or None,
            spacing=spacing,
            offset=_number(cells, "hu_offset") or 0.0,
            intensity=intensity,
        ),
        cells=cells,
    )


def plain_number(text):
    """Return ``1`` for ``1.0``: whole numbers that passed through a table of floats come so."""
    return re.sub(r"^([+-]?\d+)[.,]0+$", r"\1", text)


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
            (
                ("mask", source.mask if source.mask and source.mask != source.image else row.line),
                row.patient_id,
                f"mask {source.mask} is of patient '{row.patient_id}' and of another; correct mask or patient_id",
            ),
            (("intensity",), source.intensity, f"intensity {source.intensity} and another; use one in the whole table"),
        ):
            first, line = seen.setdefault(looked_up, (value, row.line))
            if first != value:
                problems.append((row.line, f"{message} (compare line {line})"))
    return problems


def sorted_labels(names):
    """Return the class names in order: as numbers if all of them are, else by the alphabet."""
    try:
        return tuple(sorted(names, key=lambda name: (float(name), name)))
    except ValueError:
        return tuple(sorted(names))
