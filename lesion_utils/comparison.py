"""Is a difference real? Paired tests of two arms on the same lesions, and the price of testing several."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_table
from statsmodels.stats.multitest import multipletests

#: Below this many discordant lesions the chi-square approximation is poor, and McNemar's test is the exact binomial one.
FEWEST_FOR_CHI_SQUARE = 25
PROBABILITY = "probability_"


@dataclass(frozen=True)
class McNemar:
    """McNemar's test: lesions that only the new arm names rightly, those that only the old one does, and the p-value."""

    gained: int
    lost: int
    p_value: float


@dataclass(frozen=True)
class CorrectedT:
    """A mean difference over repeats with the interval and two-sided p-value of the corrected resampled t test."""

    value: float
    interval: tuple
    p_value: float
    repeats: int


def one_vote(predictions):
    """Return one prediction a lesion: the class with the highest mean probability over the models that predict it.

    A lesion of the cross-validation has one model a seed and is unchanged; of the independent test set, one a fold.

    Parameters
    ----------
    predictions : DataFrame
        Rows of predictions.csv of one arm and one test set.

    Returns
    -------
    DataFrame
        ``lesion_id``, ``patient_id``, ``true``, ``predicted`` and the mean probabilities, in the order of the ids. Of equal
        means the first class wins.
    """
    if not predictions["lesion_id"].duplicated().any():
        return predictions.sort_values("lesion_id", ignore_index=True)
    columns = [name for name in predictions if name.startswith(PROBABILITY)]
    votes = predictions.groupby(["lesion_id", "patient_id", "true"], as_index=False)[columns].mean()
    names = np.array([name.removeprefix(PROBABILITY) for name in columns])
    return votes.assign(predicted=names[votes[columns].to_numpy().argmax(axis=1)])


def changes(new, old):
    """Return what becomes of each lesion: +1 if only ``new`` names it rightly, -1 if only ``old`` does, else 0.

    Parameters
    ----------
    new, old : DataFrame
        Rows of predictions.csv, one a lesion, for the same lesions; see :func:`one_vote`.

    Returns
    -------
    DataFrame
        ``lesion_id``, ``patient_id``, ``change``.

    Raises
    ------
    ValueError
        If a lesion is predicted twice, or the two arms do not predict the same lesions.
    """
    for name, part in (("new", new), ("old", old)):
        repeated = part["lesion_id"][part["lesion_id"].duplicated()]
        if len(repeated):
            raise ValueError(
                f"the {name} arm predicts lesion {repeated.iloc[0]} and {repeated.nunique() - 1} others more than once: a paired "
                "test wants one prediction a lesion; give it one seed, and one_vote of the models of an independent test set"
            )
    frames = [part.assign(correct=(part["true"] == part["predicted"]).astype(int)) for part in (new, old)]
    both = frames[0].merge(frames[1], on=["lesion_id", "patient_id"], suffixes=("_new", "_old"))
    if not len(both) == len(new) == len(old):
        raise ValueError(f"the two arms do not predict the same lesions: {len(new)} and {len(old)}, {len(both)} in common")
    return both.assign(change=both["correct_new"] - both["correct_old"])[["lesion_id", "patient_id", "change"]]


def mcnemar(new, old):
    """Test whether two sets of predictions of the same lesions have the same accuracy (McNemar 1947; Dietterich 1998).

    The test counts each lesion once and takes the two trained classifiers as given: the folds of one seed are pooled, since each
    lesion has one prediction there. Seeds are not pooled, for a lesion that is right under ten seeds is not ten lesions: give one
    test a seed. Of an independent test set, which all models of the folds predict, give :func:`one_vote`: one p-value a seed,
    where a test of each model would make three of one question. It then compares the votes, which often beat their single models.

    The exact binomial test is taken below 25 discordant lesions, else chi-square with continuity correction. Lesions count as
    independent; where a patient's lesions change together, p is too small, and the interval over patients is to be believed.

    Parameters
    ----------
    new, old : DataFrame
        Rows of predictions.csv, one a lesion, for the same lesions.

    Returns
    -------
    McNemar
        p is 1 where no lesion is discordant.

    Raises
    ------
    ValueError
        If a lesion is predicted twice, or the two do not predict the same lesions.
    """
    change = changes(new, old)["change"]
    gained, lost = int((change == 1).sum()), int((change == -1).sum())
    exact = gained + lost < FEWEST_FOR_CHI_SQUARE
    p_value = mcnemar_of_table([[0, gained], [lost, 0]], exact=exact, correction=True).pvalue if gained + lost else 1.0
    return McNemar(gained, lost, min(float(p_value), 1.0))


def corrected_t(differences, train_size, test_size, confidence=0.95):
    """Test a mean difference over repeats of a cross-validation, whose training sets overlap (Nadeau & Bengio 2003).

    The usual t test divides the variance of J differences by J, as if they were independent; they are not, since any two training
    sets share lesions. The corrected one multiplies it by 1/J + n_test/n_train, which does not vanish with J: more repeats of the
    same lesions are no new lesions. Folds of one seed count as repeats (Bouckaert & Frank 2004).

    Parameters
    ----------
    differences : (J,)
        Accuracy of the new arm minus that of the old one, one for each seed and fold.
    train_size, test_size : float
        Lesions that train and test in one repeat; their mean where folds differ.
    confidence : float

    Returns
    -------
    CorrectedT
        Interval and p-value are nan with fewer than two repeats, and where all differences are equal: a spread of zero would
        claim certainty, and measures only that accuracies of few lesions are coarse.

    Raises
    ------
    ValueError
        If a size is not above 0, or a difference is no number.
    """
    differences = np.asarray(differences, float)
    if np.isnan(differences).any():
        raise ValueError("corrected_t: a difference is nan; leave out repeats that were not run")
    repeats = len(differences)
    mean = float(differences.mean()) if repeats else np.nan
    if repeats < 2 or np.ptp(differences) < 1e-12:
        return CorrectedT(mean, (np.nan, np.nan), np.nan, repeats)
    if not (train_size > 0 and test_size > 0):
        raise ValueError(f"corrected_t: {train_size} lesions train and {test_size} test; both must be above 0")
    error = np.sqrt((1 / repeats + test_size / train_size) * differences.var(ddof=1))
    half = student.ppf((1 + confidence) / 2, repeats - 1) * error
    p_value = 2 * student.sf(abs(mean) / error, repeats - 1)
    return CorrectedT(mean, (float(mean - half), float(mean + half)), float(p_value), repeats)


def fold_differences(new, old):
    """Return the difference of two arms in every repeat of a cross-validation, for :func:`corrected_t`.

    Parameters
    ----------
    new, old : DataFrame
        Rows of predictions.csv of the cross-validation. ``old`` has all folds of its seeds, from which the sizes are counted;
        ``new`` may have been run for fewer.

    Returns
    -------
    differences : (J,)
        For the seeds and folds of ``new``.
    train_size, test_size : float
        Lesions, mean over these repeats.
    """
    right = [(part["true"] == part["predicted"]).groupby([part["seed"], part["fold"]]).mean() for part in (new, old)]
    sizes = old.groupby(["seed", "fold"])["lesion_id"].nunique()
    others = sizes.groupby("seed").transform("sum") - sizes
    run = right[0].index
    return (right[0] - right[1].loc[run]).to_numpy(), float(others.loc[run].mean()), float(sizes.loc[run].mean())


def holm(p_values):
    """Adjust the p-values of a family of tests, so that a level of 5 % is the risk of any false alarm in it (Holm 1979).

    Parameters
    ----------
    p_values : sequence of float
        nan: a test that could not be made; it stays nan and is not counted.

    Returns
    -------
    (n,) array
        Adjusted p-values, to be compared with the level that a single test would have.
    """
    p_values = np.asarray(p_values, float)
    adjusted = np.full(p_values.shape, np.nan)
    made = ~np.isnan(p_values)
    if made.any():
        adjusted[made] = multipletests(p_values[made], method="holm")[1]
    return adjusted
