"""The control socket: who may ask, what is answered, and that nobody waits for a viewer."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import socket
import stat
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway import control
from gateway.__main__ import main
from gateway.commands import status, tail
from gateway.control import ControlFaultError, ControlServer, NoDaemonError, ask
from gateway.errors import StoreError
from gateway.model import (
    Booking,
    Crossings,
    LineRule,
    Occupancy,
    Parcel,
    Register,
    Stamp,
    Transactions,
    ZoneSpec,
)
from gateway.store import Grid, Store
from tests.health_sample import FakeHealth

T0 = 1_795_600_800_000  # 2026-11-25T10:00:00Z
STAMP = Stamp("boot", 1, 1_795_424_400_000)


class FakeIngest:
    """Tells its listeners what a test says was committed."""

    def __init__(self) -> None:
        self.listeners: set[Callable[[Sequence[Parcel]], None]] = set()

    def commit(self, *readings: Any) -> None:
        parcel = Parcel("bus-a", STAMP, [Booking("door-n", "main", reading) for reading in readings])
        for listener in tuple(self.listeners):
            listener([parcel])


async def asked(folder: Path, command: str, args: Mapping[str, Any] | None = None) -> list[Any]:
    return await asyncio.to_thread(lambda: list(ask(folder, command, args)))


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)


class Viewer:
    """A `tail` over a bare socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, folder: Path) -> Viewer:
        viewer = cls(*await asyncio.open_unix_connection(folder / control.NAME))
        viewer.writer.write(b'{"command": "tail"}\n')
        return viewer

    async def next(self) -> Any:
        async with asyncio.timeout(20):
            while "item" not in (message := json.loads(await self.reader.readline())):
                continue
            return message["item"]


async def test_status_is_the_snapshot(tmp_path: Path) -> None:
    async with ControlServer(tmp_path, FakeHealth(), FakeIngest()):
        [snapshot] = await asked(tmp_path, "status")
    assert snapshot["zones"][0]["ins"] == 1250
    assert snapshot["links"][1]["error"] == "connection refused"
    assert snapshot["resets"] == {"door-n/power": 1}


def run_beside(folder: Path, *args: str, timezone: str = "UTC") -> Result:
    """A command against the daemon that listens in `folder`."""
    path = folder / "gateway.toml"
    site = f'[site]\nid = "here"\ntimezone = "{timezone}"\n'
    path.write_text(f'[gateway]\nid = "box"\ndata_dir = "{folder}"\n{site}')
    return CliRunner().invoke(main, [*args, "-c", str(path)])


async def test_release_and_forget_say_what_became_of_it(tmp_path: Path) -> None:
    asked_for: list[Any] = []

    async def release(args: Mapping[str, Any]) -> int:
        asked_for.append(args["upstream"])
        return 3

    async def forget(args: Mapping[str, Any]) -> int:
        raise StoreError(f"upstream {args['upstream']} is in the configuration")

    server = ControlServer(tmp_path, FakeHealth(), FakeIngest())
    server.register("release", release)
    server.register("forget", forget)
    async with server:
        released = await asyncio.to_thread(run_beside, tmp_path, "release")
        await asyncio.to_thread(run_beside, tmp_path, "release", "hq")
        refused = await asyncio.to_thread(run_beside, tmp_path, "forget", "hq")
    assert (released.exit_code, released.stdout) == (0, "3 events are pending again\n")
    assert asked_for == [None, "hq"]
    assert refused.exit_code == 1
    assert "hq is in the configuration" in refused.stderr
    assert run_beside(tmp_path, "release").exit_code == 1  # no daemon


async def test_replace_counter_says_what_begins_anew(tmp_path: Path) -> None:
    asked_for: list[Mapping[str, Any]] = []

    async def replace_counter(args: Mapping[str, Any]) -> int:
        asked_for.append(args)
        return 2

    server = ControlServer(tmp_path, FakeHealth(), FakeIngest())
    server.register("replace-counter", replace_counter)
    async with server:
        done = await asyncio.to_thread(run_beside, tmp_path, "replace-counter", "door", "--serial", "S-9")
    assert done.exit_code == 0
    assert "door: 2 registers begin anew" in done.stdout
    assert asked_for == [{"counter": "door", "serial": "S-9", "by": getpass.getuser()}]
    assert run_beside(tmp_path, "replace-counter", "door").exit_code == 1  # no daemon


async def test_breaks_are_listed_without_a_daemon_and_dismissed_with_one(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, now=Stamp("boot", 0, T0))
    rules, zones = [LineRule("door", "main")], [ZoneSpec("shop", "store", ())]
    await store.configure(rules, zones, {}, [], Grid(), Stamp("boot", 0, T0))
    await store._write(lambda: store._con.execute("INSERT INTO breaks VALUES (1, ?, 0.7, ?, NULL)", (T0, T0)))

    async def dismiss(args: Mapping[str, Any]) -> int:
        return await store.dismiss_breaks(str(args["line"]), Stamp("boot", 1, T0 + 1))

    listed = run_beside(tmp_path, "breaks")
    assert (listed.exit_code, listed.stdout) == (0, "2026-11-25T10:00:00.000Z  door             -30%\n")
    row = json.loads(run_beside(tmp_path, "breaks", "--json").stdout)
    assert row == {"line": "door", "since": "2026-11-25T10:00:00.000Z", "factor": 0.7}
    assert run_beside(tmp_path, "breaks", "--dismiss", "door").exit_code == 1  # no daemon
    server = ControlServer(tmp_path, FakeHealth(), FakeIngest())
    server.register("dismiss", dismiss)
    async with server:
        done = await asyncio.to_thread(run_beside, tmp_path, "breaks", "--dismiss", "door")
        wrong = await asyncio.to_thread(run_beside, tmp_path, "breaks", "--dismiss", "gate")
    assert (done.exit_code, done.stdout) == (0, "door: 1 break dismissed\n")
    assert "no line gate" in wrong.stderr
    assert run_beside(tmp_path, "breaks").stdout == "no line began to count at another level\n"
    assert run_beside(tmp_path, "breaks", "--json").stdout == ""
    await store.aclose()


async def test_status_as_text(tmp_path: Path) -> None:
    async with ControlServer(tmp_path, FakeHealth(), FakeIngest()):
        [snapshot] = await asked(tmp_path, "status")
    text = "\n".join(status.lines(snapshot))
    assert "box-1 · counter-gateway 0.1.0 · configuration 0123abcd" in text
    assert "SIMULATED" in text
    assert "DOWN since 2026-11-23T11:59:00.000Z · ok 31 · connection refused" in text
    assert "beam blocked" in text
    assert "conversion unknown (completeness) · completeness 40 %" in text
    assert "3 pending (oldest 2026-11-23T11:58:00.000Z) · 1 rejected · 503" in text
    assert "books balanced" in text
    assert "corner/d5        FAULT since 2026-11-23T10:45:00.000Z · dead: nobody since 11:45" in text
    assert "door-n           note since" in text


async def test_only_the_owner_may_open_it(tmp_path: Path) -> None:
    async with ControlServer(tmp_path, FakeHealth(), FakeIngest()):
        mode = (tmp_path / control.NAME).stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600
    assert not (tmp_path / control.NAME).exists()


async def test_a_socket_left_by_a_crash_is_replaced(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / control.NAME))
    left.close()
    with pytest.raises(NoDaemonError):
        await asked(tmp_path, "status")
    async with ControlServer(tmp_path, FakeHealth(), FakeIngest()):
        assert len(await asked(tmp_path, "status")) == 1


async def test_no_daemon(tmp_path: Path) -> None:
    with pytest.raises(NoDaemonError, match="no daemon answers"):
        await asked(tmp_path, "status")


async def test_a_folder_too_deep_for_a_socket_address(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    async with ControlServer(deep, FakeHealth(), FakeIngest()):
        assert len(await asked(deep, "status")) == 1


async def test_unknown_and_failing_commands_say_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def ours(_args: Mapping[str, Any]) -> Any:
        raise StoreError("the card is full")

    async def fault(_args: Mapping[str, Any]) -> Any:
        raise RuntimeError("inner workings")

    async with ControlServer(tmp_path, FakeHealth(), FakeIngest()) as server:
        server.register("ours", ours)
        server.register("fault", fault)
        with pytest.raises(ControlFaultError, match="unknown command 'dance'"):
            await asked(tmp_path, "dance")
        with pytest.raises(ControlFaultError, match="the card is full"):
            await asked(tmp_path, "ours")
        with pytest.raises(ControlFaultError, match="see the log"):
            await asked(tmp_path, "fault")
    assert "inner workings" in caplog.text


async def test_registered_commands_get_their_arguments(tmp_path: Path) -> None:
    async def echo(args: Mapping[str, Any]) -> Any:
        return {"said": args["word"]}

    async def count(args: Mapping[str, Any]) -> AsyncGenerator[Any, None]:
        for number in range(args["to"]):
            yield {"number": number}

    async with ControlServer(tmp_path, FakeHealth(), FakeIngest()) as server:
        server.register("echo", echo)
        server.register_stream("count", count)
        assert await asked(tmp_path, "echo", {"word": "hei"}) == [{"said": "hei"}]
        assert await asked(tmp_path, "count", {"to": 3}) == [{"number": number} for number in range(3)]


async def test_who_asks_is_what_the_kernel_says(tmp_path: Path) -> None:
    """Only root may name another, as under sudo; nobody may name themselves."""

    async def who(args: Mapping[str, Any]) -> Any:
        return args["by"]

    me = getpass.getuser()
    async with ControlServer(tmp_path, FakeHealth(), FakeIngest()) as server:
        server.register("who", who)
        assert await asked(tmp_path, "who", {"by": "somebody else"}) == [me]
        named = f"operator ({me})" if os.geteuid() == 0 else me
        assert await asked(tmp_path, "who", {"for": "operator"}) == [named]


@pytest.mark.parametrize(
    "line", [b"\n", b"[]\n", b"\xff\n", b"[" * 60_000 + b"\n", b"x" * 200_000 + b"\n", b""]
)
async def test_nonsense_harms_nobody(tmp_path: Path, line: bytes) -> None:
    async with ControlServer(tmp_path, FakeHealth(), FakeIngest()):
        reader, writer = await asyncio.open_unix_connection(tmp_path / control.NAME)
        writer.write(line)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        assert b"unknown command" in answer or answer == b""
        assert len(await asked(tmp_path, "status")) == 1


async def test_tail_shows_readings_under_their_configured_names(tmp_path: Path) -> None:
    ingest = FakeIngest()
    async with ControlServer(tmp_path, FakeHealth(), ingest):
        viewer = await Viewer.open(tmp_path)
        await until(lambda: ingest.listeners)
        minute = STAMP.wall_ms + 60_000
        ingest.commit(
            Crossings("device-7", "Line 0", STAMP.wall_ms, minute, ins=3, outs=2),
            Register("device-7", "Line 0", minute, total_passes=9),
            Transactions("1001", STAMP.wall_ms, minute, sales=4),
            Occupancy("device-7", "Line 0", None, 17),
        )
        items = [await viewer.next() for _ in range(4)]
        viewer.writer.close()
        await until(lambda: not ingest.listeners)
    assert items[0] == {
        "type": "crossings",
        "counter": "door-n",
        "line": "main",
        "start": "2026-11-23T09:00:00.000Z",
        "end": "2026-11-23T09:01:00.000Z",
        "ins": 3,
        "outs": 2,
        "link": "bus-a",
    }
    assert items[1]["total_passes"] == 9
    assert (items[2]["till"], items[2]["sales"]) == ("door-n", 4)
    assert (items[3]["persons"], items[3]["at"]) == (17, "2026-11-23T09:00:00.000Z")  # the moment of receipt
    assert tail.text(items[0]) == "2026-11-23T09:01:00.000Z  crossings    door-n               ins 3  outs 2"


async def test_tail_shows_aggregates_when_they_are_closed(tmp_path: Path) -> None:
    source, ingest = FakeHealth(), FakeIngest()
    rows: list[dict[str, Any]] = [{"zone": "mall", "start": "a", "revision": 1, "reason": "closed", "ins": 4}]

    async def aggregates(zone: str, *_span: Any) -> list[dict[str, Any]]:
        source.asked.append((zone, 0, 0, 0, None))
        return rows if zone == "mall" else []

    source.aggregates = aggregates  # type: ignore[method-assign,assignment]
    async with ControlServer(tmp_path, source, ingest):
        viewer = await Viewer.open(tmp_path)
        await until(lambda: len(source.asked) >= 3)  # what was closed before is no news
        rows = [*rows, {"zone": "mall", "start": "b", "revision": 2, "reason": "late", "ins": 5}]
        source.change(revisions={"closed": 121})
        item = await viewer.next()
        viewer.writer.close()
        await until(lambda: not ingest.listeners)
    assert item == {
        "type": "aggregate",
        "zone": "mall",
        "start": "b",
        "revision": 2,
        "reason": "late",
        "ins": 5,
    }
    assert "revision 2 (late)  ins 5" in tail.text(item)


async def test_a_viewer_that_cannot_follow_loses_the_oldest(tmp_path: Path) -> None:
    ingest = FakeIngest()
    async with ControlServer(tmp_path, FakeHealth(), ingest):
        viewer = await Viewer.open(tmp_path)
        await until(lambda: ingest.listeners)
        for number in range(control.QUEUE + 50):  # in one turn of the loop: nothing can be sent meanwhile
            ingest.commit(Occupancy("d", "l", None, number))
        first = await viewer.next()
        viewer.writer.close()
        await until(lambda: not ingest.listeners)
    assert first["persons"] in {49, 50}


async def test_stopping_cuts_off_viewers(tmp_path: Path) -> None:
    ingest = FakeIngest()
    async with ControlServer(tmp_path, FakeHealth(), ingest):
        viewer = await Viewer.open(tmp_path)
        await until(lambda: ingest.listeners)
    assert not ingest.listeners
    async with asyncio.timeout(20):
        await viewer.reader.read()
    viewer.writer.close()


async def test_too_many_clients_are_turned_away(tmp_path: Path) -> None:
    ingest = FakeIngest()
    async with ControlServer(tmp_path, FakeHealth(), ingest):
        viewers = [await Viewer.open(tmp_path) for _ in range(control.MAX_CLIENTS)]
        await until(lambda: len(ingest.listeners) == control.MAX_CLIENTS)
        late, writer = await asyncio.open_unix_connection(tmp_path / control.NAME)
        assert await asyncio.wait_for(late.read(), 20) == b""
        writer.close()
        for viewer in viewers:
            viewer.writer.close()
        await until(lambda: not ingest.listeners)
        assert len(await asked(tmp_path, "status")) == 1


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    """A configuration file whose data directory is this test's own."""
    path = tmp_path / "gateway.toml"
    path.write_text(
        f'[gateway]\nid = "box"\ndata_dir = "{tmp_path}"\n[site]\nid = "fjord"\ntimezone = "Europe/Oslo"\n'
    )
    return path


async def run(command: Any, path: Path, *args: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, command, ["-c", str(path), *args])


@pytest.mark.parametrize("command", [status.command, tail.command], ids=["status", "tail"])
async def test_without_a_daemon_exit_1_in_words(configured: Path, command: Any) -> None:
    done = await run(command, configured)
    assert done.exit_code == 1
    assert "no daemon answers at" in done.output


async def test_status_command(configured: Path, tmp_path: Path) -> None:
    async with ControlServer(tmp_path, FakeHealth(), FakeIngest()):
        text = await run(status.command, configured)
        data = await run(status.command, configured, "--json")
    assert (text.exit_code, data.exit_code) == (0, 0)
    assert "books balanced" in text.output
    assert json.loads(data.output)["version"] == "0.1.0"


async def test_tail_command_ends_with_the_daemon(configured: Path, tmp_path: Path) -> None:
    ingest = FakeIngest()
    async with ControlServer(tmp_path, FakeHealth(), ingest):
        command = [sys.executable, "-m", "gateway", "tail", "--json", "-c", str(configured)]
        pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
        tailing = await asyncio.create_subprocess_exec(*command, **pipes)
        await until(lambda: ingest.listeners)
        ingest.commit(Register("d", "l", STAMP.wall_ms, total_in=5))
        assert tailing.stdout is not None
        line = await asyncio.wait_for(tailing.stdout.readline(), 20)
        assert json.loads(line)["total_in"] == 5
    _, errors = await asyncio.wait_for(tailing.communicate(), 20)
    assert tailing.returncode == 1
    assert b"the daemon stopped" in errors
