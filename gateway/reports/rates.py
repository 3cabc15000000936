"""Ratios of a stretch of business days, each under its own name because they are different figures. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from gateway.measures import PHI_START, conversion_crude, gate, mall_share, told, unknown
from gateway.measures.capture import turn_in_rate
from gateway.measures.converting import conversion_units
from gateway.measures.money import average_transaction, sales_per_visitor
from gateway.measures.ratios import NOT_CONFIGURED, Ratio
from gateway.model import Role

NAMES = ("conversion_crude", "conversion_units", "turn_in_rate", "mall_share", "atv", "spv")


@dataclass(frozen=True, slots=True)
class Base:
    """Sums that rates are made of. `ins`: calibrated where they are, with the relative error `s_k`.

    `passersby` likewise, `s_capture` of both together. `phi`: how much more than by chance receipts scatter.
    `tills_heard`: without a receipt, too, a till said something.
    """

    ins: float
    passersby: float
    staff: int
    sales: int
    amount_minor: int
    s_k: float = 0.0
    s_capture: float = 0.0
    phi: float = PHI_START
    tills_heard: bool = True

    @property
    def visitors(self) -> float:
        return max(0.0, self.ins - self.staff)


@dataclass(frozen=True, slots=True)
class Centre:
    """The mall around a zone in the same stretch, and how much of the time it was watched."""

    base: Base
    complete: float | None


def rates(
    base: Base,
    roles: Collection[str],
    complete: float | None,
    centre: Centre | None,
    least: float,
    group: float | None = None,
) -> dict[str, Ratio]:
    """Those that stand beside conversion and capture rate, unknown below `least` completeness.

    Turnover per receipt asks no door, and needs none. `group`: persons who buy together, where that is known.
    """
    found = dict.fromkeys(NAMES, unknown(NOT_CONFIGURED))
    entrance, till = Role.ENTRANCE in roles, Role.TILL in roles
    if till:
        found["atv"] = average_transaction(base.amount_minor, base.sales)
    if entrance and till:
        noise = {"phi": base.phi, "s_k": base.s_k}
        found["conversion_crude"] = conversion_crude(base.sales, base.ins, **noise)
        found["spv"] = sales_per_visitor(base.amount_minor, base.sales, base.visitors, **noise)
        if group is not None:
            found["conversion_units"] = conversion_units(base.sales, base.visitors, group, **noise)
        found = {name: told(one, base.tills_heard) for name, one in found.items()}
    if entrance and Role.PASSING in roles:
        found["turn_in_rate"] = turn_in_rate(base.ins, base.passersby, base.s_capture)
    if entrance and centre is not None:
        both = math.hypot(base.s_k, centre.base.s_k)
        share = mall_share(base.visitors, centre.base.visitors, s_k=both)
        found["mall_share"] = gate(share, centre.complete, least)
    return {name: one if name == "atv" else gate(one, complete, least) for name, one in found.items()}
