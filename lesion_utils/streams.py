"""One seed, many random streams: no two parts of the experiment share numbers."""

import numpy as np

#: Spawn keys of the random streams that are derived from one seed, so that no two parts of the experiment share numbers.
STREAMS = {
    "folds": 1, "augmentation": 2, "group": 3, "classifier": 4, "gan": 5, "sampling": 6, "subcohort": 7,
    "extra": 8, "acgan": 9, "texture": 10, "reading": 11, "detector": 12, "tsne": 13, "fidelity": 14,
    "controls": 15, "comparison": 16, "truth": 17, "better_gans": 18, "cohorts": 19,
}  # fmt: skip


def stream(seed, name, *numbers):
    """Return a whole number that seeds one part of the experiment: the same for the same seed, name and numbers."""
    return int(np.random.SeedSequence(seed, spawn_key=(STREAMS[name], *numbers)).generate_state(1)[0] % 2**24)
