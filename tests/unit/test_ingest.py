"""When ingest commits: once for what comes within 50 ms, sooner when told, and all of it at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from gateway.clock import Clock
from gateway.ingest import BATCH_READINGS, IMPATIENT_S, WELL_MS, Ingest
from gateway.model import Booking, Crossings, Damaged, DamageReason, Parcel, Stamp
from gateway.roster import Resolved, Roster, Source
from gateway.store import Recorded
from tests.virtual_time import run_virtually

COMMIT_S = 0.005


class Card:
    """Remembers when each transaction began and how many parcels it held."""

    def __init__(self) -> None:
        self.commits: list[tuple[float, int]] = []

    async def record(self, parcels: list[Parcel]) -> list[Recorded]:
        self.commits.append((asyncio.get_running_loop().time(), len(parcels)))
        await asyncio.sleep(COMMIT_S)
        return [Recorded() for _ in parcels]


class Nobody:
    """A roster that knows nothing: what is delivered still has to be committed and acknowledged."""

    def resolve(self, *_: object, **__: object) -> Resolved:
        return Resolved()


def ingesting(work: Callable[[Ingest, Card], Awaitable[None]], commit_interval_s: float = 1.0) -> Card:
    card = Card()

    async def run() -> None:
        ingest = Ingest(card, cast("Roster", Nobody()), Clock("always"), commit_interval_s)
        stop = asyncio.Event()
        running = asyncio.create_task(ingest.run(stop))
        await work(ingest, card)
        stop.set()
        await running

    run_virtually(run())
    return card


def deliver(ingest: Ingest, done: Callable[[], None] | None = None, *, patient: bool = False) -> None:
    stamp = Clock("always").stamp()
    ingest.deliver("link", cast("Any", None), [], stamp, done=done, patient=patient)


def test_messages_that_trickle_share_commits() -> None:
    """What comes during a commit is not late: it waits for its own 50 ms."""

    async def trickle(ingest: Ingest, _card: Card) -> None:
        for _ in range(1000):
            deliver(ingest)
            await asyncio.sleep(0.002)

    card = ingesting(trickle)
    assert sum(count for _, count in card.commits) == 1000
    assert len(card.commits) <= 2.0 / IMPATIENT_S + 1


def test_no_message_waits_longer_than_50_ms_and_a_commit() -> None:
    waits: list[float] = []

    async def trickle(ingest: Ingest, _card: Card) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(500):
            came_s = loop.time()
            deliver(ingest, lambda came_s=came_s: waits.append(loop.time() - came_s))  # type: ignore[misc]
            await asyncio.sleep(0.003)

    ingesting(trickle)
    assert len(waits) == 500
    assert max(waits) <= IMPATIENT_S + COMMIT_S + 1e-6


def test_a_hurry_or_a_full_batch_commits_at_once() -> None:
    async def stall(ingest: Ingest, card: Card) -> None:
        deliver(ingest)
        ingest.hurry()
        await asyncio.sleep(COMMIT_S / 2)
        assert [count for _, count in card.commits] == [1]
        for _ in range(BATCH_READINGS):
            deliver(ingest)
        await asyncio.sleep(COMMIT_S)
        assert [count for _, count in card.commits] == [1, BATCH_READINGS]

    ingesting(stall)


def test_stopping_commits_what_may_still_wait() -> None:
    async def poll(ingest: Ingest, _card: Card) -> None:
        deliver(ingest, patient=True)

    card = ingesting(poll, commit_interval_s=3600)
    assert [count for _, count in card.commits] == [1]
    assert card.commits[0][0] < 1


class NoStrangers:
    """Nobody is a stranger."""

    def note(self, *_: object) -> None: ...


SOURCE: Any = Source("lan", cast("Any", None), cast("Any", None), cast("Any", None), (), ("door",), ())


class Hears:
    """A roster that takes what it is handed for what it resolves to."""

    def resolve(self, _source: object, items: Any, **_: object) -> Resolved:
        damaged = [item for item in items if isinstance(item, Damaged)]
        bookings = [Booking("door", "main", item) for item in items if isinstance(item, Crossings)]
        return Resolved(damaged=damaged, bookings=bookings)


def test_damage_is_told_once_and_anew_after_an_hour_without(caplog: pytest.LogCaptureFixture) -> None:
    """Sound telegrams between damaged ones make no news: many sensors may share a decoder."""
    caplog.set_level("INFO")
    bad, good = Damaged(DamageReason.SANITY, 4), Crossings("d", "main", 0, 60_000, 1, 0)
    quiet = WELL_MS + 60_000
    told = [(bad, 0), (good, 1), (bad, 2), (good, 3), (good, quiet), (good, quiet + 1), (bad, quiet + 2)]

    async def run() -> None:
        ingest = Ingest(Card(), cast("Roster", Hears()), Clock("always"), 1.0, cast("Any", NoStrangers()))
        for item, at_ms in told:
            ingest.deliver("lan", SOURCE, [item], Stamp("boot", at_ms, at_ms))

    run_virtually(run())
    assert [(one.levelname, one.getMessage()) for one in caplog.records if one.name == "gateway.ingest"] == [
        ("WARNING", "link lan: a telegram for door is damaged: sanity"),
        ("INFO", "link lan: telegrams for door are sound again"),
        ("WARNING", "link lan: a telegram for door is damaged: sanity"),
    ]
