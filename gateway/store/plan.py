"""What the store is told and what it answers: plain values, no SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.learning import NOTHING as NOT_YET
from gateway.learning import Learnt
from gateway.measures.calibrated import Calibrated
from gateway.model import MAX_COUNT, MAX_MONEY_MINOR

# ins, outs, passes, sales, returns, amount: the columns of a reading, of the ledger and of a line window.
Figures = tuple[int, int, int, int, int, int]
NOTHING: Figures = (0, 0, 0, 0, 0, 0)
COLUMNS = ("ins", "outs", "passes", "sales", "returns", "amount")

SIDE_IN, SIDE_OUT, SIDE_PASSES, SIDE_RECEIPTS = 1, 2, 4, 8

FLAG_ASSUMED, FLAG_PARTIAL, FLAG_CORRECTED, FLAG_IMBALANCE = 1, 2, 4, 8
FLAGS = {
    FLAG_ASSUMED: "assumed",
    FLAG_PARTIAL: "partial",
    FLAG_CORRECTED: "corrected",
    FLAG_IMBALANCE: "imbalance",
}


def flag_names(flags: int) -> list[str]:
    """The words for a zone window's bits."""
    return [name for bit, name in FLAGS.items() if flags & bit]


def plus(first: Figures, second: Figures, sign: int = 1) -> Figures:
    a, b, c, d, e, f = first
    g, h, i, j, k, m = second
    return (a + sign * g, b + sign * h, c + sign * i, d + sign * j, e + sign * k, f + sign * m)


def negative(figures: Figures) -> Figures:
    return plus(NOTHING, figures, -1)


def sane(figures: Figures) -> bool:
    """Whether a reading's figures can be true at all, and fit the sums."""
    return min(figures) >= 0 and max(figures[:5]) <= MAX_COUNT and figures[5] <= MAX_MONEY_MINOR


def persons(figures: Figures) -> int:
    """What a refusal is counted in: persons, or receipts at a till."""
    return sum(figures[:5])


@dataclass(frozen=True, slots=True)
class Grid:
    """Windows, the business day and what an event says of the place."""

    size_s: int = 900
    timezone: str = "UTC"
    day_start_min: int = 0
    currency: str = "XXX"
    site: str = "site"
    gateway: str = "gateway"
    allowed_lateness_s: float = 60.0
    min_completeness: float = 0.8
    readings_days: int = 35
    retention_days: int = 400


@dataclass(frozen=True, slots=True)
class UpstreamPlan:
    """`zones` None: all. `sizes_s` empty: the configured window size.

    `from_ms` None: a newcomer begins with the next window; else with the first window from that instant on.
    `alarms`: those of lines of its zones too; of every line when `zones` is None.
    """

    zones: tuple[str, ...] | None = None
    sizes_s: tuple[int, ...] = ()
    from_ms: int | None = None
    alarms: bool = False


@dataclass(slots=True)
class Recorded:
    """What became of one parcel. `refused`: reason → persons; `foreign`: till → currency not added.

    `repeated`: readings that were stored before, to the figure.
    """

    result: str = "ok"  # ok | duplicate | future | ancient | poison
    refused: dict[str, int] = field(default_factory=dict)
    foreign: dict[str, str] = field(default_factory=dict)
    repeated: int = 0


@dataclass(slots=True)
class ClosedSummary:
    """`revisions`: reason → zone revisions written. `more`: something is still due now.

    `next_ms`: when the next window will be due, as far as is known now.
    """

    revisions: dict[str, int] = field(default_factory=dict)
    line_windows: int = 0
    more: bool = False
    next_ms: int = 0


@dataclass(frozen=True, slots=True)
class LineBooks:
    """One line, one quantity: what was counted against where it is (semantics 6).

    `corrected`: what corrections in force put in place, less what they mask.
    """

    line: str
    column: str
    received: int
    counted: int
    replaced: int
    refused: int
    closed: int
    restating: int
    open: int
    held: int
    expired: int
    corrected: int = 0

    @property
    def imbalance(self) -> int:
        r = self.received - self.counted - self.replaced - self.refused
        where = self.closed + self.restating + self.open + self.held + self.expired
        return abs(r) + abs(self.counted + self.corrected - where)


@dataclass(frozen=True, slots=True)
class UpstreamBooks:
    """In windows since the upstream was added; `expired` ones were pruned with their aggregates."""

    upstream: str
    closed: int
    delivered: int
    pending: int
    rejected: int
    expired: int = 0

    @property
    def imbalance(self) -> int:
        return abs(self.closed - self.delivered - self.pending - self.rejected - self.expired)


@dataclass(frozen=True, slots=True)
class Books:
    """`imbalance` is in persons (R, C, Z) and windows (U); 0 or the books are wrong."""

    balanced: bool
    imbalance: int
    lines: tuple[LineBooks, ...]
    upstreams: tuple[UpstreamBooks, ...]
    zones_imbalance: int = 0
    wrong_zones: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ZoneLive:
    """The business day so far: closed windows and those not yet closed.

    `exit_ratio`: how much an exit counts, as learnt. `residual`: of the last day that is over, in persons.
    """

    zone: str
    name: str
    kind: str
    parent: str | None
    business_date: str
    day_start_ms: int
    closed_through_ms: int
    ins: int
    outs: int
    passersby: int
    sales: int
    returns: int
    amount_minor: int
    currency: str
    occupancy: int
    occupancy_raw: int
    completeness: float | None
    estimated_ins: int
    estimated_outs: int
    quality: str
    flags: tuple[str, ...]
    has_doors: bool
    has_tills: bool
    has_passing: bool
    tills_heard: bool = True  # today: a receipt, or that there was none
    calibrated: Calibrated | None = None
    exit_ratio: float = 1.0
    residual: int | None = None
    staff: int = 0
    size_s: int = 900
    closed: Sequence[tuple[float, int]] = ()  # (visitors, sales) of each closed window of the day
    lagged: Sequence[float] = ()  # of whom a receipt can be expected in each; () while no lag is known
    learnt: Learnt = NOT_YET
    crossed: Sequence[
        tuple[float, float]
    ] = ()  # (ins, outs) of each closed window, calibrated where they are


@dataclass(frozen=True, slots=True)
class DaySum:
    """A closed business day of a zone or of one door.

    `watched_ms` None: nobody can say; `base_ms` None: it was closed.
    """

    start_ms: int
    end_ms: int
    ins: int
    outs: int
    passersby: int
    sales: int
    returns: int
    amount_minor: int
    staff: int
    watched_ms: int | None
    base_ms: int | None

    def turned(self) -> DaySum:
        """Seen from the other side."""
        return replace(self, ins=self.outs, outs=self.ins)


@dataclass(frozen=True, slots=True)
class LineTotals:
    """Everything ever counted on a line; replacing never lowers it.

    `refused`: reason → persons. `replaced`: persons (receipts) in readings that later ones took the place of.
    """

    counter: str
    line: str
    till: bool
    ins: int
    outs: int
    passes: int
    sales: int
    returns: int
    amount_minor: int
    refused: Mapping[str, int]
    replaced: int
    resets: Mapping[str, int]
    last_reading_ms: int | None
    quality: str


@dataclass(frozen=True, slots=True)
class Pending:
    """One upstream's queue. `oldest_ms`: start of its oldest pending window; `alarms`: pending alarms."""

    upstream: str
    count: int
    oldest_ms: int | None
    rejected: int
    alarms: int = 0
