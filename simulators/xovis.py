"""A Xovis sensor that others dial: packages on a TCP stream, and the store of its minutes over HTTP.

Objects follow each other on the stream without a delimiter, and one that nobody hears is dropped (retry mode
DROP, the default). What the store answers follows the models of the API of firmware 5.9: `begin`, `end` and
`resolution_min` in the query; counters, logics and `measurements` in the answer.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from simulators.mqtt import LINE, connection_test, xovis_package

MINUTE_MS = 60_000
HISTORY = "/api/v5/singlesensor/data/history/logics"


def bundle(serial: str, minutes: list[tuple[str, str, int, int]], line: str = LINE) -> dict[str, Any]:
    """Counts as firmware 3 and 4 tell them: (from, to, forward, backward), RFC 3339 with an offset."""
    measurements = [
        {"from": start, "to": end, "value": [{"value": fw, "label": "fw"}, {"value": bw, "label": "bw"}]}
        for start, end, fw, bw in minutes
    ]
    element = {"element-id": 0, "element-name": line, "data-type": "LINE", "measurement": measurements}
    return {"content": {"element": [element]}, "sensor-info": {"serial-number": serial}}


@dataclass
class Sensor:
    """`async with Sensor() as sensor:` is dialled at `tcp_port` and asked at `url`."""

    user: str = "admin"
    password: str = "simulated"  # noqa: S105
    host: str = "127.0.0.1"
    tcp_port: int = 0
    http_port: int = 0
    minutes: dict[int, tuple[int, int]] = field(default_factory=dict)  # start, ms → forward, backward
    asked: list[str] = field(default_factory=list)
    packages: int = 0
    _heard_by: list[asyncio.StreamWriter] = field(default_factory=list)
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.http_port}"

    @property
    def dialled(self) -> bool:
        return bool(self._heard_by)

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get(HISTORY, self._history)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.http_port).start()
        self.http_port = self._runner.addresses[0][1]
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.vanish()
        await self._runner.cleanup()

    async def listen(self) -> None:
        """On the same port as before."""
        self._server = await asyncio.start_server(self._meet, self.host, self.tcp_port)
        self.tcp_port = self._server.sockets[0].getsockname()[1]

    async def vanish(self) -> None:
        """The stream breaks off, and nobody listens."""
        if self._server:
            self._server.close()
        for writer in self._heard_by:
            writer.transport.abort()
        self._heard_by.clear()

    def count(self, start_ms: int, forward: int, backward: int) -> None:
        """One minute is over: it is kept, and told to whoever listens."""
        self.minutes[start_ms] = forward, backward
        self.packages += 1
        record = (start_ms, start_ms + MINUTE_MS, forward, backward)
        self.say(xovis_package({LINE: [record]}, self.packages))

    def test(self) -> None:
        self.say(connection_test(self.packages))

    def say(self, data: bytes) -> None:
        for writer in self._heard_by:
            writer.write(data)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._heard_by.append(writer)
        await reader.read()
        if writer in self._heard_by:
            self._heard_by.remove(writer)
        writer.close()

    async def _history(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        known = b64encode(f"{self.user}:{self.password}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {known}":
            return web.json_response({}, status=401, headers={"WWW-Authenticate": 'Basic realm="sensor"'})
        begin, end = int(request.query["begin"]), int(request.query["end"])
        there = sorted(start for start in self.minutes if begin <= start < end)
        return web.json_response({"begin": begin, "end": end, **self._store(there)})

    def _store(self, there: list[int]) -> dict[str, Any]:
        counts = [{"id": number, "logic_id": 1, "name": way, "type": "accumulation"} for number, way in _WAYS]
        return {
            "resolution_ms": MINUTE_MS,
            "number_of_bins": len(there),
            "config": {"counts": counts, "logics": [{"id": 1, "name": LINE, "geometries": [1]}]},
            "measurements": [
                {
                    "begin": start,
                    "end": start + MINUTE_MS,
                    "records": 1,
                    "counts": [
                        {"id": number, "value": value}
                        for (number, _), value in zip(_WAYS, self.minutes[start], strict=True)
                    ],
                }
                for start in there
            ],
        }


_WAYS = ((2, "fw"), (3, "bw"))
