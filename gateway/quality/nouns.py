"""What goes in and what comes out: slots, days, alarms; the rules in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

SLOT_S = 900  # a quarter of an hour, unless the window is longer


class DayType(IntEnum):
    """Days with one profile. An open holiday counts as the day it resembles: usually SUNDAY."""

    WEEKDAY = 0
    SATURDAY = 1
    SUNDAY = 2


@dataclass(frozen=True, slots=True)
class Slot:
    """One line in one slot: closed windows added up, in order of time, each slot once.

    `index` counts slots of the local day from its start (0…95 for quarters); the 25th hour has the index of
    the hour it repeats. `passes` where the device knows no direction, then `ins` and `outs` are None; a
    one-sided counter leaves the other side None. `open`: False when the whole slot lies outside opening
    hours, True when any of it is open, None when no hours are configured. `watched`: share of the slot,
    0…1; without coverage (None) the slot is taken as watched. `estimated`: share of the persons that came
    from readings longer than the window. `clock_offset_s`: the device's clock less ours, None when it tells
    no time.
    """

    line: str
    start_ms: int
    size_s: int
    index: int
    day: DayType
    open: bool | None = None
    ins: int | None = None
    outs: int | None = None
    passes: int | None = None
    watched: float | None = 1.0
    estimated: float = 0.0
    clock_offset_s: float | None = None

    @property
    def end_ms(self) -> int:
        return self.start_ms + self.size_s * 1000

    @property
    def counts(self) -> tuple[int | None, int | None]:
        """First and second channel: in and out, or all passes and nothing."""
        return (self.passes, None) if self.passes is not None else (self.ins, self.outs)


class Kind(StrEnum):
    """What can be wrong with a counter. EVENT_HIGH is no fault and removes no data."""

    DEAD = "dead"
    ONE_SIDED = "one_sided"
    STUCK = "stuck"
    SPIKE = "spike"
    SPIKE_IMPOSSIBLE = "spike_impossible"
    CLOSED_COUNTS = "closed_counts"
    CLOCK = "clock"
    CLOCK_SHIFTED = "clock_shifted"
    SWAPPED = "swapped"
    IMBALANCE = "imbalance"
    SLOW_LOSS = "slow_loss"
    LEVEL_SHIFT = "level_shift"
    EVENT_HIGH = "event_high"


class Severity(StrEnum):
    INFO = "info"  # nothing is broken
    WARNING = "warning"  # a person should look
    FAULT = "fault"  # the counts are not to be trusted


@dataclass(frozen=True, slots=True)
class Alarm:
    """A change: begins (`until_ms` None) or ends. (line, kind, since_ms) names it.

    `evidence` are the numbers at that moment, named as in `words.SENTENCES`; `remedy` is a key of
    `words.REMEDIES`.
    """

    kind: Kind
    line: str
    since_ms: int
    until_ms: int | None
    evidence: Mapping[str, float]
    remedy: str
    severity: Severity


@dataclass(frozen=True, slots=True)
class Break:
    """From here on the line counts at another level, and comparisons across `since_ms` mean nothing.

    `factor`: new level by old level, the neighbours' own change taken out.
    """

    line: str
    since_ms: int
    factor: float


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits, with what they are good for. The defaults are what docs/evaluation.md measures."""

    max_per_s: float = 5.0  # what a door can pass, each way; 0 = off
    closed_perimeter: bool = False  # nobody can leave another way: imbalance is judged absolutely
    min_watched: float = 0.95  # below, a slot is missing
    min_day_watched: float = 0.8  # of a day's expected persons
    max_estimated: float = 0.05  # above, a slot is added up and not judged

    cell_memory: int = 60  # slots of one cell that count; older ones fade
    winsor_sd: float = 3.0  # a clean slot teaches at most this far from the mean
    warm_cell: int = 3  # days of its kind before a slot may be found too silent or too busy
    warm_days: int = 7  # dead, one_sided, event_high; imbalance of a door that runs one way
    warm_shape_days: int = 14  # spike, swapped, clock_shifted
    warm_level_days: int = 28  # imbalance, slow_loss, level_shift

    dead_log10: float = -6.0
    dead_s: int = 900
    dead_persons: float = 25.0  # so many must be missing: quiet hours are not independent of each other
    stuck_above: int = 20
    stuck_run: int = 5
    stuck_log10: float = -9.0
    spike_tail: float = 1e-5
    spike_factor: float = 2.0  # times the most it ever brought
    spike_peak: float = 15.0  # of a quieter line: a class of children is no fault, nor is the day it opens
    staff: int = 3  # persons coming in a closed slot that need no explanation
    closed_slots: int = 3  # more such slots than this in one closing
    clock_s: float = 120.0

    event_gain: float = 1.5  # an event is this many times the usual
    event_fade: float = 0.8  # of the evidence, per slot
    event_limit: float = 2.0  # natural logarithm of the odds

    directional_ratio: float = 1.5
    imbalance_day: float = 0.15
    imbalance_days: float = 0.05
    min_day: int = 100  # persons; a quieter day is not judged for direction
    swapped_likeness: float = 0.5  # 0 as usual, 1 as the mirror image
    swapped_days: int = 2
    shifted_likeness: float = 0.7  # 0 as usual, 1 as an hour away
    shifted_days: int = 3
    min_apart: float = 30.0  # how far the two hypotheses must lie apart, natural logarithms
    loss_k: float = 0.5  # standard deviations
    loss_h: float = 24.0
    shift_ratio: float = 1.3
    shift_days: int = 56
