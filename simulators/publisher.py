"""Publishing over MQTT as a counter does: QoS 1, a few messages in flight, again after a lost connection."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

IN_FLIGHT = 20  # what brokers accept from one client by default


class Publisher:
    """`publish` returns once the message is on its way, `flush` once the broker has acknowledged everything.

    Raises ConnectionError when the broker refuses the connection, TimeoutError when it stays away.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 1883,
        *,
        client_id: str = "",
        version: str = "3.1.1",
        username: str | None = None,
        password: str | None = None,
        patience_s: float = 60.0,
    ) -> None:
        self.acknowledged = 0
        self.refused: list[str] = []
        self._patience_s = patience_s
        self._room = threading.Semaphore(IN_FLIGHT)
        self._settled = threading.Condition()
        self._in_flight = 0
        self._connected = threading.Event()
        self._why = ""
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTv5 if version == "5" else MQTTv311,
        )
        self._client.max_inflight_messages_set(IN_FLIGHT)
        self._client.reconnect_delay_set(1, 2)
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish
        if username is not None:
            self._client.username_pw_set(username, password)
        self._client.connect_async(host, port, keepalive=30)
        self._client.loop_start()
        if not self._connected.wait(patience_s):
            self.close()
            raise ConnectionError(f"{host}:{port}: {self._why or 'no answer'}")

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.flush()
        finally:
            self.close()

    def publish(self, topic: str, payload: bytes | str, *, retain: bool = False) -> None:
        """Hands one message to the broker; waits while too many are unacknowledged."""
        if not self._room.acquire(timeout=self._patience_s):
            raise TimeoutError(f"no acknowledgement for {self._patience_s:g} s")
        with self._settled:
            self._in_flight += 1
        self._client.publish(topic, payload, qos=1, retain=retain)  # queued and sent later when offline

    def flush(self) -> None:
        """Returns when every message published so far is acknowledged."""
        with self._settled:
            if not self._settled.wait_for(lambda: self._in_flight == 0, self._patience_s):
                raise TimeoutError(f"{self._in_flight} messages unacknowledged after {self._patience_s:g} s")

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(
        self, _client: Client, _data: Any, _flags: ConnectFlags, reason: ReasonCode, _more: Properties | None
    ) -> None:
        if reason.is_failure:
            self._why = str(reason)
        else:
            self._connected.set()

    def _on_publish(
        self, _client: Client, _data: Any, _mid: int, reason: ReasonCode, _more: Properties | None
    ) -> None:
        if reason.is_failure:
            self.refused.append(str(reason))
        else:
            self.acknowledged += 1
        self._room.release()
        with self._settled:
            self._in_flight -= 1
            self._settled.notify_all()
