"""CNN training, images a second: plain Keras `fit` of the paper's network as it is usually written, against `classifier.Trainer`.

Goals: at least 1.6 times plain `fit` in float32, and 3 times in bfloat16 where the processor multiplies it natively.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers
from side_by_side import hardware, report, take_turns

from lesion_utils.classifier import Trainer
from lesion_utils.rois import ROI_SIZE, RoiSet
from lesion_utils.settings import resolve_precision

ROUNDS, IMAGES, EPOCHS, CLASSES, BATCH_SIZE = 7, 640, 3, 3, 64
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
    if resolve_precision("auto") == "mixed_bfloat16":
        contestants["ours, bfloat16"] = (ours("mixed_bfloat16"), EPOCHS * IMAGES)
    else:
        print("this processor does not multiply bfloat16 natively, so only float32 is compared")
    peers = {"plain fit": (plain_fit, EPOCHS * IMAGES)}
    report(take_turns(peers | contestants, ROUNDS), contestants, peers, "image")


if __name__ == "__main__":
    main()
