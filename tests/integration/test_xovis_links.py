"""A Xovis sensor on a real TCP stream and asked at its own store, with the real daemon in between."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import aiohttp
import pytest

from gateway import app, config
from simulators.xovis import MINUTE_MS, Sensor, bundle
from tests.daemon_rig import NOON, PUSH_HEAD, Ahead, make_impatient, push_url
from tests.patience import until

TEXT = """
[link]
stream = {{ over = "tcp", options = {{ host = "127.0.0.1", port = {tcp} }} }}
store = {{ over = "pull", options = {{ url = "{url}", auth = "basic", username = "admin", password_file = "sensor.password" }} }}
lan = {{ over = "push", options = {{ auth = "none" }} }}
[counter]
door = {{ link = "stream", driver = "xovis", logic = "Line 0", memory = "store" }}
old = {{ link = "lan", driver = "xovis", serial = "80:1F:12:D5:30:DC" }}
[zone]
shop = {{ kind = "store", entrances = ["door", "old"] }}
"""  # noqa: E501 - inline tables stay on one line


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    make_impatient(monkeypatch)


@contextlib.asynccontextmanager
async def counting(folder: Path, sensor: Sensor) -> AsyncIterator[app.Gateway]:
    (folder / "sensor.password").write_text("simulated\n")
    (folder / "sensor.password").chmod(0o600)
    path = folder / "gateway.toml"
    path.write_text(PUSH_HEAD + TEXT.format(tcp=sensor.tcp_port, url=sensor.url))
    async with app.gateway(config.load(path), Ahead()) as daemon:
        yield daemon


def stored(daemon: app.Gateway, counter: str = "door") -> dict[int, tuple[int, int]]:
    rows = daemon.reader.readings(0, 1 << 60)
    return {row["start_ms"]: (row["ins"], row["outs"]) for row in rows if row["counter"] == counter}


async def test_what_a_lost_stream_cost_comes_from_the_store(tmp_path: Path) -> None:
    first_ms = NOON - 60 * MINUTE_MS
    async with Sensor() as sensor, counting(tmp_path, sensor) as daemon:
        await until(lambda: sensor.dialled)
        sensor.test()
        sensor.count(first_ms, 3, 1)
        sensor.count(first_ms + MINUTE_MS, 2, 0)
        await until(lambda: len(stored(daemon)) == 2)
        sensor.say(b'{"logics_data":{"package_info":{"id":3')
        await sensor.vanish()
        for minute in range(2, 6):
            sensor.count(first_ms + minute * MINUTE_MS, minute, 7)  # nobody hears it
        await sensor.listen()
        await until(lambda: sensor.dialled)
        sensor.count(first_ms + 6 * MINUTE_MS, 1, 1)
        await until(lambda: stored(daemon) == sensor.minutes)
        assert len(stored(daemon)) == 7


async def test_a_bundle_of_old_firmware_is_pushed(tmp_path: Path) -> None:
    first_ms = NOON - 60 * MINUTE_MS
    first = datetime.fromtimestamp(first_ms / 1000, timezone(timedelta(hours=2)))
    minute = (first.isoformat(), (first + timedelta(minutes=1)).isoformat(), 5, 4)
    async with Sensor() as sensor, counting(tmp_path, sensor) as daemon:
        await until(lambda: all(link.state.up for link in daemon.links if link.id == "lan"))
        body = bundle("80:1F:12:D5:30:DC", [minute])
        async with aiohttp.ClientSession() as client, client.post(push_url(daemon), json=body) as answer:
            assert answer.status == 200
        assert stored(daemon, "old") == {first_ms: (5, 4)}
