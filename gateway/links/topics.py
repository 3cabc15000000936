"""Which sources want a topic, and the fewest MQTT filters that bring everything wanted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from gateway.driver import Driver

REMEMBERED_TOPICS = 10_000


class Source(Protocol):
    """One decoder on one link, as the roster hands it out."""

    @property
    def driver(self) -> Driver: ...
    @property
    def topics(self) -> Sequence[str]: ...


def covers(wide: str, narrow: str) -> bool:
    """Does every topic of filter (or topic) `narrow` also match filter `wide`?"""
    wide_levels, narrow_levels = wide.split("/"), narrow.split("/")
    if narrow.startswith("$") and wide_levels[0] in ("+", "#"):
        return False
    for at, level in enumerate(wide_levels):
        if level == "#":
            return True
        if at >= len(narrow_levels) or narrow_levels[at] == "#":
            return False
        if level not in ("+", narrow_levels[at]):
            return False
    return len(wide_levels) == len(narrow_levels)


def fewest(filters: Iterable[str]) -> list[str]:
    """Without those that another one covers: overlapping subscriptions may bring a message twice."""
    unique = sorted(set(filters))
    return [one for one in unique if not any(other != one and covers(other, one) for other in unique)]


class Directory:
    """Sources by exact topic; filters are matched once per topic and remembered (bounded)."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._known: dict[bytes, tuple[str, list[Source]]] = {}
        self.filters = fewest(topic for source in sources for topic in source.topics)

    def find(self, raw: bytes) -> tuple[str, list[Source]]:
        """The topic as text and who wants it."""
        found = self._known.get(raw)
        return found if found is not None else self._search(raw)

    def _search(self, raw: bytes) -> tuple[str, list[Source]]:
        topic = raw.decode("utf-8", "replace")
        wanted = [source for source in self._sources if any(covers(one, topic) for one in source.topics)]
        if len(self._known) >= REMEMBERED_TOPICS:
            self._known.clear()
        self._known[raw] = topic, wanted
        return topic, wanted
