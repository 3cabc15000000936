"""Stored rows as the plain data that API, `tail` and `export` give. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway import measures
from gateway.health.snapshot import AlarmHealth
from gateway.instants import rfc3339, rfc3339_seconds
from gateway.measures.calibrated import rate_basis
from gateway.model import Role

if TYPE_CHECKING:
    from gateway.store.events import AlarmFacts

SAME = (
    "business_date",
    "revision",
    "reason",
    "ins",
    "outs",
    "passersby",
    "staff",
    "sales",
    "returns",
    "amount_minor",
)
AFTER = ("occupancy", "occupancy_raw", "estimated_ins", "estimated_outs", "time_quality", "flags")
PERSONS = ((1, "in", "ins"), (2, "out", "outs"), (4, "passes", "passes"))
RECEIPTS = 8  # the side of a till's reading


@dataclass(frozen=True, slots=True)
class Place:
    """What rows do not say of themselves.

    `groups`: zone → persons who buy together there, where that is known.
    """

    site: str
    currency: str
    min_completeness: float
    groups: Mapping[str, float] = field(default_factory=dict)


def aggregate(row: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """A zone's window in the shape of an event's data; `closed` is when this revision was written."""
    complete = row["completeness"]
    conversion, capture = ratios(row, place)
    calibrated = row.get("calibrated")
    return {
        "site": place.site,
        "zone": row["zone"],
        "kind": row["kind"],
        "start": rfc3339_seconds(row["start_ms"]),
        "size_s": row["size_s"],
        **{name: row[name] for name in SAME},
        "currency": place.currency,
        "completeness": None if complete is None else round(complete, measures.DIGITS),
        **{name: row[name] for name in AFTER},
        "residual": row.get("residual"),
        "calibration": calibrated and calibrated.to_json(),
        "conversion": conversion.to_json(),
        "capture_rate": capture.to_json(),
        "closed": rfc3339(row["closed_ms"]),
    }


def ratios(row: Mapping[str, Any], place: Place) -> tuple[measures.Ratio, measures.Ratio]:
    """Conversion and capture rate of a row's sums, unknown where too little was watched.

    `roles`: what its zone had then, not what it has now.
    """
    roles = row["roles"]
    of = rate_basis(row["ins"], row["passersby"], row.get("calibrated"))
    conversion = capture = measures.unknown(measures.NOT_CONFIGURED)
    if Role.ENTRANCE in roles and Role.TILL in roles:
        phi = row.get("phi", measures.PHI_START)
        conversion = measures.conversion(
            row["sales"], of.entries, staff=row["staff"], phi=phi, s_k=of.s_entries
        )
        conversion = measures.told(conversion, row.get("tills_heard", True))
    if Role.ENTRANCE in roles and Role.PASSING in roles:
        capture = measures.capture_rate(of.entries, of.passersby, of.s_capture)
    least, complete = place.min_completeness, row["completeness"]
    return measures.gate(conversion, complete, least), measures.gate(capture, complete, least)


def alarm(facts: AlarmFacts, timezone: str) -> AlarmHealth:
    """A stored alarm with its words."""
    return AlarmHealth(
        alarm=facts.id,
        line=facts.ref,
        counter=facts.counter,
        zones=json.loads(facts.zones),
        kind=facts.kind,
        severity=facts.severity,
        since_ms=facts.since_ms,
        until_ms=facts.until_ms,
        evidence=json.loads(facts.evidence),
        says=facts.says(timezone),
        remedy=facts.advice,
    )


def readings(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One line for each side of a stored reading; a till's `persons` are receipts or minor units."""
    shared = {
        "counter": row["counter"],
        "line": row["line"],
        "start": rfc3339(row["start_ms"]),
        "end": rfc3339(row["end_ms"]),
        "key": row["key"] or None,
    }
    for bit, side, column in PERSONS:
        if row["side"] & bit:
            yield {**shared, "side": side, "persons": row[column]}
    if row["side"] & RECEIPTS:
        yield {**shared, "side": "sales", "persons": row["sales"]}
        for side, column in (("returns", "returns"), ("amount", "amount_minor")):
            if row[column]:
                yield {**shared, "side": side, "persons": row[column]}
