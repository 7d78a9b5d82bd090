"""DCGAN training on one GPU, images a second: the book's step on JAX, beside PyTorch's DCGAN example, on the same networks.

Both train in bfloat16 with images on the GPU. The book's epoch is one compiled program; PyTorch's example (pytorch/examples) gets
torch.compile, channels_last and autocast. Beside them stand the arithmetic of the book's step, counted from the layers' shapes,
and large bfloat16 matrix products in the same rounds. Goal: at least 1.5 times PyTorch's images a second. The defaults are the
paper's networks; without a GPU it wants small ones: ``--generator-width 16 --discriminator-width 4 --steps 2 --side 512``.
"""

import argparse
import functools
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

os.environ["KERAS_BACKEND"] = "jax"

import numpy as np
from side_by_side import hardware, report, take_turns

BATCH_SIZE, NOISE_SIZE, LEARNING_RATE, BETA_1, PRODUCTS = 64, 100, 0.0002, 0.5, 20
PACKAGES = ("jax", "keras", "torch")


def images(steps):
    return np.random.default_rng(0).uniform(-1, 1, (steps * BATCH_SIZE, 64, 64, 1)).astype(np.float32)


# Each of these runs in a process of its own, which keeps what it has compiled.


@functools.cache
def book(generator_width, discriminator_width, steps):
    """Return the book's DCGAN, and images that lie on the device."""
    from lesion_utils import steps as backend
    from lesion_utils.gans import Dcgan

    sizes = {"generator_width": generator_width, "discriminator_width": discriminator_width, "batch_size": BATCH_SIZE}
    gan = Dcgan(**sizes, learning_rate=LEARNING_RATE, beta_1=BETA_1, noise="uniform", precision="mixed_bfloat16")
    return gan, backend.hold(images(steps)), np.zeros(steps * BATCH_SIZE, np.int32)


def train_book(*sizes):
    gan, held, label = book(*sizes)
    gan.train_epoch(held, label)


def describe_book(*sizes):
    """Return operations a step, numbers of parameters, and the device's name."""
    import jax

    from lesion_utils import flops

    gan = book(*sizes)[0]
    counts = [sum(int(np.prod(weight.shape)) for weight in net.trainable_variables) for net in (gan.generator, gan.discriminator)]
    return flops.gan_step(gan.generator, gan.discriminator, BATCH_SIZE), counts, jax.devices()[0].device_kind


@functools.cache
def _products(side):
    import jax
    import jax.numpy as jnp

    one, other = jax.random.normal(jax.random.key(0), (2, side, side), jnp.bfloat16)
    one = one / side**0.5
    return jax.jit(lambda one, other: jax.lax.fori_loop(0, PRODUCTS, lambda _, last: one @ last, other)[0, 0]), one, other


def multiply(side):
    run, one, other = _products(side)
    run(one, other).block_until_ready()


@functools.cache
def pytorch(generator_width, discriminator_width, steps):
    """Return a function that trains PyTorch's example for an epoch, and its numbers of parameters."""
    import torch
    from torch import nn

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    parts = [nn.Linear(NOISE_SIZE, 4 * 4 * generator_width, bias=False), nn.Unflatten(1, (generator_width, 4, 4))]
    for old in (generator_width, generator_width // 2, generator_width // 4):
        parts += [nn.BatchNorm2d(old), nn.ReLU(True), nn.ConvTranspose2d(old, old // 2, 5, 2, 2, 1, bias=False)]
    old = generator_width // 8
    generator = nn.Sequential(*parts, nn.BatchNorm2d(old), nn.ReLU(True), nn.ConvTranspose2d(old, 1, 5, 2, 2, 1), nn.Tanh())
    parts, old = [], 1
    for number, new in enumerate(discriminator_width << number for number in range(4)):
        parts += [nn.Conv2d(old, new, 5, 2, 2, bias=number == 0), *([nn.BatchNorm2d(new)] if number else [])]
        parts += [nn.LeakyReLU(0.2, inplace=True)]
        old = new
    discriminator = nn.Sequential(*parts, nn.Flatten(), nn.Linear(4 * 4 * old, 1), nn.Flatten(0))
    nets = [net.to(device, memory_format=torch.channels_last) for net in (generator, discriminator)]
    for module in (module for net in nets for module in net.modules()):
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0, 0.02)
    settings = {"lr": LEARNING_RATE, "betas": (BETA_1, 0.999), "fused": device == "cuda"}
    of_g, of_d = (torch.optim.Adam(net.parameters(), **settings) for net in nets)
    draw, judge = (torch.compile(net) for net in nets)
    held = torch.from_numpy(images(steps)).to(device).permute(0, 3, 1, 2)  # channels last, as it lies
    loss, ones, zeros = nn.BCEWithLogitsLoss(), *(make(BATCH_SIZE, device=device) for make in (torch.ones, torch.zeros))

    def learn(seen, wanted):
        with torch.autocast(device, torch.bfloat16):
            logit = judge(seen)
        error = loss(logit.float(), wanted)
        error.backward()
        return error.detach()

    def train():
        total = torch.zeros((), device=device)
        for batch in torch.randperm(len(held), device=device).split(BATCH_SIZE):
            discriminator.zero_grad()
            total += learn(held[batch], ones)
            noise = torch.rand(BATCH_SIZE, NOISE_SIZE, device=device) * 2 - 1
            with torch.autocast(device, torch.bfloat16):
                fake = draw(noise)
            total += learn(fake.detach(), zeros)
            of_d.step()
            generator.zero_grad()
            total += learn(fake, ones)
            of_g.step()
        return float(total)  # waits for the device

    return train, [sum(values.numel() for values in net.parameters()) for net in nets]


def train_pytorch(*sizes):
    assert np.isfinite(pytorch(*sizes)[0]())


def describe_pytorch(*sizes):
    return pytorch(*sizes)[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--generator-width", type=int, default=1024)
    parser.add_argument("--discriminator-width", type=int, default=64)
    parser.add_argument("--steps", type=int, default=400, help="training steps of a timed run")
    parser.add_argument("--side", type=int, default=8192, help="of the square matrices")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    sizes = options.generator_width, options.discriminator_width, options.steps
    processes = [ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) for _ in range(2)]

    def in_process(number, function, *words):
        return processes[number].submit(function, *words).result()

    print(__doc__.splitlines()[0])
    operations, counts, device = in_process(0, describe_book, *sizes)
    others = in_process(1, describe_pytorch, *sizes)
    assert counts == others, f"networks differ: {counts} and {others} parameters"
    print(f"{hardware(*PACKAGES)}; device: {device}")
    print(f"a step is {operations / 1e9:.1f} GFLOP, counted from the layers' shapes; networks of {counts} parameters")
    made = options.steps * BATCH_SIZE
    ours, peer, product = "ours, bfloat16", "PyTorch, compiled, bfloat16", "matrix product, bfloat16"
    contestants = {
        ours: (lambda: in_process(0, train_book, *sizes), made),
        peer: (lambda: in_process(1, train_pytorch, *sizes), made),
        product: (lambda: in_process(0, multiply, options.side), PRODUCTS * 2 * options.side**3 / 1e9),
    }
    rates = take_turns(contestants, options.rounds)
    words = {"device": device}
    report("DCGAN training, GPU", {name: rates[name] for name in (ours, peer)}, {(ours, peer): 1.5}, "image", *PACKAGES, **words)
    arithmetic = {ours: rates[ours] * operations / BATCH_SIZE / 1e9, product: rates[product]}
    report("DCGAN training, GPU, arithmetic", arithmetic, {(ours, product): None}, "GFLOP", *PACKAGES, **words)


if __name__ == "__main__":
    main()
