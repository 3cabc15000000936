"""Hikvision cameras, from captured bodies: alerts with windows or running totals, hours searched for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from simulators.mqtt import Record

ALERT = """<?xml version="1.0" encoding="UTF-8"?>
<EventNotificationAlert version="1.0" xmlns="urn:psialliance-org">
<ipAddress>192.168.10.32</ipAddress>
<protocolType>HTTP</protocolType>
<macAddress>{mac}</macAddress>
<channelID>1</channelID>
<dateTime>{now}</dateTime>
<activePostCount>1</activePostCount>
<eventType>{kind}</eventType>
<eventState>{state}</eventState>
<eventDescription>{kind} alarm</eventDescription>
<channelName>Camera 01</channelName>
{counting}</EventNotificationAlert>
"""
COUNTING = """<peopleCounting>
<statisticalMethods>{method}</statisticalMethods>
{when}
<enter>{forward}</enter>
<exit>{backward}</exit>
<regionsID>1</regionsID>
</peopleCounting>
<childCounting>
<enter>0</enter>
<exit>0</exit>
</childCounting>
"""
RESULT = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<CountingStatisticsResult xmlns="http://www.hikvision.com/ver20/XMLSchema" version="2.0">
<responseStatus>OK</responseStatus><responseStatusStrg>OK</responseStatusStrg>
<matchList>{matches}</matchList></CountingStatisticsResult>
"""
MATCH = """<matchElement><timeSpan><startTime>{start}</startTime><endTime>{end}</endTime></timeSpan>
<enterCount>{forward}</enterCount><exitCount>{backward}</exitCount></matchElement>
"""


def window(mac: str, record: Record, zone: tzinfo = UTC) -> bytes:
    """One data upload cycle."""
    start_ms, end_ms, forward, backward = record
    span = f"<startTime>{_stamp(start_ms, zone)}</startTime>\n<endTime>{_stamp(end_ms, zone)}</endTime>"
    counting = COUNTING.format(
        method="timeRange", when=f"<TimeRange>\n{span}\n</TimeRange>", forward=forward, backward=backward
    )
    return _alert(mac, end_ms, zone, "PeopleCounting", "active", counting)


def running(mac: str, at_ms: int, forward: int, backward: int, zone: tzinfo = UTC) -> bytes:
    """What was counted so far, after a crossing."""
    counting = COUNTING.format(
        method="realTime",
        when=f"<RealTime>\n<time>{_stamp(at_ms, zone)}</time>\n</RealTime>",
        forward=forward,
        backward=backward,
    )
    return _alert(mac, at_ms, zone, "PeopleCounting", "active", counting)


def heartbeat(mac: str, at_ms: int = 0, zone: tzinfo = UTC) -> bytes:
    return _alert(mac, at_ms, zone, "videoloss", "inactive", "")


def _alert(mac: str, at_ms: int, zone: tzinfo, kind: str, state: str, counting: str) -> bytes:
    now = _stamp(at_ms, zone)
    return ALERT.format(mac=mac, now=now, kind=kind, state=state, counting=counting).encode()


def _stamp(at_ms: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(at_ms // 1000, zone).isoformat(timespec="seconds")


@dataclass(slots=True)
class HikvisionVoice:
    """A camera that pushes windows; its name is its address. Of several records it makes one window."""

    name: str
    content_type: str = "application/xml"

    def topic(self) -> str:
        return f"hikvision/{self.name}"

    def tell(self, package: int, records: Sequence[Record]) -> bytes:
        del package
        ins, outs = (sum(record[at] for record in records) for at in (2, 3))
        return window(self.name, (records[0][0], records[-1][1], ins, outs))

    def test(self, package: int) -> bytes:
        del package
        return heartbeat(self.name)


def search_result(zone: tzinfo, records: Sequence[Record]) -> bytes:
    """Hours of a day: local time, ends inclusive."""
    matches = [
        MATCH.format(
            start=_bare(start_ms, zone),
            end=_bare(end_ms - 1000, zone),
            forward=forward,
            backward=backward,
        )
        for start_ms, end_ms, forward, backward in records
    ]
    return RESULT.format(matches="".join(matches)).encode()


def _bare(at_ms: int, zone: tzinfo) -> str:
    moment = datetime.fromtimestamp(at_ms // 1000, zone)
    return f"{moment:%Y-%m-%dT%H:%M:%S}"


def day_asked(question: str, zone: tzinfo) -> tuple[int, int]:
    """The local day that a search asks for, ms UTC. Raises ValueError."""
    text = question.partition("<startTime>")[2].partition("T")[0]
    begin = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=zone)
    return tuple(round(moment.timestamp() * 1000) for moment in (begin, begin + timedelta(days=1)))  # type: ignore[return-value]
