"""Page, API, metrics and probes over one source of health. Nothing here knows a link, a table or a driver."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date, timedelta
from typing import Any, Protocol

from aiohttp import hdrs, web

from gateway.calendars import BY
from gateway.health import AlarmHealth, Health, to_json
from gateway.metrics import exposition
from gateway.web import access, entering, page, query, stream
from gateway.web.entering import Entry
from gateway.web.openapi import document
from gateway.web.tables import AGGREGATE_COLUMNS, STRETCH_COLUMNS, as_csv

log = logging.getLogger("gateway.web")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
MAX_REQUEST_BYTES = 64 * 1024
MAX_WINDOWS = 50_000  # in one history answer: 400 days of quarter hours
MAX_DAYS = 400  # in one answer: as long as aggregates are kept
DAY = timedelta(days=1)


class Source(Protocol):
    """What the web asks; `gateway.health.HealthSource` is one."""

    ready: bool
    unserved: str  # why nobody can ask; "" while listening

    async def snapshot(self) -> Health: ...

    async def aggregates(
        self, zone: str, from_ms: int, to_ms: int, size_s: int, as_of_ms: int | None = None
    ) -> Sequence[Mapping[str, Any]]:
        """Event data of the current (or `as_of_ms`) revisions, by start."""
        ...

    async def days(
        self, zone: str, first: date, after: date, by: str, *, lines: bool = False
    ) -> Sequence[Mapping[str, Any]]:
        """Business days of `[first, after)` added up. Raises ValueError where there are no such stretches."""
        ...

    async def alarms(self, from_ms: int, to_ms: int) -> Sequence[AlarmHealth]:
        """What was wrong with a line at any time of `[from, to)`."""
        ...

    async def audit(self) -> Mapping[str, Any]: ...


SOURCE: web.AppKey[Source] = web.AppKey("source", Source)
STREAMS: web.AppKey[stream.Streams] = web.AppKey("streams", stream.Streams)


def application(source: Source, token: str | None = None, entry: Entry | None = None) -> web.Application:
    """The whole local HTTP. With a `token` every request must show it; without, it serves loopback names.

    Without an `entry` nothing can be entered.
    """
    middlewares = [access.harden, access.problems, access.guard(token)]
    app = web.Application(middlewares=middlewares, client_max_size=MAX_REQUEST_BYTES)
    app[SOURCE], app[STREAMS] = source, stream.Streams(source)
    app.on_shutdown.append(_end_streams)
    app.add_routes(
        [
            web.get("/", index),
            web.get("/static/{name}", static),
            web.get("/metrics", metrics),
            web.get("/healthz", alive),
            web.get("/readyz", ready),
            web.get("/api/openapi.json", openapi),
            web.get("/api/v1/live", live),
            web.get("/api/v1/events", events),
            web.get("/api/v1/aggregates", aggregates),
            web.get("/api/v1/days", days),
            web.get("/api/v1/alarms", alarms),
            web.get("/api/v1/audit", audit),
            *(web.get(f"/api/v1/{part}", _list_of(part)) for part in PARTS),
            *(entering.routes(*entry) if entry else ()),
        ]
    )
    return app


@asynccontextmanager
async def serving(
    source: Source, host: str, port: int, token: str | None = None, entry: Entry | None = None
) -> AsyncIterator[tuple[str, int]]:
    """Serves until left; gives (host, port). Raises ValueError when an outside address has no token.

    An address that cannot be had is tried again for ever, like a link: counting does not wait for it.
    """
    access.require_token(host, token)
    runner = web.AppRunner(
        application(source, token, entry),
        access_log=None,
        handle_signals=False,
        shutdown_timeout=2,
        keepalive_timeout=30,
    )
    await runner.setup()
    trying = None
    try:
        if not await _listen(runner, source, host, port):
            trying = asyncio.create_task(_listen_later(runner, source, host, port))
        yield runner.addresses[0][:2] if runner.addresses else (host, port)
    finally:
        if trying:
            trying.cancel()
            await asyncio.gather(trying, return_exceptions=True)
        await runner.cleanup()


async def _listen(runner: web.AppRunner, source: Source, host: str, port: int) -> bool:
    """Whether the address is ours now; if not, `source.unserved` says why, and the log says it once."""
    site = web.TCPSite(runner, host.strip("[]"), port)
    try:
        await site.start()
    except OSError as error:
        await site.stop()
        taken = error.errno == errno.EADDRINUSE
        why = f"http.listen: {host}:{port}: {'in use by another program' if taken else error}"
        if why != source.unserved:
            log.warning("%s; tried again", why)
        source.unserved = why
        return False
    if source.unserved:
        log.info("http.listen: %s:%d is served now", host, port)
    source.unserved = ""
    return True


async def _listen_later(runner: web.AppRunner, source: Source, host: str, port: int) -> None:
    pause_s = FIRST_PAUSE_S
    while True:
        await asyncio.sleep(pause_s)
        if await _listen(runner, source, host, port):
            return
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


async def index(request: web.Request) -> web.Response:
    health = await request.app[SOURCE].snapshot()
    language = page.language(request.headers.get(hdrs.ACCEPT_LANGUAGE, ""))
    headers = {"Content-Language": language, "Vary": "Accept-Language"}
    return web.Response(text=page.render(health, language), content_type="text/html", headers=headers)


async def static(request: web.Request) -> web.StreamResponse:
    """One of the files shipped beside this module; names come from a fixed list."""
    name = request.match_info["name"]
    if name not in page.FILES:
        raise web.HTTPNotFound(text=f"no such file: {name}")
    body = page.asset(name)
    return web.Response(
        body=body, content_type=page.FILES[name], charset="utf-8", headers={"Cache-Control": "no-cache"}
    )


async def metrics(request: web.Request) -> web.Response:
    health = await request.app[SOURCE].snapshot()
    body, content_type = exposition(health, request.headers.get(hdrs.ACCEPT, ""))
    return web.Response(body=body, headers={"Content-Type": content_type})


async def alive(_request: web.Request) -> web.Response:
    return web.Response(text="alive\n")


async def ready(request: web.Request) -> web.Response:
    if not request.app[SOURCE].ready:
        return access.problem(503, "not every link was started yet")
    return web.Response(text="ready\n")


async def openapi(_request: web.Request) -> web.Response:
    return web.json_response(document())


async def live(request: web.Request) -> web.Response:
    return web.json_response(to_json(await request.app[SOURCE].snapshot()))


async def events(request: web.Request) -> web.StreamResponse:
    """The same as `live` and each aggregate as it is closed, for as long as somebody listens."""
    return await request.app[STREAMS].serve(request)


async def _end_streams(app: web.Application) -> None:
    app[STREAMS].end()


async def audit(request: web.Request) -> web.Response:
    return web.json_response(to_json(await request.app[SOURCE].audit()))


async def alarms(request: web.Request) -> web.Response:
    """What is wrong now; with `from` or `to`, what was wrong at any time between."""
    health = await request.app[SOURCE].snapshot()
    found: Sequence[AlarmHealth] = health.alarms
    if request.query.keys() & {"from", "to"}:
        to_ms = query.instant_ms(request.query, "to", health.at_ms)
        from_ms = query.instant_ms(request.query, "from", to_ms - 86_400_000)
        if from_ms >= to_ms:
            raise web.HTTPUnprocessableEntity(text="from must lie before to")
        found = await request.app[SOURCE].alarms(from_ms, to_ms)
    return web.json_response({"alarms": to_json(found)})


PARTS = ("zones", "counters", "links", "upstreams")


def _list_of(part: str) -> access.Answer:
    async def answer(request: web.Request) -> web.Response:
        health = await request.app[SOURCE].snapshot()
        return web.json_response({part: to_json(getattr(health, part))})

    return answer


async def aggregates(request: web.Request) -> web.Response:
    """History of one zone: the current revisions of `[from, to)`, or as they were at `as_of`."""
    health = await request.app[SOURCE].snapshot()
    zone = _known_zone(request, health)
    size_s = query.size_s(request.query, health.site.size_s)
    to_ms = query.instant_ms(request.query, "to", health.at_ms)
    from_ms = query.instant_ms(request.query, "from", to_ms - 86_400_000)
    if from_ms >= to_ms:
        raise web.HTTPUnprocessableEntity(text="from must lie before to")
    if (to_ms - from_ms) > MAX_WINDOWS * size_s * 1000:
        raise web.HTTPUnprocessableEntity(text=f"more than {MAX_WINDOWS} windows asked for")
    as_of_ms = query.instant_ms(request.query, "as_of", None)
    rows = await request.app[SOURCE].aggregates(zone, from_ms, to_ms, size_s, as_of_ms)
    if _wants_csv(request):
        return web.Response(text=as_csv(rows, AGGREGATE_COLUMNS), content_type="text/csv", charset="utf-8")
    return web.json_response({"zone": zone, "size_s": size_s, "aggregates": list(rows)})


async def days(request: web.Request) -> web.Response:
    """Business days of one zone added up by day, week, month or period; `doors=1`: each of its lines, too."""
    health = await request.app[SOURCE].snapshot()
    zone, by = _known_zone(request, health), request.query.get("by", "day")
    if by not in BY:
        raise web.HTTPUnprocessableEntity(text=f"by: expected {', '.join(BY)}")
    after = query.day(request.query, "to", date.fromisoformat(health.site.business_date) + DAY)
    first = query.day(request.query, "from", after - 7 * DAY)
    if not 0 < (after - first).days <= MAX_DAYS:
        raise web.HTTPUnprocessableEntity(text=f"from must lie before to, at most {MAX_DAYS} days")
    lines = request.query.get("doors", "0") not in ("", "0")
    try:
        rows = await request.app[SOURCE].days(zone, first, after, by, lines=lines)
    except ValueError as error:
        raise web.HTTPUnprocessableEntity(text=f"by: {error}") from None
    if _wants_csv(request):
        return web.Response(text=as_csv(rows, STRETCH_COLUMNS), content_type="text/csv", charset="utf-8")
    return web.json_response({"zone": zone, "by": by, "days": list(rows)})


def _known_zone(request: web.Request, health: Health) -> str:
    zone = request.query.get("zone", "")
    if zone not in {one.zone for one in health.zones}:
        raise web.HTTPUnprocessableEntity(text=f"zone: unknown zone {zone!r}" if zone else "zone is missing")
    return zone


def _wants_csv(request: web.Request) -> bool:
    accept = request.headers.get(hdrs.ACCEPT, "")
    return "text/csv" in accept and "application/json" not in accept
