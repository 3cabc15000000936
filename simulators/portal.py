"""A vendor's portal that is asked: a short-lived token for a client id and key, then in and out per interval.

From the public description (apidocs.viametrics.com, first part): the token is valid for ten minutes, the
client id goes with every request, 500 requests an hour, `I` and `O` once per export interval of 15 to 60
minutes. Paths, the list and the names of its other fields are this simulator's own.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import secrets
import signal
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import click
from aiohttp import web

from simulators.timing import Clock, rfc3339
from simulators.truth import Truth, Zone

HOUR_MS = 3_600_000
Counts = Callable[[str, int], tuple[int, int]]  # (counter, start of an interval) → ins, outs


@dataclass
class Faults:
    """What goes wrong with the next `times` requests for counts."""

    status: int = 0  # answered instead: 429, 500 …
    retry_after: str | None = None
    location: str | None = None  # where a redirect leads
    stall: bool = False  # no answer at all
    body: bytes | None = None  # sent instead of the truth, under its tag
    times: int = 1 << 30


@dataclass
class Portal:
    """`async with Portal(counts, counters) as portal:` is asked at `portal.url`. Port 0: any free one."""

    counts: Counts
    counters: Sequence[str]
    since_ms: int = 0  # what is older it does not remember
    interval_s: int = 900
    client_id: str = "1234"
    key: str = "simulated"
    token_s: float = 600.0
    per_h: int = 500
    host: str = "127.0.0.1"
    port: int = 0
    clock: Clock = field(default_factory=Clock)
    tls: ssl.SSLContext | None = None
    faults: Faults | None = None
    asked: list[str] = field(default_factory=list)  # paths, with what was answered: "200 /counters/…"
    tokens: int = 0  # handed out
    _valid: dict[str, int] = field(default_factory=dict)  # token → its end, ms
    _spent: deque[int] = field(default_factory=deque)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}/api"

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._noting])
        app.router.add_post("/api/token", self._token)
        app.router.add_get("/api/counters/{counter}/counts", self._told)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def open(self) -> None:
        """Listen, on the same port as before."""
        site = web.TCPSite(self._runner, self.host, self.port, ssl_context=self.tls, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Nobody listens: connections are refused and those there are cut."""
        for site in list(self._runner.sites):
            await site.stop()
        for connection in self._runner.server.connections if self._runner.server else []:
            connection.force_close()
            if connection.transport:
                connection.transport.abort()

    def expire(self) -> None:
        """Every token ends now."""
        self._valid.clear()

    @web.middleware
    async def _noting(
        self, request: web.Request, handler: Callable[[web.Request], object]
    ) -> web.StreamResponse:
        answer: web.StreamResponse = await handler(request)  # type: ignore[misc]
        self.asked.append(f"{answer.status} {request.path_qs.removeprefix('/api')}")
        return answer

    async def _token(self, request: web.Request) -> web.Response:
        with suppress(ValueError, AttributeError):
            given = await request.json()
            if (given.get("clientId"), given.get("apiKey")) == (self.client_id, self.key):
                token = secrets.token_urlsafe(24)
                self._valid[token] = self.clock.now_ms() + round(self.token_s * 1000)
                self.tokens += 1
                return web.json_response({"token": token})
        return _refusal(401, "unknown client or key")

    async def _told(self, request: web.Request) -> web.Response:
        wrong = self._over_limit() or self._stranger(request)
        if wrong:
            return wrong
        faults = self.faults
        failing = faults is not None and faults.times > 0
        if faults and failing:
            faults.times -= 1
            if faults.body is None:
                return await _fail(faults)
        counter, query = request.match_info["counter"], request.query
        if counter not in self.counters:
            return _refusal(404, "unknown counter")
        try:
            from_ms, to_ms = _instant(query["from"]), _instant(query["to"])
        except (KeyError, ValueError):
            return _refusal(400, "from and to must be instants")
        body = json.dumps(self._rows(counter, from_ms, to_ms)).encode()
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if faults and failing:
            body = faults.body or b""
        elif request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        return web.Response(body=body, content_type="application/json", headers={"ETag": etag})

    def _over_limit(self) -> web.Response | None:
        now_ms = self.clock.now_ms()
        while self._spent and self._spent[0] <= now_ms - HOUR_MS:
            self._spent.popleft()
        if len(self._spent) >= self.per_h:
            answer = _refusal(429, "too many requests this hour")
            answer.headers["Retry-After"] = str(1 + (self._spent[0] + HOUR_MS - now_ms) // 1000)
            return answer
        self._spent.append(now_ms)
        return None

    def _stranger(self, request: web.Request) -> web.Response | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        valid = scheme == "Bearer" and self._valid.get(token, 0) > self.clock.now_ms()
        if request.headers.get("ClientID") != self.client_id or not valid:
            return _refusal(401, "no valid token")
        return None

    def _rows(self, counter: str, from_ms: int, to_ms: int) -> list[dict[str, object]]:
        """Every interval that is over, empty ones too."""
        step_ms, now_ms = self.interval_s * 1000, self.clock.now_ms()
        first_ms = -(-max(from_ms, self.since_ms) // step_ms) * step_ms
        last_ms = min(to_ms, now_ms // step_ms * step_ms)
        rows = []
        for start_ms in range(first_ms, last_ms, step_ms):
            ins, outs = self.counts(counter, start_ms)
            rows.append({"CounterId": counter, "Time": rfc3339(start_ms), "I": ins, "O": outs})
        return rows


async def _fail(faults: Faults) -> web.Response:
    if faults.stall:
        await asyncio.Event().wait()
    given = {"Retry-After": faults.retry_after, "Location": faults.location}
    return web.Response(status=faults.status, headers={k: v for k, v in given.items() if v is not None})


def _instant(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _refusal(status: int, why: str) -> web.Response:
    return web.json_response({"error": why}, status=status)


def seeded(seed: int, most: int = 40) -> Counts:
    """The same people in the same interval, however often they are asked for."""

    def counts(counter: str, start_ms: int) -> tuple[int, int]:
        people = random.Random(f"{seed}/{counter}/{start_ms}")
        return people.randint(0, most), people.randint(0, most)

    return counts


async def _serve(portal: Portal) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with portal:
        click.echo(f"portal at {portal.url}, client {portal.client_id}, key {portal.key}")
        await stop.wait()


def truth_of(portal: Portal, until_ms: int, size_s: int) -> Truth:
    """What the portal's counters have seen in whole intervals; each counter is a zone of its own."""
    truth = Truth({name: Zone("store", entrances=(name,)) for name in portal.counters}, size_s)
    step_ms = portal.interval_s * 1000
    for counter in portal.counters:
        for start_ms in range(-(-portal.since_ms // step_ms) * step_ms, until_ms - step_ms + 1, step_ms):
            ins, outs = portal.counts(counter, start_ms)
            truth.cross(counter, start_ms, "in", ins)
            truth.cross(counter, start_ms, "out", outs)
    return truth


@click.command("portal")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8095, show_default=True, help="0 takes any free one.")
@click.option("--counters", default="1001,1002", show_default=True, help="Their ids, with commas between.")
@click.option("--interval", "interval_s", default=900, show_default=True, help="Seconds between exports.")
@click.option("--client-id", default="1234", show_default=True)
@click.option("--key", default="simulated", show_default=True)
@click.option("--token-s", default=600.0, show_default=True, help="How long a token lives.")
@click.option("--per-hour", "per_h", default=500, show_default=True, help="Requests before 429.")
@click.option("--days", default=7.0, show_default=True, help="How far back it remembers.")
@click.option("--seed", default=1, show_default=True)
@click.option("--truth", "truth_file", type=click.Path(path_type=Path), help="Write who came and went.")
@click.option("--size", "size_s", default=900, show_default=True, help="Seconds in a window of the truth.")
@click.option("--simulated-clock", help="START,SPEED[,ANCHOR] as told to the gateway.")
def command(
    host: str,
    port: int,
    counters: str,
    interval_s: int,
    client_id: str,
    key: str,
    token_s: float,
    per_h: int,
    days: float,
    seed: int,
    truth_file: Path | None,
    size_s: int,
    simulated_clock: str | None,
) -> None:
    """A vendor's portal: a token for ten minutes, in and out per counter and interval."""
    clock = Clock(simulated_clock)
    since_ms = clock.now_ms() - round(days * 24 * HOUR_MS)
    names = counters.split(",")
    portal = Portal(
        seeded(seed), names, since_ms, interval_s, client_id, key, token_s, per_h, host, port, clock
    )
    asyncio.run(_serve(portal))
    if truth_file:
        truth_of(portal, clock.now_ms(), size_s).write(truth_file)
