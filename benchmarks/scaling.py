"""How cost grows: processor time and peak memory of the stages whose cost grows with the data, kept in book/scaling.csv.

Lesions (182, 2,000 and 20,000, simulated), side of the ROI (64, 128) and number of classes (3, 10) vary one at a time. Each point
is measured in a process of its own: processor time of all its threads, so that other programs disturb little, and the largest
memory that the process ever held, its libraries and the cohort included. Goal: 20,000 lesions within 8 GB. Takes some ten minutes
on two cores; points that the table already has from the same commit and hardware are not measured again.

The simulator has three looks. For ten classes their lesions are dealt at random to ten names: that costs what ten classes cost,
but nothing can be learned of it, so no accuracy is reported here, and the SVM's search, which takes much longer on labels that
nothing separates, is left out. The networks are built for ROIs of 64 x 64, the paper's size: only cutting, augmenting and texture
are measured at 128.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pandas as pd
from side_by_side import hardware

from lesion_utils import augment, memorisation, phantom, provenance, rois, speed, splits
from lesion_utils.cohort import Cohort
from lesion_utils.files import write_csv
from lesion_utils.settings import resolve_precision

LESIONS, MIDDLE, ROI_SIZES, CLASSES, LIMIT_GB = (182, 2_000, 20_000), 2_000, (64, 128), (3, 10), 8.0
WINDOW = {"window_level": 60.0, "window_width": 400.0}
MARGIN, PLAN = 0.25, {"rotations": 30, "flips": 3, "translations": 7, "scales": 5}
#: Augmentations a lesion, about the paper's 5,000 for 182, and how many are in memory at once.
AUGMENTED, PART = 27, 5_000
#: Generated images that the memorisation audit looks at, each against eight views of every training lesion of its class and fold.
AUDITED, FOLDS = 300, 3


def simulated(folder, lesions, classes):
    """Return the cohort of a point, from the file that the first stage left."""
    cohort = Cohort.load(folder / f"{lesions}.npz")
    if classes == len(cohort.classes):
        return cohort
    label = np.random.default_rng(0).permutation(np.arange(len(cohort)) % classes)
    return replace(cohort, classes=tuple(f"class {number + 1}" for number in range(classes)), label=label)


def simulate(folder, lesions, size, classes):
    counts = np.round(np.array(phantom.PAPER_COUNTS) * lesions / sum(phantom.PAPER_COUNTS)).astype(int)
    counts[-1] += lesions - counts.sum()
    phantom.simulate(counts.tolist(), seed=0).save(folder / f"{lesions}.npz")
    return lesions


def cut(folder, lesions, size, classes):
    rois.extract_rois(simulated(folder, lesions, classes), margin=MARGIN, **WINDOW, size=size)
    return lesions


def augment_in_parts(folder, lesions, size, classes):
    cohort = simulated(folder, lesions, classes)
    plan = augment.augmentation_plan(rois.lesion_geometry(cohort.outlines)[1], margin=MARGIN, seed=0, **PLAN)
    order = np.random.default_rng(0).permutation(lesions)
    lesion, column = augment.nested_group(order, AUGMENTED * lesions, plan.shape[1])
    by_lesion = np.argsort(lesion, kind="stable")  # so that a slice is windowed for one part, not for each
    lesion, column = lesion[by_lesion], column[by_lesion]
    for start in range(0, len(lesion), PART):
        part = slice(start, start + PART)
        augment.augmented_rois(cohort, plan, lesion[part], column[part], **WINDOW, size=size)
    return len(lesion)


def train_an_epoch(folder, lesions, size, classes):
    from lesion_utils.classifier import Trainer

    training = rois.extract_rois(simulated(folder, lesions, classes), margin=MARGIN, **WINDOW)
    settings = {"epochs": 1, "batch_size": 64, "learning_rate": 0.001, "momentum": 0.9}
    Trainer(classes, **settings, precision=resolve_precision("auto")).train(training, seed=0)
    return lesions


def measure_texture(folder, lesions, size, classes):
    from lesion_utils import texture

    cohort = simulated(folder, lesions, classes)
    images = rois.extract_rois(cohort, margin=MARGIN, **WINDOW, size=size).images
    texture.glcm_features(images, rois.roi_outlines(cohort, margin=MARGIN, size=size), levels=8, distances=(1,))
    return lesions


def fit_svm(folder, lesions, size, classes):
    from lesion_utils import svm, texture

    cohort = simulated(folder, lesions, classes)
    images = rois.extract_rois(cohort, margin=MARGIN, **WINDOW).images
    features = texture.glcm_features(images, rois.roi_outlines(cohort, margin=MARGIN), levels=8, distances=(1,)).to_numpy()
    svm.fit_svm(features, cohort.label, cohort.patient_id, classes=cohort.classes, seed=0)
    return lesions


def find_nearest(folder, lesions, size, classes):
    cohort = simulated(folder, lesions, classes)
    fold = splits.patient_folds(cohort.label, cohort.patient_id, folds=FOLDS, classes=cohort.classes, seed=0)
    own = cohort.subset((fold != 0) & (cohort.label == 0))
    generated = np.random.default_rng(0).random((AUDITED, rois.ROI_SIZE, rois.ROI_SIZE, 1), np.float32)
    memorisation.nearest(generated, memorisation.turned_views(own, rotations=4, margin=MARGIN, **WINDOW))
    return len(own)


#: Name in the table, function, and which of the points it has: larger ROIs, more classes, the largest number of lesions.
STAGES = {
    "simulate and save": (simulate, False, False, True),
    "load and cut ROIs": (cut, True, False, True),
    "classic augmentation": (augment_in_parts, True, False, True),
    "CNN, one epoch": (train_an_epoch, False, True, True),
    "GLCM features": (measure_texture, True, False, True),
    "SVM and its choice": (fit_svm, False, False, False),
    "nearest training ROIs": (find_nearest, False, True, True),
}


def points():
    """Yield (stage, lesions, ROI size, classes) in the order in which they are measured."""
    for stage, (_, sizes, classes, largest) in STAGES.items():
        for lesions in LESIONS if largest else LESIONS[:-1]:
            yield stage, lesions, ROI_SIZES[0], CLASSES[0]
        for size in ROI_SIZES[1:] if sizes else ():
            yield stage, MIDDLE, size, CLASSES[0]
        for count in CLASSES[1:] if classes else ():
            yield stage, MIDDLE, ROI_SIZES[0], count


def measure_here(folder, stage, *numbers):
    """Run one stage in this process and print its items, processor seconds and peak memory as JSON."""
    started = time.process_time()
    items = STAGES[stage][0](folder, *numbers)
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # Linux counts in kB
    print(json.dumps({"items": items, "seconds": round(seconds, 2), "peak_gb": round(peak, 3)}))


def main():
    print(__doc__.splitlines()[0])
    print(hardware())
    here = {"hardware": provenance.hardware(), "commit": provenance.code_state()["commit"]}
    known = speed.read_table(speed.SCALING, speed.SCALING_COLUMNS)
    known = known[(known["commit"] == here["commit"]) & (known["hardware"] == here["hardware"])]
    rows = known.to_dict("records")
    folder = Path(tempfile.gettempdir()) / f"lesion_book_scaling_{here['commit']}"
    folder.mkdir(exist_ok=True)
    for stage, *numbers in points():
        place = dict(zip(("lesions", "roi_size", "classes"), numbers, strict=True))
        done = [row for row in rows if row["stage"] == stage and all(row[name] == value for name, value in place.items())]
        needs_file = not (folder / f"{numbers[0]}.npz").exists() and stage == next(iter(STAGES))
        if done and not needs_file:
            continue
        command = [sys.executable, __file__, str(folder), stage, *map(str, numbers)]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            raise SystemExit(f"error: {stage}, {place} failed:\n{result.stderr}")
        found = json.loads(result.stdout.splitlines()[-1])
        print(f"{stage:24s} {place} {found}", flush=True)
        rows = [row for row in rows if row not in done] + [{"stage": stage} | place | found | here]
        write_csv(speed.SCALING, pd.DataFrame(rows, columns=speed.SCALING_COLUMNS))
    peak = max(row["peak_gb"] for row in rows)
    print(f"largest peak memory: {peak:.2f} GB (goal: at most {LIMIT_GB:g}, {'met' if peak <= LIMIT_GB else 'missed'})")
    for stage, factor in speed.growth(pd.DataFrame(rows)).items():
        print(f"  {stage:24s} time of an item, largest number of lesions / the one before: {factor:.2f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure_here(Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:]))
    else:
        main()
