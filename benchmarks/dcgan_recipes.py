"""DCGANs as others write them, on the paper's networks; each recipe is imported and run in a process of its own."""

import functools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

IMAGE_SIDE, NOISE_SIZE, BATCH_SIZE, STEPS = 64, 100, 64, 1
LEARNING_RATE, BETA_1 = 0.0002, 0.5


def training_images():
    """Return the (STEPS * BATCH_SIZE, 64, 64, 1) images in [-1, 1] of one timed run."""
    return np.random.default_rng(0).uniform(-1, 1, (STEPS * BATCH_SIZE, IMAGE_SIDE, IMAGE_SIDE, 1)).astype(np.float32)


@functools.cache
def pytorch(mixed):
    """Return the loop of PyTorch's DCGAN example (pytorch/examples), float32 or under bfloat16 autocast."""
    return PytorchExample(mixed)


@functools.cache
def keras_io():
    """Return the recipe of the DCGAN example on keras.io, of Keras's own layers."""
    return KerasRecipe()


def train(make, *words):
    """Make STEPS training steps of a recipe: called in its process, where it is built at the first call."""
    make(*words).train()


def parameters(make, *words):
    """Return the numbers of trainable parameters of a recipe's generator and discriminator."""
    return make(*words).parameters()


class PytorchExample:
    """The paper's networks and the loop of PyTorch's DCGAN example."""

    def __init__(self, mixed):
        import torch
        from torch import nn

        torch.manual_seed(0)
        self.mixed = mixed
        parts, old = [nn.Linear(NOISE_SIZE, 4 * 4 * 1024, bias=False), nn.Unflatten(1, (1024, 4, 4))], 1024
        for new in (512, 256, 128):
            parts += [nn.BatchNorm2d(old), nn.ReLU(True), nn.ConvTranspose2d(old, new, 5, 2, 2, 1, bias=False)]
            old = new
        last = [nn.BatchNorm2d(old), nn.ReLU(True), nn.ConvTranspose2d(old, 1, 5, 2, 2, 1), nn.Tanh()]
        self.generator = nn.Sequential(*parts, *last)
        parts, old = [], 1
        for number, new in enumerate((64, 128, 256, 512)):
            parts += [nn.Conv2d(old, new, 5, 2, 2, bias=number == 0), *([nn.BatchNorm2d(new)] if number else [])]
            parts += [nn.LeakyReLU(0.2, inplace=True)]
            old = new
        self.discriminator = nn.Sequential(*parts, nn.Flatten(), nn.Linear(4 * 4 * old, 1), nn.Flatten(0))
        for module in [*self.generator.modules(), *self.discriminator.modules()]:
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                nn.init.normal_(module.weight, 0, 0.02)
        self.optimizer_d, self.optimizer_g = (
            torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, betas=(BETA_1, 0.999))
            for network in (self.discriminator, self.generator)
        )
        self.batches = torch.from_numpy(training_images().transpose(0, 3, 1, 2).copy()).split(BATCH_SIZE)
        self.loss = nn.BCEWithLogitsLoss()

    def parameters(self):
        networks = (self.generator, self.discriminator)
        return [sum(values.numel() for values in network.parameters()) for network in networks]

    def train(self):
        import torch

        ones, zeros = torch.ones(BATCH_SIZE), torch.zeros(BATCH_SIZE)

        def learn(images, wanted):
            with torch.autocast("cpu", torch.bfloat16, enabled=self.mixed):
                logit = self.discriminator(images)
            self.loss(logit.float(), wanted).backward()

        for real in self.batches:
            self.discriminator.zero_grad()
            learn(real, ones)
            with torch.autocast("cpu", torch.bfloat16, enabled=self.mixed):
                fake = self.generator(torch.rand(BATCH_SIZE, NOISE_SIZE) * 2 - 1)
            learn(fake.detach(), zeros)
            self.optimizer_d.step()
            self.generator.zero_grad()
            learn(fake, ones)
            self.optimizer_g.step()


class KerasRecipe:
    """D learns from real and generated images at once, then G from a second run on new noise."""

    def __init__(self):
        import keras
        import tensorflow as tf

        from lesion_utils import networks

        usual = {
            "StridedConvolution": keras.layers.Conv2D,
            "TransposedConvolution": keras.layers.Conv2DTranspose,
            "FusedBatchNormalization": keras.layers.BatchNormalization,
        }

        def plain(layer):
            return usual.get(type(layer).__name__, type(layer)).from_config(layer.get_config())

        class Dcgan(keras.Model):
            def __init__(self, generator, discriminator):
                super().__init__()
                self.generator, self.discriminator = generator, discriminator

            def compile(self):
                super().compile()
                self.loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)
                self.d_optimizer, self.g_optimizer = (keras.optimizers.Adam(LEARNING_RATE, beta_1=BETA_1) for _ in range(2))
                self.d_loss, self.g_loss = keras.metrics.Mean(name="d_loss"), keras.metrics.Mean(name="g_loss")

            @property
            def metrics(self):
                return [self.d_loss, self.g_loss]

            def train_step(self, real):
                size = tf.shape(real)[0]
                labels = tf.concat([tf.ones((size, 1)), tf.zeros((size, 1))], axis=0)
                both = tf.concat([self.generator(tf.random.uniform((size, NOISE_SIZE), -1, 1), training=True), real], axis=0)
                with tf.GradientTape() as tape:
                    d_loss = self.loss_fn(labels, self.discriminator(both, training=True))
                weights = self.discriminator.trainable_weights
                self.d_optimizer.apply_gradients(zip(tape.gradient(d_loss, weights), weights, strict=True))
                noise = tf.random.uniform((size, NOISE_SIZE), -1, 1)
                with tf.GradientTape() as tape:
                    logit = self.discriminator(self.generator(noise, training=True), training=True)
                    g_loss = self.loss_fn(tf.zeros((size, 1)), logit)
                weights = self.generator.trainable_weights
                self.g_optimizer.apply_gradients(zip(tape.gradient(g_loss, weights), weights, strict=True))
                self.d_loss.update_state(d_loss)
                self.g_loss.update_state(g_loss)
                return {"d_loss": self.d_loss.result(), "g_loss": self.g_loss.result()}

        self.model = Dcgan(
            *(keras.models.clone_model(make(), clone_function=plain) for make in (networks.generator, networks.discriminator))
        )
        self.model.compile()
        self.images = training_images()

    def parameters(self):
        networks = (self.model.generator, self.model.discriminator)
        return [sum(int(np.prod(weight.shape)) for weight in network.trainable_weights) for network in networks]

    def train(self):
        self.model.fit(self.images, batch_size=BATCH_SIZE, epochs=1, verbose=0)
