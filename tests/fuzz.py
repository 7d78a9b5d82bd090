"""Damaged files for every reader: each must be read, or refused by an error of ours, quickly and in little memory.

    python tests/fuzz.py [--count 100000] [--seed 0] [--readers nifti seg ...] [--folder kept/]

Each reader works in a process of its own, which may end in any way (a signal, memory, the alarm): what did it is named with its
number, kept in ``--folder``, and the next file follows in a new process. ``--first N --count 1 --readers NAME`` repeats case N.
"""

import argparse
import gzip
import io
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import SimpleITK as sitk
from dicoms import geometry, lesion, write_nifti, write_rtstruct, write_seg, write_series
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from lesion_utils.answers import ANSWER_COLUMNS, read_answers
from lesion_utils.cohort import Cohort
from lesion_utils.crops import Crop, Source, read_crops
from lesion_utils.errors import LesionBookError
from lesion_utils.readers import read_lesions
from lesion_utils.settings import read_settings

#: What a single file may take before it counts as a finding: processor time, which other programs do not lengthen; and, for who
#: waits without working, time on the wall.
SECONDS, WAITED, BYTES = 5, 30, 1_000_000_000
VOLUMES, CODINGS = ("nifti", "nifti_gz", "nrrd", "nrrd_gz"), {"dicom_rle": RLELossless, "dicom_ls": JPEGLSLossless}
SLICES = ("dicom", *CODINGS, "dicom_2000")
READERS = (*VOLUMES, *SLICES, "seg", "rtstruct", "png", "jpg", "table", "settings", "answers", "cohort")
#: Numbers at the edges of the types that headers are made of.
EDGES = (0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)


def make_files(folder):
    """Write one small whole file for each reader; return ``{reader: (file that is damaged, function that reads it)}``."""
    values, outline = lesion((4, 24, 28))
    outline = np.roll(outline, (-6, -8), (1, 2)) & (np.arange(24)[:, None] > 4)
    place = geometry(shape=values.shape)
    for name in READERS:
        (folder / name).mkdir()
    image = write_nifti(folder / "image.nii", values, place)
    mask = write_nifti(folder / "mask.nii", outline.astype(np.uint8), place)
    series = write_series(folder / "series", values, place)
    files = {
        "nifti": write_nifti(folder / "nifti" / "a.nii", values, place),
        "nifti_gz": write_nifti(folder / "nifti_gz" / "a.nii.gz", values, place),
        "nrrd": write_nifti(folder / "nrrd" / "a.nrrd", values, place),
        "seg": write_seg(folder / "seg" / "a.dcm", series, [outline]),
        "rtstruct": write_rtstruct(folder / "rtstruct" / "a.dcm", {"lesion": outline}, place),
    }
    write_series(folder / "dicom", values[:1], place)
    for name, coding in CODINGS.items():
        write_series(folder / name, values[:1], place, change=lambda number, dataset, coding=coding: dataset.compress(coding))
    write_series(folder / "dicom_2000", values[:1], place, change=_compress_jpeg_2000)
    files |= {name: next((folder / name).iterdir()) for name in SLICES}
    files["nrrd_gz"] = folder / "nrrd_gz" / "a.nrrd"
    sitk.WriteImage(sitk.ReadImage(str(image)), str(files["nrrd_gz"]), useCompression=True)
    grey = np.clip(values[2] + 1024, 0, 65535).astype(np.uint16)
    files["png"], files["jpg"] = folder / "png" / "a.png", folder / "jpg" / "a.jpg"
    Image.fromarray(grey).save(files["png"])
    Image.fromarray((grey // 8).clip(0, 255).astype(np.uint8)).save(files["jpg"])
    endings = {"table": "csv", "settings": "yml", "answers": "csv", "cohort": "npz"}
    files |= {name: folder / name / f"a.{ending}" for name, ending in endings.items()}
    files["settings"].write_text("epochs: 3\nlearning_rate: 1.0e-4\narms: [real, classic]\n")
    rows = [f"l{number},p{number},../image.nii,../mask.nii,{'ab'[number % 2]},1,10.5,,,,," for number in range(6)]
    header = "lesion_id,patient_id,image,mask,kind,segment,x1,y1,x2,y2,slice,role"
    files["table"].write_text("\n".join([header, *rows]) + "\n")
    items = [f"{number:04d}" for number in range(6)]
    key = pd.DataFrame({"study": "s", "item": items, "class": ["a", "b"] * 3, "origin": ["real", "synthetic"] * 3})
    same = {"study": "s", "reader": "x", "order": "1", "class": "a", "origin": "real", "seconds": 1.5}
    pd.DataFrame(same | {"item": items})[ANSWER_COLUMNS].to_csv(files["answers"], index=False)
    cohort = Cohort(
        classes=("a", "b"),
        label=np.array([0, 1]),
        lesion_id=np.array(["L0001", "L0002"]),
        patient_id=np.array(["P0001", "P0002"]),
        role=np.array(["cohort"] * 2),
        spacing=np.ones(2, np.float32),
        slices=[values[2]] * 2,
        outlines=[outline[2]] * 2,
    )
    cohort.save(files["cohort"])
    box, slice_box = (9, 10, 16, 20, 2), (9, 10, 16, 20, 0)

    def as_image(path, **own):
        found = read_crops([Source(path, **({"mask": mask} | own))])[0]
        if not isinstance(found, Crop):
            raise found

    def as_mask(path):
        as_image(image, mask=path)

    def as_table(path):
        read_lesions(path, "kind")

    def boxed(path):
        as_image(path, mask=None, box=box)

    def picture(path):
        as_image(path, mask=None, box=slice_box, intensity="grey", spacing=1.0)

    read = dict.fromkeys(VOLUMES, boxed) | dict.fromkeys(("seg", "rtstruct"), as_mask)
    read |= dict.fromkeys(SLICES, lambda path: as_image(path, mask=None, box=slice_box))
    read["settings"] = read_settings
    read |= {"png": picture, "jpg": picture, "table": as_table, "cohort": Cohort.load}
    read["answers"] = lambda path: read_answers(path, key, ("a", "b"))
    return {name: (files[name], read[name]) for name in READERS}


def _compress_jpeg_2000(number, dataset):
    buffer = io.BytesIO()
    Image.fromarray(dataset.pixel_array.astype(np.uint16)).save(buffer, "JPEG2000", no_jp2=True)
    dataset.PixelData, dataset.file_meta.TransferSyntaxUID = encapsulate([buffer.getvalue()]), JPEG2000Lossless
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True


def damage(content, chance, reader):
    """Return a damaged copy; a third of compressed files are damaged within what they hold, and packed again."""
    if reader == "nifti_gz" and chance.random() < 0.6:
        return gzip.compress(_damage(gzip.decompress(content), chance), 1)
    if reader == "png" and chance.random() < 0.6:
        return _repair_png(_damage(content, chance))
    return _damage(content, chance)


def _damage(content, chance):
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        # Half of all damage is done to the first bytes, where headers are.
        at = chance.randrange(min(len(data), chance.choice((352, 2048, 1 << 30, 1 << 30)))) if data else 0
        kind = chance.randrange(8)
        if kind == 0:
            data[at : at + 1] = bytes([data[at] ^ 1 << chance.randrange(8)]) if data else b""
        elif kind == 1:
            data[at : at + 1] = bytes([chance.randrange(256)])
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            del data[at : at + chance.choice((1, 2, 4, 8, 64))]
        elif kind == 4:
            length = chance.choice((1, 2, 4, 8))
            data[at : at + length] = (chance.choice(EDGES) % 256**length).to_bytes(length, chance.choice(("little", "big")))
        elif kind == 5:
            length = chance.choice((1, 4, 16, 128))
            data[at:at] = data[at : at + length] * chance.choice((1, 2, 50))
        elif kind == 6:
            digits = [place for place, byte in enumerate(data[: 1 << 14]) if 48 <= byte <= 57]
            if digits:
                place = chance.choice(digits)
                data[place : place + 1] = chance.choice((b"-1", b"999999999999", b"1e300", b"nan", b"inf", b"", b"0")) or b""
        else:
            data[at:at] = chance.randbytes(chance.choice((1, 3, 4, 32)))
    return bytes(data)


def _repair_png(content):
    """Return a PNG whose chunks have right checksums again, so that what they say is read."""
    data, at = bytearray(content), 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            break
        data[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(data)


def _work(reader, source, read, seed, first, last, state, report):
    """Try the cases of one reader one after the other; ``state`` holds the number of the one that is tried."""
    sys.stderr.flush()
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)  # compiled libraries speak there
    whole = source.read_bytes()
    read(source)  # what is loaded once and for all is loaded now
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, used + BYTES))
    for number in range(first, last):
        state[0] = number
        source.write_bytes(damage(whole, random.Random(f"{seed} {reader} {number}"), reader))
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # nobody catches it: it ends the process, also within compiled code
        signal.setitimer(signal.ITIMER_REAL, WAITED)
        try:
            read(source)
            state[1] += 1
        except LesionBookError as error:
            if str(source.name) not in str(error) and source.parent.name not in str(error):
                report.put((number, f"does not name the file: {error}"))
        except BaseException as error:
            line = traceback.extract_tb(error.__traceback__)[-1]
            report.put((number, f"{type(error).__name__}: {str(error)[:200]} ({Path(line.filename).name}:{line.lineno})"))
        for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
            signal.setitimer(timer, 0)
    state[0] = last


def fuzz(reader, *, count, seed=0, first=0, keep=None):
    """Try ``count`` damaged files on one reader.

    Returns
    -------
    findings : list of (int, str)
        Number of the case, and what happened.
    read : int
        How many were read all the same.
    """
    context, findings, number, last, read = multiprocessing.get_context("fork"), [], first, first + count, 0
    with tempfile.TemporaryDirectory() as folder:
        source, function = make_files(Path(folder))[reader]
        whole = source.read_bytes()
        while number < last:
            source.write_bytes(whole)
            state, report = context.Array("q", 2, lock=False), context.SimpleQueue()
            state[0] = number
            process = context.Process(target=_work, args=(reader, source, function, seed, number, last, state, report))
            process.start()
            # A pipe holds some hundred lines: it is emptied while the process runs.
            while process.is_alive() or not report.empty():
                if report.empty():
                    process.join(0.05)
                else:
                    findings.append(report.get())
            read += state[1]
            if process.exitcode == 1:
                raise RuntimeError(f"the whole file of {reader} cannot be read")
            if process.exitcode:
                name = signal.Signals(-process.exitcode).name if process.exitcode < 0 else f"exit code {process.exitcode}"
                slow = {"SIGPROF": f"over {SECONDS} s", "SIGALRM": f"waited over {WAITED} s"}
                findings.append((state[0], slow.get(name, f"ended by {name}")))
            number = state[0] + 1 if process.exitcode else last
        for number, _ in findings if keep else ():
            Path(keep).mkdir(parents=True, exist_ok=True)
            damaged = damage(whole, random.Random(f"{seed} {reader} {number}"), reader)
            (Path(keep) / f"{reader}-{seed}-{number}{''.join(source.suffixes)}").write_bytes(damaged)
    return findings, read


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="files in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--readers", nargs="+", choices=READERS, default=READERS)
    parser.add_argument("--folder", help="where files that are findings are kept")
    options = parser.parse_args()
    each = -(-options.count // len(options.readers))
    found = 0
    for reader in options.readers:
        started = time.monotonic()
        findings, read = fuzz(reader, count=each, seed=options.seed, first=options.first, keep=options.folder)
        found += len(findings)
        rate = each / (time.monotonic() - started)
        print(f"{reader:10} {each:7,} files, {read:6,} read, {len(findings)} findings, {rate:,.0f} a second", flush=True)
        for number, text in findings[:50]:
            print(f"    case {number} of seed {options.seed}: {text}", flush=True)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
