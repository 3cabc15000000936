"""Portals that are asked for in and out per counter and interval; Viametrics' (Viametrix) by default."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import Any, cast
from urllib.parse import quote

from pydantic import Field, field_validator

from drivers.local import zone_of
from drivers.mapping.family import FAMILY as MAPPING
from drivers.mapping.family import MappingOptions
from drivers.mapping.table import read_table
from gateway.driver import (
    Device,
    Family,
    Fetch,
    Kind,
    LineOptions,
    Match,
    Message,
    Messages,
    Options,
    Response,
)
from gateway.model import DEVICE, Basis, Crossings, Ignored, Item, Occupancy, Register, Status

BLANK = re.compile(r"\{(counter|from|to)\}")
COUNTS_PATH = "/counters/{counter}/counts?from={from}&to={to}"
TIMEOUT_MS = 30_000
OF_COUNTERS = (Crossings, Register, Occupancy, Status)
ANOTHERS = Ignored("row of another counter")


class ViametrixOptions(Options):
    """One counter of a portal."""

    counter: str | None = Field(None, min_length=1, description="the counter's id at the portal")
    path: str = Field(
        COUNTS_PATH,
        description="what is asked for, below the link's url; {counter}, {from} and {to} are filled in",
    )
    interval_s: int = Field(900, ge=60, le=86400, description="length of the portal's intervals, seconds")
    look_back_s: int = Field(
        7200, ge=0, le=31 * 86400, description="each poll asks so far back again: late rows replace, seconds"
    )
    time_format: str = Field(
        "rfc3339", description="of {from} and {to}: rfc3339, unix_s, unix_ms or a strftime format"
    )
    zone: str = Field("site", description="of {from} and {to} in a strftime format: site, utc or a name")
    mapping: str | dict[str, Any] | None = Field(
        None, description="what the answer means: a [mapping] table or its name; default: see the README"
    )

    @field_validator("mapping")
    @classmethod
    def _mapping(cls, given: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
        if isinstance(given, dict):
            read_table(given)
        return given

    @field_validator("path")
    @classmethod
    def _path(cls, text: str) -> str:
        if not text.startswith("/") or not text.isprintable() or set("{} ") & set(BLANK.sub("", text)):
            raise ValueError("must begin with / and hold no blanks but {counter}, {from} and {to}")
        return text

    @field_validator("time_format")
    @classmethod
    def _format(cls, text: str) -> str:
        if text not in ("rfc3339", "unix_s", "unix_ms") and "%" not in text:
            raise ValueError("neither rfc3339, unix_s, unix_ms nor a strftime format (%Y-%m-%d …)")
        return text

    @field_validator("zone")
    @classmethod
    def _zone(cls, text: str) -> str:
        if text != "site":
            zone_of(text)
        return text


class ViametrixLine(LineOptions):
    """A portal's counter has one line unless its mapping names several."""


def default_mapping(interval_s: int) -> dict[str, Any]:
    """I and O per interval stand in the public description; the other names and the list are assumed."""
    return {
        "time": {"format": "rfc3339", "zone": "site", "span_s": interval_s, "label": "start"},
        "reading": [{"counter": "CounterId", "start": "Time", "ins": "I", "outs": "O"}],
    }


class Portal:
    """Pull: stateless between polls, so that asking twice tells the same."""

    def __init__(self, device: Device) -> None:
        self._options = cast("ViametrixOptions", device.options)
        self._zone = _zone(self._options.zone, device)
        self._body = cast("Messages", MAPPING.open(_mapped(device)))

    def poll(self, now_ms: int) -> Generator[Fetch, Response, Iterable[Item]]:
        """The intervals that are over, as far back as rows may still come or change."""
        step_ms = self._options.interval_s * 1000
        to_ms = now_ms // step_ms * step_ms
        back_ms = max(step_ms, self._options.look_back_s * 1000)
        return (yield from self._ask((to_ms - back_ms) // step_ms * step_ms, to_ms))

    def recall(self, from_ms: int, to_ms: int) -> Generator[Fetch, Response, Iterable[Item]]:
        """Whole intervals, so that none is told by half."""
        step_ms = self._options.interval_s * 1000
        return (yield from self._ask(from_ms // step_ms * step_ms, -(-to_ms // step_ms) * step_ms))

    def answer(self, request: bytes, response: Response) -> Iterable[Item]:
        """One row may be any counter's: only ours are told."""
        del request  # the rows name their intervals themselves
        if response.data is None:
            return []
        message = Message(response.data, response.at_ms, headers=response.headers)
        return [self._ours(item) for item in self._body.decode(message)]

    def _ask(self, from_ms: int, to_ms: int) -> Generator[Fetch, Response, Iterable[Item]]:
        fetch = Fetch(
            self._path(from_ms, to_ms), headers={"Accept": "application/json"}, timeout_ms=TIMEOUT_MS
        )
        response = yield fetch
        return self.answer(fetch.line, response)

    def _path(self, from_ms: int, to_ms: int) -> str:
        words: Mapping[str, str] = {
            "counter": self._options.counter or "",
            "from": self._written(from_ms),
            "to": self._written(to_ms),
        }
        return BLANK.sub(lambda blank: quote(words[blank[1]], safe=""), self._options.path)

    def _written(self, at_ms: int) -> str:
        notation = self._options.time_format
        if notation == "unix_ms":
            return str(at_ms)
        if notation == "unix_s":
            return str(at_ms // 1000)
        if notation == "rfc3339":
            return f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
        return datetime.fromtimestamp(at_ms // 1000, self._zone).strftime(notation)

    def _ours(self, item: Item) -> Item:
        wanted = self._options.counter
        if wanted is None or not isinstance(item, OF_COUNTERS) or item.counter == wanted:
            return item
        return replace(item, counter=wanted) if item.counter == DEVICE else ANOTHERS


def _zone(named: str, device: Device) -> tzinfo:
    return zone_of(device.site.timezone if named == "site" else named)


def _mapped(device: Device) -> Device:
    """The body as the mapping family sees it."""
    options = cast("ViametrixOptions", device.options)
    table = options.mapping or default_mapping(options.interval_s)
    return Device(MappingOptions(mapping=table), {}, device.site, device.shared)


def _problems(device: Device) -> list[str]:
    options = cast("ViametrixOptions", device.options)
    missing = options.counter is None and "{counter}" in options.path
    return [
        *(["counter: missing: the path asks for it"] if missing else []),
        *MAPPING.problems(_mapped(device)),
    ]


def _match(device: Device) -> Match:
    """Each counter is asked for by itself; lines are told apart by their names."""
    return Match(None, {name: name for name in device.lines})


FAMILY = Family(
    name="viametrix",
    summary="portals asked for in and out per counter and interval (Viametrics), with their history",
    kind=Kind.EXCHANGE,
    over=frozenset({"pull"}),
    options=ViametrixOptions,
    line_options=ViametrixLine,
    open=Portal,
    match=_match,
    basis=Basis.DELTA,
    problems=_problems,
)
