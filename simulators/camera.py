"""`counter-simulator camera`: a camera that is asked: Axis sums and statistics, Hikvision searches.

Every minute it has seen people; what is asked for is added up from these minutes, so that whatever was pushed
and whatever is recalled are the same people.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from types import TracebackType
from typing import Self
from zoneinfo import ZoneInfo

import click
from aiohttp import web

from simulators import axis, hikvision
from simulators.mqtt import Record
from simulators.portal import Counts, seeded
from simulators.timing import Clock

REMEMBERED = 100_000  # minutes that need not be drawn again
MINUTE_MS, QUARTER_MS, HOUR_MS = 60_000, 900_000, 3_600_000


@dataclass
class Camera:
    """`async with Camera(counts) as camera:` is asked at `camera.url`. `counts` are those of one minute."""

    counts: Counts
    serial: str = "ACCC8EF3D92E"
    zone: tzinfo = UTC
    since_ms: int = 0  # what is older it does not remember
    host: str = "127.0.0.1"
    port: int = 0
    clock: Clock = field(default_factory=Clock)
    asked: list[str] = field(default_factory=list)  # method and path with query

    def __post_init__(self) -> None:
        self.counts = lru_cache(REMEMBERED)(self.counts)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/local/tvpc/.api", self._people_counter)
        app.router.add_get("/a3dpc/api/export/json", self._minutes)
        app.router.add_post("/ISAPI/System/Video/inputs/channels/1/counting/search", self._search)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    def record(self, start_ms: int, end_ms: int) -> Record:
        """Everybody in whole minutes of that time, as far as it is over and remembered."""
        first = max(start_ms, -(-self.since_ms // MINUTE_MS) * MINUTE_MS)
        minutes = range(first, min(end_ms, self.clock.now_ms() // MINUTE_MS * MINUTE_MS), MINUTE_MS)
        seen = [self.counts(self.serial, start) for start in minutes]
        return start_ms, end_ms, sum(ins for ins, _ in seen), sum(outs for _, outs in seen)

    def records(self, start_ms: int, end_ms: int, step_ms: int) -> list[Record]:
        """Also the piece that is still running."""
        end_ms = min(end_ms, self.clock.now_ms())
        first_ms = -(-max(start_ms, self.since_ms) // step_ms) * step_ms
        return [self.record(at_ms, at_ms + step_ms) for at_ms in range(first_ms, end_ms, step_ms)]

    async def _people_counter(self, request: web.Request) -> web.Response:
        self.asked.append(f"GET {request.path_qs}")
        now_ms = self.clock.now_ms()
        if request.query_string == "live-sum.json":
            midnight_ms, _ = self._days(_today(now_ms, self.zone), _today(now_ms, self.zone))
            _, _, ins, outs = self.record(midnight_ms, now_ms)
            return web.Response(body=axis.live_sum(self.serial, now_ms, self.zone, ins, outs))
        words = request.query_string.split("&")
        if words[0] != "export-csv" or "res=15m" not in words:
            return web.Response(status=400)
        first, _, last = next(word for word in words if word.startswith("date="))[5:].partition("-")
        records = self.records(*self._days(first, last or first), QUARTER_MS)
        return web.Response(body=axis.export_csv(self.serial, self.zone, records))

    async def _minutes(self, request: web.Request) -> web.Response:
        self.asked.append(f"GET {request.path_qs}")
        query = request.query
        if query["resolution"] != "minute":
            return web.Response(status=400)
        start_ms, _ = self._days(query["start"], query["start"])
        end_ms, _ = self._days(query["end"], query["end"])
        return web.Response(body=axis.export_json(self.zone, self.records(start_ms, end_ms, MINUTE_MS)))

    async def _search(self, request: web.Request) -> web.Response:
        self.asked.append(f"POST {request.path_qs}")
        start_ms, end_ms = hikvision.day_asked(await request.text(), self.zone)
        records = self.records(start_ms, end_ms, HOUR_MS)
        return web.Response(body=hikvision.search_result(self.zone, records), content_type="application/xml")

    def _days(self, first: str, last: str) -> tuple[int, int]:
        """From the local midnight that begins the first day to the one that ends the last."""
        begin, end = (datetime.strptime(day, "%Y%m%d").replace(tzinfo=self.zone) for day in (first, last))
        return tuple(round(at.timestamp() * 1000) for at in (begin, end + timedelta(days=1)))  # type: ignore[return-value]


def _today(now_ms: int, zone: tzinfo) -> str:
    return f"{datetime.fromtimestamp(now_ms / 1000, zone):%Y%m%d}"


async def _serve(camera: Camera) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with camera:
        click.echo(f"camera {camera.serial} at {camera.url}")
        await stop.wait()


@click.command("camera")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8096, show_default=True, help="0 takes any free one.")
@click.option("--serial", default="ACCC8EF3D92E", show_default=True)
@click.option("--timezone", default="Europe/Oslo", show_default=True, help="Of its clock.")
@click.option("--days", default=7.0, show_default=True, help="How far back it remembers.")
@click.option("--seed", default=1, show_default=True)
@click.option("--simulated-clock", help="START,SPEED[,ANCHOR] as told to the gateway.")
def command(
    host: str, port: int, serial: str, timezone: str, days: float, seed: int, simulated_clock: str | None
) -> None:
    """A camera that is asked: Axis and Hikvision."""
    clock = Clock(simulated_clock)
    since_ms = clock.now_ms() - round(days * 24 * HOUR_MS)
    asyncio.run(_serve(Camera(seeded(seed, 3), serial, ZoneInfo(timezone), since_ms, host, port, clock)))
