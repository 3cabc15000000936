"""Pure: a zone's business day so far as ratios, each under its own name because they are different figures.

`conversion` of receipts per visitor is published beside these. Figures by lag are of closed windows only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway import measures
from gateway.learning import NOTHING, Learnt
from gateway.measures import Ratio, gate
from gateway.measures.capture import turn_in_rate
from gateway.measures.converting import (
    bag_rate,
    conversion_crude,
    conversion_shrunk,
    conversion_units,
)
from gateway.measures.dwell import dwell_windows_so_far
from gateway.measures.lag import conversion_lagged, rolling_length
from gateway.measures.money import average_transaction, sales_per_visitor
from gateway.measures.ratios import NO_HISTORY, unknown

HOUR_S = 3600
FEW_SALES = 10  # below this the shrunk rate is shown


@dataclass(frozen=True, slots=True)
class Sums:
    """What a zone counted today. `visitors`: calibrated ins less staff; `s_k` of that calibration.

    `closed`: (visitors, sales) of each closed window of `size_s`, none left out; `lagged`: the visitors of
    whom a receipt can be expected in each, () while no lag is known. `centre`: visitors of the zone around,
    None without one; `s_centre` of their calibration. `group`: persons who buy together. `taps`: (persons,
    with a bag). `has_doors`: somebody can come in there. `crossed`: (ins, outs) of each closed window;
    `exit_ratio`: how much an exit counts. `tills_heard`: without a receipt, too, a till said something.
    """

    ins: float
    visitors: float
    sales: int
    amount_minor: int
    size_s: int
    weekday: int
    closed: Sequence[tuple[float, int]] = ()
    lagged: Sequence[float] = ()
    learnt: Learnt = NOTHING
    s_k: float = 0.0
    centre: float | None = None
    s_centre: float = 0.0
    group: float | None = None
    taps: tuple[int, int] | None = None
    has_doors: bool = True
    has_tills: bool = False
    passersby: float | None = None  # None: no line at the front
    s_capture: float = 0.0
    crossed: Sequence[tuple[float, float]] = ()
    exit_ratio: float = 1.0
    tills_heard: bool = True


def figures(
    now: Sums, complete: float | None, least: float, centre_complete: float | None = None
) -> dict[str, Ratio]:
    """Those that the zone is configured for, by name; unknown with a reason while too little was watched.

    `centre_complete`: of the zone around it, which its share needs too.
    """
    found = _of_doors(now, centre_complete, least) if now.has_doors else {}
    gated = {name: gate(ratio, complete, least) for name, ratio in found.items()}
    if now.has_tills:
        gated["atv"] = average_transaction(now.amount_minor, now.sales)  # of receipts alone: no door is asked
    if now.taps is not None:
        gated["bag_rate"] = bag_rate(now.taps[1], now.taps[0], now.group or 1.0)
    return gated | ({"dwell": now.learnt.dwell} if now.has_doors else {})


def _of_doors(now: Sums, centre_complete: float | None, least: float) -> dict[str, Ratio]:
    found = dict(_of_receipts(now)) if now.has_tills else {}
    ins, outs = zip(*now.crossed, strict=True) if now.crossed else ((), ())
    found["dwell_so_far"] = dwell_windows_so_far(ins, outs, now.size_s, now.exit_ratio)
    if now.passersby is not None:
        found["turn_in_rate"] = turn_in_rate(now.ins, now.passersby, now.s_capture)
    if now.centre is not None:
        both = math.hypot(now.s_k, now.s_centre)
        share = measures.mall_share(now.visitors, now.centre, s_k=both)
        found["mall_share"] = gate(share, centre_complete, least)
    return found


def _of_receipts(now: Sums) -> Mapping[str, Ratio]:
    phi, s_k = now.learnt.phi_day, now.s_k
    found = {
        "conversion_crude": conversion_crude(now.sales, now.ins, phi=phi, s_k=s_k),
        "conversion_lagged": _so_far(now),
        "conversion_trailing": _trailing(now),
        "spv": sales_per_visitor(now.amount_minor, now.sales, now.visitors, phi=phi, s_k=s_k),
    }
    if now.group is not None:
        units = conversion_units(now.sales, now.visitors, now.group, phi=phi, s_k=s_k)
        found["conversion_units"] = units
    if now.sales < FEW_SALES:
        found["conversion_shrunk"] = _shrunk(now)
    return {name: measures.told(ratio, now.tills_heard) for name, ratio in found.items()}


def _shrunk(now: Sums) -> Ratio:
    """While there are few receipts: pulled towards the last same weekdays, and labelled."""
    usual = now.learnt.prior_of(now.weekday)
    if usual is None:
        return unknown(NO_HISTORY)
    return conversion_shrunk(now.sales, now.visitors, *usual)


def _so_far(now: Sums) -> Ratio:
    """Receipts per visitor of whom it can be expected by now."""
    if now.learnt.lag_s is None:
        return unknown(NO_HISTORY)
    sales = sum(sold for _came, sold in now.closed)
    return conversion_lagged(sales, math.fsum(now.lagged), phi=now.learnt.phi_day, s_k=now.s_k)


def _trailing(now: Sums) -> Ratio:
    """The last hour, or four mean lags where that is longer; unknown before so much of the day has passed."""
    if now.learnt.lag_s is None:
        return unknown(NO_HISTORY)
    length = rolling_length(now.learnt.lag_s / now.size_s, max(1, HOUR_S // now.size_s))
    if len(now.closed) < length:
        return unknown(NO_HISTORY)
    sales = sum(sold for _came, sold in now.closed[-length:])
    phi = now.learnt.phi_trailing
    return conversion_lagged(sales, math.fsum(now.lagged[-length:]), phi=phi, s_k=now.s_k)
