"""The MQTT link against real brokers: nothing acknowledged before it is stored, nothing stored lost."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gateway.clock import Clock
from gateway.driver import Message
from gateway.links.mqtt import MqttLink
from gateway.model import Crossings, Damaged, DamageReason, Delivery, Ignored, Item, Register, Stamp
from simulators.publisher import Publisher
from tests.brokers import Mosquitto, Nats, free_port

TOPIC = "counters/door/data"


@dataclass
class Settings:
    port: int
    host: str = "127.0.0.1"
    version: str = "5"
    client_id: str = ""
    username: str | None = None
    password: str | None = None
    tls: bool = False
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    keepalive_s: int = 5
    session_expiry_s: int = 3600
    receive_maximum: int = 1000
    max_payload_bytes: int = 100_000
    silence_s: float = 0.0


class JsonDriver:
    """`{"n": 7}` has an id, `{"ins": 1}` has neither time nor id, `{"total": 9}` is a register."""

    def decode(self, message: Message) -> Iterable[Item]:
        try:
            body = json.loads(message.payload)
        except ValueError:
            return [Damaged(DamageReason.SYNTAX, len(message.payload))]
        if "crash" in body:
            raise RuntimeError("a driver with a bug")
        if "n" in body:
            return [Crossings("door", "main", 0, 60_000, ins=body["n"], key=str(body["n"]))]
        if "total" in body:
            return [Register("door", "main", None, total_in=body["total"])]
        return [Crossings("door", "main", None, None, ins=body["ins"])]


@dataclass
class OneSource:
    driver: Any = field(default_factory=JsonDriver)
    topics: Sequence[str] = (TOPIC,)


@dataclass
class Delivered:
    items: list[Item]
    topic: str
    delivery: Delivery | None
    done: Callable[[], None] | None

    @property
    def number(self) -> int:
        (item,) = self.items
        assert isinstance(item, Crossings)
        assert item.ins is not None
        return item.ins


class FakeIngest:
    """Keeps what was delivered; commits soon or when told to hurry, unless the test commits by hand."""

    def __init__(self, *, by_hand: bool = False) -> None:
        self.by_hand = by_hand
        self.delivered: list[Delivered] = []
        self.strange: list[tuple[str, bytes]] = []
        self.hurried = 0
        self.room = asyncio.Event()
        self.room.set()
        self._committed = 0

    @property
    def full(self) -> bool:
        return not self.room.is_set()

    async def wait_room(self) -> None:
        await self.room.wait()

    def deliver(
        self,
        link: str,
        source: Any,
        items: Iterable[Item],
        stamp: Stamp,
        *,
        topic: str = "",
        delivery: Delivery | None = None,
        done: Callable[[], None] | None = None,
        payload: bytes = b"",
    ) -> None:
        self.delivered.append(Delivered(list(items), topic, delivery, done))
        asyncio.get_running_loop().call_later(0.05, self._commit_by_itself)

    def overheard(self, link: str, payload: bytes, stamp: Stamp, why: str, *, topic: str = "") -> None:
        self.strange.append((topic, payload))

    def _commit_by_itself(self) -> None:
        if not self.by_hand:
            self.commit()

    def hurry(self) -> None:
        self.hurried += 1
        self._commit_by_itself()

    def commit(self, count: int | None = None) -> None:
        end = len(self.delivered) if count is None else self._committed + count
        waiting, self._committed = self.delivered[self._committed : end], end
        for one in waiting:
            if one.done is not None:
                one.done()

    def numbers(self) -> list[int]:
        return [one.number for one in self.delivered]


class Sessions:
    """What the store remembers of a link's session."""

    def __init__(self) -> None:
        self.generation = 0
        self.present: list[bool] = []
        self.forgotten: list[int] = []

    async def begin(self, _link: str, present: bool) -> int:
        self.present.append(present)
        if not present:
            self.generation += 1
        return self.generation

    async def forget(self, _link: str, round_: int) -> None:
        self.forgotten.append(round_)


async def until(condition: Callable[[], object], what: str = "", seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what or "not in time"
        await asyncio.sleep(0.01)


@dataclass
class Rig:
    link: MqttLink
    ingest: FakeIngest
    sessions: Sessions
    stop: asyncio.Event


@asynccontextmanager
async def running(
    settings: Settings,
    *,
    ingest: FakeIngest | None = None,
    sessions: Sessions | None = None,
    sources: Sequence[OneSource] = (OneSource(),),
    up: bool = True,
) -> AsyncIterator[Rig]:
    ingest, sessions = ingest or FakeIngest(), sessions or Sessions()
    link = MqttLink("broker", settings, sources, Clock("always"), ingest, sessions, gateway_id="test")
    stop = asyncio.Event()
    task = asyncio.create_task(link.run(stop))
    try:
        if up:
            await until(lambda: link.state.up, "the link did not come up")
        yield Rig(link, ingest, sessions, stop)
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


async def publish(port: int, payloads: Iterable[bytes], topic: str = TOPIC, *, retain: bool = False) -> None:
    def send() -> None:
        with Publisher("127.0.0.1", port) as publisher:
            for payload in payloads:
                publisher.publish(topic, payload, retain=retain)

    await asyncio.to_thread(send)


def numbered(numbers: Iterable[int]) -> list[bytes]:
    return [b'{"n": %d}' % number for number in numbers]


async def broker_has_read_everything(rig: Rig) -> None:
    """Its answer to a ping comes after it has read the acknowledgements before that ping."""
    connection = rig.link.connection
    assert connection is not None
    asked = connection.ping()  # others may be on their way
    await until(lambda: connection.pongs >= asked, "no answer to a ping")


async def drop_connection(rig: Rig) -> None:
    """Cuts TCP under the link, as a switch that loses power would."""
    connection = rig.link.connection
    assert connection is not None
    sock = connection._wire.socket()
    assert sock is not None
    sock.shutdown(socket.SHUT_RDWR)
    await until(lambda: rig.link.connection is not connection, "no new connection")
    await until(lambda: rig.link.state.up, "not up again")


@pytest.mark.needs("mosquitto")
async def test_messages_come_through_in_order_and_are_acknowledged(mosquitto: Mosquitto) -> None:
    async with running(Settings(mosquitto.port)) as rig:
        await publish(mosquitto.port, numbered(range(300)))
        await until(lambda: len(rig.ingest.delivered) == 300)
        assert rig.ingest.numbers() == list(range(300))
        await until(lambda: rig.link.acknowledgements.sent == 300)
        await broker_has_read_everything(rig)
    async with running(Settings(mosquitto.port), sessions=rig.sessions) as again:
        await publish(mosquitto.port, numbered([300]))
        await until(lambda: again.ingest.delivered)
        assert again.ingest.numbers() == [300], "acknowledged messages came again"
        assert again.sessions.present == [False, True]


@pytest.mark.needs("mosquitto")
async def test_what_is_acknowledged_is_forgotten_and_what_is_not_is_kept(mosquitto: Mosquitto) -> None:
    ingest = FakeIngest(by_hand=True)
    async with running(Settings(mosquitto.port, keepalive_s=1), ingest=ingest) as rig:
        await until(lambda: rig.sessions.forgotten == [1], "what came before this connection is remembered")
        await publish(mosquitto.port, [b'{"ins": 1}'] * 2)
        await until(lambda: len(ingest.delivered) == 2)
        [first, second] = [one.delivery for one in ingest.delivered]
        assert first
        assert second
        assert first.round == second.round >= 1
        rounds = rig.link._rounds
        await until(lambda: rounds.number >= first.round + 3, "no more pings")
        assert rig.sessions.forgotten[-1] <= first.round, "forgotten before it was acknowledged"
        ingest.commit()
        await until(lambda: rig.sessions.forgotten[-1] > first.round, "remembered for ever")


@pytest.mark.needs("mosquitto")
async def test_unacknowledged_messages_come_again_after_the_connection_broke(mosquitto: Mosquitto) -> None:
    ingest = FakeIngest(by_hand=True)
    async with running(Settings(mosquitto.port), ingest=ingest) as rig:
        await publish(mosquitto.port, numbered(range(10)))
        await until(lambda: len(ingest.delivered) == 10)
        ingest.commit(4)
        await until(lambda: rig.link.acknowledgements.sent == 4)
        await broker_has_read_everything(rig)
        await drop_connection(rig)
        await until(lambda: len(ingest.delivered) == 16)
        assert ingest.numbers()[10:] == [4, 5, 6, 7, 8, 9]
        assert rig.link.acknowledgements.stale == 0
        ingest.by_hand = False
        ingest.commit()
        await until(lambda: rig.link.acknowledgements.sent == 10)
        assert rig.link.acknowledgements.stale == 6


@pytest.mark.needs("mosquitto")
async def test_a_stale_acknowledgement_does_not_eat_a_message_of_a_new_session(mosquitto: Mosquitto) -> None:
    """Packet ids begin again in a new session; an old acknowledgement would name a new message."""
    ingest = FakeIngest(by_hand=True)
    async with running(Settings(mosquitto.port), ingest=ingest) as rig:
        await publish(mosquitto.port, numbered([1]))
        await until(lambda: len(ingest.delivered) == 1)
        mosquitto.stop()
        mosquitto.forget()
        mosquitto.start()
        await until(lambda: rig.sessions.generation == 2)
        await until(lambda: rig.link.state.up)
        await publish(mosquitto.port, numbered([2]))
        await until(lambda: len(ingest.delivered) == 2)
        ingest.commit(1)
        await until(lambda: rig.link.acknowledgements.stale == 1)
        await drop_connection(rig)
        await until(lambda: len(ingest.delivered) == 3)
        assert ingest.numbers() == [1, 2, 2]
        assert rig.sessions.present == [False, False, True]
        ingest.by_hand = False
        ingest.commit()


@pytest.mark.needs("mosquitto")
async def test_a_broker_killed_under_load_loses_nothing(mosquitto: Mosquitto) -> None:
    async with running(Settings(mosquitto.port)) as rig:
        await publish(mosquitto.port, numbered(range(50)))
        await publish(mosquitto.port, [])  # it writes in the turn after it acknowledged
        mosquitto.kill()
        mosquitto.start()
        await publish(mosquitto.port, numbered(range(50, 100)))
        await until(lambda: set(rig.ingest.numbers()) == set(range(100)), "messages are missing")


@pytest.mark.needs("mosquitto")
async def test_redelivered_copies_carry_dup_and_the_same_name(mosquitto: Mosquitto) -> None:
    ingest = FakeIngest(by_hand=True)
    async with running(Settings(mosquitto.port), ingest=ingest) as rig:
        await publish(mosquitto.port, [b'{"ins": 3}', b'{"n": 5}'])
        await until(lambda: len(ingest.delivered) == 2)
        await drop_connection(rig)
        await until(lambda: len(ingest.delivered) == 4)
        first, _, again, named = (one.delivery for one in ingest.delivered)
        assert first is not None
        assert again is not None
        assert (first.session, first.mid, first.digest) == (again.session, again.mid, again.digest)
        assert (first.dup, again.dup) == (False, True)
        assert named is None, "a reading with an id needs no delivery to be recognised"
        ingest.by_hand = False
        ingest.commit()


@pytest.mark.needs("mosquitto")
async def test_the_core_is_told_when_the_broker_waits(mosquitto: Mosquitto) -> None:
    """An untouched Mosquitto stops after 20: nobody may wait for a full batch of 200 then."""
    ingest = FakeIngest(by_hand=True)
    async with running(Settings(mosquitto.port, version="3.1.1"), ingest=ingest) as rig:
        await publish(mosquitto.port, numbered(range(100)))
        await until(lambda: len(ingest.delivered) == 20)
        await until(lambda: ingest.hurried > 0)
        ingest.by_hand = False
        ingest.commit()
        await until(lambda: rig.link.acknowledgements.sent == 100)


@pytest.mark.needs("mosquitto")
async def test_reading_stops_while_the_core_has_no_room(mosquitto: Mosquitto) -> None:
    async with running(Settings(mosquitto.port, keepalive_s=2)) as rig:
        rig.ingest.room.clear()
        await publish(mosquitto.port, numbered([1]))
        await until(lambda: len(rig.ingest.delivered) == 1)
        await publish(mosquitto.port, numbered(range(2, 40)))
        await asyncio.sleep(5)  # longer than the broker waits for a silent client (1.5 x keepalive)
        assert len(rig.ingest.delivered) == 1
        assert rig.link.state.up
        rig.ingest.room.set()
        await until(lambda: rig.ingest.numbers() == list(range(1, 40)))
        assert rig.sessions.present == [False], "the pause cost the connection"


@pytest.mark.needs("mosquitto")
async def test_bad_messages_are_counted_acknowledged_and_pass_by(mosquitto: Mosquitto) -> None:
    bad = [b"\xff\xfe\x00", b"", b"[" * 200_000, b"x" * 1_000_000, b'{"crash": 1}', b'{"n": 1}']
    async with running(Settings(mosquitto.port)) as rig:
        await publish(mosquitto.port, bad)
        await until(lambda: rig.link.acknowledgements.sent == len(bad))
        await broker_has_read_everything(rig)
        assert +rig.link.state.telegrams == {"ignored": 1, "too_large": 2}
        kinds = [type(one.items[0]) for one in rig.ingest.delivered]
        assert kinds == [Damaged, Damaged, Crossings]
    async with running(Settings(mosquitto.port), sessions=rig.sessions) as again:
        await publish(mosquitto.port, numbered([2]))
        await until(lambda: again.ingest.delivered)
        assert again.ingest.numbers() == [2]


@pytest.mark.needs("mosquitto")
async def test_retained_deltas_without_time_are_ignored_and_totals_used(mosquitto: Mosquitto) -> None:
    await publish(mosquitto.port, [b'{"ins": 7}'], "counters/a", retain=True)
    await publish(mosquitto.port, [b'{"total": 7}'], "counters/b", retain=True)
    await publish(mosquitto.port, [b'{"n": 7}'], "counters/c", retain=True)
    async with running(Settings(mosquitto.port), sources=[OneSource(topics=("counters/+",))]) as rig:
        await until(lambda: len(rig.ingest.delivered) == 3)
        kinds = {one.topic: type(one.items[0]) for one in rig.ingest.delivered}
        assert kinds == {"counters/a": Ignored, "counters/b": Register, "counters/c": Crossings}
        await publish(mosquitto.port, [b""], "counters/a", retain=True)
        await until(lambda: +rig.link.state.telegrams == {"ignored": 1})


@pytest.mark.needs("mosquitto")
async def test_a_second_client_with_our_id_is_named(
    mosquitto: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    """This Mosquitto drops the older one without a word, so it shows only by dying young again and again."""
    caplog.set_level("DEBUG", "gateway.links")
    async with running(Settings(mosquitto.port)), running(Settings(mosquitto.port)):
        await until(lambda: "another client use our id 'test-broker'" in caplog.text)


async def test_session_taken_over_is_said_in_words() -> None:
    """MQTT 5.0, 3.14.2.1: a DISCONNECT with reason 0x8E."""

    async def rival(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(bytes.fromhex("20 03 00 00 00"))  # CONNACK, no session
        subscribe = await reader.read(1000)
        writer.write(bytes.fromhex("90 04") + subscribe[2:4] + bytes.fromhex("00 01"))  # SUBACK, QoS 1
        writer.write(bytes.fromhex("e0 02 8e 00"))
        await writer.drain()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(rival, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with running(Settings(port), up=False) as rig:
            await until(lambda: "another client connected with our id 'test-broker'" in rig.link.state.error)


@pytest.mark.needs("mosquitto")
async def test_a_broker_that_refuses_is_retried_until_it_changes_its_mind(mosquitto: Mosquitto) -> None:
    mosquitto.stop()
    mosquitto.settings = ["allow_anonymous false"]
    mosquitto.start()
    async with running(Settings(mosquitto.port), up=False) as rig:
        await until(lambda: "the broker refused us" in rig.link.state.error)
        assert not rig.link.state.up
        mosquitto.stop()
        nobody = f"cannot reach 127.0.0.1:{mosquitto.port}: Connection refused"
        await until(lambda: rig.link.state.error == nobody)
        mosquitto.settings = []
        mosquitto.start()
        await until(lambda: rig.link.state.up)
        assert rig.link.state.error == ""


@pytest.mark.needs("nats-server")
async def test_a_refused_topic_is_visible_and_the_others_go_on(tmp_path: Any) -> None:
    nats = Nats(
        tmp_path / "nats",
        'authorization { users = [ { user: "gw", password: "pw", permissions: '
        '{ subscribe: { allow: ["counters.ok", "$MQTT.>", "_INBOX.>"] }, publish: ">" } } ] }',
    )
    nats.start()
    try:
        settings = Settings(nats.port, version="3.1.1", username="gw", password="pw")
        source = OneSource(topics=("counters/ok", "counters/secret"))
        async with running(settings, sources=[source]) as rig:
            await until(lambda: "no subscription to 'counters/secret'" in rig.link.state.error)
            assert rig.link.state.up
            assert "counters/ok" not in rig.link.state.error
        async with running(settings, sources=[OneSource(topics=("counters/secret",))], up=False) as deaf:
            await until(lambda: "no subscription to 'counters/secret'" in deaf.link.state.error)
            assert not deaf.link.state.up
    finally:
        nats.kill()


@pytest.mark.needs("nats-server")
async def test_mqtt_3_1_1_keeps_its_session_at_nats(nats: Nats) -> None:
    ingest = FakeIngest(by_hand=True)
    async with running(Settings(nats.port, version="3.1.1"), ingest=ingest) as rig:
        await publish(nats.port, numbered(range(5)))
        await until(lambda: len(ingest.delivered) >= 5)
        await drop_connection(rig)
        assert rig.sessions.present == [False, True]
        ingest.by_hand = False
        await until(lambda: len(ingest.delivered) >= 10, "not delivered again")
        assert set(ingest.numbers()) == set(range(5))
        ingest.commit()
        await until(lambda: rig.link.acknowledgements.sent >= 5)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of its own for 127.0.0.1; the key stands beside it."""
    path = tmp_path / "broker.crt"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=broker",
    ]
    files = [
        "-keyout",
        str(tmp_path / "broker.key"),
        "-out",
        str(path),
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    subprocess.run([*command, *files], check=True, capture_output=True)
    return path


@pytest.mark.needs("mosquitto", "openssl")
async def test_tls_leaves_nothing_behind_in_its_buffer(certificate: Path, tmp_path: Path) -> None:
    broker = Mosquitto(
        tmp_path / "tls", f"certfile {certificate}", f"keyfile {certificate.with_suffix('.key')}"
    )
    plain = free_port()
    broker.settings += [f"listener {plain} 127.0.0.1", "max_inflight_messages 1000"]
    broker.start()
    try:
        settings = Settings(broker.port, tls=True, ca_file=str(certificate))
        async with running(settings) as rig:
            payloads = [b'{"n": %d, "pad": "%s"}' % (n, b"x" * 9000) for n in range(300)]
            await publish(plain, payloads)
            await until(lambda: rig.link.acknowledgements.sent == 300)
            assert rig.ingest.numbers() == list(range(300))
        async with running(Settings(broker.port, tls=True), up=False) as stranger:
            await until(lambda: "certificate verify failed" in stranger.link.state.error)
    finally:
        broker.kill()


@pytest.mark.needs("mosquitto")
async def test_stopping_waits_for_the_commit_of_what_was_taken(mosquitto: Mosquitto) -> None:
    ingest = FakeIngest(by_hand=True)
    async with running(Settings(mosquitto.port), ingest=ingest) as rig:
        await publish(mosquitto.port, numbered([1, 2]))
        await until(lambda: len(ingest.delivered) == 2)
        rig.stop.set()
        await asyncio.sleep(0.05)
        ingest.commit()
        await until(lambda: rig.link.acknowledgements.sent == 2)
        assert rig.link.acknowledgements.stale == 0


@pytest.mark.needs("mosquitto")
@pytest.mark.parametrize("version", ["5", "3.1.1"])
async def test_without_a_session_nothing_of_us_stays_at_the_broker(
    mosquitto: Mosquitto, version: str
) -> None:
    settings = Settings(mosquitto.port, version=version, session_expiry_s=0, client_id="passing-by")
    async with running(settings) as rig:
        await publish(mosquitto.port, numbered([1]))
        await until(lambda: rig.ingest.delivered)
        assert rig.link.client_id == "passing-by"
    await publish(mosquitto.port, numbered([2]))
    async with running(settings, sessions=rig.sessions) as again:
        await publish(mosquitto.port, numbered([3]))
        await until(lambda: again.ingest.delivered)
        assert again.ingest.numbers() == [3]
        assert again.sessions.present == [False, False]


@pytest.mark.needs("mosquitto")
async def test_silence_beyond_the_expected_builds_a_new_client(mosquitto: Mosquitto) -> None:
    async with running(Settings(mosquitto.port, keepalive_s=1, silence_s=0.5)) as rig:
        first = rig.link.connection
        await until(lambda: rig.link.connection not in (first, None), "the same client sits on")
        await publish(mosquitto.port, numbered([1]))
        await until(lambda: rig.ingest.delivered)


@pytest.mark.needs("mosquitto")
async def test_a_topic_no_longer_wanted_is_drained_and_unsubscribed(mosquitto: Mosquitto) -> None:
    sessions = Sessions()
    old, new = OneSource(topics=("counters/old", TOPIC)), OneSource()
    async with running(Settings(mosquitto.port), sessions=sessions, sources=[old]):
        pass
    await publish(mosquitto.port, numbered([1]), "counters/old")
    async with running(Settings(mosquitto.port), sessions=sessions, sources=[new]) as rig:
        await until(lambda: +rig.link.state.telegrams == {"unknown_counter": 1})
    await publish(mosquitto.port, numbered([2]), "counters/old")
    async with running(Settings(mosquitto.port), sessions=sessions, sources=[new]) as rig:
        await publish(mosquitto.port, numbered([3]))
        await until(lambda: rig.ingest.delivered)
        assert +rig.link.state.telegrams == {}
