"""A forecast before a run: how much work its parameters ask for, how fast this machine does it, and what stays on the disk.

Work is counted in :mod:`work`; rates are measured here and now, by a few real training steps at the run's own sizes.
"""

import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import phantom
from .progress import native_messages_to
from .provenance import hardware
from .settings import resolve_precision
from .work import count_lesions, count_work

#: Seconds of what is neither training nor drawing: start, imports, compilation, figures of one notebook; rendering the book.
NOTEBOOK_SECONDS, RENDER_SECONDS = 12, 20
#: Notebooks executed, 05_classification twice: its classic half comes before the GANs.
NOTEBOOK_RUNS = 15
#: Seconds that the texture baselines take for a lesion and fold at the paper's setting, seen in runs on two cores.
TEXTURE_SECONDS = 0.04
#: Bytes on disk, seen in runs: a lesion of cohort.npz, a synthetic ROI (64 x 64 x 16 bit, packed), a row of predictions.csv
#: (written twice), a trained unit's mean image and probabilities, and the executed notebooks with the rendered book.
LESION_BYTES, SYNTHETIC_BYTES, ROW_BYTES, UNIT_BYTES, BOOK_BYTES = 23_000, 7_500, 180, 50_000, 16_000_000
#: Seconds that reading one lesion of a table takes: its volume and its mask.
READ_SECONDS = 0.1


@dataclass(frozen=True)
class Rates:
    """What :func:`measure` found: seconds a piece of work, bytes a file, operations of a GAN's step and of a CNN's image."""

    lesion: float
    classic: float
    judge: float
    step: float
    acgan_step: float
    saving: float
    sample: float
    checkpoint_bytes: int
    generator_bytes: int
    discriminator_bytes: int
    classifier_bytes: int
    step_operations: int
    acgan_step_operations: int
    image_operations: int
    judge_operations: int


def measure(parameters, classes):
    """Train a little at the run's own sizes and precision, and return the :class:`Rates` of this machine."""
    from . import flops, steps
    from .acgan import Acgan
    from .gans import Dcgan

    cnn, gan, acgan = (parameters[name] for name in ("05_classification", "03_dcgan", "04_acgan"))
    step_names = ("generator_width", "discriminator_width", "batch_size", "learning_rate", "beta_1", "noise")
    dcgan, conditional = (
        kind(**{name: own[name] for name in step_names}, precision=resolve_precision(own["precision"]), **more)
        for kind, own, more in (
            (Dcgan, gan, {"generator_updates": gan["generator_updates"]}),
            (Acgan, acgan, {"classes": classes}),
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "a.npz"
        generator, discriminator, classifier = (Path(folder) / f"{letter}.keras" for letter in "bcd")
        sizes = (cnn["cnn_width"], cnn["batch_size"], resolve_precision(cnn["precision"]))
        judge_sizes = (gan["judge_width"], gan["judge_batch_size"], resolve_precision(gan["precision"]))
        trained, classic = _seconds_per_image(classes, *sizes)
        trained.save(classifier)
        judging, judge = (trained, classic) if judge_sizes == sizes else _seconds_per_image(classes, *judge_sizes)
        step, acgan_step = _seconds_per_step(dcgan), _seconds_per_step(conditional)
        np.savez(checkpoint, **dcgan.state())
        noise = np.zeros((64, dcgan.generator.input_shape[1]), np.float32)
        sample = _seconds(lambda: steps.infer(dcgan.generator, noise)) / len(noise)
        saving = _seconds(lambda: dcgan.generator.save(generator), least=0)
        conditional.discriminator.save(discriminator)
        sizes = [path.stat().st_size for path in (checkpoint, generator, discriminator, classifier)]
    if parameters["01_data"]["data"]:
        lesion = READ_SECONDS
    else:
        lesion = _seconds(lambda: phantom.simulate((4, 4, 4), seed=0)) / 12
    operations = [
        flops.gan_step(gan.generator, gan.discriminator, gan.settings["batch_size"], gan.settings["generator_updates"])
        for gan in (dcgan, conditional)
    ]
    operations += [flops.training_step(network, 1) for network in (trained, judging)]
    return Rates(lesion, classic, judge, step, acgan_step, saving, sample, *sizes, *operations)


def _seconds_per_step(gan):
    batch_size = gan.settings["batch_size"]
    images, label = np.zeros((4 * batch_size, 64, 64, 1), np.float32), np.zeros(4 * batch_size, np.int32)
    gan.train_epoch(images, label[:batch_size])  # compiles, for as many images as are timed, but shows a batch only
    return _seconds(lambda: gan.train_epoch(images, label)) / 4


def _seconds_per_image(classes, width, batch_size, precision):
    from .classifier import Trainer
    from .rois import RoiSet

    n, ends = 8 * batch_size, []
    random = np.random.default_rng(0)
    images, label = random.random((n, 64, 64, 1), np.float32), random.integers(0, classes, n)
    rois = RoiSet(images, label, frozenset(), np.full(n, ""))
    settings = {"width": width, "batch_size": batch_size, "precision": precision}
    trainer = Trainer(classes, epochs=4, learning_rate=0.001, momentum=0.9, **settings)
    trained = trainer.train(rois, seed=0, on_epoch=lambda epoch, loss: ends.append(time.perf_counter()))
    return trained.model, np.median(np.diff(ends)) / n  # the first epoch, which compiles, lies before the first end


def _seconds(run, least=2.0):
    """Return the median time of calls of ``run``, made until ``least`` seconds are over."""
    times = []
    while sum(times) < least or not times:
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def part_jobs(parameters):
    """Return how many jobs train for the notebooks where a run is made in parts; see the Snakefile."""
    folds = parameters["01_data"]["folds"]
    seeds = {name: len(own["seeds"]) for name, own in parameters.items() if "seeds" in own}
    added = sum(arm not in ("real", "classic") for arm in parameters["05_classification"]["arms"])
    by_fold = seeds["05_classification"] + seeds["03_dcgan"] + seeds["04_acgan"]
    return folds * by_fold + added * seeds["05_classification"] + seeds["11_controls"] + seeds["14_better_gans"]


def forecast(parameters, cores=None, parts=False):
    """Measure this machine for some 20 seconds and return the forecast of a run as text.

    Parameters
    ----------
    parameters : dict of str to dict
        Notebook name to its complete parameters; see :func:`settings.run_parameters`.
    cores : int, optional
        Processor cores that the run may use; all of them by default.
    parts : bool
        Whether the run is made in parts: then more notebooks are started.

    Raises
    ------
    SettingsError, DataError
        As the run itself would, for what the parameters and the table alone can tell.
    """
    cores = cores or os.cpu_count()
    os.environ.setdefault("OMP_NUM_THREADS", str(cores))
    lesions = count_lesions(parameters)
    load = os.getloadavg()[0]
    print("Measuring this machine with a few real training steps ...", file=sys.stderr, flush=True)
    with native_messages_to(os.devnull):
        work = count_work(parameters, lesions)
        rates = measure(parameters, len(lesions.cohort))
    notebooks = NOTEBOOK_RUNS + (part_jobs(parameters) if parts else 0)
    return "\n".join(_lines(parameters, lesions, work, rates, cores, load, notebooks))


def _lines(parameters, lesions, work, rates, cores, load, notebooks):
    cnn, gan = (parameters[name] for name in ("05_classification", "03_dcgan"))
    better = work.better
    everything = sum(lesions.cohort) + lesions.extra + lesions.test
    lesion_words = "reading lesions" if parameters["01_data"]["data"] else "simulating lesions"
    rate_words = "assumed" if parameters["01_data"]["data"] else None
    fixed = (notebooks * NOTEBOOK_SECONDS + RENDER_SECONDS) / notebooks
    folds = parameters["01_data"]["folds"]
    textures = len(parameters["07_texture_baselines"]["seeds"]) * folds * (sum(lesions.cohort) + lesions.test)
    generators, discriminators = work.generators + better.generators, work.discriminators + better.discriminators
    parts = [
        (lesion_words, everything + work.fresh_lesions, "lesions", rates.lesion, rate_words),
        (f"CNN, {work.classic_units} trainings on classic groups", work.classic_images, "images", rates.classic, None),
        (f"CNN, {work.added_units} trainings with more ROIs on top", work.added_images, "images", rates.classic, None),
        (f"CNN, {work.control_units} trainings of control arms", work.control_images, "images", rates.classic, None),
        (f"CNN, {work.truth_units} trainings on further deals", work.truth_images, "images", rates.classic, None),
        (f"CNN, {better.cnn_units} trainings with better GANs' ROIs", better.cnn_images, "images", rates.classic, None),
        (f"CNN, {work.judge_units} trainings on synthetic ROIs alone", work.judge_images, "images", rates.judge, None),
        ("CNN, real against synthetic ROIs", work.detector_images, "images", rates.classic, None),
        (f"DCGAN, {work.gan_units} trainings", work.gan_steps, "steps", rates.step, None),
        (f"ACGAN, {work.acgan_units} trainings", work.acgan_steps, "steps", rates.acgan_step, None),
        (f"better GANs, {better.units} trainings", better.steps, "steps", rates.acgan_step, None),
        ("saving networks of GANs", generators + discriminators, "files", rates.saving, None),
        ("drawing synthetic ROIs", work.samples + better.drawn, "images", rates.sample, None),
        ("texture baselines", textures, "lesions", TEXTURE_SECONDS, "assumed"),
        ("notebooks' start, figures, rendering", notebooks, "notebooks", fixed, "assumed"),
    ]
    tests = sum(lesions.cohort) + folds * lesions.test
    units = work.classic_units + work.added_units + work.control_units + work.truth_units + work.judge_units + better.cnn_units
    kept = work.kept_units + len(parameters["14_better_gans"]["seeds"]) * folds
    disk = [
        (f"cohort, {everything:,} lesions", everything * LESION_BYTES),
        (f"{generators} generators of GANs", generators * rates.generator_bytes),
        (f"{discriminators} discriminators of GANs", discriminators * rates.discriminator_bytes),
        ("rolling checkpoint, while a GAN trains", rates.checkpoint_bytes),
        (f"{work.samples:,} synthetic ROIs", work.samples * SYNTHETIC_BYTES),
        (f"{kept} saved CNNs", kept * rates.classifier_bytes),
        (f"probabilities and predictions of {units} CNNs", units * UNIT_BYTES + units * tests * ROW_BYTES),
        ("executed notebooks and the rendered book", BOOK_BYTES),
    ]
    precisions = f"CNN {resolve_precision(cnn['precision'])}, DCGAN {resolve_precision(gan['precision'])}"
    yield f"Forecast for {parameters['01_data']['run']} on {hardware()}, {cores} of them used; {precisions}"
    counts = " + ".join(map(str, lesions.cohort))
    yield f"{sum(lesions.cohort)} lesions to train and test on ({counts}), {lesions.extra + lesions.test:,} others\n"
    yield f"{'part':46s} {'work':>22s} {'rate here':>18s} {'time':>10s}"
    # Networks train side by side, one thread each; measured was one of them.
    parts = [(*part[:3], part[3] / (cores if "training" in part[0] else 1), part[4]) for part in parts]
    for name, amount, unit, seconds, words in parts:
        yield f"{name:46s} {f'{amount:,} {unit}':>22s} {words or _rate(seconds):>18s} {duration(amount * seconds):>10s}"
    yield f"{'in all':46s} {'':22s} {'':18s} {duration(sum(amount * seconds for _, amount, _, seconds, _ in parts)):>10s}\n"
    yield f"{'on the disk':46s} {'size':>22s}"
    for name, size in [*disk, ("in all", sum(size for _, size in disk))]:
        yield f"{name:46s} {f'{size / 1e6:,.0f} MB':>22s}"
    gans = work.gan_steps * rates.step_operations + (work.acgan_steps + better.steps) * rates.acgan_step_operations
    images = work.classic_images + work.added_images + work.control_images + work.truth_images
    images += better.cnn_images + work.detector_images
    cnns = images * rates.image_operations + work.judge_images * rates.judge_operations
    yield f"\nTraining is {gans / 1e12:,.0f} TFLOP of arithmetic for GANs and {cnns / 1e12:,.0f} for CNNs. A step of a DCGAN, "
    rate = rates.step_operations / rates.step / 1e9
    yield f"{rates.step_operations / 1e9:,.1f} GFLOP, runs at {rate:,.0f} GFLOP/s on one core here."
    yield f"The classic amount is chosen by the run; {work.optimum:,} is assumed here."
    yield "Finished trainings that are kept from an earlier run are counted all the same."
    if load > 0.5:
        yield f"Other programs were running (load {load:.1f}), so an idle machine is faster than this forecast says."


def duration(seconds):
    """Return a time in the unit that suits it: seconds, minutes, hours or days."""
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _rate(seconds):
    return f"{1 / seconds:,.0f} /s" if seconds < 0.05 else f"{seconds:.2f} s each"
