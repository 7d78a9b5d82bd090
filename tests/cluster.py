"""The smoke book on a real SLURM: a node is lost, jobs go over memory and time, and what was finished is not computed twice.

    python tests/cluster.py [--whole runs/smoke] [--name cluster]

SLURM is started here, on loopback, in a temporary folder, with two nodes of one processor (``slurm.py`` says what it needs). The
book is made in parts, with ``profiles/slurm`` less its retries, so that each mishap ends a session, and the same command is given
again. In the end its tables must be those of a run on this machine alone (``--whole``; made first if it is not given), byte for
byte, and whatever file of a finished training there was after a mishap must be untouched.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import yaml
from kills import PATIENCE, RUNS, differences
from slurm import Slurm, processes_of

ROOT = Path(__file__).resolve().parents[1]
BOOK = [sys.executable, "-m", "lesion_utils", "book", "--profile", "smoke"]
#: Files that a job writes when it has finished something: a classifier, a GAN (its last file), a part, a page.
FINISHED = ("classifiers/*.npz", "*gan*/*/history.csv", "parts/*/*.ipynb", "book/notebooks/*.ipynb")
#: Megabytes of a job that is to go over its memory, and of all others; the kernel alone takes more than the first.
LITTLE, ENOUGH = 300, 3000
#: The mishaps: the rule whose jobs meet it, states of SLURM that tell it ("failed" of a step over its memory), words in its log.
MISHAPS = {
    "a node is lost": ("dcgan_part", {"NODE_FAIL"}, ""),
    "jobs go over their memory": ("classification_part", {"FAILED", "OUT_OF_MEMORY"}, "xceeded job memory limit"),
    "a job goes over its time": ("better_gans_part", {"TIMEOUT"}, "DUE TO TIME LIMIT"),
}
#: The first GAN that a job of these rules has finished, of several; the last number of its comment is its fold, or its seed.
AT_WORK = {"dcgan_part": "dcgan/seed0_fold{}_class*/history.csv", "better_gans_part": "better_gans/seed{}_*/history.csv"}


def write_profile(folder, **resources):
    """Write the shipped profile with quick looks at the queue, no retries, and resources of single rules; return its folder."""
    values = yaml.safe_load((ROOT / "profiles" / "slurm" / "config.yaml").read_text(encoding="utf-8"))
    values |= {"retries": 0, "latency-wait": 10, "slurm-init-seconds-before-status-checks": 5}
    values["default-resources"] = {"mem_mb": ENOUGH, "runtime": 30}
    values |= {"set-resources": resources} if resources else {}
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    return folder


def finished(folder):
    """Return inode and time of every file of a run that a job has finished, by name."""
    files = {path for pattern in FINISHED for path in folder.glob(pattern) if not path.name.startswith(".")}
    return {path.relative_to(folder).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


class Trial:
    """A run on a cluster, in sessions."""

    def __init__(self, cluster, name):
        self.cluster, self.folder, self.log, self.problems = cluster, RUNS / name, RUNS / f"{name}.log", []
        shutil.rmtree(self.folder, ignore_errors=True)
        RUNS.mkdir(exist_ok=True)
        self.log.write_bytes(b"")
        self.words = [*BOOK, "--name", name, "--parts", "--cores", "1", "--workflow-profile"]

    def session(self, meanwhile=None, **resources):
        """Give the command once; return its exit code and SLURM's jobs of this session. ``meanwhile`` is called once a second."""
        known = {job[0] for job in self.cluster.jobs()}
        profile = write_profile(self.cluster.folder / "profile", **resources)
        environment = self.cluster.environment | {"PYTHONPATH": str(ROOT)}
        with open(self.log, "ab") as log:
            options = {"cwd": ROOT, "env": environment, "stdout": log, "stderr": log, "start_new_session": True}
            process = subprocess.Popen([*self.words, str(profile)], **options)
            end = time.monotonic() + PATIENCE
            try:
                while process.poll() is None:
                    if meanwhile is not None and meanwhile():
                        meanwhile = None
                    if time.monotonic() > end:
                        raise SystemExit(f"a session did not end in {PATIENCE} s; see {self.log}")
                    time.sleep(1)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        if meanwhile is not None:
            self.problems.append("the moment for a mishap did not come")
        return process.returncode, [job for job in self.cluster.jobs() if job[0] not in known]

    def mishap(self, title, meanwhile=None, **resources):
        """Have a session that must end by a mishap, and by nothing else; return the files of what is finished after it."""
        rule, states, says = MISHAPS[title]
        code, jobs = self.session(meanwhile, **resources)
        cut = [job for job in jobs if job[1] != "COMPLETED"]
        logs = [(self.folder / ".snakemake" / "slurm_logs").rglob(f"{number}.log") for number, *_ in cut]
        texts = [path.read_text(errors="replace") for paths in logs for path in paths]
        good = code and cut and all(state in states and comment.startswith(f"rule_{rule}") for _, state, _, comment in cut)
        if not good or not all(says in text for text in texts):
            self.problems.append(f"{title}: the session ended with {code} and jobs {cut}; see {self.log}")
        done = Counter(comment for _, state, _, comment in jobs if state == "COMPLETED")
        lost = ", ".join(f"{comment.removeprefix('rule_')} ({state})" for _, state, _, comment in cut)
        print(f"{title}: {sum(done.values())} jobs went well, cut off: {lost}", flush=True)
        return finished(self.folder)

    def at_work(self, rule):
        """Return node and kernel of a running job of a rule that has finished some of its work, or None."""
        lines = self.cluster.run("squeue", "-h", "-t", "R", "-o", "%N|%k").splitlines()
        for node, comment in (line.split("|", 1) for line in lines):
            pattern = AT_WORK[rule].format(comment.rpartition("_")[2])
            if comment.startswith(f"rule_{rule}") and any(self.folder.glob(pattern)):
                processes = processes_of(node, self.cluster.folder)
                kernels = [one for one in processes if "ipykernel_launcher" in " ".join(one.cmdline())]
                if kernels:
                    return node, kernels[0]
        return None

    def lose_node(self):
        """Kill the node of a DCGAN's job that is at work; return whether there was one."""
        found = self.at_work("dcgan_part")
        if found:
            self.lost = found[0]
            self.cluster.lose_node(self.lost)
        return found

    def hang(self):
        """Stop the kernel of the better GANs' job that is at work: it then lasts until its time is over."""
        found = self.at_work("better_gans_part")
        if found:
            found[1].suspend()
        return found

    def run(self):
        """Have all mishaps one after the other, then let the run come to its end."""
        before = [self.mishap("a node is lost", self.lose_node)]
        if hasattr(self, "lost"):
            self.cluster.start_node(self.lost)
        before.append(self.mishap("jobs go over their memory", classification_part={"mem_mb": LITTLE}))
        before.append(self.mishap("a job goes over its time", self.hang, better_gans_part={"runtime": 3}))
        code, jobs = self.session()
        if code or {state for _, state, *_ in jobs} != {"COMPLETED"}:
            self.problems.append(f"the last session ended with {code}; see {self.log}")
        every = self.cluster.jobs()
        done = Counter(comment for _, state, _, comment in every if state == "COMPLETED")
        twice = [comment for comment, count in done.items() if count > 1]
        if twice:
            self.problems.append(f"finished twice: {', '.join(twice)}")
        cut = len(every) - sum(done.values())
        print(f"{len(every)} jobs in all: {len(done)} went well, each once; {cut} were cut off", flush=True)
        after = finished(self.folder)
        touched = sorted({name for files in before for name, stamp in files.items() if after.get(name) != stamp})
        if touched:
            self.problems.append(f"computed again though finished: {', '.join(touched)}")
        counts = ", ".join(str(len(files)) for files in before)
        print(f"files of finished work after each mishap: {counts}; in the end {len(after)}; touched again: {len(touched)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whole", type=Path, help="folder of a smoke run that was made on this machine alone")
    parser.add_argument("--name", default="cluster", help="folder of the run below runs/")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))  # the daemons are ended too
    if options.whole is None:
        options.whole = RUNS / f"{options.name}-alone"
        subprocess.run([*BOOK, "--name", options.whole.name], cwd=ROOT, check=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, Slurm(folder) as cluster:
        trial = Trial(cluster, options.name)
        trial.run()
    problems = trial.problems + differences(options.whole, trial.folder)
    # Names of units hold a fingerprint of what went into them: the same names are the same trainings.
    names = (finished(folder).keys() for folder in (options.whole, trial.folder))
    unlike = set.symmetric_difference(*({name for name in own if not name.startswith("parts/")} for own in names))
    problems += [f"trained in one of the runs only: {name}" for name in sorted(unlike)]
    print(f"on SLURM it took {(time.monotonic() - started) / 60:.1f} minutes")
    print("\n".join(problems) or "the numbers are those of the run on one machine, byte for byte")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
