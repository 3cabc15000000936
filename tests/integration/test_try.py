"""`try` against a real bus and a real broker: who is heard, who is named, and that it takes nothing away."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import serial
from click.testing import CliRunner, Result

from gateway import app
from gateway.__main__ import main
from gateway.config import load
from gateway.model import Crossings, Parcel
from simulators.bus import Bus
from simulators.dcon import Module
from simulators.publisher import Publisher
from tests.brokers import Mosquitto
from tests.daemon_rig import NOON, Ahead

SOON_S = 90.0
BASE = """
[gateway]
id = "box-1"
data_dir = "data"
[clock]
trust = "always"
[site]
id = "site"
timezone = "Europe/Oslo"
[http]
listen = "127.0.0.1:0"
"""
BUS = """
[link.bus]
over = "serial"
options = {{ port = "{port}", poll_s = 0.1 }}
[counter]
door-n = {{ link = "bus", driver = "dcon", address = "01", in = 0, out = 1, reversed = true }}
"""
DOOR_E = 'door-e = { link = "bus", driver = "dcon", address = "02", in = 0, out = 1, timeout_s = 0.1 }\n'
BROKER = """
[link.broker]
over = "mqtt"
options = {{ host = "127.0.0.1", port = {port}, version = "{version}", keepalive_s = 5 }}
[counter]
shop = {{ link = "broker", driver = "mapping", mapping = "acme", topic = "acme/shop" }}
[[mapping.acme.reading]]
counter = "mac"
start = "from"
end = "to"
key = "n"
ins = "in"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "gateway.toml"
    path.write_text(BASE + text)
    return path


def tried(path: Path, seconds: float) -> Result:
    return CliRunner().invoke(main, ["try", "-c", str(path), "--for", str(seconds)])


def bus_of(*modules: Module) -> Bus[Module]:
    for module in modules:
        module.totals[:] = [7, 3]
    return Bus(modules)


def test_a_counter_is_heard_once_and_ends_the_wait(tmp_path: Path) -> None:
    with bus_of(Module("01")) as bus:
        began = time.monotonic()
        result = tried(written(tmp_path, BUS.format(port=bus.path)), 60)
    assert result.exit_code == 0, result.output
    [line] = result.stdout.splitlines()
    reading = json.loads(line)
    assert (reading["type"], reading["counter"], reading["line"]) == ("register", "door-n", "main")
    assert (reading["total_in"], reading["total_out"]) == (3, 7)
    assert time.monotonic() - began < 30
    assert not (tmp_path / "data").exists()


def test_a_silent_counter_is_named(tmp_path: Path) -> None:
    silent = Module("02")
    silent.faults.silent = True
    with bus_of(Module("01"), silent) as bus:
        result = tried(written(tmp_path, BUS.format(port=bus.path) + DOOR_E), 3)
    assert result.exit_code == 1
    assert [json.loads(line)["counter"] for line in result.stdout.splitlines()] == ["door-n"]
    assert "door-e: no reading in 3 s on link bus" in result.stderr
    assert "door-n: " not in result.stderr


def test_a_port_in_use_is_refused_at_once(tmp_path: Path) -> None:
    with bus_of(Module("01")) as bus, serial.Serial(bus.path, exclusive=True):
        began = time.monotonic()
        result = tried(written(tmp_path, BUS.format(port=bus.path)), 60)
        assert bus.heard == []
    assert result.exit_code == 1
    assert f"link bus: {bus.path}: in use by another program" in result.stderr
    assert time.monotonic() - began < 30


def test_a_missing_port_is_told_with_its_counter(tmp_path: Path) -> None:
    result = tried(written(tmp_path, BUS.format(port=tmp_path / "none")), 0.5)
    assert result.exit_code == 1
    assert f"door-n: no reading in 0.5 s on link bus: {tmp_path}/none: no such port" in result.stderr


@pytest.mark.parametrize("text", ["", "[counter]\ndoor = { link = 'none', driver = 'dcon' }\n"])
def test_a_wrong_configuration_is_exit_2(tmp_path: Path, text: str) -> None:
    assert tried(written(tmp_path, text), 1).exit_code == 2


def message(number: int) -> str:
    start = datetime.fromtimestamp(NOON / 1000 - 3600 + number, UTC)
    body = {"mac": "a1", "n": str(number), "in": 1, "from": start.isoformat()}
    return json.dumps({**body, "to": (start + timedelta(seconds=1)).isoformat()})


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(SOON_S):
        while not true():
            await asyncio.sleep(0.02)


async def publish_until_ended(publisher: Publisher, process: asyncio.subprocess.Process) -> int:
    """How many messages were published while `try` ran."""
    number = 0
    async with asyncio.timeout(SOON_S + 40):
        while process.returncode is None:
            await asyncio.to_thread(publisher.publish, "acme/shop", message(number))
            number += 1
            await asyncio.sleep(0.1)
    return number


@pytest.mark.needs("mosquitto")
async def test_a_silent_counter_is_told_what_came_instead(tmp_path: Path, mosquitto: Mosquitto) -> None:
    other = 'other = {{ link = "broker", driver = "mapping", mapping = "acme", topic = "acme/other" }}\n'
    text = BROKER.replace("[[mapping", other + "[[mapping", 1)
    text = text.replace('topic = "acme/shop"', 'topic = "acme/shop", match = {{ counter = "a1" }}')
    path = written(tmp_path, text.format(port=mosquitto.port, version="5"))
    arguments = ["-m", "gateway", "try", "-c", str(path), "--for", "6"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    publisher = Publisher(port=mosquitto.port)
    try:
        async with asyncio.timeout(SOON_S + 40):
            while process.returncode is None:
                for body in ('{"battery": 3}', "{", message(1).replace('"a1"', '"zz"')):
                    await asyncio.to_thread(publisher.publish, "acme/shop", body)
                await asyncio.sleep(0.2)
    finally:
        await asyncio.to_thread(publisher.close)
    _, errors = await process.communicate()
    told = {line.split(":")[0]: line for line in errors.decode().splitlines()}
    for came in ("ignored (no reading of the mapping fits)", "damaged (syntax)", "of unknown device 'zz'"):
        assert re.search(rf"heard: .*\d+ {re.escape(came)}", told["shop"]), told
    assert "hold it back" not in told["shop"]
    assert "ignored" not in told["other"]
    assert process.returncode == 1


@pytest.mark.needs("mosquitto")
async def test_a_broker_that_waits_for_acknowledgements_is_told(tmp_path: Path, mosquitto: Mosquitto) -> None:
    """MQTT 3.1.1 has a window of 20: a talkative counter may hide a quiet one, and that is no silence."""
    quiet = 'quiet = {{ link = "broker", driver = "mapping", mapping = "acme", topic = "acme/quiet" }}\n'
    text = BROKER.replace("[[mapping", quiet + "[[mapping", 1)
    path = written(tmp_path, text.format(port=mosquitto.port, version="3.1.1"))
    arguments = ["-m", "gateway", "try", "-c", str(path), "--for", "8"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    publisher = Publisher(port=mosquitto.port)
    try:
        assert await publish_until_ended(publisher, process) > 20
    finally:
        await asyncio.to_thread(publisher.close)
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert (
        "quiet: no reading in 8 s on link broker: the broker may hold it back: 20 messages" in errors.decode()
    )


@pytest.mark.needs("mosquitto")
@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_the_daemon_still_gets_every_message(
    tmp_path: Path, mosquitto: Mosquitto, version: str
) -> None:
    path = written(tmp_path, BROKER.format(port=mosquitto.port, version=version))
    config = load(path)
    async with app.gateway(config, Ahead()) as daemon:
        await until(lambda: daemon.links[0].state.up)
    arguments = ["-m", "gateway", "try", "-c", str(path), "--for", "40"]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    publisher = Publisher(port=mosquitto.port)
    try:
        published = await publish_until_ended(publisher, process)
        await asyncio.to_thread(publisher.flush)
    finally:
        await asyncio.to_thread(publisher.close)
    output, _ = await process.communicate()
    assert process.returncode == 0
    [line] = output.decode().splitlines()
    assert json.loads(line)["counter"] == "shop"
    keys: set[str | None] = set()

    def note(parcels: Sequence[Parcel]) -> None:
        readings = [booking.reading for parcel in parcels for booking in parcel.bookings]
        keys.update(reading.key for reading in readings if isinstance(reading, Crossings))

    async with app.gateway(config, Ahead()) as daemon:
        daemon.ingest.listeners.add(note)
        await until(lambda: len(keys) >= published)
    assert keys == {str(number) for number in range(published)}
