"""Variants of the ACGAN: with all options off it is the ACGAN, with each of them on it trains, stops, goes on and draws."""

import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from conftest import random_rois
from test_acgan import CLASSES, ROIS, TINY
from test_gans import assert_same

from lesion_utils import acgan, better_gans, gan_options, gan_training, networks, sampling, settings
from lesion_utils.errors import LeakError, LesionBookError, MissingInputError, SettingsError
from lesion_utils.splits import assert_no_leak

EVERYTHING = {"augmentation": better_gans.ALL, "averaging": 0.9, "spectral_norm": True, "r1": 0.5}


@pytest.fixture(scope="module")
def gan():
    """All options at once, compiled once."""
    return better_gans.BetterAcgan(**TINY, **EVERYTHING)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """History and state of the paper's ACGAN after a training with seed 5."""
    gan = acgan.Acgan(**TINY)
    return train(gan, tmp_path_factory.mktemp("plain"), seed=5), gan.state()


@pytest.fixture(scope="module")
def folder(gan, tmp_path_factory):
    """A finished training of :func:`gan` with two saved epochs."""
    folder = tmp_path_factory.mktemp("better")
    train(gan, folder, saved_epochs=2)
    return folder


def train(gan, folder, *, epochs=2, seed=0, rois=ROIS, **more):
    own = {"epochs": epochs, "saved_epochs": 1, "seed": seed, "where": "better GAN (all), fold 0"}
    return gan_training.train_gan(gan, rois, folder, **(own | more))


def draw(folder, variant, per_class=6, kept_share=0.5, epoch=2, seeds=(1, 2, 3)):
    how = {"classes": CLASSES, "noise": "uniform", "patients": frozenset({"P1"})}
    return better_gans.draw(folder, epoch, variant, per_class=per_class, kept_share=kept_share, seeds=seeds, **how)


def test_with_all_options_off_it_is_the_acgan_to_the_last_bit(plain, tmp_path):
    off = better_gans.BetterAcgan(**TINY)
    pd.testing.assert_frame_equal(train(off, tmp_path, seed=5), plain[0])
    state = off.state()
    assert state.keys() == plain[1].keys()
    assert_same(list(state.values()), list(plain[1].values()))


def test_average_does_not_change_the_training(plain, tmp_path):
    gan = better_gans.BetterAcgan(**TINY, averaging=0.9)
    pd.testing.assert_frame_equal(train(gan, tmp_path, seed=5), plain[0])
    state = gan.state()
    assert_same([state[key] for key in plain[1]], list(plain[1].values()))
    weights = [weight.numpy() for weight in gan.generator.trainable_variables]
    averages = [state[key] for key in state if key.startswith("average_")]
    assert len(averages) == len(weights)
    assert not any(np.array_equal(one, two) for one, two in zip(averages, weights, strict=True))


def test_average_of_a_training_is_the_recurrence_over_its_steps(tmp_path):
    gan = better_gans.BetterAcgan(**TINY, averaging=0.6)
    gan.start(seed=3)
    expected = [weight.numpy() for weight in gan.generator.trainable_variables]
    assert_same(expected, [weight.numpy() for weight in gan.averaged.trainable_variables])
    for step in range(1, 5):
        gan.train_epoch(ROIS.images[:6] * 2 - 1, ROIS.label[:6].astype(np.int32))  # one step
        decay = min(0.6, (1 + step) / (10 + step))
        expected = [
            decay * old + (1 - decay) * weight.numpy()
            for old, weight in zip(expected, gan.generator.trainable_variables, strict=True)
        ]
    for one, two in zip(expected, gan.averaged.trainable_variables, strict=True):
        np.testing.assert_allclose(one, two.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("options", [{"augmentation": "translation"}, {"spectral_norm": True}, {"r1": 1.0}])
def test_each_option_changes_the_training(options, plain, tmp_path):
    history = train(better_gans.BetterAcgan(**TINY, **options), tmp_path, seed=5)
    assert np.isfinite(history.to_numpy(float)).all()
    assert abs(history["discriminator_loss"] - plain[0]["discriminator_loss"]).min() > 1e-4


def test_penalty_flattens_the_discriminator(tmp_path):
    slopes = []
    for weight in (1e-6, 20.0):
        gan = better_gans.BetterAcgan(**TINY, r1=weight)
        train(gan, tmp_path / str(weight), epochs=12)
        slopes.append(float(gan_options.slope_penalty(gan.discriminator, tf.constant(ROIS.images * 2 - 1), 2)))
    assert slopes[1] < slopes[0] / 2


@pytest.mark.parametrize(("r1", "norm"), [(0.0, True), (1.0, False)])
def test_penalty_has_no_batch_normalisation_beside_it(r1, norm):
    discriminator = better_gans.BetterAcgan(**TINY, r1=r1).discriminator
    assert any(isinstance(layer, networks.layers.BatchNormalization) for layer in discriminator.layers) == norm


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"augmentation": "shear"}, "'augmentation' is 'shear'"),
        ({"averaging": 1.0}, "'averaging' is 1.0; choose 0"),
        ({"r1": -1.0}, "'r1' is -1.0; choose 0"),
    ],
)
def test_options_out_of_range_are_errors(options, message):
    with pytest.raises(SettingsError, match=message):
        better_gans.BetterAcgan(**TINY, **options)


def test_options_are_among_the_settings_that_name_a_training(gan):
    assert {name: gan.settings[name] for name in EVERYTHING} == EVERYTHING and TINY.items() <= gan.settings.items()


# A whole training


def test_training_keeps_what_variants_draw_from(gan, folder):
    kept = [f"{name}_000{epoch}.keras" for name in ("averaged", "discriminator", "epoch") for epoch in (1, 2)]
    assert sorted(os.listdir(folder)) == sorted([*kept, "discriminator.keras", "history.csv"])
    averaged = gan_training.load_network(folder, "averaged", 2)
    assert_same([weight.numpy() for weight in averaged.variables], [weight.numpy() for weight in gan.averaged.variables])
    judge = gan_training.load_network(folder, "discriminator", 2)
    scores = [gan_options.realness(one, ROIS.images, ROIS.label) for one in (judge, gan.discriminator)]
    np.testing.assert_allclose(*scores, rtol=1e-5)
    with pytest.raises(MissingInputError, match="no network 'averaged' was kept at epoch 3"):
        gan_training.load_network(folder, "averaged", 3)


def test_averaged_generator_has_the_statistics_of_its_own_weights(gan, folder):
    """In inference it draws as it does in training, where batches give the statistics: mean and contrast agree."""
    averaged = gan_training.load_network(folder, "averaged", 2)
    random = np.random.default_rng(8)
    requests = [gan._request(random) for _ in range(40)]
    before = [variable.numpy() for variable in averaged.variables]
    inference = np.concatenate([averaged(request, training=False) for request in requests])
    training = np.concatenate([averaged(request, training=True) for request in requests])
    assert inference.mean() == pytest.approx(training.mean(), abs=0.02)
    assert inference.std() == pytest.approx(training.std(), rel=0.1)
    stale = gan.new_networks(seed=gan.seed)[0]
    for variable, value, own in zip(stale.variables, before, gan.generator.variables, strict=True):
        variable.assign(own if "moving" in variable.name else value)
    off = np.concatenate([stale(request, training=False) for request in requests])
    assert abs(off - training).mean() > abs(inference - training).mean()


def test_training_that_was_cut_off_ends_with_the_same_bits(gan, tmp_path):
    class Cut(Exception):
        pass

    def cut(epochs):
        if gan.epoch == 2:
            raise Cut

    with pytest.raises(Cut):
        train(gan, tmp_path / "cut", epochs=4, seed=7, on_epoch=cut)
    gan.start(seed=99)  # nothing may hang on what the object still holds
    resumed = train(gan, tmp_path / "cut", epochs=4, seed=7)
    state = gan.state()
    whole = train(gan, tmp_path / "whole", epochs=4, seed=7)
    pd.testing.assert_frame_equal(resumed.astype(float), whole.astype(float))
    assert any(key.startswith("average_") for key in state)
    assert_same(list(state.values()), list(gan.state().values()))
    drawn = [draw(tmp_path / name, "augmented_averaged", epoch=4).images for name in ("cut", "whole")]
    np.testing.assert_array_equal(*drawn)


def test_no_sum_of_gradients_hangs_on_which_is_finished_first(tmp_path, monkeypatch):
    """TensorFlow's sum of three or more begins with whichever it can reuse: a training would not always have the same bits."""
    functions = []

    def spied(**settings):
        return lambda function: functions.append(compiled(**settings)(function)) or functions[-1]

    compiled = tf.function
    monkeypatch.setattr(tf, "function", spied)
    train(better_gans.BetterAcgan(**TINY, **EVERYTHING), tmp_path, epochs=1)
    graphs = [function.get_concrete_function().graph.as_graph_def() for function in functions]
    nodes = [
        node
        for graph in graphs
        for part in (graph, *graph.library.function)
        for node in (part.node_def if hasattr(part, "node_def") else part.node)
    ]
    sums = [len(node.input) for node in nodes if node.op == "AddN"]
    assert len(sums) > 20 and set(sums) == {2}


def test_loss_that_is_not_a_number_names_variant_fold_and_epoch(gan, tmp_path):
    rois = random_rois(12, classes=CLASSES)
    rois.images[3] = np.nan
    with pytest.raises(LesionBookError, match=r"better GAN \(all\), fold 0: a loss or a weight is not a number in epoch 1"):
        train(gan, tmp_path, rois=rois)
    assert os.listdir(tmp_path) == []


# Drawing


def test_variants_draw_from_generator_or_average(folder):
    plain, averaged = draw(folder, "augmented"), draw(folder, "augmented_averaged")
    assert plain.images.shape == (18, 64, 64, 1) and plain.label.tolist() == [0] * 6 + [1] * 6 + [2] * 6
    assert plain.patients == {"P1"} and plain.images.min() >= 0 and plain.images.max() <= 1
    assert plain.lesion_id.tolist() == [""] * 18
    weights = acgan.class_weights(1, CLASSES)
    generator = gan_training.load_generator(folder, 2)
    direct = sampling.sample_images(generator, 6, noise="uniform", seed=2, class_weights=weights)
    np.testing.assert_allclose(plain.of_class(1).images, direct, atol=1e-5)
    assert not np.allclose(plain.images, averaged.images, atol=1e-3)


def test_patients_behind_the_gan_cannot_be_tested_on(folder):
    training = replace(ROIS, patients=frozenset({"P2"})) + draw(folder, "augmented_averaged_rejection")
    assert_no_leak(training.patients, {"P3"}, "better GAN")
    with pytest.raises(LeakError, match="P1"):
        assert_no_leak(training.patients, {"P1", "P3"}, "better GAN")


def test_rejection_keeps_the_share_that_the_discriminator_believes_in_most(folder):
    everything = draw(folder, "augmented_averaged", per_class=20)
    kept = draw(folder, "augmented_averaged_rejection", per_class=5, kept_share=0.25)
    judge = gan_training.load_network(folder, "discriminator", 2)
    for label in range(CLASSES):
        drawn = everything.of_class(label)
        best = np.sort(np.argsort(-gan_options.realness(judge, drawn.images, drawn.label))[:5])
        np.testing.assert_allclose(kept.of_class(label).images, drawn.images[best], atol=1e-5)
    all_of_them = draw(folder, "augmented_averaged_rejection", per_class=20, kept_share=1)
    np.testing.assert_array_equal(all_of_them.images, everything.images)


@pytest.mark.parametrize("share", [0, 1.5])
def test_kept_share_out_of_range_is_an_error(folder, share):
    with pytest.raises(SettingsError, match=f"'kept_share' is {share}; choose a share above 0"):
        draw(folder, "rejection", kept_share=share)


# The table of variants


def test_variants_that_differ_in_drawing_alone_share_a_training():
    own = {name: better_gans.training_options(name, averaging=0.999, r1=2.0) for name in better_gans.VARIANTS}
    assert own["averaged"] == own["rejection"] == {"averaging": 0.999}
    assert own["augmented"] == own["augmented_averaged"] == own["augmented_averaged_rejection"]
    assert own["r1_augmented_averaged"] == {"averaging": 0.999, "r1": 2.0, "augmentation": better_gans.ALL}
    assert own["spectral_norm"] == {"averaging": 0.999, "spectral_norm": True}
    assert len({tuple(sorted(one.items())) for one in own.values()}) == 6


def test_named_variants_are_tried_in_their_order_or_else_all_and_unknown_ones_are_errors():
    assert list(better_gans.chosen_variants(["r1", "averaged"])) == ["r1", "averaged"]
    assert better_gans.chosen_variants([]) == better_gans.VARIANTS
    with pytest.raises(SettingsError, match="'variants' is 'wgan'; choose one of averaged"):
        better_gans.chosen_variants(["averaged", "wgan"])


# The notebook


@pytest.mark.parametrize("profile", settings.PROFILES)
def test_better_gans_are_measured_as_the_other_arms_are_and_differ_by_their_options_alone(profile):
    parameters = settings.run_parameters(profile)
    own, other, plain = (parameters[name] for name in ("14_better_gans", "05_classification", "04_acgan"))
    training = ("seeds", "cnn_width", "epochs", "batch_size", "learning_rate", "momentum", "precision")
    for name in (*training, "accuracy_margin", "bootstrap_draws"):
        assert own[name] == other[name], name
    for name in ("generator_width", "discriminator_width", "beta_1", "noise"):
        assert own[name] == plain[name], name
    assert (own["gan_batch_size"], own["gan_learning_rate"]) == (plain["batch_size"], plain["learning_rate"])
    assert set(own["added_per_class"]) <= set(other["added_per_class"]), "amounts that the plain GANs are tried with too"
    assert better_gans.chosen_variants(own["variants"])


def test_paper_profile_tries_every_variant():
    own = settings.run_parameters("paper")["14_better_gans"]["variants"]
    assert better_gans.chosen_variants(own) == better_gans.VARIANTS
