"""One honest sentence for each table and figure of the paper, made from the numbers of a run and from nothing else."""

from dataclasses import dataclass

from . import agreement, paper
from .networks import cnn
from .paired import decide, margin_text, points
from .scores import ARM_NAMES, ON_TEST_SET, WHAT
from .summary import Estimate, reductions


@dataclass(frozen=True)
class Facts:
    """What the sentences on Figs. 1 to 7 need and results.csv does not hold.

    Parameters
    ----------
    counts : dict of class to int
        Lesions of the cross-validation.
    patients : int
    simulated : bool
    augmentations : int
        That can be drawn of each lesion.
    network_parameters : int
    generator_width : int or None
        None where the run keeps no record of its parameters.
    folds, seeds : int
    reduced : bool or None
        Whether settings differ from the paper's; None where the run keeps no record.
    """

    counts: dict
    patients: int
    simulated: bool
    augmentations: int
    network_parameters: int
    cnn_width: int
    generator_width: int | None
    folds: int
    seeds: int
    reduced: bool | None

    @property
    def caveat(self):
        """What must be said beside a comparison with the paper."""
        lesions = "on simulated lesions" if self.simulated else "on other lesions than the paper's"
        return (
            lesions
            + {True: " and with reduced settings", False: "", None: " and with settings that are not on record"}[self.reduced]
        )


def sentences(summary, facts, margin):
    """Return the sentence of every table and figure of the paper.

    Parameters
    ----------
    summary : Summary
    facts : Facts
    margin : float
        Smallest difference of accuracies that matters; see :func:`paired.decide`.

    Returns
    -------
    dict of str to str
        ``Table 1`` to ``Table 7``, then ``Fig. 1`` to ``Fig. 9``.
    """
    s, f = summary, facts
    classic, dcgan = paper.ACCURACY["classic"], paper.ACCURACY["dcgan"]
    return {
        "Table 1": _procedure(s),
        "Table 2": compare(s, f, "accuracy with classic augmentation", s.score("classic"), classic),
        "Table 3": compare(s, f, "accuracy with synthetic ROIs (DCGAN) on top", s.score("dcgan"), dcgan),
        "Table 4": _readers(s),
        "Table 5": _methods(s, f, paper.TABLE_5),
        "Table 6": _methods(s, f, paper.TABLE_6),
        "Table 7": _class_by_class(s, f),
        "Fig. 1": _data(f),
        "Fig. 2": _network(s, f),
        "Fig. 3": _augmentation(f),
        "Fig. 4": _gans(s),
        "Fig. 5": _generator(f),
        "Fig. 6": _synthetic(s),
        "Fig. 7": _flow(s, f),
        "Fig. 8": _curves(s, margin),
        "Fig. 9": _maps(s),
    }


def compare(summary, facts, what, ours, share):
    """Say how an accuracy of this run stands to the paper's, printed as a share of its 182 lesions.

    Overlapping intervals are no proof that two figures are alike, so "may" is the most that is said.
    """
    theirs = Estimate.printed(share, paper.LESIONS)
    if ours is None:
        return f"This run has no {what} (the paper: {theirs.text})."
    said = f"The {what} is {ours.text}"
    if not summary.like_paper:
        return f"{said}; the paper's {theirs.text} was measured on other classes and stands here for context only."
    gap = round(100 * (ours.value - theirs.value), 1)
    place = "the same as" if gap == 0 else f"{abs(gap):.1f} points {'above' if gap > 0 else 'below'}"
    overlap = {
        True: "the intervals overlap, so the two may agree",
        False: "the intervals do not overlap, so chance alone does not explain the gap",
        None: "without an interval nothing follows from the gap",
    }[ours.overlaps(theirs)]
    return f"{said}, {place} the paper's {theirs.text}, {facts.caveat}: {overlap}."


def _procedure(s):
    classic, dcgan = s.amount_text("classic"), s.amount_text("dcgan")
    if classic is None:
        return "The classifier of this run has not been trained: run notebook 05."
    first = f"The first step chose {classic} classic augmentations (the paper: {paper.CLASSIC_OPTIMUM:,})"
    if dcgan is None:
        return f"{first}; this run has no DCGAN arm, so the second and third step are missing."
    return f"{first}; the second and third added {dcgan} synthetic ROIs (the paper: {paper.SYNTHETIC_OPTIMUM:,})."


def _readers(s):
    experts = " and ".join(Estimate.of(*counts["all"]).text for counts in agreement.PAPER_TABLE_4.values())
    rows = s.rows(table="table4", metric="class_accuracy", label="all", predicted="")
    people = [row for row in rows.itertuples() if row.arm not in agreement.MACHINES]
    theirs = f"the paper's experts named {experts} rightly" + ("" if s.like_paper else ", of other classes")
    if rows.empty:
        return f"This run has no reader study; {theirs}."
    if not people:
        return f"No person has read the ROIs of this run, only machines have; {theirs}."
    said = [
        f"{agreement.reader_name(row.arm)} named {Estimate(row.value, row.ci_low, row.ci_high).text} rightly" for row in people
    ]
    always = s.rows(table="table4", metric="always_real").set_index("arm")["value"]
    for row in s.rows(table="table4", metric="origin_accuracy").itertuples():
        if row.arm not in agreement.MACHINES and row.arm in always:
            told = "told" if row.ci_low > always[row.arm] else "did not tell"
            said.append(f"{agreement.reader_name(row.arm)} {told} real from synthetic better than always saying real would")
    return f"{'; '.join([*said, theirs])}."


def _methods(s, f, theirs):
    ours = {arm: s.score(arm) for arm in theirs.index}
    missing = [ARM_NAMES[arm] for arm, one in ours.items() if one is None]
    ours = {arm: one for arm, one in ours.items() if one is not None}
    absent = f"; not in this run: {' / '.join(missing)}" if missing else ""
    if len(ours) < 2:
        return f"This run has too few of these methods to compare{absent}."
    order = sorted(ours, key=lambda arm: -ours[arm].value)
    best, last = order[0], order[-1]
    said = f"Best {f.caveat} is {ARM_NAMES[best]} ({ours[best].text}), last {ARM_NAMES[last]} ({ours[last].text})"
    if s.like_paper:
        printed = max(ours, key=lambda arm: theirs.loc[arm, "sensitivity"])
        said += "; the paper has the same best" if best == printed else f"; of these the paper's best is {ARM_NAMES[printed]}"
    overlap = (
        "overlap, which decides nothing where the same lesions are tested"
        if ours[best].overlaps(ours[last])
        else "do not overlap"
    )
    return f"{said}; our intervals of the first and the last {overlap}{absent}."


def _class_by_class(s, f):
    pairs = [value for value in s.class_values() if value[3] is not None]
    if not pairs:
        return "The classifier of this run has not been trained: run notebook 05."
    networks = sorted({ARM_NAMES[value[0]] for value in pairs})
    missing = "" if len(networks) == 2 else f"; this run has only {networks[0]}"
    if not s.like_paper:
        hardest = min((value for value in pairs if value[2] == "sensitivity"), key=lambda value: value[3].value)
        return (
            f"The classes are not the paper's, so no figure is compared; the class found least often is {hardest[1]} "
            f"({hardest[3].text}, {ARM_NAMES[hardest[0]]}){missing}."
        )
    apart = [value for value in pairs if value[3].overlaps(value[4]) is False]
    alike = len(pairs) - len(apart)
    said = f"{alike} of {len(pairs)} sensitivities and specificities have intervals that overlap with the paper's, {f.caveat}"
    names = "; ".join(
        f"{measure} for {name}, {ARM_NAMES[arm]}: {ours.text} against {theirs.text}" for arm, name, measure, ours, theirs in apart
    )
    return f"{said}{f'; apart are {names}' if apart else ''}{missing}."


def _data(f):
    counts = ", ".join(f"{number} {name}" for name, number in f.counts.items())
    printed = ", ".join(f"{number} {name}" for name, number in paper.COUNTS.items())
    kind = "simulated lesions" if f.simulated else "lesions of a table"
    same = "the paper's numbers" if f.counts == paper.COUNTS else f"the paper has {paper.LESIONS}: {printed}"
    return f"{sum(f.counts.values())} {kind} of {f.patients} patients ({counts}; {same})."


def _network(s, f):
    why = "as the paper's figure implies"
    if f.network_parameters != paper.CNN_PARAMETERS:
        why = f"the paper's {paper.CNN_PARAMETERS:,} is for three, with {paper.CNN_WIDTH} filters in the first convolution"
        why += f", where this run has {f.cnn_width}" * (f.cnn_width != paper.CNN_WIDTH)
    return f"The network has {f.network_parameters:,} parameters for {len(s.classes)} classes, {why}."


def _augmentation(f):
    same = "as in the paper" if f.augmentations == paper.AUGMENTATIONS else f"the paper {paper.AUGMENTATIONS}"
    return f"The plan holds {f.augmentations} augmentations of each lesion, {same}."


def _gans(s):
    used = [ARM_NAMES[arm] for arm in ("dcgan", "acgan") if s.score(arm)]
    missing = [ARM_NAMES[arm] for arm in ("dcgan", "acgan") if not s.score(arm)]
    absent = f"; not in this run: {', '.join(missing)}" if missing else ""
    return f"Synthetic ROIs that this run classified with: {', '.join(used) or 'none'}{absent}."


def _generator(f):
    if f.generator_width is None:
        return "The layers and sizes are the paper's; how wide this run's generator is, is not on record."
    if f.generator_width == paper.GENERATOR_WIDTH:
        return f"The generator is the paper's, with {f.generator_width:,} channels in its 4x4 layer."
    return f"The layers are the paper's, but with {f.generator_width:,} channels in the 4x4 layer, not {paper.GENERATOR_WIDTH:,}."


def _synthetic(s):
    found = s.estimate(table="gan_check", metric="class_agreement", arm="dcgan")
    if found is None:
        return "This run has no synthetic ROIs of a DCGAN; the paper shows pictures."
    chance = 1 / len(s.classes)
    better = "better" if found.low > chance else "not better"
    return (
        f"A classifier of real ROIs names {found.text} of the synthetic ones as asked, {better} than chance "
        f"({100 * chance:.0f} %); the paper shows pictures and gives no number."
    )


def _flow(s, f):
    steps = "classic augmentation, then synthetic ROIs" if s.score("dcgan") else "classic augmentation only"
    seeds = f"{f.seeds} seed{'s' * (f.seeds != 1)}"
    return f"This run followed the flow with {steps}, in {f.folds} folds by patient (the paper: 3), with {seeds}."


def _curves(s, margin):
    none, classic = s.score("real"), s.score("classic")
    if none is None or classic is None:
        return "The classifier of this run has not been trained: run notebook 05."
    gain = 100 * (classic.value - none.value)
    red = f"The paper's red line, classic augmentation, changes accuracy from {none.text} to {classic.text}, {gain:+.1f} points"
    if s.like_paper:
        red += f" (paper {100 * (paper.ACCURACY['classic'] - paper.ACCURACY['real']):+.1f})"
    printed = {"dcgan": f"{100 * (paper.ACCURACY['dcgan'] - paper.ACCURACY['classic']):+.1f}", "classic_extra_real": "about +2"}
    parts = [red]
    for colour, arm in (("blue", "dcgan"), ("green", "classic_extra_real")):
        line = f"its {colour} line"
        found = {test: s.difference(arm, test) for test in ON_TEST_SET}
        found = {test: one for test, one in found.items() if one is not None}
        if not found:
            parts.append(f"{line}: no {WHAT[arm]} in this run (paper {printed[arm]})")
            continue
        said = " and by ".join(f"{points(one)} {ON_TEST_SET[test]} ({_short(one, margin)})" for test, one in found.items())
        context = f" (paper {printed[arm]}, no interval)" if s.like_paper else ""
        parts.append(f"{line}: {WHAT[arm]} change it by {said}{context}")
    return "; ".join(parts) + "."


def _short(difference, margin):
    low, high = difference.interval
    change = "a gain, but " if low > 0 else "a loss, but " if high < 0 else ""
    return {
        "helps": "they help here",
        "harms": "they harm here",
        "makes no difference that matters": "they make no difference that matters",
        "cannot tell": f"{change}with a margin of {margin_text(margin)} this run cannot tell",
    }[decide(difference.interval, margin)]


def _maps(s):
    found = [s.difference(arm, "cross_validation", "silhouette_difference", "fig9") for arm in ("dcgan", "acgan")]
    found = [one for one in found if one is not None]
    if not found:
        return (
            "This run has no pair of networks to compare; the paper sees better separation with synthetic ROIs in its pictures."
        )
    low, high = found[0].interval
    meaning = "neither measurably further apart nor closer together"
    if low > 0 or high < 0:
        meaning = (
            f"{'further apart' if low > 0 else 'closer together'} in these networks, which may be the chance of their training"
        )
    change = f"{found[0].value:+.3f} (95 % interval {low:+.3f} to {high:+.3f})"
    return (
        f"With synthetic ROIs the silhouette in feature space changes by {change}: the classes lie {meaning}; "
        "the paper sees better separation in its pictures and gives no number."
    )


def run_facts(state, recorded):
    """Return the :class:`Facts` of a run.

    Parameters
    ----------
    state : Run
    recorded : dict
        From :func:`summary.recorded_parameters`.
    """
    plan = state.augmentation["plan"]
    width = recorded.get("05_classification", {}).get("cnn_width", paper.CNN_WIDTH)
    return Facts(
        counts={name: int((state.cohort.label == number).sum()) for number, name in enumerate(state.classes)},
        patients=len(set(state.cohort.patient_id.tolist())),
        simulated=state.everything.source == "simulated",
        augmentations=plan["rotations"] * (1 + plan["flips"] + plan["translations"] + plan["scales"]),
        network_parameters=cnn(len(state.classes), width=width).count_params(),
        cnn_width=width,
        generator_width=recorded.get("03_dcgan", {}).get("generator_width"),
        folds=len(state.fold_numbers),
        seeds=len(state.preparation["seeds"]),
        reduced=bool(reductions(recorded)) if recorded else None,
    )
