"""A run that is killed again and again, and resumed each time, ends with the numbers of a run that was left alone, bit for bit.

    python tests/kills.py [--count 30] [--seed 0] [--whole runs/smoke] [--short]

First a smoke run is made and left alone, or taken as it is (``--whole``). Moments are drawn uniformly over its duration; each is
told by the file that was finished last before it, and the seconds since, so that a second run is killed in the same places. Each
kill is SIGKILL: to the process group, as a terminal or a cluster does it, or, as often, to every process of the run. ``--short``
kills three times, at files rather than moments, so that it is the same on a machine of any speed, and stops after the GANs.
"""

import argparse
import bisect
import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "runs"
COMMAND = [sys.executable, "-m", "lesion_utils", "book", "--profile", "smoke"]
#: Numbers of a run: its tables, and its notebooks' parts of them.
TABLES = ("*.csv", "results/*.csv", "predictions/*.csv", "chosen/*.json")
#: Of ``--short``: a kill at the first file of each pattern (among the classic groups, within a GAN's training, among classifiers
#: of what GANs drew), and the files that a run has when it is stopped.
SHORT = [("classifiers/classic_*.npz", 0), ("dcgan/*/epoch_*.keras", 0), ("classifiers/gan_only_*.npz", 0)]
SHORT_END = ("book/notebooks/03_dcgan.ipynb", "book/notebooks/04_acgan.ipynb")
#: Seconds after which a run that neither ends nor comes to its moment is a finding; and that a kernel may outlive its notebook.
PATIENCE, LINGER = 3600, 60


def timeline(folder):
    """Return ``(time, name)`` of every file that a run has finished, in order; the first is its parameters, the last its book."""
    folder = Path(folder)
    own = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    # Pages keep the time of what they were copied from; what begins with a dot is the workflow's own.
    kept = {name: path for name, path in own.items() if not name.startswith((".", "html/", "book/book/", "book/_"))}
    times = sorted((path.stat().st_mtime, name) for name, path in kept.items())
    return [*times, (own["html/index.html"].stat().st_mtime, "html/index.html")]


def draw_moments(files, count, chance):
    """Return ``count`` moments in order, uniform over a :func:`timeline`: name of the last finished file, and seconds since."""
    moments = sorted(chance.uniform(files[0][0], files[-1][0]) for _ in range(count))
    last = [files[bisect.bisect(files, moment, key=lambda file: file[0]) - 1] for moment in moments]
    return [(name, moment - then) for moment, (then, name) in zip(moments, last, strict=True)]


def family(process):
    """Return every process below one, kernels too, with its command line."""
    found = {}
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                found[child] = child.cmdline()
    return found


def parts(commands):
    """Return what is at work, from command lines: names of notebooks, ``render``, ``join``."""
    found = set()
    for words in commands:
        if words[1:3] == ["-m", "lesion_utils"] and words[3] in ("notebook", "render", "join"):
            classic = " (classic groups)" if "/classic/" in " ".join(words) else ""
            found.add(Path(words[4]).stem + classic if words[3] == "notebook" else words[3])
    return found


def alive(processes):
    """Return the processes that still run; one that has ended but that nobody has asked for does not."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


class Killed:
    """A run that is killed and resumed.

    Attributes
    ----------
    hits : list of set of str
        What was at work at each kill that hit.
    finding : str
        Why the run could not be brought to its end; empty: it could.
    """

    def __init__(self, name):
        self.folder, self.log, self.words = RUNS / name, RUNS / f"{name}.log", [*COMMAND, "--name", name]
        self.hits, self.finding, self._processes = [], "", set()
        shutil.rmtree(self.folder, ignore_errors=True)
        RUNS.mkdir(exist_ok=True)
        self.log.write_bytes(b"")

    def session(self, *patterns, seconds=0, everything=False):
        """Start or resume the run, and kill it ``seconds`` after it first has a file of each pattern.

        Parameters
        ----------
        *patterns : str
            With none, the run is left alone.
        seconds : float
        everything : bool
            Kill every process at once, not the process group alone, which leaves kernels to end by themselves.

        Returns
        -------
        set of str or None
            What was at work when the kill hit; None: the run had ended.
        """
        since, started, processes = None, time.monotonic(), {}
        with open(self.log, "ab") as log:
            process = subprocess.Popen(self.words, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        try:
            while process.poll() is None and time.monotonic() - started < PATIENCE:
                if since is None and patterns and all(any(self.folder.glob(pattern)) for pattern in patterns):
                    since = time.monotonic()
                if since is not None and time.monotonic() - since >= seconds:
                    break
                time.sleep(0.1)
            processes = family(psutil.Process(process.pid)) if process.poll() is None else {}
        finally:  # also where this program is interrupted
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for child in processes if everything else ():
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        self._processes |= processes.keys()
        code = process.wait()
        if code == -signal.SIGKILL and since is not None:
            return parts(processes.values())
        endless = f"it neither ended nor came to its moment in {PATIENCE} s"
        self.finding = {0: "", -signal.SIGKILL: endless}.get(code, f"it ended with exit code {code}")
        return None

    def run(self, moments, chance, end=()):
        """Kill the run at each moment, then let it come to its end, or stop it when it has the files ``end``."""
        for number, (pattern, seconds) in enumerate(moments, start=1):
            hit = self.session(pattern, seconds=seconds, everything=chance.random() < 0.5)
            if hit is None:
                break
            self.hits.append(hit)
            print(f"kill {number}: {' and '.join(sorted(hit)) or 'between parts'}", flush=True)
        else:
            self.session(*end)
        patience = time.monotonic() + LINGER
        while alive(self._processes) and time.monotonic() < patience:
            time.sleep(0.1)
        for process in alive(self._processes):
            self.finding = self.finding or f"a process lived on for {LINGER} s: {process.name()} {process.pid}"
            process.kill()


def differences(whole, cut, shown=5):
    """Return lines that say which rows of the tables of two runs differ; no line: every byte is the same."""
    found, whole, cut = [], Path(whole), Path(cut)
    names = sorted(path.relative_to(cut).as_posix() for pattern in TABLES for path in cut.glob(pattern))
    for name in names:
        if not (whole / name).exists():
            found.append(f"{name}: the run that was left alone has none")
        elif (whole / name).read_bytes() != (cut / name).read_bytes():
            lines = [(folder / name).read_text(encoding="utf-8").splitlines() for folder in (whole, cut)]
            pairs = enumerate(itertools.zip_longest(*lines, fillvalue="(no such line)"), start=1)
            unlike = [(number, *pair) for number, pair in pairs if pair[0] != pair[1]]
            found.append(f"{name}: {len(unlike)} of {max(map(len, lines))} lines differ")
            for number, left, right in unlike[:shown]:
                found += [f"  line {number}, left alone: {left}", f"  line {number}, killed:     {right}"]
    return found if names else [f"{cut} holds no table"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=30, help="kills")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--whole", type=Path, help="folder of a smoke run that was made in one go and left alone")
    parser.add_argument("--short", action="store_true", help="three kills, as far as the GANs")
    options = parser.parse_args()
    chance, whole = random.Random(options.seed), options.whole
    if whole is None:
        alone = Killed("kills-alone")
        started, whole = time.monotonic(), alone.folder
        alone.run([], chance)
        if alone.finding:
            sys.exit(f"the run that was left alone failed: {alone.finding}; see {os.path.relpath(alone.log)}")
        print(f"the run that is left alone took {(time.monotonic() - started) / 60:.1f} minutes", flush=True)
    moments = SHORT if options.short else draw_moments(timeline(whole), options.count, chance)
    killed, started = Killed("kills"), time.monotonic()
    killed.run(moments, chance, SHORT_END if options.short else ())
    minutes = (time.monotonic() - started) / 60
    print(f"{len(killed.hits)} of {len(moments)} kills hit a run at work; with what was resumed it took {minutes:.1f} minutes")
    where = Counter(part for hit in killed.hits for part in hit or {"between parts"})
    print("\n".join(f"{number:5} {part}" for part, number in where.most_common()))
    problems = [f"{killed.finding}; see {os.path.relpath(killed.log)}"] if killed.finding else differences(whole, killed.folder)
    if len(killed.hits) < len(moments):
        problems.append("the run had ended before its last moments came; try another seed")
    print("\n".join(problems) or "the numbers are those of the run that was left alone, byte for byte")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
