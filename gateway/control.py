"""The control socket: JSON lines over `data_dir/control.sock`, for the commands that ask a running daemon.

A request is one line `{"command": ..., "args": {...}}`; the answer is any number of `{"item": ...}` lines,
then `{"end": true}` or `{"error": "..."}`. The socket's mode is 0600: whoever may open it may ask anything.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pwd
import socket
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self

from gateway import items
from gateway.errors import GatewayError
from gateway.health import Health, to_json
from gateway.health.closed import NewlyClosed
from gateway.model import Booking, Parcel, Transactions

log = logging.getLogger("gateway.control")

NAME = "control.sock"
LONGEST_PATH = 100  # sun_path holds 108 bytes
MAX_LINE = 64 * 1024
MAX_CLIENTS = 16
QUEUE = 1000  # items a slow `tail` may fall behind before some are dropped
ANSWER_S = 30.0
LOOK_S = 0.5
PEER = struct.Struct("3i")  # pid, uid, gid: see unix(7), SO_PEERCRED
IDLE_S = 2.0  # how often a quiet stream says that it is still there

Answer = Callable[[Mapping[str, Any]], Awaitable[Any]]
Stream = Callable[[Mapping[str, Any]], AsyncGenerator[Any, None]]
Listener = Callable[[Sequence[Parcel]], None]


class NoDaemonError(GatewayError):
    """Nothing listens on the control socket."""


class ControlFaultError(GatewayError):
    """The daemon answered that it could not."""


class Watched(Protocol):
    """What the standard commands ask: one source of health."""

    async def snapshot(self) -> Health: ...
    async def audit(self) -> Mapping[str, Any]: ...
    async def aggregates(
        self, zone: str, from_ms: int, to_ms: int, size_s: int, as_of_ms: int | None = None
    ) -> Sequence[Mapping[str, Any]]: ...


class Heard(Protocol):
    """Who tells what was just committed."""

    @property
    def listeners(self) -> set[Listener]: ...


class ControlServer:
    """Serves while entered. `register` and `register_stream` add commands beside status, audit and tail."""

    def __init__(self, data_dir: Path, health: Watched, ingest: Heard) -> None:
        self._path = data_dir / NAME
        self._health, self._ingest = health, ingest
        self._answers: dict[str, Answer] = {"status": self._status, "audit": self._audit}
        self._streams: dict[str, Stream] = {"tail": self._tail}
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    def register(self, command: str, answer: Answer) -> None:
        self._answers[command] = answer

    def register_stream(self, command: str, stream: Stream) -> None:
        self._streams[command] = stream

    async def __aenter__(self) -> Self:
        self._path.unlink(missing_ok=True)  # ours to remove: the buffer's lock says nobody else runs here
        listening = socket.socket(socket.AF_UNIX)
        with _short(self._path) as address:
            listening.bind(address)
        self._path.chmod(0o600)  # nobody can connect before listen()
        self._server = await asyncio.start_unix_server(self._accept, sock=listening, limit=MAX_LINE)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server:
            self._server.close()
        for client in tuple(self._clients):
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._clients) >= MAX_CLIENTS:
            writer.close()
            return
        self._clients.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, ValueError, TimeoutError):
            log.debug("a control client left early")
        except asyncio.CancelledError:
            log.debug("a control client was cut off: stopping")
        finally:
            self._clients.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = _request(await asyncio.wait_for(reader.readline(), ANSWER_S))
        command, args = str(request.get("command")), request.get("args")
        args = {**(args if isinstance(args, dict) else {}), "by": _asker(writer, args)}
        if command in self._streams:
            async with aclosing(self._streams[command](args)) as stream:
                async for item in stream:
                    await _send(writer, {"item": to_json(item)} if item is not None else {})
            await _send(writer, {"end": True})
        elif command in self._answers:
            await _send(writer, await self._answer(command, args))
            await _send(writer, {"end": True})
        else:
            await _send(writer, {"error": f"unknown command {command!r}"})

    async def _answer(self, command: str, args: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return {"item": to_json(await self._answers[command](args))}
        except GatewayError as error:
            return {"error": str(error)}
        except Exception:
            log.exception("control command %s failed", command)
            return {"error": f"{command} failed, see the log"}

    async def _status(self, _args: Mapping[str, Any]) -> Any:
        return await self._health.snapshot()

    async def _audit(self, _args: Mapping[str, Any]) -> Any:
        return await self._health.audit()

    async def _tail(self, _args: Mapping[str, Any]) -> AsyncGenerator[Any, None]:
        """Readings as they are committed and aggregates as they are closed; None when there was nothing."""
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(QUEUE)
        listener = _feeding(queue)
        self._ingest.listeners.add(listener)
        watching = asyncio.create_task(self._watch_aggregates(queue))
        try:
            while True:
                try:
                    # one among many is taken at once: a time-out for each costs more than telling it
                    yield await asyncio.wait_for(queue.get(), IDLE_S) if queue.empty() else queue.get_nowait()
                except TimeoutError:
                    yield None
        finally:
            watching.cancel()
            self._ingest.listeners.discard(listener)

    async def _watch_aggregates(self, queue: asyncio.Queue[dict[str, Any]]) -> None:
        closed = NewlyClosed(self._health)
        while True:
            for row in await closed.since(await self._health.snapshot()):
                _put(queue, {"type": "aggregate", **row})
            await asyncio.sleep(LOOK_S)


def _asker(writer: asyncio.StreamWriter, args: object) -> str:
    """The operating-system user at the other end, as the kernel tells it; root may say for whom it asks."""
    peer = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size)
    _pid, uid, _gid = PEER.unpack(peer)
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"uid {uid}"
    told = args.get("for") if isinstance(args, dict) else None
    return f"{str(told)[:64]} ({name})" if uid == 0 and told else name


def _feeding(queue: asyncio.Queue[dict[str, Any]]) -> Listener:
    def listener(parcels: Sequence[Parcel]) -> None:
        for parcel in parcels:
            for booking in parcel.bookings:
                _put(queue, {**reading(booking, parcel.stamp.wall_ms), "link": parcel.link})

    return listener


def _put(queue: asyncio.Queue[dict[str, Any]], item: dict[str, Any]) -> None:
    """A viewer that cannot follow loses the oldest: nobody waits for a viewer."""
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(item)


def reading(booking: Booking, receipt_ms: int) -> dict[str, Any]:
    """A booked reading as `decode` prints it, under its configured names."""
    booked = booking.reading
    if isinstance(booked, Transactions):
        return items.to_json(replace(booked, till=booking.counter))
    return items.to_json(replace(booked, counter=booking.counter, line=booking.line), receipt_ms)


def _request(line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return request if isinstance(request, dict) else {}


async def _send(writer: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
    writer.write(json.dumps(message, ensure_ascii=False).encode() + b"\n")
    if writer.transport.get_write_buffer_size() or writer.is_closing():
        await asyncio.wait_for(writer.drain(), ANSWER_S)


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """An address for a socket in a folder whose path is too long for one."""
    if len(os.fsencode(path)) <= LONGEST_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def ask(data_dir: Path, command: str, args: Mapping[str, Any] | None = None) -> Iterator[Any]:
    """The items of the daemon's answer, as they come. Raises NoDaemonError, ControlFaultError."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(ANSWER_S)
        _connect(line, data_dir / NAME)
        with line.makefile("rb") as answers, suppress(ConnectionError):
            line.sendall(json.dumps({"command": command, "args": dict(args or {})}).encode() + b"\n")
            for text in _lines(answers):
                message = json.loads(text)
                if "error" in message:
                    raise ControlFaultError(message["error"])
                if "end" in message:
                    return
                if "item" in message:
                    yield message["item"]
    raise ControlFaultError("the daemon stopped while it answered")


def _connect(line: socket.socket, path: Path) -> None:
    try:
        with _short(path) as address:
            line.connect(address)
    except PermissionError:
        raise NoDaemonError(f"{path} is not open to this user: ask as root or as the daemon's user") from None
    except OSError:
        raise NoDaemonError(f"no daemon answers at {path}") from None


def _lines(answers: BinaryIO) -> Iterator[bytes]:
    try:
        yield from answers
    except TimeoutError:
        raise ControlFaultError(f"the daemon has not answered for {ANSWER_S:g} s") from None
