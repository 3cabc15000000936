"""Listening to the real devices beside the daemon: nothing is stored, acknowledged or put away."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway import config as configuration
    from gateway.links import Link
    from gateway.model import Delivery, Item, Stamp
    from gateway.roster import Resolved, Roster, Source
    from gateway.strangers import Heard, Strangers

STEP_S = 5.0  # a link's time to say goodbye
UNACKNOWLEDGED = 65_535  # we acknowledge nothing, so let the broker send as much as MQTT allows


@dataclass(slots=True)
class Listening:
    """What links need of an ingest; nothing is kept, and `done` is never called: nothing is acknowledged."""

    roster: Roster
    strangers: Strangers
    take: Callable[[str, Source, Resolved, Stamp, str, bool], None] = lambda *_told: None
    catch: Callable[[Heard], None] = lambda _heard: None  # every message
    full: bool = field(default=False, init=False)
    fault: str = field(default="", init=False)

    async def wait_room(self) -> None:
        """There is always room."""

    def hurry(self) -> None:
        """Nothing will be committed, however urgent."""

    def deliver(
        self,
        link: str,
        source: Source,
        items: Iterable[Item],
        stamp: Stamp,
        *,
        topic: str = "",
        delivery: Delivery | None = None,
        done: Callable[[], None] | None = None,
        patient: bool = False,
        payload: bytes = b"",
        peer: str = "",
    ) -> None:
        """Tells what it comes to; the last word says whether an acknowledgement is withheld."""
        from gateway.strangers import Heard

        del delivery, patient
        resolved = self.roster.resolve(source, items, topic=topic)
        heard = Heard(link, stamp, payload, topic, peer)
        self.strangers.note(source, resolved, heard)
        self.catch(heard)
        self.take(link, source, resolved, stamp, topic, done is not None)

    def overheard(
        self, link: str, payload: bytes, stamp: Stamp, why: str, *, topic: str = "", peer: str = ""
    ) -> None:
        """Nobody here waits for it."""
        from gateway.strangers import Heard

        heard = Heard(link, stamp, payload, topic, peer)
        self.strangers.overheard(heard, why)
        self.catch(heard)


class _NoSessions:
    """Nothing is kept, so nothing is remembered."""

    async def begin(self, _link: str, _present: bool) -> int:
        return 1

    async def forget(self, _link: str, _round: int) -> None:
        return


@asynccontextmanager
async def listening(
    config: configuration.Config, ingest: Listening, names: Sequence[str], overhear: Sequence[str] = ()
) -> AsyncIterator[Mapping[str, Link]]:
    """These links open, under client ids of our own. `overhear`: MQTT filters instead of the counters'."""
    from gateway.clock import Clock
    from gateway.links import open_link, open_listener

    clock = Clock(config.clock.trust)
    listener = open_listener(config.push, [config.link[name] for name in names], clock)
    around = (clock, ingest, config.gateway.id, _NoSessions(), None, listener, overhear)
    links = {
        name: open_link(name, _apart(name, config), ingest.roster.sources(name), *around) for name in names
    }
    stop = asyncio.Event()
    tasks = [asyncio.create_task(link.run(stop)) for link in links.values()]
    try:
        yield links
    finally:
        stop.set()
        await _ended(tasks)


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    late = (await asyncio.wait(tasks, timeout=STEP_S))[1] if tasks else ()
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)


def _apart(name: str, config: configuration.Config) -> configuration.Link:
    """The link under our own client id, with a session that ends with us: the daemon's stays untouched."""
    from gateway.config import MqttOptions

    link = config.link[name]
    if not isinstance(link.options, MqttOptions):
        return link
    daemons = link.options.client_id or f"{config.gateway.id}-{name}"
    own = {
        "client_id": f"{daemons}-try-{os.getpid()}",
        "session_expiry_s": 0,
        "receive_maximum": UNACKNOWLEDGED,
    }
    return replace(link, options=link.options.model_copy(update=own))
