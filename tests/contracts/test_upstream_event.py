"""The receiver's document: its example, its schema and its SQL hold for what the store really renders."""

from __future__ import annotations

import copy
import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from gateway.amendments import LineFactor
from gateway.model import Booking, Crossings, Event, LineRule, Member, Parcel, Receipt, Role, Stamp, ZoneSpec
from gateway.model import Transactions as Sales
from gateway.quality import REMEDIES, Alarm, Kind, Severity
from gateway.store import Grid, Store, UpstreamPlan, alarms

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = json.loads((DOCS / "footfall.aggregate.v1.schema.json").read_text())
ALARM_SCHEMA = json.loads((DOCS / "footfall.alarm.v1.schema.json").read_text())
TEXT = (DOCS / "upstreams.md").read_text()
START_MS = 1_795_424_400_000  # 2026-11-23T09:00:00Z
TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}


def problems(value: Any, schema: dict[str, Any], path: str = "$") -> list[str]:
    """What a JSON document has against a schema, for the words that ours use."""
    if "$ref" in schema:
        return problems(value, SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]], path)
    found = [f"{path}: {what}" for what in _own_problems(value, schema)]
    if isinstance(value, dict):
        known = schema.get("properties", {})
        found += [f"{path}.{name}: missing" for name in schema.get("required", ()) if name not in value]
        if known:  # an object without properties may hold anything
            found += [f"{path}.{name}: not in the schema" for name in value if name not in known]
        for name in value.keys() & known.keys():
            found += problems(value[name], known[name], f"{path}.{name}")
    if isinstance(value, list) and "items" in schema:
        for item in value:
            found += problems(item, schema["items"], f"{path}[]")
    return found


def _own_problems(value: Any, schema: dict[str, Any]) -> list[str]:
    kinds = schema.get("type", list(TYPES))
    kinds = [kinds] if isinstance(kinds, str) else kinds
    number = isinstance(value, int | float)
    checks = {
        f"no {kinds}": not isinstance(value, tuple(t for kind in kinds for t in TYPES[kind]))
        or ("type" in schema and isinstance(value, bool)),
        "another constant": "const" in schema and value != schema["const"],
        "not one of enum": "enum" in schema and value not in schema["enum"],
        "pattern": isinstance(value, str) and not re.search(schema.get("pattern", ""), value),
        "too small": number and value < schema.get("minimum", value),
        "too large": number and value > schema.get("maximum", value),
    }
    return [what for what, wrong in checks.items() if wrong]


def example(number: int = 0) -> dict[str, Any]:
    """The event that the document shows: first a window, then an alarm."""
    event: dict[str, Any] = json.loads(re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)[number])
    return event


async def rendered(folder: Path) -> list[Event]:
    """Quarters of a shop with everything and of a street, a minute that came late, a calibration."""
    rules = [
        LineRule("door", "main", expect_s=60),
        LineRule("front", "main", expect_s=60),
        LineRule("pos", "main", till=True, expect_s=900),
    ]
    members = (
        Member("door", "main", Role.ENTRANCE),
        Member("front", "main", Role.PASSING),
        Member("pos", "main", Role.TILL),
    )
    zones = [ZoneSpec("shop", "store", members), ZoneSpec("lane", "street", members[1:2])]
    grid = Grid(size_s=900, site="strommen", gateway="strommen-1", timezone="Europe/Oslo", currency="NOK")
    store = await Store.open(folder, now=_at(0))
    try:
        await store.configure(rules, zones, {"office": UpstreamPlan()}, [], grid, _at(0))
        for minute in range(14):
            start_ms = START_MS + minute * 60_000
            for counter in ("door", "front"):
                reading = Crossings(counter, "main", start_ms, start_ms + 60_000, 3, 2)
                await store.record([Parcel("x", _at(minute + 1), [Booking(counter, "main", reading)])])
        sale = Sales("pos", START_MS, START_MS + 900_000, sales=6, amount_minor=412_300, currency="NOK")
        await store.record([Parcel("x", _at(15), [Booking("pos", "main", sale)])])
        events = await _closed(store, 40)
        late = Crossings("door", "main", START_MS + 840_000, START_MS + 900_000, 7, 1)
        await store.record([Parcel("x", _at(41), [Booking("door", "main", late)])])
        events += await _closed(store, 50)
        await store.calibrate(LineFactor("door", "in", 1.052, 0.0097, START_MS), _at(51))
        return events + await _closed(store, 60)
    finally:
        await store.aclose()


def _at(minute: int) -> Stamp:
    return Stamp("boot", 1000 + minute * 60_000, START_MS + minute * 60_000)


async def _closed(store: Store, minute: int) -> list[Event]:
    while (await store.close(_at(minute))).more:
        pass
    events = await store.take("office", 100, live=True, live_from_ms=0)
    await store.settle(
        "office", events, Receipt(frozenset(event.id for event in events)), _at(minute).wall_ms
    )
    return events


def test_the_documents_examples_fit_their_schemas() -> None:
    assert problems(example(), SCHEMA) == []
    assert problems(example(1), ALARM_SCHEMA) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ins", -1),
        ("ins", 1.5),
        ("ins", True),
        ("ins", "31"),
        ("size_s", 901),
        ("reason", "because"),
        ("completeness", 1.1),
        ("start", "2026-11-23 09:00"),
        ("zone", "Shop 12"),
        ("passers", 1),
        ("conversion", {"value": None, "why": "tired"}),
        ("flags", [1]),
        ("calibration", 1.05),
        ("calibration", {"version": 1, "ins": 31, "outs": 28}),
    ],
)
def test_the_schema_refuses(name: str, value: object) -> None:
    wrong = copy.deepcopy(example())
    wrong["data"][name] = value
    assert len(problems(wrong, SCHEMA)) == 1


def test_the_schema_misses_what_is_missing() -> None:
    for name in example()["data"]:
        short = copy.deepcopy(example())
        del short["data"][name]
        assert problems(short, SCHEMA) == [f"$.data.{name}: missing"]


async def test_what_the_store_renders_fits_the_schema_and_names_the_documents_fields(tmp_path: Path) -> None:
    events = await rendered(tmp_path)
    assert {event.zone for event in events} == {"shop", "lane"}
    assert {event.body["data"]["reason"] for event in events} >= {"closed", "late", "calibration"}  # type: ignore[index]
    assert len({event.body["data"]["calibration"] is None for event in events}) == 2  # type: ignore[index]
    for event in events:
        assert problems(json.loads(json.dumps(event.body)), SCHEMA) == [], event.id
        assert event.body["data"].keys() == example()["data"].keys()  # type: ignore[attr-defined]


async def test_the_documents_sql_keeps_the_highest_revision_in_any_order(tmp_path: Path) -> None:
    """PostgreSQL's statement; SQLite understands the same words."""
    table, upsert = re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL)
    events = await rendered(tmp_path)
    newest: dict[object, int] = {}
    for event in events:
        newest[event.zone, event.start_ms] = event.body["data"]["ins"]  # type: ignore[index]
    assert len(newest) < len(events), "a window must come twice"
    for order in (events, events[::-1], events * 2):
        db = sqlite3.connect(":memory:")
        db.execute(table)
        for event in order:
            data: Any = event.body["data"]
            db.execute(
                upsert, {**data, **dict.fromkeys(("flags", "conversion", "capture_rate")), "data": "{}"}
            )
        [(total, rows)] = db.execute("SELECT SUM(ins), COUNT(*) FROM footfall_windows")
        db.close()
        assert (total, rows) == (sum(newest.values()), len(newest))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", "open"),
        ("kind", "event_high"),
        ("severity", "info"),
        ("alarm", 0),
        ("until", "later"),
        ("zones", ["The Mall"]),
        ("line", "door n"),
        ("evidence", None),
    ],
)
def test_the_schema_of_alarms_refuses(name: str, value: object) -> None:
    wrong = example(1)
    wrong["data"][name] = value
    assert len(problems(wrong, ALARM_SCHEMA)) == 1


def test_the_schema_names_every_kind_that_is_sent() -> None:
    kinds = set(ALARM_SCHEMA["properties"]["data"]["properties"]["kind"]["enum"])
    assert kinds == {str(kind) for kind in Kind} - {Kind.EVENT_HIGH}


async def test_alarms_as_the_store_renders_them_fit_their_schema(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, now=_at(0))
    try:
        rules = [LineRule("corner", "d5", expect_s=60)]
        zones = [ZoneSpec("shop", "store", (Member("corner", "d5", Role.ENTRANCE),))]
        upstreams = {"office": UpstreamPlan(alarms=True)}
        await store.configure(
            rules, zones, upstreams, [], Grid(site="strommen", gateway="strommen-1"), _at(0)
        )
        for kind in Kind:
            severity = Severity.INFO if kind is Kind.EVENT_HIGH else Severity.FAULT
            raised = Alarm(kind, "corner/d5", START_MS, None, {}, next(iter(REMEDIES)), severity)
            await store._write(
                lambda raised=raised: alarms.book(store._con, store._memory, 1, raised, START_MS)
            )  # type: ignore[misc]
        events = await store.take("office", 100, live=True, live_from_ms=0)
        ended = Alarm(Kind.DEAD, "corner/d5", START_MS, START_MS + 1, {}, "", Severity.FAULT)
        await store._write(lambda: alarms.book(store._con, store._memory, 1, ended, START_MS))
        events += await store.take("office", 100, live=True, live_from_ms=0)
    finally:
        await store.aclose()
    assert {event.body["data"]["state"] for event in events} == {"raised", "cleared"}  # type: ignore[index]
    for event in events:
        assert problems(json.loads(json.dumps(event.body)), ALARM_SCHEMA) == [], event.id
        assert event.body["data"].keys() == example(1)["data"].keys()  # type: ignore[attr-defined]
