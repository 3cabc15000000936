"""A centre that never was, as a snapshot: what page, API, metrics and status are tested with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from gateway import measures
from gateway.health import (
    AlarmHealth,
    BooksHealth,
    BufferHealth,
    CounterHealth,
    Health,
    LineHealth,
    LinkHealth,
    OpeningHealth,
    OpenSpan,
    SiteHealth,
    UpstreamHealth,
    ZoneHealth,
)
from gateway.instants import rfc3339
from gateway.model import Histogram

NOW_MS = 1_795_435_200_000  # 2026-11-23T12:00:00Z
DAY_MS = 1_795_402_800_000  # 04:00 in Oslo
QUARTER_MS = 900_000
OPENINGS = {
    "mall": OpeningHealth(True, DAY_MS + 17 * 3_600_000, (OpenSpan(DAY_MS, DAY_MS + 17 * 3_600_000),)),
    "shop-1": OpeningHealth(False, DAY_MS + 30 * 3_600_000, ()),
}


def zone(name: str, kind: str, ins: int, sales: int | None, complete: float | None) -> ZoneHealth:
    conversion = measures.unknown("not_configured")
    if sales is not None:
        conversion = measures.gate(measures.conversion(sales, ins), complete, 0.8)
    capture = measures.unknown("not_configured")
    if kind == "store":
        capture = measures.gate(measures.capture_rate(ins, 8 * ins), complete, 0.8)
    return ZoneHealth(
        zone=name,
        name={"mall": "Fjordsenteret", "shop-1": "Kaffe & <Te>"}.get(name, ""),
        kind=kind,
        parent=None if kind == "mall" else "mall",
        ins=ins,
        outs=ins - 17,
        passersby=8 * ins if kind == "store" else 0,
        sales=sales or 0,
        returns=0,
        amount_minor=0,
        occupancy=17,
        occupancy_raw=15,
        completeness=complete,
        conversion=conversion,
        capture_rate=capture,
        opening=OPENINGS.get(name),
    )


def sample() -> Health:
    commits = Histogram()
    for seconds in (0.002, 0.004, 0.03):
        commits.observe(seconds)
    return Health(
        at_ms=NOW_MS,
        version="0.1.0",
        config_hash="0123abcd",
        simulated=True,
        clock_trusted=True,
        ready=True,
        site=SiteHealth(
            "box-1",
            "fjord",
            "Fjord & <Sentrum>",
            "Europe/Oslo",
            "NOK",
            900,
            0.8,
            DAY_MS,
            DAY_MS + 86_400_000,
            "2026-11-23",
        ),
        zones=[
            zone("mall", "mall", 1250, None, 0.97),
            zone("shop-1", "store", 212, 38, 0.95),
            zone("shop-2", "store", 31, 6, 0.4),
        ],
        links=[
            LinkHealth("bus-a", "serial", True, NOW_MS - 3_600_000, "", {"ok": 400, "damaged": 2}),
            LinkHealth("broker", "mqtt", False, NOW_MS - 60_000, "connection refused", {"ok": 31}),
        ],
        counters=[
            CounterHealth("door-n", "North door", "bus-a", "dcon", False, "ok", "", NOW_MS - 1000, 0.2),
            CounterHealth("door-s", "", "broker", "xovis", False, "degraded", "beam blocked", NOW_MS - 5000),
            CounterHealth("pos-1", "", "broker", "mapping", True, "silent", "", None),
        ],
        lines=[
            LineHealth("door-n", False, 700, 650, 0, 0, {"jump": 4}),
            LineHealth("corner/d5", False, 550, 500, 12, 0, {}),
            LineHealth("pos-1", True, 0, 0, 0, 44, {}),
        ],
        alarms=[
            AlarmHealth(
                7,
                "corner/d5",
                "corner",
                ("mall", "shop-1"),
                "dead",
                "fault",
                NOW_MS - 4_500_000,
                None,
                {"expected": 41.5, "unlikely": 7.2},
                "dead: nobody since 11:45 where 42 were expected",
                "Look at: power.",
            ),
            AlarmHealth(
                9,
                "door-n",
                "door-n",
                ("mall",),
                "event_high",
                "info",
                NOW_MS - 900_000,
                None,
                {"count": 310, "expected": 120},
                "busy: 310 persons since 12:45 where 120 were expected",
                "Nothing is broken.",
            ),
        ],
        upstreams=[
            UpstreamHealth(
                "head-office",
                "http",
                3,
                NOW_MS - 120_000,
                1,
                NOW_MS - 130_000,
                2,
                "503 Service Unavailable",
                False,
                {"delivered": 96, "rejected": 1, "kept": 3, "misconfigured": 0},
            ),
        ],
        books=BooksHealth(True, 0, NOW_MS),
        buffer=BufferHealth(123_456, 86_400_000.0, 456_789, 5),
        commits=commits,
        revisions={"closed": 120, "late": 3},
        resets={("door-n", "power"): 1},
    )


def day(until_ms: int = NOW_MS) -> list[dict[str, Any]]:
    """Quarter hours since opening, with a hole in the morning and one badly watched stretch."""
    rows = []
    for number, start_ms in enumerate(range(DAY_MS, until_ms, QUARTER_MS)):
        if 8 <= number < 12:
            continue
        ins = max(0, 3 * (number - 12))
        rows.append(
            {
                "zone": "mall",
                "start": rfc3339(start_ms),
                "size_s": 900,
                "revision": 1,
                "ins": ins,
                "outs": ins // 2,
                "passersby": 0,
                "sales": 0,
                "completeness": 0.5 if number in {20, 21} else 1.0,
                "conversion": {"value": None, "why": "not_configured"},
                "capture_rate": measures.capture_rate(ins, 100).to_json(),
            }
        )
    return rows


class FakeHealth:
    """A health source whose snapshot a test may change."""

    def __init__(self, health: Health | None = None) -> None:
        self.health = health or sample()
        self.ready = True
        self.unserved = ""
        self.asked: list[tuple[str, int, int, int, int | None]] = []
        self.asked_days: list[tuple[str, date, date, str, bool]] = []

    def change(self, **parts: Any) -> None:
        self.health = replace(self.health, **parts)

    async def snapshot(self) -> Health:
        return self.health

    async def aggregates(
        self, zone: str, from_ms: int, to_ms: int, size_s: int, as_of_ms: int | None = None
    ) -> Sequence[Mapping[str, Any]]:
        self.asked.append((zone, from_ms, to_ms, size_s, as_of_ms))
        return day()

    async def days(
        self, zone: str, first: date, after: date, by: str, *, lines: bool = False
    ) -> Sequence[Mapping[str, Any]]:
        if by == "period":
            raise ValueError("there are none")
        self.asked_days.append((zone, first, after, by, lines))
        return [
            {"zone": zone, "label": first.isoformat(), "ins": 3, "tier": "measured", "atv": {"value": 2.5}}
        ]

    async def alarms(self, from_ms: int, to_ms: int) -> Sequence[AlarmHealth]:
        return [one for one in self.health.alarms if from_ms <= one.since_ms < to_ms]

    async def audit(self) -> Mapping[str, Any]:
        return {"balanced": True, "imbalance": 0, "lines": [], "upstreams": []}
