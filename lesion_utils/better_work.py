"""How much 14_better_gans computes, counted from its parameters alone."""

from dataclasses import dataclass
from math import comb

from .errors import SettingsError


@dataclass(frozen=True)
class BetterWork:
    """What the better GANs cost.

    Attributes
    ----------
    steps, units : int
        Of the training of GANs: on inner folds once for each kind of training among the variants, then once for each test fold.
    generators, discriminators : int
        That are kept of them: generator, its average and the discriminator at each saved epoch, and the last discriminator.
    cnn_images, cnn_units : int
        Training images, counted as often as they pass through the network, and trainings of the CNN.
    drawn : int
        Synthetic ROIs that are drawn, and not kept.
    """

    steps: int
    units: int
    generators: int
    discriminators: int
    cnn_images: int
    cnn_units: int
    drawn: int


def count_better(own, group, *, folds, classes, optimum):
    """Return the :class:`BetterWork` of a run.

    All test folds are assumed to choose the same variant, and the largest amount: where they do not, an inner training that
    serves two folds is made twice.

    Parameters
    ----------
    own : dict
        Parameters of 14_better_gans.
    group : callable
        From a classic amount and a number of ROIs a class on top to the images that train without one fold.
    folds, classes, optimum : int

    Raises
    ------
    SettingsError
        If a variant is unknown, there are no amounts, or ``saved_epochs`` does not go with ``gan_epochs``.
    """
    from .better_gans import VARIANTS, chosen_variants, training_options
    from .gan_training import saved_epoch_numbers

    if not own["added_per_class"]:
        raise SettingsError("parameter 'added_per_class' is empty; give one number of synthetic ROIs a class or more")
    variants = chosen_variants(own["variants"])
    saved = len(saved_epoch_numbers(own["gan_epochs"], own["saved_epochs"]))
    kinds = {tuple(training_options(name, averaging=own["averaging"], r1=own["r1"]).items()) for name in variants}
    seeds, pairs, inner = len(own["seeds"]), comb(folds, 2), (folds - 2) / (folds - 1)

    images = group(optimum if own["classic_amount"] is None else own["classic_amount"])
    outer_steps, inner_steps = (max(1, int(part / own["gan_batch_size"] + 1e-9)) for part in (images, images * inner))
    units = seeds * (folds + len(kinds) * pairs)

    amounts = own["added_per_class"]
    middle = amounts[len(amounts) // 2]
    tried = [(name, middle) for name in variants for _ in range(saved)]
    tried += [(list(variants)[-1], number) for number in amounts if number != middle]
    inner_images = pairs * inner * sum(group(optimum, number) for _, number in tried)

    def pool(name):
        return max(amounts) * classes / (own["kept_share"] if VARIANTS[name].get("kept") else 1)

    drawn = pairs * inner * sum(pool(name) for name, _ in tried) + folds * pool(list(variants)[-1])
    return BetterWork(
        steps=seeds * own["gan_epochs"] * (folds * outer_steps + len(kinds) * pairs * inner_steps),
        units=units,
        generators=2 * units * saved,
        discriminators=units * (saved + 1),
        cnn_images=round(seeds * own["epochs"] * (inner_images + folds * group(optimum, max(amounts)))),
        cnn_units=seeds * (folds + pairs * len(tried)),
        drawn=round(seeds * drawn),
    )
