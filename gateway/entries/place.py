"""Where and when entries may be about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.calendars import ISO, Weeks
from gateway.config.wording import hint, shown
from gateway.errors import EntryRefused

YEARS = range(1970, 2200)  # calendars end somewhere: nothing is entered near their ends
OUT_OF_TIME = f"must lie between {YEARS.start} and {YEARS.stop}"


@dataclass(frozen=True, slots=True)
class Place:
    """What entries are about: zones, lines as zones write them, and where its clock hangs.

    `groups`: zone → persons who buy together, where that is known.
    """

    timezone: str
    day_start_min: int
    zones: frozenset[str]
    lines: frozenset[str]
    weeks: Weeks = ISO
    groups: Mapping[str, float] = field(default_factory=dict)


def check_known(key: str, name: str, names: frozenset[str]) -> None:
    """Raises EntryRefused, in words, where there is none of that name."""
    if name not in names:
        what = "zone" if key == "controls" else key.removesuffix("s")
        raise EntryRefused(f"{key}: there is no {what} {shown(name)}{hint(name, names)}")
