"""The end of a business day: what a single slot cannot show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.measures.growth import median
from gateway.quality.cells import Moments
from gateway.quality.chances import ewma, imbalance_z
from gateway.quality.detectors import Cusum, Detectors, Level, Likeness, Streaks, Today
from gateway.quality.judging import ratio_of
from gateway.quality.nouns import Alarm, Break, Kind, Rules
from gateway.quality.settle import Finding, settle

DAY_MEMORY = 56  # days behind what is usual
LEVEL_SHARE = 0.2  # of today in the line's level: five days
MAX_LEVEL_STEP = 0.4  # one strange day moves the level by 8 % at most
MIN_DEVIATION = 0.03  # of a level: no line is steadier than that
MAX_Z = 3.0  # a single day says no more than that
ROUNDING = 0.5  # persons
FAR, NEAR = 4.0, 2.0  # standard deviations of a line's own imbalance: one day, three days in a row
TELLING_Z = 2.0  # fewer persons than that say nothing about a balance
AWAY_DAYS = 3
FEW = 3  # days, before which there is no spread to speak of
WRONG = frozenset({Kind.DEAD, Kind.ONE_SIDED, Kind.STUCK, Kind.SPIKE_IMPOSSIBLE})  # such a day has no level
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
    if any(one.kind in WRONG for one in detectors.opens):
        return None
    return math.log((today.seen + ROUNDING) / (today.usual + ROUNDING))


def end_of_day(detectors: Detectors, day: Day, neighbours: Sequence[float], rules: Rules) -> DayEnd:
    """Judge the day and begin the next; a day that was judged before changes nothing.

    A line's first day is the first on which somebody came: counters hang before shops open.

    `neighbours`: the known levels of the site's other lines, in any order: their median is taken.
    """
    if day.end_ms <= detectors.ended_ms:
        return DayEnd(detectors)
    findings: list[Finding] = []
    own = level_today(detectors, rules)
    after, broken = detectors.copy(), None
    if own is not None and after.level.days >= rules.warm_days:
        _follow(after, own)
        gap = own - median(neighbours) if neighbours else own
        broken = _gap(after, gap, day, bool(neighbours), rules, findings)
    _balance(after, day, rules, findings)
    _look_alike(after, day, rules, findings)
    after.opens, changes = settle(after.opens, findings, day.line, day.start_ms)
    lives = after.level.days or after.today.ins or after.today.outs
    after.level = after.level._replace(days=after.level.days + 1 if lives else 0)
    after.today, after.ended_ms = Today(), day.end_ms
    after.mirror = after.early = after.late = Likeness()
    return DayEnd(after, changes, broken)


def _follow(detectors: Detectors, own: float) -> None:
    """The slots of the next days are expected at the level of these days."""
    level = detectors.level
    own = min(max(own, level.level - MAX_LEVEL_STEP), level.level + MAX_LEVEL_STEP)
    detectors.level = Level(level.days, ewma(level.level, own, LEVEL_SHARE))


def _gap(
    detectors: Detectors, gap: float, day: Day, shared: bool, rules: Rules, findings: list[Finding]
) -> Break | None:
    """The line's level beside its neighbours': does it sink, does it jump? Alone, only sinking is judged."""
    usual = detectors.gap
    spread = max(math.sqrt(usual.variance), MIN_DEVIATION)
    away = gap - usual.mean
    near = min(max(away, -MAX_Z * spread), MAX_Z * spread)
    if usual.n < rules.warm_level_days * LEARNED_SHARE:
        detectors.gap = usual.learn(gap if usual.n < FEW else usual.mean + near, DAY_MEMORY)
        return None
    half = math.log(rules.shift_ratio) / 2
    loss = detectors.loss.add(-near / spread - rules.loss_k, gap, usual.mean, day.start_ms, 2 * rules.loss_h)
    up = detectors.up.add(near - half, gap, usual.mean, day.start_ms)
    down = detectors.down.add(-near - half, gap, usual.mean, day.start_ms)
    moved = _moved(up, down, rules) if shared else None
    broken = Break(day.line, moved.since_ms, math.exp(moved.mean)) if moved else None
    findings += [_sinking(loss, rules), _jumped(broken)]
    if moved:
        detectors.gap = Moments(usual.n, moved.base + moved.mean, usual.m2)
        loss = up = down = Cusum()
    elif loss.value <= rules.loss_h:
        detectors.gap = usual.learn(usual.mean + near, DAY_MEMORY)
    detectors.loss, detectors.up, detectors.down = loss, up, down
    return broken


def _jumped(broken: Break | None) -> Finding:
    if broken is None:
        return Finding(Kind.LEVEL_SHIFT, False, 0)
    return Finding(Kind.LEVEL_SHIFT, True, broken.since_ms, {"change": broken.factor - 1})


def _sinking(loss: Cusum, rules: Rules) -> Finding:
    if loss.value > rules.loss_h:
        return Finding(Kind.SLOW_LOSS, True, loss.since_ms, {"change": math.expm1(loss.mean)})
    return Finding(Kind.SLOW_LOSS, False if loss.value < rules.loss_h / 2 else None, 0)


def _moved(up: Cusum, down: Cusum, rules: Rules) -> Cusum | None:
    """The sum that shows another level, held for long enough."""
    least = math.log(rules.shift_ratio)
    if up.days >= rules.shift_days and up.mean >= least:
        return up
    return down if down.days >= rules.shift_days and -down.mean >= least else None


def _balance(detectors: Detectors, day: Day, rules: Rules, findings: list[Finding]) -> None:
    """In against out of a closed day, in per cent learned from the line's own days, not from chance."""
    today, usual = detectors.today, detectors.imbalance
    if not _both_ways(detectors) or today.ins + today.outs < 2 * rules.min_day or not _whole(today, rules):
        return
    ratio = ratio_of(today.ins, today.outs)
    middle, near, far = _limits(usual, detectors.level.days, rules)
    away = abs(ratio - middle)
    telling = abs(imbalance_z(today.ins, today.outs)) > TELLING_Z
    streak = detectors.streaks.imbalance + 1 if telling and away > near else 0
    raised = (telling and away > far) or streak >= AWAY_DAYS or _one_way(ratio, usual, rules)
    evidence = {"ins": float(today.ins), "outs": float(today.outs), "imbalance": ratio, "usual": middle}
    verdict = True if raised else None if streak else False
    findings.append(Finding(Kind.IMBALANCE, verdict, day.start_ms, evidence))
    if not raised:
        detectors.imbalance = usual.learn(ratio, DAY_MEMORY)
    detectors.streaks = detectors.streaks._replace(imbalance=streak)


def _one_way(ratio: float, usual: Moments, rules: Rules) -> bool:
    """A day that runs one way, at a door that does not: an entrance that nobody leaves by is no fault."""
    known = usual.n >= rules.warm_days * LEARNED_SHARE
    away = abs(ratio - usual.mean) > rules.directional_ratio / 2
    return known and away and abs(ratio) > rules.directional_ratio


def _limits(usual: Moments, days: int, rules: Rules) -> tuple[float, float, float]:
    """Where a day's imbalance should be, and how far from there is far for three days and for one."""
    if rules.closed_perimeter:
        return 0.0, rules.imbalance_days, rules.imbalance_day
    if days < rules.warm_level_days or usual.n < rules.warm_level_days * LEARNED_SHARE:
        return usual.mean, math.inf, math.inf
    spread = math.sqrt(usual.variance)
    return usual.mean, max(rules.imbalance_days, NEAR * spread), max(rules.imbalance_day, FAR * spread)


def _both_ways(detectors: Detectors) -> bool:
    """Whether the line tells directions at all."""
    return detectors.today.usual_outs > 0 or detectors.today.outs > 0


def _whole(today: Today, rules: Rules) -> bool:
    return today.usual >= rules.min_day_watched * today.all_usual


def _look_alike(detectors: Detectors, day: Day, rules: Rules, findings: list[Finding]) -> None:
    """Whether the days look like their mirror image, or like themselves an hour away, for days in a row."""
    today, before = detectors.today, detectors.streaks
    if detectors.level.days < rules.warm_shape_days or today.usual < rules.min_day:
        return
    likes = (detectors.mirror, detectors.early, detectors.late)
    mirror, early, late = (_place(like, today, rules) for like in likes)
    detectors.streaks = Streaks(
        before.imbalance,
        before.swapped + 1 if mirror > rules.swapped_likeness else 0,
        before.early + 1 if early > rules.shifted_likeness else 0,
        before.late + 1 if late > rules.shifted_likeness else 0,
    )
    findings.append(_swapped(detectors.streaks, mirror, today, day, rules))
    findings.append(_shifted(detectors.streaks, early, late, day, rules))


def _place(like: Likeness, today: Today, rules: Rules) -> float:
    """0 as usual … 1 as the other; 0 as well where the profile hardly tells the two apart."""
    if (like.other - like.usual) * today.factor < rules.min_apart:
        return 0.0
    return like.place(today.factor)


def _swapped(streaks: Streaks, place: float, today: Today, day: Day, rules: Rules) -> Finding:
    if streaks.swapped >= rules.swapped_days:
        evidence = {"likeness": place, "sag": -float(today.sag), "usual_sag": -today.usual_sag}
        return Finding(Kind.SWAPPED, True, day.start_ms, evidence)
    return Finding(Kind.SWAPPED, None if streaks.swapped else False, 0)


def _shifted(streaks: Streaks, early: float, late: float, day: Day, rules: Rules) -> Finding:
    if max(streaks.early, streaks.late) >= rules.shifted_days:
        hours = 1.0 if streaks.early > streaks.late else -1.0
        evidence = {"hours": hours, "likeness": max(early, late)}
        return Finding(Kind.CLOCK_SHIFTED, True, day.start_ms, evidence)
    return Finding(Kind.CLOCK_SHIFTED, None if streaks.early or streaks.late else False, 0)
