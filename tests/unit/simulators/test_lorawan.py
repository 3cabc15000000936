"""The simulated LoRaWAN counters speak as the makers' documents do."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from simulators.lorawan import ImbuildingsVoice, Vs125Voice, Vs350Voice, dev_eui

VECTORS = Path(__file__).parents[2] / "vectors"
END_MS = 1_693_531_647_000


def vector(file: str, name: str) -> Any:
    vectors = json.loads((VECTORS / file).read_text(encoding="utf-8"))["vectors"]
    return next(one for one in vectors if one["id"] == name)


def keys(body: Any) -> Any:
    return {key: keys(inner) for key, inner in body.items()} if isinstance(body, dict) else None


def test_a_stored_record_is_the_makers_example() -> None:
    """Milesight-IoT/SensorDecoders, vs350: 7 in, 2 out, in all 29 and 8."""
    voice = Vs350Voice("door")
    voice.odometer.totals = {END_MS: (29, 8)}
    body = json.loads(voice.tell(1, [(END_MS - 600_000, END_MS, 7, 2), (END_MS, END_MS + 600_000, 1, 1)]))
    frame = base64.b64decode(body["data"]).hex().upper()
    assert frame.startswith("20CEFF3DF16401070002001D000800")
    assert len(frame) == 2 * (15 + 18)


def test_the_report_has_the_makers_channels() -> None:
    voice = Vs350Voice("door")
    voice.odometer.totals = {1_754_912_400_000: (18, 22)}
    body = json.loads(voice.tell(1, [(0, 1_754_912_400_000, 12, 5)]))
    assert base64.b64decode(body["data"]).hex().upper() == "0AEF90D69968" + "04CC12001600" + "05CC0C000500"
    document = vector("lorawan_uplinks.json", "chirpstack-v4")["payload"]
    assert set(body) - {"fCnt", "confirmed"} <= set(document)


def test_variant_6_has_the_fields_of_the_document_in_their_places() -> None:
    voice = ImbuildingsVoice("door")
    voice.odometer.totals = {END_MS: (1539, 1510)}
    body = json.loads(voice.tell(0x61, [(0, END_MS, 3, 2)]))
    frame = base64.b64decode(body["uplink_message"]["frm_payload"]).hex().upper()
    document = vector("imbuildings.json", "t2v6-readme")["hex"]
    assert frame[:4] + frame[4:20] == document[:4] + dev_eui("door").upper()
    assert frame[26:34] == document[26:34]  # 3 and 2
    assert frame[36:] == document[36:]  # totals and number


def test_a_camera_reports_in_the_captured_shape() -> None:
    document = vector("milesight_http_mqtt_json.json", "vs125-periodic")["payload"]
    body = json.loads(Vs125Voice("door").tell(1, [(END_MS - 60_000, END_MS, 7, 2)]))
    assert set(body) <= set(document)
    assert keys(body["line_periodic_data"][0]) == keys(document["line_periodic_data"][0])
    assert set(body["time_info"]) <= set(document["time_info"])


def test_what_a_camera_has_not_told_yet_is_told_once() -> None:
    voice = Vs125Voice("door")
    one, two, three = ((at * 60_000, (at + 1) * 60_000, 1, 0) for at in range(1, 4))
    told = [json.loads(voice.tell(0, records)) for records in ([one], [one, two], [two], [one, two, three])]
    assert [body["line_periodic_data"][0]["total"]["in"] for body in told] == [1, 1, 1, 1]
    ends = [body["time_info"]["end_time"] for body in told]
    assert ends[1] == ends[2] != ends[3]
