"""Server-sent events: `live` when the snapshot has changed, `aggregate` for each that is closed."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any, Protocol

from aiohttp import web

from gateway.errors import StoreError
from gateway.health import Health, to_json
from gateway.health.closed import Aggregates, NewlyClosed
from gateway.web import access

LOOK_S = 1.0
SILENT_S = 15.0  # proxies and browsers give up a stream that says nothing for long
MOST = 16  # each costs a look a second
PASSING = ("at", "buffer", "commits")  # these change while nothing happens
HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", **access.SECURITY}
RETRY = b"retry: 5000\n\n"
STILL_HERE = b": still here\n\n"


class Source(Aggregates, Protocol):
    """What a stream asks of health."""

    async def snapshot(self) -> Health: ...


class Streams:
    """All that are open."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._open = 0
        self._ended = asyncio.Event()

    def end(self) -> None:
        """The daemon stops, or reads its configuration again: nobody waits for listeners."""
        self._ended.set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if self._open >= MOST:
            return access.problem(503, f"{MOST} streams are open already", {"Retry-After": "60"})
        self._open += 1
        response = web.StreamResponse(headers=HEADERS)
        try:
            # whoever listened has left, or asks again: nothing can be told while the buffer cannot be read
            with suppress(ConnectionError, StoreError):
                await response.prepare(request)
                await response.write(RETRY)
                await self._tell(response)
        finally:
            self._open -= 1
        return response

    async def _tell(self, response: web.StreamResponse) -> None:
        loop = asyncio.get_running_loop()
        closed, told_s = NewlyClosed(self._source), loop.time()
        before: dict[str, Any] = {}
        while not self._ended.is_set():
            health = await self._source.snapshot()
            now = {key: value for key, value in to_json(health).items() if key not in PASSING}
            news = [_event("aggregate", row) for row in await closed.since(health)]
            if now != before:
                news.append(_event("live", to_json(health)))
            elif not news and loop.time() - told_s >= SILENT_S:
                news.append(STILL_HERE)
            if news:
                await response.write(b"".join(news))
                told_s = loop.time()
            before = now
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), LOOK_S)


def _event(name: str, data: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
