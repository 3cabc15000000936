"""A link that counters push to: answered after the commit, and a lost answer counts nobody twice."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Protocol, cast

from gateway.clock import Clock
from gateway.driver import Message, Messages
from gateway.links.credentials import Settings, guard_for
from gateway.links.faults import faults, rank
from gateway.links.ingest import Ingest
from gateway.links.listener import Listener, Push
from gateway.links.refusals import Refusal, not_now
from gateway.links.supervise import LinkState
from gateway.links.topics import Source, covers
from gateway.model import RESULTS, Damaged, DamageReason, Ignored, Item, Stamp

ANSWER_S = 20.0  # for the commit; then the counter is told to come again
LOST_S = 600.0  # so long a body whose answer was lost is known again
MAX_LOST = 1000
REFUSALS = 2  # of one damaged body; then it is let go, so that it blocks nothing behind it
MAX_DAMAGED = 256
LONG_BYTES = 65_536  # a longer body is read aside: the other counters go on
NOWHERE = "/"  # the rest of a path that has none: a counter with a topic is not meant

log = logging.getLogger(__name__)


class PushSettings(Settings, Protocol):
    """What the configuration says of one link."""

    @property
    def max_payload_bytes(self) -> int: ...
    @property
    def silence_s(self) -> float: ...


@dataclass(slots=True)
class Unanswered:
    """A push on its way into the store. `stored`: the answer it will get."""

    stored: asyncio.Future[bytes]
    connected: Callable[[], bool]
    until_s: float


class PushLink:
    """One door of the push port. `run` stands behind it until `stop`; `state` is what health shows."""

    def __init__(
        self,
        id: str,  # noqa: A002
        options: PushSettings,
        sources: Sequence[Source],
        clock: Clock,
        ingest: Ingest,
        listener: Listener,
        *,
        answer_s: float = ANSWER_S,
    ) -> None:
        self.id, self.options = id, options
        self.guard = guard_for(options)
        self.limit_bytes = options.max_payload_bytes
        self._sources, self._clock, self._ingest, self._listener = sources, clock, ingest, listener
        pace = clock.simulation.speed if clock.simulation else 1.0
        self._answer_s, self._lost_s = answer_s * pace, LOST_S * pace
        self._telegrams = Counter(dict.fromkeys(RESULTS, 0))
        self._unanswered: OrderedDict[bytes, Unanswered] = OrderedDict()
        self._damaged: OrderedDict[bytes, int] = OrderedDict()  # body → how often it was refused
        self._heard_ms = 0
        self._reading = asyncio.Lock()  # drivers read one body after the other, in the order they came

    @property
    def state(self) -> LinkState:
        """That of the port; down when too long nobody pushed."""
        state = replace(self._listener.state, telegrams=self._telegrams, on_up=lambda: None)
        silent_s = (self._clock.wall_ms() - max(self._heard_ms, state.since_ms)) / 1000
        if state.up and 0 < self.options.silence_s < silent_s:
            return replace(
                state, up=False, since_ms=self._heard_ms or state.since_ms, error=_silence(silent_s)
            )
        return state

    async def run(self, stop: asyncio.Event) -> None:
        """Returns when `stop` is set."""
        self._listener.doors[self.id] = self
        await self._listener.run(stop)

    def check_room(self) -> None:
        """Raises Refusal(503) when nothing can be taken in now."""
        if self._ingest.fault:
            raise not_now(f"the buffer cannot store: {self._ingest.fault}")
        if self._ingest.full:
            raise not_now("too much waits to be stored")

    def count(self, result: str) -> None:
        """One more telegram that no driver saw."""
        self._telegrams.update([result])

    def insists(self, peer: str, body: bytes) -> bool:
        """Has this damaged body been refused often enough? Its sender would send it for ever."""
        name = _name(peer, "", body)
        refused = self._damaged.pop(name, 0)
        if refused >= REFUSALS:
            log.warning("link %s: %s insists on a damaged body: let go", self.id, peer)
            return True
        self._damaged[name] = refused + 1
        if len(self._damaged) > MAX_DAMAGED:
            self._damaged.popitem(last=False)
        return False

    async def take(self, push: Push) -> bytes:
        """The body of our answer, once the push is stored. Raises Refusal."""
        self._heard_ms = self._clock.wall_ms()
        name, now_s = _name(push.peer, push.path, push.payload), asyncio.get_running_loop().time()
        known = self._unanswered.get(name)
        if known is not None and known.until_s > now_s and not known.connected():
            self.count("duplicate")
            known.connected = push.connected
        else:
            stored = asyncio.ensure_future(self._store(push))
            stored.add_done_callback(lambda one: one.cancelled() or one.exception())  # told or not
            known = Unanswered(stored, push.connected, now_s + self._lost_s)
            self._unanswered[name] = known
        await self._stored(name, known)
        return known.stored.result()

    async def _stored(self, name: bytes, known: Unanswered) -> None:
        """Waits for the commit. What then hears no answer is kept in mind."""
        try:
            async with asyncio.timeout(self._answer_s):
                await asyncio.shield(known.stored)
        except TimeoutError:
            known.connected = lambda: False
            raise not_now("not stored yet") from None
        finally:
            refused = known.stored.done() and (known.stored.cancelled() or known.stored.exception())
            if (refused or known.connected()) and self._unanswered.get(name) is known:
                del self._unanswered[name]
            if len(self._unanswered) > MAX_LOST:
                self._unanswered.popitem(last=False)

    async def _store(self, push: Push) -> bytes:
        """The body of our answer, after the commit. Raises Refusal."""
        stamp = self._clock.stamp()
        async with self._reading:
            if len(push.payload) > LONG_BYTES:
                told = await asyncio.to_thread(self._read, push, stamp)
            else:
                told = self._read(push, stamp)
            stored = self._deliver(push, stamp, told)
        return await stored

    def _deliver(
        self, push: Push, stamp: Stamp, told: Sequence[tuple[Source, list[Item]]]
    ) -> asyncio.Future[bytes]:
        """Raises Refusal(422) when nobody can read it."""
        stored = asyncio.get_running_loop().create_future()
        answer: bytes = getattr(getattr(told[0][0], "family", None), "answer", b"")
        left = len(told)

        def done() -> None:
            nonlocal left
            left -= 1
            if not left and not stored.done():
                stored.set_result(answer)

        for source, items in told:
            self._ingest.deliver(
                self.id,
                source,
                items,
                stamp,
                topic=push.path or NOWHERE,
                done=done,
                payload=push.payload,
                peer=push.peer,
            )
        items = [item for _, items in told for item in items]
        damage = [item.reason for item in items if isinstance(item, Damaged)]
        if damage and len(damage) == len(items):
            short = len(push.payload) <= LONG_BYTES
            why = faults(told[0][0], self._message(push, stamp)) if short else ""
            raise Refusal(422, f"damaged: {damage[0]}" + (f" ({why})" if why else ""))
        return stored

    def _read(self, push: Push, stamp: Stamp) -> list[tuple[Source, list[Item]]]:
        """Who understands it; nobody: the one who says why, before others those whose path it is."""
        if not self._sources:
            why = "no counter is configured on this link"
            self._ingest.overheard(
                self.id, push.payload, stamp, why, topic=push.path or NOWHERE, peer=push.peer
            )
            raise Refusal(404, why, counted="unknown_counter")
        if not push.payload.strip():
            return [(self._sources[0], [Ignored("empty body")])]
        message = self._message(push, stamp)
        told = [(source, self._decode(source, message)) for source in self._wanted(push.path)]
        counted = [one for one in told if any(not isinstance(item, Damaged | Ignored) for item in one[1])]
        return counted or [min(told, key=_rank)]

    def _message(self, push: Push, stamp: Stamp) -> Message:
        return Message(push.payload, stamp.wall_ms, push.path, push.headers, link=self.id)

    def _wanted(self, path: str) -> list[Source]:
        """By the rest of the path, where counters name it as their topic."""
        fit = [
            one
            for one in self._sources
            if not one.topics or any(covers(topic, path or NOWHERE) for topic in one.topics)
        ]
        return fit or list(self._sources)

    def _decode(self, source: Source, message: Message) -> list[Item]:
        try:
            return list(cast("Messages", source.driver).decode(message))
        except Exception:  # no driver may raise; if one does, its body must not come back for ever
            log.exception("link %s: the driver failed on a push to %r", self.id, message.topic)
            return [Damaged(DamageReason.SYNTAX, len(message.payload))]


def _rank(told: tuple[Source, list[Item]]) -> tuple[bool, tuple[bool, bool]]:
    """Who speaks of a body that counts nobody: the lowest, and before others those whose path it is."""
    source, items = told
    return not source.topics, rank(items)


def _name(peer: str, path: str, body: bytes) -> bytes:
    return blake2b(
        b"\0".join((peer.encode(), path.encode("utf-8", "replace"), body)), digest_size=16
    ).digest()


def _silence(seconds: float) -> str:
    return f"nothing was pushed for {seconds:.0f} s"
