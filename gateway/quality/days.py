"""The end of a business day: what a single slot cannot show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from gateway.quality.cells import Moments
from gateway.quality.detectors import Cusum, Detectors, Level, Likeness, Streaks, Today
from gateway.quality.judging import ratio_of
from gateway.quality.nouns import Alarm, Break, Kind, Rules
from gateway.quality.settle import Finding, settle
from gateway.quality.slots import UNTAUGHT

DAY_MEMORY = 56  # days behind what is usual
LEVEL_SHARE = 0.1  # of today in the line's level: ten days
MAX_LEVEL_STEP = 0.4  # one strange day moves the level by 4 % at most
MIN_DEVIATION = 0.03  # of a level: no line is steadier than that
MIN_IMBALANCE_DEVIATION = 0.01
MAX_Z = 3.0  # a single day says no more than that
ROUNDING = 0.5  # persons
FAR, NEAR = 4.0, 2.0  # standard deviations of a line's own imbalance: one day, three days in a row
AWAY_DAYS = 3
LEARNED_SHARE = 0.75  # of the warm-up must have taught something


@dataclass(frozen=True, slots=True)
class Day:
    """The business day of one line that has just ended."""

    line: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class DayEnd:
    """What to keep, what changed, and whether the line's history breaks here."""

    detectors: Detectors
    changes: tuple[Alarm, ...] = ()
    broken: Break | None = None


def level_today(detectors: Detectors, rules: Rules) -> float | None:
    """Logarithm of today's persons by the profile's; None when too little was watched, expected or clean."""
    today = detectors.today
    if today.usual < rules.min_day or today.usual < rules.min_day_watched * today.all_usual:
        return None
    if any(one.kind in UNTAUGHT for one in detectors.opens):
        return None
    return math.log((today.seen + ROUNDING) / (today.usual + ROUNDING))


def end_of_day(detectors: Detectors, day: Day, neighbours: Sequence[float], rules: Rules) -> DayEnd:
    """Judge the day and begin the next; a day that was judged before changes nothing.

    `neighbours`: the levels of the site's other lines, those known; their median is taken, so order is nothing.
    """
    if day.end_ms <= detectors.ended_ms:
        return DayEnd(detectors)
    findings: list[Finding] = []
    own = level_today(detectors, rules)
    after, broken = detectors, None
    if own is not None:
        after = _levelled(after, own)
        if after.level.days > rules.warm_days:
            gap = own - median(neighbours) if neighbours else own
            after, broken = _gapped(after, gap, day, bool(neighbours), rules, findings)
    after = _balanced(after, day, rules, findings)
    after = _alike(after, day, rules, findings)
    level = replace(after.level, days=after.level.days + 1)
    opens, changes = settle(after.opens, findings, day.line, day.start_ms)
    none = Likeness()
    after = replace(
        after,
        ended_ms=day.end_ms,
        today=Today(),
        mirror=none,
        early=none,
        late=none,
        level=level,
        opens=opens,
    )
    return DayEnd(after, changes, broken)


def _levelled(detectors: Detectors, own: float) -> Detectors:
    level = detectors.level
    step = min(max(own - level.level, -MAX_LEVEL_STEP), MAX_LEVEL_STEP)
    return replace(detectors, level=Level(level.days, level.level + LEVEL_SHARE * step))


def _gapped(
    detectors: Detectors, gap: float, day: Day, shared: bool, rules: Rules, findings: list[Finding]
) -> tuple[Detectors, Break | None]:
    """The line's level beside its neighbours': does it sink, does it jump?"""
    usual = detectors.gap
    spread = max(math.sqrt(usual.variance), MIN_DEVIATION)
    away = gap - usual.mean
    if usual.n < rules.warm_level_days * LEARNED_SHARE:
        return replace(detectors, gap=usual.learn(_within(gap, usual, spread), DAY_MEMORY)), None
    z = min(max(away / spread, -MAX_Z), MAX_Z)
    loss = detectors.loss.add(-z - rules.loss_k, away, day.start_ms)
    half = math.log(rules.shift_ratio) / 2
    up = detectors.up.add(away - half, away, day.start_ms)
    down = detectors.down.add(-away - half, away, day.start_ms)
    findings.append(_sinking(loss, rules))
    broken = _broken(up, down, day, rules) if shared else None
    findings.append(
        Finding(Kind.LEVEL_SHIFT, broken is not None, broken.since_ms if broken else 0, _change(broken))
    )
    if broken:
        moved = Moments(usual.n, usual.mean + math.log(broken.factor), usual.m2)
        none = Cusum()
        return replace(detectors, gap=moved, loss=none, up=none, down=none), broken
    taught = usual if loss.value > rules.loss_h else usual.learn(_within(gap, usual, spread), DAY_MEMORY)
    return replace(detectors, gap=taught, loss=loss, up=up, down=down), None


def _within(gap: float, usual: Moments, spread: float) -> float:
    if usual.n < AWAY_DAYS:
        return gap
    return min(max(gap, usual.mean - MAX_Z * spread), usual.mean + MAX_Z * spread)


def _sinking(loss: Cusum, rules: Rules) -> Finding:
    if loss.value > rules.loss_h:
        return Finding(Kind.SLOW_LOSS, True, loss.since_ms, {"change": math.expm1(loss.mean)})
    return Finding(Kind.SLOW_LOSS, False if loss.value < rules.loss_h / 2 else None, 0)


def _broken(up: Cusum, down: Cusum, day: Day, rules: Rules) -> Break | None:
    for one in (up, down):
        if one.days >= rules.shift_days and abs(one.mean) >= math.log(rules.shift_ratio):
            return Break(day.line, one.since_ms, math.exp(one.mean))
    return None


def _change(broken: Break | None) -> dict[str, float]:
    return {"change": broken.factor - 1} if broken else {}


def _balanced(detectors: Detectors, day: Day, rules: Rules, findings: list[Finding]) -> Detectors:
    """In against out of a closed day, in per cent learned from the line's own days, not from chance."""
    today = detectors.today
    two_sided = today.usual_outs > 0 or today.outs > 0
    if not two_sided or (today.ins + today.outs) < 2 * rules.min_day or not _whole(today, rules):
        return detectors
    ratio, usual = ratio_of(today.ins, today.outs), detectors.imbalance
    known = usual.n >= rules.warm_level_days * LEARNED_SHARE
    spread = max(math.sqrt(usual.variance), MIN_IMBALANCE_DEVIATION)
    middle = 0.0 if rules.closed_perimeter else usual.mean
    spread = 0.0 if rules.closed_perimeter else spread
    away = abs(ratio - middle)
    judged = known or rules.closed_perimeter
    near = judged and away > max(rules.imbalance_days, NEAR * spread)
    far = judged and away > max(rules.imbalance_day, FAR * spread)
    streak = detectors.streaks.imbalance + 1 if near else 0
    raised = far or streak >= AWAY_DAYS or abs(ratio) > rules.directional_ratio
    evidence = {"ins": float(today.ins), "outs": float(today.outs), "imbalance": ratio, "usual": middle}
    findings.append(
        Finding(Kind.IMBALANCE, True if raised else None if near else False, day.start_ms, evidence)
    )
    if not raised or not known:
        limit = MAX_Z * spread if known and spread else math.inf
        usual = usual.learn(min(max(ratio, usual.mean - limit), usual.mean + limit), DAY_MEMORY)
    return replace(detectors, imbalance=usual, streaks=replace(detectors.streaks, imbalance=streak))


def _whole(today: Today, rules: Rules) -> bool:
    return today.usual >= rules.min_day_watched * today.all_usual


def _alike(detectors: Detectors, day: Day, rules: Rules, findings: list[Finding]) -> Detectors:
    """Whether the day looks like its mirror image, or like itself an hour away, two days in a row."""
    if detectors.level.days < rules.warm_shape_days or detectors.today.usual < rules.min_day:
        return detectors
    today = detectors.today
    mirror = _place(detectors.mirror, today, rules)
    early, late = _place(detectors.early, today, rules), _place(detectors.late, today, rules)
    emptied = today.sag < min(0.0, today.usual_sag * today.factor)
    before = detectors.streaks
    streaks = Streaks(
        before.imbalance,
        before.swapped + 1 if mirror > rules.likeness and emptied else 0,
        before.early + 1 if early > rules.likeness else 0,
        before.late + 1 if late > rules.likeness else 0,
    )
    findings += [_swapped(streaks, mirror, detectors, day, rules), _shifted(streaks, early, late, day, rules)]
    return replace(detectors, streaks=streaks)


def _place(like: Likeness, today: Today, rules: Rules) -> float:
    """0 as usual … 1 as the other; 0 as well where the profile hardly tells the two apart."""
    if (like.other - like.usual) * today.factor < rules.min_apart:
        return 0.0
    return like.place(today.factor)


def _swapped(streaks: Streaks, place: float, detectors: Detectors, day: Day, rules: Rules) -> Finding:
    if streaks.swapped >= rules.likeness_days:
        today = detectors.today
        evidence = {"likeness": place, "sag": -float(today.sag), "usual_sag": -today.usual_sag}
        return Finding(Kind.SWAPPED, True, day.start_ms, evidence)
    return Finding(Kind.SWAPPED, None if streaks.swapped else False, 0)


def _shifted(streaks: Streaks, early: float, late: float, day: Day, rules: Rules) -> Finding:
    if max(streaks.early, streaks.late) >= rules.likeness_days:
        hours = 1.0 if streaks.early > streaks.late else -1.0
        evidence = {"hours": hours, "likeness": max(early, late)}
        return Finding(Kind.CLOCK_SHIFTED, True, day.start_ms, evidence)
    return Finding(Kind.CLOCK_SHIFTED, None if streaks.early or streaks.late else False, 0)
