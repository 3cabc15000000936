"""The tables of the configuration file: these models are its schema."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gateway.calendars import NRF_END, Weeks, parse_anchor, weeks_of
from gateway.errors import ConfigurationError
from gateway.model import SIZES_S, Basis, Resets

ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
OVER = ("serial", "tcp", "mqtt", "gpio", "pull", "push", "folder")


class Table(BaseModel):
    """A table whose every key is known; TOML has types, so nothing is converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)


def _id(text: str) -> str:
    if not ID.fullmatch(text):
        raise ValueError(f'"{text}" is no id: lower case letters, digits and -, at most 63')
    return text


def _listen(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isdecimal() and int(port) < 65536):
        raise ValueError(f'must be "ADDRESS:PORT", not "{text}"')
    return text


def _network(text: str) -> str:
    try:
        ip_network(text)
    except ValueError as error:
        raise ValueError(f'must be a network like "192.168.10.0/24": {error}') from None
    return text


def _timezone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f'unknown timezone "{text}"') from None
    return text


def _day_start(text: str) -> str:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        raise ValueError(f'must be "HH:MM", not "{text}"')
    return text


def _year_end(text: str) -> str:
    parse_anchor(text)
    return text


def _size(size_s: int) -> int:
    if size_s not in SIZES_S:
        raise ValueError(f"must be one of {', '.join(map(str, SIZES_S))}, not {size_s}")
    return size_s


def _currency(text: str) -> str:
    if not re.fullmatch("[A-Z]{3}", text):
        raise ValueError(f'must be three capital letters like "NOK", not "{text}"')
    return text


def _instant(text: str) -> str:
    with suppress(ValueError):
        if datetime.fromisoformat(text).tzinfo is not None:
            return text
    raise ValueError(f'must be an instant like "2026-11-23T00:00:00Z", not "{text}"')


def is_loopback(host: str) -> bool:
    """Names count only when they cannot mean another machine."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def read_secret(path: str | Path) -> str:
    """The first line of a secret's file that is not blank. Raises ConfigurationError."""
    return read_lines(path)[0]


def read_lines(path: str | Path) -> list[str]:
    """The lines of a secret's file that are not blank, at least one. Raises ConfigurationError.

    None would be worse than a fault: the empty token is what everybody shows who shows none.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"{path}: cannot be read: {error}"]) from error
    secrets = [line for line in lines if line.strip()]
    if not secrets:
        raise ConfigurationError([f"{path}: there is no secret in it"])
    return secrets


Id: TypeAlias = Annotated[str, AfterValidator(_id)]
Size: TypeAlias = Annotated[int, AfterValidator(_size)]
Currency: TypeAlias = Annotated[str, AfterValidator(_currency)]
Level: TypeAlias = Literal["debug", "info", "warning", "error"]


def _own_name() -> str:
    name = re.sub("[^a-z0-9-]+", "-", platform.node().partition(".")[0].lower()).strip("-")
    return name[:63] or "gateway"


class GatewayTable(Table):
    """This box."""

    id: Id = Field(default_factory=_own_name, description="id of this gateway; default: the host name")
    data_dir: Annotated[Path, Field(strict=False)] = Field(
        Path("/var/lib/counter-gateway"),
        description="directory of the buffer and the control socket; relative: beside this file",
    )
    commit_interval_s: float = Field(1.0, gt=0, le=60, description="longest wait of polled totals, seconds")


class ClockTable(Table):
    """When the wall clock is believed."""

    trust: Literal["kernel", "rtc", "always"] = Field(
        "kernel",
        description="kernel: once synchronised; rtc: the box has a battery-backed clock; always: believe it",
    )


class SiteTable(Table):
    """The place."""

    id: Id = Field(description="id of the site; part of every event")
    name: str = Field("", description="free name, for people")
    timezone: Annotated[str, AfterValidator(_timezone)] = Field(description="IANA name, e.g. Europe/Oslo")
    currency: Currency = Field("XXX", description="ISO 4217 code of amounts whose source names none")
    day_start: Annotated[str, AfterValidator(_day_start)] = Field(
        "00:00", description="local time at which a business day begins; must lie on a window edge"
    )
    hours: str | None = Field(None, description="name of an [hours] table; a zone may name another")
    week: Literal["iso", "4-5-4", "4-4-5"] = Field(
        "iso", description="weeks of reports: iso, or a retail calendar: 4-5-4 or 4-4-5 weeks in a quarter"
    )
    year_end: Annotated[str, AfterValidator(_year_end)] = Field(
        NRF_END, description="where a retail year's last week ends: WEEKDAY nearest or last MM-DD"
    )

    @property
    def weeks(self) -> Weeks:
        """The calendar of reports."""
        return weeks_of(self.week, self.year_end)

    @property
    def day_start_min(self) -> int:
        """Minutes after local midnight."""
        return int(self.day_start[:2]) * 60 + int(self.day_start[3:])


class WindowsTable(Table):
    """Aggregation."""

    size_s: Size = Field(900, description="window length in seconds: 60, 300, 900, 1800 or 3600")
    allowed_lateness_s: float = Field(
        60.0, ge=0, le=86400, description="delays the first close only, seconds"
    )
    min_completeness: float = Field(0.8, ge=0, le=1, description="below it a ratio is unknown, 0 to 1")
    readings_days: int = Field(35, ge=1, le=3660, description="days that readings are kept")
    retention_days: int = Field(400, ge=1, le=36600, description="days that aggregates are kept")

    @model_validator(mode="after")
    def _order(self) -> WindowsTable:
        if self.retention_days < self.readings_days:
            raise ValueError("retention_days: must not be less than readings_days")
        return self


class Listening(Table):
    """Where somebody listens."""

    listen: Annotated[str, AfterValidator(_listen)]

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])


class HttpTable(Listening):
    """Page, API and metrics."""

    listen: Annotated[str, AfterValidator(_listen)] = Field(
        "127.0.0.1:8080", description="address and port; port 0 takes a free one"
    )
    token_file: str | None = Field(
        None, description="file with the token that viewers present; needed when not on loopback"
    )

    @property
    def token(self) -> str | None:
        """Raises ConfigurationError when the file is gone."""
        return read_secret(self.token_file) if self.token_file else None


class PushTable(Listening):
    """Where counters push to, as `/push/LINK`."""

    listen: Annotated[str, AfterValidator(_listen)] = Field(
        "127.0.0.1:8081", description="address and port that counters post to; not that of [http]"
    )
    allow: list[Annotated[str, AfterValidator(_network)]] = Field(
        [], description="networks that may push; default: any that can authenticate"
    )


class LogTable(Table):
    """What is written to the journal."""

    level: Level = Field("info", description="debug, info, warning or error")
    rooms: dict[str, Level] = Field(
        default_factory=dict, description='level of single rooms, e.g. { links = "debug" }'
    )


class LinkTable(Table):
    """A port, bus or broker."""

    over: Literal["serial", "tcp", "mqtt", "gpio", "pull", "push", "folder"] = Field(
        description="what kind of link it is"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="of that kind")


class LineKeys(Table):
    """How a line is counted; may stand at the counter (for all its lines) or at one line."""

    basis: Annotated[Basis, Field(strict=False)] | None = Field(
        None, description="delta, total or event: what the line counts by; default: by its driver"
    )
    max_per_s: float = Field(5.0, ge=0, le=1000, description="physical limit, persons per second; 0: none")
    reversed: bool = Field(False, description="the device's in is our out")
    counts: Literal["up", "down"] = Field("up", description="which way its total runs")
    resets: Annotated[Resets, Field(strict=False)] | None = Field(
        None, description="never, power or daily: when a total restarts by itself; default: by its driver"
    )
    expect_s: float | None = Field(
        None, gt=0, le=86400, description="longest silence that counts as watched, seconds"
    )


class CounterTable(LineKeys):
    """A device that watches lines. Its driver's options and, for one line, that line's stand here too."""

    link: str = Field(description="id of its link")
    driver: str = Field(description="name of its driver")
    name: str = Field("", description="free name, for people")
    serial: str | None = Field(None, description="serial number; a new one begins a new register")
    memory: str | None = Field(
        None, description="id of a pull link at which the device itself is asked for what was missed"
    )
    lines: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="lines of a device that has several, by our names"
    )


class TillTable(Table):
    """The origin of receipts. Its driver's options stand here too."""

    link: str = Field(description="id of its link")
    driver: str = Field(description="name of its driver")
    name: str = Field("", description="free name, for people")
    currency: Currency | None = Field(None, description="ISO 4217 code; default: the site's")
    expect_s: float | None = Field(
        None, gt=0, le=86400, description="longest silence that counts as watched, seconds"
    )


class ZoneTable(Table):
    """What lines enclose. Members: "counter", "counter/line"; a leading minus sees it from the other side."""

    kind: Literal["mall", "floor", "store", "area", "street"] = Field(description="what kind of place")
    name: str = Field("", description="free name, for people")
    parent: str | None = Field(None, description="id of the zone around it")
    entrances: list[str] = Field([], description="lines that people enter and leave by")
    passing: list[str] = Field([], description="lines in front, for the capture rate")
    tills: list[str] = Field([], description="ids of its tills")
    staff: list[str] = Field(
        [], description="lines where staff is told from visitors; their ins do not visit"
    )
    roster: dict[str, int] | None = Field(
        None,
        description="shifts by weekday where no line tells staff, like { mon-fri = 3, crossings = 4 }",
    )
    group: float | None = Field(
        None, ge=1, le=10, description="persons who buy together, from a survey; shows the rate of such units"
    )
    was: list[Id] = Field([], description="former ids, whose history is joined")
    hours: str | None = Field(None, description="name of an [hours] table instead of the site's")


class SendTable(Table):
    """What an upstream is sent."""

    zones: list[str] | None = Field(None, description="ids of zones; default: all")
    sizes_s: list[Size] | None = Field(None, description="window lengths, seconds; default: [windows] size_s")
    alarms: bool = Field(False, description="alarms of the lines of these zones too")


class UpstreamTable(Table):
    """A receiver of aggregates."""

    driver: str = Field(description="name of its driver")
    options: dict[str, Any] = Field(default_factory=dict, description="of that driver")
    send: SendTable = Field(
        default_factory=lambda: SendTable.model_validate({}),
        description="what it is sent; default: everything",
    )
    replay_per_s: float = Field(50.0, gt=0, le=100_000, description="pace of a backlog, events per second")
    from_: Annotated[str, AfterValidator(_instant)] | None = Field(
        None,
        alias="from",
        description=(
            "what a new one begins with (RFC 3339), earlier windows too; default: the next window, "
            "in an empty buffer all"
        ),
    )

    @property
    def from_ms(self) -> int | None:
        return None if self.from_ is None else round(datetime.fromisoformat(self.from_).timestamp() * 1000)


SINGLE: dict[str, type[Table]] = {
    "gateway": GatewayTable,
    "clock": ClockTable,
    "site": SiteTable,
    "windows": WindowsTable,
    "http": HttpTable,
    "push": PushTable,
    "log": LogTable,
}
KEYED: dict[str, type[Table]] = {
    "link": LinkTable,
    "counter": CounterTable,
    "till": TillTable,
    "zone": ZoneTable,
    "upstream": UpstreamTable,
}
TABLES: Sequence[str] = ("include", *SINGLE, "hours", *KEYED, "mapping")
