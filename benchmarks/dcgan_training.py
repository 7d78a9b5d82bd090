"""DCGAN training, steps a second: the book's step, beside PyTorch's DCGAN example and keras.io's recipe, on the same networks.

Networks are the paper's, batches have 64 images, and every recipe has all cores. The book runs the generator once a step and
takes both losses from that run; PyTorch's example updates D before it runs D on the same images for G; keras.io's runs the
generator twice. Beside them stand the arithmetic of the book's step, counted from the layers' shapes, and matrix products in the
same rounds. Goals: no slower than PyTorch, at least twice as fast as keras.io's recipe, and at least 70 % of the matrix products'
rate in float32, 50 % in bfloat16. ``--profile`` says instead in which operations of TensorFlow the book's step spends its time.
"""

import multiprocessing
import os
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(os.cpu_count()))  # the book trains a network a thread; here all serve one

import dcgan_recipes as recipes
import numpy as np
import tensorflow as tf
from side_by_side import hardware, report, take_turns

from lesion_utils import flops
from lesion_utils.gans import Dcgan
from lesion_utils.settings import resolve_precision

ROUNDS = 9
PRODUCT_SIDE, PRODUCTS = 2048, 16


def book(precision):
    """Return the book's DCGAN with the paper's networks, and a function that makes the timed training steps."""
    settings = {"batch_size": recipes.BATCH_SIZE, "learning_rate": recipes.LEARNING_RATE, "beta_1": recipes.BETA_1}
    gan = Dcgan(generator_width=1024, discriminator_width=64, noise="uniform", precision=precision, **settings)
    images = tf.constant(recipes.training_images())
    label = np.zeros(len(images), np.int32)
    return gan, lambda: gan.train_epoch(images, label)


def products(dtype):
    """Return a function that makes large matrix products: the machine's own rate of arithmetic."""
    random = np.random.default_rng(0)
    one, other = (tf.constant(random.normal(size=(PRODUCT_SIDE, PRODUCT_SIDE)), dtype) for _ in range(2))

    @tf.function
    def run(one, other):
        for _ in tf.range(PRODUCTS):
            other = tf.matmul(one, other)  # each needs the one before
        return other[0, 0]

    return lambda: run(one, other).numpy()


def in_a_process(sizes, recipe, *words):
    """Start a process for a recipe, and return a function that makes its timed steps there.

    Parameters
    ----------
    sizes : list of 2 int
        Trainable parameters of the book's generator and discriminator: those of the recipe must be as many.
    recipe : callable
        Of :mod:`dcgan_recipes`, called with ``words``.
    """
    process = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    own = process.submit(recipes.parameters, recipe, *words).result()
    if own != sizes:
        raise SystemExit(
            f"error: the networks of {recipe.__name__} have {own} parameters, the book's {sizes}: not the same networks"
        )
    return lambda: process.submit(recipes.train, recipe, *words).result()


def profile(precision):
    """Print in which operations of TensorFlow the book's step spends its time."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    gan, run = book(precision)
    run()
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        run()
        tf.profiler.experimental.stop()
        space = xplane_pb2.XSpace()
        (path,) = Path(folder).rglob("*.xplane.pb")
        space.ParseFromString(path.read_bytes())
    times, runs = Counter(), Counter()
    for plane in space.planes:
        names = {number: entry.name for number, entry in plane.event_metadata.items()}
        for event in (event for line in plane.lines for event in line.events):
            place, _, kind = names[event.metadata_id].rpartition(":")
            if "/" in place:  # an operation of the graph; anything else is a call that holds operations
                times[kind] += event.duration_ps / 1e9 / recipes.STEPS
                runs[kind] += 1
    print(f"one step in {precision}: {sum(times.values()):,.0f} ms in operations")
    for kind, milliseconds in times.most_common(12):
        share = milliseconds / sum(times.values())
        print(f"  {kind:36s} {milliseconds:8.1f} ms  {share:6.1%}  ({runs[kind] / recipes.STEPS:.0f} a step)")


def main():
    precisions = ["float32", "mixed_bfloat16"] if resolve_precision("auto") == "mixed_bfloat16" else ["float32"]
    print(__doc__.splitlines()[0])
    print(hardware("tensorflow", "keras", "torch"))
    if "--profile" in sys.argv:
        return [profile(precision) for precision in precisions]
    contestants, steps, pairs, shares = {}, [], {}, {}
    for precision in precisions:  # those that are compared follow each other, so that the machine is most alike for both
        dtype = precision.removeprefix("mixed_")
        name, peer, ceiling = f"ours, {dtype}", f"PyTorch's example, {dtype}", f"matrix product, {dtype}"
        gan, run = book(precision)
        operations = flops.gan_step(gan.generator, gan.discriminator, recipes.BATCH_SIZE) / 1e9
        networks = (gan.generator, gan.discriminator)
        sizes = [sum(weight.numpy().size for weight in network.trainable_variables) for network in networks]
        contestants[ceiling] = (products(dtype), PRODUCTS * 2 * PRODUCT_SIDE**3 / 1e9)
        contestants[name] = (run, recipes.STEPS)
        contestants[peer] = (in_a_process(sizes, recipes.pytorch, dtype == "bfloat16"), recipes.STEPS)
        pairs[name, peer], shares[name, ceiling] = 1.0, {"float32": 0.7, "bfloat16": 0.5}[dtype]
        steps += [name, peer]
        if dtype == "float32":
            keras_io = "keras.io's recipe, float32"
            contestants[keras_io] = (in_a_process(sizes, recipes.keras_io), recipes.STEPS)
            pairs[name, keras_io] = 2.0
            steps.append(keras_io)
    print(f"a step of the book is {operations:.1f} GFLOP, counted from the layers' shapes")
    rates = take_turns(contestants, ROUNDS)
    packages = ("tensorflow", "keras", "torch")
    report("DCGAN training", {name: rates[name] for name in steps}, pairs, "step", *packages)
    ours_and_ceilings = [name for pair in shares for name in pair]
    arithmetic = {name: rates[name] * (operations if name in steps else 1) for name in ours_and_ceilings}
    report("DCGAN training, arithmetic", arithmetic, shares, "GFLOP", *packages)


if __name__ == "__main__":
    main()
