"""What a head office keeps: one row a window and one an alarm, the highest (generation, revision) wins; and
its comparison with the truth. One SQLite file, safe at every commit."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

TYPE = "footfall.aggregate.v1"
ALARM_TYPE = "footfall.alarm.v1"
FIGURES = ("ins", "outs", "passersby", "sales", "returns", "amount_minor")
OTHERS = (
    "kind",
    "business_date",
    "reason",
    "currency",
    "occupancy",
    "occupancy_raw",
    "completeness",
    "estimated_ins",
    "estimated_outs",
    "time_quality",
)
KEY = ("site", "zone", "size_s", "start")
VERSION = ("generation", "revision")
COLUMNS = (*KEY, *VERSION, *FIGURES, *OTHERS)
ALARM_KEY = ("site", "alarm")
ALARM_TEXTS = ("line", "kind", "severity", "state", "since", "until", "remedy")
ALARM_COLUMNS = (*ALARM_KEY, *VERSION, *ALARM_TEXTS, "evidence")

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS windows(
  {", ".join(f"{name} {'INTEGER' if name == 'size_s' else 'TEXT'} NOT NULL" for name in KEY)},
  {", ".join(f"{name} INTEGER NOT NULL" for name in VERSION)},
  {", ".join(f"{name} INTEGER" for name in FIGURES)}, {", ".join(OTHERS)},
  PRIMARY KEY({", ".join(KEY)})) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alarms(
  site TEXT NOT NULL, alarm INTEGER NOT NULL, generation INTEGER NOT NULL, revision INTEGER NOT NULL,
  {", ".join(ALARM_COLUMNS[4:])}, PRIMARY KEY(site, alarm)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tally(name TEXT PRIMARY KEY, events INTEGER NOT NULL);
"""


def _upsert(table: str, key: Sequence[str], columns: Sequence[str]) -> str:
    rest = ", ".join(f"{name}=excluded.{name}" for name in columns if name not in key)
    return (
        f"INSERT INTO {table}({', '.join(columns)}) VALUES({', '.join('?' * len(columns))})"
        f" ON CONFLICT({', '.join(key)}) DO UPDATE SET {rest}"
        " WHERE (excluded.generation, excluded.revision) > (generation, revision)"
    )


UPSERT = _upsert("windows", KEY, COLUMNS)
UPSERT_ALARM = _upsert("alarms", ALARM_KEY, ALARM_COLUMNS)

Sums: TypeAlias = dict[str, dict[str, int]]  # zone → figure → sum
Window: TypeAlias = tuple[str, int, str]  # zone, size_s, start
Event: TypeAlias = Mapping[str, Any]


@dataclass(slots=True)
class Booked:
    """What became of one batch: `fresh` rows were written, `repeated` were known or older."""

    fresh: int = 0
    repeated: int = 0
    rejected: dict[str, str] = field(default_factory=dict)


class Ledger:
    """The file. `book` returns after the commit has reached the disk."""

    def __init__(self, path: Path | str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + SCHEMA)

    def close(self) -> None:
        self._db.close()

    def book(self, events: Sequence[Event], reject: str = "") -> Booked:
        """Add a batch up in one transaction; `reject`: events with this in their id are turned away."""
        booked = Booked()
        rows: dict[str, list[list[Any]]] = {UPSERT: [], UPSERT_ALARM: []}
        for event in events:
            why = "rejected on demand" if reject and reject in str(event.get("id")) else _wrong(event)
            if why:
                booked.rejected[str(event.get("id"))] = why
            elif event["type"] == TYPE:
                rows[UPSERT].append([event["data"].get(name) for name in COLUMNS])
            elif event["type"] == ALARM_TYPE:
                rows[UPSERT_ALARM].append(_alarm_row(event["data"]))
        before = self._db.total_changes
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for statement, values in rows.items():
                self._db.executemany(statement, values)
            booked.fresh = self._db.total_changes - before
            booked.repeated = sum(map(len, rows.values())) - booked.fresh
            self._tally(
                fresh=booked.fresh, repeated=booked.repeated, rejected=len(booked.rejected), batches=1
            )
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        return booked

    def _tally(self, **counts: int) -> None:
        self._db.executemany(
            "INSERT INTO tally VALUES(?, ?) ON CONFLICT DO UPDATE SET events = events + excluded.events",
            counts.items(),
        )

    def tally(self) -> dict[str, int]:
        """fresh, repeated, rejected events and batches, since the file was made."""
        return dict(self._db.execute("SELECT name, events FROM tally").fetchall())

    def sums(self, size_s: int | None = None) -> Sums:
        """Per zone; of one window size, or of the smallest that each zone sends."""
        chosen = "?1" if size_s else "(SELECT MIN(size_s) FROM windows AS w WHERE w.zone = windows.zone)"
        figures = ", ".join(f"COALESCE(SUM({name}), 0)" for name in FIGURES)
        query = f"SELECT zone, COUNT(*), {figures} FROM windows WHERE size_s = {chosen} GROUP BY zone"  # noqa: S608
        rows = self._db.execute(query, [size_s] if size_s else [])
        return {zone: dict(zip(("windows", *FIGURES), row, strict=True)) for zone, *row in rows}

    def windows(self, zone: str | None = None) -> list[dict[str, Any]]:
        """All rows (of one zone), oldest first."""
        query = f"SELECT {', '.join(COLUMNS)} FROM windows WHERE ?1 IS NULL OR zone = ?1 ORDER BY start, zone"  # noqa: S608
        return [dict(zip(COLUMNS, row, strict=True)) for row in self._db.execute(query, (zone,))]

    def alarms(self) -> list[dict[str, Any]]:
        """All alarms as they are known last, oldest first."""
        query = f"SELECT {', '.join(ALARM_COLUMNS)} FROM alarms ORDER BY since, alarm"  # noqa: S608
        rows = (dict(zip(ALARM_COLUMNS, row, strict=True)) for row in self._db.execute(query))
        return [{**row, "evidence": json.loads(row["evidence"])} for row in rows]


def _alarm_row(data: Mapping[str, Any]) -> list[Any]:
    texts = [data.get(name) for name in ALARM_COLUMNS[:-1]]
    return [*texts, json.dumps(data.get("evidence"), sort_keys=True)]


def _wrong(event: Event) -> str:
    """Why an event cannot be stored, or ""."""
    if event.get("specversion") != "1.0" or not event.get("id") or not event.get("source"):
        return "not a CloudEvent 1.0"
    if event.get("type") not in (TYPE, ALARM_TYPE):
        return "" if str(event.get("type")).startswith("footfall.") else "unknown type"
    data = event.get("data")
    if not isinstance(data, dict):
        return "data is no object"
    return _wrong_alarm(data) if event["type"] == ALARM_TYPE else _wrong_window(data)


def _wrong_alarm(data: Mapping[str, Any]) -> str:
    if not all(isinstance(data.get(name), str) for name in ("site", "line", "kind", "state", "since")):
        return "site, line, kind, state or since is missing"
    if not all(type(data.get(name)) is int for name in ("alarm", *VERSION)):
        return "alarm, generation or revision is no integer"
    return ""


def _wrong_window(data: Mapping[str, Any]) -> str:
    if not all(isinstance(data.get(name), str) for name in ("site", "zone", "start")):
        return "site, zone or start is missing"
    if not all(type(data.get(name)) is int for name in ("size_s", "generation", "revision")):
        return "size_s, generation or revision is no integer"
    if not all(type(data.get(name, 0)) in (int, type(None)) for name in FIGURES):
        return "a figure is no integer"
    return ""


# truth ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    window: Window
    figure: str
    truth: int
    office: int


def read_truth(path: Path) -> dict[Window, dict[str, int]]:
    """JSON, one object a line: {"zone", "size_s", "start", and any of ins, outs, passersby, …}."""
    truth: dict[Window, dict[str, int]] = {}
    for line in path.read_text().splitlines():
        if not line.strip():
            continue
        row = json.loads(line)
        figures = truth.setdefault((row["zone"], row["size_s"], row["start"]), {})
        for name in FIGURES:
            if isinstance(row.get(name), int):
                figures[name] = figures.get(name, 0) + row[name]
    return truth


def compare(
    truth: Mapping[Window, Mapping[str, int]], windows: Iterable[Mapping[str, Any]]
) -> list[Difference]:
    """Every figure that differs, window by window; one that only the office has must be empty."""
    office = {(row["zone"], row["size_s"], row["start"]): row for row in windows}
    kinds: dict[tuple[str, int], set[str]] = {}
    for (zone, size_s, _start), figures in truth.items():
        kinds.setdefault((zone, size_s), set()).update(figures)
    differences = []
    for window in sorted(truth.keys() | office.keys()):
        for figure in sorted(kinds.get(window[:2], ())):
            told = truth.get(window, {}).get(figure, 0)
            stored = office.get(window, {}).get(figure) or 0
            if told != stored:
                differences.append(Difference(window, figure, told, stored))
    return differences


def table(truth: Mapping[Window, Mapping[str, int]], windows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Lines: zone, figure, truth | head office."""
    told, stored = _totals(truth.items()), _totals(((r["zone"], r["size_s"], ""), r) for r in windows)
    lines = [f"{'zone':<24} {'size_s':>6} {'figure':<13}{'truth':>12} | {'head office':>12}"]
    for zone, size_s, figure in sorted(told):
        pair = told[zone, size_s, figure], stored.get((zone, size_s, figure), 0)
        mark = "" if pair[0] == pair[1] else "   DIFFERENT"
        lines.append(f"{zone:<24} {size_s:>6} {figure:<13}{pair[0]:>12} | {pair[1]:>12}{mark}")
    return lines


def _totals(rows: Iterable[tuple[Window, Mapping[str, Any]]]) -> dict[tuple[str, int, str], int]:
    totals: dict[tuple[str, int, str], int] = {}
    for (zone, size_s, _start), figures in rows:
        for name in FIGURES:
            if figures.get(name) is not None:
                key = (zone, size_s, name)
                totals[key] = totals.get(key, 0) + figures[name]
    return totals
