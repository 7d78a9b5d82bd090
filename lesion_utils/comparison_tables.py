"""Tables of the comparison of arms: tests, measures, optimism and power, from rows of results.csv."""

import numpy as np
import pandas as pd

from .measures import MEASURES
from .scores import ARM_NAMES, TEST_SETS

#: In points and not in shares of 1.
_PERCENT = ("accuracy", "balanced_accuracy", "calibration_error")


def arm_name(arm, amount=""):
    """Return an arm in words, with the amount that it adds where that is a number."""
    name = ARM_NAMES.get(arm, arm.replace("_", " "))
    return name if amount in ("", "all", 0) else f"{name}, {int(amount):,} added"


def _line(row, one_amount=True):
    arm = arm_name(row["arm"], "" if one_amount else row["amount"])
    return TEST_SETS.get(row["test_set"], row["test_set"]), arm


def p_text(value):
    """Write a p-value with three decimals, and one that they would show as zero as ``below 0.001``."""
    return "below 0.001" if value < 0.0005 else f"{value:.3f}"


def _spread(values, write):
    """Write one value, or the smallest and the largest of several seeds; an empty string where none could be computed."""
    values = sorted(value for value in values if not pd.isna(value))
    return " to ".join(dict.fromkeys((write(values[0]), write(values[-1])))) if values else ""


def points_text(row):
    """Write a difference with its interval in points; without an interval, say so by a missing bracket."""
    text = f"{100 * row['value']:+.1f}"
    return text if pd.isna(row["ci_low"]) else f"{text} [{100 * row['ci_low']:+.1f}, {100 * row['ci_high']:+.1f}]"


def tests_table(rows, *, one_amount=True):
    """Return the tests as a table: an arm (or an amount) a line, p-values of several seeds from the smallest to the largest.

    Parameters
    ----------
    rows : list of dict
        From :func:`comparison_rows.test_rows` and :func:`comparison_rows.holm_rows`.
    one_amount : bool
        Whether every arm stands at one amount, which then is not named.
    """
    lines = {}
    for row in rows:
        line = lines.setdefault(_line(row, one_amount), {"p": {}})
        if row["metric"] in ("difference", "corrected_t"):
            line[row["metric"]] = points_text(row)
        elif row["metric"] == "verdict":
            line["verdict"] = row["label"]
        else:
            line["p"].setdefault(row["metric"], []).append(row["value"])
    table = []
    for (test_set, arm), line in lines.items():
        p = line["p"]
        table.append(
            {
                "test set": test_set,
                "arm": arm,
                "points (95 % interval)": line["difference"],
                "this run": line["verdict"],
                "gained": _spread(p["mcnemar_gained"], "{:.0f}".format),
                "lost": _spread(p["mcnemar_lost"], "{:.0f}".format),
                "McNemar p": _spread(p["mcnemar_p"], p_text),
                "Holm": _spread(p.get("mcnemar_p_holm", []), p_text),
                "corrected t, points": line.get("corrected_t", ""),
                "corrected t p": _spread(p.get("corrected_t_p", []), p_text),
                "Holm (t)": _spread(p.get("corrected_t_p_holm", []), p_text),
            }
        )
    return pd.DataFrame(table).set_index(["test set", "arm"])


def measures_table(rows):
    """Return the measures as a table: an arm a line, a measure with its 95 % interval a column.

    Parameters
    ----------
    rows : list of dict
        From :func:`measures.measure_rows`; the calibration curve is left out.
    """
    lines = {}
    for row in rows:
        if row["metric"] in MEASURES:
            style = "{:.1%}" if row["metric"] in _PERCENT else "{:.3f}"
            text = "not defined" if np.isnan(row["value"]) else style.format(row["value"])
            if not np.isnan(row["ci_low"]):
                text += " [{}, {}]".format(*(style.format(row[end]).rstrip("%") for end in ("ci_low", "ci_high")))
            lines.setdefault(_line(row), {})[MEASURES[row["metric"]]] = text
    return pd.DataFrame(lines).T.rename_axis(["test set", "arm"])


def optimism_table(rows):
    """Return honest and naive accuracy and their difference, an arm a line; rows from :func:`comparison_rows.optimism_rows`."""
    lines = {}
    for row in rows:
        line = lines.setdefault(_line(row), {})
        if row["metric"] == "optimism":
            line |= {"naive amount": f"{row['amount']:,}", "naive minus honest, points": points_text(row)}
        else:
            text = f"{row['value']:.1%} [{100 * row['ci_low']:.1f}, {100 * row['ci_high']:.1f}]"
            line["chosen on inner folds" if row["metric"] == "accuracy_honest" else "chosen on the test folds"] = text
    return pd.DataFrame(lines).T.rename_axis(["test set", "arm"])


def power_table(rows, gain):
    """Return what each comparison could have shown, an arm a line; rows from :func:`comparison_rows.power_rows`."""
    lines = {}
    for row in rows:
        line, value = lines.setdefault(_line(row), {"lesions": f"{row['n']:,}"}), row["value"]
        if row["metric"] == "discordant_share":
            line["discordant lesions"] = f"{value:.1%}"
        elif row["metric"] == "design_effect":
            line["design effect"] = "not measurable" if np.isnan(value) else f"{value:.2f}"
        else:
            aim = "to earn helps" if row["metric"].endswith("_beyond_margin") else "to differ from 0"
            if row["metric"].startswith("smallest_gain"):
                line[f"smallest gain {aim}, points"] = "none" if np.isnan(value) else f"{100 * value:.1f}"
            else:
                line[f"lesions for {100 * gain:g} points {aim}"] = "no number" if np.isnan(value) else f"{np.ceil(value):,.0f}"
    return pd.DataFrame(lines).T.rename_axis(["test set", "arm"])
