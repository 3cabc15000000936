"""95 % intervals of shares, ratios and differences, in closed form where one is good enough.

Sources: Wilson 1927; Clopper and Pearson 1934; Brown, Cai and DasGupta 2001 (why never Wald's); Newcombe
1998; Gu, Ng, Tang and Schucany 2008 (ratio of two Poisson rates). Checked against scipy and statsmodels to
six digits.
"""

from __future__ import annotations

import math

from gateway.measures.quantiles import beta_quantile

Z_95 = 1.959964
LARGEST_LOG = 100.0  # an interval so wide says nothing, and must not overflow
Interval = tuple[float, float]


def wilson(hits: float, trials: float) -> Interval:
    """Of a binomial share; `0 <= hits <= trials`, `trials > 0`. Sane at 0 and at all."""
    share, z2 = hits / trials, Z_95 * Z_95
    scale = 1 + z2 / trials
    centre = (share + z2 / (2 * trials)) / scale
    half = Z_95 * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials * trials)) / scale
    # at the ends rounding must not push the limit past the share itself
    return min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half))


def log_interval(value: float, relative_variance: float) -> Interval:
    """value × exp(∓ z × relative standard error); for `value > 0`."""
    factor = math.exp(min(Z_95 * math.sqrt(relative_variance), LARGEST_LOG))
    return value / factor, value * factor


def widened(value: float, low: float, high: float, s_k: float) -> Interval:
    """An interval of a ratio whose sums were calibrated: both errors, unrelated, on the log scale.

    `s_k >= 0`: relative standard error of the calibration. A limit at 0 stays there.
    """
    if not s_k:
        return low, high
    extra = (Z_95 * s_k) ** 2
    below = value / math.exp(math.sqrt(math.log(value / low) ** 2 + extra)) if low > 0 else low
    above = math.sqrt(math.log(high / value) ** 2 + extra) if value > 0 else math.sqrt(extra)
    return below, (value or high) * math.exp(above)


def clopper_pearson(hits: int, trials: int) -> Interval:
    """Of a binomial share, at least 95 %: for those who ask for a guarantee. Wider than Wilson's."""
    low = beta_quantile(0.025, hits, trials - hits + 1) if hits else 0.0
    high = beta_quantile(0.975, hits + 1, trials - hits) if hits < trials else 1.0
    return low, high


def jeffreys(hits: int, trials: int) -> Interval:
    """Of a binomial share, by Bayes with Beta(1/2, 1/2); its limit is 0 at no hit and 1 at all."""
    a, b = hits + 0.5, trials - hits + 0.5
    low = beta_quantile(0.025, a, b) if hits else 0.0
    return low, beta_quantile(0.975, a, b) if hits < trials else 1.0


def poisson_ratio(hits: float, base: float, phi: float = 1.0) -> Interval:
    """Of the ratio of two separately counted numbers; `hits >= 0`, `base > 0`, over-dispersion `phi >= 1`.

    By logarithms; few hits by Wilson's interval of hits in hits + base, which is sane at 0.
    """
    if hits >= 10:
        return log_interval(hits / base, phi * (1 / hits + 1 / base))
    low, high = wilson(hits / phi, (hits + base) / phi)
    return low / (1 - low), high / (1 - high)


def poisson_ratio_exact(hits: int, base: int) -> Interval:
    """As `poisson_ratio` without over-dispersion, by Clopper and Pearson on hits / (hits + base); `base >
    0`."""
    low, high = clopper_pearson(hits, hits + base)
    return low / (1 - low), high / (1 - high)


def newcombe(first: tuple[float, float], second: tuple[float, float]) -> Interval:
    """Of the difference first - second of two shares, each (hits, trials) with `0 <= hits <= trials`."""
    p, q = first[0] / first[1], second[0] / second[1]
    (p_low, p_high), (q_low, q_high) = wilson(*first), wilson(*second)
    low = p - q - math.hypot(p - p_low, q_high - q)
    return low, p - q + math.hypot(p_high - p, q - q_low)
