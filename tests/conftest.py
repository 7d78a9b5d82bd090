"""Shared by the tests: a small table of lesions with real files behind it, cohorts and ROIs made of numbers, and Chromium."""

import csv
import functools

import numpy as np
import pytest
import SimpleITK as sitk
from browser import chromium, serve
from rendered import SITE

from lesion_utils.cohort import Cohort
from lesion_utils.rois import RoiSet


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


def round_lesions(n=12, *, classes=3, seed=0, side=96, role="cohort", first=0):
    """Return a Cohort of round lesions in smooth slices: two lesions a patient, both of one class, classes 60 HU apart.

    Ids count from ``first``, so that two such cohorts can be put together.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    slices, outlines = [], []
    label = np.arange(n) // 2 % classes
    for number in range(n):
        middle, radius = rng.uniform(0.4, 0.6, 2) * side, rng.uniform(6, 14)
        outline = (x - middle[0]) ** 2 + (y - middle[1]) ** 2 < radius**2
        wave = 10 * np.sin(x / rng.uniform(5, 9)) * np.cos(y / rng.uniform(5, 9))
        slices.append(np.rint(100 + wave + rng.normal(0, 8, outline.shape) - 60 * label[number] * outline).astype(np.int16))
        outlines.append(outline)
    return Cohort(
        classes=tuple(f"class {number}" for number in range(classes)),
        label=label,
        lesion_id=np.array([f"L{first + number + 1:04d}" for number in range(n)]),
        patient_id=np.array([f"P{(first + number) // 2 + 1:04d}" for number in range(n)]),
        role=np.full(n, role),
        spacing=np.full(n, 0.8, np.float32),
        slices=slices,
        outlines=outlines,
    )


def random_rois(n, *, classes=2, seed=0):
    """Return a RoiSet of noise whose mean brightness is its class, one image of each class in turn."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % classes
    images = np.clip(rng.normal((label + 0.5)[:, None, None, None] / classes, 0.05, (n, 64, 64, 1)), 0, 1)
    names = np.array([f"L{number + 1:04d}" for number in range(n)])
    return RoiSet(images.astype(np.float32), label, frozenset(names.tolist()), names)


@pytest.fixture(scope="session")
def browser():
    """Return Chromium, started once for all tests."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def address():
    """Return where the rendered book is served."""
    with serve(SITE) as address:
        yield address


@pytest.fixture(scope="session")
def visited(browser, address):
    """Return a function of page, width and colour scheme that says what is met there; each is visited once."""
    from visits import visit

    contexts = {}

    @functools.cache
    def visited(page, width, scheme):
        if (width, scheme) not in contexts:  # shared by its pages, so that what they have in common is fetched once
            contexts[width, scheme] = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        return visit(contexts[width, scheme], address, page)

    yield visited
    for context in contexts.values():
        context.close()
