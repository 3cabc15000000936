"""Pure: a zone's day so far as it is shown, from what the store counted and what closed days taught it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from gateway import measures
from gateway.health.figures import Sums, figures
from gateway.health.snapshot import OpeningHealth, ZoneHealth
from gateway.measures.calibrated import RateBasis, rate_basis
from gateway.measures.imputing import tier

if TYPE_CHECKING:
    from gateway.config.tables import ZoneTable
    from gateway.store import ZoneLive

MALL = "mall"
SAME = (
    "zone",
    "name",
    "kind",
    "parent",
    "ins",
    "outs",
    "passersby",
    "staff",
    "sales",
    "returns",
    "amount_minor",
    "occupancy",
    "occupancy_raw",
    "exit_ratio",
    "residual",
    "completeness",
    "estimated_ins",
    "estimated_outs",
    "flags",
)
Taps = tuple[int, int]  # persons, of them with a bag


def zones(
    live: Sequence[ZoneLive],
    tables: Mapping[str, ZoneTable],
    openings: Mapping[str, OpeningHealth],
    taps: Mapping[str, Taps],
    least: float,
) -> Iterator[ZoneHealth]:
    """Every zone, as the snapshot has it. `least`: completeness below which a ratio is unknown."""
    by_id = {one.zone: one for one in live}
    for one in live:
        centre = _centre(one, by_id)
        yield _zone(one, centre, tables.get(one.zone), openings.get(one.zone), taps.get(one.zone), least)


def visitors(live: ZoneLive) -> float:
    """Entries, calibrated where they are, less staff."""
    return max(0.0, _basis(live).entries - live.staff)


def _basis(live: ZoneLive) -> RateBasis:
    return rate_basis(live.ins, live.passersby, live.calibrated)


def _centre(live: ZoneLive, by_id: Mapping[str, ZoneLive]) -> ZoneLive | None:
    """The centre around a zone."""
    above, seen = live.parent, {live.zone}
    while above is not None and above in by_id and above not in seen:
        if by_id[above].kind == MALL:
            return by_id[above]
        seen.add(above)
        above = by_id[above].parent
    return None


def _zone(
    live: ZoneLive,
    centre: ZoneLive | None,
    table: ZoneTable | None,
    opens: OpeningHealth | None,
    taps: Taps | None,
    least: float,
) -> ZoneHealth:
    conversion = capture = measures.unknown(measures.NOT_CONFIGURED)
    of = _basis(live)
    if live.has_doors and live.has_tills:
        phi = live.learnt.phi_day
        rate = measures.conversion(live.sales, of.entries, staff=live.staff, phi=phi, s_k=of.s_entries)
        conversion = measures.gate(measures.told(rate, live.tills_heard), live.completeness, least)
    if live.has_doors and live.has_passing:
        rate = measures.capture_rate(of.entries, of.passersby, of.s_capture)
        capture = measures.gate(rate, live.completeness, least)
    sums = Sums(
        ins=of.entries,
        visitors=visitors(live),
        sales=live.sales,
        amount_minor=live.amount_minor,
        size_s=live.size_s,
        weekday=date.fromisoformat(live.business_date).weekday(),
        closed=live.closed,
        lagged=live.lagged,
        learnt=live.learnt,
        s_k=of.s_entries,
        centre=None if centre is None else visitors(centre),
        s_centre=0.0 if centre is None else _basis(centre).s_entries,
        group=None if table is None else table.group,
        taps=taps,
        has_doors=live.has_doors,
        has_tills=live.has_tills,
        passersby=of.passersby if live.has_passing else None,
        s_capture=of.s_capture,
        crossed=live.crossed,
        exit_ratio=live.exit_ratio,
        tills_heard=live.tills_heard,
    )
    return ZoneHealth(
        **{name: getattr(live, name) for name in SAME},
        conversion=conversion,
        capture_rate=capture,
        opening=opens,
        tier=tier(live.completeness),
        calibration=live.calibrated.to_json() if live.calibrated else None,
        figures=figures(sums, live.completeness, least, None if centre is None else centre.completeness),
    )
