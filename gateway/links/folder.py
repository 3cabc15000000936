"""A watched folder: each file is one message, and is put away when all that it holds is stored.

A crash between the two reads a file again: what has a time or an id is then a repetition, and the rest is
known by the file itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Protocol, cast

from gateway.clock import Clock
from gateway.driver import Driver, Message, Messages
from gateway.errors import LinkError, StoreError
from gateway.links.faults import faults, rank
from gateway.links.ingest import Ingest
from gateway.links.shelf import Shelf, Sight
from gateway.links.supervise import Backoff, LinkState, keep
from gateway.model import Crossings, Damaged, DamageReason, Delivery, Ignored, Item, Transactions

PART = 2000  # items of a large file that are stored together
NAME = "file-name"  # the header in which a driver finds it

log = logging.getLogger(__name__)


class FolderSettings(Protocol):
    """Which folder, which files, and what becomes of them."""

    @property
    def path(self) -> str: ...
    @property
    def pattern(self) -> str: ...
    @property
    def done(self) -> str: ...
    @property
    def poll_s(self) -> float: ...
    @property
    def max_file_bytes(self) -> int: ...


class Source(Protocol):
    """One decoder on one link, as the roster hands it out."""

    @property
    def driver(self) -> Driver: ...


class Sessions(Protocol):
    """What is remembered of files that were stored and perhaps not yet put away."""

    async def begin(self, link: str, present: bool) -> int: ...
    async def forget(self, link: str, round_: int) -> None: ...


@dataclass(slots=True)
class Taken:
    """A file on its way into the buffer; `refusal` is why it will be set aside, "" for a good one."""

    sight: Sight
    refusal: str = ""
    faults: str = ""  # where, for the words beside the file
    stored: bool = False


class FolderLink:
    """One folder. `run` looks into it until `stop`; `state` is what health shows."""

    def __init__(
        self,
        id: str,  # noqa: A002
        options: FolderSettings,
        sources: Sequence[Source],
        clock: Clock,
        ingest: Ingest,
        sessions: Sessions,
        *,
        backoff: Backoff | None = None,
    ) -> None:
        self.id, self.state = id, LinkState()
        self._options, self._sources = options, sources
        self._clock, self._ingest, self._sessions, self._backoff = clock, ingest, sessions, backoff
        self._shelf = Shelf(options.path, options.pattern, delete=options.done == "delete")
        self._taken: dict[str, Taken] = {}  # by name
        self._before: set[Sight] = set()  # what the last look saw
        self._problems: dict[str, str] = {}  # file → why it cannot be read or put away
        self._told = ""  # the last of these
        self._session = 0
        self._remembered = False  # may the store remember files that cannot come again?
        self._wake = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Returns when `stop` is set; every failure in between is retried with back-off."""
        await keep(
            lambda: self._attempt(stop), self.state, self._clock, stop, name=self.id, backoff=self._backoff
        )

    async def _attempt(self, stop: asyncio.Event) -> None:
        """From finding the folder to losing it. Raises LinkError."""
        loop = asyncio.get_running_loop()
        stopper = loop.create_task(stop.wait())
        stopper.add_done_callback(lambda _: self._wake.set())
        self._session = self._session or await self._sessions.begin(self.id, True)
        look_at = loop.time()
        try:
            while not stop.is_set():
                self._wake.clear()
                await self._put_away()
                if loop.time() >= look_at:
                    look_at = loop.time() + self._options.poll_s
                    await self._look(stop)
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(look_at):
                        await self._wake.wait()
            await self._put_away()
        finally:
            stopper.cancel()

    async def _look(self, stop: asyncio.Event) -> None:
        """Take in every file that is as it was at the look before."""
        try:
            seen = await asyncio.to_thread(self._shelf.look)
        except OSError as error:
            raise LinkError(f"cannot read the folder {self._shelf.path}: {error.strerror}") from None
        self.state.opened(self._clock.wall_ms())
        names = {sight.name for sight in seen}
        self._problems = {name: why for name, why in self._problems.items() if name in names}
        self._tell()
        ripe = [sight for sight in seen if sight in self._before and sight.name not in self._taken]
        for sight in ripe if self._sources else ():
            await self._ingest.wait_room()
            if stop.is_set():
                return
            await self._take(sight)
        if ripe or self._taken or self._before != set(seen):
            self._remembered = True
        else:
            await self._forget()
        self._before = set(seen)
        self._tell()

    async def _take(self, sight: Sight) -> None:
        if sight.size > self._options.max_file_bytes:
            self._set_aside(sight)
            return
        try:
            payload = await asyncio.to_thread(self._shelf.read, sight)
        except FileNotFoundError:
            return
        except OSError as error:
            self._problems[sight.name] = f"cannot be read: {error.strerror}"
            return
        self._problems.pop(sight.name, None)
        if payload is None:
            return
        taken = self._taken[sight.name] = Taken(sight)
        message = self._message(sight, payload)
        heard = await asyncio.to_thread(self._understood, message)
        taken.refusal = self._judge([item for _, items in heard for item in items], payload)
        if taken.refusal:
            told = await asyncio.to_thread(faults, heard[0][0], message)
            taken.faults = f"\n{told}" if told else ""
        await self._deliver(taken, heard, payload)

    def _set_aside(self, sight: Sight) -> None:
        """Unread. It takes the way of the others, so that it is moved by nobody who must not move it."""
        most = self._options.max_file_bytes
        self.state.telegrams.update(["too_large"])
        words = f"too_large: {sight.size} bytes, at most {most} are read (max_file_bytes)"
        taken = self._taken[sight.name] = Taken(sight, words)
        done = partial(self._stored, taken)
        self._ingest.deliver(self.id, self._sources[0], [], self._clock.stamp(), done=done)

    def _message(self, sight: Sight, payload: bytes) -> Message:
        now_ms = self._clock.wall_ms()
        at_ms = sight.mtime_ns // 1_000_000
        received_ms = at_ms if 0 < at_ms < now_ms else now_ms
        return Message(payload, received_ms, headers={NAME: sight.name}, link=self.id)

    def _understood(self, message: Message) -> list[tuple[Source, list[Item]]]:
        """Of several decoders only those that understand the file speak, if any does."""
        heard = [(source, self._decode(source, message)) for source in self._sources]
        counted = [one for one in heard if any(map(_counts, one[1]))]
        return counted or [min(heard, key=lambda one: rank(one[1]))]

    def _decode(self, source: Source, message: Message) -> list[Item]:
        try:
            return list(cast("Messages", source.driver).decode(message))
        except Exception:  # no driver may raise; if one does, its file must not stop the link
            log.exception("link %s: the driver failed on %s", self.id, message.headers[NAME])
            return [Damaged(DamageReason.SYNTAX, len(message.payload))]

    def _judge(self, items: Sequence[Item], payload: bytes) -> str:
        """Why the file shall be set aside; "" for one that is read and done with."""
        damaged = [item for item in items if isinstance(item, Damaged)]
        if damaged:
            reasons = ", ".join(sorted({str(item.reason) for item in damaged}))
            sound = "; the others are counted" if any(map(_counts, items)) else ""
            return f"damaged ({reasons}): {len(damaged)} of {len(items)} records{sound}"
        if self._options.done == "delete" and payload.strip() and not any(map(_counts, items)):
            reasons = ", ".join(sorted({item.reason for item in items if isinstance(item, Ignored)}))
            return f"ignored ({reasons}): no count in it"
        return ""

    async def _deliver(
        self, taken: Taken, heard: Sequence[tuple[Source, list[Item]]], payload: bytes
    ) -> None:
        """In parts, so that a month of receipts is not one transaction; the last of them settles the file."""
        stamp = self._clock.stamp()
        digest = _digest(taken.sight, payload, [item for _, items in heard for item in items])
        parts = list(_parts(heard))
        for number, (source, items) in enumerate(parts):
            await self._ingest.wait_room()
            mid = int.from_bytes(blake2b(digest + number.to_bytes(4), digest_size=8).digest()) >> 1
            last = number == len(parts) - 1
            self._ingest.deliver(
                self.id,
                source,
                items,
                stamp,
                delivery=Delivery(self._session, mid, digest, dup=True),
                done=partial(self._stored, taken) if last else None,
                payload=payload,
            )

    def _stored(self, taken: Taken) -> None:
        taken.stored = True
        self._wake.set()

    async def _put_away(self) -> None:
        for taken in [taken for taken in self._taken.values() if taken.stored]:
            name = taken.sight.name
            try:
                moved = await asyncio.to_thread(
                    self._shelf.put_away, taken.sight, taken.refusal + taken.faults
                )
            except OSError as error:
                self._problems[name] = f"is stored and cannot be put away: {error.strerror}"
                continue
            self._problems.pop(name, None)
            del self._taken[name]
            if moved and taken.refusal:
                log.warning("link %s: %r is set aside: %s", self.id, name, taken.refusal)

    async def _forget(self) -> None:
        """Every file that was stored is put away: none of them can come again by itself."""
        if self._remembered:
            with suppress(StoreError):  # a failing card is no reason to stop looking
                await self._sessions.forget(self.id, 1)
                self._remembered = False

    def _tell(self) -> None:
        """What is wrong with single files stays visible while the link is up."""
        first = next(iter(sorted(self._problems.items())), None)
        more = f" (and {len(self._problems) - 1} more)" if len(self._problems) > 1 else ""
        self.state.error = f"{first[0]!r} {first[1]}{more}" if first else ""
        if self.state.error and self.state.error != self._told:
            log.warning("link %s: %s", self.id, self.state.error)
        self._told = self.state.error


def _counts(item: Item) -> bool:
    return not isinstance(item, Damaged | Ignored)


def _digest(sight: Sight, payload: bytes, items: Sequence[Item]) -> bytes:
    """What tells a file from its copy: the content, where that says when. Otherwise each file is another."""
    digest = blake2b(payload, digest_size=12)
    if any(isinstance(item, Crossings | Transactions) and item.start_ms is None for item in items):
        digest.update(f"/{sight.name}/{sight.mtime_ns}/{sight.inode}".encode("utf-8", "surrogateescape"))
    return digest.digest()


def _parts(heard: Sequence[tuple[Source, list[Item]]]) -> Iterator[tuple[Source, list[Item]]]:
    for source, items in heard:
        for start in range(0, max(1, len(items)), PART):
            yield source, items[start : start + PART]
