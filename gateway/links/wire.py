"""paho's MQTT client with bulk reading: one `recv` for hundreds of messages, one write for their PUBACKs.

paho reads each packet with three or four system calls and builds objects nobody asks for; at thousands of
messages a second that is half the box. So PUBLISH packets are cut here out of one buffer, and every other
packet goes the ordinary way through paho, which reads from the same buffer.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from contextlib import suppress
from typing import TypeAlias

from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

CHUNK_BYTES = 65_536
LARGEST_CHUNK_BYTES = 4 << 20
PUBLISH, PUBACK, PINGREQ = 0x30, 0x40, 0xC0
_SHORT = struct.Struct("!H")
_ACK = struct.Struct("!BBH")

# topic, payload (None: longer than allowed, never kept), packet id (0: QoS 0), the first byte's flags
Publish: TypeAlias = tuple[bytes, bytes | None, int, int]
DUP_FLAG, QOS_FLAGS, RETAIN_FLAG = 0x08, 0x06, 0x01


class _Incomplete(Exception):
    def __init__(self, missing: int = 0) -> None:
        super().__init__()
        self.missing = missing


def _varint(data: bytes, pos: int) -> tuple[int, int]:
    """MQTT's variable byte integer at `pos` and the position behind it; ValueError beyond four bytes."""
    value = shift = 0
    while pos < len(data):
        byte = data[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, pos
        shift += 7
        if shift > 21:
            raise ValueError("variable byte integer longer than four bytes")
    raise _Incomplete


class Wire(Client):
    """One connection: `receive`, then `control` until connected, then `take`; `acknowledge` in order."""

    def __init__(
        self, client_id: str, version: str, *, largest_bytes: int, keep_session: bool = True
    ) -> None:
        self.v5 = version == "5"
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if self.v5 else not keep_session,
            protocol=MQTTv5 if self.v5 else MQTTv311,
            reconnect_on_failure=False,  # paho's own retries would block the loop
            manual_ack=True,
        )
        self._largest_bytes = largest_bytes
        self._inbox = b""
        self._at = 0
        self._missing = 0
        self._skip = 0
        self._oversized: Publish | None = None
        self.ended: OSError | None = None  # why nothing more can be read
        self.pings = self.pongs = 0  # sent and answered

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> ssl.SSLSocket:
        """paho's own leaves the socket open when the handshake fails, once for every attempt."""
        assert self._ssl_context is not None  # noqa: S101 - paho calls this only with one
        sock: socket.socket = tcp_sock
        try:
            sock = tls = self._ssl_context.wrap_socket(
                tcp_sock, server_hostname=self.host, do_handshake_on_connect=False
            )
            tls.settimeout(self.connect_timeout)
            tls.do_handshake()
        except BaseException:
            sock.close()
            raise
        return tls

    @property
    def buffered(self) -> bool:
        """Bytes (or the end of the stream) wait to be looked at."""
        return self._at < len(self._inbox) or self.ended is not None

    def receive(self) -> bool:
        """Reads once from the socket; False when there was nothing."""
        size = max(CHUNK_BYTES, min(self._missing, LARGEST_CHUNK_BYTES))
        self._missing = 0
        try:
            chunk = super()._sock_recv(size)
        except BlockingIOError:
            return False
        except OSError as error:
            self.ended = error
            return True
        if not chunk:
            self.ended = ConnectionResetError("closed by the broker")
            return True
        self._last_bytes_received = time.monotonic()  # spares paho a ping
        self._ping_t = 0.0  # any byte proves life: the answer may stand behind much else
        self._inbox = self._inbox[self._at :] + chunk if self._at < len(self._inbox) else chunk
        self._at = 0
        return True

    def pending(self) -> bool:
        """TLS may hold decrypted bytes that the selector cannot see."""
        look = getattr(self.socket(), "pending", None)
        return bool(look and look())

    def _sock_recv(self, bufsize: int) -> bytes:
        """paho reads the packets that are its own from the same buffer."""
        data = self._inbox[self._at : self._at + bufsize]
        if not data:
            if self.ended is not None:
                raise self.ended
            raise BlockingIOError
        self._at += len(data)
        return data

    def _at_publish(self) -> bool:
        if self._in_packet["command"] or self._skip or self._at >= len(self._inbox):
            return False
        return self._inbox[self._at] & 0xF0 == PUBLISH

    def control(self) -> None:
        """Lets paho handle what stands before the next PUBLISH."""
        while self.buffered and not self._at_publish() and not self._skip and self.socket() is not None:
            self.loop_read()

    def take(self, limit: int) -> list[Publish]:
        """Up to `limit` messages out of the buffer; control packets between them are handled on the way."""
        taken: list[Publish] = []
        while self.buffered and len(taken) < limit and self.socket() is not None:
            if self._skip:
                self._swallow(taken)
            elif self._at_publish():
                if not self._cut(taken):
                    break
            else:
                self.loop_read()
        return taken

    def _swallow(self, taken: list[Publish]) -> None:
        """Passes over the body of an oversized message without keeping it."""
        step = min(self._skip, len(self._inbox) - self._at)
        self._at += step
        self._skip -= step
        if self._skip == 0 and self._oversized is not None:
            taken.append(self._oversized)
            self._oversized = None
        elif not step:
            self.loop_read()  # the stream ended inside the body

    def _cut(self, taken: list[Publish]) -> bool:
        """One PUBLISH off the buffer; False when its rest has not come yet."""
        try:
            self._cut_one(taken)
        except _Incomplete as rest:
            self._missing = rest.missing
            if self.ended is not None:
                self._at = len(self._inbox)  # what is cut off will be sent again
                self.loop_read()
            return False
        except (ValueError, struct.error):
            self.loop_read()  # malformed: paho closes the connection with the right reason
        return True

    def _cut_one(self, taken: list[Publish]) -> None:
        data = self._inbox
        flags = data[self._at]
        length, pos = _varint(data, self._at + 1)
        end = pos + length
        if end > len(data) and length <= self._largest_bytes:
            raise _Incomplete(end - len(data))
        if pos + 2 > len(data):
            raise _Incomplete
        at_topic, pos = pos + 2, pos + 2 + _SHORT.unpack_from(data, pos)[0]
        behind_id = pos + 2 if flags & QOS_FLAGS else pos
        if behind_id > end:
            raise ValueError("fields reach beyond the packet")
        if behind_id > len(data):
            raise _Incomplete
        topic, mid = data[at_topic:pos], 0
        if flags & QOS_FLAGS:
            mid = _SHORT.unpack_from(data, pos)[0]
        pos = behind_id
        if end - pos > self._largest_bytes:
            self._oversized = (topic, None, mid, flags)
            self._skip, self._at = end - pos, pos
            return
        if end > len(data):
            raise _Incomplete(end - len(data))
        if self.v5:
            properties, pos = _varint(data, pos)
            pos += properties
        if pos > end:
            raise ValueError("fields reach beyond the packet")
        taken.append((topic, data[pos:end], mid, flags))
        self._at = end

    def acknowledge(self, mids: list[int]) -> None:
        """PUBACK for each, in this order, in one piece."""
        packets = b"".join([_ACK.pack(PUBACK, 2, mid) for mid in mids])
        if not self._out_packet:
            with suppress(OSError):  # paho will meet it too, and knows what to do
                packets = packets[self._sock_send(packets) :]
        if packets:
            self._packet_queue(PUBACK, packets, mids[-1], 1)
            self.loop_write()

    def _send_simple_command(self, command: int) -> MQTTErrorCode:
        self.pings += command == PINGREQ  # also paho's own
        return super()._send_simple_command(command)

    def _handle_pingresp(self) -> MQTTErrorCode:
        self.pongs += 1
        return super()._handle_pingresp()

    def ping(self) -> None:
        """Keeps the connection alive while nothing is read, so without expecting the answer in time."""
        self._send_simple_command(PINGREQ)
        self.loop_write()

    def abandon(self) -> None:
        """Closes the socket without a word: the broker keeps the session and sends again."""
        self._sock_close()
