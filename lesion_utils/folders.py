"""A table for pictures that lie in one folder a class: who is which patient must be said, not guessed."""

import csv
from pathlib import Path

import pandas as pd

from .errors import DataError
from .files import write_csv
from .pictures import is_picture, read_picture
from .table import EMPTY, check_class_name

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
        listed = [f"  {text}" for text in problems]
        raise DataError("\n".join([f"{folder}: {len(problems)} problems; no table was written:", *listed]))
    write_csv(folder / "lesions.csv", pd.DataFrame(rows))
    return folder / "lesions.csv", len(rows)


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
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({type(error).__name__}); give a CSV with columns image, patient_id") from None
    if not rows or not {"image", "patient_id"} <= set(rows[0]):
        raise DataError(f"{path} needs the columns image and patient_id, and a row for each picture")
    empty = [row["image"] for row in rows if not (row["patient_id"] or "").strip()]
    if empty:
        raise DataError(f"{path} has no patient_id for {empty[0]} and {len(empty) - 1} more; fill them in")
    return {(row["image"] or "").strip().replace("\\", "/"): row["patient_id"].strip() for row in rows}
