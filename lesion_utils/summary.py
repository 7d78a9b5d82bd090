"""The paper's tables and ours side by side: what a run's results.csv holds, with intervals, beside what the paper prints."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from . import agreement, paper
from .paired import Difference
from .phantom import CLASSES
from .scores import ARM_NAMES, TEST_SETS, class_counts, wilson
from .settings import changed_settings, notebook_defaults, notebooks, read_settings, require

NUMBERS = ["amount", "value", "ci_low", "ci_high", "n"]
#: Tables of results.csv that hold an arm at the amounts chosen for it, or, of an arm without amounts, its only scores.
CHOSEN = ("chosen", "table5", "table6")


@dataclass(frozen=True)
class Estimate:
    """A share with its 95 % interval, both between 0 and 1; the interval is nan where there is none."""

    value: float
    low: float = np.nan
    high: float = np.nan

    @classmethod
    def of(cls, successes, trials):
        """Return a share with its Wilson interval."""
        return cls(successes / trials, *wilson(successes, trials))

    @classmethod
    def printed(cls, share, trials):
        """Return a printed share, with the Wilson interval of the whole number of ``trials`` next to it."""
        return cls(share, *wilson(round(share * trials), trials))

    @property
    def text(self):
        """As in ``78.6 % [72.1, 83.9]``."""
        interval = "" if np.isnan(self.low) else f" [{100 * self.low:.1f}, {100 * self.high:.1f}]"
        return f"{100 * self.value:.1f} %{interval}"

    def overlaps(self, other):
        """Return whether the two intervals have a value in common; None where one of them has no interval."""
        if np.isnan([self.low, other.low]).any():
            return None
        return self.low <= other.high and other.low <= self.high


def load_results(folder):
    """Return a run's results.csv: text columns, and numbers as floats; an amount that differs from fold to fold is nan.

    Raises
    ------
    MissingInputError
        If the notebooks' results have not been joined.
    """
    path = require(folder / "results.csv", f"python -m lesion_utils join {folder}")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return table.assign(**{name: pd.to_numeric(table[name].replace("all", "")) for name in NUMBERS})


def recorded_parameters(folder):
    """Return the parameters that ``make book`` recorded in a run: dict of notebook to dict, empty for a run made otherwise."""
    files = {name: folder / "parameters" / f"{name}.yml" for name in notebooks()}
    return {name: notebook_defaults(name) | read_settings(path) for name, path in files.items() if path.exists()}


def reductions(recorded):
    """Return which of the paper's settings recorded parameters change: dict of notebook to names; empty if none."""
    changed = {name: changed_settings(name, values) for name, values in recorded.items()}
    return {name: names for name, names in changed.items() if names}


@dataclass(frozen=True)
class Summary:
    """The results of a run, ready to be set beside the paper's.

    Parameters
    ----------
    results : DataFrame
        From :func:`load_results`.
    classes : sequence of str
    """

    results: pd.DataFrame
    classes: tuple

    @property
    def like_paper(self):
        """Whether the classes are the paper's: otherwise its numbers stand for context only."""
        return tuple(self.classes) == CLASSES

    @cached_property
    def pooled(self):
        """Rows over all folds, those over all seeds before those of one seed."""
        rows = self.results[self.results["fold"].isin(["all", ""])]
        return rows.sort_values("seed", key=lambda seed: seed != "all", kind="stable")

    def rows(self, **where):
        """Return the pooled rows with these values."""
        rows = self.pooled
        for column, value in where.items():
            rows = rows[rows[column] == value]
        return rows

    def estimate(self, **where):
        """Return the :class:`Estimate` of the first pooled row with these values, or None."""
        rows = self.rows(**where)
        return Estimate(*rows.iloc[0][["value", "ci_low", "ci_high"]].astype(float)) if len(rows) else None

    def difference(self, arm, test_set, metric="accuracy_difference", table="answer"):
        """Return an arm's paired difference as :class:`paired.Difference`, or None."""
        rows = self.rows(table=table, arm=arm, test_set=test_set, metric=metric)
        if rows.empty:
            return None
        row = rows.iloc[0]
        return Difference(float(row["value"]), (float(row["ci_low"]), float(row["ci_high"])), int(row["n"]))

    def score(self, arm, metric="accuracy", test_set="cross_validation", label=""):
        """Return an arm's :class:`Estimate` at the amounts chosen for it, or None where the run has no such arm."""
        rows = self.rows(arm=arm, metric=metric, label=label, test_set=test_set)
        rows = rows[rows["table"].eq("fig8") if arm == "real" else rows["table"].isin(CHOSEN)]
        return Estimate(*rows.iloc[0][["value", "ci_low", "ci_high"]].astype(float)) if len(rows) else None

    def amounts(self, arm):
        """Return the amounts that the inner folds chose for an arm, one a fold and seed; empty without the arm."""
        rows = self.results[(self.results["arm"] == arm) & (self.results["metric"] == "chosen_amount")]
        return rows["value"].astype(int).tolist()

    def amount_text(self, arm):
        """Return the chosen amounts as text, ``600`` or ``300 to 1,200``; None without the arm."""
        amounts = self.amounts(arm)
        if not amounts:
            return None
        low, high = min(amounts), max(amounts)
        return f"{low:,}" if low == high else f"{low:,} to {high:,}"

    def procedure(self):
        """Return Table 1: the paper's steps, what they added here and there; empty where this run has not taken the step."""
        ours = ["", "", ""]
        classic, dcgan = self.amount_text("classic"), self.amount_text("dcgan")
        if classic is not None:
            ours[0] = f"{classic} augmentations, chosen on inner folds"
        if dcgan is not None:
            ours[1] = f"{len(self.classes)} DCGANs for each fold"
            ours[2] = f"{dcgan} synthetic ROIs on top, chosen on inner folds"
        theirs = [f"{paper.CLASSIC_OPTIMUM:,}", f"{len(CLASSES)}", f"{paper.SYNTHETIC_OPTIMUM:,}"]
        return pd.DataFrame({"step": paper.TABLE_1, "this run": ours, "paper": theirs})

    def confusion(self, table):
        """Return Table 2 or 3: counts, ours and, where the classes are the same, the paper's, with rates at the edges."""
        counts = self.rows(table=table, metric="count")
        parts = {}
        if len(counts):
            arm = counts["arm"].iloc[0]
            grid = counts.pivot_table(index="label", columns="predicted", values="value").loc[[*self.classes], [*self.classes]]
            rates = {name: [self.score(arm, name, label=one) for one in self.classes] for name in ("sensitivity", "specificity")}
            parts["ours"] = _with_rates(grid.round().astype(int), rates)
        if self.like_paper:
            found, positives, spared, negatives = class_counts(paper.MATRICES[table])
            rates = {"sensitivity": map(Estimate.of, found, positives), "specificity": map(Estimate.of, spared, negatives)}
            parts["paper"] = _with_rates(pd.DataFrame(paper.MATRICES[table], self.classes, self.classes), rates)
        return pd.concat(parts, axis=1).rename_axis("true class") if parts else pd.DataFrame()

    def methods(self, theirs):
        """Return Table 5 or 6: sensitivity and specificity of each method, ours beside the paper's.

        Parameters
        ----------
        theirs : DataFrame
            ``paper.TABLE_5`` or ``paper.TABLE_6``.
        """
        lines = {}
        for arm, row in theirs.iterrows():
            specificity = self.score(arm, "weighted_specificity", label="all")
            lines[ARM_NAMES[arm]] = {
                ("sensitivity", "ours"): _text(self.score(arm)),
                ("sensitivity", "paper"): Estimate.printed(row["sensitivity"], paper.LESIONS).text,
                ("specificity", "ours"): _text(specificity),
                ("specificity", "paper"): Estimate(row["specificity"]).text,
            }
        return pd.DataFrame(lines).T.rename_axis("method")

    def class_values(self):
        """Return Table 7 as tuples: arm, class, measure, our Estimate or None, the paper's or None."""
        values = []
        for arm, table in (("dcgan", "table3"), ("classic", "table2")):
            found, positives, spared, negatives = class_counts(paper.MATRICES[table])
            for number, name in enumerate(self.classes):
                for measure, (part, whole) in {"sensitivity": (found, positives), "specificity": (spared, negatives)}.items():
                    theirs = Estimate.of(part[number], whole[number]) if self.like_paper else None
                    values.append((arm, name, measure, self.score(arm, measure, label=name), theirs))
        return values

    def by_class(self):
        """Return Table 7: sensitivity and specificity of each class and their weighted mean."""
        lines = {}
        for arm, name, measure, ours, theirs in self.class_values():
            lines.setdefault((ARM_NAMES[arm], name), {}).update(
                {(measure, "ours"): _text(ours), (measure, "paper"): _text(theirs)}
            )
        for arm in ("dcgan", "classic"):
            for measure in ("sensitivity", "specificity"):
                theirs = paper.TABLE_7.loc["weighted average", (arm, measure)]
                if measure == "sensitivity":  # which is the total accuracy, a share of all lesions
                    ours, theirs = self.score(arm), Estimate.printed(theirs, paper.LESIONS)
                else:
                    ours, theirs = self.score(arm, "weighted_specificity", label="all"), Estimate(theirs)
                line = lines.setdefault((ARM_NAMES[arm], "weighted average"), {})
                line |= {(measure, "ours"): _text(ours), (measure, "paper"): theirs.text}
        return pd.DataFrame(lines).T.sort_index(level=0, sort_remaining=False).rename_axis(["network", "class"])

    def readers(self):
        """Return Table 4: every reader of this run, then the paper's experts; an empty cell where a reader gave no answer."""
        columns = {
            ("class_accuracy", "real"): "class, real ROIs",
            ("class_accuracy", "synthetic"): "class, synthetic ROIs",
            ("class_accuracy", "all"): "class, all ROIs",
            ("origin_accuracy", "all"): "real or synthetic",
        }
        ours = self.rows(table="table4", predicted="")
        lines = {}
        for row in ours[ours["metric"].isin(["class_accuracy", "origin_accuracy"])].itertuples():
            line = lines.setdefault(agreement.reader_name(row.arm), {})
            line[columns[row.metric, row.label]] = Estimate(row.value, row.ci_low, row.ci_high).text
        for reader, counts in agreement.PAPER_TABLE_4.items():
            texts = [Estimate.of(*counts[part]).text for part in ("real", "synthetic", "all", "origin")]
            lines[f"paper, {reader}"] = dict(zip(columns.values(), texts, strict=True))
        return pd.DataFrame.from_dict(lines, orient="index", columns=list(columns.values())).fillna("").rename_axis("reader")

    def curves(self):
        """Return Fig. 8 as a table: accuracy at each number of added samples, ours and, at the same number, the paper's."""
        rows = self.rows(table="fig8", metric="accuracy", test_set="cross_validation", seed="all")
        chosen = self.amounts("classic")
        start = round(np.mean(chosen)) if chosen else 0
        lines = []
        for row in rows.itertuples():
            on_top = row.arm not in ("real", "classic")
            total = int(row.amount) + (start if on_top else 0)
            printed = {"real": paper.PAPER_CLASSIC, "classic": paper.PAPER_CLASSIC, "dcgan": paper.PAPER_SYNTHETIC}
            theirs = printed.get(row.arm, {}).get(total)
            lines.append(
                {
                    "arm": ARM_NAMES[row.arm],
                    "samples added": total,
                    "ours": Estimate(row.value, row.ci_low, row.ci_high).text,
                    "paper": Estimate.printed(theirs, paper.LESIONS).text if theirs else "",
                }
            )
        return pd.DataFrame(lines)

    def separability(self):
        """Return the numbers beside Fig. 9: silhouette and k-NN accuracy of both networks; the paper prints none."""
        rows = self.rows(table="fig9")
        lines = [
            {
                "measure": row.metric.replace("_", " ").replace("knn", "k-NN"),
                "class": row.label,
                "network": ARM_NAMES[row.arm],
                "ours": f"{row.value:.3f} [{row.ci_low:.3f}, {row.ci_high:.3f}]",
            }
            for row in rows.itertuples()
        ]
        return pd.DataFrame(lines)

    def overview(self):
        """Return a row an arm for the overview figure: ``arm`` and, ours, independent and the paper's, value, low and high."""
        rows = []
        for arm, theirs in paper.ACCURACY.items():
            estimates = {name: self.score(arm, test_set=test_set) for test_set, name in TEST_SETS.items()}
            estimates["paper"] = Estimate.printed(theirs, paper.LESIONS)
            if arm == "classic_extra_real":  # known by its gain alone: no count stands behind it
                estimates["paper"] = Estimate(theirs, float("nan"), float("nan"))
            for source, one in estimates.items():
                if one is not None:
                    where = {"arm": ARM_NAMES[arm], "source": source}
                    rows.append(where | {"value": one.value, "ci_low": one.low, "ci_high": one.high})
        return pd.DataFrame(rows)


def _text(estimate):
    return "" if estimate is None else estimate.text


def _with_rates(matrix, rates):
    """Add a column of sensitivities and a row of specificities to counts; ``rates``: dict of measure to Estimates or None."""
    table = matrix.astype(object).assign(sensitivity=[_text(one) for one in rates["sensitivity"]])
    table.loc["specificity"] = [*(_text(one) for one in rates["specificity"]), ""]
    return table
