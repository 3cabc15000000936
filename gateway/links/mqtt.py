"""A broker as a link: keeps a connection, decodes what comes, acknowledges after the commit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Protocol, cast

from gateway.clock import Clock
from gateway.driver import Message, Messages
from gateway.errors import LinkError, StoreError
from gateway.links.connection import Connection, MqttSettings, Tally
from gateway.links.ingest import Ingest
from gateway.links.rounds import Rounds
from gateway.links.supervise import LinkState, keep
from gateway.links.topics import Directory, Source, fewest
from gateway.links.wire import DUP_FLAG, RETAIN_FLAG, Publish
from gateway.model import (
    Basis,
    Crossings,
    Damaged,
    DamageReason,
    Delivery,
    Ignored,
    Item,
    Occupancy,
    Register,
    Stamp,
    Transactions,
)

log = logging.getLogger(__name__)

UPKEEP_S = 5.0
YOUNG_S, SUSPICIOUS = 60.0, 2  # connections cut so early, so many times in a row, have a rival
STRANGERS = 1000  # topics remembered as nobody's
_NO_HEADERS: dict[str, str] = {}


class Sessions(Protocol):
    """What is remembered of a link's messages until the broker has our acknowledgement."""

    async def begin(self, link: str, present: bool) -> int:
        """The number of the broker's session, a new one when `present` is False."""

    async def forget(self, link: str, round_: int) -> None:
        """Messages of earlier rounds cannot come again."""


def nameless(item: Item) -> bool:
    """Has this reading neither time nor id, so that a redelivered copy looks like another reading?"""
    if isinstance(item, Crossings | Transactions):
        return item.key is None and (item.start_ms is None or item.basis is Basis.EVENT)
    return isinstance(item, Register | Occupancy) and item.at_ms is None


def undatable(item: Item) -> bool:
    """A delta or event that says nothing of when: retained, it may be from any day."""
    return isinstance(item, Crossings | Transactions) and item.start_ms is None


class MqttLink:
    """One broker. `run` keeps it connected until `stop`; `state` is what health shows.

    `overhear`: filters to listen to instead of the sources' own, at QoS 0: nothing is owed, nothing queued.
    """

    def __init__(
        self,
        id: str,  # noqa: A002
        options: MqttSettings,
        sources: Sequence[Source],
        clock: Clock,
        ingest: Ingest,
        sessions: Sessions,
        *,
        gateway_id: str,
        unwanted: Iterable[str] = (),
        overhear: Sequence[str] = (),
    ) -> None:
        self.id, self.options = id, options
        self.connection: Connection | None = None
        self.client_id = options.client_id or f"{gateway_id}-{id}"
        self.state = LinkState()
        self.acknowledgements = Tally()
        self._clock, self._ingest, self._sessions = clock, ingest, sessions
        self._directory = Directory(sources)
        self._unwanted, self._overhear = tuple(unwanted), bool(overhear)
        self._filters = fewest(overhear) if overhear else self._directory.filters
        self._strangers: set[str] = set()
        self._session = self._received = 0
        self._rounds = Rounds()
        self._heard_s = 0.0
        self._cut_short = 0
        self._patience_s = options.silence_s

    async def run(self, stop: asyncio.Event) -> None:
        """Returns when `stop` is set; every failure in between is retried with back-off."""
        await keep(lambda: self._attempt(stop), self.state, self._clock, stop, name=self.id)

    async def _attempt(self, stop: asyncio.Event) -> None:
        """One connection, from a new client object to its end. Raises LinkError."""
        connection = Connection(
            self.options,
            self.client_id,
            on_batch=lambda batch: self._take_in(connection, batch),
            on_refusals=self._report,
            hurry=self._ingest.hurry,
            tally=self.acknowledgements,
        )
        self.connection = connection
        try:
            present = await connection.open()
            self._session = await self._sessions.begin(self.id, present)
            self._rounds, self._received = Rounds(), 0
            if not present and self._session > 1:
                log.warning("link %s: the broker has lost our session: messages may be missing", self.id)
            connection.begin(self._filters, self._unwanted, qos=0 if self._overhear else 1)
            await self._watch(connection, stop)
        finally:
            self.connection = None
            connection.close()

    async def _watch(self, connection: Connection, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        began_s = self._heard_s = loop.time()
        every_s = min(UPKEEP_S, self.options.keepalive_s / 4)
        stopping = loop.create_task(stop.wait())
        ends: set[asyncio.Future[Any]] = {stopping, connection.lost}
        try:
            while not stop.is_set() and not connection.lost.done():
                await asyncio.wait(ends, timeout=every_s, return_when=asyncio.FIRST_COMPLETED)
                connection.upkeep()
                await self._forget_acknowledged(connection)
                self._judge_silence(connection, loop.time())
        finally:
            stopping.cancel()
        if connection.lost.done():
            raise LinkError(self._explain(connection, loop.time() - began_s))
        await connection.goodbye()

    async def _forget_acknowledged(self, connection: Connection) -> None:
        """What the broker knows to be ours cannot come again; another message may look just like it."""
        round_ = self._rounds.answered(connection.pongs, self._received)
        if round_ is not None:
            with suppress(StoreError):  # a failing card is no reason to let go of the broker
                await self._sessions.forget(self.id, round_)
        if self._rounds.wants_ping(self._received, len(connection.debts)):
            self._rounds.sent(connection.ping())

    def _explain(self, connection: Connection, lived_s: float) -> str:
        """Brokers may drop the older of two clients with one id without a word: then both die young."""
        why = connection.lost.result()
        self._cut_short = self._cut_short + 1 if connection.cut and lived_s < YOUNG_S else 0
        if self._cut_short >= SUSPICIOUS:
            why += f"; does another client use our id {self.client_id!r}?"
        return why

    def _judge_silence(self, connection: Connection, now_s: float) -> None:
        """A socket may stand while its subscription is dead: judge by data."""
        silent_s = now_s - self._heard_s
        if not self._patience_s or silent_s < self._patience_s or connection.held or connection.lost.done():
            return
        self._patience_s *= 2  # a closed centre must not make us reconnect all night
        raise LinkError(f"connected, but nothing heard for {silent_s:.0f} s: connecting anew")

    def _report(self, refused: dict[str, str]) -> None:
        """The broker has answered our subscriptions. A topic that we may not hear stays visible."""
        problems = [f"no subscription to {topic!r}: {why}" for topic, why in sorted(refused.items())]
        before, now = self.state.error, "; ".join(problems)
        if refused and len(refused) >= len(self._filters):
            self.state.lost(self._clock.wall_ms(), now)  # connected, but deaf
        else:
            self.state.opened(self._clock.wall_ms())
            self.state.error = now
        if now and now != before:
            log.warning("link %s: %s", self.id, now)

    # Messages

    def _take_in(self, connection: Connection, batch: list[Publish]) -> None:
        self._heard_s = asyncio.get_running_loop().time()
        self._patience_s = self.options.silence_s
        stamp = self._clock.stamp()
        self._received += len(batch)
        find, owe, deliver = self._directory.find, connection.debts.owe, self._ingest.deliver
        for raw_topic, payload, mid, flags in batch:
            topic, sources = find(raw_topic)
            if not payload or not sources:
                self._set_aside(connection, topic, payload, stamp, bool(sources))
                if mid:
                    owe(mid, 1)()
                continue
            debt = owe(mid, len(sources)) if mid else None
            for at, source in enumerate(sources):
                message = Message(
                    payload, stamp.wall_ms, topic, _NO_HEADERS, bool(flags & RETAIN_FLAG), self.id
                )
                items = self._decode(source, message)
                delivery = None
                if debt is not None and any(map(nameless, items)):
                    # packet ids have 16 bits; sources sharing a message must not share its memory
                    digest = blake2b(payload, digest_size=12).digest()
                    rounds = self._rounds
                    rounds.named_in = rounds.number
                    delivery = Delivery(
                        self._session, at << 16 | mid, digest, bool(flags & DUP_FLAG), rounds.number
                    )
                deliver(
                    self.id, source, items, stamp, topic=topic, delivery=delivery, done=debt, payload=payload
                )
        if self._ingest.full:
            connection.hold(self._ingest.wait_room())

    def _decode(self, source: Source, message: Message) -> list[Item]:
        try:
            items = list(cast("Messages", source.driver).decode(message))
        except Exception:
            # no driver may raise; if one does, its message must not come back for ever and stop the link
            log.exception("link %s: the driver failed on a message of %s", self.id, message.topic)
            return [Damaged(DamageReason.SYNTAX, len(message.payload))]
        if message.retained:
            return [Ignored("retained, without time") if undatable(item) else item for item in items]
        return items

    def _set_aside(
        self, connection: Connection, topic: str, payload: bytes | None, stamp: Stamp, wanted: bool
    ) -> None:
        """Messages that no driver sees; acknowledged in their turn like the others."""
        if payload is None:
            self.state.telegrams.update(["too_large"])
        elif wanted:
            self.state.telegrams.update(["ignored"])  # empty: the deletion of a retained message
        else:
            self.state.telegrams.update(["unknown_counter"])
            self._ingest.overheard(self.id, payload, stamp, "no counter has this topic", topic=topic)
            if self._overhear:
                return
            if topic not in self._strangers and len(self._strangers) < STRANGERS:
                self._strangers.add(topic)
                log.info("link %s: nothing is configured for %r: unsubscribing", self.id, topic)
                connection.forget(topic)
