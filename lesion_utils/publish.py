"""``make publish``: check a finished run, then put its executed notebooks and results into ``book/published/<NAME>/``."""

import json
import lzma
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pandas as pd
import yaml

from . import provenance
from . import publish_checks as checks
from .errors import PublishError
from .files import atomic_path, write_text
from .publish_images import squeeze_pictures, text_of, without_images
from .rendering import PUBLISHED, published_run
from .settings import PATHS, PROFILES, ROOT, require

#: Profiles whose numbers mean something.
ALLOWED = tuple(name for name in PROFILES if name != "smoke")
LIMIT = 15_000_000  # bytes in book/published/, all runs together
#: Every copy of the answer's figure but this one lies in a run's folder; the README shows this one.
ANSWER = ROOT / "book" / "_static" / "answer.png"
DIGITS = 5  # of published probabilities
TABLES = ("results.csv", "predictions.csv")


def publish(folder, profile, parameters, *, published=PUBLISHED, answer=ANSWER, allowed=ALLOWED, limit=LIMIT, root=ROOT):
    """Check a run and publish it; a run of the same name is replaced, whole or not at all.

    Parameters
    ----------
    folder : Path
        ``runs/<NAME>``, finished.
    profile : str
        That it was made with.
    parameters : dict of str to dict
        Of every notebook, from :func:`settings.run_parameters`.
    published : Path
        The folder of published runs: at most one of the simulated cohort and one of real lesions.
    answer : Path
        Gets the main figure of a simulated run, for the README.
    allowed : sequence of str
        Profiles that may be published.
    limit : int
        Bytes that all published runs may have together.
    root : Path
        The clone of the project that the run was made in.

    Returns
    -------
    Path
        The run's folder in ``published``.

    Raises
    ------
    PublishError
        Listing every reason why the run cannot be published; then nothing was written.
    MissingInputError
        If the run is not finished.
    """
    folder, target = Path(folder), Path(published) / Path(folder).name
    require(folder / "html" / "index.html", "make book")
    made = provenance.read(folder)
    real = made["cohort"] == "table"
    notebooks, problems = _notebooks(folder, made, parameters, real, root)
    tables = {name: require(folder / name, "make book").read_text(encoding="utf-8") for name in TABLES}
    frames = [pd.read_csv(folder / name, dtype=str, keep_default_na=False) for name in TABLES]
    problems = [*checks.run_problems(made, profile, allowed), *problems, *checks.table_problems(*frames)]
    other = published_run(made["cohort"], published)
    if other not in (None, target):
        problems.append(f"{other.name} is published already for this kind of cohort; remove book/published/{other.name} first")
    if real and not (folder / "key.csv").exists():
        problems.append("key.csv is missing, so nobody can check that no id of the table is repeated; run `make book` again")
    tables["predictions.csv"] = _rounded(frames[1]).to_csv(index=False)
    parts = provenance.minutes(folder)
    duration = round(sum(part["minutes"] for part in parts.values()), 1)
    facts = made | {"command": reproduce(made), "minutes": duration, "parts": parts} | _counts(frames[1])
    texts = tables | {"provenance.json": json.dumps(facts, indent=1, ensure_ascii=False) + "\n"}
    texts |= {f"notebooks/{name}.ipynb": json.dumps(one, indent=1, ensure_ascii=False) + "\n" for name, one in notebooks.items()}
    for name, own in parameters.items():
        own = {key: value for key, value in own.items() if key not in PATHS}
        texts[f"parameters/{name}.yml"] = yaml.safe_dump(own, sort_keys=False)
    originals, places = checks.original_names(folder), sorted({str(root), str(Path.home()), sys.prefix} - {"/"})
    for name, text in texts.items():
        readable = text_of(json.loads(text)) if name.endswith(".ipynb") else text
        problems += checks.text_problems(name, readable, originals, places)
    Path(published).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=published, prefix=".") as temporary:
        new = Path(temporary) / "new"
        for name, text in texts.items():
            write_text(new / name, text)
        predictions = new / "predictions.csv"  # by far the largest table
        predictions.with_suffix(".csv.xz").write_bytes(lzma.compress(predictions.read_bytes()))
        predictions.unlink()
        if not real:  # pictures of simulated lesions, and the page of the reader study
            shutil.copytree(folder / "figures", new / "figures")
        size = _size(new) + sum(_size(one) for one in Path(published).glob("[!.]*") if one != target)
        if size > limit:
            problems.append(f"book/published/ would have {size / 1e6:.1f} MB; at most {limit / 1e6:g} MB can be published")
        if problems:
            raise PublishError("\n".join([f"{folder.name} cannot be published:", *(f"  {problem}" for problem in problems)]))
        if target.exists():
            os.replace(target, Path(temporary) / "old")
        os.replace(new, target)
    if not real:
        with atomic_path(answer) as picture:
            shutil.copyfile(target / "figures" / "answer.png", picture)
    return target


def _notebooks(folder, made, parameters, real, root):
    """Return the executed notebooks to publish by name, and the problems with them."""
    found, problems = {}, []
    for name, expected in parameters.items():
        path = folder / "book" / "notebooks" / f"{name}.ipynb"
        if not path.exists():
            problems.append(f"{name}: was not executed; {checks.AGAIN}")
            continue
        notebook = json.loads(path.read_text(encoding="utf-8"))
        problems += checks.notebook_problems(name, notebook, made, expected, root)
        if real:
            notebook, own = without_images(name, notebook)
            problems += own
        squeeze_pictures(notebook)
        found[name] = notebook
    return found, problems


def _rounded(predictions):
    """Return predictions with probabilities of :data:`DIGITS` digits: a third of the bytes, and no prediction changes."""
    columns = [name for name in predictions.columns if name.startswith("probability_")]
    return predictions.assign(**{name: predictions[name].astype(float).map(f"{{:.{DIGITS}f}}".format) for name in columns})


def _counts(predictions):
    """Return the classes and the numbers of lesions and patients of a run, from its predictions."""
    classes = [name.removeprefix("probability_") for name in predictions.columns if name.startswith("probability_")]
    sets = dict(list(predictions.groupby("test_set")[["lesion_id", "patient_id"]]))
    independent = sets["independent"]["lesion_id"].nunique() if "independent" in sets else 0
    own = sets["cross_validation"]
    counts = {"lesions": own["lesion_id"].nunique(), "patients": own["patient_id"].nunique(), "independent_lesions": independent}
    return {"classes": classes, "counts": counts}


def reproduce(made):
    """Return the command that makes a run of the same kind again."""
    words = ["make book", f"PROFILE={made['profile']}"]
    if made["cohort"] == "table":
        words += ["DATA=path/lesions.csv", f"LABEL={made['label']}"]
    if made["settings"]:
        examples = sorted((ROOT / "profiles" / "examples").glob("*.yml"))
        same = [path for path in examples if yaml.safe_load(path.read_text(encoding="utf-8")) == made["settings"]]
        words.append(f"SETTINGS={same[0].relative_to(ROOT).as_posix() if same else 'my.yml'}")
    return " ".join(words)


def _size(path):
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
