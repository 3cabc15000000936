"""ISAPI people counting: an alert's running totals and windows bear the same names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from drivers.bodies import Noise, name, to_ms, whole
from drivers.local import end_of, instants, wall_clock
from drivers.markup import Element, parse_xml
from gateway.model import DEVICE, Crossings, Damaged, Ignored, Item, Register

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
RUNNING, WINDOWS = frozenset({"realtime"}), frozenset({"timerange", "signaltrigger"})
FARTHEST_MIN = 14 * 60  # no clock is farther from UTC
LAST_SECOND = 59
FRACTION = re.compile(r"\.\d+$")
OFFSET = re.compile(r"(?:Z|([+-])(\d{1,2}):?(\d{2}))$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Clock:
    """Times as a camera writes them, received at `at_ms`. `wall`: the offset it writes is not believed."""

    zone: tzinfo
    at_ms: int
    wall: bool = False

    def instant(self, text: str) -> int:
        """Raises Noise."""
        moment, offset = self._read(text)
        return (
            instants([moment], self.zone, self.at_ms)[0]
            if offset is None
            else to_ms(moment.replace(tzinfo=UTC)) - offset
        )

    def span(self, begin: str, end: str, *, first: bool = False) -> tuple[int, int]:
        """An end on second 59 is inclusive. `first`: another of the same label follows. Raises Noise."""
        start, start_offset = self._read(begin)
        stop, offset = self._read(end)
        if stop.second == LAST_SECOND:
            stop += timedelta(seconds=1)
        start_ms = self.instant(begin)
        if first and start_offset is None:
            start_ms = instants([start, start], self.zone, self.at_ms)[0]
        if start_offset is None or offset is None:
            return start_ms, end_of(start, start_ms, stop, self.zone)
        return start_ms, to_ms(stop.replace(tzinfo=UTC)) - offset

    def _read(self, text: str) -> tuple[datetime, int | None]:
        """The figures, and the offset in ms; None: not told, or not believed."""
        found = OFFSET.search(text.strip())
        bare = text.strip()[: found.start()] if found else text
        moment = wall_clock(FRACTION.sub("", bare))
        if found is None or self.wall:
            return moment, None
        sign, hours, minutes = found.groups("0")
        ahead = int(hours) * 60 + int(minutes)
        if ahead > FARTHEST_MIN:
            raise Noise
        return moment, (-1 if sign == "-" else 1) * ahead * 60_000


def decode(payload: bytes, clock: Clock) -> list[Item]:
    """The items of one alert. Never raises."""
    if not payload.strip():
        return [Ignored("empty message")]
    try:
        alert = parse_xml(payload)
        if (kind := _text(alert, "eventType").lower()) != "peoplecounting":
            return [Ignored("heartbeat" if kind == "videoloss" else "event of another kind")]
        counter, channel = mac(alert.get("macAddress")), name(alert.get("channelID")) or "1"
    except Noise as noise:
        return [Damaged(noise.reason, len(payload))]
    regions = [one for one in _all(alert, "peopleCounting") if isinstance(one, Element)]
    told = [_region(one, alert, counter, channel, clock, len(payload)) for one in regions]
    return told or [Ignored("no counts")]


def mac(value: object) -> str:
    """One notation, as the label writes it. Raises Noise."""
    text = name(value)
    return text.replace("-", ":").lower() if text else DEVICE


def line_name(channel: str, region: str) -> str:
    """Region 1 is the channel itself: older firmware does not number regions."""
    return channel if region in ("", "1") else f"{channel}/{region}"


def _all(element: Element, tag: str) -> list[object]:
    found = element.get(tag)
    return found if isinstance(found, list) else [] if found is None else [found]


def _text(element: Element, tag: str) -> str:
    found = element.get(tag)
    return str(found) if isinstance(found, str) else ""


def _inner(element: Element, tag: str) -> Element | None:
    found = element.get(tag)
    return found if isinstance(found, Element) else None


def _region(region: Element, alert: Element, counter: str, channel: str, clock: Clock, size: int) -> Item:
    try:
        line = line_name(channel, name(region.get("regionsID")) or "")
        ins, outs = whole(region.get("enter")), whole(region.get("exit"))
        if ins is None and outs is None:
            return Ignored("no counts")
        window, running = _inner(region, "TimeRange"), _inner(region, "RealTime")
        if _is_running(_text(region, "statisticalMethods").lower(), window, running):
            told = _text(running, "time") if running is not None else ""
            return Register(counter, line, clock.instant(told or _text(alert, "dateTime")), ins, outs)
        start_ms, end_ms = _window(window, clock)
        return Crossings(counter, line, start_ms, end_ms, ins, outs)
    except Noise as noise:
        return Damaged(noise.reason, size)


def _is_running(method: str, window: Element | None, running: Element | None) -> bool:
    """A total, or a difference. Raises Noise when nothing tells which."""
    if method in RUNNING or (not method and running is not None and window is None):
        return True
    if method in WINDOWS or (not method and running is None and window is not None):
        return False
    raise Noise


def _window(window: Element | None, clock: Clock, *, first: bool = False) -> tuple[int, int]:
    """Raises Noise."""
    if window is None:
        raise Noise
    start_ms, end_ms = clock.span(_text(window, "startTime"), _text(window, "endTime"), first=first)
    if not 0 < end_ms - start_ms <= DAY_MS:
        raise Noise
    return start_ms, end_ms


# What the camera remembers


def search(day: datetime) -> bytes:
    """The question for one local day by the hour."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><CountingStatisticsDescription><reportType>daily</reportType>'
        f"<timeSpanList><timeSpan><startTime>{day:%Y-%m-%d}T00:00:00</startTime>"
        f"<endTime>{day:%Y-%m-%d}T23:59:59</endTime></timeSpan></timeSpanList></CountingStatisticsDescription>"
    ).encode()


def found(payload: bytes, counter: str, channel: str, clock: Clock) -> list[Item]:
    """The hours of a search's answer. Never raises."""
    try:
        matches = _inner(parse_xml(payload), "matchList")
    except Noise as noise:
        return [Damaged(noise.reason, len(payload))]
    hours = _all(matches, "matchElement") if matches is not None else []
    spans = [_inner(hour, "timeSpan") if isinstance(hour, Element) else None for hour in hours]
    labels = [_text(span, "startTime") if span is not None else "" for span in spans]
    told = [
        _hour(hour, counter, channel, clock, len(payload), first=labels[at] in labels[at + 1 :])
        for at, hour in enumerate(hours)
        if isinstance(hour, Element)
    ]
    return told or [Ignored("no hours")]


def _hour(hour: Element, counter: str, channel: str, clock: Clock, size: int, *, first: bool) -> Item:
    """`first` of two of one label: autumn repeats an hour."""
    try:
        ins, outs = whole(hour.get("enterCount")), whole(hour.get("exitCount"))
        if ins is None and outs is None:
            return Ignored("no counts")
        start_ms, end_ms = _window(_inner(hour, "timeSpan"), clock, first=first)
        return Crossings(counter, line_name(channel, ""), start_ms, end_ms, ins, outs)
    except Noise as noise:
        return Damaged(noise.reason, size)
