"""The store: one file, one writer thread, every step of the pipeline one transaction."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from gateway.amendments import Correction, LineFactor
from gateway.errors import StoreError
from gateway.model import Adopted, Entry, EntryKind, Event, LineRule, Parcel, Receipt, Stamp, ZoneSpec
from gateway.store import alarms, calibrating, correcting, entries, outbox
from gateway.store.aggregates import Closer
from gateway.store.configuring import Configurer, Wanted
from gateway.store.memory import Memory
from gateway.store.plan import (
    Books,
    ClosedSummary,
    Grid,
    LineTotals,
    Pending,
    Recorded,
    UpstreamPlan,
    ZoneLive,
)
from gateway.store.poison import attempt, bury, is_card_fault
from gateway.store.pruning import prune
from gateway.store.reader import Kept, Reader
from gateway.store.recording import Recorder
from gateway.store.releasing import release_held
from gateway.store.replacing import replace
from gateway.store.room import Room
from gateway.store.schema import DEFAULT_MAX_BYTES, FILE, lock, open_buffer
from gateway.store.sessions import Sessions
from gateway.windows import Hours

__all__ = [
    "Books",
    "ClosedSummary",
    "Grid",
    "Hours",
    "Kept",
    "LineTotals",
    "Pending",
    "Reader",
    "Recorded",
    "Store",
    "UpstreamPlan",
    "ZoneLive",
]

log = logging.getLogger("gateway.store")
T = TypeVar("T")


class Store:
    """Every method runs on one thread, in order of the calls."""

    def __init__(self, con: sqlite3.Connection, path: Path, lock_fd: int, faults: frozenset[str]) -> None:
        self._con, self.path, self._lock_fd, self._faults = con, path, lock_fd, faults
        self._memory = Memory(con)
        self._stale = False  # what is remembered may be ahead of the file
        self._configurer = Configurer(con, self._memory)
        self._recorder = Recorder(con, self._memory)
        self._room = Room(con, path)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    @classmethod
    async def open(
        cls,
        data_dir: Path,
        *,
        now: Stamp,
        simulated: str | None = None,
        faults: frozenset[str] = frozenset(),
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> Store:
        """The buffer of this directory. Raises BufferInUse, BufferRefused, StoreError."""
        return await asyncio.to_thread(cls._open, data_dir, now, simulated, faults, max_bytes)

    @classmethod
    def _open(
        cls, data_dir: Path, now: Stamp, simulated: str | None, faults: frozenset[str], max_bytes: int
    ) -> Store:
        descriptor = lock(data_dir)
        try:
            con = open_buffer(data_dir, now, simulated, faults, max_bytes)
            return cls(con, data_dir / FILE, descriptor, faults)
        except BaseException:
            os.close(descriptor)
            raise

    @property
    def generation(self) -> int:
        """Creation second of the buffer, which precedes the revision in comparisons; 0: not yet known."""
        return self._memory.generation

    def reader(self) -> Reader:
        """A read-only view for live figures, exports and the books."""
        return Reader(self.path)

    async def configure(
        self,
        rules: Iterable[LineRule],
        zones: Iterable[ZoneSpec],
        upstreams: Mapping[str, UpstreamPlan],
        sizes_s: Iterable[int],
        grid: Grid,
        now: Stamp,
        hours: Mapping[str, Hours] | None = None,
    ) -> None:
        """Bring the buffer in line with the configuration; `hours` by zone id.

        While `now` is not believed only lines are made known; the rest follows with the first moment that is.
        """
        wanted = Wanted(list(rules), list(zones), upstreams, list(sizes_s), grid, hours or {})
        await self._write(lambda: self._configurer.take(wanted, now))

    async def record(self, parcels: list[Parcel]) -> list[Recorded]:
        """One transaction. A batch that fails for what is in it is redone parcel by parcel."""
        return await self._run(lambda: self._record(parcels))

    async def close(
        self, now: Stamp, limit: int = 500, offsets_ms: Mapping[str, int] | None = None
    ) -> ClosedSummary:
        """Restate dirty windows and close due ones, at most `limit` in one transaction.

        `offsets_ms`: counter → its clock less ours, for those that tell the time.
        """
        offsets = offsets_ms or {}
        return await self._write(lambda: Closer(self._con, self._memory).close(now, limit, offsets), now)

    async def take(self, upstream: str, limit: int, *, live: bool, live_from_ms: int) -> list[Event]:
        """Pending events: live ones (from `live_from_ms` on) newest first, or the backlog oldest first."""
        return await self._run(
            lambda: outbox.take(
                self._con, self._memory, upstream, limit, live=live, live_from_ms=live_from_ms
            )
        )

    async def settle(self, upstream: str, events: Sequence[Event], receipt: Receipt, now_ms: int) -> None:
        """Mark what was stored or rejected, only where the revision sent is still the current one."""
        any_revision = "settle_any_revision" in self._faults
        await self._write(
            lambda: outbox.settle(self._con, upstream, events, receipt, now_ms, any_revision=any_revision)
        )

    async def release_rejected(self, upstream: str) -> int:
        """Rejected events are pending again; returns how many."""
        return await self._write(lambda: outbox.release(self._con, upstream))

    async def forget_upstream(self, upstream: str) -> int:
        """Take a removed upstream out of the books; returns windows it never got."""
        if upstream in self._configurer.upstreams:
            raise StoreError(f"upstream {upstream} is in the configuration: remove it there first")
        return await self._write(lambda: outbox.forget(self._con, upstream))

    async def replace_counter(self, counter: str, now: Stamp) -> int:
        """Another device stands in for this counter; returns registers that begin anew."""
        return await self._write(lambda: replace(self._con, self._memory, counter, now))

    async def correct(self, correction: Correction, now: Stamp) -> Correction:
        """Put what a person says in the place of what was counted; the same again gives the same answer.

        Raises EntryRefused (what is wrong, by key) and EntryConflict (the id was used for something else).
        """
        return await self._write(lambda: correcting.correct(self._con, self._memory, correction, now), now)

    async def undo_correction(self, id_: str, reason: str, by: str, now: Stamp) -> Correction:
        """What was counted stands again; undone once more it stays as it is. Raises EntryRefused."""
        return await self._write(lambda: correcting.undo(self._con, self._memory, id_, reason, by, now), now)

    async def calibrate(self, factor: LineFactor, now: Stamp) -> LineFactor:
        """Put a factor in force: the answer has its version. Closed windows it reaches back to are restated.

        The same again as the newest of its line and side changes nothing. Raises EntryRefused.
        """
        return await self._write(lambda: calibrating.calibrate(self._con, self._memory, factor, now), now)

    async def end_calibration(
        self, version: int, by: str, now: Stamp, to_ms: int | None = None
    ) -> LineFactor:
        """Not calibrated any more from `to_ms` on (None: the next window). Raises EntryRefused."""
        return await self._write(
            lambda: calibrating.end(self._con, self._memory, version, to_ms, by, now), now
        )

    async def enter(self, wanted: list[Entry]) -> list[tuple[Entry, bool]]:
        """Keep what somebody entered, all or none: each as it is kept, and whether it is new.

        Raises EntryConflict when an id was used for something else, EntryRefused when there are too many.
        """
        return await self._write(lambda: entries.enter(self._con, wanted))

    async def withdraw(self, kind: EntryKind, id_: str, now_ms: int) -> Entry:
        """What was entered no longer counts; it stays to be seen. Raises EntryRefused."""
        return await self._write(lambda: entries.withdraw(self._con, kind, id_, now_ms))

    async def believe_alarm(self, alarm: int, now: Stamp) -> str:
        """What a line counted while that alarm was raised is right; gives the line. Raises StoreError."""
        return await self._write(lambda: alarms.believe(self._con, alarm, now.wall_ms))

    async def dismiss_breaks(self, line: str, now: Stamp) -> int:
        """The line may be compared with its past again; returns how many breaks it had. Raises StoreError."""
        return await self._write(lambda: alarms.dismiss(self._con, self._memory, line, now.wall_ms))

    async def prune(self, now: Stamp) -> int:
        """Make room; returns rows removed."""
        return await self._run(lambda: self._prune(now))

    async def hold_release(self, now: Stamp) -> int:
        """Book what was held while the clock was not believed; returns parcels released."""
        if not self._memory.held or not now.trusted:
            return 0
        return await self._write(lambda: release_held(self._con, self._memory, self._recorder, now), now)

    @property
    def sessions(self) -> Sessions:
        """What links remember of messages that carry neither time nor id."""
        return Sessions(self._con, self._write)

    async def adopted(self) -> list[Adopted]:
        """Which device lines counters have taken for theirs."""
        rows = await self._run(
            lambda: self._con.execute("SELECT counter, origin, line FROM adopted").fetchall()
        )
        return [Adopted(*row) for row in rows]

    async def ping(self) -> None:
        """A round trip through the thread and the file."""
        await self._run(lambda: self._con.execute("SELECT 1 FROM meta").fetchone())

    async def aclose(self) -> None:
        """Let the thread finish, then close the file and the lock."""
        await asyncio.to_thread(self.close_file)

    def close_file(self) -> None:
        self._thread.shutdown(wait=True)
        self._con.close()
        os.close(self._lock_fd)

    # -- on the writer thread ------------------------------------------------------------------------------

    async def _run(self, work: Callable[[], T]) -> T:
        """A cancelled await does not stop the thread: what was begun is committed."""
        return await asyncio.shield(
            asyncio.get_running_loop().run_in_executor(self._thread, self._guard, work)
        )

    async def _write(self, work: Callable[[], T], now: Stamp | None = None) -> T:
        """One transaction; `now` when the work needs a believed moment."""

        def step() -> T:
            self._catch_up(now)
            return self._transaction(work)

        return await self._run(step)

    def _catch_up(self, now: Stamp | None) -> None:
        """A configuration that came before the time was known is applied before anything gets a time."""
        if now is not None and now.trusted and self._configurer.waiting is not None:
            self._transaction(lambda: self._configurer.catch_up(now))
            self._configurer.waiting = None

    def _guard(self, work: Callable[[], T]) -> T:
        """Faults of the card are ours to name; anything else is a bug and ends the process."""
        try:
            return work()
        except sqlite3.Error as error:
            if is_card_fault(error):
                raise StoreError(f"the buffer cannot be written: {error}") from error
            raise

    def _transaction(self, work: Callable[[], T]) -> T:
        self._refresh()
        self._con.execute("BEGIN IMMEDIATE")
        try:
            result = work()
            self._con.execute("COMMIT")
        except BaseException:
            self._stale = True
            if self._con.in_transaction:
                self._con.execute("ROLLBACK")
            self._refresh()
            raise
        return result

    def _prune(self, now: Stamp) -> int:
        """What is due; on a full card more, a day at a time, but nothing that somebody waits for."""
        self._room.make()
        self._catch_up(now)
        gone = self._transaction(lambda: prune(self._con, self._memory, now))
        while self._room.short() and (more := self._transaction(self._prune_day(now))):
            gone += more
        return gone

    def _prune_day(self, now: Stamp) -> Callable[[], int]:
        return lambda: prune(self._con, self._memory, now, short=True)

    def _refresh(self) -> None:
        """After a rollback nothing remembered is true; a card that cannot be read is asked again later."""
        if self._stale:
            if self._con.in_transaction:
                self._con.execute("ROLLBACK")
            self._memory.load()
            self._stale = False

    def _record(self, parcels: list[Parcel]) -> list[Recorded]:
        if self._configurer.waiting is not None:
            self._catch_up(next((parcel.stamp for parcel in parcels if parcel.stamp.trusted), None))
        try:
            return self._transaction(lambda: self._record_all(parcels))
        except Exception as error:
            if is_card_fault(error):
                raise
            log.warning(
                "a batch of %d messages cannot be recorded (%s): each by itself",
                len(parcels),
                type(error).__name__,
            )
        return self._transaction(lambda: [self._record_alone(parcel) for parcel in parcels])

    def _record_all(self, parcels: list[Parcel]) -> list[Recorded]:
        """In order of arrival: what is held comes before what follows the first believed moment."""
        outcomes: list[Recorded] = []
        for believed, alike in groupby(parcels, lambda parcel: parcel.stamp.trusted):
            batch = list(alike)
            if believed and self._memory.held:
                release_held(self._con, self._memory, self._recorder, batch[0].stamp)
            outcomes += self._recorder.record(batch)
        return outcomes

    def _record_alone(self, parcel: Parcel) -> Recorded:
        """One message in a savepoint; one that cannot be recorded must not come back for ever."""
        outcomes: list[Recorded] = []
        error = attempt(self._con, self._memory, lambda: outcomes.extend(self._record_all([parcel])))
        if error is None:
            return outcomes[0]
        self._bury(parcel, error)
        return Recorded("poison")

    def _bury(self, parcel: Parcel, error: Exception) -> None:
        digest = parcel.payload_sha256
        if not digest:
            given = parcel.delivery.digest if parcel.delivery else repr(parcel.bookings).encode()
            digest = hashlib.sha256(given).hexdigest()
            parcel.payload_sha256 = digest
        bury(self._con, digest, parcel.link, parcel.stamp.wall_ms, error)
