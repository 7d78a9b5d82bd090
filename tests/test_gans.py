"""Training a DCGAN: one run of the generator a step, the same bits again, and going on where it was cut off."""

import errno
import itertools
import os
import signal
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from conftest import random_rois

from lesion_utils import gan_training, gans, networks, sampling
from lesion_utils.classifier import Trainer
from lesion_utils.errors import LesionBookError, MissingInputError, SettingsError, StorageError
from lesion_utils.rois import RoiSet
from lesion_utils.settings import ROOT

TINY = {
    "generator_width": 16,
    "discriminator_width": 2,
    "batch_size": 4,
    "learning_rate": 2e-3,
    "beta_1": 0.5,
    "generator_updates": 1,
    "noise": "uniform",
    "precision": "float32",
}
ROIS = random_rois(11)
IMAGES = ROIS.images


@pytest.fixture(scope="module")
def gan():
    """One compilation for all tests; ``start`` and ``train_gan`` begin anew."""
    return gans.Dcgan(**TINY)


def values(model):
    return [variable.numpy() for variable in model.variables]


def assert_same(first, second):
    assert len(first) == len(second) > 0
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, two)


def train(gan, folder, epochs=2, seed=0, rois=ROIS, **more):
    settings = {"epochs": epochs, "saved_epochs": 1, "seed": seed, "where": "DCGAN of class cyst, fold 0"}
    return gan_training.train_gan(gan, rois, folder, **(settings | more))


# One step


def test_losses_are_those_of_the_papers_equation():
    real, fake = np.array([[2.0], [-1.0]], np.float32), np.array([[0.5], [-3.0]], np.float32)
    d_real, d_fake = 1 / (1 + np.exp(-real)), 1 / (1 + np.exp(-fake))
    expected = -np.log(d_real).mean() - np.log(1 - d_fake).mean()
    assert float(gans.discriminator_loss(real, fake)) == pytest.approx(expected, rel=1e-5)
    assert float(gans.generator_loss(fake)) == pytest.approx(-np.log(d_fake).mean(), rel=1e-5)
    assert np.isfinite(float(gans.discriminator_loss(-1000 * np.ones(2, np.float32), 1000 * np.ones(2, np.float32))))


class Counted:
    """Call a model and count how often."""

    def __init__(self, model):
        self.model, self.calls = model, 0
        self.trainable_variables = model.trainable_variables

    def __call__(self, *arguments, **more):
        self.calls += 1
        return self.model(*arguments, **more)


class Recorder:
    """Stand where an optimiser stands and keep the gradients."""

    def apply(self, gradients, weights):
        self.gradients, self.weights = [gradient.numpy() for gradient in gradients], weights


def test_step_runs_the_generator_once_and_gives_the_gradients_of_two_separate_tapes():
    def nets():
        return networks.generator(width=16, seed=1), networks.discriminator(width=2, seed=2)

    random = np.random.default_rng(0)
    real = tf.constant(random.uniform(-1, 1, (4, 64, 64, 1)).astype(np.float32))
    noise = tf.constant(gans.draw_noise((4, 100), "uniform", random))
    generator, discriminator = (Counted(model) for model in nets())
    ours_g, ours_d = Recorder(), Recorder()
    measures = gans.train_step(generator, discriminator, ours_g, ours_d, real, noise).numpy()
    assert (generator.calls, discriminator.calls) == (1, 2)
    assert ours_g.weights is generator.trainable_variables and ours_d.weights is discriminator.trainable_variables

    generator, discriminator = nets()
    with tf.GradientTape() as tape:
        fake = generator(noise, training=True)
        real_logit, fake_logit = discriminator(real, training=True), discriminator(fake, training=True)
        loss_d = gans.discriminator_loss(real_logit, fake_logit)
    expected_d = tape.gradient(loss_d, discriminator.trainable_variables)
    with tf.GradientTape() as tape:
        loss_g = gans.generator_loss(discriminator(generator(noise, training=True), training=True))
    expected_g = tape.gradient(loss_g, generator.trainable_variables)
    for ours, expected in ((ours_d, expected_d), (ours_g, expected_g)):
        assert len(ours.gradients) == len(expected)
        for one, two in zip(ours.gradients, expected, strict=True):
            np.testing.assert_allclose(one, two.numpy(), rtol=1e-4, atol=1e-7)
        assert max(np.abs(gradient).max() for gradient in ours.gradients) > 1e-4
    probabilities = [1 / (1 + np.exp(-logit.numpy())) for logit in (real_logit, fake_logit)]
    np.testing.assert_allclose(measures, [loss_d, loss_g, *(part.mean() for part in probabilities)], rtol=1e-4)


def test_further_updates_of_the_generator_leave_the_discriminator_alone():
    generator, discriminator = networks.generator(width=16, seed=1), networks.discriminator(width=2, seed=2)
    optimizer = keras.optimizers.Adam(2e-3)
    before_g, before_d = ([weight.numpy() for weight in model.trainable_variables] for model in (generator, discriminator))
    gans.generator_step(generator, discriminator, optimizer, gans.draw_noise((4, 100), "normal", np.random.default_rng(0)))
    assert_same(before_d, [weight.numpy() for weight in discriminator.trainable_variables])
    assert not np.array_equal(before_g[0], generator.trainable_variables[0].numpy())


def test_each_update_counts(gan):
    twice = gans.Dcgan(**(TINY | {"generator_updates": 2}))
    for one, updates in ((gan, 1), (twice, 2)):
        one.start(seed=0)
        one.train_epoch(IMAGES * 2 - 1, ROIS.label.astype(np.int32))
        assert int(one.discriminator_optimizer.iterations) == 2, "eleven images make two batches of four"
        assert int(one.generator_optimizer.iterations) == 2 * updates


def test_every_epoch_has_its_own_order_and_noise_and_shows_an_image_at_most_once(gan, monkeypatch):
    seen = []

    def steps(images, order, shown, noise, asked):
        assert asked.shape == order.shape and not asked.any(), "a single class is all that can be asked for"
        seen.append((order, noise))
        return np.zeros(4, np.float32)

    monkeypatch.setattr(gan, "_run_steps", steps)
    for _ in range(2):
        gan.start(seed=0)
        gan.train_epoch(IMAGES, ROIS.label)
        gan.train_epoch(IMAGES, ROIS.label)
    orders, noises = [order for order, _ in seen], [noise for _, noise in seen]
    assert orders[0].shape == (2, 4) and len(np.unique(orders[0])) == 8 and orders[0].max() <= 10
    assert noises[0].shape == (2, 1, 4, 100)
    assert not np.array_equal(orders[0], orders[1]) and not np.isin(noises[0], noises[1]).any()
    assert_same(orders[:2] + noises[:2], orders[2:] + noises[2:])


def test_noise_is_uniform_or_normal():
    uniform, normal = (gans.draw_noise((200, 100), kind, np.random.default_rng(0)) for kind in gans.NOISES)
    assert uniform.dtype == normal.dtype == np.float32
    assert np.abs(uniform).max() < 1 and uniform.std() == pytest.approx(np.sqrt(1 / 3), abs=0.01)
    assert np.abs(normal).max() > 3 and normal.std() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise": "pink"}, "'noise' is 'pink'; choose one of uniform, normal"),
        ({"generator_updates": 0}, "'generator_updates' is 0"),
    ],
)
def test_unknown_settings_are_errors(change, message):
    with pytest.raises(SettingsError, match=message):
        gans.Dcgan(**(TINY | change))


# A whole training


def test_training_writes_history_and_saved_generators_and_changes_both_networks(gan, tmp_path):
    seen = []
    history = train(gan, tmp_path, epochs=3, saved_epochs=2, on_epoch=seen.append)
    assert seen == [0, 1, 1, 1]
    assert sorted(os.listdir(tmp_path)) == ["epoch_0002.keras", "epoch_0003.keras", "history.csv"]
    assert list(history.columns) == ["epoch", *gan.measures] and history["epoch"].tolist() == [1, 2, 3]
    assert np.isfinite(history.to_numpy(float)).all() and history["d_real"].between(0, 1).all()
    assert history["discriminator_loss"].nunique() == 3
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "history.csv"), history.astype({"epoch": int}))
    assert_same(values(gan_training.load_generator(tmp_path, 3)), values(gan.generator))
    start = networks.generator(width=16, seed=0)
    for model, fresh in ((gan.generator, start), (gan.discriminator, networks.discriminator(width=2, seed=1))):
        assert not any(np.array_equal(one, two) for one, two in zip(values(model), values(fresh), strict=True))


def test_discriminator_learns_to_tell_noise_from_images(gan, tmp_path):
    history = train(gan, tmp_path, epochs=12, rois=random_rois(32, classes=1))
    first, last = history.iloc[0], history.iloc[-1]
    assert last["discriminator_loss"] < first["discriminator_loss"]
    assert last["d_real"] - last["d_fake"] > first["d_real"] - first["d_fake"]


def test_same_seed_gives_the_same_bits_after_other_trainings(gan, tmp_path):
    history = train(gan, tmp_path / "a", seed=3)
    state = gan.state()
    train(gan, tmp_path / "b", seed=4, rois=random_rois(20, seed=1))
    assert not np.array_equal(gan.state()["0_000"], state["0_000"])
    pd.testing.assert_frame_equal(train(gan, tmp_path / "c", seed=3), history)
    again = gan.state()
    assert again.keys() == state.keys()
    assert_same(list(again.values()), list(state.values()))


def test_finished_training_is_taken_up_without_training(gan, tmp_path):
    history = train(gan, tmp_path, seed=5)
    before = values(gan.generator)
    pd.testing.assert_frame_equal(train(gan, tmp_path, seed=6), history)
    assert_same(values(gan.generator), before)


def test_class_with_fewer_images_than_a_batch_is_trained(gan, tmp_path):
    history = train(gan, tmp_path, epochs=1, rois=ROIS.first(3))
    assert np.isfinite(history.to_numpy(float)).all()
    assert int(gan.discriminator_optimizer.iterations) == 1


def test_class_without_images_is_an_error(gan, tmp_path):
    with pytest.raises(LesionBookError, match="DCGAN of class cyst, fold 0: no training images"):
        train(gan, tmp_path / "none", rois=ROIS.first(0))
    assert not (tmp_path / "none").exists()


def test_loss_that_is_not_a_number_is_an_error_and_is_not_kept(gan, tmp_path):
    rois = replace(ROIS, images=np.full_like(IMAGES, np.nan))
    with pytest.raises(
        LesionBookError, match="DCGAN of class cyst, fold 0: a loss or a weight is not a number in epoch 1; lower"
    ):
        train(gan, tmp_path, rois=rois)
    assert os.listdir(tmp_path) == []


def test_saved_epochs_are_evenly_spaced_and_end_with_the_last():
    assert gan_training.saved_epoch_numbers(70, 5) == [14, 28, 42, 56, 70]
    assert gan_training.saved_epoch_numbers(10, 3) == [3, 7, 10]
    assert gan_training.saved_epoch_numbers(4, 1) == [4] and gan_training.saved_epoch_numbers(4, 4) == [1, 2, 3, 4]
    for wrong in (0, 5):
        with pytest.raises(SettingsError, match=f"'saved_epochs' is {wrong}; choose 1 to epochs = 4"):
            gan_training.saved_epoch_numbers(4, wrong)


def test_epoch_that_was_not_saved_is_an_error_that_names_the_saved_ones(gan, tmp_path):
    train(gan, tmp_path, epochs=3, saved_epochs=2)
    with pytest.raises(MissingInputError, match=r"no generator was saved at epoch 1 \(saved: \[2, 3\]\)"):
        gan_training.load_generator(tmp_path, 1)


# Cut off

WORKER = """
import sys
from test_gans import gan_training, gans, TINY, train_and_store

folder, pause = sys.argv[1], len(sys.argv) > 2
gan_training.CHECKPOINT_SECONDS = 0
done = 0
def on_epoch(epochs):
    global done
    done += epochs
    print(done, flush=True)
    if pause and done == 2:
        sys.stdin.read()
train_and_store(gans.Dcgan(**TINY), folder, on_epoch)
"""


def train_and_store(gan, folder, on_epoch=None):
    """Train a DCGAN for four epochs and a CNN for one, and keep every number that came out."""
    train(gan, folder, epochs=4, saved_epochs=4, seed=7, on_epoch=on_epoch)
    trainer = Trainer(2, epochs=1, batch_size=8, learning_rate=0.01, momentum=0.9, precision="float32")
    trained = trainer.train(random_rois(19), seed=2)
    np.savez(f"{folder}/state.npz", probability=trained.predict(random_rois(9, seed=1).images), **gan.state())


def worker(folder, *more):
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-c", WORKER, str(folder), *more], env=environment, text=True, **pipes)


def test_training_that_was_killed_ends_with_the_same_bits_in_another_process(gan, tmp_path):
    cut = worker(tmp_path / "cut", "pause")
    assert [cut.stdout.readline() for _ in range(3)] == ["0\n", "1\n", "2\n"]
    cut.send_signal(signal.SIGKILL)
    assert cut.wait(60) == -signal.SIGKILL
    assert sorted(os.listdir(tmp_path / "cut")) == ["checkpoint.npz", "epoch_0001.keras", "epoch_0002.keras"]
    again = worker(tmp_path / "cut")
    assert again.communicate(timeout=300)[0].split() == ["2", "3", "4"], "it went on where it stopped"
    assert again.returncode == 0
    train_and_store(gan, tmp_path / "whole")
    ends = []
    for name in ("whole", "cut"):
        with np.load(tmp_path / name / "state.npz", allow_pickle=False) as file:
            ends.append({key: file[key] for key in file.files})
    assert ends[0].keys() == ends[1].keys()
    assert_same(list(ends[0].values()), list(ends[1].values()))
    histories = [(tmp_path / name / "history.csv").read_text() for name in ("whole", "cut")]
    assert histories[0] == histories[1] and histories[0].count("\n") == 5
    for epoch in (1, 4):
        assert_same(*(values(gan_training.load_generator(tmp_path / name, epoch)) for name in ("whole", "cut")))


@pytest.mark.parametrize(
    ("cause", "raised"),
    [(KeyboardInterrupt(), KeyboardInterrupt), (OSError(errno.ENOSPC, "No space left on device"), StorageError)],
)
def test_half_written_checkpoint_is_never_read(gan, tmp_path, monkeypatch, cause, raised):
    """A training that ends while it writes, stopped or on a full disk, leaves the checkpoint before."""
    real_savez, epochs = np.savez, []

    def broken_savez(path, **arrays):
        epochs.append(len(arrays["history"]))
        if len(epochs) == 2:
            path.write_bytes(b"half")
            raise cause
        real_savez(path, **arrays)

    monkeypatch.setattr(np, "savez", broken_savez)
    monkeypatch.setattr(gan_training, "CHECKPOINT_SECONDS", 0)
    with pytest.raises(raised):
        train(gan, tmp_path / "cut", epochs=3, seed=8)
    monkeypatch.undo()
    assert os.listdir(tmp_path / "cut") == ["checkpoint.npz"]
    with np.load(tmp_path / "cut" / "checkpoint.npz", allow_pickle=False) as file:
        assert len(file["history"]) == 1
    resumed = train(gan, tmp_path / "cut", epochs=3, seed=8)
    pd.testing.assert_frame_equal(resumed.astype(float), train(gan, tmp_path / "whole", epochs=3, seed=8).astype(float))


def test_checkpoint_is_written_only_when_its_time_has_come(gan, tmp_path, monkeypatch):
    real_savez, stored = np.savez, []

    def noted_savez(path, **arrays):
        stored.append(len(arrays["history"]))
        real_savez(path, **arrays)

    clock = itertools.count()  # a second passes from look to look: one at the start, one an epoch, one with each checkpoint
    monkeypatch.setattr(gan_training, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(gan_training, "CHECKPOINT_SECONDS", 2)
    monkeypatch.setattr(np, "savez", noted_savez)
    train(gan, tmp_path, epochs=5)
    assert stored == [2, 4] and not (tmp_path / "checkpoint.npz").exists()


# Sampling


def test_samples_are_nested_in_range_and_follow_the_seed():
    generator = networks.generator(width=16, seed=1)
    generator.get_layer("upsample_4").kernel.assign(1e5 * generator.get_layer("upsample_4").kernel)  # untrained, it draws grey
    many = sampling.sample_images(generator, 40, noise="uniform", seed=3, batch_size=16)
    assert many.shape == (40, 64, 64, 1) and many.dtype == np.float32
    assert many.min() >= 0 and many.max() <= 1 and 0.05 < many.std() < 0.4
    for n in (1, 16, 25):
        # A batch of another size may be summed in another order: the last bits are free.
        few = sampling.sample_images(generator, n, noise="uniform", seed=3, batch_size=16)
        np.testing.assert_allclose(few, many[:n], atol=1e-5)
    other = sampling.sample_images(generator, 40, noise="uniform", seed=4)
    assert np.abs(other - many).max() > 1e-3
    normal = sampling.sample_images(generator, 40, noise="normal", seed=3)
    assert np.std(normal) > 1.3 * np.std(many), "normal noise reaches further"
    assert sampling.sample_images(generator, 0, noise="normal", seed=3).shape == (0, 64, 64, 1)


def test_range_of_tanh_becomes_zero_to_one():
    def ends(noise, training):
        assert noise.shape == (3, 100) and training is False
        return tf.constant([-1.0, 0.0, 1.0])[:, None, None, None] * tf.ones((3, 64, 64, 1))

    images = sampling.sample_images(ends, 3, noise="normal", seed=0)
    np.testing.assert_array_equal(images.mean(axis=(1, 2, 3)), [0, 0.5, 1])


def test_synthetic_rois_come_back_with_the_patients_behind_them(tmp_path):
    rois = RoiSet(random_rois(6).images, np.array([0, 0, 1, 1, 2, 2]), frozenset({"P0002", "P0011"}), np.full(6, ""))
    path = tmp_path / "synthetic" / "dcgan.npz"
    sampling.save_synthetic(path, rois)
    assert os.listdir(path.parent) == ["dcgan.npz"]
    loaded = sampling.load_synthetic(path)
    assert loaded.patients == rois.patients and set(loaded.lesion_id) == {""}
    np.testing.assert_array_equal(loaded.label, rois.label)
    assert loaded.images.dtype == np.float32 and loaded.images.shape == rois.images.shape
    assert np.abs(loaded.images - rois.images).max() <= 0.5001 / 65535


def test_synthetic_rois_that_are_not_there_are_an_error(tmp_path):
    with pytest.raises(MissingInputError, match="dcgan_seed0_fold1.npz is missing: run notebooks/03_dcgan.ipynb first"):
        sampling.load_synthetic(tmp_path / "dcgan_seed0_fold1.npz")
