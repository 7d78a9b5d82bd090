"""Paired tests of two arms, and the rows and tables made of them, against worked values of others."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_moons
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.svm import SVC
from statsmodels.stats.multitest import multipletests

from lesion_utils import comparison, comparison_figures, comparison_rows, comparison_tables, paired, scores, selection
from lesion_utils.errors import MissingInputError
from lesion_utils.runs import Run

CLASSES = ("cyst", "metastasis", "hemangioma")
SETTINGS = {"margin": 0.01, "draws": 200, "seed": 0}


def arm_of(right, arm="classic", amount=100, seed=0, fold=0, test_set="cross_validation", prefix="L", patients=None, lift=0.0):
    """Return rows of predictions.csv: every lesion is a cyst, named rightly where ``right``; the probability says how surely."""
    right = np.asarray(right, bool)
    cyst = np.where(right, 0.6 + lift, 0.3 - lift)
    lesions = [f"{prefix}{number:04d}" for number in range(len(right))]
    return pd.DataFrame(
        {
            "arm": arm, "amount": amount, "test_set": test_set, "seed": seed, "fold": fold,
            "lesion_id": lesions, "patient_id": lesions if patients is None else patients,
            "true": "cyst", "predicted": np.where(right, "cyst", "metastasis"),
            "probability_cyst": cyst, "probability_metastasis": 1 - cyst, "probability_hemangioma": 0.0,
        }
    )  # fmt: skip


def discordant(gained, lost, both=10):
    """Return a new and an old arm with these numbers of discordant lesions."""
    new = np.repeat([1, 0, 1], [gained, lost, both])
    old = np.repeat([0, 1, 1], [gained, lost, both])
    return arm_of(new, "dcgan"), arm_of(old)


# McNemar


def test_mcnemar_is_exact_with_few_discordant_pairs():
    # Armitage & Berry (1994, p. 127), two media for sputum: 12 and 2 discordant of 50, exact p 0.0129.
    found = comparison.mcnemar(*discordant(12, 2, both=36))
    assert (found.gained, found.lost) == (12, 2) and found.p_value == pytest.approx(0.0129, abs=5e-5)


def test_mcnemar_is_chi_square_with_many():
    # Agresti, approval of the prime minister: 150 and 86 discordant of 1,600; (|150 - 86| - 1)^2 / 236 = 16.82, p = 4.1e-5.
    found = comparison.mcnemar(*discordant(86, 150, both=1364))
    assert (found.gained, found.lost) == (86, 150) and found.p_value == pytest.approx(4.115e-5, rel=1e-3)


def test_mcnemar_changes_its_form_at_25_and_is_symmetric():
    few, many = comparison.mcnemar(*discordant(18, 6)), comparison.mcnemar(*discordant(19, 6))
    assert few.p_value == pytest.approx(2 * sum(np.array([1, 24, 276, 2024, 10626, 42504, 134596])) / 2**24)
    assert many.p_value == pytest.approx(0.016395, abs=1e-5), "chi-square of (13 - 1)^2 / 25"
    new, old = discordant(19, 6)
    turned = comparison.mcnemar(old, new)
    assert (turned.gained, turned.lost, turned.p_value) == (6, 19, many.p_value)


def test_mcnemar_without_discordant_lesions_or_with_as_many_on_both_sides():
    for gained in (0, 4, 30):
        assert comparison.mcnemar(*discordant(gained, gained)).p_value == pytest.approx(1, abs=0.11 if gained == 30 else 1e-12)


def test_mcnemar_refuses_two_predictions_of_a_lesion_and_other_lesions():
    new, old = discordant(3, 2)
    with pytest.raises(ValueError, match=r"new arm predicts lesion L0000 and 14 others more than once.*one seed.*one_vote"):
        comparison.mcnemar(pd.concat([new, new.assign(seed=1)]), old)
    with pytest.raises(ValueError, match="old arm predicts lesion L0000"):
        comparison.mcnemar(new, pd.concat([old, old.iloc[:1]]))
    with pytest.raises(ValueError, match="15 and 14, 14 in common"):
        comparison.mcnemar(new, old.iloc[:-1])


def test_mcnemar_keeps_its_level_when_there_is_no_gain():
    rng, found = np.random.default_rng(0), []
    for _ in range(300):
        found.append(comparison.mcnemar(arm_of(rng.random(150) < 0.7, "dcgan"), arm_of(rng.random(150) < 0.7)).p_value)
    assert np.mean(np.array(found) <= 0.05) <= 0.06


def test_one_vote_is_the_class_of_the_highest_mean_probability():
    models = [arm_of([1, 0, 1], fold=0, lift=0.2), arm_of([0, 0, 1], fold=1), arm_of([0, 1, 1], fold=2)]
    votes = comparison.one_vote(pd.concat(models, ignore_index=True))
    # Lesion 0: 0.8, 0.3, 0.3: two models of three are wrong and the mean, 0.467, with them. Lesion 1: 0.1, 0.3, 0.6.
    assert votes["predicted"].tolist() == ["metastasis", "metastasis", "cyst"]
    np.testing.assert_allclose(votes["probability_cyst"], [1.4 / 3, 1 / 3, 2 / 3])
    tied = pd.concat([arm_of([1]), arm_of([0], fold=1).assign(probability_cyst=0.4, probability_metastasis=0.6)])
    assert comparison.one_vote(tied)["predicted"].tolist() == ["cyst"], "of equal means the first class wins"
    alone = arm_of([1, 0]).assign(predicted="hemangioma")
    assert comparison.one_vote(alone)["predicted"].tolist() == ["hemangioma"] * 2, "one prediction is left as it is"


# Corrected t


def test_corrected_t_gives_the_value_of_scikit_learns_example():
    """scikit-learn, 'Statistical comparison of models using grid search': corrected t 0.750 over 100 repeats, 10 x 10 folds."""
    x, y = make_moons(noise=0.352, random_state=1, n_samples=100)
    folds = RepeatedStratifiedKFold(n_splits=10, n_repeats=10, random_state=0)
    models = [SVC(kernel="rbf", random_state=0), SVC(kernel="linear", random_state=0)]
    rbf, linear = (cross_val_score(model, x, y, scoring="roc_auc", cv=folds) for model in models)
    found = comparison.corrected_t(rbf - linear, train_size=90, test_size=10)
    half = (found.interval[1] - found.interval[0]) / 2
    assert found.value / (half / 1.9842169515086827) == pytest.approx(0.750, abs=5e-4)  # t quantile, 99 degrees of freedom
    assert found.p_value / 2 == pytest.approx(0.227, abs=1e-3) and found.repeats == 100


def test_corrected_t_by_hand_and_against_the_uncorrected():
    differences = [0.02, 0.05, -0.01]  # mean 0.02, variance 0.0009; 1/3 + 61/121
    found = comparison.corrected_t(differences, train_size=121, test_size=61)
    error = np.sqrt((1 / 3 + 61 / 121) * 0.0009)
    assert found.value == pytest.approx(0.02)
    np.testing.assert_allclose(found.interval, [0.02 - 4.302653 * error, 0.02 + 4.302653 * error], rtol=1e-6)
    turned = comparison.corrected_t(np.negative(differences), train_size=121, test_size=61)
    assert turned.p_value == pytest.approx(found.p_value) and turned.interval[0] == pytest.approx(-found.interval[1])


def test_more_repeats_of_the_same_lesions_are_no_new_lesions():
    rng = np.random.default_rng(0)
    widths = [np.ptp(comparison.corrected_t(rng.normal(0, 0.03, n), 120, 60).interval) for n in (30, 3000)]
    assert widths[1] > 0.8 * widths[0], "the ordinary interval would shrink tenfold"


@pytest.mark.parametrize("differences", [[], [0.04], [0.04, 0.04, 0.04], [0.0, 0.0]])
def test_corrected_t_without_spread_claims_nothing(differences):
    found = comparison.corrected_t(differences, 120, 60)
    assert np.isnan([found.p_value, *found.interval]).all() and found.repeats == len(differences)
    assert found.value == pytest.approx(differences[0]) if differences else np.isnan(found.value)


def test_corrected_t_wants_sizes_and_numbers():
    with pytest.raises(ValueError, match="both must be above 0"):
        comparison.corrected_t([0.1, 0.2], 0, 60)
    with pytest.raises(ValueError, match="leave out repeats"):
        comparison.corrected_t([0.1, np.nan], 120, 60)


def folded(rights, arm="classic", **columns):
    """Return an arm with one fold a list of right answers."""
    parts = [arm_of(right, arm, fold=fold, prefix=f"F{fold}L", **columns) for fold, right in enumerate(rights)]
    return pd.concat(parts, ignore_index=True)


def test_fold_differences_are_paired_and_know_their_sizes():
    old = folded([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1]])
    new = folded([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1]], "dcgan").sample(frac=1, random_state=0)
    differences, train, test = comparison.fold_differences(new, old)
    np.testing.assert_allclose(differences, [0.25, -0.25, 0])
    assert (train, test) == (pytest.approx(20 / 3), pytest.approx(10 / 3))
    fewer, *sizes = comparison.fold_differences(new[new["fold"] != 1], old)
    assert fewer.tolist() == [0.25, 0] and sizes == [7, 3], "folds that were not run trained the others all the same"
    twice = [pd.concat([part, part.assign(seed=1)]) for part in (new, old)]
    differences, train, test = comparison.fold_differences(*twice)
    assert len(differences) == 6 and train == pytest.approx(20 / 3), "a seed's training set is of its own folds"


# Holm


def test_holm_gives_the_papers_steps():
    # Wright (1992) and R's p.adjust: 0.01, 0.02, 0.03, 0.04 become 0.04, 0.06, 0.06, 0.06.
    np.testing.assert_allclose(comparison.holm([0.04, 0.01, 0.03, 0.02]), [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(comparison.holm([0.6, 0.7]), [1, 1])


def test_holm_does_not_count_what_could_not_be_tested():
    np.testing.assert_allclose(comparison.holm([np.nan, 0.01, np.nan, 0.04]), [np.nan, 0.02, np.nan, 0.04])
    assert np.isnan(comparison.holm([np.nan, np.nan])).all() and len(comparison.holm([])) == 0
    assert comparison.holm([0.03]).tolist() == multipletests([0.03], method="holm")[1].tolist()


# Rows


@pytest.fixture
def experiment():
    """An experiment of two seeds and two folds with an independent test set; dcgan at 300 gains, at 900 loses."""
    rng, parts = np.random.default_rng(3), []
    quality = {("real", 0): 0.5, ("classic", 100): 0.6, ("classic", 200): 0.65, ("dcgan", 300): 0.9, ("dcgan", 900): 0.3}
    for (arm, amount), share in quality.items():
        for seed in (0, 1):
            for fold in (0, 1):
                where = {"arm": arm, "amount": amount, "seed": seed, "fold": fold}
                parts.append(arm_of(rng.random(60) < share, prefix=f"F{fold}L", **where))
                parts.append(arm_of(rng.random(80) < share, test_set="independent", prefix="T", **where))
    return pd.concat(parts, ignore_index=True)


CHOICES = {
    "classic": {(0, 0): {"amount": 100}, (0, 1): {"amount": 200}, (1, 0): {"amount": 0}, (1, 1): {"amount": 200}},
    "dcgan": {(seed, fold): {"amount": 300} for seed in (0, 1) for fold in (0, 1)},
}


def test_seeds_that_were_not_run_are_marked_and_not_filled_in(experiment):
    own = experiment[(experiment["arm"] == "classic") & ~((experiment["seed"] == 1) & (experiment["fold"] == 1))]
    found = comparison_rows.seed_status(3, [0, 1, 7], 2, own)
    assert found["seed"].tolist() == [0, 1, 2, 7] and found["asked"].tolist() == [True, True, False, True]
    assert found["state"].tolist() == ["run", "run in part", "not run", "not run"]
    assert found["folds_run"].tolist() == [2, 1, 0, 0]


def test_every_arm_stands_at_its_own_choice(experiment):
    arms = comparison_rows.arms_at_choice(experiment, CHOICES)
    assert list(arms) == ["real", "classic", "dcgan"]
    assert len(arms["classic"]) == len(arms["dcgan"]) == 4 * 140 and set(arms["classic"]["arm"]) == {"classic"}
    none = experiment[(experiment["arm"] == "real") & (experiment["seed"] == 1) & (experiment["fold"] == 0)]
    chosen = arms["classic"][(arms["classic"]["seed"] == 1) & (arms["classic"]["fold"] == 0)]
    assert chosen["predicted"].tolist() == none["predicted"].tolist(), "no augmentation is amount 0 of classic"
    assert set(arms["real"]["amount"]) == {0} and set(arms["dcgan"]["amount"]) == {"all"}
    only = comparison_rows.arms_at_choice(experiment[experiment["seed"] == 0], CHOICES)
    assert set(only["classic"]["seed"]) == {0}, "choices of other seeds are passed over"
    control = pd.concat([arm_of([1], "placebo", amount=300), arm_of([1], "placebo", amount=600, fold=1, prefix="M")])
    assert set(comparison_rows.arms_at_choice(control, {})["placebo"]["amount"]) == {"all"}
    with pytest.raises(ValueError, match=r"arm dcgan, seed 0, fold 0 has 2 amounts"):
        comparison_rows.arms_at_choice(experiment, {"classic": CHOICES["classic"]})


def pick(rows, **wanted):
    (row,) = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return row


def test_rows_of_a_comparison(experiment):
    arms = comparison_rows.arms_at_choice(experiment, CHOICES)
    new, old = arms["dcgan"], arms["classic"]
    rows = comparison_rows.test_rows(new, old, **SETTINGS)
    assert pick(rows, metric="verdict", test_set="independent")["label"] == "helps"
    cross = pick(rows, metric="difference", test_set="cross_validation")
    one_set = [part[part["test_set"] == "cross_validation"] for part in (new, old)]
    direct = paired.paired_difference(*one_set, draws=200, seed=0)
    assert (cross["value"], (cross["ci_low"], cross["ci_high"])) == (direct.value, direct.interval)
    seed_1 = [comparison.one_vote(part[part["seed"] == 1]) for part in one_set]
    assert pick(rows, metric="mcnemar_p", test_set="cross_validation", seed=1)["value"] == comparison.mcnemar(*seed_1).p_value
    assert pick(rows, metric="mcnemar_p", test_set="independent", seed=0)["n"] == 80, "votes of the folds' models"
    t = pick(rows, metric="corrected_t")
    assert t["test_set"] == "cross_validation" and t["n"] == 4, "and no corrected t of the independent test set"
    assert {row["metric"] for row in rows if row["test_set"] == "independent"} == {
        "difference", "verdict", "mcnemar_gained", "mcnemar_lost", "mcnemar_p"
    }  # fmt: skip
    assert set(scores.results_frame(rows)["table"]) == {"tests"}


def test_an_arm_of_fewer_seeds_and_folds_is_compared_with_the_same_ones(experiment):
    arms = comparison_rows.arms_at_choice(experiment, CHOICES)
    part = arms["dcgan"][(arms["dcgan"]["seed"] == 1) & (arms["dcgan"]["fold"] == 0)]
    rows = comparison_rows.test_rows(part, arms["classic"], **SETTINGS)
    assert pick(rows, metric="difference", test_set="cross_validation")["n"] == 60
    assert np.isnan(pick(rows, metric="corrected_t_p")["value"]), "one repeat"
    with pytest.raises(ValueError, match="do not predict the same lesions"):
        comparison_rows.test_rows(arms["dcgan"], part.assign(arm="classic"), **SETTINGS)


def test_holm_runs_over_a_family_and_its_seeds_within_a_test_set(experiment):
    arms = comparison_rows.arms_at_choice(experiment, CHOICES)
    others = dict(list(experiment[experiment["arm"] == "dcgan"].groupby("amount"))) | {"one": arms["real"]}
    rows = comparison_rows.family_rows("amounts", others, arms["classic"], **SETTINGS)
    for test_set in ("cross_validation", "independent"):
        raw, adjusted = (
            [row for row in rows if (row["metric"], row["test_set"]) == (name, test_set)]
            for name in ("mcnemar_p", "mcnemar_p_holm")
        )
        np.testing.assert_allclose([row["value"] for row in adjusted], comparison.holm([row["value"] for row in raw]))
        assert {row["label"] for row in adjusted} == {"amounts"} and {row["n"] for row in adjusted} == {6}, "3 arms, 2 seeds"
    assert len([row for row in rows if row["metric"] == "corrected_t_p_holm"]) == 3


def test_optimism_is_what_the_test_folds_flatter(experiment):
    choices = {key: {"amount": 900} for key in CHOICES["dcgan"]}  # the inner folds have chosen badly
    own = selection.of_arm(experiment, "dcgan")
    honest = comparison_rows.arms_at_choice(own, {"dcgan": choices})["dcgan"]
    rows = comparison_rows.optimism_rows(own, honest, draws=200, seed=0)
    for test_set in ("cross_validation", "independent"):
        naive, chosen, found = (
            pick(rows, metric=name, test_set=test_set) for name in ("accuracy_naive", "accuracy_honest", "optimism")
        )
        assert naive["amount"] == found["amount"] == 300 and chosen["amount"] == "all"
        assert found["value"] == pytest.approx(naive["value"] - chosen["value"]) and found["ci_low"] > 0.3
    direct = own[(own["amount"] == 300) & (own["test_set"] == "independent")]
    chosen = honest[honest["test_set"] == "independent"]
    found = pick(rows, metric="optimism", test_set="independent")
    over_networks = paired.paired_difference(direct, chosen, draws=200, seed=0)
    assert (found["ci_low"], found["ci_high"]) == over_networks.interval, "its networks are other ones, and differ by chance too"
    same = comparison_rows.arms_at_choice(own, CHOICES)["dcgan"]
    zero = pick(comparison_rows.optimism_rows(own, same, draws=200, seed=0), metric="optimism", test_set="independent")
    assert (zero["value"], zero["ci_low"], zero["ci_high"]) == (0, 0, 0)


def test_predictions_of_seeds_that_were_not_run_name_the_notebook(tmp_path, experiment):
    (tmp_path / "predictions").mkdir()
    experiment.to_csv(tmp_path / "predictions" / "05_classification.csv", index=False)
    assert set(comparison_rows.predictions_of(Run(tmp_path), "05_classification", [1, 4])["seed"]) == {1}
    with pytest.raises(MissingInputError, match=r"none of the seeds 4, 5: run notebooks/05_classification\.ipynb"):
        comparison_rows.predictions_of(Run(tmp_path), "05_classification", [4, 5])


# Tables and figures


def test_tables_hold_every_arm_and_read_well(experiment):
    arms = comparison_rows.arms_at_choice(experiment, CHOICES)
    candidates = {"dcgan": arms["dcgan"], "real": arms["real"]}
    rows = comparison_rows.family_rows("added", candidates, arms["classic"], **SETTINGS)
    table = comparison_tables.tests_table(rows)
    assert len(table) == 4 and table["this run"].notna().all()
    assert table.loc[("independent test set", "classic + synthetic (DCGAN)"), "corrected t p"] == ""
    by_amount = dict(list(experiment[experiment["arm"] == "dcgan"].groupby("amount")))
    amounts = comparison_tables.tests_table(
        comparison_rows.family_rows("x", by_amount, arms["classic"], **SETTINGS), one_amount=False
    )
    assert "classic + synthetic (DCGAN), 900 added" in amounts.index.get_level_values("arm")
    optimism = comparison_rows.optimism_rows(selection.of_arm(experiment, "classic"), arms["classic"], draws=50, seed=0)
    assert comparison_tables.optimism_table(optimism)["naive amount"].tolist() == ["200", "200"]
    able = comparison_rows.power_rows(
        arms["dcgan"], arms["classic"], gain=0.03, margin=0.01, alpha=0.05, power=0.8, draws=50, seed=0
    )
    columns = comparison_tables.power_table(able, 0.03).columns
    assert {"lesions for 3 points to differ from 0", "lesions for 3 points to earn helps"} <= set(columns)
    json.dumps(table.to_dict("records"))


def test_p_values_are_never_zero_and_run_from_the_smallest_to_the_largest_seed(experiment):
    arms = comparison_rows.arms_at_choice(experiment, CHOICES)
    rows = comparison_rows.family_rows("added", {"dcgan": arms["dcgan"]}, arms["classic"], **SETTINGS)
    values = iter([0.2, 0.0004])
    rows = [row | {"value": next(values)} if _is_p(row, "mcnemar_p") else row for row in rows]
    values = iter([0.0004, 0.0])
    rows = [row | {"value": next(values)} if _is_p(row, "mcnemar_p_holm") else row for row in rows]
    line = comparison_tables.tests_table(rows).loc[("cross-validation", "classic + synthetic (DCGAN)")]
    assert line["McNemar p"] == "below 0.001 to 0.200" and line["Holm"] == "below 0.001"
    assert comparison_tables.p_text(0.0005) == "0.001" and comparison_tables.p_text(1) == "1.000"


def _is_p(row, metric):
    return (row["metric"], row["test_set"]) == (metric, "cross_validation")


def test_figures_draw_every_arm(experiment):
    arms = comparison_rows.arms_at_choice(experiment, CHOICES)
    rows = comparison_rows.test_rows(arms["dcgan"], arms["classic"], **SETTINGS)
    figure = comparison_figures.differences_figure(rows, 0.01)
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["cross-validation", "independent test set"]
    assert figure.axes[0].get_yticklabels()[0].get_text() == "classic + synthetic (DCGAN)"
    plt.close(figure)
