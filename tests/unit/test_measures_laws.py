"""What holds for any counts: parts add up, no division by zero, no share outside 0…1 unsaid, in any order."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import measures
from gateway.measures import (
    calibration,
    campaign,
    capture,
    converting,
    dispersion,
    dwell,
    growth,
    imputing,
    intervals,
    lag,
    money,
    presence,
    quantiles,
    ratios,
)

COUNT = st.integers(0, 10**9)
FEW = st.integers(0, 300)
PHI = st.floats(1, 50) | st.floats(1, 1e12)  # the second: a history gone wild
S_K = st.floats(0, 0.2)
DAY = st.lists(st.tuples(FEW, FEW), max_size=60)
SHARES = {
    ratios.CRUDE,
    ratios.VISITORS,
    ratios.LAGGED,
    ratios.UNITS,
    ratios.SHRUNKEN,
    ratios.BAGS,
    ratios.PASSERSBY,
    ratios.TURN_IN,
    ratios.MALL_SHARE,
}


def sound(ratio: measures.Ratio) -> None:
    """Known with a formula, finite, within its band; or unknown with a reason. A share above 1 is flagged."""
    if ratio.value is None:
        assert ratio.why
        assert ratio.low is None
        assert ratio.high is None
        return
    assert ratio.formula in ratios.UNIT_OF
    assert math.isfinite(ratio.value)
    assert (ratio.low is None) == (ratio.high is None)
    if ratio.low is not None and ratio.high is not None:
        assert ratio.low <= ratio.value + 1e-12
        assert ratio.high >= ratio.value - 1e-12
    if ratio.formula in SHARES:
        assert ratio.value >= 0
        assert ratio.value <= 1 or ratios.RATIO_GT_1 in ratio.flags
        assert ratio.value > 1 or ratios.RATIO_GT_1 not in ratio.flags


@given(COUNT, st.integers(-100, 10**9), FEW, PHI, S_K, st.floats(1, 9))
def test_conversion_by_any_name_is_sound(
    sales: int, ins: int, staff: int, phi: float, s_k: float, group: float
) -> None:
    sound(measures.conversion(sales, ins, staff=staff, phi=phi, s_k=s_k))
    sound(converting.conversion_crude(sales, ins, phi=phi, s_k=s_k))
    sound(converting.conversion_units(sales, ins, group, staff=staff, phi=phi, s_k=s_k))
    sound(lag.conversion_lagged(sales, ins / 3, phi=phi, s_k=s_k))
    sound(converting.bag_rate(sales, ins, group))


@given(FEW, FEW, st.floats(0.001, 0.999), st.floats(20, 2000))
def test_the_shrunken_rate_lies_between_the_plain_one_and_the_prior(
    sales: int, visitors: int, m: float, n0: float
) -> None:
    ratio = converting.conversion_shrunk(sales, visitors, m, n0)
    sound(ratio)
    if ratio.flags == ("shrunk",) and ratio.value is not None:
        plain = sales / visitors
        assert min(plain, m) - 1e-12 <= ratio.value <= max(plain, m) + 1e-12


@given(COUNT, st.integers(-5, 10**9), PHI)
def test_capture_is_sound(entries: int, passersby: int, phi: float) -> None:
    sound(measures.capture_rate(entries, passersby))
    sound(capture.turn_in_rate(entries, passersby))
    sound(capture.mall_share(entries, passersby, phi))


@given(FEW, FEW, FEW, FEW, PHI)
def test_a_difference_is_sound_and_turns_its_sign(t1: int, e1: int, t2: int, e2: int, phi: float) -> None:
    there = converting.conversion_difference((t1, e1), (t2, e2), phi)
    back = converting.conversion_difference((t2, e2), (t1, e1), phi)
    sound(there)
    if there.low is not None and back.high is not None:
        assert there.low == pytest.approx(-back.high, abs=1e-12)
        assert there.low >= -1 - 1e-12


@given(st.integers(-(10**12), 10**12), FEW, FEW, st.floats(0, 5))
def test_money_is_sound_and_spv_is_conversion_times_atv(
    amount: int, sales: int, visitors: int, cv: float
) -> None:
    atv, spv = (
        money.average_transaction(amount, sales, cv),
        money.sales_per_visitor(amount, sales, visitors, cv=cv),
    )
    sound(atv)
    sound(spv)
    rate = measures.conversion(sales, visitors)
    if atv.value is not None and spv.value is not None and rate.value is not None:
        assert spv.value == pytest.approx(rate.value * atv.value, rel=1e-9)


@given(FEW, st.floats(0, 1e7), FEW, st.floats(0, 1e7), st.floats(0, 1e5))
def test_dwell_is_sound_and_never_negative(ins: int, came: float, outs: int, left: float, now: float) -> None:
    for stay in (dwell.dwell_events(ins, came, outs, left), dwell.dwell_so_far(ins, came, outs, left, now)):
        sound(stay)
        assert stay.value is None or stay.value >= 0


@given(st.lists(st.tuples(st.floats(0, 40_000), st.floats(0, 9_000)), min_size=1, max_size=40))
def test_dwell_is_the_mean_of_the_visits(visits: list[tuple[float, float]]) -> None:
    came, left = math.fsum(at for at, _ in visits), math.fsum(at + stayed for at, stayed in visits)
    stay = dwell.dwell_events(len(visits), came, len(visits), left)
    mean = math.fsum(stayed for _, stayed in visits) / len(visits) / 60
    assert (stay.value or 0) == pytest.approx(mean, abs=1e-6)


@given(st.lists(COUNT, max_size=40), st.data())
def test_parts_add_up_for_any_partition(counts: list[int], data: Any) -> None:
    cut = data.draw(st.integers(0, len(counts)))
    parts = measures.footfall(counts[:cut]) + measures.footfall(counts[cut:])
    assert parts == measures.footfall(counts)


@given(st.lists(FEW, max_size=40), st.floats(0, 4000), st.sampled_from([60, 300, 900]))
def test_lagging_loses_and_invents_nobody(entries: list[int], mean_s: float, size_s: int) -> None:
    h = lag.kernel(mean_s, size_s)
    padded = [*entries, *[0] * len(h)]
    moved = lag.lagged(padded, h)
    assert math.fsum(moved) == pytest.approx(sum(entries), abs=1e-6)
    assert min(moved) >= 0
    recent: tuple[float, ...] = ()
    for came, expected in zip(padded, moved, strict=True):
        recent, now = lag.lag_step(recent, came, h)
        assert now == pytest.approx(expected, abs=1e-9)


@given(DAY, st.floats(0.8, 1.25))
def test_nobody_is_ever_fewer_than_none(steps: list[tuple[int, int]], r: float) -> None:
    assert all(inside >= 0 for inside in presence.series(steps, r))
    assert presence.safety_peak(steps) >= max(accumulate(ins - outs for ins, outs in steps), default=0)


@given(DAY.filter(lambda steps: any(outs for _, outs in steps)))
def test_a_corrected_day_ends_empty(steps: list[tuple[int, int]]) -> None:
    assert presence.retrospective(steps)[-1] == pytest.approx(0, abs=1e-6)


@given(DAY)
def test_the_drift_ratio_stays_within_its_limits(days: list[tuple[int, int]]) -> None:
    drift = presence.Drift()
    for ins, outs in days:
        drift = presence.after_day(drift, ins, outs, 1.0)
    assert 0.8 <= presence.live_ratio(drift)[0] <= 1.25


@given(st.lists(st.tuples(FEW, st.floats(0, 300)), max_size=30), FEW, st.floats(0, 9000))
def test_dispersion_is_finite_and_at_least_one(
    parts: list[tuple[int, float]], sales: int, entries: float
) -> None:
    seen = dispersion.after_day(dispersion.Dispersion(), dispersion.squares(parts, sales, entries))
    assert 1 <= dispersion.phi(seen) < math.inf


@given(FEW, st.floats(0, 2000), st.floats(0, 2000), st.floats(0, 1), PHI)
def test_what_is_imputed_is_beside_what_was_counted(
    observed: int, seen: float, missing: float, covered: float, phi: float
) -> None:
    found = imputing.estimate(observed, seen, missing, covered, phi=phi)
    assert found.observed == observed
    if found.total is None:
        assert found.why
        return
    assert found.total == observed + found.imputed
    assert found.low is not None
    assert found.high is not None
    assert observed <= found.low <= found.total <= found.high
    assert bool(found.imputed) <= ("estimated" in found.flags)


@given(st.integers(0, 500), st.integers(1, 500), PHI)
def test_intervals_hold_their_share_and_grow_with_dispersion(hits: int, trials: int, phi: float) -> None:
    hits = min(hits, trials)
    for low, high in (
        intervals.wilson(hits, trials),
        intervals.clopper_pearson(hits, trials),
        intervals.jeffreys(hits, trials),
    ):
        assert 0 <= low <= hits / trials <= high <= 1
    narrow, wide = measures.conversion(hits, trials, phi=1), measures.conversion(hits, trials, phi=phi)
    assert narrow.low is not None
    assert wide.low is not None
    assert wide.low <= narrow.low + 1e-12


@given(st.floats(0.001, 0.999), st.floats(0.5, 3000), st.floats(0.5, 3000))
def test_a_quantile_is_the_inverse_of_its_distribution(share: float, a: float, b: float) -> None:
    x = quantiles.beta_quantile(share, a, b)
    assert 0 <= x <= 1
    if 1e-12 < x < 1 - 1e-12:  # closer to the ends a double cannot say where it is
        assert quantiles.beta_cdf(x, a, b) == pytest.approx(share, abs=1e-8)


@given(st.floats(0.001, 0.999), st.integers(1, 2000))
def test_a_t_quantile_is_the_inverse_of_its_distribution(share: float, df: int) -> None:
    assert quantiles.t_cdf(quantiles.t_quantile(share, df), df) == pytest.approx(share, abs=1e-9)


# --- order


TALLIES = st.lists(
    st.builds(calibration.Tally, st.integers(0, 400), st.integers(0, 400)), min_size=1, max_size=12
)


@given(TALLIES, st.randoms(use_true_random=False))
def test_the_order_of_tallies_is_nothing(tallies: list[calibration.Tally], dice: Any) -> None:
    shuffled = dice.sample(tallies, len(tallies))
    assert calibration.calibrate(shuffled) == calibration.calibrate(tallies)


DOORS = st.lists(
    st.builds(
        growth.Door,
        st.text(max_size=3),
        st.none() | FEW,
        st.none() | FEW,
        st.none() | st.floats(0, 1),
        st.just(1.0),
        st.booleans(),
    ),
    max_size=10,
    unique_by=lambda door: door.name,
)


@given(DOORS, st.randoms(use_true_random=False))
def test_the_order_of_doors_is_nothing(doors: list[growth.Door], dice: Any) -> None:
    shuffled = dice.sample(doors, len(doors))
    found = growth.like_for_like(doors)
    sound(found.ratio)
    assert growth.like_for_like(shuffled) == found
    assert growth.suspected_breaks(shuffled) == growth.suspected_breaks(doors)
    assert found.share_now is None or 0 <= found.share_now <= 1


@given(
    st.lists(st.lists(FEW, min_size=7, max_size=7), max_size=6),
    st.lists(st.none() | FEW, min_size=7, max_size=7),
    st.randoms(use_true_random=False),
)
def test_the_order_of_base_weeks_is_nothing(base: list[list[int]], now: list[int | None], dice: Any) -> None:
    shuffled = dice.sample(base, len(base))
    found = campaign.matched(base, now)
    sound(found.ratio)
    assert campaign.matched(shuffled, now) == found
    totals, mixed = [sum(week) for week in base], [sum(week) for week in shuffled]
    assert campaign.week_level(mixed, 900) == campaign.week_level(totals, 900)


@given(st.lists(st.tuples(st.lists(FEW, min_size=4, max_size=4), FEW), max_size=8), st.randoms())
def test_the_order_of_days_is_nothing_to_lag_and_prior(days: list[tuple[list[int], int]], dice: Any) -> None:
    shuffled = dice.sample(days, len(days))
    assert lag.learn(lag.of_day(came, [0, 0, paid, 1]) for came, paid in shuffled) == lag.learn(
        lag.of_day(came, [0, 0, paid, 1]) for came, paid in days
    )
    pairs = [(paid, sum(came)) for came, paid in days]
    assert converting.prior([(paid, sum(came)) for came, paid in shuffled]) == converting.prior(pairs)
    mean = lag.mean_lag(lag.learn(lag.of_day(came, [0, 0, paid, 1]) for came, paid in days))
    assert mean is None or mean >= 0


@given(st.lists(st.none() | FEW, max_size=30), st.lists(st.none() | FEW, min_size=30, max_size=30))
def test_a_placebo_is_finite_whatever_the_history(weeks: list[int | None], control: list[int | None]) -> None:
    for found in (campaign.placebo(weeks), campaign.placebo(weeks, control)):
        if found is not None:
            assert 0 <= found.deviation < math.inf
            assert found.low <= found.high
            said = campaign.verdict(campaign.matched([[100]] * 4, [130]), found)
            assert said.word in ("up", "down", "cannot tell")
            assert said.detectable is not None


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6), st.booleans()), max_size=12),
)
def test_cuped_never_makes_it_worse(stores: list[tuple[float, float, bool]]) -> None:
    found = campaign.cuped([y for y, _, _ in stores], [x for _, x, _ in stores], [of for _, _, of in stores])
    if found is not None:
        assert found.variance_ratio <= 1 + 1e-6
        assert abs(found.correlation) <= 1 + 1e-6
