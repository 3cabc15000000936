"""A Brickstream sensor, from captured bodies and the delivery guide: metrics of version 5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

Record = tuple[int, int, int, int]  # start_ms, end_ms, forward, backward
OFFLINE = 1  # a status of zeros that nobody counted
BODY = """<?xml version="1.0"?>
<Metrics SiteId="site" Sitename="Site" DeviceId="device" Devicename="Device" DivisionId="">
<Properties>
<Version>5</Version><TransmitTime>{sent}</TransmitTime><MacAddress>{mac}</MacAddress>
<Timezone>{zone}</Timezone><DST>{summer}</DST><HwPlatform>2300</HwPlatform>
</Properties>
<ReportData Interval="{minutes}">
{reports}</ReportData>
</Metrics>
"""
REPORT = """<Report Date="{day}"><Object Id="0" ObjectType="0" Name="{line}" ExternalId="">
{rows}</Object></Report>
"""
ROW = (
    '<Count StartTime="{start:%H:%M:%S}" EndTime="{end:%H:%M:%S}" UnixStartTime="{unix}"'
    ' Enters="{forward}" Exits="{backward}" Status="{status}"/>\n'
)


def metrics(
    mac: str,
    records: Sequence[Record],
    *,
    status: int = 0,
    line: str = "Door",
    hours: tuple[int, int] = (1, 0),
) -> bytes:
    """Rows of one zone in local time, each below the day on which it begins; `hours`: zone and summer."""
    local = timezone(timedelta(hours=sum(hours)))
    days: dict[str, list[str]] = {}
    for start_ms, end_ms, forward, backward in records:
        start, end = (datetime.fromtimestamp(at_ms // 1000, local) for at_ms in (start_ms, end_ms))
        row = ROW.format(
            start=start, end=end, unix=start_ms // 1000, forward=forward, backward=backward, status=status
        )
        days.setdefault(f"{start:%Y-%m-%d}", []).append(row)
    reports = "".join(REPORT.format(day=day, line=line, rows="".join(rows)) for day, rows in days.items())
    start_ms, end_ms = records[-1][:2]
    return BODY.format(
        sent=end_ms // 1000,
        mac=mac,
        zone=hours[0],
        summer=hours[1],
        minutes=max(1, (end_ms - start_ms) // 60_000),
        reports=reports,
    ).encode()


@dataclass(slots=True)
class BrickstreamVoice:
    """A sensor whose name is its MAC address."""

    name: str
    content_type: str = "application/xml"
    _last: Record = (60_000, 120_000, 0, 0)

    def topic(self) -> str:
        return f"brickstream/{self.name}"

    def tell(self, package: int, records: Sequence[Record]) -> bytes:
        del package
        self._last = records[-1]
        return metrics(self.name, records)

    def test(self, package: int) -> bytes:
        """It believes to have been away in its last interval, and makes up zeros."""
        del package
        start_ms, end_ms, *_ = self._last
        return metrics(self.name, [(start_ms, end_ms, 0, 0)], status=OFFLINE)
