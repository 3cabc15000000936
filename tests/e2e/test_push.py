"""Counters that push to the real daemon: nobody is lost or doubled, whatever dies."""

from __future__ import annotations

import csv
import io
import json
import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from simulators.http import Poster
from tests import machine_time
from tests.e2e.test_run import COMMAND, Daemon
from tests.torture.rig import BIN, free_port, wait_until

LINK = """
[push]
listen = "127.0.0.1:{port}"
[link]
lan = {{ over = "push", options = {{ auth = "token", token_file = "push.token" }} }}
[mapping.rows]
reading = [{{ rows = "rows[*]", counter = "$.sensor", start = "from", end = "to", ins = "in", outs = "out" }}]
[mapping.plain]
time = {{ format = "unix_ms" }}
reading = [{{ counter = "c", start = "s", end = "e", ins = "i", outs = "o" }}]
"""
HEADERS = {"Authorization": "open sesame", "Content-Type": "application/json"}
XOVIS = '{id} = {{ link = "lan", driver = "xovis", topic = "xovis/{id}/push" }}\n'
ROWS = '{id} = {{ link = "lan", driver = "mapping", mapping = "rows", match = {{ counter = "{id}" }} }}\n'
PLAIN = '{id} = {{ link = "lan", driver = "mapping", mapping = "plain", match = {{ counter = "{id}" }} }}\n'


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    box = Daemon(tmp_path)
    yield box
    box.close()


def configured(box: Daemon, counters: str) -> str:
    """The address to push to."""
    port = free_port()
    (box.folder / "push.token").write_text("open sesame\n")
    (box.folder / "push.token").chmod(0o600)
    box.write(LINK.format(port=port) + "[counter]\n" + counters)
    return f"http://127.0.0.1:{port}/push/lan"


def exported(box: Daemon) -> list[dict[str, str]]:
    span = ["--from", "2000-01-01T00:00:00Z", "--to", "2100-01-01T00:00:00Z"]
    command = [COMMAND, "export", "-c", str(box.config), "--readings", "--format", "csv", *span]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return list(csv.DictReader(io.StringIO(done.stdout)))


def audit(box: Daemon) -> int:
    return subprocess.run(
        [COMMAND, "audit", "-c", str(box.config)], capture_output=True, check=False
    ).returncode


@pytest.mark.timeout(180)
def test_kill_9_in_the_middle_of_pushes_loses_and_doubles_nobody(daemon: Daemon) -> None:
    names = [f"door-{number}" for number in range(4)]
    url = configured(daemon, "".join(PLAIN.format(id=name) for name in names))
    rng, sent = random.Random(7), Counter[tuple[str, str, int]]()
    process = daemon.start()
    with ExitStack() as stack:
        ways = {
            name: stack.enter_context(Poster(url, HEADERS, random.Random(name), lose=0.1, pack=0.3))
            for name in names
        }
        began_ms = int(machine_time.now_s()) * 1000 - 3_600_000
        for number in range(200):
            for name in names:
                start_ms, ins, outs = began_ms + 1000 * number, rng.randint(1, 9999), rng.randint(1, 9999)
                sent.update([(name, "in", ins), (name, "out", outs)])
                body = {"c": name, "s": start_ms, "e": start_ms + 1000, "i": ins, "o": outs}
                ways[name].publish("", json.dumps(body).encode())
        for _ in range(3):
            held = sum(way._unsettled for way in ways.values())
            wait_until(lambda: sum(way._unsettled for way in ways.values()) < held - 40, 30, "some answers")  # noqa: B023
            process.kill()
            process.wait(10)
            process = daemon.start()
        for way in ways.values():
            way.flush()
        assert sum(way.lost for way in ways.values()) > 10
    found = Counter((row["counter"], row["side"], int(row["persons"])) for row in exported(daemon))
    assert found == sent
    process.terminate()
    assert process.wait(20) == 0
    assert audit(daemon) == 0


@pytest.mark.timeout(120)
def test_simulated_counters_with_all_their_troubles_are_counted_as_the_truth_says(daemon: Daemon) -> None:
    counters = XOVIS.format(id="sim-1") + ROWS.format(id="sim-2")
    url = configured(daemon, counters + XOVIS.format(id="sim-3") + ROWS.format(id="sim-4"))
    clock = machine_time.from_now("2026-11-23T12:00:00Z", 300)
    process = daemon.start("--simulated-clock", clock)
    truth = daemon.folder / "truth.jsonl"
    troubles = ["--trouble", "0.3", "--lose", "0.2", "--pack", "0.3", "--seed", "5"]
    command = [str(BIN / "counter-simulator"), "http", "--url", url, "--token", "open sesame", *troubles]
    command += ["--simulated-clock", clock, "--for", "3600", "--truth", str(truth)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    assert ", 0 answers lost" not in done.stderr
    expected: Counter[tuple[str, str]] = Counter()
    for line in truth.read_text().splitlines():
        row = json.loads(line)
        expected.update({(row["zone"], "in"): row["ins"], (row["zone"], "out"): row["outs"]})
    found: Counter[tuple[str, str]] = Counter()
    for one in exported(daemon):
        found[one["counter"], one["side"]] += int(one["persons"])
    assert found == expected
    assert min(expected.values()) > 50
    process.terminate()
    assert process.wait(20) == 0
