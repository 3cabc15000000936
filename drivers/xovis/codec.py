"""Xovis data push: logics packages (deltas per record), live events, status, connection tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from drivers.bodies import Noise, Table, name, parse_json, table, tables, whole
from drivers.xovis import legacy
from drivers.xovis.values import event_key, instant, interval
from gateway.model import (
    DEVICE,
    MAIN_LINE,
    Basis,
    Crossings,
    Damaged,
    DamageReason,
    DeviceState,
    Ignored,
    Item,
    Occupancy,
    Status,
)

IN_OUT = frozenset({"XLT_LINE_IN_OUT_COUNT", "XLT_4X_LINE_IN_OUT_COUNT"})
LATE = "XLT_LINE_LATE_COUNT"
PERSON_LINES = IN_OUT | {LATE}
ZONES = frozenset({"XLT_ZONE_OCCUPANCY_COUNT", "XLT_4X_ZONE_COUNT"})
DIRECTIONS = {"LINE_CROSS_FORWARD": True, "LINE_CROSS_BACKWARD": False}
GROUP_TRACKS = 2**31  # track ids of groups have the highest bit set
STATES = {"OK": DeviceState.OK, "ERROR": DeviceState.FAULT, "FAILURE": DeviceState.FAULT}
LIT = frozenset({"SUFFICIENT", "OK"})


def decode(payload: bytes) -> list[Item]:
    """The items of one package. Never raises."""
    size = len(payload)
    if not payload.strip():
        return [Ignored("empty message")]
    try:
        body = parse_json(payload)
        if not isinstance(body, dict):
            return [Damaged(DamageReason.SYNTAX, size)]
        found = list(_items(body, size))
    except Noise as noise:
        return [Damaged(noise.reason, size)]
    return found or [Ignored("no records")]


def _items(body: Table, size: int) -> Iterator[Item]:
    if "content" in body:
        yield from legacy.counts(body, size)
    elif "values" in body:
        yield from legacy.events(body, size)
    else:
        for key, part in body.items():
            yield from _part(str(key), table(part), size)


def _part(key: str, part: Table, size: int) -> Iterator[Item]:
    if key == "connection_test":
        yield Ignored("connection test")
    elif key not in ("logics_data", "live_data", "status_data"):
        yield Ignored("unknown part")
    elif "dummy" in str(table(part.get("package_info")).get("type", "")).lower():
        yield Ignored("dummy data")
    elif key == "logics_data":
        yield from _logics(part, size)
    elif key == "live_data":
        yield from _live(part, size)
    else:
        yield _status(part)


def device_id(part: Table) -> str:
    """The sensor's serial number where full sensor information is switched on."""
    for holder in ("sensor_info", "package_info"):
        for key in ("serial_number", "serial"):
            found = name(table(part.get(holder)).get(key))
            if found:
                return found
    return DEVICE


def _package(part: Table) -> str:
    info = table(part.get("package_info"))
    return f"{name(info.get('agent_id')) or '-'}/{name(info.get('id')) or '-'}"


def _logics(part: Table, size: int) -> Iterator[Item]:
    counter, package = device_id(part), _package(part)
    logics = tables(part.get("logics"))
    templates = [_template(logic) for logic in logics]
    names = [str(logic.get("name")) for logic in logics]
    prompt = Counter(one for one, template in zip(names, templates, strict=True) if template in IN_OUT)
    late = Counter(one for one, template in zip(names, templates, strict=True) if template == LATE)
    for number, (logic, template, called) in enumerate(zip(logics, templates, names, strict=True)):
        if template not in PERSON_LINES and template not in ZONES:
            yield Ignored("template that counts no persons over a line")
            continue
        if template == LATE and prompt[called]:
            yield Ignored("late count beside the count of its line")  # the same persons once more
            continue
        try:
            line = name(logic.get("name")) or MAIN_LINE
            tag = name(logic.get("id")) or str(number)
        except Noise as noise:
            yield Damaged(noise.reason, size)
            continue
        if template in PERSON_LINES and (late if template == LATE else prompt)[called] > 1:
            line = f"{line} #{tag}"  # two lines under one name must never replace each other's records
        for index, record in enumerate(tables(logic.get("records"))):
            key = f"{package}/{tag}.{index}"
            yield _record(counter, line, key, record, size, zone=template in ZONES)


def _template(logic: Table) -> str:
    """A short package leaves it out: then the names of the counts tell."""
    if logic.get("info") is not None:
        return str(logic["info"])
    counts = {
        str(count.get("name"))
        for record in tables(logic.get("records"))
        for count in tables(record.get("counts"))
    }
    return "XLT_LINE_IN_OUT_COUNT" if counts & {"fw", "bw"} else "XLT_ZONE_OCCUPANCY_COUNT"


def _record(counter: str, line: str, key: str, record: Table, size: int, *, zone: bool) -> Item:
    counts = {str(count.get("name")): count.get("value") for count in tables(record.get("counts"))}
    try:
        start_ms, end_ms = interval(record.get("from"), record.get("to"))
        if zone:
            persons = whole(counts.get("balance"))
            return Ignored("no balance") if persons is None else Occupancy(counter, line, end_ms, persons)
        ins, outs = whole(counts.get("fw")), whole(counts.get("bw"))
    except Noise as noise:
        return Damaged(noise.reason, size)
    if ins is None and outs is None:
        return Ignored("record without fw or bw")
    return Crossings(counter, line, start_ms, end_ms, ins, outs, key=key)


def _live(part: Table, size: int) -> Iterator[Item]:
    counter = device_id(part)
    for frame in tables(part.get("frames")):
        kinds = {
            repr(track.get("track_id")): str(track.get("type", "PERSON"))
            for track in tables(frame.get("tracked_objects"))
        }
        for event in tables(frame.get("events")):
            yield _event(counter, frame, event, kinds, size)


def _event(counter: str, frame: Table, event: Table, kinds: Mapping[str, str], size: int) -> Item:
    forward = DIRECTIONS.get(str(event.get("type")))
    about = table(event.get("attributes"))
    if forward is None or event.get("category") != "SCENE":
        return Ignored("event that is not a line crossing")
    track = about.get("track_id")
    group = isinstance(track, int) and track >= GROUP_TRACKS
    if kinds.get(repr(track), "GROUP" if group else "PERSON") != "PERSON":
        return Ignored("crossing of a group or thing")  # the persons in it are reported themselves
    try:
        at_ms = instant(frame.get("time"))
        line = name(about.get("geometry_name")) or name(about.get("geometry_id")) or MAIN_LINE
    except Noise as noise:
        return Damaged(noise.reason, size)
    key = event_key(track, about.get("sequence_number"), about.get("geometry_id"), at_ms, forward)
    ins, outs = (1, 0) if forward else (0, 1)
    return Crossings(counter, line, at_ms, at_ms + 1, ins, outs, key=key, basis=Basis.EVENT)


def _status(part: Table) -> Status:
    states = table(part.get("states"))
    texts = {
        room: str(table(table(states.get(room)).get("state")).get("state", "OK"))[:40]
        for room in ("device", "time", "network")
    }
    light = str(table(table(states.get("singlesensor")).get("status")).get("illumination", "OK"))[:40]
    details = [f"{room} {text}" for room, text in texts.items() if text != "OK"]
    if light not in LIT:
        details.append(f"illumination {light}")
    state = STATES.get(texts["device"], DeviceState.DEGRADED)
    if details and state is DeviceState.OK:
        state = DeviceState.DEGRADED
    return Status(device_id(part), _status_time(states), state, _printable(", ".join(details)))


def _printable(text: str) -> str:
    return text if text.isprintable() else ascii(text)[1:-1]


def _status_time(states: Table) -> int | None:
    clock = table(table(table(states.get("time")).get("state")).get("details"))
    try:
        return instant(clock.get("time"))
    except Noise:
        return None
