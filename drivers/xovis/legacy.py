"""The bundles of firmware 3.x and 4.x, in JSON: counts per interval, and events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from drivers.bodies import Noise, Table, name, table, tables, whole
from drivers.xovis.values import event_key, instant, interval
from gateway.model import DEVICE, MAIN_LINE, Basis, Crossings, Damaged, DamageReason, Ignored, Item

WAYS = {"forward": True, "backward": False}


def counts(body: Table, size: int) -> Iterator[Item]:
    """A count bundle: elements with measurements. The serial number is the sensor's MAC. Raises Noise."""
    counter = name(table(body.get("sensor-info")).get("serial-number")) or DEVICE
    elements = tables(table(body.get("content")).get("element"))
    twins = Counter(str(one.get("element-name")) for one in elements if one.get("data-type") == "LINE")
    for element in elements:
        if element.get("data-type") != "LINE":
            yield Ignored("element that is no line")
            continue
        try:
            line = name(element.get("element-name")) or MAIN_LINE
            if twins[str(element.get("element-name"))] > 1:
                line = f"{line} #{name(element.get('element-id'))}"
        except Noise as noise:
            yield Damaged(noise.reason, size)
            continue
        for measurement in tables(element.get("measurement")):
            yield _measurement(counter, line, measurement, size)


def _measurement(counter: str, line: str, measurement: Table, size: int) -> Item:
    values = {str(value.get("label")): value.get("value") for value in tables(measurement.get("value"))}
    try:
        start_ms, end_ms = interval(measurement.get("from"), measurement.get("to"))
        ins, outs = whole(values.get("fw")), whole(values.get("bw"))
    except Noise as noise:
        return Damaged(noise.reason, size)
    if ins is None and outs is None:
        return Ignored("record without fw or bw")
    return Crossings(counter, line, start_ms, end_ms, ins, outs)


def events(body: Table, size: int) -> Iterator[Item]:
    """An event bundle: one passage is told as LineCrossing, LineCount and zone events; one of them counts."""
    for event in tables(body.get("values")):
        if event.get("type") != "LineCount":
            yield Ignored("event that is not a line count")
        elif event.get("objectType", "PERSON") != "PERSON":
            yield Ignored("crossing of a group or thing")
        else:
            yield _event(event, size)


def _event(event: Table, size: int) -> Item:
    place, track = table(event.get("countItem")), table(event.get("object")).get("id")
    forward = WAYS.get(str(event.get("direction")))
    if forward is None:
        return Damaged(DamageReason.SANITY, size)
    try:
        at_ms, counter = instant(event.get("timestamp")), name(event.get("serial")) or DEVICE
        line = name(place.get("name")) or name(place.get("id")) or MAIN_LINE
    except Noise as noise:
        return Damaged(noise.reason, size)
    key = event_key(track, place.get("id"), at_ms, forward)
    ins, outs = (1, 0) if forward else (0, 1)
    return Crossings(counter, line, at_ms, at_ms + 1, ins, outs, key=key, basis=Basis.EVENT)
