"""LoRaWAN counters through a real broker, a camera and a webhook by push, into the real store."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from struct import pack

import aiohttp
import pytest

from gateway import app, config
from simulators.lorawan import ImbuildingsVoice, Vs125Voice, Vs350Voice, dev_eui, things_stack
from simulators.mqtt import Record, Voice
from simulators.publisher import Publisher
from simulators.timing import rfc3339
from tests.brokers import Mosquitto
from tests.daemon_rig import NOON, Ahead, push_url
from tests.patience import until

MINUTE = 60_000
TEXT = """
[gateway]
data_dir = "data"
commit_interval_s = 0.02
[clock]
trust = "always"
[site]
id = "site"
timezone = "Europe/Oslo"
[http]
listen = "127.0.0.1:0"
[push]
listen = "127.0.0.1:0"
allow = ["127.0.0.1"]
[link]
broker = {{ over = "mqtt", options = {{ host = "127.0.0.1", port = {port} }} }}
lan = {{ over = "push", options = {{ auth = "none" }} }}
[counter]
arcade = {{ link = "broker", driver = "milesight", model = "vs350", topic = "application/+/device/+/event/up", serial = "{arcade}" }}
stairs = {{ link = "broker", driver = "milesight", model = "vs350", topic = "application/+/device/+/event/up", serial = "{stairs}" }}
porch = {{ link = "broker", driver = "imbuildings", topic = "v3/mall@ttn/devices/+/up" }}
door = {{ link = "lan", driver = "milesight", serial = "{door}", lines = {{ left = {{ line = 1 }} }} }}
gate = {{ link = "lan", driver = "imbuildings", serial = "{gate}", reversed = true }}
[zone]
mall = {{ kind = "mall", entrances = ["arcade", "stairs", "porch", "door/left", "gate"] }}
"""  # noqa: E501 - as configurations are written


class Around:
    """The daemon, one broker and one way to post."""

    def __init__(self, daemon: app.Gateway, publisher: Publisher, web: aiohttp.ClientSession) -> None:
        self.daemon, self._publisher, self._web = daemon, publisher, web

    async def publish(self, topic: str, payload: bytes) -> None:
        self._publisher.publish(topic, payload)
        await asyncio.to_thread(self._publisher.flush)

    async def say(self, voice: Voice, package: int, *records: Record) -> None:
        await self.publish(voice.topic(), voice.tell(package, records))

    async def push(self, body: bytes) -> int:
        url = push_url(self.daemon)
        async with self._web.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
            return answer.status

    def told(self, counter: str) -> tuple[int, int]:
        """(ins, outs) of all that is stored."""
        sums: Counter[str] = Counter()
        for row in self.daemon.reader.readings(0, 1 << 60):
            if row["counter"] == counter:
                sums.update(ins=row["ins"] or 0, outs=row["outs"] or 0)
        return sums["ins"], sums["outs"]

    def telegrams(self, link: str) -> Counter[str]:
        return self.daemon.ingest.telegrams[link]


@contextlib.asynccontextmanager
async def counting(folder: Path, port: int) -> AsyncIterator[Around]:
    names = ("arcade", "stairs", "door", "gate")
    path = folder / "gateway.toml"
    path.write_text(TEXT.format(port=port, **{name: dev_eui(name).upper() for name in names}))
    async with contextlib.AsyncExitStack() as stack:
        daemon = await stack.enter_async_context(app.gateway(config.load(path), Ahead()))
        web = await stack.enter_async_context(aiohttp.ClientSession())
        publisher = stack.enter_context(Publisher("127.0.0.1", port))
        await until(lambda: all(link.state.up for link in daemon.links))
        yield Around(daemon, publisher, web)


def minutes(*counts: tuple[int, int]) -> list[Record]:
    """The last minutes before noon, oldest first."""
    first_ms = NOON - len(counts) * MINUTE
    return [
        (first_ms + at * MINUTE, first_ms + (at + 1) * MINUTE, ins, outs)
        for at, (ins, outs) in enumerate(counts)
    ]


@pytest.mark.needs("mosquitto")
async def test_sensors_that_share_a_topic_are_told_apart_and_roll_over(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    one, two, three = minutes((5, 4), (140, 3), (2, 139))  # 65 400 and what comes then: past 65 535
    arcade, stairs, stranger = Vs350Voice("arcade"), Vs350Voice("stairs"), Vs350Voice("stranger")
    async with counting(tmp_path, mosquitto.port) as around:
        for voice in (arcade, stairs, stranger):
            await around.say(voice, 1, one)
        await around.publish(arcade.topic(), arcade.test(2))
        arcade.odometer.up_to(two)  # counted and lost on the air
        await around.say(arcade, 4, three)
        await around.say(stairs, 2, two)
        await until(lambda: (around.told("arcade"), around.told("stairs")) == ((142, 142), (140, 3)))
        await around.say(arcade, 5, one, two, three)  # stored records, sent again
        await around.say(stairs, 3, three)
        await until(lambda: around.told("stairs") == (142, 142))
        assert around.told("arcade") == (142, 142)
        assert around.telegrams("broker")["unknown_counter"] == 1
        assert around.telegrams("broker")["damaged"] == 0
        assert around.daemon.reader.books().balanced


@pytest.mark.needs("mosquitto")
async def test_a_counter_behind_the_things_stack(tmp_path: Path, mosquitto: Mosquitto) -> None:
    one, two, three = minutes((5, 4), (140, 3), (2, 139))
    porch = ImbuildingsVoice("porch")
    async with counting(tmp_path, mosquitto.port) as around:
        await around.say(porch, 1, one)
        await around.publish(porch.topic(), porch.test(2))
        blocked = pack(">BHB", 0, 266, 0x80)
        await around.publish(porch.topic(), things_stack("porch", blocked, 28, 3, two[1]))
        porch.odometer.up_to(two)
        await around.say(porch, 5, three)
        await around.say(porch, 5, three)
        await until(lambda: around.told("porch") == (142, 142))
        assert around.telegrams("broker")["damaged"] == 0
        assert around.daemon.reader.books().balanced


@pytest.mark.needs("mosquitto")
async def test_a_camera_and_a_webhook_push_side_by_side(tmp_path: Path, mosquitto: Mosquitto) -> None:
    one, two = minutes((5, 4), (7, 3))
    door = Vs125Voice("door")
    async with counting(tmp_path, mosquitto.port) as around:
        for package, record in enumerate((one, two, two)):
            assert await around.push(door.tell(package, [record])) == 200
        assert await around.push(door.test(4)) == 200
        assert around.told("door") == (12, 7)
        for number, totals in enumerate(((10, 20), (13, 21), (13, 21))):
            assert await around.push(webhook("gate", number, totals, one[0] + number * 1000)) == 200
        assert around.told("gate") == (1, 3)
        assert around.daemon.reader.books().balanced


def webhook(name: str, number: int, totals: tuple[int, int], at_ms: int) -> bytes:
    """As the maker's platform forwards variant 6."""
    frame = b"\x02\x06" + bytes.fromhex(dev_eui(name)) + pack(">BHHHBHHB", 0, 266, 0, 0, 0, *totals, number)
    decoded = {"received_at": rfc3339(at_ms), "payload_type": 2, "payload_variant": 6}
    return json.dumps({"devicePayload": base64.b64encode(frame).decode(), "decoded": decoded}).encode()
