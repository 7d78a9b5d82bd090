"""The figure of the control arms: every arm's difference from classic, with its interval and the margin."""

import matplotlib.pyplot as plt
import seaborn as sns

from .controls_results import FAR_OFF
from .figures import WIDTH
from .scores import ARM_NAMES

_BLUE, _ORANGE, _GREEN = sns.color_palette("colorblind", 3)
#: Colours: arms of the classification, controls, arms that lie far off.
_COLOURS = {"compared": _BLUE, "control": _ORANGE, "far off": _GREEN}


def differences_figure(rows, tests, compared, *, margin):
    """Draw each arm's accuracy minus that of classic, in points, with its 95 % interval.

    Parameters
    ----------
    rows : DataFrame
        Rows of results.csv with metric ``accuracy_difference``, drawn from top to bottom. Arms that lie far off have panels
        of their own.
    tests : dict of str to str
        Test sets, one column of panels each, and their titles.
    compared : sequence of str
        Arms that are not controls, for their colour.
    margin : float
        Drawn as a band around zero, a share of lesions.
    """
    groups = [[arm for arm in rows["arm"].unique() if (arm in FAR_OFF) == far] for far in (False, True)]
    groups = [arms for arms in groups if arms]
    heights = [len(arms) + 0.6 for arms in groups]
    figure, axes = plt.subplots(
        len(groups), len(tests), figsize=(WIDTH, 1.2 + 0.36 * sum(heights)), height_ratios=heights,
        sharex="row", sharey="row", squeeze=False,
    )  # fmt: skip
    for line, arms in zip(axes, groups, strict=True):
        for axis, test in zip(line, tests, strict=True):
            axis.axvspan(-100 * margin, 100 * margin, color="0.5", alpha=0.25, linewidth=0, label="margin")
            axis.axvline(0, color="0.3", linewidth=1)
            for row in rows[rows["arm"].isin(arms) & (rows["test_set"] == test)].itertuples():
                y = -arms.index(row.arm)
                kind = "far off" if row.arm in FAR_OFF else "compared" if row.arm in compared else "control"
                ends = [100 * float(row.ci_low), 100 * float(row.ci_high)]
                axis.plot(ends, [y, y], color=_COLOURS[kind], linewidth=3, solid_capstyle="butt", alpha=0.5)
                axis.plot(100 * row.value, y, "o", color=_COLOURS[kind])
            axis.set_yticks([-number for number in range(len(arms))], [ARM_NAMES[arm] for arm in arms], fontsize=8)
            axis.set_ylim(-len(arms) + 0.4, 0.6)
            axis.grid(axis="y", visible=False)
    for axis, title in zip(axes[0], tests.values(), strict=True):
        axis.set_title(title, loc="left", fontsize=10)
    for axis in axes[-1]:
        axis.set_xlabel("accuracy minus classic, points")
    return figure
