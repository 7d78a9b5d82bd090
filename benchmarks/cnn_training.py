"""CNN training, images a second: plain Keras `fit` of the paper's network as it is usually written, against `classifier.Trainer`.

Goals: at least 1.6 times plain `fit` in float32, and 3 times in bfloat16 where the processor multiplies it natively. Beside them
stands the ceiling that the processor's convolutions set: those of the very network, with their gradients and nothing else.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from side_by_side import hardware, report, take_turns

from lesion_utils.classifier import Trainer
from lesion_utils.rois import ROI_SIZE, RoiSet
from lesion_utils.settings import resolve_precision

ROUNDS, IMAGES, EPOCHS, CLASSES, BATCH_SIZE = 7, 1280, 4, 3, 64
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


def main():
    print(__doc__.splitlines()[0])
    print(hardware("tensorflow", "keras"))
    random = np.random.default_rng(0)
    images = random.random((IMAGES, ROI_SIZE, ROI_SIZE, 1), np.float32)
    label = random.integers(0, CLASSES, IMAGES)
    rois = RoiSet(images, label, frozenset(), np.full(IMAGES, ""))
    plain = plain_network()

    def plain_fit():
        plain.fit(images, label, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)

    def ours(precision):
        settings = {"epochs": EPOCHS, "batch_size": BATCH_SIZE, "learning_rate": LEARNING_RATE, "momentum": MOMENTUM}
        trainer = Trainer(CLASSES, **settings, precision=precision)
        return lambda: trainer.train(rois, seed=0)

    contestants = {"ours, float32": (ours("float32"), EPOCHS * IMAGES)}
    ceilings = {"convolutions alone, float32": (convolutions_alone(tf.float32), EPOCHS * IMAGES)}
    if resolve_precision("auto") == "mixed_bfloat16":
        contestants["ours, bfloat16"] = (ours("mixed_bfloat16"), EPOCHS * IMAGES)
        ceilings["convolutions alone, bfloat16"] = (convolutions_alone(tf.bfloat16), EPOCHS * IMAGES)
    else:
        print("this processor does not multiply bfloat16 natively, so only float32 is compared")
    peers = {"plain fit": (plain_fit, EPOCHS * IMAGES)}
    report(take_turns(peers | contestants | ceilings, ROUNDS), contestants | ceilings, peers, "image")


if __name__ == "__main__":
    main()
