"""The sensor's own store: what it counted, asked for in minutes over its HTTP API (firmware 5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from drivers.bodies import Noise, Table, name, parse_json, table, tables, whole
from drivers.xovis.values import interval
from gateway.driver import Fetch
from gateway.model import Crossings, Damaged, DamageReason, Ignored, Item

PATH = "/api/v5/singlesensor/data/history/logics"
MINUTE_MS = 60_000
TIMEOUT_MS = 60_000
SIDES = frozenset({"fw", "bw"})


@dataclass(frozen=True, slots=True)
class _Logic:
    """One line, and the ids of its counters by name."""

    line: str
    counters: Mapping[str, object]


def question(from_ms: int, to_ms: int) -> Fetch:
    """Whole minutes; those of which the sensor has no record are left out, so that they stay unwatched."""
    wanted = {
        "begin": from_ms // MINUTE_MS * MINUTE_MS,
        "end": -(-to_ms // MINUTE_MS) * MINUTE_MS,
        "resolution_min": 1,
        "time_format": "UNIX_TIME_MS",
        "include_empty": "false",
    }
    return Fetch(f"{PATH}?{urlencode(wanted)}", timeout_ms=TIMEOUT_MS)


def answer(payload: bytes, counter: str) -> list[Item]:
    """The minutes of every line. Never raises."""
    size = len(payload)
    try:
        body = table(parse_json(payload))
        logics = _logics(table(body.get("config")))
    except Noise as noise:
        return [Damaged(noise.reason, size)]
    if "measurements" not in body:
        return [Damaged(DamageReason.SYNTAX, size)]
    minutes = tables(body["measurements"])
    return [item for one in minutes for item in _minute(one, counter, logics, size)] or [
        Ignored("no records")
    ]


def _logics(config: Table) -> list[_Logic]:
    """Those that count forward and backward; a name that several bear gets their numbers. Raises Noise."""
    counters: dict[object, dict[str, object]] = {}
    for one in tables(config.get("counts")):
        if str(one.get("name")) in SIDES:
            counters.setdefault(repr(one.get("logic_id")), {})[str(one["name"])] = one.get("id")
    logics = [one for one in tables(config.get("logics")) if repr(one.get("id")) in counters]
    twins = Counter(str(one.get("name")) for one in logics)
    found = []
    for one in logics:
        number = name(one.get("id"))
        line = name(one.get("name")) or str(number)
        line = f"{line} #{number}" if twins[str(one.get("name"))] > 1 else line
        found.append(_Logic(line, counters[repr(one.get("id"))]))
    return found


def _minute(minute: Table, counter: str, logics: list[_Logic], size: int) -> Iterator[Item]:
    if minute.get("records") == 0:  # nothing was recorded: not a minute without people
        return
    values = {repr(count.get("id")): count.get("value") for count in tables(minute.get("counts"))}
    try:
        start_ms, end_ms = interval(minute.get("begin"), minute.get("end"))
    except Noise as noise:
        yield Damaged(noise.reason, size)
        return
    for logic in logics:
        try:
            ins, outs = (whole(values.get(repr(logic.counters.get(side)))) for side in ("fw", "bw"))
        except Noise as noise:
            yield Damaged(noise.reason, size)
            continue
        if ins is not None or outs is not None:
            yield Crossings(counter, logic.line, start_ms, end_ms, ins, outs)
