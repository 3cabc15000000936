"""A head office that receives CloudEvents batches, adds them up in SQLite, and misbehaves on demand.

POST /events takes a batch; GET /sums, /windows, /alarms show what is stored; POST /control
{"mode": …, "for_s": …} changes what it does. Answers 2xx only after the commit: it may be killed at any
instant.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import click
from aiohttp import web

from simulators.office import Event, Ledger, compare, read_truth, table

MODES = """
ok                normal
down              nobody listens: connections are refused
refuse            every connection is reset before an answer
stall             a request is read and never answered
trickle           the answer comes a byte a second
lose-answers      batches are stored, the answer is lost
status:N          answer N, store nothing (status:429:30 with Retry-After: 30)
reject:TEXT       events with TEXT in their id are rejected, the rest stored
poison:TEXT       422 for every batch that has such an event, nothing stored
limit:N           413 for more than N events
portal            200 and a login page
redirect          302 to the login page
flood             200 and an endless body
"""
NAMES = [line.split()[0].partition(":")[0] for line in MODES.strip().splitlines()]
DOWN_S = 20.0
MAX_BODY_BYTES = 16 << 20
PORTAL = "<!doctype html><title>Welcome</title><p>Please accept the terms to use this network."


@dataclass(frozen=True, slots=True)
class Request:
    """One batch as it came."""

    events: int
    headers: Mapping[str, str]
    ids: tuple[str, ...]


class HeadOffice:
    """`async with HeadOffice(db_path=…) as office:` posts go to `office.url`. Port 0: any free one."""

    def __init__(
        self,
        port: int = 0,
        db_path: Path | str = ":memory:",
        *,
        host: str = "127.0.0.1",
        mode: str = "ok",
        token: str | None = None,
    ) -> None:
        self.host, self.port = host, port
        self.mode = _known(mode)
        self.requests: deque[Request] = deque(maxlen=10_000)
        self._ledger = Ledger(db_path)
        self._token = token
        self._site: web.TCPSite | None = None
        self._back: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._later: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/events"

    def sums(self) -> dict[str, dict[str, int]]:
        return self._ledger.sums()

    def windows(self, zone: str | None = None) -> list[dict[str, Any]]:
        return self._ledger.windows(zone)

    def alarms(self) -> list[dict[str, Any]]:
        return self._ledger.alarms()

    def tally(self) -> dict[str, int]:
        return self._ledger.tally()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post("/events", self._events)
        app.router.add_post("/control", self._control)
        app.router.add_get("/sums", self._show_sums)
        app.router.add_get("/windows", self._show_windows)
        app.router.add_get("/alarms", self._show_alarms)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        if self.mode != "down":
            await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._back:
            self._back.cancel()
        for work in self._later:
            work.cancel()  # or it would listen again
        await asyncio.gather(*self._later, return_exceptions=True)
        self._changed.set()
        await self._runner.cleanup()
        self._ledger.close()

    async def set_mode(self, mode: str, for_s: float | None = None) -> None:
        """Behave so from now on, or for a time and then well again. Raises ValueError for an unknown mode."""
        self.mode = _known(mode)
        self._changed.set()
        self._changed = asyncio.Event()
        if self._back:
            self._back.cancel()
            self._back = None
        if for_s is not None:
            self._back = asyncio.get_running_loop().call_later(for_s, self._recover)
        if mode == "down":
            await self._hang_up()
        else:
            await self._listen()

    def _recover(self) -> None:
        self._spawn(self.set_mode("ok"))

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def _listen(self) -> None:
        if self._site is None:
            self._site = web.TCPSite(self._runner, self.host, self.port, reuse_address=True)
            await self._site.start()
            self.port = self._runner.addresses[0][1]

    async def _hang_up(self) -> None:
        if self._site is not None:
            site, self._site = self._site, None
            await site.stop()
        for connection in self._runner.server.connections if self._runner.server else []:
            connection.force_close()
            if connection.transport:
                connection.transport.abort()

    async def _control(self, request: web.Request) -> web.Response:
        try:
            order = await request.json()
            mode, for_s = order["mode"], order.get("for_s")
            _known(mode)
        except (ValueError, KeyError, TypeError) as error:
            return web.json_response({"error": str(error)}, status=400)
        if mode == "down":  # the answer first: this connection goes too, and nobody could call us back
            loop = asyncio.get_running_loop()
            wait_s = DOWN_S if for_s is None else for_s
            loop.call_later(0.05, lambda: self._spawn(self.set_mode("down", wait_s)))
        else:
            await self.set_mode(mode, for_s)
        return web.json_response({"mode": mode})

    async def _show_sums(self, request: web.Request) -> web.Response:
        size_s = int(request.query.get("size_s", 0)) or None
        return web.json_response({"zones": self._ledger.sums(size_s), "events": self._ledger.tally()})

    async def _show_windows(self, request: web.Request) -> web.Response:
        return web.json_response(self._ledger.windows(request.query.get("zone")))

    async def _show_alarms(self, _request: web.Request) -> web.Response:
        return web.json_response(self._ledger.alarms())

    async def _events(self, request: web.Request) -> web.StreamResponse:
        kind, _, detail = self.mode.partition(":")
        if kind == "refuse":
            return _reset(request)
        body = await request.read()
        if self._token and request.headers.get("Authorization") != f"Bearer {self._token}":
            return web.json_response({"error": "unknown token"}, status=401)
        try:
            events = _parse(request, body)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        ids = tuple(str(event.get("id")) for event in events)
        self.requests.append(Request(len(events), dict(request.headers), ids))
        return await self._answer(request, kind, detail, events)

    async def _answer(
        self, request: web.Request, kind: str, detail: str, events: list[Event]
    ) -> web.StreamResponse:
        if kind == "status":
            status, _, wait = detail.partition(":")
            return web.Response(status=int(status), headers={"Retry-After": wait} if wait else None)
        if kind == "stall":
            await self._changed.wait()
            return _reset(request)
        if kind == "limit" and len(events) > int(detail):
            return web.json_response({"error": f"at most {detail} events"}, status=413)
        if kind == "poison" and any(detail in str(event.get("id")) for event in events):
            return web.json_response({"error": "an event is not valid"}, status=422)
        if kind in ("portal", "redirect", "flood"):
            return await _elsewhere(request, kind)
        booked = self._ledger.book(events, detail if kind == "reject" else "")
        if kind == "lose-answers":
            return _reset(request)
        answer = json.dumps({"rejected": booked.rejected} if booked.rejected else {})
        if kind == "trickle":
            return await _trickle(request, answer)
        return web.Response(text=answer, content_type="application/json")


def _known(mode: str) -> str:
    name, _, detail = str(mode).partition(":")
    if name not in NAMES or (name in ("status", "limit") and not detail.partition(":")[0].isdigit()):
        raise ValueError(f"unknown mode {mode!r}; known: {', '.join(NAMES)}")
    return str(mode)


def _parse(request: web.Request, body: bytes) -> list[Event]:
    if request.content_type != "application/cloudevents-batch+json":
        raise ValueError(f"not a batch of CloudEvents: {request.content_type}")
    events = json.loads(body)
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise ValueError("not a list of objects")
    return events


def _reset(request: web.Request) -> web.Response:
    if request.transport:
        request.transport.abort()
    return web.Response()


async def _elsewhere(request: web.Request, kind: str) -> web.StreamResponse:
    if kind == "portal":
        return web.Response(text=PORTAL, content_type="text/html")
    if kind == "redirect":
        return web.Response(status=302, headers={"Location": "http://portal.invalid/login"})
    answer = web.StreamResponse()
    await answer.prepare(request)
    with suppress(ConnectionError):
        while True:
            await answer.write(b" " * 65_536)
    return answer


async def _trickle(request: web.Request, text: str) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    answer.content_length = len(text) + 600
    await answer.prepare(request)
    with suppress(ConnectionError):
        for letter in text.encode() + b" " * 600:
            await answer.write(bytes([letter]))
            await asyncio.sleep(1)
    return answer


def print_comparison(db: Path, truth_file: Path) -> int:
    """The table truth | head office; 1 if they differ anywhere, else 0."""
    ledger = Ledger(db)
    try:
        truth, windows, tally = read_truth(truth_file), ledger.windows(), ledger.tally()
    finally:
        ledger.close()
    click.echo("\n".join(table(truth, windows)))
    differences = compare(truth, windows)
    for one in differences[:20]:
        zone, size_s, start = one.window
        click.echo(f"{zone} {start} {size_s} s {one.figure}: truth {one.truth}, head office {one.office}")
    lost = sum(max(0, one.truth - one.office) for one in differences)
    twice = sum(max(0, one.office - one.truth) for one in differences)
    click.echo(f"lost {lost}, twice {twice}; {tally.get('repeated', 0)} events were repeated, harmlessly")
    return 1 if differences else 0


async def _serve(office: HeadOffice) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with office:
        click.echo(f"head office at {office.url}")
        await stop.wait()


@click.command(epilog="\b\nModes:" + MODES)
@click.option("--port", default=8090, show_default=True, help="0 takes any free one.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--db", type=click.Path(path_type=Path), default=Path("office.db"), show_default=True)
@click.option("--mode", default="ok", show_default=True, help="How to behave at first.")
@click.option("--token", help="Ask for this bearer token.")
@click.option("--truth", type=click.Path(exists=True, path_type=Path), help="Compare --db with it and end.")
@click.option("--seed", type=int, default=0, help="Accepted like everywhere; nothing here is random.")
def command(
    port: int, host: str, db: Path, mode: str, token: str | None, truth: Path | None, seed: int
) -> None:
    """A head office: receives batches over HTTP, adds up in SQLite, misbehaves on demand."""
    del seed
    if truth:
        raise SystemExit(print_comparison(db, truth))
    try:
        office = HeadOffice(port, db, host=host, mode=mode, token=token)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    asyncio.run(_serve(office))
