"""What people enter: taps of a bag survey, tallies at a door, campaigns. One way in for API and commands."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from gateway.calendars import Weeks
from gateway.entries.bodies import Place, read
from gateway.entries.findings import Findings
from gateway.entries.shown import to_json
from gateway.errors import EntryRefused
from gateway.model import Entry, EntryKind, LineRule

__all__ = ("MOST", "Entries", "Findings", "Place", "place_of", "to_json")

log = logging.getLogger("gateway.entries")

MOST = 1000  # entries in one body


class Shelf(Protocol):
    """What is needed of the store."""

    async def enter(self, wanted: list[Entry]) -> list[tuple[Entry, bool]]: ...

    async def withdraw(self, kind: EntryKind, id_: str, now_ms: int) -> Entry: ...


class WallClock(Protocol):
    def wall_ms(self) -> int: ...


class Site(Protocol):
    """`[site]` of a configuration."""

    @property
    def timezone(self) -> str: ...

    @property
    def day_start_min(self) -> int: ...

    @property
    def weeks(self) -> Weeks: ...


def place_of(site: Site, zones: Iterable[str], rules: Iterable[LineRule]) -> Place:
    """What of a configuration entries may be about."""
    lines = frozenset(rule.ref for rule in rules if not rule.till)
    return Place(site.timezone, site.day_start_min, frozenset(zones), lines, site.weeks)


class Entries:
    """The way in: checked against the configuration, kept by the store, once for each id."""

    def __init__(self, place: Place, shelf: Shelf, clock: WallClock) -> None:
        self._place, self._shelf, self._clock = place, shelf, clock

    async def enter(
        self, kind: EntryKind, bodies: Sequence[Any], by: str = ""
    ) -> list[tuple[Mapping[str, Any], bool]]:
        """All of them or none; each as it is kept, and whether it is new.

        Raises EntryRefused (a sentence that names the key), EntryConflict, StoreError.
        """
        if not 0 < len(bodies) <= MOST:
            raise EntryRefused(f"between 1 and {MOST} entries at once, not {len(bodies)}")
        now_ms = self._clock.wall_ms()
        wanted = [read(kind, body, self._place, now_ms, by) for body in bodies]
        kept = await self._shelf.enter(wanted)
        if kind is not EntryKind.TAP:
            for entry, new in kept:
                log.info("%s %s entered by %s%s", kind, entry.id, entry.by or "?", "" if new else " again")
        return [(to_json(entry), new) for entry, new in kept]

    async def withdraw(self, kind: EntryKind, id_: str, by: str = "") -> Mapping[str, Any]:
        """It no longer counts. Raises EntryRefused."""
        entry = await self._shelf.withdraw(kind, id_, self._clock.wall_ms())
        log.info("%s %s withdrawn by %s", kind, id_, by or "?")
        return to_json(entry)
