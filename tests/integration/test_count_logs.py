"""Irisys and Brickstream counters with all their troubles post to the real daemon: nobody counts twice."""

from __future__ import annotations

import contextlib
from collections import Counter as Sums
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from gateway import app, config
from simulators.mqtt import Counter, voice
from tests.daemon_rig import NOON, PUSH_HEAD, Ahead, push_url
from tests.patience import until

MINUTE = 60_000
TEXT = """
[link]
lan = {{ over = "push", options = {{ auth = "none" }} }}
[counter]
sim-1 = {{ link = "lan", serial = "sim-1", {keys} }}
sim-2 = {{ link = "lan", serial = "sim-2", {keys} }}
[zone]
shop = {{ kind = "store", entrances = ["sim-1", "sim-2"] }}
"""


@contextlib.asynccontextmanager
async def posting(folder: Path, keys: str) -> AsyncIterator[tuple[app.Gateway, aiohttp.ClientSession, str]]:
    path = folder / "gateway.toml"
    path.write_text(PUSH_HEAD + TEXT.format(keys=keys))
    async with app.gateway(config.load(path), Ahead()) as daemon, aiohttp.ClientSession() as client:
        await until(lambda: all(link.state.up for link in daemon.links))
        yield daemon, client, push_url(daemon)


def stored(daemon: app.Gateway) -> dict[tuple[str, str], int]:
    sums: Sums[tuple[str, str]] = Sums()
    for row in daemon.reader.readings(0, 1 << 60):
        sums.update({(row["counter"], "in"): row["ins"] or 0, (row["counter"], "out"): row["outs"] or 0})
    return dict(sums)


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("irisys", 'driver = "irisys", in = "In", out = "Out"'),
        ("irisys", 'driver = "irisys", in = 0, out = 1, basis = "delta"'),
        ("brickstream", 'driver = "brickstream", zone = "Door"'),
    ],
    ids=["totals", "deltas", "brickstream"],
)
async def test_late_double_and_overlapping_bodies_count_everybody_once(
    tmp_path: Path, kind: str, keys: str
) -> None:
    first_ms = NOON - 120 * MINUTE
    counters = [Counter(name, 3, voice(kind, 0, name), trouble=0.3) for name in ("sim-1", "sim-2")]
    truth: Sums[tuple[str, str]] = Sums()
    async with posting(tmp_path, keys) as (daemon, client, url):

        async def post(counter: Counter, payload: bytes) -> None:
            headers = {"Content-Type": counter.voice.content_type}
            async with client.post(url, data=payload, headers=headers) as answer:
                assert answer.status == 200

        for counter in counters:  # the first total of a register is where counting begins
            await post(counter, counter.tell([(first_ms - MINUTE, first_ms, 0, 0)]))
            for start_ms in range(first_ms, first_ms + 60 * MINUTE, MINUTE):
                record = counter.saw(start_ms, start_ms + MINUTE)
                truth.update({(counter.name, "in"): record[2] + 1, (counter.name, "out"): record[3]})
                for payload in counter.payloads((*record[:2], record[2] + 1, record[3])):
                    await post(counter, payload)
            for payload in counter.release(1000):
                await post(counter, payload)
        await until(lambda: stored(daemon) == dict(truth))
    assert min(truth[counter.name, "in"] for counter in counters) >= 60
