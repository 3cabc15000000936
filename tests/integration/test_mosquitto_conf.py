"""The broker configuration we ship keeps what it has acknowledged, also when it is killed."""

from __future__ import annotations

from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from simulators.publisher import Publisher
from tests.brokers import Mosquitto

SHIPPED = Path(__file__).resolve().parents[2] / "config" / "mosquitto.conf"


class Shipped(Mosquitto):
    """config/mosquitto.conf with another port and folder."""

    def arguments(self) -> list[str]:
        path = Path(super().arguments()[1])
        root = "user root\n" if "user root" in path.read_text() else ""
        text = SHIPPED.read_text()
        assert "listener 1883 127.0.0.1" in text
        assert "persistence_location /var/lib/mosquitto/" in text
        text = text.replace("listener 1883", f"listener {self.port}")
        path.write_text(root + text.replace("/var/lib/mosquitto/", f"{self.folder}/"))
        return ["-c", str(path)]


def subscriber(broker: Mosquitto, received: list[bytes]) -> Client:
    client = Client(CallbackAPIVersion.VERSION2, client_id="gateway", clean_session=False)
    client.on_message = lambda _client, _data, message: received.append(message.payload)
    client.connect("127.0.0.1", broker.port)
    return client


@pytest.mark.needs("mosquitto")
def test_acknowledged_messages_survive_kill_9(tmp_path: Path) -> None:
    broker = Shipped(tmp_path)
    broker.start()
    try:
        received: list[bytes] = []
        client, granted = subscriber(broker, received), []
        client.on_subscribe = lambda *_: granted.append(True)
        client.subscribe("counters/#", 1)
        for _ in range(500):
            client.loop(0.01)
            if granted:
                break
        assert granted
        client.disconnect()
        expected = [b"%d" % number for number in range(200)]
        with Publisher("127.0.0.1", broker.port) as publisher:
            for payload in expected:
                publisher.publish("counters/door", payload)
        with Publisher("127.0.0.1", broker.port):
            pass  # it writes at the end of the turn in which it acknowledged; this is a later one
        broker.kill()
        broker.start()
        client = subscriber(broker, received)
        for _ in range(1000):
            client.loop(0.01)
            if len(received) >= len(expected):
                break
        client.disconnect()
        assert received == expected
        assert "error" not in (broker.folder / "log").read_text().lower()
    finally:
        broker.kill()
