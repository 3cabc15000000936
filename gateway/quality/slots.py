"""One slot of one line: what does it say of the counter, and what is learned from it?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.quality import judging
from gateway.quality.cells import Cell, Expected
from gateway.quality.detectors import Closing, Detectors, Excess, Repeat, Today
from gateway.quality.likeness import compare
from gateway.quality.nouns import Alarm, Kind, Rules, Slot
from gateway.quality.settle import Finding, settle
from gateway.quality.view import View, missing, view

FADE = 1 - 1 / 2000  # of the sums behind the dispersion, per slot
PEAK_FADE = 1 - 1 / 10_000
# A day of silence teaches: a door that stays shut on Saturdays becomes one that does. A long outage does not.
MAX_TAUGHT_SILENCE_S = 86_400
UNTAUGHT = frozenset({Kind.STUCK, Kind.SPIKE_IMPOSSIBLE})


@dataclass(frozen=True, slots=True)
class Step:
    """What to keep, and what changed."""

    detectors: Detectors
    cell: Cell
    changes: tuple[Alarm, ...] = ()


def step(detectors: Detectors, cell: Cell, slot: Slot, rules: Rules) -> Step:
    """Judge a slot, then learn from it; what was given stays as it was. A slot fed before changes nothing."""
    if slot.start_ms < detectors.through_ms:
        return Step(detectors, cell)
    after = detectors.copy()
    if slot.start_ms > after.through_ms:
        _interrupt(after)
    seen = view(after, cell, slot)
    findings, impossible = judging.clock(slot, rules), judging.impossible(seen, rules)
    if missing(slot, rules):
        _miss(after, seen)
    elif slot.estimated > rules.max_estimated:
        _interrupt(after)
        after.today = _counted(after.today, seen)
    elif impossible.raised:  # no persons: not lopsided, no event, and no part of the day
        findings.append(impossible)
        _miss(after, seen)
    elif slot.open is False:
        findings += _closed(after, seen, rules)
    else:
        findings += [impossible, *_judged(after, seen, rules)]
        if _clean(after, seen, findings):
            cell = _learned(after, cell, seen, rules)
    after.through_ms = slot.end_ms
    after.opens, changes = settle(after.opens, findings, slot.line, slot.start_ms)
    return Step(after, cell, changes)


def _interrupt(detectors: Detectors) -> None:
    """What must follow on without a gap begins anew; zeros before a gap are still zeros."""
    detectors.ring, detectors.repeat, detectors.excess = (), Repeat(), Excess()


def _miss(detectors: Detectors, seen: View) -> None:
    _interrupt(detectors)
    if seen.slot.open is not False:
        detectors.today = _expected(detectors.today, seen)


def _closed(detectors: Detectors, seen: View, rules: Rules) -> list[Finding]:
    _interrupt(detectors)
    detectors.today = _counted(detectors.today, seen)
    detectors.closing, found = judging.closed(detectors.closing, seen.slot, seen.ins, rules)
    return [found, judging.busy(detectors.excess, rules)]


def _judged(detectors: Detectors, seen: View, rules: Rules) -> list[Finding]:
    _remember(detectors, seen, rules)
    days = detectors.level.days
    findings: list[Finding | None] = [judging.stuck(detectors.repeat, rules)]
    if days >= rules.warm_days:
        findings += [
            judging.dead(detectors.nobody, seen, rules),
            judging.one_sided(detectors, seen, rules),
            judging.busy(detectors.excess, rules),
        ]
    if days >= rules.warm_shape_days:
        findings.append(judging.spike(detectors.peak, seen, rules))
    return [found for found in findings if found is not None]


def _remember(detectors: Detectors, seen: View, rules: Rules) -> None:
    slot, (ins, outs) = seen.slot, seen.sides
    detectors.nobody = judging.silence(detectors.nobody, seen.total, seen.both, slot, rules)
    if seen.two_sided:
        detectors.no_ins = judging.one_way(detectors.no_ins, seen.ins, ins, seen, rules)
        detectors.no_outs = judging.one_way(detectors.no_outs, seen.outs, outs, seen, rules)
    detectors.repeat = judging.repeats(detectors.repeat, slot)
    detectors.excess = judging.excess(detectors.excess, seen, rules)
    detectors.closing = Closing()
    add = _counted if seen.both is None else _compared
    detectors.today = add(detectors.today, seen)
    compare(detectors, seen)


def _counted(today: Today, seen: View) -> Today:
    ins, outs = today.ins + seen.ins, today.outs + seen.outs
    return today._replace(ins=ins, outs=outs, sag=min(today.sag, ins - outs))


def _expected(today: Today, seen: View) -> Today:
    """Only what should have come: nobody watched."""
    return today._replace(all_usual=today.all_usual + seen.usual)


def _compared(today: Today, seen: View) -> Today:
    """The day's sums beside the profile's; written out, for `_replace` costs more than most tests."""
    ins, outs = today.ins + seen.ins, today.outs + seen.outs
    usual_ins, usual_outs = today.usual_ins + seen.usual_ins, today.usual_outs + seen.usual_outs
    return Today(
        ins=ins,
        outs=outs,
        sag=min(today.sag, ins - outs),
        seen=today.seen + seen.total,
        usual_ins=usual_ins,
        usual_outs=usual_outs,
        usual_sag=min(today.usual_sag, usual_ins - usual_outs),
        all_usual=today.all_usual + seen.usual,
    )


def _clean(detectors: Detectors, seen: View, findings: Sequence[Finding]) -> bool:
    """Whether the slot may teach."""
    silent_s = detectors.nobody.length_s
    if seen.two_sided:
        silent_s = max(silent_s, detectors.no_ins.length_s, detectors.no_outs.length_s)
    if silent_s > MAX_TAUGHT_SILENCE_S:
        return False
    wrong = any(found.raised and found.kind in UNTAUGHT for found in findings)
    return not wrong and not any(one.kind in UNTAUGHT for one in detectors.opens)


def _learned(detectors: Detectors, cell: Cell, seen: View, rules: Rules) -> Cell:
    """The cell learns the count at the profile's own level, at most `winsor_sd` from what was expected."""
    factor = math.exp(-detectors.level.level)
    values: list[float | None] = []
    for count, usual in zip(seen.slot.counts, seen.sides, strict=True):
        if count is None or usual is None:
            values.append(None if count is None else count * factor)
            continue
        reach = rules.winsor_sd * usual.deviation
        value = min(max(count, usual.mean - reach), usual.mean + reach)
        _surprised(detectors, value, usual)
        values.append(value * factor)
    detectors.peak = max(detectors.peak * PEAK_FADE, seen.total)
    return cell.learn(seen.slot.day, (values[0], values[1]), rules.cell_memory)


def _surprised(detectors: Detectors, value: float, usual: Expected) -> None:
    """The sums behind the dispersion; a mean of few days is itself uncertain, and that is taken out."""
    away = value - usual.mean
    detectors.over = detectors.over * FADE + away * away * usual.n / (usual.n + 1) - usual.mean
    detectors.square = detectors.square * FADE + usual.mean * usual.mean
