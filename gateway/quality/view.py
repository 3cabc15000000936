"""A slot beside what was expected of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gateway.quality.cells import NOTHING, Cell, Expected, expected
from gateway.quality.detectors import Detectors
from gateway.quality.nouns import Rules, Slot


@dataclass(frozen=True, slots=True)
class View:
    """In, out and both of one slot; an absent side counts 0 and expects nothing.

    `usual` is the profile's own mean of each side (0 where unknown); `sides` and `both` follow the line's
    level of these days and are None while nothing is known.
    """

    slot: Slot
    ins: int
    outs: int
    two_sided: bool
    usual_ins: float
    usual_outs: float
    sides: tuple[Expected | None, Expected | None]
    both: Expected | None

    @property
    def total(self) -> int:
        return self.ins + self.outs

    @property
    def usual(self) -> float:
        return self.usual_ins + self.usual_outs


def view(detectors: Detectors, cell: Cell, slot: Slot) -> View:
    """Absent sides are absent from the expectation too."""
    first, second = slot.counts
    a, factor = detectors.dispersion, math.exp(detectors.level.level)
    unseen = slot.counts == (None, None)  # what such a slot should have brought is still worth knowing
    known = [
        cell.of(slot.day, side) if count is not None or unseen else NOTHING
        for side, count in enumerate((first, second))
    ]
    ins, outs = [expected(one, a, factor) for one in known]
    usual_ins, usual_outs = (one.mean for one in known)
    two_sided = first is not None and second is not None
    both = _both(ins, outs) if two_sided else ins or outs
    return View(slot, first or 0, second or 0, two_sided, usual_ins, usual_outs, (ins, outs), both)


def missing(slot: Slot, rules: Rules) -> bool:
    """Nobody watched, or not for long enough: such a slot is no count at all."""
    watched = slot.watched is None or slot.watched >= rules.min_watched
    return not watched or slot.counts == (None, None)


def _both(ins: Expected | None, outs: Expected | None) -> Expected | None:
    """In and out are the same people: what makes one of them busy makes the other busy too."""
    if ins is None or outs is None:
        return None
    mean, learned = ins.mean + outs.mean, ins.learned + outs.learned
    return Expected(mean, min(ins.a, outs.a), min(ins.n, outs.n), learned)
