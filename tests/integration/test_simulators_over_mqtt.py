"""`counter-simulator mqtt` and `till` as a user runs them: a broker receives what their truth says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from tests.brokers import Mosquitto


def run(mosquitto: Mosquitto, topic: str, *arguments: str) -> list[tuple[str, dict[str, Any]]]:
    """The messages that a subscriber got while the command ran (a session keeps them for afterwards)."""
    received: list[tuple[str, dict[str, Any]]] = []

    def listen(seconds: float, until: int) -> None:
        client = Client(CallbackAPIVersion.VERSION2, client_id="listener", clean_session=False)
        ready: list[int] = []
        client.on_subscribe = lambda *_: ready.append(1)
        client.on_message = lambda _c, _u, m: received.append(_parsed(m))
        client.connect("127.0.0.1", mosquitto.port)
        client.subscribe(topic, 1)
        for _ in range(int(seconds * 100)):
            client.loop(0.01)
            if ready and len(received) >= until:
                break
        assert ready
        assert len(received) >= until
        client.disconnect()
        client.loop(0.1)

    listen(10, 0)
    command = [sys.executable, "-m", "simulators", *arguments, "--port", str(mosquitto.port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    listen(20, int(done.stderr.split()[0]))
    return received


def _parsed(message: MQTTMessage) -> tuple[str, dict[str, Any]]:
    return message.topic, json.loads(message.payload)


def totals(truth: Path, zone: str) -> Counter[str]:
    """The windows of one zone, added up."""
    sums: Counter[str] = Counter()
    for line in truth.read_text().splitlines():
        row = json.loads(line)
        if row["zone"] == zone:
            sums.update({fact: value for fact, value in row.items() if isinstance(value, int)})
    return sums


@pytest.mark.needs("mosquitto")
def test_counters_send_what_their_truth_says(mosquitto: Mosquitto, tmp_path: Path) -> None:
    truth = tmp_path / "truth.json"
    clock = "2026-11-23T12:00:00Z,60"
    arguments = ["--for", "600", "--clients", "2", "--since", "2026-11-23T10:00:00Z", "--trouble", "0.2"]
    messages = run(
        mosquitto, "#", "mqtt", *arguments, "--simulated-clock", clock, "--truth", str(truth), "--seed", "5"
    )
    said: dict[tuple[str, Any], tuple[int, int]] = {}
    for topic, body in messages:
        if topic == "xovis/sim-1/push" and "logics_data" in body:
            for record in body["logics_data"]["logics"][0]["records"]:
                forward, backward = record["counts"]
                said["sim-1", record["from"]] = forward["value"], backward["value"]
        for row in body.get("rows", []):
            said["sim-2", row["from"]] = row["in"], row["out"]
    sums: Counter[tuple[str, str]] = Counter()
    for (name, _), (ins, outs) in said.items():
        sums[name, "ins"] += ins
        sums[name, "outs"] += outs
    total = {name: totals(truth, name) for name in ("sim-1", "sim-2")}
    assert {(name, fact): total[name][fact] for name, fact in sums} == dict(sums)
    assert sums["sim-1", "ins"] > 100


@pytest.mark.needs("mosquitto")
@pytest.mark.parametrize("how", ["--each", "--summed"])
def test_tills_send_what_their_truth_says(mosquitto: Mosquitto, tmp_path: Path, how: str) -> None:
    truth = tmp_path / "truth.json"
    messages = run(
        mosquitto,
        "tills/#",
        *("till", how, "--for", "1200", "--tills", "1", "--truth", str(truth)),
        *("--simulated-clock", "2026-11-23T15:00:00Z,300"),
    )
    total = totals(truth, "pos-1")
    assert sum(body["sales"] for _, body in messages) == total["sales"] > 0
    assert sum(body["returns"] for _, body in messages) == total["returns"]
    assert round(100 * sum(body["amount"] for _, body in messages)) == total["amount_minor"]


def test_tills_write_files_that_say_what_their_truth_says(tmp_path: Path) -> None:
    truth, folder = tmp_path / "truth.json", tmp_path / "receipts"
    folder.mkdir()
    command = [sys.executable, "-m", "simulators", "till", "--folder", str(folder), "--truth", str(truth)]
    command += ["--for", "1200", "--tills", "1", "--simulated-clock", "2026-11-23T15:00:00Z,300"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    files = [path.read_text(encoding="cp1252").splitlines() for path in folder.iterdir()]
    assert done.stderr == f"{len(files)} files written\n"
    rows = [row.split(";") for _, *own in files for row in own]
    total = totals(truth, "pos-1")
    assert sum(int(row[2]) for row in rows) == total["sales"] > 0
    assert sum(int(row[4].replace("\u00a0", "").replace(",", "")) for row in rows) == total["amount_minor"]


@pytest.mark.needs("mosquitto")
def test_sigterm_ends_in_order_with_the_truth_written(mosquitto: Mosquitto, tmp_path: Path) -> None:
    truth = tmp_path / "truth.json"
    arguments = ["mqtt", "--port", str(mosquitto.port), "--truth", str(truth), "--rate", "50"]
    process = subprocess.Popen([sys.executable, "-m", "simulators", *arguments], stderr=subprocess.PIPE)
    received: list[bytes] = []
    client = Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: received.append(bytes(message.payload))
    client.connect("127.0.0.1", mosquitto.port)
    client.subscribe("#", 1)
    for _ in range(2000):
        client.loop(0.01)
        if received:
            break
    client.disconnect()
    process.terminate()
    _, said = process.communicate(timeout=20)
    assert received
    assert process.returncode == 0, said
    assert truth.exists()
