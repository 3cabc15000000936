"""Who is who: a device's own id and line → the configured counter and line, oriented so that in is in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from gateway.config import Config, Counter
from gateway.driver import Device, Driver, Family, Kind
from gateway.model import (
    MAIN_LINE,
    Adopted,
    Booking,
    Crossings,
    Damaged,
    Ignored,
    Item,
    LineRule,
    Occupancy,
    Register,
    Status,
    Transactions,
    ZoneSpec,
)

REMEMBERED_TOPICS = 10_000
OF_COUNTERS = (Crossings, Register, Occupancy)


@dataclass(slots=True)
class Resolved:
    """What one message or poll came to."""

    bookings: list[Booking] = field(default_factory=list)
    unwatched: list[Booking] = field(default_factory=list)  # zeros made up: neither stored nor watched time
    statuses: list[tuple[str, Status]] = field(default_factory=list)
    unknown: list[Item] = field(default_factory=list)  # of devices or lines that are not configured
    unchosen: int = 0  # items of lines that nobody asked for, of devices that are configured
    damaged: list[Damaged] = field(default_factory=list)
    ignored: list[Ignored] = field(default_factory=list)
    adopted: list[Adopted] = field(default_factory=list)


@dataclass(slots=True)
class _Route:
    """One counter or till as its decoder's items find it. `lines`: device line → (our line, reversed)."""

    counter: str
    till: bool
    device: str | None  # the id that the payload must carry
    topics: tuple[str, ...]
    epoch: tuple[str, ...]  # what makes another device: its serial number, the id its payload must carry
    lines: dict[str, tuple[str, bool]]
    adopts: tuple[str, bool] | None  # the only line, not yet given to a device line
    origin: str  # where its items come from: an adoption holds as long as this is the same
    adopted: str | None = None  # the device line taken for the only one

    def adopt(self, name: str) -> Adopted | None:
        """The first device line heard becomes the only line of a counter that named none; for good."""
        if self.adopts is None:
            return None
        self.lines[name], self.adopts = self.adopts, None
        self.adopted = name
        return Adopted(self.counter, self.origin, name)

    def disown(self) -> None:
        """The next device line heard is adopted."""
        if self.adopted is not None:
            self.adopts = self.lines.pop(self.adopted)
            self.adopted = None


@dataclass(slots=True)
class _Directory:
    """Routes for one topic: by the device's own id, and those that take any id."""

    named: dict[str, list[_Route]] = field(default_factory=dict)
    any: list[_Route] = field(default_factory=list)

    def add(self, route: _Route) -> None:
        (self.any if route.device is None else self.named.setdefault(route.device, [])).append(route)

    def find(self, device: str) -> list[_Route]:
        return self.named.get(device) or self.any


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One decoder on one link, serving the counters and tills whose messages it can tell apart."""

    link: str
    family: Family
    device: Device
    driver: Driver
    topics: tuple[str, ...]
    counters: tuple[str, ...]  # ids of counters and tills
    routes: tuple[_Route, ...] = field(repr=False)
    selective: bool = False  # its lines were chosen, or others listen too: an unknown line is no stranger
    by_topic: dict[str, tuple[_Directory, _Directory]] = field(default_factory=dict, repr=False)

    def hearing(self, topic: str) -> Iterator[_Route]:
        """Whose messages come on this topic ("": no topics here)."""
        for route in self.routes:
            if not topic or not route.topics or any(topic_fits(one, topic) for one in route.topics):
                yield route


class Roster:
    """All counters and tills of a configuration."""

    def __init__(self, config: Config) -> None:
        members = [*config.counter.values(), *config.till.values()]
        self.rules: list[LineRule] = [_rule(one, line) for one in members for line in one.lines]
        self.zones: list[ZoneSpec] = config.zones()
        self._sources: dict[str, list[Source]] = {link: [] for link in config.link}
        for link in config.link:
            self._sources[link] = _sources([one for one in members if one.link == link])
        for one in config.counter.values():
            if one.memory and one.memory != one.link:
                self._sources[one.memory].append(_memory(one, self._sources[one.link]))

    def recall(self, adopted: Iterable[Adopted]) -> None:
        """What counters took for theirs in earlier runs: no other line of theirs is counted instead."""
        known = {(one.counter, one.origin): one.line for one in adopted}
        for source in (source for sources in self._sources.values() for source in sources):
            for route in source.routes:
                if (name := known.get((route.counter, route.origin))) is not None:
                    route.adopt(name)

    def readopt(self, counter: str) -> None:
        """Another device hangs there: its only line may have another name."""
        for source in (source for sources in self._sources.values() for source in sources):
            for route in source.routes:
                if route.counter == counter:
                    route.disown()

    def sources(self, link: str) -> list[Source]:
        """The decoders of a link."""
        return self._sources[link]

    def resolve(self, source: Source, items: Iterable[Item], topic: str = "") -> Resolved:
        """Items of one message or poll as bookings of configured lines."""
        resolved = Resolved()
        directories = source.by_topic.get(topic) or _directories(source, topic)
        for item in items:
            if isinstance(item, OF_COUNTERS):
                self._book(resolved, source, directories[0].find(item.counter), item, item.line)
            elif isinstance(item, Transactions):
                self._book(resolved, source, directories[1].find(item.till), item, MAIN_LINE)
            elif isinstance(item, Status):
                for directory in directories:
                    resolved.statuses += [(route.counter, item) for route in directory.find(item.counter)]
            elif isinstance(item, Damaged):
                resolved.damaged.append(item)
            else:
                resolved.ignored.append(item)
        return resolved

    def _book(
        self,
        resolved: Resolved,
        source: Source,
        routes: Sequence[_Route],
        item: Crossings | Register | Occupancy | Transactions,
        name: str,
    ) -> None:
        booked = False
        made_up = isinstance(item, Crossings) and item.unwatched
        # neither a level nor zeros made up become the counter's line: a device's zone, or a place
        # that it names but does not watch, would shut out the door beside it
        adoptable = not made_up and not isinstance(item, Occupancy)
        for route in routes:
            if route.adopts is not None and adoptable and (new := route.adopt(name)):
                resolved.adopted.append(new)
            line = route.lines.get(name) or (route.adopts if made_up else None)
            if line is not None:
                reading = _oriented(item, line[1], route.epoch)
                told = resolved.unwatched if made_up else resolved.bookings
                told.append(Booking(route.counter, line[0], reading))
                booked = True
        if not booked:
            if source.selective and routes:
                resolved.unchosen += 1
            else:
                resolved.unknown.append(item)


def _oriented(
    item: Crossings | Register | Occupancy | Transactions, reverse: bool, epoch: tuple[str, ...]
) -> Crossings | Register | Occupancy | Transactions:
    """In is in; a register that is read from another device or line now begins anew."""
    if type(item) is Crossings and reverse:
        return Crossings(
            item.counter,
            item.line,
            item.start_ms,
            item.end_ms,
            item.outs,
            item.ins,
            item.passes,
            item.key,
            item.basis,
            item.growing,
            item.unwatched,
        )
    if type(item) is Register and (reverse or epoch or item.line != MAIN_LINE):
        ins, outs = (item.total_out, item.total_in) if reverse else (item.total_in, item.total_out)
        return Register(
            item.counter,
            item.line,
            item.at_ms,
            ins,
            outs,
            item.total_passes,
            item.key,
            "/".join((*epoch, *((item.line,) if item.line != MAIN_LINE else ()), item.epoch)),
            item.modulus,
            item.restart,
        )
    return item


def _directories(source: Source, topic: str) -> tuple[_Directory, _Directory]:
    """Of counters and of tills; filters are matched once per topic and remembered (bounded)."""
    counters, tills = _Directory(), _Directory()
    for route in source.hearing(topic):
        (tills if route.till else counters).add(route)
    if len(source.by_topic) >= REMEMBERED_TOPICS:
        source.by_topic.clear()
    source.by_topic[topic] = counters, tills
    return counters, tills


def topic_fits(wanted: str, topic: str) -> bool:
    """Does the MQTT filter bring this topic? Wildcards never match a leading `$`."""
    if wanted == topic:
        return True
    levels, parts = wanted.split("/"), topic.split("/")
    if topic.startswith("$") and levels[0] in ("+", "#"):
        return False
    for at, level in enumerate(levels):
        if level == "#":
            return True
        if at >= len(parts) or level not in ("+", parts[at]):
            return False
    return len(levels) == len(parts)


def _rule(one: Counter, name: str) -> LineRule:
    line = one.lines[name]
    return LineRule(
        counter=one.id,
        line=name,
        till=one.till,
        basis=line.basis,
        max_per_s=line.max_per_s,
        down=line.counts == "down",
        resets=line.resets,
        polled=one.polled,
        expect_s=line.expect_s,
    )


def _sources(members: Sequence[Counter]) -> list[Source]:
    """Those that differ in nothing a decoder looks at share one; a polled device always has its own."""
    keys = {id(one): _decoder_key(one) for one in members}
    ordered = sorted(members, key=lambda one: (one.family.kind is Kind.EXCHANGE, keys[id(one)]))
    groups = [list(group) for _, group in groupby(ordered, key=lambda one: keys[id(one)])]
    alone = len({id(group[0].family) for group in groups}) == len(groups) == 1
    return [_source(group, alone=alone) for group in groups]


def _decoder_key(one: Counter) -> str:
    options = one.device.options
    if one.family.kind is Kind.EXCHANGE:
        return f"{one.driver} {one.till} {one.id}"
    told_apart = {"topic", "match", "serial"}
    kept = options.model_dump(mode="json", exclude=told_apart)
    lines = dict(one.device.lines) if one.family.reads_lines else {}
    return f"{one.driver} {one.device.site} {kept!r} {lines!r}"


def _source(group: Sequence[Counter], *, alone: bool) -> Source:
    first = group[0]
    several = len(group) > 1
    device = first.device
    if several and not first.family.reads_lines:  # no line names of one: the payload's own reach the roster
        device = replace(device, lines={})
    routes = tuple(_route(one) for one in group)
    return Source(
        link=first.link,
        family=first.family,
        device=device,
        driver=first.family.open(device),
        topics=tuple(dict.fromkeys(topic for route in routes for topic in route.topics)),
        counters=tuple(one.id for one in group),
        routes=routes,
        selective=not alone or any(one.device.lines for one in group),
    )


def _memory(one: Counter, sources: Sequence[Source]) -> Source:
    """A decoder of its own for what the device remembers; its items go the way of those it sends."""
    route = next(route for source in sources for route in source.routes if route.counter == one.id)
    driver = one.family.open(one.device)
    return Source(str(one.memory), one.family, one.device, driver, (), (one.id,), (route,), selective=True)


def _route(one: Counter) -> _Route:
    match = one.family.match(one.device)
    ours: Mapping[str, str] = match.lines or {}
    if not ours and set(one.lines) != {MAIN_LINE}:
        ours = {name: name for name in one.lines}
    lines = {theirs: (name, one.lines[name].reversed) for theirs, name in ours.items() if name in one.lines}
    adopts = None if lines else (MAIN_LINE, one.lines[MAIN_LINE].reversed)
    topics = tuple(one.family.topics(one.device))
    if one.till:
        lines, adopts = {MAIN_LINE: (MAIN_LINE, False)}, None
    origin = " ".join((one.link, one.driver, match.counter or "", *topics))
    epoch = tuple(part for part in (one.serial, match.counter) if part)
    return _Route(one.id, one.till, match.counter, topics, epoch, lines, adopts, origin)
