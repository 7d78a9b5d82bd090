"""What the benchmarks share: contestants that take turns, and ratios within each round, which a busy machine disturbs least."""

import os
import time
from importlib.metadata import version

import numpy as np

from lesion_utils import provenance


def hardware(*packages):
    """Return one line: processor, cores, load of the machine before the run, and versions of packages."""
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    return f"{provenance.hardware()}, load before the run {os.getloadavg()[0]:.1f}; {versions}"


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


def report(rates, ours, peers, unit):
    """Print each contestant's median rate, and the ratio of ``ours`` to each peer, round by round."""
    width = max(map(len, rates))
    for name, values in rates.items():
        print(f"  {name:{width}s}  {np.median(values):10,.0f} {unit}/s  (min {values.min():,.0f}, max {values.max():,.0f})")
    for name in ours:
        for peer in peers:
            ratio = rates[name] / rates[peer]
            spread = f"min {ratio.min():.2f}, max {ratio.max():.2f}, {len(ratio)} rounds"
            print(f"  {name} / {peer}: median {np.median(ratio):.2f} ({spread})")
