"""From the merged tree to checked tables; what is wrong is noted, and the looking goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from gateway.config.almanac import Almanac, Holiday
from gateway.config.files import Key, Merged
from gateway.config.hours import read_hours, swapped
from gateway.config.links import ASKING, LINK_OPTIONS, WITH_PORTS
from gateway.config.members import Counter, Surroundings, read_counter
from gateway.config.observed import Observed
from gateway.config.secrets import place_files
from gateway.config.tables import (
    ID,
    KEYED,
    OVER,
    SINGLE,
    TABLES,
    HttpTable,
    LinkTable,
    SiteTable,
    Table,
    UpstreamTable,
    WindowsTable,
    ZoneTable,
    is_loopback,
)
from gateway.config.wording import hint, sentences, shown
from gateway.config.zones import check_zones
from gateway.driver import Kind, Options, Site
from gateway.errors import UnknownDriver
from gateway.upstreams import load_upstream
from gateway.windows import Hours

YEARS = range(2024, 2036)  # in which a business day's start must lie on a window edge
STILL_CHECKED = (SiteTable, WindowsTable, ZoneTable)
LISTS = frozenset({"entrances", "passing", "staff", "tills", "was"})
T = TypeVar("T")


class Reading:
    """One look at a configuration. `years`: for which holidays are looked up; None: not at all."""

    def __init__(self, merged: Merged, years: range | None = None, *, keep: bool = False) -> None:
        self._merged = merged
        self._note = merged.note
        self._years, self._keep = years, keep
        self._almanac: Almanac | None = None
        self.warnings: list[str] = []
        self.observed: dict[str, list[Observed]] = {}
        self.holiday_years = years or range(0)  # those of which all holidays are known
        self.hash = ""

    def everything(self) -> dict[str, Any]:
        """All tables by name; complete only when `merged.problems` is empty."""
        if not self._merged.tree and self._merged.problems:
            return {}
        text = json.dumps(self._merged.tree, sort_keys=True, default=str, ensure_ascii=False)
        self.hash = hashlib.sha256(text.encode()).hexdigest()[:12]
        self._unknown_tables()
        place_files(self._merged)
        tables: dict[str, Any] = {name: self._single(name) for name in SINGLE}
        tables["hours"] = self.hours(self._beside(tables["gateway"]).data_dir if tables["gateway"] else None)
        tables["link"] = self._keyed("link", self._link)
        tables["mapping"] = self._keyed("mapping", lambda _id, raw: raw)
        around = self._surroundings(tables)
        tables["counter"] = self._keyed(
            "counter", lambda id_, raw: read_counter(around, id_, raw, till=False)
        )
        tables["till"] = self._keyed("till", lambda id_, raw: read_counter(around, id_, raw, till=True))
        tables["zone"] = self._keyed("zone", lambda id_, raw: self._table(("zone", id_), ZoneTable, raw))
        tables["upstream"] = self._keyed("upstream", self._upstream)
        self._across(tables)
        if tables["gateway"] is not None:
            tables["gateway"] = self._beside(tables["gateway"])
        return tables

    def _beside(self, gateway: Any) -> Any:
        folder = self._merged.origin(("gateway", "data_dir")).parent
        return gateway.model_copy(update={"data_dir": (folder / gateway.data_dir).absolute()})

    def _unknown_tables(self) -> None:
        for name in self._merged.tree:
            if name not in TABLES:
                self._note((name,), f"unknown key{hint(name, TABLES)}")

    def _single(self, name: str) -> Any:
        return self._table((name,), SINGLE[name], self._merged.tree.get(name, {}))

    def _table(self, at: Key, model: type[Any], raw: Any) -> Any:
        if not isinstance(raw, dict):
            self._note(at, f"must be a table, not {shown(raw)}")
            return None
        try:
            return model.model_validate(raw)
        except ValidationError as error:
            for key, sentence in sentences(model, error):
                self._note((*at, *key), sentence)
            faulty = {str(fault["loc"][0]) for fault in error.errors() if fault["loc"]}
            return _rest(model, raw, faulty) if model in STILL_CHECKED else None

    def _keyed(self, name: str, one: Callable[[str, Any], T | None]) -> dict[str, T]:
        raw = self._merged.tree.get(name, {})
        if not isinstance(raw, dict):
            self._note((name,), f"must be a table, not {shown(raw)}")
            return {}
        found: dict[str, T] = {}
        for id_, table in raw.items():
            if name in KEYED and name not in ("counter", "till") and not ID.fullmatch(id_):
                self._note((name, id_), "no id: lower case letters, digits and -, at most 63")
            if not isinstance(table, dict):
                self._note((name, id_), f"must be a table, not {shown(table)}")
                continue
            checked = one(id_, table)
            if checked is not None:
                found[id_] = checked
        return found

    def hours(self, data_dir: Path | None) -> dict[str, Hours]:
        """All opening hours, with the holidays of the years asked for."""
        if self._years is not None:
            self._almanac = Almanac(self._years, data_dir, keep=self._keep)
        found = self._keyed("hours", self._hours)
        for years in self._almanac.known if self._almanac else ():
            low, high = max(self.holiday_years.start, years.start), min(self.holiday_years.stop, years.stop)
            self.holiday_years = range(low, high)
        return found

    def _hours(self, name: str, raw: dict[str, Any]) -> Hours:
        ask = partial(self._holidays, name)
        hours, self.observed[name] = read_hours(raw, ("hours", name), self._note, ask)
        for key in swapped(raw):
            self._warn(("hours", name, *key), "is open all night: are opening and closing swapped?")
        return hours

    def _holidays(self, hours: str, country: str, subdiv: str | None) -> list[Holiday]:
        if self._almanac is None:
            return []
        found = self._almanac.holidays(country, subdiv)
        if self._almanac.complaint:
            self._warn(("hours", hours, "holidays"), self._almanac.complaint)
        return found

    def _warn(self, at: Key, sentence: str) -> None:
        self.warnings.append(f"{self._merged.origin(at)}: {'.'.join(at)}: {sentence}")

    def _link(self, id_: str, raw: dict[str, Any]) -> tuple[str, Table] | None:
        at, over = ("link", id_), raw.get("over")
        link = self._table(at, LinkTable, raw)
        meant = over if over in OVER else hint(str(over), OVER)[len(" (did you mean ") : -len("?)")]
        if meant not in OVER:
            return None
        options = self._table((*at, "options"), LINK_OPTIONS[meant], raw.get("options", {}))
        if link is None or options is None:
            return None
        if meant == "mqtt" and not options.client_id:
            gateway = self._merged.tree.get("gateway", {})
            own = gateway.get("id") if isinstance(gateway, dict) else None
            own = own or SINGLE["gateway"]().model_dump()["id"]
            options = options.model_copy(update={"client_id": f"{own}-{id_}"})
        return meant, options

    def _surroundings(self, tables: dict[str, Any]) -> Surroundings:
        polls = {id_: link[1].poll_s for id_, link in tables["link"].items() if link[0] in ASKING}
        raw = self._merged.tree.get("link")
        links = (
            {id_: one for id_, one in raw.items() if isinstance(one, dict)} if isinstance(raw, dict) else {}
        )
        site: SiteTable | None = tables["site"]
        place = Site(site.timezone or "UTC", site.currency or "XXX") if site else Site()
        return Surroundings(self._merged, links, polls, place)

    def _upstream(self, id_: str, raw: dict[str, Any]) -> tuple[UpstreamTable, Options] | None:
        at = ("upstream", id_)
        table: UpstreamTable | None = self._table(at, UpstreamTable, raw)
        try:
            model = load_upstream(str(raw.get("driver"))).options
        except UnknownDriver as error:
            if "driver" in raw:
                self._note((*at, "driver"), str(error))
            return None
        options: Options | None = self._table((*at, "options"), model, raw.get("options", {}))
        url = urlsplit(str(getattr(options, "url", "")))
        if url.scheme == "http" and not is_loopback(url.hostname or ""):
            self._note((*at, "options", "url"), "must be https, except on this machine")
        return (table, options) if table and options else None

    def _across(self, tables: dict[str, Any]) -> None:
        """What only several tables together can tell."""
        site, hours = tables["site"], set(self._merged.tree.get("hours") or {})
        zones = set(self._merged.tree.get("zone") or {})
        self._whose_hours(site, tables["zone"], hours)
        if site and site.timezone and site.day_start and tables["windows"] and tables["windows"].size_s:
            self._day_start(site, tables["windows"])
        if tables["http"]:
            self._listen(tables["http"])
        if tables["push"]:
            self._doors(tables)
        check_zones(self._merged, tables["zone"], zones, hours)
        for id_, (table, _options) in tables["upstream"].items():
            for zone in table.send.zones or ():
                if zone not in zones:
                    at = ("upstream", id_, "send", "zones")
                    self._note(at, f'there is no zone "{zone}"{hint(zone, zones)}')
        self._ports(tables["link"])
        for one in (*tables["counter"].values(), *tables["till"].values()):
            over = tables["link"].get(one.link, ("",))[0]
            if over == "mqtt" and not one.family.topics(one.device):
                self._note(
                    ("till" if one.till else "counter", one.id, "topic"), "missing: the link is a broker"
                )
            if over == "serial" and one.polled and not tables["link"][one.link][1].port:
                self._note(
                    ("till" if one.till else "counter", one.id, "link"),
                    f"{one.link} is a tap: it only listens, and {one.driver} must be asked",
                )
        self._twins([*tables["counter"].values(), *tables["till"].values()])
        for id_ in set(tables["counter"]) & set(tables["till"]):
            self._note(("till", id_), "a counter has this id too")

    def _whose_hours(self, site: SiteTable | None, zones: dict[str, ZoneTable], hours: set[str]) -> None:
        if site and site.hours is not None and site.hours not in hours:
            self._note(("site", "hours"), f"there is no [hours.{site.hours}]{hint(site.hours, hours)}")
        for name in sorted(hours - {one.hours for one in (site, *zones.values()) if one}):
            self._warn(("hours", name), "neither [site] nor a zone names it")

    def _day_start(self, site: SiteTable, windows: WindowsTable) -> None:
        minutes = site.day_start_min
        start, zone = time(minutes // 60, minutes % 60), ZoneInfo(site.timezone)
        days = (date(year, month, 15) for year in YEARS for month in range(1, 13))
        if any(
            int(datetime.combine(day, start, zone).astimezone(UTC).timestamp()) % windows.size_s
            for day in days
        ):
            self._note(
                ("site", "day_start"),
                f"{site.day_start} in {site.timezone} is not on the edge of a window of {windows.size_s} s",
            )

    def _listen(self, http: HttpTable) -> None:
        if not is_loopback(http.host) and http.token_file is None:
            self._note(("http", "listen"), f"{http.host} is open to others: token_file is needed")

    def _doors(self, tables: dict[str, Any]) -> None:
        """Links that counters push to."""
        push, http = tables["push"], tables["http"]
        pushed = {id_: options for id_, (over, options) in tables["link"].items() if over == "push"}
        if pushed and "push" not in self._merged.tree:
            self._note(("push", "listen"), f"missing: counters push to link {next(iter(pushed))}")
        if pushed and http and push.port and (push.host, push.port) == (http.host, http.port):
            self._note(("push", "listen"), "[http] has this address and port")
        for id_, options in pushed.items():
            if options.auth == "none" and not push.allow:
                self._note(
                    ("link", id_, "options", "auth"), "none needs [push] allow: networks that may push"
                )

    def _ports(self, links: dict[str, tuple[str, Any]]) -> None:
        taken: dict[str, str] = {}
        for id_, (over, options) in links.items():
            for port in options.ports if over in WITH_PORTS else ():
                if port in taken:
                    key, what = (
                        ("pattern", "takes these files") if over == "folder" else ("port", "has this port")
                    )
                    self._note(("link", id_, "options", key), f"link {taken[port]} {what} too")
                taken.setdefault(port, id_)

    def _twins(self, members: list[Counter]) -> None:
        """Two that would count the same thing."""
        taken: dict[tuple[object, ...], str] = {}
        for one in members:
            for thing in _claims(one):
                if thing in taken:
                    kind = "till" if one.till else "counter"
                    where = "address" if one.family.kind is Kind.EXCHANGE else "device"
                    self._note(
                        (kind, one.id),
                        f"{kind} {taken[thing]} has the same {where} on link {one.link}",
                    )
                    break
                taken[thing] = one.id


def _rest(model: type[Table], raw: dict[str, Any], faulty: set[str]) -> Table:
    """What is sound of a faulty table, so that its references are checked too; the rest is None."""
    values = {
        name: None if (info.alias or name) in faulty else raw.get(info.alias or name, info.get_default())
        for name, info in model.model_fields.items()
    }
    values = {name: [] if value is None and name in LISTS else value for name, value in values.items()}
    return model.model_construct(**values)


def _claims(one: Counter) -> list[tuple[object, ...]]:
    """What a counter claims for itself: an address on a bus, or a device's lines in a topic."""
    if one.family.kind is Kind.EXCHANGE:
        address = getattr(one.device.options, "address", None)
        return [(one.link, one.driver, str(address or one.device.options))]
    match = one.family.match(one.device)
    topics = one.family.topics(one.device) or ("",)
    return [
        (one.link, one.driver, one.till, topic, match.counter, line)
        for topic in topics
        for line in (match.lines or ("",))
    ]
