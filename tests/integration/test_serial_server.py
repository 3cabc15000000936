"""Serial ports on the network: raw TCP and RFC 2217, the latter against pyserial's server side."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gateway.links.port import Port
from simulators.bus import Bus
from simulators.dcon import Module
from tests.integration.test_serial_link import beam
from tests.patience import until
from tests.serial_rig import Lines, Settings, Source, running
from tests.serial_server import SerialServer


@pytest.mark.parametrize("scheme", ["socket", "rfc2217"])
async def test_modules_behind_a_serial_server_are_counted(scheme: str) -> None:
    with (
        Bus([Module("01", totals=[5, 0]), Module("02", totals=[6, 0])]) as bus,
        SerialServer(bus.path, rfc2217=scheme == "rfc2217") as server,
    ):
        options = Settings(f"{scheme}://127.0.0.1:{server.port}")
        async with running(options, [beam("01"), beam("02")]) as (link, ingest):
            await until(lambda: ingest.totals("01")[3:] and ingest.totals("02")[3:])
            server.cut()
            bus.cross("01", 10)
            await until(lambda: ingest.totals("01")[-1] == 15)
            assert link.state.up
            assert server.connections == 2
        assert set(ingest.totals("01")) == {5, 15}
        assert set(ingest.totals("02")) == {6}


async def test_the_servers_port_is_set_as_ours() -> None:
    with Bus([Module("01")]) as bus, SerialServer(bus.path, rfc2217=True) as server:
        options = Settings(
            f"rfc2217://localhost:{server.port}", baudrate=4800, bytesize=7, parity="E", stopbits=2.0
        )
        async with running(options, [beam("01")]) as (_, ingest):
            await until(lambda: ingest.totals("01"))
        line = server.line
        assert (line.baudrate, line.bytesize, line.parity, line.stopbits) == (4800, 7, "E", 2)


async def test_every_byte_passes_through_telnet() -> None:
    """255 begins a telnet command and must survive in both directions."""
    with Bus([Module("01")]) as bus, SerialServer(bus.path, rfc2217=True) as server:
        lines = Lines()
        options = Settings(f"rfc2217://127.0.0.1:{server.port}")
        async with running(options, [Source(lines, ("beam",))]) as (link, _):
            await until(lambda: link.state.up)
            bus.say(bytes(range(256)) * 2)
            await until(lambda: len(lines.heard) == 512)
        assert lines.heard == bytes(range(256)) * 2


async def test_a_server_that_cannot_set_our_speed_is_told() -> None:
    with Bus([Module("01")]) as bus, SerialServer(bus.path, rfc2217=True) as server:
        options = Settings(f"rfc2217://127.0.0.1:{server.port}", baudrate=230_400)
        async with running(options, [beam("01")]) as (link, _):
            await until(lambda: link.state.error)
            assert "does not set our baud rate: it says 19200" in link.state.error


async def test_a_server_without_rfc_2217_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.links.serial.AGREE_S", 0.2)
    with Bus([Module("01")]) as bus, SerialServer(bus.path) as server:
        async with running(Settings(f"rfc2217://127.0.0.1:{server.port}"), [beam("01")]) as (link, _):
            await until(lambda: link.state.error)
            assert "the server does not negotiate" in link.state.error


async def test_nobody_listening_is_told_and_awaited() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with running(Settings(f"socket://127.0.0.1:{port}"), [beam("01")]) as (link, _):
        await until(lambda: link.state.attempts > 2)
        assert f"cannot reach 127.0.0.1:{port}" in link.state.error


async def test_stopping_does_not_wait_for_a_server_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A SYN into the void: the attempt is given up, not sat out."""

    async def never(*_: object) -> Port:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("gateway.links.serial.dial", never)
    loop = asyncio.get_running_loop()
    async with running(Settings("socket://127.0.0.1:9"), [beam("01")]) as (link, _):
        await until(lambda: link.state.attempts == 1)
        began = loop.time()
    assert loop.time() - began < 1
