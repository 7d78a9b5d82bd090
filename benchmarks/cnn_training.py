"""CNN training, images a second: plain Keras `fit` of the paper's network, against the book's trainings side by side.

The book trains many networks, so it trains one on each core at the same time; plain `fit` shares one network among the cores.
Goals: at least 1.6 times plain `fit` in float32, and 3 times in bfloat16 where the processor multiplies it natively. Beside them
stands the ceiling that the processor's convolutions set: those of the very network, with their gradients and nothing else.
"""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


import keras
import numpy as np
import tensorflow as tf
from keras import layers
from side_by_side import hardware, report, take_turns

from lesion_utils.classifier import trainers
from lesion_utils.rois import ROI_SIZE, RoiSet
from lesion_utils.settings import resolve_precision, threads

ROUNDS, IMAGES, EPOCHS, CLASSES, BATCH_SIZE = 5, 1280, 4, 3, 64
LEARNING_RATE, MOMENTUM = 0.001, 0.9


def plain_network():
    """Return the paper's CNN, written and compiled as in any tutorial, all else by default."""
    model = keras.Sequential(
        [
            keras.Input((ROI_SIZE, ROI_SIZE, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(128, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(256, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    optimizer = keras.optimizers.SGD(LEARNING_RATE, momentum=MOMENTUM, nesterov=True)
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def convolutions_alone(dtype):
    """Return a function that runs the convolutions of a training step, forward and backward, as often as a training does."""
    random = np.random.default_rng(0)

    def constant(*shape):
        return tf.constant(random.normal(size=shape), dtype)

    sizes = [(62, 1, 32), (30, 32, 64), (14, 64, 128)]  # side, channels in, filters: what Trainer's network computes
    parts = [
        (constant(BATCH_SIZE, side, side, old), constant(3, 3, old, new), constant(BATCH_SIZE, side - 2, side - 2, new))
        for side, old, new in sizes
    ]

    @tf.function
    def run(steps):
        total = tf.zeros((), dtype)
        for step in tf.range(steps):
            for number, (images, kernel, gradient) in enumerate(parts):
                images += tf.cast(step, dtype)  # or the graph would compute it once for all steps
                with tf.GradientTape() as tape:
                    tape.watch([images, kernel])
                    out = tf.nn.conv2d(images, kernel, 1, "VALID")
                wanted = [kernel] if number == 0 else [images, kernel]
                total += tf.add_n([part[0, 0, 0, 0] for part in [out, *tape.gradient(out, wanted, gradient)]])
        return total

    return lambda: run(tf.constant(EPOCHS * IMAGES // BATCH_SIZE)).numpy()


def _plain_fit():
    """Train the plain network in the peer's own process, which is started with TensorFlow's usual threads: all cores."""
    global _plain
    images, label = training_data()
    _plain = globals().get("_plain") or plain_network()
    _plain.fit(images, label, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)


def training_data():
    random = np.random.default_rng(0)
    return random.random((IMAGES, ROI_SIZE, ROI_SIZE, 1), np.float32), random.integers(0, CLASSES, IMAGES)


def peer_process():
    """Return a process of its own for the peer: the book's processes have one TensorFlow thread a network."""
    own = os.environ["TF_NUM_INTRAOP_THREADS"]
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(os.cpu_count())
    process = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    process.submit(os.getpid).result()
    os.environ["TF_NUM_INTRAOP_THREADS"] = own
    return process


def at_once(runs):
    """Return a function that makes several runs at the same time."""

    def run():
        with ThreadPoolExecutor(len(runs)) as pool:
            list(pool.map(lambda one: one(), runs))

    return run


def main():
    print(__doc__.splitlines()[0])
    print(hardware("tensorflow", "keras"))
    peer = peer_process()
    images, label = training_data()
    rois = RoiSet(images, label, frozenset(), np.full(IMAGES, ""))
    networks = threads()

    def ours(precision):
        settings = {"epochs": EPOCHS, "batch_size": BATCH_SIZE, "learning_rate": LEARNING_RATE, "momentum": MOMENTUM}
        pool = trainers(CLASSES, **settings, precision=precision)
        return at_once([lambda trainer=trainer: trainer.train(rois, seed=0) for trainer in pool])

    def ceiling(dtype):
        return at_once([convolutions_alone(dtype) for _ in range(networks)])

    count = networks * EPOCHS * IMAGES
    name, alone = f"ours, float32, {networks} networks side by side", "convolutions alone, float32"
    contestants, ceilings = {name: (ours("float32"), count)}, {alone: (ceiling(tf.float32), count)}
    pairs = {(name, "plain fit"): 1.6, (name, alone): None}
    if resolve_precision("auto") == "mixed_bfloat16":
        name, alone = f"ours, bfloat16, {networks} networks side by side", "convolutions alone, bfloat16"
        contestants[name], ceilings[alone] = (ours("mixed_bfloat16"), count), (ceiling(tf.bfloat16), count)
        pairs |= {(name, "plain fit"): 3.0, (name, alone): None}
    else:
        print("this processor does not multiply bfloat16 natively, so only float32 is compared")
    peers = {"plain fit": (lambda: peer.submit(_plain_fit).result(), EPOCHS * IMAGES)}
    report("CNN training", take_turns(peers | contestants | ceilings, ROUNDS), pairs, "image", "tensorflow", "keras")


if __name__ == "__main__":
    main()
