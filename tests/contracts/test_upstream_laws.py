"""What every upstream driver keeps, whatever the other side does. A new driver adds one line to `PEERS`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from gateway.clock import Clock
from gateway.model import Event, Receipt
from gateway.upstreams import DRIVERS, Upstream, load_upstream
from simulators.upstream import HeadOffice
from tests.upstream_events import events

TIMEOUT_S = 0.5
FAULTS = [
    "down",
    "refuse",
    "stall",
    "trickle",
    "lose-answers",
    "portal",
    "redirect",
    "flood",
    "status:400",
    "status:401",
    "status:404",
    "status:413",
    "status:422",
    "status:429",
    "status:500",
    "status:503:1",
]


class Peer(Protocol):
    """The other side of one driver: opens the driver towards it, misbehaves, tells what it holds."""

    def open(self) -> Upstream: ...
    async def set_mode(self, mode: str) -> None: ...
    def stored(self) -> set[str]: ...


class HttpPeer:
    def __init__(self, office: HeadOffice) -> None:
        self._office = office

    def open(self) -> Upstream:
        driver = load_upstream("http")
        options = driver.options.model_validate({"url": self._office.url, "timeout_s": TIMEOUT_S})
        return driver.open(options, Path, Clock())

    async def set_mode(self, mode: str) -> None:
        await self._office.set_mode(mode)

    def stored(self) -> set[str]:
        return {_id(row) for row in self._office.windows()}


def _id(row: dict[str, Any]) -> str:
    return "/".join(str(row[key]) for key in ("site", "zone", "size_s", "start", "generation", "revision"))


@asynccontextmanager
async def http_peer() -> AsyncIterator[HttpPeer]:
    async with HeadOffice() as office:
        yield HttpPeer(office)


PEERS: dict[str, Callable[[], AbstractAsyncContextManager[Peer]]] = {"http": http_peer}


@asynccontextmanager
async def opened(name: str) -> AsyncIterator[tuple[Peer, Upstream]]:
    async with PEERS[name]() as peer:
        upstream = peer.open()
        try:
            yield peer, upstream
        finally:
            await upstream.close()


async def send(upstream: Upstream, batch: Sequence[Event]) -> Receipt:
    """Within a bounded time, and a receipt that answers for this batch only."""
    async with asyncio.timeout(20 * TIMEOUT_S):
        receipt = await upstream.send(batch)
    ids = {event.id for event in batch}
    assert receipt.accepted <= ids
    assert receipt.rejected.keys() <= ids
    assert not receipt.accepted & receipt.rejected.keys()
    kept = ids - receipt.accepted - receipt.rejected.keys()
    assert receipt.suspects <= kept
    assert bool(kept) == bool(receipt.why_kept)
    assert all(receipt.rejected.values())
    return receipt


def test_every_driver_is_here() -> None:
    assert PEERS.keys() == DRIVERS.keys()


@pytest.mark.parametrize("name", PEERS)
async def test_accepted_means_stored(name: str) -> None:
    async with opened(name) as (peer, upstream):
        batch = events(100)
        receipt = await send(upstream, batch)
        assert receipt.accepted == peer.stored() == {event.id for event in batch}


@pytest.mark.parametrize("mode", FAULTS)
@pytest.mark.parametrize("name", PEERS)
async def test_a_fault_never_raises_and_accepts_nothing_that_is_not_stored(name: str, mode: str) -> None:
    async with opened(name) as (peer, upstream):
        await peer.set_mode(mode)
        receipt = await send(upstream, events(7))
        assert receipt.accepted <= peer.stored()


@pytest.mark.parametrize("mode", [mode for mode in FAULTS if mode != "status:413"])
@pytest.mark.parametrize("name", PEERS)
async def test_after_a_fault_everything_goes_through_and_nothing_counts_twice(name: str, mode: str) -> None:
    async with opened(name) as (peer, upstream):
        batch = events(7)
        await peer.set_mode(mode)
        first = await send(upstream, batch)
        assert not first.rejected, "a fault of the receiver is no fault of the event"
        await peer.set_mode("ok")
        assert (await send(upstream, batch)).accepted == peer.stored() == {event.id for event in batch}


@pytest.mark.parametrize("name", PEERS)
async def test_a_rejected_event_has_its_reason_and_holds_up_nothing(name: str) -> None:
    async with opened(name) as (peer, upstream):
        batch = events(40)
        await peer.set_mode(f"reject:{batch[13].id}")
        receipt = await send(upstream, batch)
        assert receipt.rejected == {batch[13].id: "rejected on demand"}
        assert len(peer.stored()) == 39


@pytest.mark.parametrize("name", PEERS)
async def test_opening_touches_no_network_and_closing_twice_is_harmless(name: str) -> None:
    async with opened(name) as (peer, _):
        await peer.set_mode("down")
        unused = peer.open()
        await unused.close()
        await unused.close()


@pytest.mark.parametrize("name", PEERS)
async def test_a_cancelled_send_ends_at_once(name: str) -> None:
    async with opened(name) as (peer, upstream):
        await peer.set_mode("stall")
        task = asyncio.create_task(upstream.send(events(3)))
        done, _ = await asyncio.wait({task}, timeout=TIMEOUT_S / 5)
        assert not done
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
