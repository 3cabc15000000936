"""Ratios of a stretch of business days, each under its own name because they are different figures. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from gateway.measures import PHI_START, conversion_crude, gate, mall_share, unknown
from gateway.measures.money import average_transaction, sales_per_visitor
from gateway.measures.ratios import NOT_CONFIGURED, Ratio
from gateway.model import Role


@dataclass(frozen=True, slots=True)
class Base:
    """Sums that rates are made of. `ins`: calibrated where they are, with the relative error `s_k`.

    `phi`: how much more than by chance receipts scatter.
    """

    ins: float
    staff: int
    sales: int
    amount_minor: int
    s_k: float = 0.0
    phi: float = PHI_START

    @property
    def visitors(self) -> float:
        return max(0.0, self.ins - self.staff)


@dataclass(frozen=True, slots=True)
class Centre:
    """The mall around a zone in the same stretch, and how much of the time it was watched."""

    base: Base
    complete: float | None


def rates(
    base: Base, roles: Collection[Role], complete: float | None, centre: Centre | None, least: float
) -> dict[str, Ratio]:
    """Those that stand beside conversion and capture rate, unknown below `least` completeness.

    Turnover per receipt asks no door, and needs none.
    """
    found = dict.fromkeys(("conversion_crude", "atv", "spv", "mall_share"), unknown(NOT_CONFIGURED))
    entrance, till = Role.ENTRANCE in roles, Role.TILL in roles
    if till:
        found["atv"] = average_transaction(base.amount_minor, base.sales)
    if entrance and till:
        noise = {"phi": base.phi, "s_k": base.s_k}
        crude = conversion_crude(base.sales, base.ins, **noise)
        spv = sales_per_visitor(base.amount_minor, base.sales, base.visitors, **noise)
        found["conversion_crude"], found["spv"] = (gate(one, complete, least) for one in (crude, spv))
    if entrance and centre is not None:
        both = math.hypot(base.s_k, centre.base.s_k)
        share = mall_share(base.visitors, centre.base.visitors, s_k=both)
        found["mall_share"] = gate(gate(share, complete, least), centre.complete, least)
    return found
