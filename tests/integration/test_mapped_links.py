"""Makers nobody knows that are asked over HTTP or speak on a TCP connection, with the real daemon."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway import app, config
from tests.daemon_rig import HEAD, NOON, Ahead, make_impatient
from tests.patience import until

TEXT = (
    HEAD
    + """
[link]
box = {{ over = "tcp", options = {{ host = "127.0.0.1", port = {tcp} }} }}
portal = {{ over = "pull", options = {{ url = "{url}", poll_s = 0.05 }} }}
[mapping]
json = {{ time = {{ format = "unix_s", span_s = 60 }}, reading = [ {{ rows = "d[*]", counter = "id", start = "t", ins = "i" }} ] }}
[counter]
gate = {{ link = "box", driver = "mapping", mapping = "json", match = {{ counter = "T" }} }}
north = {{ link = "portal", driver = "mapping", mapping = "json", path = "/counts?of=all", match = {{ counter = "N" }} }}
south = {{ link = "portal", driver = "mapping", mapping = "json", path = "/counts?of=all", match = {{ counter = "S" }} }}
[zone]
hall = {{ kind = "mall", entrances = ["gate", "north", "south"] }}
"""  # noqa: E501 - inline tables stay on one line
)


async def test_bodies_over_tcp_and_pull_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_impatient(monkeypatch)
    begun = NOON // 1000 - 600
    asked = Counter[str]()

    def body(**persons: int) -> str:
        rows = ", ".join(f'{{"id": "{id_}", "t": {begun}, "i": {ins}}}' for id_, ins in persons.items())
        return f'{{"d": [{rows}]}}'

    async def answer(request: web.Request) -> web.Response:
        asked[request.path_qs] += 1
        return web.Response(text=body(N=3, S=4, other=9), content_type="application/json")

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((body(T=5) + body(T=6)).encode())
        await reader.read()
        writer.close()

    portal = web.Application()
    portal.router.add_get("/api/counts", answer)
    async with TestServer(portal) as server, await asyncio.start_server(talk, "127.0.0.1", 0) as box:
        tcp = box.sockets[0].getsockname()[1]
        path = tmp_path / "gateway.toml"
        path.write_text(TEXT.format(tcp=tcp, url=server.make_url("/api")))
        async with app.gateway(config.load(path), Ahead()) as daemon:

            def told() -> dict[str, int]:
                return {row["counter"]: row["ins"] for row in daemon.reader.readings(0, 1 << 60)}

            await until(lambda: told() == {"gate": 6, "north": 3, "south": 4})
            assert daemon.reader.books().balanced
    assert set(asked) == {"/api/counts?of=all"}
