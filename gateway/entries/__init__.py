"""What people enter: taps of a bag survey, tallies at a door, campaigns. One way in for API and commands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from gateway.amendments import Correction, LineFactor
from gateway.calendars import Weeks
from gateway.entries.findings import Findings
from gateway.entries.place import Place
from gateway.entries.shown import NO_FACTOR, correction_json, to_json
from gateway.errors import EntryConflict, EntryRefused
from gateway.model import Entry, EntryKind, LineRule, Stamp

if TYPE_CHECKING:
    from gateway.entries.bodies import Acceptance

__all__ = ("MOST", "NO_FACTOR", "Entries", "Findings", "Place", "place_of", "to_json")

log = logging.getLogger("gateway.entries")

MOST = 1000  # entries in one body


class Shelf(Protocol):
    """What is needed of the store."""

    async def enter(self, wanted: list[Entry]) -> list[tuple[Entry, bool]]: ...

    async def withdraw(self, kind: EntryKind, id_: str, now_ms: int) -> Entry: ...

    async def correct(self, correction: Correction, now: Stamp) -> Correction: ...

    async def calibrate(self, factor: LineFactor, now: Stamp) -> LineFactor: ...


class Watch(Protocol):
    def wall_ms(self) -> int: ...

    def stamp(self) -> Stamp: ...


class Zone(Protocol):
    """One of `[zone]`."""

    @property
    def group(self) -> float | None: ...


class Site(Protocol):
    """`[site]` of a configuration."""

    @property
    def timezone(self) -> str: ...

    @property
    def day_start_min(self) -> int: ...

    @property
    def weeks(self) -> Weeks: ...


def place_of(site: Site, zones: Mapping[str, Zone], rules: Iterable[LineRule]) -> Place:
    """What of a configuration entries may be about."""
    lines = frozenset(rule.ref for rule in rules if not rule.till)
    groups = {name: zone.group for name, zone in zones.items() if zone.group is not None}
    return Place(site.timezone, site.day_start_min, frozenset(zones), lines, site.weeks, groups)


Kept = tuple[Mapping[str, Any], bool]  # as it is kept, and whether it is new
SIDES = {"in": "ins", "out": "outs", "passes": "passes"}


class Entries:
    """The way in: checked against the configuration, kept by the store, once for each id.

    `stir`: windows are to be restated now. Every method raises EntryRefused (a sentence that names the key),
    EntryConflict and StoreError.
    """

    def __init__(
        self, place: Place, shelf: Shelf, findings: Findings, clock: Watch, stir: Callable[[], None]
    ) -> None:
        self._place, self._shelf, self._findings = place, shelf, findings
        self._clock, self._stir = clock, stir
        self._accepting = asyncio.Lock()

    async def enter(self, kind: EntryKind, bodies: Sequence[Any], by: str = "") -> list[Kept]:
        """Taps, tallies or campaigns: all of them or none."""
        if not 0 < len(bodies) <= MOST:
            raise EntryRefused(f"between 1 and {MOST} entries at once, not {len(bodies)}")
        kept = await self._shelf.enter([*self._read(kind, bodies, by)])
        if kind is not EntryKind.TAP:
            for entry, new in kept:
                log.info("%s %s entered by %s%s", kind, entry.id, entry.by or "?", "" if new else " again")
        return [(to_json(entry), new) for entry, new in kept]

    def _read(self, kind: EntryKind, bodies: Sequence[Any], by: str) -> Iterator[Entry]:
        """Each body's entry; of several the one that is refused is named by its place."""
        from gateway.entries.bodies import read  # most boxes are never told anything: spare them the models

        now = self._clock.stamp()
        if kind is not EntryKind.CAMPAIGN and not now.trusted:
            raise EntryRefused("the clock is not believed yet: enter it when it is")
        for number, body in enumerate(bodies, 1):
            try:
                yield read(kind, body, self._place, now.wall_ms, by)
            except EntryRefused as error:
                raise EntryRefused(f"entry {number}: {error}" if len(bodies) > 1 else str(error)) from None

    async def withdraw(self, kind: EntryKind, id_: str, by: str = "") -> Mapping[str, Any]:
        """It no longer counts."""
        entry = await self._shelf.withdraw(kind, id_, self._clock.wall_ms())
        log.info("%s %s withdrawn by %s", kind, id_, by or "?")
        return to_json(entry)

    async def correct(self, body: Any, by: str = "") -> Kept:
        """What really crossed a line stands in the place of what was counted."""
        from gateway.entries.bodies import read_correction

        now = self._clock.stamp()
        made = await self._shelf.correct(read_correction(body, self._place, by), now)
        self._stir()
        return correction_json(made), made.made_ms == now.wall_ms

    async def accept(self, body: Any, by: str = "") -> Kept:
        """What the tallies of one side say is in force from now on, as a calibration with a version."""
        from gateway.entries.bodies import read_acceptance

        given, from_ms = read_acceptance(body, self._place)
        async with self._accepting:  # nothing is put in force under an id that is taken meanwhile
            for known in await asyncio.to_thread(self._findings.accepted):
                if known.id == given.id:
                    return _same(known, given, from_ms), False
            return await self._accept(given, from_ms, by)

    async def _accept(self, given: Acceptance, from_ms: int | None, by: str) -> Kept:
        tallies = await asyncio.to_thread(self._findings.tallies, given.line)
        told = tallies["sides"][SIDES[given.side]]
        if told["factor"] is None:
            why = f"{told['why']} ({NO_FACTOR.get(told['why'], 'see the report')})"
            raise EntryRefused(f"side: tallies of {given.line} {given.side} give no factor: {why}")
        source, by = f"{told['tallies']} tallies, accepted as {given.id}", given.by or by
        wanted = LineFactor(given.line, given.side, told["factor"], told["s_k"], from_ms, source, by)
        factor = await self._shelf.calibrate(wanted, self._clock.stamp())
        self._stir()
        return await self._accepted(given.id, factor, told)

    async def _accepted(self, id_: str, factor: LineFactor, told: Mapping[str, Any]) -> Kept:
        content = {"side": factor.side, "factor": factor.factor, "error": factor.error}
        content |= {"version": factor.version, "tallies": told["tallies"]}
        from_ms, now_ms = factor.from_ms or 0, self._clock.wall_ms()
        span = (from_ms, from_ms + 1)
        entry = Entry(EntryKind.ACCEPTANCE, id_, factor.line, *span, content, factor.by, now_ms)
        [(kept, new)] = await self._shelf.enter([entry])
        log.info("calibration %d of %s accepted by %s", factor.version, factor.line, factor.by or "?")
        return to_json(kept), new


def _same(known: Entry, given: Acceptance, from_ms: int | None) -> Mapping[str, Any]:
    """What was accepted under that id. Raises EntryConflict when it is asked for something else."""
    told = known.subject, known.content["side"]
    if told != (given.line, given.side) or from_ms not in (None, known.start_ms):
        raise EntryConflict(f"id: {given.id} was used before for another acceptance")
    return to_json(known)
