"""The whole book on one GPU with JAX, in pieces of some minutes: give the same command again until the book is complete.

    python benchmarks/gpu_book.py --profile paper --settings one.yml --name gpu --out archive
    python benchmarks/gpu_book.py --times runs/gpu runs/gpu_two_seeds

A piece is `make book` under a clock, whose processes are all killed when the time is up: finished units and notebooks are kept,
trainings go on from their checkpoints, and compiled programs lie in the run's folder. Each piece leaves an archive of what there
is, at most 8 files of 16 MiB: tables, executed notebooks, times; no networks. ``--times`` compares a run of one seed with one of
two and extrapolates to ten.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
#: What an archive holds of a run, the most needed first; what no longer fits is left out, and named.
KEPT = (
    *("results.csv", "predictions.csv", "provenance.json", "pieces.json", "parameters/*.yml", "chosen/*.json", "*.json"),
    *("results/*.csv", "predictions/*.csv", "benchmarks/*.tsv", "error.txt", "logs/*", "book/notebooks/*.ipynb"),
)
NEVER = "key.csv"
PART, PARTS, TOTAL = 16 * 2**20, 8, 60 * 2**20
#: Exit code of a piece after which the book is not complete.
UNFINISHED = 75


def environment(folder):
    """Return the environment of a run on JAX whose compiled programs are kept in the run's folder."""
    own = {
        "KERAS_BACKEND": "jax",
        "JAX_COMPILATION_CACHE_DIR": str(folder / "programs"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        # Only kernels that add in one order, so that a training which was cut off ends with the same bits.
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_exclude_nondeterministic_ops=true".strip(),
    }
    return os.environ | own


def piece(words, folder, seconds):
    """Run `make book` for at most ``seconds``; return its exit code, or None if the time was up."""
    started, code = time.monotonic(), None
    process = subprocess.Popen([sys.executable, "-m", "lesion_utils", "book", *words], cwd=ROOT, env=environment(folder))
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        members = psutil.Process(process.pid).children(recursive=True)  # kernels have sessions of their own
        for member in (process, *members):
            try:
                member.kill()
            except psutil.NoSuchProcess:
                continue
        process.wait()
        psutil.wait_procs(members, timeout=20)
    path = folder / "pieces.json"
    pieces = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    pieces.append({"seconds": round(time.monotonic() - started, 1), "exit_code": code})
    path.write_text(json.dumps(pieces), encoding="utf-8")
    return code


def archive(folder, out):
    """Pack what :data:`KEPT` names of a run into ``out/archive.tar.xz.NN``; return what was left out.

    ``cat archive.tar.xz.* | tar xJ`` unpacks it. Files go in whole, as long as the packed size stays below :data:`TOTAL`.
    """
    names = {path: None for pattern in KEPT for path in sorted(folder.glob(pattern)) if path.is_file() and path.name != NEVER}
    left, packed = [], io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as tar:
        for path in names:
            # Notebooks hold pictures, which do not shrink: a file's own size is the most that it can add.
            if packed.tell() + path.stat().st_size > TOTAL:
                left.append(path.relative_to(folder).as_posix())
                continue
            tar.add(path, path.relative_to(folder).as_posix())
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("archive.tar.xz.*"):
        old.unlink()
    content = packed.getvalue()
    parts = [content[start : start + PART] for start in range(0, len(content), PART)]
    assert len(parts) <= PARTS, "TOTAL must fit into PARTS"
    for number, part in enumerate(parts):
        (out / f"archive.tar.xz.{number:02d}").write_bytes(part)
    return left


def seconds_of(folder):
    """Return the seconds of all pieces of a run, those that were cut off included."""
    return sum(piece["seconds"] for piece in json.loads((folder / "pieces.json").read_text(encoding="utf-8")))


def times(one, two):
    """Print the minutes of a run of one seed and of a run of two, and what ten would take."""
    first, both = (seconds_of(folder) / 60 for folder in (one, two))
    if both <= first:
        raise SystemExit(f"error: {two.name}, with two seeds, took no longer than {one.name}; make both on the same idle machine")
    print(f"{one.name}: {first:.1f} min; {two.name}: {both:.1f} min; a further seed: {both - first:.1f} min")
    print(f"ten seeds, extrapolated from two: {first + 9 * (both - first):.1f} min")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="paper")
    parser.add_argument("--name", default="gpu", help="folder below runs/")
    parser.add_argument("--settings", type=Path, help="flat YAML file of parameters")
    parser.add_argument("--cores", default=str(os.cpu_count()), help="trainings that share the GPU")
    parser.add_argument("--minutes", type=float, default=9, help="of a piece, the archive included")
    parser.add_argument("--out", type=Path, help="where the archive goes; default: runs/<NAME>/archive")
    parser.add_argument("--times", type=Path, nargs=2, metavar="RUN", help="a run of one seed and a run of two")
    options = parser.parse_args()
    if options.times:
        return times(*options.times)
    folder = ROOT / "runs" / options.name
    folder.mkdir(parents=True, exist_ok=True)
    words = ["--profile", options.profile, "--name", options.name, "--cores", options.cores]
    words += ["--settings", str(options.settings.resolve())] if options.settings else []
    code = piece(words, folder, 60 * options.minutes - 30)  # half a minute for the archive
    out = options.out or folder / "archive"
    left = archive(folder, out)
    size = sum(path.stat().st_size for path in out.glob("archive.tar.xz.*")) / 2**20
    print(f"archive: {len(list(out.glob('archive.tar.xz.*')))} files, {size:.1f} MiB in {out}")
    if left:
        print(f"left out of it: {', '.join(left)}")
    print(f"computed so far: {seconds_of(folder) / 60:.1f} min")
    if code is None:
        print("the book is not complete: give the same command again")
        return UNFINISHED
    print("the book is complete" if code == 0 else f"make book ended with exit code {code}")
    return code


if __name__ == "__main__":
    sys.exit(main())
