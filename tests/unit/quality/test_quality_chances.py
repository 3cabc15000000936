"""Oracles O13 and O19, computed elsewhere with numpy and scipy, to six digits."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.measures.quantiles import beta_cdf
from gateway.quality import chances
from gateway.quality.cells import NOTHING, Moments
from gateway.quality.detectors import Cusum

K4 = 0.25  # dispersion of a negative binomial with k 4


def exactly(count: int, mean: float, a: float) -> float:
    return chances.at_least(count, mean, a) - chances.at_least(count + 1, mean, a)


def test_o13_the_poisson_limits_at_0_135_per_cent() -> None:
    assert chances.at_least(25, 12, 0) <= 0.00135 < chances.at_least(24, 12, 0)
    assert 1 - chances.at_least(3, 12, 0) <= 0.00135 < 1 - chances.at_least(4, 12, 0)


def test_o13_the_negative_binomial_limits() -> None:
    assert chances.at_least(43, 12, K4) <= 0.00135 < chances.at_least(42, 12, K4)
    assert exactly(0, 12, K4) > 0.00135, "not even nobody is below the lower limit"


def test_o13_tails_and_single_counts() -> None:
    assert round(chances.at_least(30, 12, 0), 6) == 0.000009
    assert round(chances.at_least(30, 12, K4), 6) == 0.020548
    assert round(exactly(0, 12, K4), 6) == round(10 ** chances.log10_nobody(12, K4), 6) == 0.003906
    assert round(exactly(12, 12, K4), 6) == 0.0563
    assert 12 + 12 * 12 * K4 == 48


def test_o13b_a_run_of_zeros() -> None:
    means = [5, 7, 9, 9, 8, 6]
    assert round(sum(chances.log10_nobody(mean, 0) for mean in means), 6) == -19.108957
    assert round(sum(chances.log10_nobody(mean, K4) for mean in means), 6) == -10.761373


def test_o13c_repeated_counts() -> None:
    assert round(chances.repeat(12), 6) == 0.081434
    exact = sum(exactly(n, 12, 0) ** 2 for n in range(80))
    assert round(exact, 6) == 0.081868
    assert round(7 * math.log10(exact), 6) == -7.60819
    wide = sum(exactly(n, 12, K4) ** 2 for n in range(400))
    assert round(wide, 6) == 0.045201
    assert round(7 * math.log10(wide), 6) == -9.413961


def test_o13d_an_imbalance_that_may_be_chance() -> None:
    assert round(chances.imbalance_z(256, 220), 6) == 1.650057
    assert round(chances.imbalance_z(256, 220) / math.sqrt(4), 6) == 0.825029
    assert round(2 * beta_cdf(0.5, 256, 220 + 1), 6) == 0.108568  # two-sided, of an even coin


def test_o13f_a_falling_sum() -> None:
    reference = (12 - 8) / math.log(12 / 8)
    assert round(reference, 6) == 9.865214
    cusum, seen = Cusum(), []
    for count in (11, 9, 7, 8, 6, 9, 7):
        cusum = cusum.add(reference - count, count, 12, 1)
        seen.append(round(cusum.value, 6))
    assert seen == [0, 0.865214, 3.730428, 5.595642, 9.460855, 10.326069, 13.191283]


def test_o13g_an_exponentially_weighted_mean() -> None:
    mean, seen = 12.0, []
    for count in (11, 9, 7, 8, 6, 9, 7):
        mean = chances.ewma(mean, count, 0.2)
        seen.append(round(mean, 6))
    assert seen == [11.8, 11.24, 10.392, 9.9136, 9.13088, 9.104704, 8.683763]
    sigma = math.sqrt(12 * 0.2 / (2 - 0.2))
    assert (round(sigma, 6), round(12 - 3 * sigma, 6)) == (1.154701, 8.535898)


def test_o19_the_moments_of_a_cell() -> None:
    moments = NOTHING
    for count in (3, 7, 7, 19):
        moments = moments.learn(count)
    assert (round(moments.mean, 6), round(moments.variance, 6)) == (9, 48)
    assert round(moments.variance / moments.mean, 6) == 5.333333
    assert round(1 / chances.dispersion(moments.mean, moments.variance), 6) == 2.076923


def test_a_dispersion_stays_within_k_1_and_k_1000() -> None:
    assert chances.dispersion(10, 3) == 1 / 1000
    assert chances.dispersion(10, 10_000) == 1
    assert chances.dispersion(0, 0) == 1


@given(
    st.integers(0, 200_000),
    st.floats(1e-3, 1e5),
    st.one_of(st.just(0.0), st.floats(chances.MIN_DISPERSION, chances.MAX_DISPERSION)),
)
def test_a_chance_is_a_chance(count: int, mean: float, a: float) -> None:
    assert -1e-9 <= chances.at_least(count, mean, a) <= 1 + 1e-9
    assert chances.at_least(count + 1, mean, a) <= chances.at_least(count, mean, a) + 1e-9
    assert chances.log10_nobody(mean, a) <= 0


@pytest.mark.parametrize("a", [0.0, 0.05, 1.0])
def test_the_chances_of_all_counts_add_up_and_have_the_mean(a: float) -> None:
    assert sum(chances.at_least(n, 7.5, a) for n in range(1, 600)) == pytest.approx(7.5, rel=1e-6)


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=30), st.integers(5, 60))
def test_moments_are_those_of_the_values_until_memory_is_full(values: list[float], memory: int) -> None:
    moments = Moments()
    for value in values[:memory]:
        moments = moments.learn(value, memory)
    seen = values[:memory]
    mean = sum(seen) / len(seen)
    variance = sum((value - mean) ** 2 for value in seen) / (len(seen) - 1)
    assert moments.mean == pytest.approx(mean, rel=1e-9, abs=1e-6)
    assert moments.variance == pytest.approx(variance, rel=1e-6, abs=1e-3)


def test_a_full_memory_follows_what_is_new() -> None:
    moments = Moments()
    for value in [100.0] * 60 + [50.0] * 300:
        moments = moments.learn(value, 60)
    assert moments.n == 60
    assert moments.mean == pytest.approx(50, abs=1)


def test_a_full_memory_forgets_how_wide_it_once_was() -> None:
    moments = Moments()
    for value in [0.0, 100.0] * 30 + [50.0] * 300:
        moments = moments.learn(value, 60)
    assert moments.variance < 30
