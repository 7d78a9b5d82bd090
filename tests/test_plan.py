"""The forecast: work counted by hand and on real deals of lesions, tables read without their images, rates of real training."""

import re
import shutil

import numpy as np
import pytest
from conftest import make_table, write_rows

from lesion_utils import flops, networks, phantom, plan
from lesion_utils.augment import nested_group
from lesion_utils.errors import DataError, SettingsError
from lesion_utils.plan import Rates
from lesion_utils.settings import PROFILES, run_parameters
from lesion_utils.splits import patient_folds
from lesion_utils.work import Lesions, count_lesions, count_work

PAPER_LESIONS = Lesions((53, 64, 65), 78, 900)


def parameters(profile="paper", **changes):
    """Return a profile's parameters, of one seed, without further cohorts, some changed: ``n03__epochs`` is 03's ``epochs``."""
    values = run_parameters(profile, overrides={"seeds": [0]})
    for key, value in ({"n13__cohorts": 0} | changes).items():
        number, name = key[1:].split("__")
        (notebook,) = [notebook for notebook in values if notebook.startswith(number)]
        assert name in values[notebook], name
        values[notebook][name] = value
    return values


def test_lesions_of_the_simulated_cohort():
    assert count_lesions(parameters()) == PAPER_LESIONS
    assert count_lesions(parameters(n01__lesions=[1, 2, 3], n01__test_lesions=[0, 0, 4])) == Lesions((1, 2, 3), 78, 4)
    with pytest.raises(SettingsError, match="three|one whole number"):
        count_lesions(parameters(n01__extra_lesions=[5, 5]))


def test_work_of_the_paper_counted_by_hand():
    work = count_work(parameters(), PAPER_LESIONS)
    originals = 2 * 182  # each lesion trains in two of three folds
    classic = 9 * originals + 3 * (500 + 1000 + 2000 + 3000 + 5000 + 7500 + 10000 + 15000)
    # Each pair of folds that is left out once more: three inner trainings of half the size for every three outer ones.
    assert work.classic_images == 150 * classic * 3 // 2 == 30_437_100
    added = 6 * (originals + 3 * 5000) + 3 * 3 * (100 + 500 + 1000 + 2000 + 3000 + 4000)
    epochs = 2 * 4 * (originals + 3 * (5000 + 3 * 2000)) // 2  # of two GANs four further epochs at 2,000 a class
    assert work.added_images == 150 * (3 * added * 3 // 2 + epochs) == 146_637_600
    assert work.control_images == 150 * 6 * (originals + 3 * (5000 + 3 * 4000)) == 46_227_600
    assert work.truth_images == round(20 * 150 * (originals / 3 + 5000)) == 15_364_000
    assert work.judge_images == 150 * 3 * 9000
    assert work.detector_images == 3 * 30 * 2 * 3000
    # Images of a class in the mean fold: 35.3 + 1456.0 cysts, 42.7 + 1758.2 metastases, 43.3 + 1785.7 hemangiomas.
    assert work.gan_steps == 3 * 70 * (1491 // 64 + 1800 // 64 + 1829 // 64 + 745 // 64 + 900 // 64 + 914 // 64) == 24_780
    # Of all classes in the mean fold: 121.3 + 5000 images.
    assert work.acgan_steps == 3 * 50 * (5121 // 64 + 2560 // 64) == 18_000
    # Of five epochs, 4,000 a class of three outer, and 2,000 of both orders of three inner networks.
    assert work.samples == 2 * 5 * 3 * (3 * 4000 + 6 * 2000)
    assert (work.gan_units, work.acgan_units) == (18, 6)
    assert (work.generators, work.discriminators) == (18 * 5 + 6 * 5, 6), "and the ACGANs' last discriminators"
    assert (work.classic_units, work.added_units, work.control_units, work.judge_units) == (54, 2 * 54 + 2 * 12, 18, 3)
    assert work.kept_units == 27 + 3 * 18


def test_work_of_further_cohorts_counted_by_hand():
    alone, work = (count_work(parameters(n13__cohorts=cohorts), PAPER_LESIONS) for cohorts in (0, 8))
    assert work.gan_steps - alone.gan_steps == 8 * 70 * (1491 // 64 + 1800 // 64 + 1829 // 64)
    assert (work.gan_units - alone.gan_units, work.truth_units - alone.truth_units) == (24, 16)
    assert work.generators - alone.generators == 24, "of each the last epoch alone"
    # The CNN without synthetic ROIs, and with 4,000 a class.
    assert work.truth_images - alone.truth_images == round(8 * 150 * (2 * (2 * 182 / 3 + 5000) + 12_000))
    assert work.samples - alone.samples == 8 * 3 * 4000 and work.fresh_lesions - alone.fresh_lesions == 8 * 182
    without = count_work(parameters(n13__cohorts=8, n05__arms=["classic"]), PAPER_LESIONS)
    assert without.gan_steps == alone.gan_steps, "without the DCGANs' arm there is nothing to compare"


def test_work_of_the_better_gans_counted_by_hand():
    better = count_work(parameters(), PAPER_LESIONS).better
    group = 2 * 182 / 3 + 5000
    # Six kinds of training on three pairs of folds, then one on each of three folds.
    assert (better.units, better.generators, better.discriminators) == (21, 2 * 21 * 2, 21 * (2 + 1))
    assert better.steps == 50 * (3 * (5121 // 64) + 18 * (2560 // 64)) == 48_000
    # Nine variants at two epochs with 2,000 a class, then five other amounts, each on three pairs; three folds at the largest.
    inner = 18 * (group + 6000) + 5 * group + 3 * (100 + 500 + 1000 + 3000 + 4000)
    assert better.cnn_images == round(150 * (3 / 2 * inner + 3 * (group + 12_000)))
    assert better.cnn_units == 3 + 3 * 23
    # 4,000 a class for each CNN, half as many for an inner one, and twice as many for two variants with rejection.
    assert better.drawn == 3 * (14 * 6000 + 4 * 12_000 + 5 * 6000) + 3 * 12_000
    one = count_work(parameters(n14__variants=["augmented", "augmented_averaged"], n14__saved_epochs=1), PAPER_LESIONS).better
    assert one.units == 3 + 3 and one.cnn_units == 3 + 3 * 7, "two variants of one training"
    with pytest.raises(SettingsError, match="'variants' is 'wgan'"):
        count_work(parameters(n14__variants=["wgan"]), PAPER_LESIONS)


def test_steps_agree_with_a_real_deal_of_the_cohort():
    patients = phantom.plan_patients((53, 64, 65), seed=0)
    label = np.repeat([patient.label for patient in patients], [patient.lesions for patient in patients])
    person = np.repeat(np.arange(len(patients)).astype(str), [patient.lesions for patient in patients])
    fold = patient_folds(label, person, folds=3, classes=phantom.CLASSES, seed=0)
    steps = 0
    for left_out, amount in [((0,), 5000), ((1,), 5000), ((2,), 5000), ((0, 1), 2500), ((0, 2), 2500), ((1, 2), 2500)]:
        train = np.flatnonzero(~np.isin(fold, left_out))
        lesion, _ = nested_group(train, amount, 480)
        images = np.bincount(label[train], minlength=3) + np.bincount(label[lesion], minlength=3)
        steps += 70 * (images // 64).sum()
    assert count_work(parameters(), PAPER_LESIONS).gan_steps == pytest.approx(steps, rel=0.03)


def test_every_fold_and_seed_costs_the_same_again():
    once = count_work(parameters(), PAPER_LESIONS)
    thrice = count_work(parameters(n03__seeds=[0, 1, 2], n05__seeds=[0, 1, 2]), PAPER_LESIONS)
    assert thrice.classic_images == 3 * once.classic_images and thrice.gan_steps == 3 * once.gan_steps
    assert (thrice.judge_units, thrice.samples) == (9, once.samples * 2)
    five = count_work(parameters(n01__folds=5), PAPER_LESIONS)
    outer = 9 * 4 * 182 + 5 * 44_000
    assert five.classic_images == pytest.approx(150 * outer * (1 + 2 * 3 / 4)), "ten pairs of three quarters"


def test_amounts_per_fold_are_added_once_for_each_training_fold():
    work = count_work(parameters(n02__amount_reading="per_fold"), PAPER_LESIONS)
    assert work.classic_images == 150 * (9 * 364 + 3 * 2 * 44_000) * 3 // 2


def test_optimum_is_the_papers_if_it_can_be_and_else_the_largest():
    assert count_work(parameters(), PAPER_LESIONS).optimum == 5000
    work = count_work(parameters(n05__classic_amounts=[100, 900, 300], n05__added_per_class=[10]), PAPER_LESIONS)
    group = 364 + 3 * 900 + 3 * 30
    assert work.optimum == 900 and work.added_images == 150 * (3 * group + 3 * group // 2 + 2 * 4 * group // 2)


def test_classic_amount_of_the_gan_can_be_set():
    work = count_work(parameters(n03__classic_amount=0, n03__batch_size=32), PAPER_LESIONS)
    assert work.gan_steps == 6 * 70 * 3, "35, 43 and 43 originals a fold, and half of them: one batch of 32 each"
    work = count_work(parameters(n03__classic_amount=0, n03__batch_size=256), PAPER_LESIONS)
    assert work.gan_steps == 6 * 70 * 3, "fewer images than a batch are one step"


def test_without_a_gan_arm_nothing_is_trained_on_synthetic_rois():
    work = count_work(parameters(n05__arms=["real", "classic"]), PAPER_LESIONS)
    assert work.added_images == work.added_units == 0 and work.classic_images > 0


def test_without_extra_cases_there_is_no_green_line():
    with_extra, without = (count_work(parameters(), Lesions((53, 64, 65), extra, 900)) for extra in (78, 0))
    assert without.added_units == 2 * (36 + 12) and with_extra.added_units == without.added_units + 36


def test_part_of_the_classes_or_folds():
    work = count_work(parameters(n03__only_classes=[0], n03__only_folds=[2]), PAPER_LESIONS)
    assert work.gan_steps == 70 * (23 + 11) and work.judge_images == 0
    acgan = 5 * 3 * (3 * 4000 + 6 * 2000)
    assert work.samples == 5 * (4000 + 2 * 2000) + acgan, "one class of one fold, and both orders of the pair that it owns"


def test_saved_epochs_that_cannot_be_are_an_error():
    with pytest.raises(SettingsError, match="saved_epochs"):
        count_work(parameters(n03__saved_epochs=71), PAPER_LESIONS)
    with pytest.raises(SettingsError, match=r"'sample_epochs' holds \[9\], but of 14 epochs \[3, 6, 8, 11, 14\] are saved"):
        count_work(parameters(n04__epochs=14, n04__sample_epochs=[9, 14]), PAPER_LESIONS)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profiles_parameters_go_together(profile):
    assert count_work(run_parameters(profile), PAPER_LESIONS).gan_steps > 0


def test_table_is_counted_without_its_images(tmp_path):
    path = make_table(tmp_path, lesions_per_class=6)
    lines = [line.split(",") for line in path.read_text().splitlines()]
    rows = [dict(zip(lines[0], cells, strict=True)) | {"role": "cohort"} for cells in lines[1:]]
    shutil.rmtree(tmp_path / "image")
    for row in rows:
        row["role"] = "test" if row["patient_id"] == "person-0-0" else "cohort"
    tested = sum(row["role"] == "test" for row in rows)
    write_rows(path, rows)
    own = {"n01__data": str(path), "n01__label": "kind"}
    assert count_lesions(parameters(**own)) == Lesions((6 - tested, 6), 0, tested)
    balanced = count_lesions(parameters(**own, n01__balanced_per_class=3))
    assert max(balanced.cohort) <= 3 and sum(balanced.cohort) + balanced.test == 12
    with pytest.raises(DataError, match="balanced_per_class = 7"):
        count_lesions(parameters(**own, n01__balanced_per_class=7))
    rows[3]["patient_id"] = ""
    write_rows(path, rows)
    with pytest.raises(DataError, match=r"lesions.csv: 1 problem(.|\n)*line 5: patient_id is empty"):
        count_lesions(parameters(**own))
    with pytest.raises(DataError, match="label column 'sort' is unknown"):
        count_lesions(parameters(n01__data=str(path), n01__label="sort"))


def test_measuring_trains_at_the_runs_own_sizes():
    small = {"n03__generator_width": 16, "n03__discriminator_width": 4, "n03__batch_size": 4, "n03__judge_batch_size": 8}
    small |= {"n04__generator_width": 16, "n04__discriminator_width": 4, "n04__batch_size": 4}
    rates = plan.measure(parameters("smoke", n05__batch_size=8, n05__cnn_width=32, **small), 3)
    times = [rates.lesion, rates.classic, rates.judge, rates.step, rates.acgan_step, rates.saving, rates.sample]
    assert all(1e-6 < seconds < 10 for seconds in times), rates
    assert rates.step > rates.sample
    assert rates.step_operations == flops.gan_step(networks.generator(width=16), networks.discriminator(width=4), 4)
    assert rates.acgan_step_operations > rates.step_operations and rates.image_operations == flops.training_step(
        networks.cnn(3), 1
    )
    assert rates.classifier_bytes == pytest.approx(4 * 1_273_347, rel=0.1)
    weights = [networks.generator(width=16).count_params(), networks.discriminator(width=4).count_params()]
    assert rates.generator_bytes == pytest.approx(4 * weights[0], abs=1e5), "and a description of the network"
    asked = networks.auxiliary_discriminator(3, width=4).count_params()
    assert rates.discriminator_bytes == pytest.approx(4 * asked, abs=1e5)
    assert rates.checkpoint_bytes == pytest.approx(3 * 4 * sum(weights), rel=0.5), "and Adam's two moments"


def test_forecast_multiplies_work_by_rates_and_adds_up(monkeypatch, capsys):
    rates = Rates(
        0.5,
        0.001,
        0.002,
        1.5,
        2.0,
        0.1,
        0.01,
        300_000_000,
        80_000_000,
        20_000_000,
        5_000_000,
        3 * 10**11,
        2 * 10**11,
        10**8,
        10**7,
    )
    monkeypatch.setattr(plan, "measure", lambda *_: rates)
    text = plan.forecast(parameters(), cores=2)
    times = dict(re.findall(r"^(\S.*?)  .*  (\S+ (?:s|min|h|days))$", text, re.MULTILINE))
    assert times["CNN, 54 trainings on classic groups"] == f"{30_437.1 / 2 / 3600:.1f} h", "two at once"
    assert times["DCGAN, 18 trainings"] == f"{24_780 * 1.5 / 2 / 3600:.1f} h"
    trainings = 30_437.1 + 146_637.6 + 46_227.6 + 15_364.0 + 4050 * 2 + 24_780 * 1.5 + 18_000 * 2
    better = count_work(parameters(), PAPER_LESIONS).better
    assert times["better GANs, 21 trainings"] == f"{48_000 * 2 / 2 / 3600:.1f} h"
    trainings += better.cnn_images * 0.001 + 48_000 * 2
    seconds = (1160 + 10_000) * 0.5 + trainings / 2 + (204 + 69) * 0.1 + 7200 + better.drawn * 0.01 + 540 + 3 * 1082 * 0.04
    fixed = plan.NOTEBOOK_RUNS * plan.NOTEBOOK_SECONDS + plan.RENDER_SECONDS
    assert times["in all"] == plan.duration(seconds + fixed) == f"{(seconds + fixed) / 86_400:.1f} days"
    sizes = {name: float(size.replace(",", "")) for name, size in re.findall(r"^(\S.*?)  +([\d,]+) MB$", text, re.MULTILINE)}
    assert sizes["204 generators of GANs"] == 204 * 80 and sizes["69 discriminators of GANs"] == 69 * 20
    assert sizes["rolling checkpoint, while a GAN trains"] == 300
    total = sizes.pop("in all")
    assert total == pytest.approx(sum(sizes.values()), abs=len(sizes))
    gans = 24_780 * 0.3 + (18_000 + 48_000) * 0.2
    cnns = (30_437.1 + 146_637.6 + 46_227.6 + 15_364.0 + 540 + better.cnn_images * 0.001) * 0.1 + 4050 * 0.01
    assert f"is {gans:,.0f} TFLOP of arithmetic for GANs and {cnns:,.0f} for CNNs" in text
    assert "300.0 GFLOP, runs at 200 GFLOP/s on one core" in text
    assert "5,000 is assumed" in text and "are counted all the same" in text
    assert "Measuring" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (119, "119 s"), (121, "2.0 min"), (7300, "2.0 h"), (200_000, "2.3 days")]
)
def test_duration(seconds, text):
    assert plan.duration(seconds) == text
