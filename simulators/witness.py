"""What the daemon says of itself while misfortunes happen: what it must notice, in its own words."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

LOOK_TIMEOUT_S = 3.0
Live: TypeAlias = Mapping[str, Any]  # the answer of /api/v1/live
Sight: TypeAlias = Callable[[Live], str]  # its words once it has noticed, before that ""


@dataclass(slots=True)
class Witness:
    """`expect` what must be noticed, `look` now and then; `missing` is what was never said."""

    port: int
    missing: dict[str, Sight] = field(default_factory=dict)

    def expect(self, what: str, sight: Sight) -> None:
        self.missing[what] = sight

    def look(self) -> list[str]:
        """What the daemon has come to say since the last look; nothing while it does not answer."""
        if not self.missing:
            return []
        try:
            url = f"http://127.0.0.1:{self.port}/api/v1/live"
            with urllib.request.urlopen(url, timeout=LOOK_TIMEOUT_S) as answer:
                live = json.load(answer)
        except OSError:
            return []
        said = {what: sight(live) for what, sight in self.missing.items()}
        self.missing = {what: sight for what, sight in self.missing.items() if not said[what]}
        return [words for words in said.values() if words]


@dataclass(slots=True)
class Backlog:
    """Events pending for all receivers: that they grow, and afterwards that none is left."""

    lowest: int | None = None
    risen: bool = False

    def rises(self, live: Live) -> str:
        pending = _pending(live)
        if self.lowest is None or pending < self.lowest:
            self.lowest = pending
        self.risen = self.risen or pending > self.lowest
        return f"{pending} events are pending" if self.risen else ""

    def drains(self, live: Live) -> str:
        return "head office has everything that was pending" if self.risen and not _pending(live) else ""


def _pending(live: Live) -> int:
    return sum(int(upstream["pending"]) for upstream in live["upstreams"])


def counter_says(counter: str, state: str, words: str = "") -> Sight:
    """That a counter is in this state, with these words in the detail."""

    def sight(live: Live) -> str:
        for one in live["counters"]:
            if one["counter"] == counter and one["state"] == state and words in one["detail"]:
                return f"{counter} is {state}" + f" ({one['detail']})" * bool(one["detail"])
        return ""

    return sight


def link_says(link: str, words: str = "") -> Sight:
    """That a link is down for a reason with these words in it; without words, that it is up."""

    def sight(live: Live) -> str:
        for one in live["links"]:
            if one["link"] == link and one["up"] is not bool(words) and words in one["error"]:
                return f"link {link} is " + (f"down ({one['error']})" if words else "up")
        return ""

    return sight
