"""The configuration: models are its schema, every problem is named at once, nothing else reads TOML."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.config.almanac import years_around
from gateway.config.checks import Reading
from gateway.config.files import Merged, Tree, read
from gateway.config.folder import FolderOptions
from gateway.config.links import GpioOptions, MqttOptions, SerialOptions, TcpOptions
from gateway.config.members import Counter, Line
from gateway.config.observed import Observed
from gateway.config.pull import PullOptions
from gateway.config.push import PushOptions
from gateway.config.tables import (
    ClockTable,
    GatewayTable,
    HttpTable,
    LogTable,
    PushTable,
    SendTable,
    SiteTable,
    WindowsTable,
    ZoneTable,
    is_loopback,
    read_secret,
)
from gateway.config.zones import unused, zone_spec
from gateway.driver import Options
from gateway.errors import ConfigurationError
from gateway.model import ZoneSpec
from gateway.windows import Hours

__all__ = [
    "Config",
    "Counter",
    "FolderOptions",
    "GpioOptions",
    "Line",
    "Link",
    "MqttOptions",
    "Observed",
    "PullOptions",
    "PushOptions",
    "SerialOptions",
    "TcpOptions",
    "Upstream",
    "effective",
    "load",
    "loopback_only",
    "read_secret",
    "renewed",
    "years_around",
]


@dataclass(frozen=True, slots=True)
class Link:
    """One link; `options` by what it goes over."""

    over: str
    options: SerialOptions | TcpOptions | MqttOptions | GpioOptions | PullOptions | PushOptions


@dataclass(frozen=True, slots=True)
class Upstream:
    """One receiver; files named in `options` are absolute paths."""

    driver: str
    options: Options
    send: SendTable
    replay_per_s: float
    from_ms: int | None = None  # what it begins with when it is new; None: the next window


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration without a fault. Attributes are named as the tables."""

    path: Path
    gateway: GatewayTable
    clock: ClockTable
    site: SiteTable
    windows: WindowsTable
    http: HttpTable
    push: PushTable
    log: LogTable
    hours: Mapping[str, Hours] = field(default_factory=dict)
    link: Mapping[str, Link] = field(default_factory=dict)
    counter: Mapping[str, Counter] = field(default_factory=dict)
    till: Mapping[str, Counter] = field(default_factory=dict)
    zone: Mapping[str, ZoneTable] = field(default_factory=dict)
    mapping: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    upstream: Mapping[str, Upstream] = field(default_factory=dict)
    observed: Mapping[str, list[Observed]] = field(default_factory=dict)  # hours → what holidays came to
    holiday_years: range = range(0)  # whose holidays are in `hours`
    warnings: tuple[str, ...] = ()
    hash: str = ""
    merged: Merged = field(default_factory=lambda: Merged(Path()), repr=False)

    def open_hours(self) -> dict[str, Hours]:
        """Zone → its opening hours; zones without any are absent."""
        named = {id_: zone.hours or self.site.hours for id_, zone in self.zone.items()}
        return {id_: self.hours[name] for id_, name in named.items() if name}

    @property
    def has_holidays(self) -> bool:
        return any("holidays" in table for table in self.merged.tree.get("hours", {}).values())

    def zones(self) -> list[ZoneSpec]:
        """Zones with their members resolved."""
        return [zone_spec(id_, zone, self.counter) for id_, zone in self.zone.items()]


def load(path: Path, years: range | None = None, *, keep: bool = False) -> Config:
    """Read, merge and check. Raises ConfigurationError with every problem.

    Holidays are looked up for `years`, which may take seconds (half a minute at worst); without, days go by
    their weekday. `keep`: what was learned of them is remembered in `data_dir`.
    """
    merged = read(path)
    reading = Reading(merged, years, keep=keep)
    tables = reading.everything()
    if merged.problems:
        raise ConfigurationError(merged.problems)
    counters: dict[str, Counter] = tables["counter"]
    tills: dict[str, Counter] = tables["till"]
    lost = unused(tables["zone"].values(), [*counters.values(), *tills.values()])
    warnings = [*reading.warnings, *(f"{path}: {one}: no zone uses it" for one in lost)]
    tables["link"] = {id_: Link(*link) for id_, link in tables["link"].items()}
    tables["upstream"] = {
        id_: Upstream(table.driver, options, table.send, table.replay_per_s, table.from_ms)
        for id_, (table, options) in tables["upstream"].items()
    }
    return Config(
        path=path,
        warnings=tuple(warnings),
        hash=reading.hash,
        merged=merged,
        observed=reading.observed,
        holiday_years=reading.holiday_years,
        **tables,
    )


def renewed(config: Config, years: range) -> Config:
    """The same configuration with the holidays of other years. Raises ConfigurationError."""
    merged = replace(config.merged, problems=[])
    reading = Reading(merged, years, keep=True)
    hours = reading.hours(config.gateway.data_dir)
    if merged.problems:
        raise ConfigurationError(merged.problems)
    return replace(
        config,
        hours=hours,
        observed=reading.observed,
        holiday_years=reading.holiday_years,
        warnings=tuple(reading.warnings),
    )


def loopback_only(config: Config) -> list[str]:
    """Upstreams that would let simulated counts leave this machine, each a sentence."""
    problems = []
    for id_, upstream in config.upstream.items():
        host = urlsplit(str(getattr(upstream.options, "url", ""))).hostname or ""
        if not is_loopback(host):
            problems.append(
                f"{config.path}: upstream.{id_}: simulated counts stay on this machine (loopback)"
            )
    return problems


def effective(merged: Merged) -> list[tuple[str, Any, Path]]:
    """(key, value, file) of everything that is set, as merged."""
    found: list[tuple[str, Any, Path]] = []
    _flatten(merged, merged.tree, (), found)
    return found


def _flatten(merged: Merged, tree: Tree, above: tuple[str, ...], found: list[tuple[str, Any, Path]]) -> None:
    for name, value in tree.items():
        key = (*above, name)
        if isinstance(value, dict) and value:
            _flatten(merged, value, key, found)
        else:
            found.append((".".join(_quoted(part) for part in key), value, merged.origin(key)))


def _quoted(part: str) -> str:
    bare = part.isascii() and part.replace("-", "").replace("_", "").isalnum()
    return part if bare else json.dumps(part, ensure_ascii=False)
