"""What was closed or restated since somebody looked last: for `tail` and for the event stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from gateway.health.snapshot import Health

BACK = 4  # windows at least; what is restated of before is history, not news
LATE_MS = 7_200_000  # where counters report by the hour, windows close that late
Key = tuple[Any, ...]


class Aggregates(Protocol):
    """What is asked of a source of health."""

    async def aggregates(
        self, zone: str, from_ms: int, to_ms: int, size_s: int, as_of_ms: int | None = None
    ) -> Sequence[Mapping[str, Any]]: ...


class NewlyClosed:
    """One follower's look at the newest windows of every zone."""

    def __init__(self, source: Aggregates) -> None:
        self._source = source
        self._revisions: Mapping[str, int] | None = None
        self._seen: dict[Key, Mapping[str, Any]] | None = None

    async def since(self, health: Health) -> list[Mapping[str, Any]]:
        """Event data of the revisions that are new; none at the first look."""
        if health.revisions == self._revisions:
            return []
        self._revisions = dict(health.revisions)
        before, self._seen = self._seen, await self._recent(health)
        return [] if before is None else [row for key, row in self._seen.items() if key not in before]

    async def _recent(self, health: Health) -> dict[Key, Mapping[str, Any]]:
        size_s = health.site.size_s
        from_ms = health.at_ms - max(BACK * size_s * 1000, LATE_MS)
        found: dict[Key, Mapping[str, Any]] = {}
        for zone in health.zones:
            for row in await self._source.aggregates(zone.zone, from_ms, health.at_ms, size_s):
                found[zone.zone, row.get("start"), row.get("revision")] = row
        return found
