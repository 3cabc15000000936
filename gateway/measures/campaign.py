"""Did a campaign bring people? Weekday-matched ratio, control doors, many stores, and the honest question
before any of them: how large must an effect be to be seen here at all?

The last comes from the site's own history: the same ratio for weeks without a campaign (placebo). In a city
with eight street counters and no campaign, a week over the mean of the four before had a standard deviation
of 0.132 in logarithms (0.092 against the other counters): below +20…30 % a single week shows nothing.
Oracles O18 to O18d. CUPED: Deng, Xu, Kohavi and Walker 2013.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.measures.intervals import Z_95
from gateway.measures.quantiles import t_cdf, t_quantile
from gateway.measures.ratios import (
    AGAINST_CONTROL,
    CUPED,
    NO_DENOMINATOR,
    NO_HISTORY,
    WEEKDAY_MATCHED,
    Ratio,
    unknown,
)

BASE_WEEKS = 4
LEAST_PLACEBOS = 8
UP, DOWN, CANNOT_TELL = "up", "down", "cannot tell"

Week = Sequence[int | None]  # one count for each weekday; None: closed or not watched


@dataclass(frozen=True, slots=True)
class Uplift:
    """A change in logarithms: `b` and its standard error from counting chance, widened by `phi`
    where that is above 1 (Pearson's, as found)."""

    ratio: Ratio
    b: float = 0.0
    standard_error: float = math.inf
    phi: float = 1.0


@dataclass(frozen=True, slots=True)
class WeekLevel:
    """Campaign week against base weeks by Student's t: `p` two-sided."""

    mean: float
    deviation: float
    t: float
    p: float


@dataclass(frozen=True, slots=True)
class Placebo:
    """What weeks without a campaign do: standard deviation in logarithms, 5 and 95 % of `weeks` such
    ratios."""

    deviation: float
    low: float
    high: float
    weeks: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """`word`: up, down or cannot tell. `detectable`: the smallest relative rise that would have been seen."""

    word: str
    effect: Ratio
    detectable: float | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Cuped:
    """Differences of group means before and after taking out what the pre-period explains."""

    theta: float
    correlation: float
    raw: float
    adjusted: float
    variance_ratio: float
    formula: str = CUPED


def matched(base: Sequence[Week], campaign: Week) -> Uplift:
    """Campaign over the mean of the same weekdays in the base weeks; a weekday missing in any week is left
    out.

    The closed form of a Poisson regression on weekday and campaign: e^b = ratio, Var b = phi·(1/Σ campaign
    + 1/Σ base).
    """
    days = [at for at, count in enumerate(campaign) if count is not None and _whole(base, at)]
    now = [campaign[at] or 0 for at in days]
    before = [[week[at] or 0 for at in days] for week in base]
    total_now, total_before = sum(now), sum(map(sum, before))
    if total_now <= 0 or total_before <= 0:
        return Uplift(unknown(NO_DENOMINATOR if base else NO_HISTORY))
    ratio = total_now * len(base) / total_before
    spread = pearson(before, now, ratio)
    phi = 1.0 if spread is None else spread
    error = math.sqrt(max(1.0, phi) * (1 / total_now + 1 / total_before))
    return Uplift(_change(math.log(ratio), error, WEEKDAY_MATCHED), math.log(ratio), error, phi)


def pearson(base: Sequence[Sequence[int]], campaign: Sequence[int], ratio: float) -> float | None:
    """Pearson's dispersion of that regression; None without degrees of freedom. Not floored."""
    degrees = (len(base) + 1) * len(campaign) - len(campaign) - 1
    terms = []
    for at, now in enumerate(campaign):
        counts = [week[at] for week in base]
        usual = (sum(counts) + now) / (len(base) + ratio)
        if usual > 0:
            terms += [(count - usual) ** 2 / usual for count in counts]
            terms.append((now - ratio * usual) ** 2 / (ratio * usual))
    return math.fsum(terms) / degrees if degrees > 0 else None


def week_level(base: Sequence[int], campaign: int) -> WeekLevel | None:
    """Week totals by Student's t with n - 1; None below two base weeks or where they do not differ at all."""
    n = len(base)
    if n < 2:
        return None
    mean = sum(base) / n
    deviation = math.sqrt(math.fsum((week - mean) ** 2 for week in base) / (n - 1))
    if deviation == 0:
        return None
    t = (campaign - mean) / (deviation * math.sqrt(1 + 1 / n))
    return WeekLevel(mean, deviation, t, 2 * t_cdf(-abs(t), n - 1))


def against_control(treated: Uplift, control: Uplift) -> Uplift:
    """Difference in differences on logarithms: what the treated doors changed beyond the control doors."""
    if treated.ratio.value is None or control.ratio.value is None:
        return Uplift(treated.ratio if treated.ratio.value is None else control.ratio)
    b = treated.b - control.b
    error = math.hypot(treated.standard_error, control.standard_error)
    return Uplift(_change(b, error, AGAINST_CONTROL), b, error, max(treated.phi, control.phi))


def placebo(
    weeks: Sequence[int | None], control: Sequence[int | None] | None = None, base: int = BASE_WEEKS
) -> Placebo | None:
    """The spread of week / mean of the `base` weeks before, over weeks without a campaign; None below eight.

    `control`: the same weeks at control doors, whose own change is taken off first.
    """
    return _spread(list(_placebo_logs(weeks, control, base)))


def placebo_of_shares(weeks: Sequence[float | None], base: int = BASE_WEEKS) -> Placebo | None:
    """As `placebo`, of a share such as conversion: week - mean of the `base` weeks before."""
    known = [
        week - _mean(before)
        for at in range(base, len(weeks))
        if (week := weeks[at]) is not None
        and len(before := [one for one in weeks[at - base : at] if one is not None]) == base
    ]
    return _spread(known)


def detectable(deviation: float, weeks: int | None = None) -> float:
    """The smallest relative rise that a deviation in logarithms lets one see at 95 %; `weeks` it was learnt
    from."""
    return math.exp(_reach(weeks) * deviation) - 1


def verdict(effect: Uplift, usual: Placebo | None) -> Verdict:
    """Up or down only beyond what the site does by itself; without such a history one cannot tell."""
    if effect.ratio.value is None:
        return Verdict(CANNOT_TELL, effect.ratio, None, effect.ratio.why)
    if usual is None:
        return Verdict(CANNOT_TELL, effect.ratio, None, NO_HISTORY)
    deviation = max(usual.deviation, effect.standard_error)
    reach = _reach(usual.weeks) * deviation
    word = UP if effect.b > reach else DOWN if effect.b < -reach else CANNOT_TELL
    shown = Ratio(
        effect.ratio.value, math.expm1(effect.b - reach), math.expm1(effect.b + reach), effect.ratio.formula
    )
    return Verdict(word, shown, detectable(deviation, usual.weeks))


def verdict_of_shares(change: Ratio, usual: Placebo | None) -> Verdict:
    """As `verdict`, of a difference of two shares with its interval; `detectable` is in shares too."""
    if change.value is None or change.low is None or change.high is None:
        return Verdict(CANNOT_TELL, change, None, change.why or NO_DENOMINATOR)
    if usual is None:
        return Verdict(CANNOT_TELL, change, None, NO_HISTORY)
    reach = max(_reach(usual.weeks) * usual.deviation, (change.high - change.low) / 2)
    word = UP if change.value > reach else DOWN if change.value < -reach else CANNOT_TELL
    shown = Ratio(
        change.value, change.value - reach, change.value + reach, change.formula, flags=change.flags
    )
    return Verdict(word, shown, reach)


def cuped(after: Sequence[float], before: Sequence[float], treated: Sequence[bool]) -> Cuped | None:
    """Treated less untreated stores, drawn by lot, with the pre-period taken out: Y' = Y - θ·(X - mean X).

    None below three stores, with an empty group, or where stores do not differ.
    """
    n, x_mean, y_mean = len(after), _mean(before), _mean(after)
    xx = math.fsum((x - x_mean) ** 2 for x in before)
    yy = math.fsum((y - y_mean) ** 2 for y in after)
    if n < 3 or len(set(treated)) < 2 or xx == 0 or yy == 0:
        return None
    xy = math.fsum((x - x_mean) * (y - y_mean) for x, y in zip(before, after, strict=True))
    theta = xy / xx
    adjusted = [y - theta * (x - x_mean) for x, y in zip(before, after, strict=True)]
    left = math.fsum((y - y_mean) ** 2 for y in adjusted)
    raw, mended = _difference(after, treated), _difference(adjusted, treated)
    return Cuped(theta, xy / math.sqrt(xx * yy), raw, mended, left / yy)


def _whole(base: Sequence[Week], at: int) -> bool:
    return all(week[at] is not None for week in base)


def _change(b: float, error: float, formula: str) -> Ratio:
    return Ratio(math.expm1(b), math.expm1(b - Z_95 * error), math.expm1(b + Z_95 * error), formula)


def _placebo_logs(
    weeks: Sequence[int | None], control: Sequence[int | None] | None, base: int
) -> Iterable[float]:
    for at in range(base, len(weeks)):
        here = _log_over_base(weeks[at - base : at + 1])
        there = 0.0 if control is None else _log_over_base(control[at - base : at + 1])
        if here is not None and there is not None:
            yield here - there


def _log_over_base(weeks: Sequence[int | None]) -> float | None:
    known = [week for week in weeks if week]
    return math.log(known[-1] / _mean(known[:-1])) if len(known) == len(weeks) else None


def _reach(weeks: int | None) -> float:
    return Z_95 if weeks is None else t_quantile(0.975, weeks - 1)


def _spread(steps: Sequence[float]) -> Placebo | None:
    if len(steps) < LEAST_PLACEBOS:
        return None
    mean = _mean(steps)
    deviation = math.sqrt(math.fsum((step - mean) ** 2 for step in steps) / (len(steps) - 1))
    ranked = sorted(steps)
    return Placebo(deviation, _quantile(ranked, 0.05), _quantile(ranked, 0.95), len(steps))


def _quantile(ranked: Sequence[float], share: float) -> float:
    """By linear interpolation between ranks."""
    at = share * (len(ranked) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ranked) - 1)
    return ranked[low] + (at - low) * (ranked[high] - ranked[low])


def _mean(figures: Sequence[float]) -> float:
    return math.fsum(figures) / len(figures) if figures else 0.0


def _difference(figures: Sequence[float], treated: Sequence[bool]) -> float:
    yes = [figure for figure, of in zip(figures, treated, strict=True) if of]
    no = [figure for figure, of in zip(figures, treated, strict=True) if not of]
    return _mean(yes) - _mean(no)
