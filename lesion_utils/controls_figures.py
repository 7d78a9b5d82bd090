"""The figure of the control arms: every arm's difference from classic, with its interval and the margin."""

import matplotlib.pyplot as plt
import seaborn as sns

from .controls_results import FAR_OFF
from .figures import WIDTH, draw_differences
from .scores import ARM_NAMES

#: Arms of the classification, controls, and arms that lie far off.
_BLUE, _ORANGE, _GREEN = sns.color_palette("colorblind", 3)


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
        names, colours = {arm: ARM_NAMES[arm] for arm in arms}, {arm: _colour(arm, compared) for arm in arms}
        for axis, test in zip(line, tests, strict=True):
            own = rows[rows["arm"].isin(arms) & (rows["test_set"] == test)]
            draw_differences(axis, own[["arm", "value", "ci_low", "ci_high"]].to_numpy(), names, colours, margin=margin)
            axis.tick_params(axis="y", labelsize=8)
    for axis, title in zip(axes[0], tests.values(), strict=True):
        axis.set_title(title, loc="left", fontsize=10)
    for axis in axes[-1]:
        axis.set_xlabel("accuracy minus classic, points")
    return figure


def _colour(arm, compared):
    return _GREEN if arm in FAR_OFF else _BLUE if arm in compared else _ORANGE
