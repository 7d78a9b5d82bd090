"""ACGANs with what has been found since the paper: the variants that are tried, their training, and drawing from them."""

from math import ceil

import numpy as np

from . import gan_options, networks
from .acgan import Acgan, acgan_step, class_weights
from .classifier import copy_variables
from .errors import SettingsError
from .gan_training import load_generator, load_network
from .gans import draw_noise
from .rois import RoiSet
from .sampling import sample_images
from .settings import require_choice

ALL = ",".join(gan_options.TECHNIQUES)
#: How a variant differs from the paper's ACGAN. ``augmentation``, ``spectral_norm`` and ``r1`` are of the training;
#: ``averaged`` and ``kept`` ask for the averaged generator and for the rejection of poor samples, which need no training.
VARIANTS = {
    "averaged": {"averaged": True},
    "rejection": {"kept": True},
    "augmented": {"augmentation": ALL},
    "augmented_averaged": {"augmentation": ALL, "averaged": True},
    "augmented_averaged_rejection": {"augmentation": ALL, "averaged": True, "kept": True},
    "spectral_norm": {"spectral_norm": True},
    "spectral_norm_augmented_averaged": {"spectral_norm": True, "augmentation": ALL, "averaged": True},
    "r1": {"r1": True},
    "r1_augmented_averaged": {"r1": True, "augmentation": ALL, "averaged": True},
}
_TRAINING = ("augmentation", "spectral_norm", "r1")


def chosen_variants(only=()):
    """Return the variants named in ``only``, in that order, or all if it is empty: dict of name to options.

    Raises
    ------
    SettingsError
        If one is unknown.
    """
    for name in only:
        require_choice("variants", name, VARIANTS)
    return {name: VARIANTS[name] for name in only or VARIANTS}


def training_options(variant, *, averaging, r1):
    """Return the options of the training that a variant draws from; several may draw from one.

    Parameters
    ----------
    variant : str
        One of :data:`VARIANTS`.
    averaging, r1 : float
        Decay of the average, which every training keeps, and weight of the penalty where the variant has one.
    """
    options = {name: VARIANTS[variant][name] for name in _TRAINING if name in VARIANTS[variant]}
    return options | {"averaging": averaging} | ({"r1": r1} if "r1" in options else {})


class BetterAcgan(Acgan):
    """An ACGAN with options; with all of them off, the paper's to the last bit.

    Parameters
    ----------
    augmentation : str
        What both networks' images pass before D sees them: names of :data:`gan_options.TECHNIQUES` with commas between.
    averaging : float
        Decay of the running average of G's weights, 0 to below 1; 0: none is kept. It does not change the training.
    spectral_norm : bool
        Whether spectral normalisation takes the place of D's batch normalisation.
    r1 : float
        Weight of the penalty on D's slope; above 0, D has no batch normalisation. 0: no penalty.
    **settings
        Of :class:`gans.Gan`.

    Raises
    ------
    SettingsError
        If an option is out of its range.
    """

    def __init__(self, *, augmentation="", averaging=0.0, spectral_norm=False, r1=0.0, **settings):
        if not 0 <= averaging < 1:
            raise SettingsError(f"parameter 'averaging' is {averaging}; choose 0 (none) to below 1, such as 0.999")
        if not r1 >= 0:
            raise SettingsError(f"parameter 'r1' is {r1}; choose 0 (no penalty) or more")
        self._techniques = gan_options.techniques(augmentation)
        self._spectral_norm, self._r1, self._averaging, self.averaged = spectral_norm, r1, averaging, None
        super().__init__(**settings)
        self.settings |= {"augmentation": augmentation, "averaging": averaging, "spectral_norm": spectral_norm, "r1": r1}

    def new_networks(self, *, seed):
        """Return those of the ACGAN, the discriminator with the normalisation that the options want."""
        generator, discriminator = super().new_networks(seed=seed)
        normalisation = "spectral" if self._spectral_norm else "none" if self._r1 else "batch"
        if normalisation != "batch":
            like = {"width": self.settings["discriminator_width"], "precision": self.settings["precision"]}
            discriminator = networks.auxiliary_discriminator(
                self.settings["classes"], normalisation=normalisation, seed=2 * seed + 1, **like
            )
        return generator, discriminator

    def start(self, *, seed):
        """Begin a training; the average begins as the initial weights."""
        super().start(seed=seed)
        if self._averaging:
            self.averaged = self.averaged or super().new_networks(seed=seed)[0]
            copy_variables(self.generator.variables, self.averaged.variables)

    def step(self, real, label, noise, asked):
        """Make one update of D and one of G, and of the average of G's weights."""
        generator, discriminator, *optimizers = self._parts()
        if self._techniques:
            discriminator = gan_options.Augmented(discriminator, self._techniques, gan_options.seed_of(noise))
        measured = acgan_step(generator, discriminator, *optimizers, real, label, noise[0], asked, self._penalty())
        if self.averaged is not None:
            decay = gan_options.decay_at(self.generator_optimizer.iterations, self._averaging)
            gan_options.update_average(self.averaged.trainable_variables, generator.trainable_variables, decay)
        return measured

    def _penalty(self):
        return (lambda discriminator, real: gan_options.slope_penalty(discriminator, real, self._r1)) if self._r1 else None

    def kept_networks(self):
        """Return the discriminator, which judges samples, and the averaged generator with statistics of its own."""
        kept = {"discriminator": self.discriminator}
        if self.averaged is not None:
            random = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(self.epoch, 1)))
            gan_options.settle(self.averaged, [self._request(random) for _ in range(gan_options.SETTLING_BATCHES)])
            kept["averaged"] = self.averaged
        return kept

    def _request(self, random):
        batch_size, classes = self.settings["batch_size"], self.settings["classes"]
        noise = draw_noise((batch_size, networks.NOISE_SIZE), self.settings["noise"], random)
        return [noise, np.eye(classes, dtype=np.float32)[random.integers(0, classes, batch_size)]]

    def variables(self):
        """Return all Keras variables that a step reads or changes, the averages included."""
        return super().variables() + (self.averaged.trainable_variables if self._averaging else [])

    def state(self):
        """Return every number that training changes, the average included."""
        averages = self.averaged.trainable_variables if self._averaging else []
        return super().state() | {f"average_{number:03d}": average.numpy() for number, average in enumerate(averages)}

    def restore(self, arrays):
        """Take up the state that :meth:`state` returned."""
        super().restore(arrays)
        for number, average in enumerate(self.averaged.trainable_variables if self._averaging else []):
            average.assign(arrays[f"average_{number:03d}"])


def draw(folder, epoch, variant, *, per_class, classes, kept_share, noise, seeds, patients):
    """Draw synthetic ROIs of every class from one variant at a saved epoch.

    Parameters
    ----------
    folder : Path
        Of a finished training of a :class:`BetterAcgan` with the options of the variant.
    epoch : int
    variant : str
        One of :data:`VARIANTS`.
    per_class, classes : int
    kept_share : float
        Share of the drawn images that a variant with rejection keeps, above 0 to 1.
    noise : str
    seeds : sequence of int
        One a class.
    patients : frozenset of str
        Behind the training.

    Returns
    -------
    RoiSet
        ``per_class`` images of each class, in blocks of one class.

    Raises
    ------
    MissingInputError
        If no such network was kept at this epoch.
    SettingsError
        If ``kept_share`` is out of its range.
    """
    if not 0 < kept_share <= 1:
        raise SettingsError(f"parameter 'kept_share' is {kept_share}; choose a share above 0, up to 1")
    options = VARIANTS[variant]
    generator = load_network(folder, "averaged", epoch) if options.get("averaged") else load_generator(folder, epoch)
    judge = load_network(folder, "discriminator", epoch) if options.get("kept") else None
    parts = []
    for label in range(classes):
        drawn = ceil(per_class / kept_share) if judge else per_class
        asked = class_weights(label, classes)
        images = sample_images(generator, drawn, noise=noise, seed=seeds[label], class_weights=asked)
        if judge:
            scores = gan_options.realness(judge, images, np.full(drawn, label))
            images = images[gan_options.best(scores, per_class)]
        parts.append(RoiSet(images, np.full(per_class, label), patients, np.full(per_class, "", dtype="<U1")))
    return sum(parts[1:], parts[0])
