"""Events as a store renders them, for the tests of everything on the way upstream."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.model import Event

START_MS = 1_795_424_400_000  # 2026-11-23T09:00:00Z
QUARTER_MS = 900_000


def event(index: int = 0, zone: str = "mall", revision: int = 1, ins: int = 31) -> Event:
    """The aggregate of the `index`-th quarter of an hour after nine."""
    start_ms = START_MS + index * QUARTER_MS
    start = datetime.fromtimestamp(start_ms / 1000, UTC).isoformat().replace("+00:00", "Z")
    id_ = f"strommen/{zone}/900/{start}/1795400000/{revision}"
    data = {
        "site": "strommen",
        "zone": zone,
        "kind": "mall",
        "start": start,
        "size_s": 900,
        "business_date": start[:10],
        "generation": 1_795_400_000,
        "revision": revision,
        "reason": "closed",
        "ins": ins,
        "outs": 28,
        "completeness": 0.98,
        "flags": [],
    }
    body: dict[str, object] = {
        "specversion": "1.0",
        "type": "footfall.aggregate.v1",
        "source": "/sites/strommen/gateways/strommen-1",
        "id": id_,
        "subject": f"strommen/{zone}",
        "time": "2026-11-23T09:16:00.214Z",
        "datacontenttype": "application/json",
        "data": data,
    }
    return Event(zone, 900, start_ms, revision, id_, body)


def alarm(number: int = 1, revision: int = 1, state: str = "raised") -> Event:
    """A counter that died at ten past nine."""
    id_ = f"strommen/alarm/{number}/1795400000/{revision}"
    data = {
        "site": "strommen",
        "alarm": number,
        "line": "door-n",
        "counter": "door-n",
        "zones": ["mall"],
        "kind": "dead",
        "severity": "fault",
        "state": state,
        "since": "2026-11-23T09:15:00.000Z",
        "until": None if state == "raised" else "2026-11-23T11:00:00.000Z",
        "evidence": {"expected": 41.5},
        "says": "Nobody was counted where about 42 persons were expected.",
        "remedy": "Look at: power.",
        "generation": 1_795_400_000,
        "revision": revision,
    }
    body: dict[str, object] = {
        **event().body,
        "type": "footfall.alarm.v1",
        "id": id_,
        "subject": "strommen/door-n",
        "data": data,
    }
    return Event("alarm", 0, START_MS + QUARTER_MS, revision, id_, body, alarm=number)


def events(count: int) -> list[Event]:
    return [event(index) for index in range(count)]
