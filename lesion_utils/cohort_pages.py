"""What written pages say of runs, from results and predictions: the arms beside the answer, and the published run on real CT.

``book/real_ct.md`` and the welcome page include what is written here. Without a published run, that is one sentence.
"""

import json
from pathlib import Path
from string import Template

import pandas as pd

from . import comparison_rows, provenance
from .files import atomic_path, write_text
from .likeness import MEASURES, SPACES
from .markdown import markdown_table
from .paired import Difference, balanced_difference, decide, margin_text, points, verdict
from .scores import ARM_NAMES, ON_TEST_SET, TEST_SETS, WHAT
from .settings import read_settings
from .summary import Estimate, load_results

#: Arms with synthetic ROIs; the first that a run has gives its answer.
GANS = ("dcgan", "acgan", "better_gan")
NONE_YET = "No run on real CT has been published with this copy of the book yet; {page} says how to make one."
SETS = {"real": "unseen real ROIs (floor)", "classic": "the GAN's training images"}
#: From this share of lesions on, the largest class decides what accuracy is.
MOST = 2 / 3
#: Table of results.csv that holds the synthetic arm minus each control.
BEYOND = "synthetic_minus_control"
#: What the welcome page sets beside the answer: other additions to the classic group.
BESIDE = ("classic_extra_real", "dcgan", "acgan", "more_classic", "placebo", "oversampling", "equal_steps")
#: The text around it.
BESIDE_TEXT = """**Would anything else have done as much?** Other additions to the same classic group, {where}: what each
changes against the classic group alone, and what the synthetic ROIs gain beyond those that hold none. In points, with 95 %
intervals and what this run says.

{table}

By more than the margin of {margin}, the synthetic ROIs beat {beaten} of the {rivals} additions that hold none. Only where they
beat them all is it what they show that helps; [](../notebooks/11_controls.ipynb) says what each addition stands for.
"""


def write_answer(run, target):
    """Write the answer of the run that is rendered, a sentence, and what the welcome page sets beside it.

    Parameters
    ----------
    run : Path
        Holds ``results.csv`` and ``parameters/``.
    target : Path
        ``book/figures/`` of the tree that is rendered.
    """
    margin, results = read_settings(run / "parameters" / "05_classification.yml")["accuracy_margin"], load_results(run)
    answers = _differences(results, "answer")
    write_text(target / "answer_sentence.md", f"{answer_sentence(answers, margin)} {gains_sentence(answers)}".strip() + "\n")
    write_text(target / "controls_answer.md", _beside(results, margin))


def answer_sentence(rows, margin):
    """Say by how much synthetic ROIs change accuracy: the DCGAN's if there is one, on the independent test set if there is."""
    synthetic = rows[rows["arm"].isin(GANS)]
    main = next((synthetic[synthetic["arm"] == arm] for arm in GANS if arm in set(synthetic["arm"])), synthetic)
    if main.empty:
        return "This run has no synthetic arm."
    row = next(main[main["test_set"] == test] for test in reversed(TEST_SETS) if test in set(main["test_set"])).iloc[0]
    added, difference = WHAT[row["arm"]], Difference(row["value"], (row["ci_low"], row["ci_high"]), int(row["n"]))
    return (
        f"Adding {added} to the classic group, in amounts chosen on inner folds, changes accuracy by {points(difference)} "
        f"{ON_TEST_SET[row['test_set']]}: this run {verdict(difference, added, margin)}."
    )


def gains_sentence(rows):
    """Say plainly of how many kinds of synthetic ROIs the interval of the gain excludes zero, on the test set of the answer."""
    rows = rows[rows["arm"].isin(GANS)]
    if rows.empty:
        return ""
    test = max(set(rows["test_set"]), key=list(TEST_SETS).index)
    rows = rows[rows["test_set"] == test]
    gained, lost = int((rows["ci_low"] > 0).sum()), int((rows["ci_high"] < 0).sum())
    return (
        f"Of {len(rows)} kind{'s' * (len(rows) > 1)} of synthetic ROIs that were tried, {gained or 'none'} gained "
        f"{ON_TEST_SET[test]} by an interval that excludes zero" + f", and {lost} lost by one" * bool(lost) + "."
    )


def _beside(results, margin):
    """Return the table of other additions with the text around it; nothing if the run has no control arms."""
    alone, beyond = (_differences(results, table) for table in ("controls", BEYOND))
    if beyond.empty:
        return ""
    test = max(set(beyond["test_set"]), key=list(TEST_SETS).index)
    alone, beyond = (rows[(rows["test_set"] == test) & rows["arm"].isin(BESIDE)] for rows in (alone, beyond))
    alone = alone.sort_values("arm", key=lambda column: column.map(BESIDE.index))
    beaten = sum(decide((row.ci_low, row.ci_high), margin) == "helps" for row in beyond.itertuples())
    return BESIDE_TEXT.format(
        where=ON_TEST_SET[test],
        table=markdown_table(_verdicts({"minus classic": alone, "synthetic minus this": beyond}, margin)),
        margin=margin_text(margin),
        beaten=beaten or "none",
        rivals=len(beyond),
    )


def _differences(results, table):
    return results[(results["table"] == table) & (results["metric"] == "accuracy_difference")]


def write_pages(run, target):
    """Write what the pages include, and the figures that it shows.

    Parameters
    ----------
    run : Path or None
        The published run on real lesions.
    target : Path
        ``book/figures/`` of the tree that is rendered.
    """
    if run is None:
        write_text(target / "real_ct.md", NONE_YET.format(page="this page") + "\n")
        write_text(target / "real_ct_answer.md", NONE_YET.format(page="[the chapter on real CT](real_ct.md)") + "\n")
        return
    import matplotlib.pyplot as plt

    made, settings = provenance.read(run), read_settings(run / "parameters" / "05_classification.yml")
    margin = settings["accuracy_margin"]
    draws, predictions = settings["bootstrap_draws"], pd.read_csv(run / "predictions.csv.xz")
    results = load_results(run)
    answers = _differences(results, "answer")
    controls = _differences(results, "controls")
    for name, figure in (("answer", answer_figure(results)), ("controls", controls_figure(controls, margin))):
        with atomic_path(target / f"real_ct_{name}.png") as path:
            figure.savefig(path, dpi=150)
        plt.close(figure)
    tables = {
        "answers": differences_table(answers, margin),
        "balanced": differences_table(balanced_rows(answers, arms_of(results, predictions), draws), margin),
        "arms": arms_table(results),
        "choices": choices_table(results),
        "controls": differences_table(controls, margin),
        "fidelity": fidelity_table(results),
        "copies": copies_table(results),
    }
    texts = {name: markdown_table(table) for name, table in tables.items()}
    texts |= {"made": made_line(run.name, made), "command": made["command"], "gains": gains_sentence(answers)}
    texts["mix"] = mix_sentence(predictions)
    texts["settings"] = settings_line(made)
    for page, template in (("real_ct.md", "real_ct.md"), ("real_ct_answer.md", "real_ct_welcome.md")):
        prose = (Path(__file__).parent / template).read_text(encoding="utf-8")
        write_text(target / page, Template(prose).substitute(texts))


def balanced_rows(answers, arms, draws):
    """Return rows like ``answers`` with the differences of balanced accuracy, in which every class counts alike."""
    rows = answers.copy()
    for index, row in answers.iterrows():
        new, old = (arms[arm][arms[arm]["test_set"] == row["test_set"]] for arm in (row["arm"], "classic"))
        found = balanced_difference(new, old, draws=draws, seed=0)
        rows.loc[index, ["value", "ci_low", "ci_high"]] = found.value, *found.interval
    return rows


def mix_sentence(predictions):
    """Say how many lesions of each class the independent test set has, and what always answering the largest would score."""
    lesions = predictions[predictions["test_set"] == "independent"].drop_duplicates("lesion_id")["true"].value_counts()
    if lesions.empty:
        return "There is no independent test set."
    counts = ", ".join(f"{number:,} {name}" for name, number in lesions.items())
    share = lesions.iloc[0] / lesions.sum()
    said = f"The independent test set holds {counts}: whoever always answers {lesions.index[0]} is right in {100 * share:.1f} %"
    if share > MOST:
        said += ", and accuracy there says mostly how often that class is answered"
    return f"{said}. In balanced accuracy every class counts alike."


def arms_of(results, predictions):
    """Return a run's ``predictions`` of every arm at the amounts that its inner folds chose, of which its ``results`` tell."""
    choices = {}
    for row in results[results["metric"] == "chosen_amount"].itertuples():
        choices.setdefault(row.arm, {})[int(row.seed), int(row.fold)] = {"amount": int(row.value)}
    return comparison_rows.arms_at_choice(predictions, choices)


def made_line(name, made):
    """Return a sentence that marks the numbers as those of a published run."""
    counts = made["counts"]
    source = f"made {provenance.made_from(made)} on {made['hardware']}"
    return (
        f"These are the numbers of the published run `{name}`, {source} (when they were last run, its parts took "
        f"{made['minutes']:.0f} minutes in all, some of them side by side; what had been trained before was taken up): "
        f"{counts['lesions']} lesions of {counts['patients']} patients ({', '.join(made['classes'])}), and "
        f"{counts['independent_lesions']} lesions of other patients that had no part in any choice."
    )


def settings_line(made):
    """Say which settings a run has beside its profile."""
    text = json.dumps(made["settings"], ensure_ascii=False).strip("{}").replace('"', "")
    return f"Settings beside the profile: `{text}`." if text else "All settings are the profile's."


def _pooled(results, **where):
    """Return the rows over all folds and seeds that have these values."""
    own = results[(results["fold"] == "all") & (results["seed"] == "all")]
    for column, value in where.items():
        own = own[own[column] == value]
    return own


def answer_figure(results):
    """Draw the main figure: each arm's accuracy with its interval, one panel a test set."""
    from .figures import answer_figure as draw
    from .figures import use_style

    use_style()
    plain = _pooled(results, table="fig8", metric="accuracy", arm="real")
    rows = pd.concat([plain, _pooled(results, table="chosen", metric="accuracy")])
    rows = rows[rows["test_set"].isin(TEST_SETS)]
    order = [*TEST_SETS, *ARM_NAMES]
    rows = rows.sort_values(["test_set", "arm"], key=lambda column: column.map(order.index))
    return draw(rows.assign(arm=rows["arm"].map(ARM_NAMES), test_set=rows["test_set"].map(TEST_SETS)))


def controls_figure(rows, margin):
    """Draw every arm's difference from classic as notebook 11 does."""
    from .controls_figures import differences_figure
    from .controls_results import COMPARED

    tests = {name: title for name, title in TEST_SETS.items() if name in set(rows["test_set"])}
    return differences_figure(rows, tests, COMPARED, margin=margin)


def arms_table(results):
    """Return accuracies in words, a row an arm and a column a test set."""
    parts = [_pooled(results, table="fig8", arm="real"), _pooled(results, table="chosen")]
    parts += [_pooled(results, table="table5", arm="acgan_discriminator"), _pooled(results, table="table6")]
    lines = {}
    for row in pd.concat(parts).query("metric == 'accuracy' and test_set in @TEST_SETS").itertuples():
        lines.setdefault(ARM_NAMES[row.arm], {})[TEST_SETS[row.test_set]] = Estimate(row.value, row.ci_low, row.ci_high).text
    return pd.DataFrame([{"arm": arm} | line for arm, line in lines.items()]).fillna("")


def choices_table(results):
    """Return the chosen amounts, a row an arm, in the order of seeds and folds."""
    rows = results[results["metric"] == "chosen_amount"].groupby("arm", sort=False)["value"]
    lines = [{"arm": ARM_NAMES[arm], "images added": "; ".join(f"{value:,.0f}" for value in values)} for arm, values in rows]
    return pd.DataFrame(lines)


def differences_table(rows, margin):
    """Return differences from classic in points with intervals and verdict, a row an arm and a column a test set."""
    return _verdicts({title: rows[rows["test_set"] == test] for test, title in TEST_SETS.items()}, margin)


def _verdicts(columns, margin):
    """Return a row an arm, with a cell for its row in each of the columns' frames."""
    lines = {}
    for title, rows in columns.items():
        for row in rows.itertuples():
            value, low, high = (100 * number for number in (row.value, row.ci_low, row.ci_high))
            text = f"{value:+.1f} [{low:+.1f}, {high:+.1f}]: {decide((row.ci_low, row.ci_high), margin)}"
            lines.setdefault(ARM_NAMES[row.arm], {})[title] = text
    return pd.DataFrame([{"arm": arm} | line for arm, line in lines.items()]).fillna("")


def _set_name(arm):
    return SETS.get(arm, f"synthetic ROIs ({arm.upper()})")


def fidelity_table(results):
    """Return KID, density and coverage with their spread, a row for each class and set."""
    own = results[(results["table"] == "fidelity") & (results["fold"] == "all")]
    titles = {f"{one}_{space}": f"{name}, {title}" for space, title in SPACES.items() for one, name in MEASURES.items()}
    lines = {}
    for row in own[own["metric"].isin(titles)].itertuples():
        text = f"{row.value:.2f} [{row.ci_low:.2f}, {row.ci_high:.2f}]"
        lines.setdefault((row.label, _set_name(row.arm)), {})[titles[row.metric]] = text
    return pd.DataFrame([{"class": label, "set": name} | line for (label, name), line in lines.items()]).fillna("")


def copies_table(results):
    """Return the shares of near-copies over all classes."""
    own = results[(results["metric"] == "near_copies") & (results["fold"] == "all") & (results["label"] == "all")]
    rows = [(_set_name(row.arm), Estimate(row.value, row.ci_low, row.ci_high).text) for row in own.itertuples()]
    return pd.DataFrame(rows, columns=["set", "near-copies"])
