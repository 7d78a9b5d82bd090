"""Planted persons: what tables, headers, names of files and pictures say of a patient reaches nothing that a run writes."""

import csv
import gzip
import json
import lzma
import os
import shutil
import subprocess
import sys
import uuid
import zipfile

import numpy as np
import pytest
import SimpleITK as sitk
import yaml
from conftest import make_table
from dicoms import PERSONAL, geometry, lesion, write_rtstruct, write_seg, write_series
from PIL import Image, PngImagePlugin

from lesion_utils import __main__ as command
from lesion_utils import settings
from lesion_utils.files import write_text

#: What is run on the planted table, by the names of notebook and parameters: it writes every kind of file that names lesions.
NOTEBOOKS = (
    ("01_data", "01_data"),
    ("02_classic_augmentation", "02_classic_augmentation"),
    ("05_classification", "05_classification_classic"),
    ("07_texture_baselines", "07_texture_baselines"),
)
SMALL = {
    "05_classification": {"classic_amounts": [24], "epochs": 1, "cnn_width": 4},
    "07_texture_baselines": {"patch_step": 6, "words": 20, "dictionary_patches": 400, "kernels": ["linear"], "costs": [1.0]},
}
#: The only file that may say who is who.
KEY = "key.csv"
UID = "1.2.826.0.1.99.4711.31415926"


@pytest.fixture
def name():
    name = f"test-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    yield name
    shutil.rmtree(settings.ROOT / "runs" / name, ignore_errors=True)


def plant(folder):
    """Write a table with a secret in every place of every format; return its path and the secrets."""
    folder = folder / "Folderperson_Agatha"
    folder.mkdir()
    table = make_table(folder, lesions_per_class=6, suffix=".nrrd")
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    secrets = [
        "Folderperson_Agatha",
        "Filename_Berta",
        "Nrrdperson_Clara",
        "Columnperson_Dora",
        "Pngperson_Emma",
        "Exifperson_Fanny",
    ]
    secrets += ["Privateperson_Greta", "Segperson_Hanna", "Roiperson_Ida", "Niftiperson_Jana", UID, *PERSONAL.values()]
    for number, row in enumerate(rows):
        row |= {"lesion_id": f"Lesionid-{number:02d}", "patient_id": f"Personid-{number:02d}", "remark": "Columnperson_Dora"}
        row |= {"x1": "", "y1": "", "x2": "", "y2": "", "slice": "", "spacing_mm": "", "segment": "", "hu_offset": ""}
        for kind in ("image", "mask"):
            image = sitk.ReadImage(str(folder / row[kind]))
            image.SetMetaData("patient", "Nrrdperson_Clara")
            sitk.WriteImage(image, str(folder / row[kind]))
        secrets += [row["lesion_id"], row["patient_id"], f"study {number:02d}"]
    _dicom(folder, rows)
    _nifti(folder, rows[4])
    _pictures(folder, rows[5], rows[6])
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return table, secrets


def _dicom(folder, rows):
    values, outline = lesion()
    place = geometry(shape=values.shape)

    def personal(number, dataset):
        dataset.private_block(0x0099, "Privateperson_Greta", create=True).add_new(1, "LO", "Privateperson_Greta")
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{UID}.{number}"

    series = write_series(folder / "Filename_Berta", values, place, change=personal, series=UID)
    seg = write_seg(folder / "Segperson_Hanna.dcm", series, [outline])
    contours = write_rtstruct(folder / "Filename_Berta.dcm", {"Roiperson_Ida": outline}, place)
    # One image cannot be of two persons, nor one outline of two lesions.
    shutil.copytree(folder / "Filename_Berta", folder / "Filename_Berta_2")
    rows[0] |= {"image": "Filename_Berta", "mask": seg.name}
    rows[1] |= {"image": "Filename_Berta_2", "mask": contours.name, "segment": "Roiperson_Ida"}


def _nifti(folder, row):
    for kind in ("image", "mask"):
        image = sitk.ReadImage(str(folder / row[kind]))
        image.SetMetaData("descrip", "Niftiperson_Jana")
        image.SetMetaData("aux_file", "Niftiperson_Jana")
        row[kind] = f"Filename_Berta_{kind}.nii.gz"
        sitk.WriteImage(image, str(folder / row[kind]))


def _pictures(folder, png, jpg):
    values, _ = lesion()
    grey = np.clip(values[2].astype(int) + 32768, 0, 65535).astype(np.uint16)
    text, exif = PngImagePlugin.PngInfo(), Image.Exif()
    text.add_text("Patient", "Pngperson_Emma")
    exif[0x010E] = "Exifperson_Fanny"
    Image.fromarray(grey).save(folder / "Filename_Berta.png", pnginfo=text)
    Image.fromarray(grey).save(folder / "Filename_Berta_3.png", exif=exif)
    box = {"mask": "", "x1": 12, "y1": 14, "x2": 27, "y2": 30, "slice": 0, "spacing_mm": 0.8, "hu_offset": -32768}
    png |= box | {"image": "Filename_Berta.png"}
    jpg |= box | {"image": "Filename_Berta_3.png"}


def contents(folder):
    """Yield (name, bytes) of every file and its path, of what is packed in it, and of the members of every zip (npz, keras)."""
    for path in sorted(folder.rglob("*")):
        yield f"name of {path.relative_to(folder)}", str(path.relative_to(folder)).encode()
        if path.is_file():
            yield path.relative_to(folder).as_posix(), unpacked(path)
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    for member in archive.namelist():
                        yield f"{path.relative_to(folder)}, {member}", archive.read(member)


def unpacked(path):
    """Return the bytes of a file, decompressed if it is packed by gzip or xz."""
    content = path.read_bytes()
    for start, module in ((b"\x1f\x8b", gzip), (b"\xfd7zXZ", lzma)):
        if content.startswith(start):
            return module.decompress(content)
    return content


def found(folder, secrets):
    """Return where secrets stand, in UTF-8 or as NumPy stores text."""
    needles = [(text, text.encode(coding)) for text in secrets for coding in ("utf-8", "utf-32-le", "utf-16-le")]
    return [(where, text) for where, data in contents(folder) if where != KEY for text, needle in needles if needle in data]


def test_search_sees_what_is_hidden_in_arrays(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", who=np.array(["Someone"]))
    (tmp_path / KEY).write_text("Someone")
    assert [where for where, _ in found(tmp_path, ["Someone"])] == ["a.npz, who.npy"]


def test_the_secrets_are_in_the_files_that_are_read(tmp_path):
    table, secrets = plant(tmp_path)
    with table.open(newline="", encoding="utf-8") as file:
        cells = [row[kind] for row in csv.DictReader(file) for kind in ("image", "mask") if row[kind]]
    holding = {".nrrd": {"Nrrdperson_Clara"}, ".gz": {"Niftiperson_Jana"}, ".dcm": set(PERSONAL.values())}
    holding |= {"Filename_Berta": {UID, "Privateperson_Greta"}, "Filename_Berta.dcm": {"Roiperson_Ida"}}
    holding |= {"Filename_Berta.png": {"Pngperson_Emma"}, "Filename_Berta_3.png": {"Exifperson_Fanny"}}
    for cell in cells:
        path = table.parent / cell
        for file in path.iterdir() if path.is_dir() else [path]:
            words = {text for text in secrets if text.encode() in unpacked(file)}
            expected = [holding[key] for key in (file.suffix, file.name, cell) if key in holding]
            assert expected and set.union(*expected) <= words, file
    everywhere = b"".join(data for _, data in contents(tmp_path))
    assert not [text for text in secrets if text.encode() not in everywhere]


@pytest.mark.parametrize("name", settings.notebooks())
def test_only_the_first_notebook_can_reach_the_table_or_the_key(name):
    reaches = "data" in settings.notebook_defaults(name)
    source = settings.notebooks()[name].read_text(encoding="utf-8")
    code = "".join(line for cell in json.loads(source)["cells"] if cell["cell_type"] == "code" for line in cell["source"])
    mentions = [word for word in (KEY, settings.DATA_VARIABLE, "readers.read_") if word in code]
    assert (name == "01_data") == reaches == bool(mentions), mentions


@pytest.mark.parametrize("spoilt", [False, True], ids=["whole", "refused"])
def test_nothing_personal_reaches_a_run(tmp_path, name, spoilt, monkeypatch):
    table, secrets = plant(tmp_path)
    if spoilt:
        (table.parent / "Segperson_Hanna.dcm").write_bytes(b"no mask")
    run = settings.ROOT / "runs" / name
    words = ["--profile", "smoke", "--data", str(table), "--label", "kind", "--name", name]
    with monkeypatch.context() as patch:  # all that the command writes before the workflow starts
        patch.setattr(subprocess, "run", lambda *words, **options: subprocess.CompletedProcess(words, 0, stdout=""))
        assert command.main(["book", *words]) == 0
    for path in (run / "parameters").glob("*.yml"):  # small, so that the tests stay quick
        values = yaml.safe_load(path.read_text(encoding="utf-8")) | SMALL.get(path.stem.removesuffix("_classic"), {})
        write_text(path, yaml.safe_dump(values))
    environment = os.environ | {"LESION_BOOK_DATA": str(table)}
    for notebook, parameters in NOTEBOOKS[: 1 if spoilt else None]:
        execute = [sys.executable, "-m", "lesion_utils", "notebook", f"notebooks/{notebook}.ipynb"]
        execute += [str(run / "book" / "notebooks" / f"{notebook}.ipynb"), "-f", str(run / "parameters" / f"{parameters}.yml")]
        done = subprocess.run(
            execute, cwd=settings.ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert (done.returncode == 0) is not spoilt, done.stderr
        shutil.rmtree(table.parent, ignore_errors=True)  # the first notebook alone reads it
    if spoilt:
        assert not list(run.rglob("*.ipynb"))
        message = run / "error.txt"  # quotes the table, for its owner alone, until the command has shown it
        assert message.stat().st_mode & 0o077 == 0
        message.unlink()
    else:
        assert (run / KEY).stat().st_mode & 0o077 == 0 and "Personid-00" in (run / KEY).read_text(encoding="utf-8")
        assert {"cohort.npz", "chosen", "predictions"} <= {path.name for path in run.iterdir()}
    assert found(run, secrets) == []
