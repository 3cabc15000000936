"""The tests of a single slot. Each takes what was remembered and gives what to remember, and a finding."""

from __future__ import annotations

import math

from gateway.quality import chances
from gateway.quality.cells import Expected
from gateway.quality.detectors import (
    NO_EXCESS,
    NO_REPEAT,
    NO_RUN,
    Closing,
    Detectors,
    Excess,
    Repeat,
    Run,
    Today,
)
from gateway.quality.nouns import Kind, Rules, Slot
from gateway.quality.settle import Finding
from gateway.quality.view import View

ALIVE = 0.25  # of the expected persons end an alarm of silence
TELLING = 2.0  # persons: a slot that expects fewer ends none
MAX_EXCESS = 2.0  # times the limit: what a long event may pile up
EXCESS_ENDS = 0.5  # times the limit
EXCESS_WEIGHT = 0.6  # of each side: in and out of a slot are not independent
EXCESS_DRIFT = 0.2  # per slot: a small excess for ever is a level, not an event


def silence(run: Run, count: int, usual: Expected | None, slot: Slot, rules: Rules) -> Run:
    """Zeros in a row; a slot adds nothing where nothing is known or nobody ever came."""
    if count > 0:
        return NO_RUN
    if usual is None or usual.n < rules.warm_cell:
        return run
    return Run(
        run.since_ms if run.length_s else slot.start_ms,
        run.length_s + slot.size_s,
        run.log10 + chances.log10_nobody(usual.learned, usual.a),
        run.expected + usual.learned,
    )


def one_way(run: Run, count: int, usual: Expected | None, view: View, rules: Rules) -> Run:
    """Zeros in a row of one side while the other is not silent: when nobody comes at all, no side is lost."""
    if view.total:
        return silence(run, count, usual, view.slot, rules)
    return run._replace(length_s=run.length_s + view.slot.size_s) if run.length_s else run


def too_silent(run: Run, rules: Rules) -> bool:
    return (
        run.log10 <= rules.dead_log10 and run.length_s >= rules.dead_s and run.expected >= rules.dead_persons
    )


def dead(run: Run, view: View, rules: Rules) -> Finding | None:
    """Nobody at all for so long that it cannot be chance. None: the slot says nothing."""
    if too_silent(run, rules):
        evidence = {"expected": run.expected, "unlikely": -run.log10}
        return Finding(Kind.DEAD, True, run.since_ms, evidence)
    if _quiet(view.both):
        return Finding(Kind.DEAD, False, 0) if view.total else None
    return Finding(Kind.DEAD, False if _alive(view.total, view.both) else None, 0)


def _quiet(usual: Expected | None) -> bool:
    """So few are expected that nobody is no sign of silence; somebody is one of life."""
    return usual is not None and usual.mean < TELLING


def _alive(count: int, usual: Expected | None) -> bool:
    return usual is not None and count >= usual.mean * ALIVE


def one_sided(detectors: Detectors, view: View, rules: Rules) -> Finding | None:
    """One direction is silent while the other is not, or the day runs one way that never does.

    None: the slot says nothing, for nobody came.
    """
    if not view.total or not view.two_sided:
        return None
    no_ins, no_outs, today = detectors.no_ins, detectors.no_outs, detectors.today
    run = no_ins if no_ins.log10 < no_outs.log10 else no_outs
    if too_silent(run, rules) or _lopsided(today, rules):
        evidence = {
            "ins": float(today.ins),
            "outs": float(today.outs),
            "expected_ins": today.usual_ins,
            "expected_outs": today.usual_outs,
        }
        return Finding(Kind.ONE_SIDED, True, run.since_ms or view.slot.start_ms, evidence)
    ins, outs = view.sides
    both = _lives(view.ins, ins, no_ins) and _lives(view.outs, outs, no_outs)
    return Finding(Kind.ONE_SIDED, False if both else None, 0)


def _lives(count: int, usual: Expected | None, run: Run) -> bool:
    """One side: where few are expected, somebody came since not many were missing."""
    return run.expected < TELLING if _quiet(usual) else _alive(count, usual)


def _lopsided(today: Today, rules: Rules) -> bool:
    if min(today.ins + today.outs, today.usual) < 2 * rules.min_day:
        return False
    ratio, usual = ratio_of(today.ins, today.outs), ratio_of(today.usual_ins, today.usual_outs)
    return abs(ratio) > rules.directional_ratio and abs(ratio - usual) > rules.directional_ratio / 2


def ratio_of(ins: float, outs: float) -> float:
    """(in - out) / average, -2…2; 0 when nobody crossed."""
    return 2 * (ins - outs) / (ins + outs) if ins + outs > 0 else 0.0


def repeats(repeat: Repeat, slot: Slot) -> Repeat:
    """The same non-zero counts in a row, with the chance of it were they Poisson counts of that size."""
    first, second = slot.counts
    pair = (-1 if first is None else first, -1 if second is None else second)
    total = (first or 0) + (second or 0)
    if not total:
        return NO_REPEAT
    if pair != (repeat.ins, repeat.outs):
        return Repeat(slot.start_ms, 1, *pair, 0.0)
    log10 = repeat.log10 + sum(math.log10(chances.repeat(n)) for n in pair if n > 0)
    return repeat._replace(times=repeat.times + 1, log10=log10)


def stuck(repeat: Repeat, rules: Rules) -> Finding:
    count = max(repeat.ins, 0) + max(repeat.outs, 0)
    if repeat.times >= rules.stuck_run and (count > rules.stuck_above or repeat.log10 <= rules.stuck_log10):
        evidence = {"count": float(count), "times": float(repeat.times)}
        return Finding(Kind.STUCK, True, repeat.since_ms, evidence)
    return Finding(Kind.STUCK, False if repeat.times <= 1 else None, 0)


def impossible(view: View, rules: Rules) -> Finding:
    """More than a door can pass, in either direction: these are no persons."""
    limit = rules.max_per_s * view.slot.size_s
    most = max(view.ins, view.outs)
    if limit and most > limit:
        evidence = {"count": float(most), "size_s": float(view.slot.size_s), "limit": limit}
        return Finding(Kind.SPIKE_IMPOSSIBLE, True, view.slot.start_ms, evidence)
    return Finding(Kind.SPIKE_IMPOSSIBLE, False, 0)


def spike(peak: float, view: View, rules: Rules) -> Finding:
    """Far more than the line ever brought and than chance allows: a fault, or the day of its life."""
    usual = view.both
    most = rules.spike_factor * max(peak, rules.spike_peak)
    if usual is not None and view.total > most and _unlikely(view, rules):
        evidence = {
            "count": float(view.total),
            "size_s": float(view.slot.size_s),
            "expected": usual.mean,
            "most": peak,
        }
        return Finding(Kind.SPIKE, True, view.slot.start_ms, evidence)
    return Finding(Kind.SPIKE, False, 0)


def _unlikely(view: View, rules: Rules) -> bool:
    usual = view.both
    return usual is not None and chances.at_least(view.total, usual.mean, usual.a) < rules.spike_tail


def excess(before: Excess, view: View, rules: Rules) -> Excess:
    """A fading sum of log likelihood ratios of both sides: `event_gain` times the usual against the usual."""
    ins, outs = view.sides
    gain = _surprise(view.ins, ins, rules.event_gain) if ins is not None else 0.0
    gain += _surprise(view.outs, outs, rules.event_gain) if outs is not None else 0.0
    score = before.score * rules.event_fade + EXCESS_WEIGHT * gain - EXCESS_DRIFT
    if score <= 0 or view.both is None or view.both.n < rules.warm_cell:
        return NO_EXCESS
    return Excess(
        before.since_ms if before.score > 0 else view.slot.start_ms,
        min(score, MAX_EXCESS * rules.event_limit),
        before.seen + view.total,
        before.expected + view.both.mean,
    )


def _surprise(count: int, usual: Expected, gain: float) -> float:
    """Natural logarithm of how much likelier the count is at `gain` times the usual."""
    spread = usual.mean * usual.a
    return count * math.log(gain) - (count + 1 / usual.a) * math.log((1 + gain * spread) / (1 + spread))


def busy(excess: Excess, rules: Rules) -> Finding:
    if excess.score > rules.event_limit:
        evidence = {"count": excess.seen, "expected": excess.expected}
        return Finding(Kind.EVENT_HIGH, True, excess.since_ms, evidence)
    return Finding(Kind.EVENT_HIGH, False if excess.score <= EXCESS_ENDS * rules.event_limit else None, 0)


def closed(closing: Closing, slot: Slot, persons: int, rules: Rules) -> tuple[Closing, Finding]:
    """Counts outside opening hours: staff come and go, customers leave late; more than that has a reason."""
    if persons > rules.staff:
        closing = Closing(closing.slots + 1, closing.persons + persons, closing.since_ms or slot.start_ms)
    if closing.slots > rules.closed_slots and persons > rules.staff:
        evidence = {"count": float(closing.persons), "slots": float(closing.slots)}
        return closing, Finding(Kind.CLOSED_COUNTS, True, closing.since_ms, evidence)
    return closing, Finding(Kind.CLOSED_COUNTS, False, 0)


def clock(slot: Slot, rules: Rules) -> list[Finding]:
    """The counter's clock against ours; nothing is found where it tells no time."""
    offset = slot.clock_offset_s
    if offset is None:
        return []
    raised = True if abs(offset) > rules.clock_s else False if abs(offset) <= rules.clock_s / 2 else None
    return [Finding(Kind.CLOCK, raised, slot.start_ms, {"offset_s": offset} if raised else {})]
