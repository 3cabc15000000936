"""The ratio: one sum over another, with its interval and the id of its formula; or unknown, with the
reason.

Ratios are computed from sums when they are read, never stored and never averaged. Reasons, flags and
formula ids are words that others rely on: docs/measures.md explains each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

DIGITS = 6
WHOLE = 0.98  # watched: from here on nothing is missing that matters

# Why a figure is unknown
NO_DENOMINATOR = "no_denominator"  # nobody there to divide by
INCOMPLETE = "completeness"  # too little of the time was watched
NOT_CONFIGURED = "not_configured"  # no such line, till or calibration
NO_HISTORY = "no_history"  # too few past days, weeks or windows to learn from
IMBALANCE = "imbalance"  # ins and outs differ by more than can be corrected; also a flag
TOO_COARSE = "too_coarse"  # shorter than the intervals can show
IMPLAUSIBLE = "implausible_factor"  # a calibration that says: mend the counter
UNDECIDED = "undecided_fault"  # a counter is suspected and nobody has decided
NOT_COMPARABLE = "not_comparable"  # no door was whole in both periods

# What is to be known with a figure
RATIO_GT_1 = "ratio_gt_1"  # shown all the same: the best single sign of a dead door counter
PROVISIONAL = "provisional"  # the day is not over
ESTIMATED = "estimated"  # part of it was not observed
SHRUNK = "shrunk"  # pulled towards earlier days, because little was counted yet
SHORT_WINDOW = "short_window"  # shorter than four mean lags: the lag correction does not hold
TREND = "trend"  # the error grows with the flow: one factor is not enough

# Formula ids and their units: of ratios, and of figures that are plain numbers
CRUDE = "crude/1"
VISITORS = "visitors/1"
LAGGED = "visitors-lagged/1"
UNITS = "units/1"
SHRUNKEN = "visitors-shrunk/1"
DIFFERENCE = "difference/1"
BAGS = "bags/1"
PASSERSBY = "passersby/1"
TURN_IN = "turn-in/1"
MALL_SHARE = "mall-share/1"
ATV = "atv/1"
SPV = "spv/1"
LITTLE_EVENTS = "little-events/1"
LITTLE_WINDOWS = "little-windows/1"
LIKE_FOR_LIKE = "like-for-like/1"
WEEKDAY_MATCHED = "weekday-matched/1"
AGAINST_CONTROL = "against-control/1"
RECEIPTS_FROM_BAGS = "receipts-from-bags/1"
CUPED = "cuped/1"
FOOTFALL = "footfall/1"
FOOTFALL_AVERAGE = "footfall-average/1"
FOOTFALL_UNDIRECTED = "footfall-undirected/1"
OCCUPANCY_CLAMPED = "occupancy-clamped/1"
OCCUPANCY_LIVE = "occupancy-live/1"
OCCUPANCY_RETROSPECTIVE = "occupancy-retrospective/1"
PROFILE_FACTOR = "profile-factor/1"
TALLY_FACTOR = "tally-factor/1"

UNIT_OF = {
    CRUDE: "receipts per entry",
    VISITORS: "receipts per visitor",
    LAGGED: "receipts per visitor",
    UNITS: "receipts per buying unit",
    SHRUNKEN: "receipts per visitor",
    DIFFERENCE: "receipts per visitor, difference",
    BAGS: "bag-carriers per person leaving",
    PASSERSBY: "entries per passage",
    TURN_IN: "entries per person who came by",
    MALL_SHARE: "entries per visitor of the centre",
    ATV: "minor units per receipt",
    SPV: "minor units per visitor",
    LITTLE_EVENTS: "minutes per visit",
    LITTLE_WINDOWS: "minutes per visit",
    LIKE_FOR_LIKE: "relative change",
    WEEKDAY_MATCHED: "relative change",
    AGAINST_CONTROL: "relative change",
    RECEIPTS_FROM_BAGS: "receipts",
    CUPED: "persons, difference of means",
    FOOTFALL: "persons",
    FOOTFALL_AVERAGE: "persons",
    FOOTFALL_UNDIRECTED: "persons",
    OCCUPANCY_CLAMPED: "persons",
    OCCUPANCY_LIVE: "persons",
    OCCUPANCY_RETROSPECTIVE: "persons",
    PROFILE_FACTOR: "persons",
    TALLY_FACTOR: "persons by hand per person counted",
}


@dataclass(frozen=True, slots=True)
class Ratio:
    """One sum over another, in the unit `UNIT_OF[formula]`. `value` None: unknown, and `why` says so.

    `low` and `high` bound it at 95 %; None where no interval can be given. A share above 1 is shown and
    flagged.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    formula: str = ""
    why: str = ""
    flags: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """As in an upstream event: value, low, high, formula; or a null value and why."""
        if self.value is None:
            return {"value": None, "why": self.why}
        figures = {"value": self.value, "low": self.low, "high": self.high}
        shown: dict[str, object] = {
            name: None if figure is None else round(figure, DIGITS) for name, figure in figures.items()
        }
        shown["formula"] = self.formula
        return {**shown, "flags": list(self.flags)} if self.flags else shown


def unknown(why: str) -> Ratio:
    """The null ratio with its reason."""
    return Ratio(why=why)


def flagged(ratio: Ratio, *flags: str) -> Ratio:
    """The ratio with these flags added, each once."""
    return replace(ratio, flags=tuple(dict.fromkeys((*ratio.flags, *flags))))


def told(ratio: Ratio, heard: bool) -> Ratio:
    """A ratio of receipts, or unknown when no till said anything: receipts nobody told of are not none."""
    return ratio if heard or ratio.value is None else unknown(INCOMPLETE)


def gate(ratio: Ratio, complete: float | None, min_completeness: float) -> Ratio:
    """The ratio, or unknown when too little was watched (or nobody can say how much was).

    Flagged where it is not of all of the time.
    """
    if ratio.value is None:
        return ratio
    if complete is None or complete < min_completeness:
        return replace(unknown(INCOMPLETE), flags=ratio.flags)
    return ratio if complete >= WHOLE else flagged(ratio, ESTIMATED)
