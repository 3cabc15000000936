"""How many of those who pass come in; how many of the centre's visitors a store sees. Passage rates, all.

One person may pass and enter several times, so shares of several stores may add up to more than 1. Oracle O3.
"""

from __future__ import annotations

from gateway.measures.converting import PHI_START
from gateway.measures.intervals import poisson_ratio, widened, wilson
from gateway.measures.ratios import (
    MALL_SHARE,
    NO_DENOMINATOR,
    PASSERSBY,
    RATIO_GT_1,
    TURN_IN,
    Ratio,
    unknown,
)


def capture_rate(entries: float, passersby: float, s_k: float = 0.0) -> Ratio:
    """Store entries per passage at the front, both directions. Binomial: who enters has passed.

    `s_k`: relative standard error of the calibration of both together.
    """
    if passersby <= 0:
        return unknown(NO_DENOMINATOR)
    value, above = entries / passersby, entries > passersby
    interval = poisson_ratio(entries, passersby) if above else wilson(entries, passersby)
    flags = (RATIO_GT_1,) if above else ()
    return Ratio(value, *widened(value, *interval, s_k), PASSERSBY, flags=flags)


def turn_in_rate(entries: float, passersby: float, s_k: float = 0.0) -> Ratio:
    """Store entries of all who came by, where the line at the front does not see those who enter.

    100 in and 300 past are 1 in 4 here, and 1 in 3 by `capture_rate`: hence two ids. Binomial, never above 1.
    """
    everybody = entries + passersby
    if everybody <= 0 or passersby < 0:
        return unknown(NO_DENOMINATOR)
    value = entries / everybody
    low, high = widened(value, *wilson(entries, everybody), s_k)
    return Ratio(value, low, min(1.0, high), TURN_IN)


def mall_share(entries: float, mall_visitors: float, phi: float = PHI_START, s_k: float = 0.0) -> Ratio:
    """Store entries per visitor of the centre. Two doors, two counts: a ratio of over-dispersed Poissons.

    `s_k`: relative standard error of the calibration of both together.
    """
    if mall_visitors <= 0:
        return unknown(NO_DENOMINATOR)
    flags = (RATIO_GT_1,) if entries > mall_visitors else ()
    value = entries / mall_visitors
    interval = widened(value, *poisson_ratio(entries, mall_visitors, phi), s_k)
    return Ratio(value, *interval, MALL_SHARE, flags=flags)
