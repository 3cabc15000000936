"""Devices behind a TCP port, on real loopback sockets: the same asking in turn as on a serial line."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

from gateway.clock import Clock
from gateway.config import TcpOptions
from gateway.links import Link
from gateway.links.tcp import TcpLink, dial
from gateway.model import Ignored
from simulators.bus import Bus
from simulators.dcon import Module
from tests.integration.test_serial_link import beam
from tests.patience import until
from tests.serial_rig import Ingest, Lines, Source, kept, quick
from tests.serial_server import SerialServer

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def dialled(port: int, sources: Sequence[Source]) -> AsyncIterator[tuple[Link, Ingest]]:
    options, ingest = TcpOptions(host="localhost", port=port, poll_s=0.05), Ingest()
    link = TcpLink("lan", options, sources, Clock("always"), ingest, backoff=quick())
    async with kept(link):
        yield link, ingest


@contextlib.asynccontextmanager
async def listening(talk: Talk) -> AsyncIterator[int]:
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_devices_are_asked_and_asked_again_after_a_cut() -> None:
    modules = [Module("01", totals=[5, 0]), Module("02", totals=[6, 0])]
    with Bus(modules) as bus, SerialServer(bus.path) as server:
        async with dialled(server.port, [beam("01"), beam("02")]) as (link, ingest):
            await until(lambda: ingest.totals("01")[2:] and ingest.totals("02")[2:])
            server.cut()
            await until(lambda: server.connections == 2 and link.state.up)
            bus.cross("02", 10)
            await until(lambda: ingest.totals("02")[-1] == 16)
        assert set(ingest.totals("01")) == {5}


async def test_a_device_that_does_not_answer_is_known_until_it_does() -> None:
    modules = [Module("01"), Module("02")]
    modules[1].faults.silent = True
    with Bus(modules) as bus, SerialServer(bus.path) as server:
        async with dialled(server.port, [beam("01"), beam("02")]) as (link, ingest):
            await until(lambda: link.state.unanswered)
            assert link.state.unanswered == {"02"}
            bus.do(lambda: setattr(modules[1].faults, "silent", False))
            await until(lambda: ingest.totals("02"))
            await until(lambda: not link.state.unanswered)


@pytest.mark.parametrize("late_s", [0.12, 0.28, 0.45])
async def test_a_late_reply_is_never_booked_to_the_next_address(late_s: float) -> None:
    modules = [Module("01", totals=[4711, 0]), Module("02", totals=[5000, 0])]
    modules[1].faults.late_s = 0.06
    with Bus(modules) as bus, SerialServer(bus.path) as server:
        async with dialled(server.port, [beam("01"), beam("02")]) as (_, ingest):
            await until(lambda: ingest.totals("01") and ingest.totals("02"))
            bus.do(lambda: setattr(modules[0].faults, "late_s", late_s))
            asked, heard = bus.asked(b"#010\r"), len(ingest.totals("02"))
            await until(lambda: bus.asked(b"#010\r") > asked)
            await until(lambda: len(ingest.totals("02")) > heard + 3)
        assert set(ingest.totals("01")) == {4711}
        assert set(ingest.totals("02")) == {5000}


async def test_a_reply_that_comes_byte_by_byte_is_whole() -> None:
    module = Module("01", totals=[77, 0])

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := await reader.read(100):
            for byte in b"".join(module.hear(data)):
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()

    async with listening(talk) as port, dialled(port, [beam("01", timeout_s=1)]) as (_, ingest):
        await until(lambda: ingest.totals("01")[3:])
    assert set(ingest.totals("01")) == {77}


async def test_a_speaking_device_is_heard_to_its_last_word() -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"one\ntw")
        await writer.drain()
        writer.write(b"o\nbye\n")
        writer.close()

    async with listening(talk) as port, dialled(port, [Source(Lines(), ("beam",))]) as (link, ingest):
        await until(lambda: link.state.attempts > 1)
        assert link.state.error in ("", f"tcp://localhost:{port}: closed by the other side")
    assert [item for _, item in ingest.delivered[:3]] == [Ignored("one"), Ignored("two"), Ignored("bye")]


async def test_a_device_that_refuses_is_told_and_awaited() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with dialled(port, [beam("01")]) as (link, _):
        await until(lambda: link.state.attempts > 2)
        assert not link.state.up
        assert link.state.error == f"cannot reach localhost:{port}: Connection refused"


async def test_a_name_that_is_none_is_told() -> None:
    options = TcpOptions(host="no-such-host.invalid", port=502)
    link = TcpLink("lan", options, [], Clock("always"), Ingest(), backoff=quick())
    async with kept(link):
        await until(lambda: link.state.error)
        assert link.state.error.startswith("cannot reach no-such-host.invalid:502: ")
        assert "Errno" not in link.state.error


async def test_a_connection_notices_when_the_other_side_vanishes() -> None:
    """Without a word from the other side the kernel probes, and gives up what was not acknowledged."""
    with socket.create_server(("127.0.0.1", 0)) as server, await dial(*server.getsockname()) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 60
        assert 0 < sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 60_000
