"""What the benchmarks share: contestants that take turns, and ratios within each round, which a busy machine disturbs least."""

import os
import time
from importlib.metadata import version

import numpy as np
import pandas as pd

from lesion_utils import provenance, speed
from lesion_utils.files import write_csv


def hardware(*packages):
    """Return one line: processor, cores, load of the machine before the run, and versions of packages."""
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    return f"{provenance.hardware()}, load before the run {os.getloadavg()[0]:.1f}; {versions}"


def stopwatch():
    """Return a dictionary, and a function that keeps in it, by name, the seconds since its last call, or since the start."""
    seconds, started = {}, time.perf_counter()

    def lap(name):
        nonlocal started
        now = time.perf_counter()
        seconds[name], started = now - started, now

    return seconds, lap


def take_turns(contestants, rounds, warm=False):
    """Time every contestant once a round, after one round that does not count.

    Parameters
    ----------
    contestants : dict of str to (callable, int)
        What to run, and how many items one run makes.
    rounds : int
    warm : bool
        Run each contestant twice in its turn and time the second: the first takes the memory, which a virtual machine may have to
        fetch from its host, and fills the caches.

    Returns
    -------
    dict of str to (rounds,) array
        Items a second.
    """
    rates = {name: [] for name in contestants}
    for _ in range(rounds + 1):
        for name, (run, items) in contestants.items():
            if warm:
                run()
            started = time.perf_counter()
            run()
            rates[name].append(items / (time.perf_counter() - started))
    return {name: np.array(values[1:]) for name, values in rates.items()}


def report(benchmark, rates, pairs, unit, *packages, device=None):
    """Print each contestant's median rate and the ratios of pairs, round by round, and keep both in the book's table.

    Parameters
    ----------
    benchmark : str
        Its name in the table; what an earlier run wrote under it is replaced.
    rates : dict of str to (rounds,) array
        From :func:`take_turns`.
    pairs : dict of (str, str) to (float or None)
        Contestant and peer, and the ratio that is the goal, if there is one.
    unit : str
        Of an item.
    packages : str
        Whose versions the table names.
    device : str, optional
        The accelerator, where it is not the processor that computes.
    """
    width, rows = max(map(len, rates)), []
    for name, values in rates.items():
        print(f"  {name:{width}s}  {np.median(values):10,.4g} {unit}/s  (min {values.min():,.4g}, max {values.max():,.4g})")
        rows.append({"contestant": name, "unit": f"{unit}/s", "rate": float(f"{np.median(values):.4g}")})
    for (name, peer), goal in pairs.items():
        ratio = rates[name] / rates[peer]
        middle, lowest, highest = np.median(ratio), ratio.min(), ratio.max()
        words = "" if goal is None else f"; goal {goal:g}, {'met' if middle >= goal else 'missed'}"
        print(f"  {name} / {peer}: median {middle:.2f} (min {lowest:.2f}, max {highest:.2f}, {len(ratio)} rounds){words}")
        figures = {"ratio": middle, "lowest": lowest, "highest": highest}
        row = {"contestant": name, "peer": peer} | {key: round(float(value), 3) for key, value in figures.items()}
        rows.append(row | {"rounds": len(ratio), "goal": goal})
    if device != "cpu":  # a rehearsal of what wants an accelerator is not kept
        keep(benchmark, rows, *packages, device=device)


def keep(benchmark, rows, *packages, device=None):
    """Write rows into the book's table of speed, in place of those of an earlier run of the same benchmark."""
    made = {"commit": provenance.code_state()["commit"], "hardware": device or provenance.hardware()}
    made["versions"] = ", ".join(f"{package} {version(package)}" for package in packages)
    new = pd.DataFrame([{"benchmark": benchmark} | row | made for row in rows]).reindex(columns=speed.COLUMNS)
    old = speed.read_table()
    # It keeps its place among the others.
    order = list(dict.fromkeys([*old["benchmark"], benchmark]))
    table = pd.concat([old[old["benchmark"] != benchmark], new]) if len(old) else new
    table = table.sort_values("benchmark", key=lambda column: column.map(order.index), kind="stable")
    write_csv(speed.TABLE, table)
