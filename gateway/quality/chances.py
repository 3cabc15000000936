"""How likely a count is: Poisson and negative binomial, by the standard library alone (metrics 13).

A negative binomial count has mean m and variance m + m²·a. `a` is the dispersion, 1/k in the usual
notation: 0 is Poisson. Dispersions of independent causes add up, which k does not.
"""

from __future__ import annotations

import math

from gateway.measures.quantiles import beta_cdf

MIN_DISPERSION, MAX_DISPERSION = 1e-3, 1.0  # k between 1 and 1000
LN10 = math.log(10)
_TINY = 1e-300
_PRECISION = 1e-12
_MAX_TERMS = 2000


def dispersion(mean: float, variance: float) -> float:
    """1/k of counts with these moments, kept within its bounds; the largest where nobody comes."""
    if mean <= 0:
        return MAX_DISPERSION
    return bounded_dispersion((variance - mean) / (mean * mean))


def bounded_dispersion(raw: float) -> float:
    return min(max(raw, MIN_DISPERSION), MAX_DISPERSION)


def log10_nobody(mean: float, a: float) -> float:
    """log10 of the chance that nobody comes."""
    if a <= 0:
        return -mean / LN10
    return -math.log1p(mean * a) / a / LN10


def at_least(count: int, mean: float, a: float) -> float:
    """Chance of this count or more."""
    if count <= 0:
        return 1.0
    if mean <= 0:
        return 0.0
    if a <= 0:
        return _gamma_share(count, mean)
    return beta_cdf(mean * a / (1 + mean * a), count, 1 / a)


def repeat(mean: float) -> float:
    """Chance that two Poisson counts of this mean are equal: 1/(2·sqrt(pi·mean)), 1 % high at mean 12.

    A wider distribution repeats itself less, so this is the careful side.
    """
    return min(1.0, 1 / (2 * math.sqrt(math.pi * mean))) if mean > 0 else 1.0


def imbalance_z(ins: int, outs: int) -> float:
    """(in - out) in standard deviations of independent counts; those of one door are less far apart."""
    return (ins - outs) / math.sqrt(ins + outs) if ins + outs else 0.0


def ewma(before: float, value: float, share: float) -> float:
    """Exponentially weighted mean: `share` of it is the newest value."""
    return before + share * (value - before)


def _gamma_share(s: float, x: float) -> float:
    """Regularised lower incomplete gamma P(s, x), by series or continued fraction."""
    scale = math.exp(s * math.log(x) - x - math.lgamma(s))
    if x < s + 1:
        term = total = 1 / s
        n = s
        while term > total * _PRECISION:
            n += 1
            term *= x / n
            total += term
        return total * scale
    b, c, d = x + 1 - s, 1 / _TINY, 1 / (x + 1 - s)
    fraction = d
    for i in range(1, _MAX_TERMS):
        an = -i * (i - s)
        b += 2
        d = 1 / _kept(an * d + b)
        c = _kept(b + an / c)
        fraction *= d * c
        if abs(d * c - 1) < _PRECISION:
            break
    return 1 - scale * fraction


def _kept(value: float) -> float:
    """Away from zero, so that the next division is one."""
    return value if abs(value) > _TINY else _TINY
