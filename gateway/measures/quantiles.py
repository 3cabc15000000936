"""Quantiles of Student's t and of the beta distribution, from the incomplete beta function.

The box carries no statistics library; what calibration, shrinking and week-level comparison need is here.
Continued fraction: DLMF 8.17.22, evaluated by Lentz's method in Thompson and Barnett's form.
"""

from __future__ import annotations

import math

TINY = 1e-300  # stands for a zero in the continued fraction, whose ratio it does not change
CLOSE = 1e-14
TERMS = 500
STEPS = 60
CLOSE_X = 1e-5  # a step so small leaves about its cube
LOG_THIN = -600.0


def beta_cdf(x: float, a: float, b: float) -> float:
    """P(X <= x) of Beta(a, b), 0…1; `a, b > 0`."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    return _cdf(x, a, b, _log_density(x, a, b, _log_scale(a, b)))


def beta_quantile(share: float, a: float, b: float) -> float:
    """The x with P(X <= x) = `share` of Beta(a, b); `0 < share < 1`."""
    x, low, high, scale = _guess(share, a, b), 0.0, 1.0, _log_scale(a, b)
    for _ in range(STEPS):
        log_density = _log_density(x, a, b, scale)
        error = _cdf(x, a, b, log_density) - share
        low, high = (low, x) if error > 0 else (x, high)
        step = _halley(x, a, b, error, log_density)
        if abs(step) <= max(CLOSE_X * min(x, 1 - x), 2 * math.ulp(x)):
            return min(max(x - step, 0.0), 1.0)
        x = x - step if low < x - step < high else (low + high) / 2
        if not 0 < x < 1:  # nearer to the end than a double can say
            break
    return x


def t_cdf(t: float, df: float) -> float:
    """P(T <= t) of Student's t with `df > 0` degrees of freedom."""
    tail = beta_cdf(df / (df + t * t), df / 2, 0.5) / 2
    return 1 - tail if t > 0 else tail


def t_quantile(share: float, df: float) -> float:
    """The t with P(T <= t) = `share`; `0 < share < 1`."""
    if share < 0.5:
        return -t_quantile(1 - share, df)
    if share == 0.5:
        return 0.0
    if share < 0.75:  # t² / (df + t²) is small there, and 1 - x would lose its digits
        y = beta_quantile(2 * share - 1, 0.5, df / 2)
        return math.sqrt(df * y / (1 - y))
    x = beta_quantile(2 * (1 - share), df / 2, 0.5)
    return math.sqrt(df * (1 - x) / x)


def _log_scale(a: float, b: float) -> float:
    return math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)


def _log_density(x: float, a: float, b: float, scale: float) -> float:
    return scale + (a - 1) * math.log(x) + (b - 1) * math.log1p(-x)


def _cdf(x: float, a: float, b: float, log_density: float) -> float:
    front = math.exp(log_density + math.log(x) + math.log1p(-x))
    if x < (a + 1) / (a + b + 2):  # where the fraction converges fast; the other side by symmetry
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(1 - x, b, a) / b


def _halley(x: float, a: float, b: float, error: float, log_density: float) -> float:
    """How far to step back; infinite where the density is too thin to divide by."""
    if log_density < LOG_THIN:
        return math.inf
    step = error / math.exp(log_density)
    bend = step * ((a - 1) / x - (b - 1) / (1 - x)) / 2
    return step / (1 - bend) if abs(bend) < 0.5 else step  # Newton while far off


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        before = value
        for term in (even, odd):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            value *= c * d
        if abs(value - before) < CLOSE * abs(value):
            break
    return value


def _away_from_zero(number: float) -> float:
    return number if abs(number) > TINY else TINY


def _guess(share: float, a: float, b: float) -> float:
    """The log odds of a beta variable are nearly normal; only a start."""
    if min(a, b) < 1:
        return 0.5 if max(a, b) < 1 else min(max(a / (a + b), 1e-6), 1 - 1e-6)
    centre = math.log((a - 0.4) / (b - 0.4))
    odds = math.exp(centre + _normal_guess(share) * math.sqrt(1 / a + 1 / b))
    return odds / (1 + odds)


def _normal_guess(share: float) -> float:
    """Within 0.005 of the normal quantile (Abramowitz and Stegun 26.2.22 has the form; Hastings 1955)."""
    tail = min(share, 1 - share)
    t = math.sqrt(-2 * math.log(tail))
    z = t - (2.30753 + 0.27061 * t) / (1 + 0.99229 * t + 0.04481 * t * t)
    return z if share > 0.5 else -z
