"""AXIS People Counter, an application on cameras: today's sum and the quarters of an hour it stores."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from datetime import datetime, timedelta
from typing import cast

from pydantic import Field

from drivers.axis import codec
from drivers.axis.family import AxisLine
from drivers.local import ZoneName, days, local, step_end, within, zone_for
from gateway.driver import Device, Family, Fetch, Kind, Match, Options, Response
from gateway.model import Basis, Crossings, Item, Resets

TIMEOUT_MS = 30_000


class TvpcOptions(Options):
    """One camera."""

    path: str = Field(
        "/local/tvpc/.api",
        pattern=r"^/[!-~]+$",
        description="where the application answers; older ones: /local/people-counter/.api",
    )
    zone: ZoneName = Field("site", description="time zone of the camera's clock: site, utc or a name")
    look_back_s: int = Field(
        7200, ge=1800, le=86400, description="each poll reads its stored quarters so far back again, seconds"
    )


class PeopleCounter:
    """Pull: stateless between polls. Quarters are deltas; the sum since midnight is a total beside them."""

    def __init__(self, device: Device) -> None:
        self._options = cast("TvpcOptions", device.options)
        self._zone = zone_for(self._options.zone, device.site)

    def poll(self, now_ms: int) -> Generator[Fetch, Response, Iterable[Item]]:
        """The sum, which also shows the camera's clock, and the quarters that are over by it."""
        response = yield Fetch(f"{self._options.path}?live-sum.json", timeout_ms=TIMEOUT_MS)
        items, shown = codec.decode_sum(response.data) if response.data is not None else ([], None)
        if response.data is None and not response.status:
            return items
        shown = shown or local(now_ms, self._zone)
        since = shown - timedelta(seconds=self._options.look_back_s)
        response = yield self._export(since, shown)
        quarters = codec.decode_rows(codec.read_csv, response, self._zone, shown=shown)
        return [*items, *self._recent(quarters)]

    def recall(self, from_ms: int, to_ms: int) -> Generator[Fetch, Response, Iterable[Item]]:
        asked = days(from_ms, to_ms, self._zone)
        response = yield self._export(asked[0], asked[-1])
        return within(self._over(response), from_ms, to_ms)

    def told_at(self, end_ms: int) -> int:
        """When the quarter of an hour in which a gap ends is over."""
        return step_end(end_ms, codec.QUARTER_MS, self._zone)

    def answer(self, request: bytes, response: Response) -> Iterable[Item]:
        if response.data is not None and b"live-sum" in request:
            return codec.decode_sum(response.data)[0]
        return self._over(response)

    def _over(self, response: Response) -> list[Item]:
        """Quarters that are over by our clock."""
        shown = local(response.at_ms, self._zone)
        return codec.decode_rows(codec.read_csv, response, self._zone, shown=shown)

    def _export(self, since: datetime, until: datetime) -> Fetch:
        first, last = f"{since:%Y%m%d}", f"{until:%Y%m%d}"
        asked = first if first == last else f"{first}-{last}"
        return Fetch(f"{self._options.path}?export-csv&date={asked}&res=15m", timeout_ms=TIMEOUT_MS)

    def _recent(self, items: list[Item]) -> list[Item]:
        newest_ms = max((item.end_ms or 0 for item in items if isinstance(item, Crossings)), default=0)
        return within(items, newest_ms - self._options.look_back_s * 1000, newest_ms)


FAMILY = Family(
    name="axis-tvpc",
    summary="AXIS People Counter on cameras, asked: quarters of an hour, today's sum, stored days",
    kind=Kind.EXCHANGE,
    over=frozenset({"pull"}),
    options=TvpcOptions,
    line_options=AxisLine,
    open=PeopleCounter,
    match=lambda _device: Match(),
    basis=Basis.DELTA,
    resets=Resets.DAILY,
)
