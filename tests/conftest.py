"""Shared by the tests: a small table of lesions with real files behind it."""

import csv

import numpy as np
import pytest
import SimpleITK as sitk


def write_volume(path, values, *, spacing=(0.8, 0.8, 2.5), origin=(0.0, 0.0, 0.0), direction=None):
    """Write (slices, rows, columns) ``values``; NIfTI or NRRD by the ending of ``path``."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(values))
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    if direction:
        image.SetDirection(direction)
    sitk.WriteImage(image, str(path), useCompression=True)


def make_table(folder, *, classes=("cyst", "metastasis"), lesions_per_class=3, shape=(5, 40, 44), suffix=".nii.gz", seed=0):
    """Write ``lesions.csv`` with volumes and masks into ``folder`` and return the path of the table.

    Noisy liver at 100 HU with air in front, one dark ellipsoid a volume, classes 30 HU apart; its largest outline lies
    in slice 2. Of every three lesions of a class, two belong to the same patient. The label column is ``kind``.
    """
    rng = np.random.default_rng(seed)
    (folder / "image").mkdir(parents=True, exist_ok=True)
    (folder / "mask").mkdir(exist_ok=True)
    rows = []
    z, y, x = np.mgrid[: shape[0], : shape[1], : shape[2]]
    for number in range(len(classes) * lesions_per_class):
        kind, nth = divmod(number, lesions_per_class)
        radius = rng.uniform(4, 7)
        middle = rng.uniform(16, 22, 2)
        mask = ((z - 2) / 2) ** 2 + ((y - middle[0]) / radius) ** 2 + ((x - middle[1]) / radius) ** 2 < 1
        image = rng.normal(100, 12, shape)
        image[mask] -= 50 + 30 * kind
        image[:, :3] = -1000
        name = f"study {number:02d}"
        write_volume(folder / "image" / f"{name}{suffix}", np.rint(image).astype(np.int16))
        write_volume(folder / "mask" / f"{name}{suffix}", mask.astype(np.uint8))
        rows.append(
            {
                "lesion_id": f"case-{number:03d}",
                "patient_id": f"person-{kind}-{nth - nth % 3 // 2}",
                "image": f"image/{name}{suffix}",
                "mask": f"mask/{name}{suffix}",
                "kind": classes[kind],
            }
        )
    return write_rows(folder / "lesions.csv", rows)


def write_rows(path, rows):
    """Write a list of dicts as a CSV and return its path."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def table(tmp_path):
    """Six lesions, two classes, four patients."""
    return make_table(tmp_path)
