"""Answers to the reader study: the files that people send back from its page, checked, and machines' answers."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from .errors import DataError
from .reading import ORIGINS, guard, unguard
from .settings import run_folder

#: Columns of a reader's file. ``order`` is the number that seeds the reader's random order; rows are in that order.
ANSWER_COLUMNS = ["study", "reader", "order", "item", "class", "origin", "seconds"]


def machine_answers(study, reader, *, label=None, origin=None):
    """Return a machine's answers in the form of :func:`read_readers`; a question it does not answer is empty text.

    Parameters
    ----------
    reader : str
        Its name; say what it is, so that no one takes it for a person.
    label : (n,) int, optional
        Class of each of the study's items, by number.
    origin : (n,) int, optional
        Place in :data:`ORIGINS`: 0 real, 1 synthetic.
    """
    frame = pd.DataFrame({"reader": reader, "item": study.key["item"], "class": "", "origin": "", "seconds": np.nan})
    if label is not None:
        frame["class"] = np.array(study.classes, object)[np.asarray(label)]
    if origin is not None:
        frame["origin"] = np.array(ORIGINS, object)[np.asarray(origin)]
    return frame


@dataclass(frozen=True)
class Reading:
    """One reader's file.

    Attributes
    ----------
    reader : str
        As the reader wrote it on the page, perhaps empty; not for publication.
    order : str
        Seed of the reader's random order.
    answers : DataFrame
        Columns ``item``, ``class``, ``origin``, ``seconds``; an answer that was not given is empty text.
    warnings : list of str
        What is not as it should be and was counted.
    """

    reader: str
    order: str
    answers: pd.DataFrame
    warnings: list


def reader_paths(folder, reader_files=()):
    """Return readers' files, each once: those named, relative to the project, then every ``*.csv`` in the run's ``readers/``."""
    named = [run_folder(path) for path in reader_files]
    found = sorted(path for path in (Path(folder) / "readers").glob("*.csv") if not path.name.startswith("."))
    return list({path.resolve(): path for path in [*named, *found]}.values())


def read_readers(paths, key, classes):
    """Read several readers' files; see :func:`read_answers`.

    Returns
    -------
    answers : DataFrame
        Columns ``reader`` (``reader_1``, ``reader_2``, ... in the order of ``paths``), ``item``, ``class``, ``origin`` and
        ``seconds``.
    warnings : list of str

    Raises
    ------
    DataError
        Also if two files are of the same reader in the same order: one of them is an earlier state of the other.
    """
    readings, warnings, parts, seen = [read_answers(path, key, classes) for path in paths], [], [], {}
    for number, (path, reading) in enumerate(zip(paths, readings, strict=True), 1):
        who = (reading.reader, reading.order)
        if who in seen:
            raise DataError(f"{seen[who]} and {path} are files of the same reading (same reader, same order); keep the later one")
        seen[who] = path
        warnings += [f"reader_{number}: {warning}" for warning in reading.warnings]
        parts.append(reading.answers.assign(reader=f"reader_{number}"))
    columns = ["reader", "item", "class", "origin", "seconds"]
    return (pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns))[columns], warnings


def read_answers(path, key, classes):
    """Read and check a reader's file, however a spreadsheet may have saved it: byte-order mark, semicolons, tabs.

    Parameters
    ----------
    path : str or Path
    key : DataFrame
        From :func:`read_key` or ``Study.key``.
    classes : sequence of str

    Returns
    -------
    Reading
        Missing answers, missing items, repeated rows that say the same, unknown columns and times that are no numbers are
        counted in its ``warnings``.

    Raises
    ------
    DataError
        If it is not such a file, is of another study or of two readers, has unknown items, classes or origins, or answers one
        item in two ways. Names the file and the row.
    """
    names = {_plain(guard(name)): name for name in classes}
    origins = {"": "", **{origin: origin for origin in ORIGINS}}
    rows, warnings = _rows(path)
    for column, what in (("study", "studies"), ("reader", "readers"), ("order", "random orders")):
        values = {row[column] for _, row in rows}
        if len(values) > 1:
            raise DataError(f"{path} holds rows of {len(values)} {what}: save one file for each reading")
    study = rows[0][1]["study"]
    if study != key["study"].iloc[0]:
        raise DataError(
            f"{path} belongs to study {study or '(none)'}, but this run's study is {key['study'].iloc[0]}: the page was made "
            "from other settings or images; set them again, or let the reader read the present page"
        )
    known, answers, repeated, untimed = set(key["item"]), {}, 0, 0
    for line, row in rows:
        item, name, origin = row["item"], row["class"], row["origin"].lower()
        if item not in known:
            raise DataError(f"{path}, row {line}: item {item!r} is not in study {study}; restore the ids the page wrote")
        if name and name not in names:
            raise DataError(f"{path}, row {line}: class {name!r} is unknown; known are {', '.join(map(repr, classes))}")
        if origin not in origins:
            raise DataError(f"{path}, row {line}: origin {row['origin']!r} is unknown; write real or synthetic, or nothing")
        answer = (names[name] if name else "", origin)
        if item in answers:
            if answers[item][:2] != answer:
                raise DataError(f"{path}, row {line}: item {item} was answered differently before; keep one of the two rows")
            repeated += 1
            continue
        seconds = _number(row["seconds"])
        untimed += bool(row["seconds"]) and not np.isfinite(seconds)
        answers[item] = (*answer, seconds)
    frame = pd.DataFrame([(item, *answer) for item, answer in answers.items()], columns=["item", "class", "origin", "seconds"])
    n = len(known)
    counted = {
        f"of {n} ROIs are not in the file": n - len(frame),
        f"of {len(frame)} rows have no class": (frame["class"] == "").sum(),
        f"of {len(frame)} rows do not say real or synthetic": (frame["origin"] == "").sum(),
        "rows repeat an earlier one and were counted once": repeated,
        "times are not numbers and were left out": untimed,
    }
    warnings += [f"{count} {what}" for what, count in counted.items() if count]
    return Reading(unguard(rows[0][1]["reader"]), rows[0][1]["order"], frame, warnings)


def _rows(path):
    """Return the rows of a reader's file as (line number, dict of column to cell), and warnings."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"reader file {path} is missing; check the path in reader_files")
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text in UTF-8; save it as 'CSV UTF-8' in the spreadsheet") from error
    first = text.lstrip().split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        rows = [(reader.line_num, [_plain(cell) for cell in row]) for row in reader]
    except csv.Error as error:
        raise DataError(f"{path}, row {reader.line_num}: not a row of a CSV file ({error})") from error
    rows = [(line, row) for line, row in rows if any(row)]
    header = [name.lower() for name in rows[0][1]] if rows else []
    missing = [name for name in ANSWER_COLUMNS if name not in header]
    if missing:
        raise DataError(f"{path} has no column {', '.join(missing)}: give the file that the page saved, with its first line")
    repeated = sorted({name for name in header if header.count(name) > 1 and name})
    if repeated:
        raise DataError(f"{path} has the column {', '.join(repeated)} twice; delete one")
    if len(rows) == 1:
        raise DataError(f"{path} holds no answers, only the names of the columns; read some ROIs and save again")
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise DataError(f"{path}, row {line}: {len(row)} cells in place of {len(header)}; mend the row's commas or quotes")
    further = [name for name in header if name not in ANSWER_COLUMNS]
    warnings = [f"{len(further)} further columns were not read"] if further else []
    return [(line, dict(zip(header, row, strict=True))) for line, row in rows[1:]], warnings


def _plain(cell):
    """Return a cell as it is compared: spaces and line ends in a row are one space, none at the ends."""
    return " ".join(cell.split())


def _number(cell):
    """Return a decimal number, also one with a decimal comma; nan for anything else."""
    try:
        return float(cell.replace(",", "."))
    except ValueError:
        return np.nan
