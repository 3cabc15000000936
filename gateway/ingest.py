"""Queue → batch → one transaction → tickets released in order.

Links deliver what their drivers decoded; nothing is acknowledged before the commit that holds it. A batch
is committed when an acknowledging link stalls, at 200 readings, or when the oldest parcel has waited long
enough: 50 ms where somebody waits for an acknowledgement, `commit_interval_s` for polled totals, which the
next poll repeats.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Protocol

from gateway.clock import Clock
from gateway.errors import StoreError
from gateway.model import Booking, Delivery, Histogram, Item, Occupancy, Parcel, Stamp, Status
from gateway.roster import Resolved, Roster, Source
from gateway.store import Recorded
from gateway.strangers import Heard, Strangers

log = logging.getLogger("gateway.ingest")

BATCH_READINGS = 200  # a commit this large gains nothing from waiting for more
BATCH_PARCELS = 4000  # bounds one transaction after a stall
ROOM_READINGS = 20_000  # above this, links stop reading
IMPATIENT_S = 0.05
FULL_RETRY_S = 5.0
WELL_MS = 3_600_000  # without damage: then the next is news
SHOWN = 3  # names in one line of the log
REFUSED = {"future": "of a time still to come", "ancient": "of a time that is no longer kept"}

Done = Callable[[], None]
Listener = Callable[[Sequence[Parcel]], None]


class Recorder(Protocol):
    """The one thing ingest asks of the store."""

    async def record(self, parcels: list[Parcel]) -> list[Recorded]: ...


class Ingest:
    """The bounded way from links to the store. Everything here runs on the loop."""

    def __init__(
        self,
        store: Recorder,
        roster: Roster,
        clock: Clock,
        commit_interval_s: float,
        strangers: Strangers | None = None,
    ) -> None:
        self.strangers = strangers or Strangers(roster, {})
        self._store, self._roster, self._clock = store, roster, clock
        self._interval_s = commit_interval_s
        self._queue: deque[tuple[Parcel, Done | None]] = deque()
        self._readings = 0
        self._due_at = float("inf")
        self._impatient = False  # an acknowledgement is waited for, and the timer runs for it
        self._timer: asyncio.TimerHandle | None = None
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.telegrams: dict[str, Counter[str]] = defaultdict(Counter)  # link → result → telegrams
        self.statuses: dict[str, Status] = {}  # counter → what it last said of itself
        self.levels: dict[tuple[str, str], Occupancy] = {}
        self.last_heard_ms: dict[str, int] = {}  # counter → receipt of its last telegram
        self.clock_offset_ms: dict[str, int] = {}  # counter → device time minus receipt, of its last reading
        self.commit_times = Histogram()
        self._foreign: set[str] = set()  # tills whose other currency was told
        self._refused: set[tuple[str, str]] = set()  # link and result that were told
        self._damaged: dict[Source, int] = {}  # decoders whose damage was told: when the last of it came, ms
        self.listeners: set[Listener] = set()
        self.fault = ""  # why acknowledgements are withheld

    @property
    def waiting(self) -> int:
        """Readings not yet committed."""
        return self._readings

    @property
    def full(self) -> bool:
        return not self._room.is_set()

    async def wait_room(self) -> None:
        """Returns when links may read again."""
        await self._room.wait()

    def deliver(
        self,
        link: str,
        source: Source,
        items: Iterable[Item],
        stamp: Stamp,
        *,
        topic: str = "",
        delivery: Delivery | None = None,
        done: Done | None = None,
        patient: bool = False,
        payload: bytes = b"",
        peer: str = "",
    ) -> None:
        """Take one message's or poll's items; `done` is called after the commit, in order of delivery.

        `payload` and `peer` are for whoever asks who is talking here, and are not kept.
        """
        resolved = self._roster.resolve(source, items, topic=topic)
        self.strangers.note(source, resolved, Heard(link, stamp, payload, topic, peer))
        counts = self.telegrams[link]
        heard = self._note(resolved, counts, stamp)
        if resolved.damaged or self._damaged:
            self._tell_damaged(link, source, resolved, stamp.mono_ms)
        parcel = Parcel(link, stamp, resolved.bookings, heard, delivery, adopted=resolved.adopted)
        self._queue.append((parcel, done))
        self._readings += len(resolved.bookings) or 1
        if self._readings >= ROOM_READINGS:
            self._room.clear()
        if self._readings >= BATCH_READINGS:
            self._due(0.0)
        elif patient:
            self._due(self._interval_s)
        elif not self._impatient:
            self._impatient = True
            self._due(IMPATIENT_S)

    def overheard(
        self, link: str, payload: bytes, stamp: Stamp, why: str, *, topic: str = "", peer: str = ""
    ) -> None:
        """A message that no driver saw, because nobody here waits for it."""
        self.strangers.overheard(Heard(link, stamp, payload, topic, peer), why)

    def hurry(self) -> None:
        """An acknowledging link is stalled: commit what there is."""
        if self._queue:
            self._due(0.0)

    def _due(self, wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        at = loop.time() + wait_s
        if at >= self._due_at:
            return
        self._due_at = at
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if wait_s <= 0:
            self._wake.set()
        else:
            self._timer = loop.call_at(at, self._wake.set)

    def _note(self, resolved: Resolved, counts: Counter[str], stamp: Stamp) -> tuple[str, ...]:
        """Count the telegram by what was in it and remember what devices say of themselves."""
        if resolved.damaged:
            counts["damaged"] += 1
        elif resolved.unknown:
            counts["unknown_counter"] += 1
        elif (resolved.ignored or resolved.unchosen) and not resolved.bookings and not resolved.statuses:
            counts["ignored"] += 1
        heard = []
        for counter, status in resolved.statuses:
            self.statuses[counter] = status
            heard.append(counter)
        for booking in resolved.bookings:
            self._note_booking(booking, stamp)
        return tuple(heard)

    def _note_booking(self, booking: Booking, stamp: Stamp) -> None:
        reading = booking.reading
        self.last_heard_ms[booking.counter] = stamp.wall_ms
        at_ms = getattr(reading, "end_ms", None) or getattr(reading, "at_ms", None)
        if at_ms is not None:
            self.clock_offset_ms[booking.counter] = at_ms - stamp.wall_ms
        if isinstance(reading, Occupancy):
            self.levels[booking.counter, booking.line] = reading

    async def run(self, stop: asyncio.Event) -> None:
        """Commit until `stop` is set and the queue is empty. An error that is ours ends the process."""
        stopper = asyncio.create_task(stop.wait())
        stopper.add_done_callback(lambda _task: self._wake.set())
        try:
            while self._queue or not stop.is_set():
                if not stop.is_set():
                    await self._wake.wait()
                self._wake.clear()
                self._due_at, self._impatient = float("inf"), False
                if self._queue:
                    await self._commit()
        finally:
            stopper.cancel()

    async def _commit(self) -> None:
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_PARCELS))]
        parcels = [parcel for parcel, _ in batch]
        recorded = await self._record(parcels)
        self._readings -= sum(len(parcel.bookings) or 1 for parcel in parcels)
        if self._readings < ROOM_READINGS // 2:
            self._room.set()
        for (parcel, done), outcome in zip(batch, recorded, strict=True):
            if outcome.result != "ok" or parcel.bookings or parcel.heard:
                self.telegrams[parcel.link][outcome.result] += 1
            if outcome.result in REFUSED:
                names = _some(dict.fromkeys(one.counter for one in parcel.bookings))
                words = f"counts of {names} are refused: {REFUSED[outcome.result]}; is its clock right?"
                self._tell_refused(parcel.link, outcome.result, words)
            for till, currency in outcome.foreign.items():
                self._tell_foreign(till, currency)
            if done is not None:
                done()
        for listener in tuple(self.listeners):
            listener(parcels)
        if len(batch) == BATCH_PARCELS:
            self._due(0.0)  # what came meanwhile has its own time; only what was left over is late

    def _tell_refused(self, link: str, result: str, words: str) -> None:
        """Once for each link and reason; the metrics count them all."""
        level = logging.DEBUG if (link, result) in self._refused else logging.WARNING
        self._refused.add((link, result))
        log.log(level, "link %s: %s", link, words)

    def _tell_damaged(self, link: str, source: Source, resolved: Resolved, now_ms: int) -> None:
        """Once for each decoder, and anew after it was well; the metrics count them all.

        A sound telegram alone says little: one bad sensor among a decoder's many would be told without end.
        """
        last_ms = self._damaged.get(source)
        if resolved.damaged:
            why = ", ".join(sorted({str(item.reason) for item in resolved.damaged}))
            level = logging.WARNING if last_ms is None else logging.DEBUG
            log.log(level, "link %s: a telegram for %s is damaged: %s", link, _some(source.counters), why)
            self._damaged[source] = now_ms
        elif last_ms is not None and resolved.bookings and now_ms - last_ms >= WELL_MS:
            log.info("link %s: telegrams for %s are sound again", link, _some(source.counters))
            del self._damaged[source]

    def _tell_foreign(self, till: str, currency: str) -> None:
        """Once for each till."""
        if till not in self._foreign:
            self._foreign.add(till)
            log.warning(
                "till %s: amounts in %s are left out, its receipts count: the site has another currency",
                till,
                currency,
            )

    async def _record(self, parcels: list[Parcel]) -> list[Recorded]:
        """Record, for as long as it takes: while the card is full or failing, nobody hears "received"."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                recorded = await self._store.record(parcels)
            except StoreError as error:
                if not self.fault:
                    log.warning("acknowledgements withheld: %s", error)
                self.fault = str(error)
                await asyncio.sleep(FULL_RETRY_S)
                continue
            if self.fault:
                log.info("the buffer writes again")
                self.fault = ""
            self.commit_times.observe(loop.time() - began)
            return recorded


def _some(names: Iterable[str]) -> str:
    """A few of them: a link may have hundreds."""
    first = list(islice(names, SHOWN + 1))
    return ", ".join(first[:SHOWN]) + (" and others" if len(first) > SHOWN else "")
