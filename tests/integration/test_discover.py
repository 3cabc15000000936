"""`discover` with a real broker, real pushes and the real daemon: who is named, and that it takes nothing."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway import app
from gateway.__main__ import main
from gateway.config import load
from simulators.publisher import Publisher
from tests.brokers import Mosquitto, free_port
from tests.daemon_rig import Ahead, push_url

SOON_S = 60.0
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
[push]
listen = "127.0.0.1:{push}"
allow = ["127.0.0.0/8"]
[link]
lan = {{ over = "push", options = {{ auth = "none" }} }}
broker = {{ over = "mqtt", options = {{ host = "127.0.0.1", port = {port}, keepalive_s = 5 }} }}
[[mapping.acme.reading]]
counter = "mac"
start = "from"
end = "to"
ins = "in"
[counter]
shop = {{ link = "broker", driver = "mapping", mapping = "acme", topic = "acme/+", match = A1 }}
"""
BASE = BASE.replace("A1", '{{ counter = "a1" }}')
XOVIS = json.dumps(
    json.loads((Path(__file__).parents[1] / "vectors" / "xovis_v5_json.json").read_text())["vectors"][0][
        "payload"
    ]
)


def written(folder: Path, port: int, more: str = "") -> Path:
    path = folder / "gateway.toml"
    path.write_text(BASE.format(port=port, push=free_port()) + more)
    return path


def count(mac: str, minute: int = 0) -> str:
    start, end = f"2026-11-23T10:{minute:02}:00+01:00", f"2026-11-23T10:{minute + 1:02}:00+01:00"
    return json.dumps({"mac": mac, "from": start, "to": end, "in": 3})


def run(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["discover", "-c", str(path), *arguments])


async def asked(path: Path, *arguments: str) -> Any:
    result = await asyncio.to_thread(run, path, "--json", *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(SOON_S):
        while not true():
            await asyncio.sleep(0.02)


def post(url: str, body: bytes) -> tuple[int, str]:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@asynccontextmanager
async def publishing(mosquitto: Mosquitto, *messages: tuple[str, str]) -> AsyncIterator[None]:
    """Again and again, until left."""
    publisher = Publisher(port=mosquitto.port)

    async def publish() -> None:
        while True:
            for topic, body in messages:
                await asyncio.to_thread(publisher.publish, topic, body)
            await asyncio.sleep(0.1)

    task = asyncio.create_task(publish())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.to_thread(publisher.close)


@pytest.mark.needs("mosquitto")
async def test_the_daemon_tells_whom_it_left_out_and_who_is_silent(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    path = written(tmp_path, mosquitto.port)
    async with app.gateway(load(path), Ahead()) as daemon:
        await until(lambda: all(link.state.up for link in daemon.links))
        async with publishing(mosquitto, ("acme/7", count("b2")), ("acme/8", '{"volt": 3}')):
            await until(lambda: daemon.ingest.strangers.count("broker") >= 2)
        answer, _ = await asyncio.to_thread(post, push_url(daemon) + "/door", XOVIS.encode())
        assert answer == 404
        await until(lambda: any(one.guessed for one in daemon.ingest.strangers.told()))
        found = await asked(path)
        text = (await asyncio.to_thread(run, path)).stdout
        health = await daemon.health.snapshot()
        status = await asyncio.to_thread(CliRunner().invoke, main, ["status", "-c", str(path)])
    by_topic = {row["topic"]: row for row in found["unknown"]}
    assert by_topic["acme/7"]["device"] == "b2"
    wanted = 'b2 = { link = "broker", driver = "mapping", mapping = "acme", topic = "acme/7", '
    assert by_topic["acme/7"]["suggestion"] == wanted + 'match = { counter = "b2" } }'
    assert by_topic["acme/8"]["why"].startswith("mapping (for shop) makes no count of it: ignored")
    assert (by_topic["door"]["driver"], by_topic["door"]["peer"]) == ("xovis", "127.0.0.1")
    assert [one["counter"] for one in found["silent"]] == ["shop"]
    assert by_topic["acme/7"]["suggestion"] in text
    assert "shop (link broker, mapping)" in text
    assert {one.link: one.unknown for one in health.links} == {"lan": 1, "broker": 2}
    assert "2 unknown: see discover" in status.stdout


@pytest.mark.needs("mosquitto")
async def test_a_suggested_line_makes_the_daemon_count(tmp_path: Path, mosquitto: Mosquitto) -> None:
    path = written(tmp_path, mosquitto.port)
    async with publishing(mosquitto, ("maker/1", XOVIS)):
        found = await asked(path, "--for", "3", "--topic", "maker/#")
        [row] = found["unknown"]
        path = written(tmp_path, mosquitto.port, row["suggestion"] + "\n")
        async with app.gateway(load(path), Ahead()) as daemon:
            id_ = row["suggestion"].split(" ")[0]
            await until(lambda: id_ in daemon.ingest.last_heard_ms)


GUIDE = (Path(__file__).parents[2] / "docs" / "drivers.md").read_text(encoding="utf-8")


def of_guide(language: str, after: str) -> str:
    """The first block of a language behind a mapping's table in the drivers' guide."""
    return GUIDE[GUIDE.index(f"[mapping.{after}]") :].partition(f"```{language}\n")[2].partition("```")[0]


async def counted(daemon: app.Gateway, line: str) -> tuple[int, int]:
    found = [one for one in (await daemon.health.snapshot()).lines if one.line == line]
    return (found[0].ins, found[0].outs) if found else (0, 0)


@pytest.mark.needs("mosquitto")
async def test_an_unknown_maker_is_counted_by_the_steps_of_the_guide(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    topic = "gatehub/v2/site9/telemetry"
    table = "[mapping.hub]" + GUIDE.partition("[mapping.hub]")[2].partition("```")[0]
    path, mine = written(tmp_path, mosquitto.port), tmp_path / "my.toml"
    mine.write_text(table)
    async with publishing(mosquitto, (topic, of_guide("json", "hub"))):
        [row] = (await asked(path, "--for", "3", "--topic", "gatehub/#"))["unknown"]
        assert ["groups[*].gates[*].flow.fwd", "9"] in row["paths"]
        assert row["suggestion"] in GUIDE
        sample = (await asyncio.to_thread(run, path, "--sample", f"broker/{topic}")).stdout_bytes
        (tmp_path / "sample.json").write_bytes(sample)
        arguments = ["decode", "mapping", "--options", f"@{mine}", "--explain", str(tmp_path / "sample.json")]
        decoded = await asyncio.to_thread(CliRunner().invoke, main, arguments)
        assert decoded.stdout == of_guide("jsonl", "hub")
        assert "rssi = -61  (unused)" in decoded.stderr
        lines = 'lines = { a = { line = "1" }, b = { line = "2" }, c = { line = "3" } }'
        pasted = row["suggestion"].replace("my-mapping", "hub").replace(" }", f", {lines} }}")
        path = written(tmp_path, mosquitto.port, f"{pasted}\n{table}")
        async with app.gateway(load(path), Ahead()) as daemon:
            async with asyncio.timeout(SOON_S):
                while await counted(daemon, "gatehub-v2-site9-telemetry/b") != (0, 2):
                    await asyncio.sleep(0.05)
            assert (await asked(path))["unknown"] == []


async def test_without_a_daemon_it_says_so(tmp_path: Path) -> None:
    result = await asyncio.to_thread(run, written(tmp_path, free_port()))
    assert result.exit_code == 1
    assert result.stderr.startswith("counter-gateway: no daemon answers at ")
    assert "`discover --for 30` listens by itself" in result.stderr


async def test_a_broker_that_is_not_there_is_told(tmp_path: Path) -> None:
    result = await asyncio.to_thread(run, written(tmp_path, free_port()), "--for", "1")
    assert result.exit_code == 0
    assert "unknown: nobody" in result.stdout
    assert "link broker: cannot reach 127.0.0.1" in result.stderr


@pytest.mark.needs("mosquitto")
async def test_listening_to_all_topics_takes_nothing_from_the_daemon(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    """The daemon is away, its session is not: what it is owed waits for it, whoever else listens."""
    path = written(tmp_path, mosquitto.port)
    async with app.gateway(load(path), Ahead()) as daemon:
        await until(lambda: all(link.state.up for link in daemon.links))
    arguments = [sys.executable, "-m", "gateway", "discover", "-c", str(path), "--json", "--for", "6"]
    process = await asyncio.create_subprocess_exec(*arguments, stdout=subprocess.PIPE)
    publisher = Publisher(port=mosquitto.port)
    minute = 0
    try:
        async with asyncio.timeout(SOON_S):
            while process.returncode is None:
                await asyncio.to_thread(publisher.publish, "acme/7", count("a1", minute % 50))
                await asyncio.to_thread(publisher.publish, "other/9", "IN 12")
                minute += 1
                await asyncio.sleep(0.1)
        await asyncio.to_thread(publisher.flush)
    finally:
        await asyncio.to_thread(publisher.close)
    output, _ = await process.communicate()
    [row] = json.loads(output)["unknown"]
    assert (row["topic"], row["format"], row["paths"]) == ("other/9", "text", [["", "AA 99"]])
    assert row["times"] > 1
    heard = set[int]()

    async with app.gateway(load(path), Ahead()) as daemon:
        daemon.ingest.listeners.add(
            lambda parcels: heard.update(
                booking.reading.start_ms or 0  # type: ignore[union-attr]
                for parcel in parcels
                for booking in parcel.bookings
            )
        )
        await until(lambda: len(heard) == min(minute, 50))


@pytest.mark.needs("mosquitto")
async def test_a_sample_is_the_whole_payload_and_nothing_else(tmp_path: Path, mosquitto: Mosquitto) -> None:
    path = written(tmp_path, mosquitto.port)
    async with publishing(mosquitto, ("novel/1", '{"æ": 1}'), ("novel/2", "x")):
        result = await asyncio.to_thread(run, path, "--sample", "broker/novel/1")
    assert (result.exit_code, result.stdout_bytes) == (0, '{"æ": 1}'.encode())


async def test_a_push_is_handed_through_by_the_daemon(tmp_path: Path) -> None:
    """It alone has the port, and keeps no payload."""
    path = written(tmp_path, free_port())
    async with app.gateway(load(path), Ahead()) as daemon:
        await until(lambda: daemon.links[0].state.up)
        waiting = asyncio.create_task(asyncio.to_thread(run, path, "--sample", "lan/door", "--for", "30"))
        await until(lambda: daemon.ingest.strangers.catching)
        await asyncio.to_thread(post, push_url(daemon) + "/door", b'{"in": 1}')
        result = await waiting
        assert (result.exit_code, result.stdout) == (0, '{"in": 1}')
        assert not daemon.ingest.strangers.catching
        nothing = await asyncio.to_thread(run, path, "--sample", "lan", "--for", "0.2")
    assert (nothing.exit_code, nothing.stderr) == (1, "nothing came from lan in 0.2 s\n")


def test_a_sample_of_a_link_that_is_not_there(tmp_path: Path) -> None:
    result = run(written(tmp_path, 1), "--sample", "brocker/x")
    assert result.exit_code == 2
    assert "there is no link 'brocker'; there is lan, broker" in result.stderr


async def test_a_damaged_push_is_answered_with_the_path_and_the_reason(tmp_path: Path) -> None:
    text = written(tmp_path, free_port()).read_text()
    path = tmp_path / "gateway.toml"
    path.write_text(text.replace('link = "broker", driver', 'link = "lan", driver'))
    async with app.gateway(load(path), Ahead()) as daemon:
        await until(lambda: daemon.links[0].state.up)
        body = count("a1").replace("3}", '"three"}').encode()
        status, answer = await asyncio.to_thread(post, push_url(daemon) + "/acme/7", body)
    assert status == 422
    assert json.loads(answer)["detail"] == "damaged: sanity (in: no count from 0 to 1000000000)"
