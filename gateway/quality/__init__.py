"""Is this counter healthy? Learned from its own past, slot by slot; pure, without a clock (metrics 13).

How a store uses it, in the transaction that closes windows:

    for each line, once its windows of a slot are closed, slots in order of time:
        done = step(detectors, cell, slot, rules)       # cell: the row (line, slot.index)
        write done.detectors, done.cell; note done.changes
    for each line, once the last slot of its business day was fed:
        levels[line] = level_today(detectors, rules)
    then for each line:
        end = end_of_day(detectors, day, [the levels of the site's other lines], rules)
        write end.detectors; note end.changes, and end.broken when there is one

What was never written begins as `Cell()` and `Detectors()`. Both encode to bytes and back, with a version;
96 cells and one `Detectors` are a line's whole state, 11 kB. A slot that was fed before changes nothing, so
that a repeated transaction is harmless; late data that changes a fed slot is not fed again. A missing slot
may be left out or fed with `watched` 0: it is missing, never zero. A line whose counter was replaced begins
anew.

An `Alarm` without `until_ms` begins, one with it ends; (line, kind, since_ms) names it. `NOT_COUNTED` are
the kinds during which the counts of the line are no counts. `words.sentence` says an alarm in English.

When each test speaks (`Rules`): physical limit, clock, stuck and counts while closed at once; dead, one-sided
and busy event after a week; spike, swapped and shifted after two; imbalance, slow loss and level shift after
four. A slot is not found too silent or too busy before three days of its kind were seen; the dispersion is
pooled over all cells from the first day. A line's first day is the first on which somebody came.
"""

from __future__ import annotations

from gateway.quality.cells import Cell
from gateway.quality.days import Day, DayEnd, end_of_day, level_today
from gateway.quality.detectors import Detectors
from gateway.quality.nouns import SLOT_S, Alarm, Break, DayType, Kind, Rules, Severity, Slot
from gateway.quality.slots import Step, step
from gateway.quality.words import REMEDIES, sentence

NOT_COUNTED = frozenset({Kind.DEAD, Kind.STUCK, Kind.SPIKE_IMPOSSIBLE})

__all__ = [
    "NOT_COUNTED",
    "REMEDIES",
    "SLOT_S",
    "Alarm",
    "Break",
    "Cell",
    "Day",
    "DayEnd",
    "DayType",
    "Detectors",
    "Kind",
    "Rules",
    "Severity",
    "Slot",
    "Step",
    "end_of_day",
    "level_today",
    "sentence",
    "step",
]
