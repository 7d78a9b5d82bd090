"""What must hold before a run is published: each function returns the problems it finds, as sentences that say what to do."""

import ast
import json
import re
from html import unescape
from pathlib import Path

import pandas as pd

from . import provenance
from .settings import PATHS, ROOT

#: An absolute path of some machine; the character before it keeps parts of web addresses out.
MACHINE_PATH = re.compile(r"(?<![\w.:/~-])(?:/(?:home|root|tmp|work|mnt|opt|srv|usr|var|Users|private)/|[A-Z]:\\\\?Users)\S*")
#: Columns of key.csv that hold the numbers of the book, not the ids of the table.
ANONYMOUS = ("lesion", "patient")
AGAIN = "run `make book` again"


def run_problems(made, profile, allowed):
    """Check profile and commit of a run (``made``, from :func:`provenance.read`)."""
    problems = []
    if made["profile"] not in allowed:
        problems.append(f"its profile is {made['profile']}; its numbers mean nothing: publish {', '.join(allowed)}")
    if made["profile"] != profile:
        problems.append(f"it was made with PROFILE={made['profile']}, not {profile}; give the words of its `make book`")
    if not made["commit"]:
        problems.append("it does not know its commit; run it in a clone of the project's git repository")
    if made["changed"]:
        problems.append(f"code was changed but not committed ({', '.join(made['changed'][:5])}); commit, then {AGAIN}")
    return problems


def notebook_problems(name, notebook, made, expected, root=ROOT):
    """Check that a notebook was executed whole, in order, as committed, and with the parameters that were asked for.

    Parameters
    ----------
    name : str
        Such as ``03_dcgan``.
    notebook : dict
        The executed notebook.
    made : dict
        From :func:`provenance.read`.
    expected : dict
        Its parameters, from :func:`settings.run_parameters`.
    root : Path
        A clone of the project.
    """
    problems = []
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]
    if [cell["execution_count"] for cell in code] != list(range(1, len(code) + 1)):
        problems.append(f"{name}: its cells were not executed once each, from first to last; {AGAIN}")
    failed = any(output["output_type"] == "error" for cell in code for output in cell["outputs"])
    if failed or notebook["metadata"].get("papermill", {}).get("exception"):
        problems.append(f"{name}: a cell ended with an error; mend it, then {AGAIN}")
    own = notebook["metadata"].get("lesion_book", {"commit": None, "changed": []})
    if not own["commit"] or own["changed"]:
        problems.append(f"{name}: was not executed from a clean commit; commit, then {AGAIN}")
    elif made["commit"]:
        between = (own["commit"], made["commit"])
        if provenance.git("diff", "--quiet", *between, "--", *provenance.CODE, root=root) is None:
            problems.append(f"{name}: code differs between its commit {own['commit'][:12]} and the run's; {AGAIN}")
        committed = provenance.git("show", f"{own['commit']}:notebooks/{name}.ipynb", root=root)
        if committed is None or _code(json.loads(committed)) != _code(notebook):
            problems.append(f"{name}: its code is not that of notebooks/{name}.ipynb at {own['commit'][:12]}; {AGAIN}")
    return problems + _parameter_problems(name, code, expected)


def _code(notebook):
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return ["".join(cell["source"]) for cell in cells if "injected-parameters" not in cell["metadata"].get("tags", [])]


def _parameter_problems(name, code, expected):
    given = {}
    for cell in code:
        if "injected-parameters" in cell["metadata"].get("tags", []):
            for node in ast.parse("".join(cell["source"])).body:
                given[node.targets[0].id] = ast.literal_eval(node.value)
    other = [key for key, value in expected.items() if key not in PATHS and given.get(key, value) != value]
    other += [key for key in expected if key not in PATHS and key not in given]
    if not other:
        return []
    return [f"{name}: {', '.join(other)} differ from the profile and SETTINGS; give the words of its `make book`, or {AGAIN}"]


def table_problems(results, predictions):
    """Check that every accuracy of results.csv follows from predictions.csv, and that ids there are the book's own numbers.

    Parameters
    ----------
    results, predictions : DataFrame
        All columns as text, nothing empty read as missing.
    """
    problems = []
    for column, pattern in (("lesion_id", r"L\d{4,}"), ("patient_id", r"P\d{4,}")):
        if not predictions[column].str.fullmatch(pattern).all():
            problems.append(f"predictions.csv: {column} holds more than the book's own numbers; {AGAIN}")
    key = ["arm", "amount", "test_set", "seed", "fold"]
    right = predictions["true"] == predictions["predicted"]
    sums = right.groupby([predictions[column] for column in key]).agg(["sum", "size"]).reset_index()
    rows = results[results["metric"] == "chosen_amount"]
    amounts = rows["value"].astype(float).astype(int).astype(str)
    chosen = dict(zip(zip(rows["arm"], rows["seed"], rows["fold"], strict=True), amounts, strict=True))
    wrong = []
    for row in results[(results["metric"] == "accuracy") & ~results["test_set"].isin(["inner", "fresh"])].itertuples():
        part = sums[_behind(sums, row, chosen)]
        if part.empty or abs(part["sum"].sum() / part["size"].sum() - float(row.value)) > 5e-5:
            wrong.append(f"{row.table} {row.arm} {row.amount} {row.test_set}, seed {row.seed}, fold {row.fold}")
    if wrong:
        problems.append(f"results.csv: {len(wrong)} accuracies do not follow from predictions.csv ({wrong[0]}); {AGAIN}")
    return problems


def _behind(sums, row, chosen):
    """Return which units of ``sums`` an accuracy sums up: ``all`` pools, or stands for each fold's own chosen amount."""
    own = pd.Series(True, sums.index)
    for column in ("test_set", "seed", "fold"):
        if getattr(row, column) != "all":
            own &= sums[column] == getattr(row, column)
    if row.amount != "all":
        return own & (sums["arm"] == row.arm) & (sums["amount"] == row.amount)
    wanted = {(row.arm, amount, seed, fold) for (arm, seed, fold), amount in chosen.items() if arm == row.arm}
    if not wanted:  # an arm that has one amount a fold
        return own & (sums["arm"] == row.arm)
    wanted |= {("real", "0", seed, fold) for arm, amount, seed, fold in wanted if (arm, amount) == ("classic", "0")}
    units = zip(sums["arm"], sums["amount"], sums["seed"], sums["fold"], strict=True)
    return own & pd.Series([unit in wanted for unit in units], sums.index)


def original_names(folder):
    """Return the ids and paths of the user's table that ``key.csv`` of a run keeps; empty for a simulated cohort.

    Very short ids (three characters, or four digits) cannot be told from ordinary numbers and words, and ids of the book's own
    form (``L0001``) not from its own: both are left out. Where ids can stand, in predictions.csv, :func:`table_problems` looks.
    """
    path = Path(folder) / "key.csv"
    if not path.exists():
        return set()
    key = pd.read_csv(path, dtype=str, keep_default_na=False)
    values = {value.strip() for column in key.columns if column not in ANONYMOUS for value in key[column]}
    return {value for value in values if len(value) > 3 and not re.fullmatch(r"\d{1,4}|[LP]\d{4,}", value)}


def text_problems(name, text, originals, places):
    """Check a text that is to be published for ids and paths of the table and for absolute paths.

    Parameters
    ----------
    name : str
        What the text is called in messages.
    originals : set of str
        From :func:`original_names`.
    places : sequence of str
        Folders of this machine.
    """
    text = f"{text}\n{unescape(text)}"
    found = [match[0][:80] for match in MACHINE_PATH.finditer(text)] + [place for place in places if f"{place}/" in text]
    problems = [f"{name}: names a place on this machine ({found[0]})"] if found else []
    low = text.lower()
    hits = (re.search(rf"(?<![\w.]){re.escape(word)}(?!\w)", low) for word in map(str.lower, sorted(originals)) if word in low)
    ids = [match[0] for match in hits if match]
    if ids:
        problems.append(f"{name}: repeats {len(ids)} ids or paths of the table (such as {ids[0]}); none may be published")
    return problems
