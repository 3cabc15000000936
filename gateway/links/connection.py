"""One attempt at a broker: paho on the event loop, from dialling to goodbye.

What a connection owes the broker belongs to that connection: an acknowledgement that comes after it has gone
is dropped, because the same packet id may by then name somebody else's message.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, cast

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.errors import GatewayError, LinkError, unreached
from gateway.links.debts import Debts
from gateway.links.wire import Publish, Wire

BATCH = 500  # messages handed over before others get the loop
HIGH_WATER, LOW_WATER = 4000, 1000  # unacknowledged messages; brokers overshoot Receive Maximum
ANSWER_S = 30.0
DRAIN_S, DRAIN_LOOK_S = 2.0, 0.005
RETRY_REFUSED_S = 60.0
FILTERS_PER_SUBSCRIBE = 100
SESSION_TAKEN_OVER = 0x8E


class MqttSettings(Protocol):
    """What the configuration says of a broker."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def version(self) -> str: ...  # "5" or "3.1.1"
    @property
    def client_id(self) -> str: ...  # "": made of gateway id and link id
    @property
    def username(self) -> str | None: ...
    @property
    def password(self) -> str | None: ...
    @property
    def tls(self) -> bool: ...
    @property
    def ca_file(self) -> str | None: ...
    @property
    def cert_file(self) -> str | None: ...
    @property
    def key_file(self) -> str | None: ...
    @property
    def keepalive_s(self) -> int: ...
    @property
    def session_expiry_s(self) -> int: ...  # 0: the broker forgets us when we go
    @property
    def receive_maximum(self) -> int: ...
    @property
    def max_payload_bytes(self) -> int: ...
    @property
    def silence_s(self) -> float: ...  # 0: any silence is believed


@dataclass(slots=True)
class Tally:
    """Acknowledgements of a link over all its connections: sent, and too late to be sent."""

    sent: int = 0
    stale: int = 0


class Connection:
    """`open`, `begin`, then messages come in batches to `on_batch` until `lost` holds the reason."""

    def __init__(
        self,
        options: MqttSettings,
        client_id: str,
        *,
        on_batch: Callable[[list[Publish]], None],
        on_refusals: Callable[[dict[str, str]], None],
        hurry: Callable[[], None],
        tally: Tally,
    ) -> None:
        self._options, self._client_id = options, client_id
        self._on_batch, self._on_refusals, self._tally = on_batch, on_refusals, tally
        self._wire = Wire(
            client_id,
            options.version,
            largest_bytes=options.max_payload_bytes,
            keep_session=options.session_expiry_s > 0,
        )
        self._loop = asyncio.get_running_loop()
        self._connected: asyncio.Future[bool] = self._loop.create_future()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        self.cut = False  # ended without a word from the broker
        self.debts = Debts(self._acknowledge, hurry)
        self._begun = self._listening = self._rested = self._leaving = self._over = False
        self._holding: asyncio.Task[None] | None = None
        self._asked: dict[int | None, list[str]] = {}
        self._asked_s = 0.0
        self._refused: dict[str, str] = {}
        self._qos = 1

    # Opening

    async def open(self) -> bool:
        """Connects; True when the broker has kept our session. Raises LinkError."""
        where = f"{self._options.host}:{self._options.port}"
        try:
            await asyncio.to_thread(self._dial)  # name look-up, TCP and TLS block
        except ssl.SSLError as error:  # its numbers are not the system's
            raise LinkError(f"cannot reach {where}: TLS: {error}") from error
        except (OSError, ValueError, GatewayError) as error:  # GatewayError: a password file that has gone
            raise LinkError(unreached(self._options.host, self._options.port, error)) from error
        self._attach()
        answers: set[asyncio.Future[Any]] = {self._connected, self.lost}
        await asyncio.wait(answers, timeout=ANSWER_S, return_when=asyncio.FIRST_COMPLETED)
        if self.lost.done():
            raise LinkError(self.lost.result())
        if not self._connected.done():
            raise LinkError(f"no answer from {where} for {ANSWER_S:g} s")
        return self._connected.result()

    def begin(self, filters: Sequence[str], unwanted: Iterable[str], *, qos: int = 1) -> None:
        """The session is known: subscribe, and let messages come."""
        self._begun, self._qos = True, qos
        self._subscribe(filters)
        if not filters:
            self._on_refusals({})
        for one in unwanted:
            self._wire.unsubscribe(one)
        self._resume()

    def _dial(self) -> None:
        """Runs in a thread; the socket is not on the loop yet."""
        wire, options = self._wire, self._options
        wire.on_connect = self._on_connect
        wire.on_disconnect = self._on_disconnect
        wire.on_subscribe = self._on_subscribe
        if options.username is not None:
            wire.username_pw_set(options.username, options.password)
        if options.tls:
            context = ssl.create_default_context(cafile=options.ca_file)
            if options.cert_file:
                context.load_cert_chain(options.cert_file, options.key_file)
            wire.tls_set_context(context)
        if wire.v5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = options.session_expiry_s
            properties.ReceiveMaximum = options.receive_maximum
            # paho's default would begin every process with a clean session
            wire.connect(
                options.host,
                options.port,
                options.keepalive_s,
                clean_start=options.session_expiry_s == 0,
                properties=properties,
            )
        else:
            wire.connect(options.host, options.port, options.keepalive_s)
        if self._over:
            wire.abandon()  # nobody waits for this connection any more

    def _attach(self) -> None:
        """From here on the loop does what paho's thread would."""
        wire = self._wire
        wire.on_socket_close = lambda _client, _data, sock: self._detach(sock)
        wire.on_socket_register_write = lambda _client, _data, sock: self._write(sock)
        wire.on_socket_unregister_write = lambda _client, _data, sock: self._stop_writing(sock)
        sock = wire.socket()
        if sock is not None and wire.want_write():
            self._write(sock)
        self._resume()

    def _write(self, sock: Any) -> None:
        self._loop.add_writer(sock, self._wire.loop_write)

    def _stop_writing(self, sock: Any) -> None:
        if not self._loop.is_closed():
            self._loop.remove_writer(sock)

    def _detach(self, sock: Any) -> None:
        if not self._loop.is_closed():  # paho also calls this from __del__
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)
        self._listening = False

    def _on_connect(
        self, _client: Client, _data: Any, flags: ConnectFlags, reason: ReasonCode, _more: Properties | None
    ) -> None:
        if reason.is_failure:
            self._lose(f"the broker refused us: {reason}")
        elif not self._connected.done():
            self._connected.set_result(flags.session_present)

    def _on_disconnect(
        self,
        _client: Client,
        _data: Any,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _more: Properties | None,
    ) -> None:
        if reason.value == SESSION_TAKEN_OVER and flags.is_disconnect_packet_from_server:
            self._lose(
                f"another client connected with our id {self._client_id!r}: "
                "does a second gateway run with the same gateway.id?"
            )
        elif flags.is_disconnect_packet_from_server:
            self._lose(f"the broker disconnected us: {reason}")
        else:
            self.cut = True
            self._lose(f"connection lost: {self._wire.ended or reason}")

    def _lose(self, why: str) -> None:
        if not self.lost.done():
            self.lost.set_result(why)

    # Subscriptions

    def _subscribe(self, filters: Sequence[str]) -> None:
        """On every connect, also into a session that claims to have them: it may never have heard us."""
        self._asked_s = self._loop.time()
        options = SubscribeOptions(qos=self._qos, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
        for at in range(0, len(filters), FILTERS_PER_SUBSCRIBE):
            some = list(filters[at : at + FILTERS_PER_SUBSCRIBE])
            topics: list[Any] = [(one, options if self._wire.v5 else self._qos) for one in some]
            _, mid = self._wire.subscribe(topics)
            self._asked[mid] = some

    def _on_subscribe(
        self, _client: Client, _data: Any, mid: int, reasons: list[ReasonCode], _more: Properties | None
    ) -> None:
        for one, reason in zip(self._asked.pop(mid, []), reasons, strict=False):
            if reason.value == self._qos:
                self._refused.pop(one, None)
            elif reason.is_failure:
                self._refused[one] = str(reason)
            else:
                self._refused[one] = f"{reason}, so messages may be lost"
        self._on_refusals(self._refused)

    def forget(self, topic: str) -> None:
        """Ends a subscription that an earlier configuration left in the session."""
        self._wire.unsubscribe(topic)

    # Reading

    def _resume(self) -> None:
        sock = self._wire.socket()
        if sock is None or self._listening or self._leaving or self._over:
            return
        self._listening = self._rested = True
        self._loop.add_reader(cast("Any", sock), self._readable)
        self._loop.call_soon(self._work)  # what was buffered before the pause

    def _pause(self) -> None:
        sock = self._wire.socket()
        if sock is not None and self._listening:
            self._loop.remove_reader(cast("Any", sock))
        self._listening = False

    def _readable(self) -> None:
        if self._wire.receive():
            self._work()

    def _work(self) -> None:
        try:
            if self._listening:
                self._read_on()
        except Exception as error:  # in a loop callback it would pass unseen
            if not self.lost.done():
                self.lost.set_exception(error)

    def _read_on(self) -> None:
        if not self._begun:
            self._wire.control()
            if self._connected.done():
                self._pause()  # messages wait until the store knows their session
            return
        batch = self._wire.take(BATCH)
        if batch:
            self._on_batch(batch)
            self.debts.heard()
        if len(self.debts) >= HIGH_WATER:
            self._pause()
        if not self._listening:
            return
        if len(batch) == BATCH:
            self._loop.call_soon(self._work)
        elif self._wire.pending():
            self._loop.call_soon(self._readable)

    def hold(self, room: Awaitable[None]) -> None:
        """Reads nothing until `room` returns."""
        self._pause()

        async def wait() -> None:
            await room
            self._holding = None
            if len(self.debts) < HIGH_WATER:
                self._resume()

        self._holding = self._loop.create_task(wait())

    @property
    def held(self) -> bool:
        return self._holding is not None

    def _acknowledge(self, mids: list[int]) -> None:
        if self._over or self._wire.socket() is None:
            self._tally.stale += len(mids)  # the next connection receives them again
            return
        self._wire.acknowledge(mids)
        self._tally.sent += len(mids)
        if not self._listening and not self.held and len(self.debts) <= LOW_WATER:
            self._resume()

    # Keeping and ending

    def upkeep(self) -> None:
        """Keepalive and another try at refused topics; every few seconds."""
        if not self._listening:
            self._wire.ping()  # its answer is read after the pause
        elif self._rested:
            self._rested = False  # the answer to a ping may still stand behind what was buffered
        else:
            self._wire.loop_misc()
            if self._refused and self._loop.time() - self._asked_s >= RETRY_REFUSED_S:
                self._subscribe(sorted(self._refused))

    def ping(self) -> int:
        """Ask for a sign of having heard all until now; how many were asked."""
        self._wire.ping()
        return self._wire.pings

    @property
    def pongs(self) -> int:
        """How many pings were answered."""
        return self._wire.pongs

    async def goodbye(self) -> None:
        """Lets what was taken be stored and acknowledged, so that a restart need not receive it again."""
        self._leaving = True
        self._pause()
        deadline = self._loop.time() + DRAIN_S
        while len(self.debts) and not self.lost.done() and self._loop.time() < deadline:
            self.debts.hurry()
            await asyncio.sleep(DRAIN_LOOK_S)
        with suppress(OSError):
            self._wire.disconnect()
            self._wire.loop_write()

    def close(self) -> None:
        """Safe at any time and twice."""
        self._over = True
        self._pause()
        if self._holding is not None:
            self._holding.cancel()
        self._wire.abandon()
