"""Network servers: whose frame it is, when it was heard, and what is no frame."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from drivers import uplink
from drivers.bodies import Noise
from drivers.uplink import Uplink
from gateway.model import DamageReason, Ignored

VECTORS = {
    vector["id"]: vector
    for vector in json.loads(
        (Path(__file__).parents[2] / "vectors" / "lorawan_uplinks.json").read_text(encoding="utf-8")
    )["vectors"]
}


def body(name: str) -> dict[str, Any]:
    copied: dict[str, Any] = copy.deepcopy(VECTORS[name]["payload"])
    return copied


@pytest.mark.parametrize("name", VECTORS)
def test_the_documents_uplinks(name: str) -> None:
    expected = VECTORS[name]["expect"]
    found = uplink.read(body(name))
    assert isinstance(found, Uplink)
    assert (found.device, found.port, found.count) == (
        expected["device"],
        expected["port"],
        expected["count"],
    )
    assert found.frame == bytes.fromhex(expected["frame"])
    assert found.at_ms == expected["at_ms"]


def test_the_servers_clock_is_believed_before_a_gateways() -> None:
    uplinked = body("chirpstack-v3-json") | {"publishedAt": "2019-11-08T14:00:00Z"}
    found = uplink.read(uplinked)
    assert isinstance(found, Uplink)
    assert found.at_ms == 1_573_221_600_000


@pytest.mark.parametrize(
    ("name", "left_out"), [("things-stack-v3", "uplink_message"), ("chirpstack-v4", "data")]
)
def test_other_events_are_no_uplinks(name: str, left_out: str) -> None:
    event = body(name)
    del event[left_out]
    event.pop("fPort", None)
    assert uplink.read(event) == uplink.NO_UPLINK


def test_what_somebody_simulates_in_the_console_is_nobody() -> None:
    assert uplink.read(body("things-stack-v3") | {"simulated": True}) == uplink.SIMULATED


def test_an_empty_frame_is_no_damage() -> None:
    empty = body("things-stack-v3")
    del empty["uplink_message"]["frm_payload"]
    assert isinstance(uplink.read(empty), Ignored)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("q", DamageReason.SYNTAX),
        ("q\u00e6==", DamageReason.SYNTAX),
        (7, DamageReason.SYNTAX),
        ("A" * 400, DamageReason.LENGTH),
    ],
)
def test_a_frame_that_is_none_is_damage(data: Any, reason: DamageReason) -> None:
    with pytest.raises(Noise) as caught:
        uplink.read(body("chirpstack-v4") | {"data": data})
    assert caught.value.reason is reason


@pytest.mark.parametrize("given", [{"time": "soon"}, {"time": 7}, {"time": "2022-07-18T09:34:15"}])
def test_a_time_that_is_none_leaves_it_to_the_receipt(given: dict[str, Any]) -> None:
    found = uplink.read(body("chirpstack-v4") | given)
    assert isinstance(found, Uplink)
    assert found.at_ms is None


def test_another_body_is_none_of_a_network_server() -> None:
    assert uplink.read({"rows": []}) is None


@pytest.mark.parametrize(
    ("topic", "servers"),
    [
        ("application/+/device/+/event/up", True),
        ("v3/mall@ttn/devices/stairs/up", True),
        ("milesight/door", False),
        (None, False),
    ],
)
def test_their_topics(topic: str | None, servers: bool) -> None:
    assert uplink.is_topic(topic) is servers
