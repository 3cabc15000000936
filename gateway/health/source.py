"""Puts the snapshot together: the store's reader, and what links, ingest and pumps say of themselves."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gateway import __version__, windows
from gateway.health import history
from gateway.health.buffer import Buffer
from gateway.health.opening import opening
from gateway.health.snapshot import (
    AlarmHealth,
    BooksHealth,
    BufferHealth,
    CounterHealth,
    Health,
    LineHealth,
    LinkHealth,
    OpeningHealth,
    SiteHealth,
    UpstreamHealth,
    ZoneHealth,
    to_json,
)
from gateway.health.zones import Taps, zones
from gateway.model import line_ref

if TYPE_CHECKING:
    from gateway.clock import Clock
    from gateway.config import Config
    from gateway.ingest import Ingest
    from gateway.roster import Roster
    from gateway.store.events import AlarmFacts
    from gateway.store.plan import Books, LineTotals, Pending, ZoneLive

FRESH_S = 0.2  # a person at the door shall be on the page within a second
FRESH_SHARE = 4  # a snapshot that takes long is made the more seldom: at most a fifth of the time
BOOKS_S = 60.0
BOOKS_SHARE = 50  # an audit that takes long is made the more seldom: at most 2 % of the time
GROWTH_S = 600.0  # the shortest look back for "how long until the card is full"
PROCESS_IO = Path("/proc/self/io")


class Reader(Buffer, Protocol):
    """What health asks of the store's read-only side; called in a thread."""

    def live(self, now_ms: int) -> Sequence[ZoneLive]: ...
    def taps(self, from_ms: int, to_ms: int) -> Mapping[str, Taps]: ...
    def lines(self) -> Sequence[LineTotals]: ...
    def pending(self) -> Sequence[Pending]: ...
    def alarms(self) -> Sequence[AlarmFacts]: ...
    def alarms_between(self, from_ms: int, to_ms: int) -> Sequence[AlarmFacts]: ...
    def books(self) -> Books: ...


class Link(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def state(self) -> Any: ...


class Pump(Protocol):
    @property
    def state(self) -> Any: ...


class Closing(Protocol):
    @property
    def revisions(self) -> Mapping[str, int]: ...


class HealthSource:
    """Gives the snapshot, about `FRESH_S` old at most. `ready` is set by whoever started every layer."""

    def __init__(
        self,
        config: Config,
        roster: Roster,
        reader: Reader,
        links: Sequence[Link],
        pumps: Sequence[Pump],
        ingest: Ingest,
        clock: Clock,
        closing: Closing,
    ) -> None:
        self._config, self._roster, self._reader = config, roster, reader
        self._links, self._pumps, self._ingest = links, pumps, ingest
        self._clock, self._closing = clock, closing
        self.ready = False
        self.unserved = ""  # why the page cannot be asked for
        self._one_at_a_time, self._one_audit = asyncio.Lock(), asyncio.Lock()
        self._one_report = asyncio.Lock()  # a year of them is seconds of work: counting must not wait for two
        self._last: Health | None = None
        self._due_s = 0.0
        self._books: Books | None = None
        self._books_ms = 0
        self._books_due_s = 0.0
        self._growth = _Growth(config.gateway.data_dir)
        self._place = history.Place(config.site.id, config.site.currency, config.windows.min_completeness)

    async def snapshot(self) -> Health:
        """The last one while it is fresh, else a new one: never two at a time. Raises StoreError."""
        async with self._one_at_a_time:
            loop = asyncio.get_running_loop()
            began = loop.time()
            if self._last is None or began >= self._due_s or self._last.ready != self._is_ready:
                self._last = await self._assemble()
                self._due_s = loop.time() + max(FRESH_S, FRESH_SHARE * (loop.time() - began))
            return self._last

    @property
    def _is_ready(self) -> bool:
        return self.ready and not self.unserved

    async def aggregates(
        self, zone: str, from_ms: int, to_ms: int, size_s: int, as_of_ms: int | None = None
    ) -> list[Mapping[str, Any]]:
        """Event data of the windows of `[from, to)`, by start."""
        rows = await asyncio.to_thread(self._reader.aggregates, zone, from_ms, to_ms, size_s, as_of_ms)
        return [history.aggregate(row, self._place) for row in rows]

    async def days(
        self, zone: str, first: date, after: date, by: str, *, lines: bool = False
    ) -> list[Mapping[str, Any]]:
        """A zone's business days of `[first, after)` added up. ValueError: there are no periods."""
        from gateway.health.adding import Asked, added_up  # asked for seldom

        site = self._config.site
        if by == "period" and site.week == "iso":
            raise ValueError('[site] week = "iso" has no periods')
        edges = [windows.day_bounds(day, site.timezone, site.day_start_min)[0] for day in (first, after)]
        asked = Asked(by, (edges[0], edges[1]), (zone,), lines=lines)
        async with self._one_report:
            return await asyncio.to_thread(lambda: list(added_up(self._config, self._reader, asked)))

    async def alarms(self, from_ms: int, to_ms: int) -> list[AlarmHealth]:
        """What was wrong with a line at any time of `[from, to)`."""
        return self._alarms(await asyncio.to_thread(self._reader.alarms_between, from_ms, to_ms))

    async def audit(self) -> Mapping[str, Any]:
        """The books as they are now."""
        return audit_json(await self._read_books(0.0))

    async def _assemble(self) -> Health:
        now_ms = self._clock.wall_ms()
        books = await self._read_books(BOOKS_S)
        site = self._site(now_ms)
        openings = self._openings(now_ms, (site.day_start_ms, site.day_end_ms))
        shown, totals, queues, alarms = await asyncio.to_thread(self._read, now_ms, site, openings)
        return Health(
            at_ms=now_ms,
            version=__version__,
            config_hash=self._config.hash,
            simulated=self._clock.simulated,
            clock_trusted=self._clock.trusted(),
            ready=self._is_ready,
            unserved=self.unserved,
            site=site,
            zones=shown,
            links=[self._link(link) for link in self._links],
            counters=list(self._counters(totals)),
            lines=[_line(line) for line in totals],
            alarms=self._alarms(alarms),
            upstreams=[self._upstream(pump.state, queues) for pump in self._pumps],
            books=BooksHealth(books.balanced, books.imbalance, self._books_ms),
            buffer=self._growth.look(self._ingest.waiting, asyncio.get_running_loop().time()),
            commits=self._ingest.commit_times,
            revisions=dict(self._closing.revisions),
            resets={(line.counter, kind): n for line in totals for kind, n in line.resets.items()},
            fault=self._ingest.fault,
        )

    def _read(
        self, now_ms: int, site: SiteHealth, openings: Mapping[str, OpeningHealth]
    ) -> tuple[Sequence[ZoneHealth], list[LineTotals], dict[str, Pending], list[AlarmFacts]]:
        known = {(rule.counter, rule.line) for rule in self._roster.rules}
        totals = [line for line in self._reader.lines() if (line.counter, line.line) in known]
        queues = {one.upstream: one for one in self._reader.pending()}
        alarms = [one for one in self._reader.alarms() if (one.counter, one.line) in known]
        live, taps = self._reader.live(now_ms), self._reader.taps(site.day_start_ms, now_ms + 1)
        shown = zones(live, self._config.zone, openings, taps, site.min_completeness)
        return list(shown), totals, queues, alarms

    async def _read_books(self, at_most_s: float) -> Books:
        """The books, read again when they are older than `at_most_s`."""
        async with self._one_audit:
            loop = asyncio.get_running_loop()
            began = loop.time()
            if self._books is None or at_most_s == 0 or began >= self._books_due_s:
                self._books = await asyncio.to_thread(self._reader.books)
                self._books_ms = self._clock.wall_ms()
                took_s = loop.time() - began
                self._books_due_s = loop.time() + max(BOOKS_S, BOOKS_SHARE * took_s)
            return self._books

    def _alarms(self, stored: Sequence[AlarmFacts]) -> list[AlarmHealth]:
        return [history.alarm(one, self._config.site.timezone) for one in stored]

    def _site(self, now_ms: int) -> SiteHealth:
        site, grid = self._config.site, self._config.windows
        start_ms, end_ms = windows.day_of(now_ms, site.timezone, site.day_start_min)
        return SiteHealth(
            gateway=self._config.gateway.id,
            site=site.id,
            name=site.name,
            timezone=site.timezone,
            currency=site.currency,
            size_s=grid.size_s,
            min_completeness=grid.min_completeness,
            day_start_ms=start_ms,
            day_end_ms=end_ms,
            business_date=windows.business_date(now_ms, site.timezone, site.day_start_min).isoformat(),
        )

    def _openings(self, now_ms: int, day: windows.Span) -> dict[str, OpeningHealth]:
        """By zone; zones share hours, and each is looked at once."""
        hours_of = self._config.open_hours()
        each = {id(hours): hours for hours in hours_of.values()}
        seen = {key: opening(one, self._config.site.timezone, now_ms, day) for key, one in each.items()}
        return {zone: seen[id(hours)] for zone, hours in hours_of.items()}

    def _link(self, link: Link) -> LinkHealth:
        state = link.state
        telegrams = Counter(self._ingest.telegrams.get(link.id, {})) + Counter(state.telegrams)
        over = self._config.link[link.id].over
        unknown = self._ingest.strangers.count(link.id)
        since_ms = state.since_ms or None
        return LinkHealth(link.id, str(over), state.up, since_ms, state.error, telegrams, unknown)

    def _counters(self, totals: Sequence[LineTotals]) -> Iterator[CounterHealth]:
        last_ms = dict(self._ingest.last_heard_ms)
        for line in totals:
            if line.last_reading_ms is not None:
                last_ms[line.counter] = max(last_ms.get(line.counter, 0), line.last_reading_ms)
        states = {link.id: link.state for link in self._links}
        for till, table in ((False, self._config.counter), (True, self._config.till)):
            for name, entry in table.items():
                state, detail = self._said(name, name in last_ms, states.get(entry.link))
                offset_ms = self._ingest.clock_offset_ms.get(name)
                yield CounterHealth(
                    counter=name,
                    name=entry.name or "",
                    link=entry.link,
                    driver=entry.driver,
                    till=till,
                    state=state,
                    detail=detail,
                    last_reading_ms=last_ms.get(name),
                    clock_offset_s=None if offset_ms is None else offset_ms / 1000,
                )

    def _said(self, counter: str, heard: bool, link: Any) -> tuple[str, str]:
        """A device's own word; silent while nobody could hear it or it lets our questions pass."""
        status = self._ingest.statuses.get(counter)
        if link is None or not link.up:
            return "silent", ""
        if counter in link.unanswered:
            return "silent", "does not answer"
        if status is None and not heard:
            return "silent", ""
        return ("ok", "") if status is None else (str(status.state), status.detail)

    def _upstream(self, state: Any, queues: Mapping[str, Pending]) -> UpstreamHealth:
        queue = queues.get(state.name)
        return UpstreamHealth(
            upstream=state.name,
            driver=self._config.upstream[state.name].driver,
            pending=queue.count if queue else 0,
            oldest_pending_ms=queue.oldest_ms if queue else None,
            rejected=queue.rejected if queue else 0,
            last_ok_ms=state.last_ok_ms,
            failures=state.failures,
            why=state.why,
            misconfigured=state.misconfigured,
            deliveries={str(result): n for result, n in state.results.items()},
            pending_alarms=queue.alarms if queue else 0,
        )


def _line(line: LineTotals) -> LineHealth:
    return LineHealth(
        line=line_ref(line.counter, line.line),
        till=line.till,
        ins=line.ins,
        outs=line.outs,
        passes=line.passes,
        sales=line.sales,
        refused=dict(line.refused),
        replaced=line.replaced,
    )


def audit_json(books: Books) -> dict[str, Any]:
    """The books as plain data, each line with its own imbalance."""
    return {
        "balanced": books.balanced,
        "imbalance": books.imbalance,
        "lines": [{**to_json(line), "imbalance": line.imbalance} for line in books.lines],
        "upstreams": [{**to_json(queue), "imbalance": queue.imbalance} for queue in books.upstreams],
        "zones_imbalance": books.zones_imbalance,
        "wrong_zones": list(books.wrong_zones),
    }


class _Growth:
    """Size of the buffer, what this process wrote, and how long the card will last at this growth."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._first: tuple[float, int] | None = None

    def look(self, queued: int, now_s: float) -> BufferHealth:
        size = sum(self._sizes())
        self._first = self._first or (now_s, size)
        return BufferHealth(size, self._left_s(size, now_s), written_bytes(), queued)

    def _sizes(self) -> Iterator[int]:
        for path in self._data_dir.glob("buffer.db*"):
            with suppress(OSError):
                yield path.stat().st_size

    def _left_s(self, size: int, now_s: float) -> float | None:
        since_s, before = self._first or (now_s, size)
        if now_s - since_s < GROWTH_S or size <= before:
            return None
        with suppress(OSError):
            return shutil.disk_usage(self._data_dir).free * (now_s - since_s) / (size - before)
        return None


def written_bytes() -> int:
    """Bytes this process caused to be written to storage; 0 where the kernel does not say."""
    with suppress(OSError, ValueError):
        for line in PROCESS_IO.read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "write_bytes":
                return int(value)
    return 0
