"""The event stream over a real socket: what is told, to whom, and that nobody waits for a listener."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession, TCPConnector

from gateway.errors import StoreError
from gateway.health import Health
from gateway.web import stream
from gateway.web.routes import serving
from tests.health_sample import FakeHealth

PATH = "/api/v1/events"


class Centre(FakeHealth):
    """One whose windows a test closes."""

    rows: tuple[Mapping[str, Any], ...] = ({"start": "2026-11-23T11:45:00Z", "revision": 1},)

    async def aggregates(self, *_asked: Any, **_more: Any) -> tuple[Mapping[str, Any], ...]:
        return self.rows

    def close(self, *rows: Mapping[str, Any]) -> None:
        self.rows = (*self.rows, *rows)
        self.change(revisions={"closed": len(self.rows)})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LOOK_S", 0.01)


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Centre, ClientSession]]:
    source = Centre()
    source.change(zones=source.health.zones[:1])
    async with (
        serving(source, "127.0.0.1", 0) as (_, port),
        ClientSession(f"http://127.0.0.1:{port}", connector=TCPConnector(force_close=True)) as session,
    ):
        yield source, session


async def told(response: ClientResponse) -> tuple[str, Any]:
    """The next event; remarks are passed over."""
    name = ""
    async with asyncio.timeout(20):
        async for line in response.content:
            key, _, value = line.decode().rstrip("\n").partition(": ")
            if key == "event":
                name = value
            elif key == "data":
                return name, json.loads(value)
    raise AssertionError("the stream ended")


async def test_a_listener_is_told_what_is_and_then_what_changes() -> None:
    async with served() as (source, session), session.get(PATH) as response:
        assert response.content_type == "text/event-stream"
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
        async with session.get("/api/v1/live") as live:
            assert await told(response) == ("live", await live.json())
        source.change(at_ms=source.health.at_ms + 1000)  # time passing is no news
        source.close({"start": "2026-11-23T12:00:00Z", "revision": 1, "ins": 3})
        assert await told(response) == ("aggregate", {**source.rows[1]})
        assert (await told(response))[1]["revisions"] == {"closed": 2}
        source.change(zones=[replace(source.health.zones[0], ins=7)])
        assert (await told(response))[1]["zones"][0]["ins"] == 7


async def test_a_quiet_stream_says_that_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "SILENT_S", 0.05)
    async with served() as (_, session), session.get(PATH) as response, asyncio.timeout(20):
        await response.content.readuntil(stream.STILL_HERE)


async def test_only_so_many_listen_and_those_who_leave_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST", 1)

    async def status(session: ClientSession) -> int:
        async with session.get(PATH) as response:
            return response.status

    async with served() as (source, session):
        async with session.get(PATH) as first:
            await told(first)
            assert await status(session) == 503
        async with asyncio.timeout(20):
            while await status(session) != 200:  # who has left is noticed when something is to be told
                source.close({"start": "2026-11-23T12:00:00Z", "revision": len(source.rows)})


async def test_a_buffer_that_cannot_be_read_ends_the_stream_and_writes_nothing_strange_into_it() -> None:
    async with served() as (source, session), session.get(PATH) as response:
        await told(response)

        async def sick() -> Health:
            raise StoreError("the buffer cannot be read")

        source.snapshot = sick  # type: ignore[method-assign]
        async with asyncio.timeout(20):
            assert b"HTTP" not in await response.content.read()


async def test_a_daemon_that_stops_waits_for_no_listener() -> None:
    async with ClientSession() as session:
        async with serving(Centre(), "127.0.0.1", 0) as (_, port):
            response = await session.get(f"http://127.0.0.1:{port}{PATH}")
            await told(response)
        async with asyncio.timeout(20):
            await response.content.read()
