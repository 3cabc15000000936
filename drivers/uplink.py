"""What LoRaWAN families share: one frame out of a network server's JSON.

ChirpStack v4 and v3 (both of its JSON forms, and gateways that imitate them) and The Things Stack v3. Source:
the makers' pages on event types and data formats.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from dataclasses import dataclass

from drivers.bodies import Noise, Table, name, parse_aware, table, tables, to_ms
from gateway.model import DEVICE, DamageReason, Ignored

MAX_FRAME = 255  # bytes that LoRaWAN carries
EUI = re.compile(r"[0-9a-f]{16}")
EMPTY = Ignored("uplink without a payload")
NO_UPLINK = Ignored("event of the network server that is no uplink")
SIMULATED = Ignored("simulated uplink")


@dataclass(frozen=True, slots=True)
class Uplink:
    """One frame. `at_ms`: when the network server had it, None: not said; `count`: its frame counter."""

    frame: bytes
    device: str = DEVICE
    port: int | None = None
    count: int | None = None
    at_ms: int | None = None


def eui(text: str) -> str:
    """A device id as this gateway writes it: small letters, nothing between them."""
    return text.replace("-", "").replace(":", "").lower()


def frame_of(value: object) -> bytes:
    """Base64. Raises Noise."""
    if value is None:
        return b""
    if not isinstance(value, str):
        raise Noise(DamageReason.SYNTAX)
    if len(value) > MAX_FRAME * 4 // 3 + 4:
        raise Noise(DamageReason.LENGTH)
    try:
        return b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Noise(DamageReason.SYNTAX) from None


def instant(*candidates: object) -> int | None:
    """The first that is a time with its offset."""
    for text in candidates:
        if isinstance(text, str):
            try:
                moment = parse_aware(text)
                return to_ms(moment) if moment.tzinfo else None
            except Noise:
                continue
    return None


def read(body: Table) -> Uplink | Ignored | None:
    """The frame that a network server forwards; None: no network server wrote this. Raises Noise."""
    if "end_device_ids" in body:
        return _things_stack(body)
    if "deviceInfo" in body:
        return _chirpstack(body, table(body["deviceInfo"]).get("devEui"), body.get("time"))
    if "devEUI" in body:
        heard = (entry.get("time") for entry in tables(body.get("rxInfo")))
        return _chirpstack(body, body["devEUI"], body.get("publishedAt"), body.get("time"), *heard)
    return None


def _things_stack(body: Table) -> Uplink | Ignored:
    message = table(body.get("uplink_message"))
    if not message:
        return NO_UPLINK
    if body.get("simulated") is True:
        return SIMULATED
    ids = table(body.get("end_device_ids"))
    device = name(ids.get("dev_eui")) or name(ids.get("device_id"))
    at_ms = instant(message.get("received_at"), body.get("received_at"))
    return _uplink(message.get("frm_payload"), device, message.get("f_port"), message.get("f_cnt", 0), at_ms)


def _chirpstack(body: Table, device: object, *times: object) -> Uplink | Ignored:
    if "fPort" not in body and "data" not in body:
        return NO_UPLINK
    return _uplink(body.get("data"), name(device), body.get("fPort"), body.get("fCnt", 0), instant(*times))


def _uplink(
    data: object, device: str | None, port: object, count: object, at_ms: int | None
) -> Uplink | Ignored:
    frame = frame_of(data)
    if not frame:
        return EMPTY
    return Uplink(
        frame,
        _device(device),
        port if type(port) is int and 0 <= port < 256 else None,
        count if type(count) is int and 0 <= count < 2**32 else None,
        at_ms,
    )


def _device(text: str | None) -> str:
    """ChirpStack v3 writes a DevEUI as base64 of its 8 bytes."""
    if not text:
        return DEVICE
    if EUI.fullmatch(eui(text)):
        return eui(text)
    if len(text) == 12 and text.endswith("="):
        try:
            return b64decode(text, validate=True).hex()
        except binascii.Error:
            pass
    return text


def is_topic(topic: str | None) -> bool:
    """Does a network server publish here, unless told otherwise?"""
    return bool(topic) and (re.match(r"application/.+/device/|v3/.+/devices/", topic or "") is not None)
