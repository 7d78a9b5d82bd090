"""GAN-test (Shmelkov et al. 2018): does a network that was trained on real ROIs name synthetic ones as the class asked for?"""

import pandas as pd

from .experiment import load_classifier
from .paired import share_over_models
from .scores import TEST_SETS, result_row


def class_agreement(run, rois, seed, fold):
    """Ask a classifier that was trained on real training ROIs which class synthetic ROIs show.

    Parameters
    ----------
    run : Run
    rois : RoiSet
        Synthetic ROIs of one fold; ``label`` is the class they were asked for.
    seed, fold : int
        The judge is this fold's classifier at the classic optimum.

    Returns
    -------
    DataFrame
        ``seed, fold, asked, named``, one row a ROI; classes by number.
    """
    judge = load_classifier(run.chosen_unit("classic", seed, fold))
    named = judge.predict(rois.images).argmax(axis=1)
    return pd.DataFrame({"seed": seed, "fold": fold, "asked": rois.label, "named": named})


def agreement_rows(agreement, classes, **where):
    """Return the share of synthetic ROIs that is named as asked, of each class and of all.

    Parameters
    ----------
    agreement : DataFrame
        From :func:`class_agreement`, of every seed and fold.
    classes : sequence of str
    **where
        Further columns of results.csv.

    Returns
    -------
    list of dict
        Rows of results.csv with metric ``class_agreement``: one a class, and ``all``. The interval is Wilson's over ROIs, widened
        by the spread between seeds and folds (:func:`paired.share_over_models`), because the ROIs of one GAN are alike.
    """
    agreement = agreement.assign(agrees=agreement["asked"] == agreement["named"])
    rows = []
    for number, name in [*enumerate(classes), (None, "all")]:
        own = agreement if number is None else agreement[agreement["asked"] == number]
        by_gan = own.groupby(["seed", "fold"])["agrees"].mean()
        interval = share_over_models(int(own["agrees"].sum()), len(own), by_gan)
        rows.append(result_row("class_agreement", own["agrees"].mean(), interval, len(own), label=name, **where))
    return rows


def agreement_table(rows):
    """Return the rows of :func:`agreement_rows` as a table: one line a class and ``all``, with the interval as text."""
    table = pd.DataFrame(rows).set_index("label").rename_axis(None)
    return pd.DataFrame({"named as asked": table["value"].map("{:.1%}".format)} | _interval_and_number(table, "synthetic ROIs"))


def checks_table(results, accuracy_of):
    """Return the checks of synthetic ROIs as a table in words: that they are named as asked, and an accuracy on real lesions.

    Parameters
    ----------
    results : DataFrame
        Rows of results.csv, of balanced accuracy too where there are some; those are taken that are pooled over folds and seeds,
        :func:`agreement_rows` for all classes at once.
    accuracy_of : str
        Whose accuracy it is, in words.
    """
    pooled = (results["fold"].astype(str) == "all") & (results["seed"].astype(str) == "all")
    measures = {"class_agreement": "named as asked"}
    measures |= {f"{kind}accuracy": f"{kind.replace('_', ' ')}accuracy of the {accuracy_of}" for kind in ("", "balanced_")}
    table = results[pooled & results["metric"].isin(measures)]
    return pd.DataFrame(
        {
            "measure": table["metric"].map(measures),
            "measured on": table["test_set"].map(TEST_SETS).fillna("synthetic ROIs"),
            "value": table["value"].map("{:.1%}".format),
        }
        | _interval_and_number(table, "ROIs, lesions or shares")
    )


def _interval_and_number(rows, counted):
    interval = [f"{low:.1%} to {high:.1%}" for low, high in zip(rows["ci_low"], rows["ci_high"], strict=True)]
    return {"95 % interval": interval, counted: rows["n"].map("{:,.0f}".format)}
