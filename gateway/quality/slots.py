"""One slot of one line: what does it say of the counter, and what is learned from it?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.quality import judging
from gateway.quality.cells import Cell, Expected
from gateway.quality.detectors import Closing, Detectors, Excess, Repeat, Today
from gateway.quality.likeness import compare
from gateway.quality.nouns import Alarm, Kind, Rules, Slot
from gateway.quality.settle import Finding, settle
from gateway.quality.view import View, missing, view

FADE = 1 - 1 / 2000  # of the sums behind the dispersion, per slot
PEAK_FADE = 1 - 1 / 10_000
UNDECIDED = -2.0  # log10: zeros less likely than this teach nothing while it is not known what they are
UNTAUGHT = frozenset({Kind.DEAD, Kind.ONE_SIDED, Kind.STUCK, Kind.SPIKE})


@dataclass(frozen=True, slots=True)
class Step:
    """What to keep, and what changed."""

    detectors: Detectors
    cell: Cell
    changes: tuple[Alarm, ...] = ()


def step(detectors: Detectors, cell: Cell, slot: Slot, rules: Rules) -> Step:
    """Judge a slot, then learn from it. A slot that was fed before changes nothing."""
    if slot.start_ms < detectors.through_ms:
        return Step(detectors, cell)
    if slot.start_ms > detectors.through_ms:
        detectors = _interrupted(detectors)
    seen = view(detectors, cell, slot, rules)
    findings = judging.clock(slot, rules)
    if missing(slot, rules):
        after = _interrupted(_expected_today(detectors, seen))
    elif slot.open is False:
        after = _closed(detectors, seen, rules, findings)
    elif slot.estimated > rules.max_estimated:
        after = _interrupted(replace(detectors, today=_counted(detectors.today, seen)))
    else:
        after = _judged(detectors, seen, rules, findings)
        if _clean(after, seen, findings):
            after, cell = _learned(after, cell, seen, rules)
    opens, changes = settle(after.opens, findings, slot.line, slot.start_ms)
    return Step(replace(after, through_ms=slot.end_ms, opens=opens), cell, changes)


def _interrupted(detectors: Detectors) -> Detectors:
    """What must follow on without a gap begins anew; zeros before a gap are still zeros."""
    return replace(detectors, ring=(), repeat=Repeat(), excess=Excess())


def _expected_today(detectors: Detectors, seen: View) -> Detectors:
    if seen.slot.open is False:
        return detectors
    today = detectors.today
    return replace(detectors, today=replace(today, all_usual=today.all_usual + seen.usual))


def _counted(today: Today, seen: View) -> Today:
    ins, outs = today.ins + seen.ins, today.outs + seen.outs
    return replace(today, ins=ins, outs=outs, sag=min(today.sag, ins - outs))


def _closed(detectors: Detectors, seen: View, rules: Rules, findings: list[Finding]) -> Detectors:
    closing, found = judging.closed(detectors.closing, seen.slot, seen.total, rules)
    findings.append(found)
    return replace(_interrupted(detectors), closing=closing, today=_counted(detectors.today, seen))


def _judged(detectors: Detectors, seen: View, rules: Rules, findings: list[Finding]) -> Detectors:
    today = _compared(_counted(detectors.today, seen), seen)
    ins, outs = seen.sides
    slot = seen.slot
    nobody = judging.silence(detectors.nobody, seen.total, seen.both, slot)
    no_ins = judging.silence(detectors.no_ins, seen.ins, ins, slot)
    no_outs = judging.silence(detectors.no_outs, seen.outs, outs, slot)
    repeat = judging.repeats(detectors.repeat, slot)
    excess = judging.excess(detectors.excess, seen, rules)
    findings += [judging.stuck(repeat, rules), judging.spike(detectors, seen, rules)]
    if detectors.level.days >= rules.warm_days:
        findings += [
            judging.dead(nobody, seen, rules),
            judging.one_sided(no_ins, no_outs, nobody, today, seen, rules),
        ]
    if detectors.level.days >= rules.warm_shape_days:
        findings.append(judging.busy(excess, rules))
    after = replace(
        detectors,
        nobody=nobody,
        no_ins=no_ins,
        no_outs=no_outs,
        repeat=repeat,
        excess=excess,
        closing=Closing(),
        today=today,
    )
    return compare(after, seen)


def _compared(today: Today, seen: View) -> Today:
    """The day's sums beside the profile's; a slot of which nothing is known is in neither."""
    if seen.both is None:
        return today
    usual_ins, usual_outs = today.usual_ins + seen.usual_ins, today.usual_outs + seen.usual_outs
    return replace(
        today,
        seen=today.seen + seen.total,
        all_usual=today.all_usual + seen.usual,
        usual_ins=usual_ins,
        usual_outs=usual_outs,
        usual_sag=min(today.usual_sag, usual_ins - usual_outs),
    )


def _clean(detectors: Detectors, seen: View, findings: Sequence[Finding]) -> bool:
    """Whether the slot may teach: nothing is wrong, and nothing is undecided."""
    runs = (detectors.nobody, detectors.no_ins, detectors.no_outs)
    if any(run.length_s and run.log10 < UNDECIDED for run in runs[: 3 if seen.two_sided else 1]):
        return False
    wrong = any(found.raised and found.kind in UNTAUGHT for found in findings)
    return not wrong and not any(one.kind in UNTAUGHT for one in detectors.opens)


def _learned(detectors: Detectors, cell: Cell, seen: View, rules: Rules) -> tuple[Detectors, Cell]:
    """The cell learns the count at the profile's own level, at most `winsor_sd` from what was expected."""
    factor = math.exp(-detectors.level.level)
    over, square = detectors.over, detectors.square
    values: list[float | None] = []
    for count, usual in zip(seen.slot.counts, seen.sides, strict=True):
        if count is None:
            values.append(None)
            continue
        value = float(count)
        if usual is not None:
            value = _winsorised(value, usual, rules)
            away = value - usual.mean
            over = over * FADE + away * away * usual.n / (usual.n + 1) - usual.mean
            square = square * FADE + usual.mean * usual.mean
        values.append(value * factor)
    peak = max(detectors.peak * PEAK_FADE, min(seen.total, _roof(seen, rules)))
    cell = cell.learn(seen.slot.day, (values[0], values[1]), rules.cell_memory)
    return replace(detectors, over=over, square=square, peak=peak), cell


def _winsorised(value: float, usual: Expected, rules: Rules) -> float:
    reach = rules.winsor_sd * usual.deviation
    return min(max(value, usual.mean - reach), usual.mean + reach)


def _roof(seen: View, rules: Rules) -> float:
    return seen.both.mean + rules.winsor_sd * seen.both.deviation if seen.both else math.inf
