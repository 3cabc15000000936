"""From entries to receipts: the conversion rates, each with its own name because they are different
figures.

T receipts (net: without returns, voids, zero receipts and staff purchases), E entries, S staff entries. The
rate over visitors is what is published; the others stand beside it. The interval covers chance and
calibration, not the change from day to day. Method: `docs/measures.md`; oracles O4, O11 and O18e.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from gateway.measures.intervals import Interval, log_interval, newcombe, poisson_ratio, wilson
from gateway.measures.quantiles import beta_quantile
from gateway.measures.ratios import (
    BAGS,
    CRUDE,
    DIFFERENCE,
    NO_DENOMINATOR,
    PROVISIONAL,
    RATIO_GT_1,
    RECEIPTS_FROM_BAGS,
    SHRUNK,
    SHRUNKEN,
    UNITS,
    VISITORS,
    Ratio,
    unknown,
)

PHI_START = 2.0  # over-dispersion of receipts given entries, until a site's own history says better
SMALL_SALES = 10  # below this the log interval is not to be trusted: Wilson with the effective counts
CROSSINGS_PER_SHIFT = 4  # an assumption until the store has been asked
PRIOR_LIMITS = (20.0, 2000.0)  # persons a prior may weigh


def staff_entries(shifts: int, crossings_per_shift: int = CROSSINGS_PER_SHIFT) -> int:
    """Entries of staff from the roster: shifts worked in the window × entries a shift."""
    return shifts * crossings_per_shift


def rate_interval(sales: float, base: float, phi: float, s_k: float) -> Interval:
    """95 % of sales / base; `sales >= 0`, `base > 0`. Thinning while sales are a part of the base, two
    Poissons beyond. Below ten sales calibration is nothing beside chance, and is left out."""
    value = sales / base
    if sales > base:
        return log_interval(value, phi * (1 / sales + 1 / base) + s_k * s_k)
    if sales < SMALL_SALES:
        return wilson(sales / phi, base / phi)
    return log_interval(value, phi * (1 - value) / sales + s_k * s_k)


def rate(sales: float, base: float, formula: str, phi: float = 1.0, s_k: float = 0.0) -> Ratio:
    """sales / base under the given formula id; unknown without a base, flagged above 1."""
    if base <= 0:
        return unknown(NO_DENOMINATOR)
    low, high = rate_interval(sales, base, phi, s_k)
    return Ratio(sales / base, low, high, formula, flags=(RATIO_GT_1,) if sales > base else ())


def conversion(
    sales: int, ins: float, *, staff: float = 0, phi: float = PHI_START, s_k: float = 0.0
) -> Ratio:
    """Receipts per visitor (entries less staff). `s_k`: relative standard error of the calibration."""
    return rate(sales, ins - staff, VISITORS, phi, s_k)


def conversion_crude(sales: int, ins: float, *, phi: float = PHI_START, s_k: float = 0.0) -> Ratio:
    """Receipts per entry, staff and all: for comparison with sites that cannot tell staff."""
    return rate(sales, ins, CRUDE, phi, s_k)


def conversion_units(
    sales: int, ins: float, group: float, *, staff: float = 0, phi: float = PHI_START, s_k: float = 0.0
) -> Ratio:
    """Receipts per buying unit of `group` persons (>= 1, from a survey or a counter that sees groups)."""
    if group < 1:
        raise ValueError(f"a buying unit has at least one person, not {group}")
    return rate(sales, (ins - staff) / group, UNITS, phi, s_k)


def bag_rate(bags: int, outs: int, group: float = 1.0) -> Ratio:
    """Persons leaving with a bag per person leaving, seen or sampled, by Wilson. Not conversion.

    `group`: people come in clumps, so `outs` of them tell as much as `outs / group` single persons.
    """
    if outs <= 0:
        return unknown(NO_DENOMINATOR)
    clump = max(1.0, group)
    if bags > outs:
        return Ratio(bags / outs, *poisson_ratio(bags, outs, clump), BAGS, flags=(RATIO_GT_1,))
    return Ratio(bags / outs, *wilson(bags / clump, outs / clump), BAGS)


def receipts_from_bags(bags: int, per_carrier: float, low: float, high: float) -> Ratio:
    """Receipts estimated from bag-carriers by a surveyed factor with its 95 % interval; always
    `provisional`."""
    return Ratio(bags * per_carrier, bags * low, bags * high, RECEIPTS_FROM_BAGS, flags=(PROVISIONAL,))


def prior(days: Sequence[tuple[int, int]], phi: float = PHI_START) -> tuple[float, float] | None:
    """(m, n0) of earlier (receipts, visitors), best the last four same weekdays; None without receipts and
    visitors.

    m is their common rate; n0 the visitors it weighs: m(1-m) / variance between days - 1, what the days
    differ beyond chance (method of moments for the beta-binomial), kept within 20…2000.
    """
    known = [(sales, visitors) for sales, visitors in days if visitors > 0]
    total_sales, total = sum(day[0] for day in known), sum(day[1] for day in known)
    if not 0 < total_sales < total:
        return None
    m = total_sales / total
    spread = m * (1 - m)
    low, high = PRIOR_LIMITS
    if len(known) < 2:
        return m, low
    chi2 = math.fsum((sales - m * visitors) ** 2 / visitors for sales, visitors in known)
    degrees = len(known) - 1
    size = total - math.fsum(visitors * visitors for _, visitors in known) / total
    between = (chi2 - degrees * phi * spread) / size
    return m, min(max(spread / between - 1, low), high) if between > 0 else high


def conversion_shrunk(sales: int, visitors: float, m: float, n0: float) -> Ratio:
    """(T + n0·m) / (visitors + n0): early in the day, while little is counted; always flagged `shrunk`. `0
    < m < 1`.

    The interval is of Beta(T + n0·m, visitors - T + n0·(1 - m)). More receipts than visitors: unknown
    shares make no posterior, so the plain rate is given instead.
    """
    if visitors <= 0 or sales > visitors:
        return conversion(sales, visitors)
    a, b = sales + n0 * m, visitors - sales + n0 * (1 - m)
    low, high = beta_quantile(0.025, a, b), beta_quantile(0.975, a, b)
    return Ratio(a / (a + b), low, high, SHRUNKEN, flags=(SHRUNK,))


def conversion_difference(first: tuple[int, int], second: tuple[int, int], phi: float = 1.0) -> Ratio:
    """first - second of two (receipts, visitors), by Newcombe with counts divided by `phi`; -1…1.

    Unknown when either has no visitors. With more receipts than visitors there is a difference and no
    interval.
    """
    if min(first[1], second[1]) <= 0:
        return unknown(NO_DENOMINATOR)
    value = first[0] / first[1] - second[0] / second[1]
    if first[0] > first[1] or second[0] > second[1]:
        return Ratio(value, formula=DIFFERENCE, flags=(RATIO_GT_1,))
    low, high = newcombe((first[0] / phi, first[1] / phi), (second[0] / phi, second[1] / phi))
    return Ratio(value, low, high, DIFFERENCE)
