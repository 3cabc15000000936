"""Zones: their members by name, and what cannot be right about them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gateway.calendars import WEEKDAYS
from gateway.config.files import Key, Merged
from gateway.config.hours import days_of
from gateway.config.members import Counter
from gateway.config.tables import ZoneTable
from gateway.config.wording import hint
from gateway.model import MAIN_LINE, Member, Role, ZoneSpec

CROSSINGS = "crossings"
CROSSINGS_PER_SHIFT = 4  # entries of one person in a shift: an assumption, until the store was asked
MOST_SHIFTS = 10_000
_MEMBER = re.compile(r"(-?)([a-z0-9][a-z0-9-]*)(?:/([a-z0-9][a-z0-9-]*))?")
Lines = Mapping[str, tuple[str, ...]]  # counter → its line names, also of counters with other faults


def line_names(raw: Any) -> dict[str, tuple[str, ...]]:
    """Line names of every counter in the raw table."""
    if not isinstance(raw, dict):
        return {}
    names: dict[str, tuple[str, ...]] = {}
    for counter, keys in raw.items():
        lines = keys.get("lines") if isinstance(keys, dict) else None
        names[counter] = tuple(lines) if isinstance(lines, dict) and lines else (MAIN_LINE,)
    return names


def check_zones(merged: Merged, zones: Mapping[str, ZoneTable], known: Iterable[str], hours: Any) -> None:
    """References of zones to lines, tills, parents and hours."""
    lines = line_names(merged.tree.get("counter"))
    tills = set(merged.tree.get("till") or {})
    all_zones = set(known)
    for id_, zone in zones.items():
        at: Key = ("zone", id_)
        _check_members(merged, at, zone, lines)
        for n, till in enumerate(zone.tills):
            if till in zone.tills[:n]:
                merged.note((*at, "tills"), f'"{till}" stands here twice')
            if till not in tills:
                merged.note((*at, "tills"), f'there is no till "{till}"{hint(till, tills)}')
        if zone.parent is not None and zone.parent not in all_zones:
            near = hint(zone.parent, all_zones - {id_})
            merged.note((*at, "parent"), f'there is no zone "{zone.parent}"{near}')
        if zone.hours is not None and zone.hours not in hours:
            merged.note((*at, "hours"), f"there is no [hours.{zone.hours}]{hint(zone.hours, hours)}")
        _check_roster(merged, (*at, "roster"), zone)
        for former in set(zone.was) & all_zones:
            merged.note((*at, "was"), f'"{former}" is a zone of today; ids are never reused')
    _check_circles(merged, zones)


def _check_roster(merged: Merged, at: Key, zone: ZoneTable) -> None:
    """A roster says how many shifts a day has, not when: the hours of the zone do."""
    if zone.roster is None:
        return
    named: set[int] = set()
    for name, shifts in zone.roster.items():
        days = () if name == CROSSINGS else days_of(name)
        if days is None:
            merged.note((*at, name), f"unknown key{hint(name, (*WEEKDAYS, 'mon-fri', CROSSINGS))}")
        elif named & set(days):
            merged.note((*at, name), f"{WEEKDAYS[min(named & set(days))]} is named twice")
        named |= set(days or ())
        if not 0 <= shifts <= MOST_SHIFTS:
            merged.note((*at, name), f"must be 0 to {MOST_SHIFTS}, not {shifts}")
    if zone.staff:
        merged.note(at, "staff is told by the lines of staff already: one of the two")
    if zone.hours is None and not (merged.tree.get("site") or {}).get("hours"):
        merged.note(at, "needs hours, of the zone or the site: staff comes in while it is open")


def staff_a_day(roster: Mapping[str, int]) -> tuple[int, ...]:
    """Entries of staff by weekday from Monday; () without a roster."""
    if not roster:
        return ()
    crossings = roster.get(CROSSINGS, CROSSINGS_PER_SHIFT)
    shifts = {day: n for name, n in roster.items() for day in days_of(name) or ()}
    return tuple(crossings * shifts.get(day, 0) for day in range(7))


def _check_members(merged: Merged, at: Key, zone: ZoneTable, lines: Lines) -> None:
    """A line has one part in a zone: an entrance that is staff's too would leave no visitors."""
    seen: dict[tuple[str, str], str] = {}
    for part in ("entrances", "passing", "staff"):
        for text in getattr(zone, part):
            member = _resolve(merged, (*at, part), text, lines)
            if member and member[1:] in seen:
                where = "here twice" if seen[member[1:]] == part else f"in {seen[member[1:]]} already"
                merged.note((*at, part), f'"{text}" stands {where}')
            elif member:
                seen[member[1:]] = part


def _resolve(merged: Merged, at: Key, text: str, lines: Lines) -> tuple[int, str, str] | None:
    """(sign, counter, line) of a member, or None after noting why not."""
    match = _MEMBER.fullmatch(text)
    if not match:
        merged.note(at, f'"{text}" is not written as counter, counter/line or -counter/line')
        return None
    sign, counter, line = -1 if match[1] else 1, match[2], match[3]
    if counter not in lines:
        merged.note(at, f'there is no counter "{counter}"{hint(counter, lines)}')
        return None
    own = lines[counter]
    if line is None and own == (MAIN_LINE,):
        return sign, counter, MAIN_LINE
    if line is None:
        merged.note(at, f'counter "{counter}" has several lines: name one ({", ".join(own)})')
        return None
    if line not in own:
        merged.note(at, f'counter "{counter}" has no line "{line}"; it has {", ".join(own)}')
        return None
    return sign, counter, line


def _check_circles(merged: Merged, zones: Mapping[str, ZoneTable]) -> None:
    for id_ in zones:
        above, seen = zones[id_].parent, {id_}
        while above is not None and above in zones and above not in seen:
            seen.add(above)
            above = zones[above].parent
        if above == id_:
            merged.note(("zone", id_, "parent"), "the zone would lie within itself")


def zone_spec(id_: str, zone: ZoneTable, counters: Mapping[str, Counter]) -> ZoneSpec:
    """The zone of a checked configuration."""
    lines = {name: tuple(counter.lines) for name, counter in counters.items()}
    members = [
        Member(counter, line, role, sign)
        for role, texts in (
            (Role.ENTRANCE, zone.entrances),
            (Role.PASSING, zone.passing),
            (Role.STAFF, zone.staff),
        )
        for text in texts
        if (found := _resolve(Merged(Path()), (), text, lines))
        for sign, counter, line in [found]
    ]
    members += [Member(till, MAIN_LINE, Role.TILL) for till in zone.tills]
    was, staff = tuple(zone.was), staff_a_day(zone.roster or {})
    return ZoneSpec(id_, zone.kind, tuple(members), zone.parent, was, zone.name, staff, zone.group)


def unused(zones: Iterable[ZoneTable], counters: Iterable[Counter]) -> list[str]:
    """`counter.ID` and `till.ID` that no zone names."""
    zones = list(zones)
    texts = [text for zone in zones for text in (*zone.entrances, *zone.passing, *zone.staff)]
    used = {text.removeprefix("-").partition("/")[0] for text in texts}
    tills = {till for zone in zones for till in zone.tills}
    return [
        f"{'till' if one.till else 'counter'}.{one.id}"
        for one in counters
        if one.id not in (tills if one.till else used)
    ]
