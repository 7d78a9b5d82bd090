"""A table for pictures that lie in one folder a class: who is which patient must be said, not guessed."""

import os
from pathlib import Path

import pandas as pd

from .errors import DataError
from .files import write_csv
from .pictures import is_picture, read_picture
from .table import EMPTY, check_class_name, read_records

#: Without an outline the lesion is taken to fill this middle part of the shorter side: with a margin of 0.25 diameters on each
#: side, the ROI is then the whole square.
MIDDLE = 1 / 1.5


def table_from_folders(folder, *, patients=None, one_image_one_patient=False):
    """Write ``lesions.csv`` into a folder of pictures, one folder a class.

    Parameters
    ----------
    folder : Path
        Its sub-folders are the classes; each holds PNG or JPEG pictures.
    patients : Path, optional
        CSV with the columns ``image`` (path relative to ``folder``) and ``patient_id``.
    one_image_one_patient : bool
        Take every picture for a patient of its own. If that is not so, the same person trains and tests.

    Returns
    -------
    path : Path
        The table: ``lesion_id, patient_id, image, x1, y1, x2, y2, slice, intensity, class``.
    rows : int

    Raises
    ------
    DataError
        With every problem found; nothing is written then.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; give one that holds a folder of pictures for each class")
    if bool(patients) == bool(one_image_one_patient):
        raise DataError(
            f"{folder}: which pictures are of one patient? Give --patients FILE, a CSV with the columns image and patient_id, "
            "or --one-image-one-patient if every picture is of another person"
        )
    table = folder / "lesions.csv"
    if os.path.lexists(table):
        raise DataError(
            f"{table} is there already, perhaps with boxes of your own; rename or delete it to have a new one written"
        )
    pictures = sorted(path for path in folder.glob("*/*") if is_picture(path) and not path.name.startswith("."))
    if len({path.parent for path in pictures}) < 2:
        raise DataError(f"{folder} has pictures in fewer than two folders; give each class a folder of its own")
    owner = _owners(Path(patients)) if patients else {}
    rows, problems = [], _class_problems(sorted({path.parent for path in pictures}))
    for path in pictures:
        image = path.relative_to(folder).as_posix()
        try:
            height, width = read_picture("image", path).shape
        except DataError as error:
            problems.append(str(error))
            continue
        if patients and image not in owner:
            problems.append(f"{image} has no row in {patients}; add one, or move the picture away")
            continue
        half = MIDDLE * min(height, width) / 2
        middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
        rows.append(
            {
                "lesion_id": image,
                "patient_id": owner.get(image, image),
                "image": image,
                "x1": round(middle_x - half + 0.5, 1),
                "y1": round(middle_y - half + 0.5, 1),
                "x2": round(middle_x + half - 0.5, 1),
                "y2": round(middle_y + half - 0.5, 1),
                "slice": 0,
                "intensity": "grey",
                "class": path.parent.name,
            }
        )
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise DataError("\n".join([f"{folder}: {count}; no table was written:", *(f"  {text}" for text in problems)]))
    write_csv(table, pd.DataFrame(rows))
    return table, len(rows)


def _class_problems(folders):
    """Return why folders cannot give their names to classes, as the table would say when it is read."""
    problems = []
    for folder in folders:
        try:
            check_class_name(folder.name, f"of the folder {folder}")
        except DataError as error:
            problems.append(str(error))
        if folder.name.lower() in EMPTY:
            problems.append(f"the label '{folder.name}' of the folder {folder} stands for no label; rename the folder")
    return problems


def _owners(path):
    """Return ``{image: patient_id}``; raise DataError if a picture has none or two."""
    columns, records, problems = read_records(path)
    if not {"image", "patient_id"} <= set(columns):
        raise DataError(f"{path} needs the columns image and patient_id (its columns are: {', '.join(columns)})")
    owners = {}
    for line, cells in records:
        row = dict(zip(columns, cells, strict=True))
        image, patient = row["image"].replace("\\", "/"), row["patient_id"]
        if not patient:
            problems.append((line, f"has no patient_id for {image}; fill it in"))
        elif owners.setdefault(image, patient) != patient:
            problems.append((line, f"gives {image} to patient '{patient}', and an earlier line to another; correct one"))
    if problems:
        raise DataError("\n".join([f"{path}: no table was written:", *(f"  line {line}: {text}" for line, text in problems)]))
    return owners
