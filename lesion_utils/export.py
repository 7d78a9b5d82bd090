"""Taking a result away: the synthetic ROIs and classifiers of a run, marked as what they are, without a single real ROI or id."""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from PIL import Image, PngImagePlugin

from . import __version__, provenance
from .errors import MissingInputError, SettingsError
from .files import write_csv, write_json, write_text
from .gans import GANS
from .rois import ROI_SIZE
from .runs import Run
from .sampling import chosen_synthetic
from .settings import PATHS

#: Written into every PNG (tEXt chunks).
MARK = {
    "Title": "Synthetic image, not of a patient",
    "Description": "Drawn by a generative network that was trained on images of lesions. Not for diagnosis.",
    "Synthetic": "true",
}
#: Parameters that name the user's files, their columns, or this machine's folders.
PRIVATE = ("run", "label", *PATHS)
#: Stands for what a run did not record.
UNKNOWN = "unknown"


def export_run(source, folder):
    """Write what a run made into a new folder, whole or not at all.

    Parameters
    ----------
    source : Path
        ``runs/<NAME>``, finished at least as far as 05_classification.
    folder : Path
        Must not exist. Receives ``README.md``, ``provenance.json``, ``synthetic.csv`` with ``synthetic/`` (16-bit PNG), and
        ``classifiers.json`` with ``classifiers/`` (``.keras`` and mean images).

    Returns
    -------
    str
        What was written, in words.

    Raises
    ------
    MissingInputError
        If there is no such run, or it has not got so far.
    SettingsError
        If the folder is there already.
    """
    source, folder = Path(source), Path(folder)
    if not (source / "chosen").is_dir():
        raise MissingInputError(f"{source} holds no finished classifiers; give a run's folder, such as runs/quick (`make book`)")
    if os.path.lexists(folder):
        raise SettingsError(f"{folder} is there already; name a new folder")
    run = Run(source)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        synthetic = _write_synthetic(run, partial)
        classifiers = _write_classifiers(run, partial)
        write_json(partial / "provenance.json", _provenance(run))
        write_text(partial / "README.md", _readme(run, len(synthetic), classifiers))
        os.chmod(partial, 0o755)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return f"{folder} holds {len(synthetic):,} synthetic ROIs and {len(classifiers)} classifiers; see its README.md"


def _write_synthetic(run, folder):
    """Write the ROIs that every GAN drew for each fold, at the epoch that the inner folds chose; return their table."""
    rows = []
    for gan in GANS:
        if not (run.folder / "chosen" / f"{gan}.json").exists():
            continue
        for (seed, fold), chosen in run.choices(gan).items():
            rois = chosen_synthetic(run, gan, seed, fold)
            unit = f"{gan}_seed{seed}_fold{fold}_epoch{chosen['epoch']:04d}"
            (folder / "synthetic" / unit).mkdir(parents=True)
            for number, (image, label) in enumerate(zip(rois.images[..., 0], rois.label.tolist(), strict=True)):
                file = f"synthetic/{unit}/SYNTHETIC_{unit}_class{label}_{number:05d}.png"
                _write_png(folder / file, image, run.classes[label], unit)
                own = {"file": file, "class": run.classes[label], "class_number": label, "gan": gan, "seed": seed, "fold": fold}
                rows.append(own | {"epoch": chosen["epoch"]})
    columns = ["file", "class", "class_number", "gan", "seed", "fold", "epoch"]
    table = pd.DataFrame(rows, columns=columns)
    write_csv(folder / "synthetic.csv", table)
    return table


def _write_png(path, image, name, unit):
    text = PngImagePlugin.PngInfo()
    for key, value in (MARK | {"Class": name, "Source": unit, "Software": f"Lesion Book {__version__}"}).items():
        text.add_text(key, value)
    Image.fromarray(np.round(image * 65535).astype(np.uint16)).save(path, pnginfo=text)


def _write_classifiers(run, folder):
    """Write every classifier at its chosen amount with its mean image; return their descriptions."""
    found = []
    (folder / "classifiers").mkdir()
    for choices in sorted((run.folder / "chosen").glob("[!.]*.json")):
        arm = choices.stem
        for (seed, fold), chosen in run.choices(arm).items():
            unit = run.chosen_unit(arm, seed, fold)
            if not unit.with_suffix(".keras").exists():
                continue  # arms that keep no network
            name = f"classifiers/{arm}_seed{seed}_fold{fold}"
            shutil.copyfile(unit.with_suffix(".keras"), folder / f"{name}.keras")
            with np.load(unit, allow_pickle=False) as file:
                np.save(folder / f"{name}_mean.npy", file["mean_image"], allow_pickle=False)
            found.append(
                {"file": f"{name}.keras", "mean_image": f"{name}_mean.npy", "arm": arm, "amount": chosen["amount"]}
                | {"gan_epoch": chosen["epoch"], "seed": seed, "tested_on_fold": fold}
            )
    write_json(
        folder / "classifiers.json",
        {
            "classes": list(run.classes),
            "input": {"rows": ROI_SIZE, "columns": ROI_SIZE, "channels": 1, "minus": "mean_image"},
            "region_of_interest": {
                "square_side_in_lesion_diameters": 1 + 2 * run.preparation["margin"],
                "interpolation": "bicubic",
                "zero_is": _limits(run)[0],
                "one_is": _limits(run)[1],
                "unit": _unit(run),
            },
            "classifiers": found,
        },
    )
    return found


def _limits(run):
    level, width = run.window["window_level"], run.window["window_width"]
    return level - width / 2, level + width / 2


def _unit(run):
    return "HU" if run.everything.intensity == "hu" else "grey level"


def _provenance(run):
    """Return where all this came from: what the run recorded of itself, its parameters, and the code that exports it.

    What was not recorded is ``unknown``, as in a run of single notebooks. Nothing of the user's table is among it.
    """
    made = provenance.read(run.folder) if (run.folder / provenance.FILE).exists() else {}
    settings = {}
    for path in sorted((run.folder / "parameters").glob("*.yml")):
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        settings[path.stem] = {key: value for key, value in values.items() if key not in PRIVATE}
    return {
        "profile": made.get("profile", UNKNOWN),
        "data": "simulated cohort" if run.everything.source == "simulated" else "a table of lesions",
        "classes": list(run.classes),
        "preparation": run.preparation,
        "augmentation": run.augmentation,
        "settings": settings,
        "code": _code(made),
        "versions": made.get("versions", UNKNOWN),
        "export": {"software": f"Lesion Book {__version__}"} | _code(provenance.code_state()),
    }


def _code(state):
    """Return the commit of a state of the code, and whether files differed from it; their names stay here."""
    commit = state.get("commit") or UNKNOWN
    return {"commit": commit, "uncommitted_changes": UNKNOWN if commit == UNKNOWN else bool(state["changed"])}


def _readme(run, images, classifiers):
    low, high = _limits(run)
    text = (Path(__file__).parent / "export_readme.md").read_text(encoding="utf-8")
    values = {
        "images": f"{images:,}",
        "classifiers": str(len(classifiers)),
        "classes": ", ".join(f"{number} {name}" for number, name in enumerate(run.classes)),
        "unit": _unit(run),
        "low": f"{low:g}",
        "above_black": f" {'+' if low < 0 else '-'} {abs(low):g}",
        "width": f"{high - low:g}",
        "side": f"{1 + 2 * run.preparation['margin']:g}",
        "source": "the book's simulated cohort" if run.everything.source == "simulated" else "a table of real lesions",
    }
    for key, value in values.items():
        text = text.replace(f"<{key}>", value)
    return text
