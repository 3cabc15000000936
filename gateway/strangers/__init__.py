"""Who talks and is nobody's: devices, topics and payloads that no configured counter stands for.

In memory only, bounded, and without a payload: of one that nobody understands its paths are kept with the
shape of their values (`docs/decisions/019`). Nothing here counts anybody.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from gateway.driver import Family, Message
from gateway.model import DEVICE, MAIN_LINE, Damaged, Ignored, Item, Stamp, Status, Transactions
from gateway.roster import Resolved, Roster, Source, topic_fits
from gateway.strangers.looking import Look, device_of, look, words
from gateway.strangers.suggesting import suggestion

MAX_STRANGERS = 256  # beyond, whoever was silent longest is forgotten
MAX_LINES = 16  # of one device
MAX_PLACES = 10_000  # topics, paths and addresses from which something was counted
MAX_LOOKED_BYTES = 65_536  # of a longer payload only its length is told
LOOK_PAUSE_MS = 1000  # from one closer look at a payload to the next, once the burst is used up
MAX_BURST = 16
MAX_LOOKING = 4  # payloads held for a look that is under way
MAX_LOGGED = 256  # devices named in the log, in one run

log = logging.getLogger(__name__)

Place = tuple[str, str, str]  # link, topic (or path of a push), address of the other side
Catch = Callable[["Heard"], None]
Aside = Callable[[Callable[[], Look], Callable[[Look], None]], object]  # work somewhere, then here


@dataclass(slots=True)  # one for each message: freezing it costs more than all that is asked of it
class Heard:
    """One message as a link heard it. `peer`: the address it was pushed from."""

    link: str
    stamp: Stamp
    payload: bytes = b""
    topic: str = ""
    peer: str = ""

    @property
    def place(self) -> Place:
        return self.link, self.topic, self.peer


@dataclass(slots=True)
class Stranger:
    """One unknown device, or one place from which came what nobody understands (`device` "")."""

    link: str
    topic: str
    peer: str
    device: str
    why: str  # it is not counted
    first_ms: int
    last_ms: int = 0
    times: int = 0  # messages
    till: bool = False
    family: Family | None = None  # whose decoder reads it
    guessed: bool = False  # that family is not configured there; it understood one payload
    options: Mapping[str, object] = field(default_factory=dict)  # of the decoder, as the file has them
    mappings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    lines: dict[str, str] = field(default_factory=dict)  # device line → its last item in words
    look: Look | None = None

    def take(self, items: Sequence[Item]) -> None:
        """What it said last, line by line."""
        for item in (one for one in items if not isinstance(one, Status)):
            self.till |= isinstance(item, Transactions)
            line = getattr(item, "line", MAIN_LINE)
            if line in self.lines or len(self.lines) < MAX_LINES:
                self.lines[line] = words(item)

    def guess(self, found: Look) -> None:
        """A closer look at its payload."""
        self.look = found
        if found.family is not None:
            self.family, self.guessed = found.family, True
            self.device = found.device
            self.take(found.items)


@dataclass(frozen=True, slots=True)
class Told:
    """A stranger as `discover` shows it."""

    link: str
    topic: str
    peer: str
    device: str
    driver: str
    guessed: bool
    why: str
    times: int
    first_heard_ms: int
    last_heard_ms: int
    lines: Mapping[str, str]
    format: str
    bytes: int
    paths: Sequence[tuple[str, str]]
    table: str  # counter or till
    suggestion: str  # a line for that table; "" where there is none


@dataclass(slots=True)
class _Looks:
    """How many closer looks may be taken now."""

    left: float = MAX_BURST
    at_ms: int = 0

    def take(self, now_ms: int) -> bool:
        self.left = min(MAX_BURST, self.left + max(0, now_ms - self.at_ms) / LOOK_PAUSE_MS)
        self.at_ms = now_ms
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Strangers:
    """`overs`: link → what carries it. `aside` takes a closer look, which may last, and brings the result."""

    def __init__(
        self,
        roster: Roster,
        overs: Mapping[str, str],
        aside: Aside = lambda work, then: then(work()),
    ) -> None:
        self._roster, self._overs, self._aside = roster, overs, aside
        self._all: OrderedDict[tuple[str, str, str, str], Stranger] = OrderedDict()
        self._places: set[Place] = set()
        self._logged: set[tuple[str, str]] = set()
        self._looking = 0
        self._looks = _Looks()
        self.catching: set[Catch] = set()  # who waits for a stranger's next payload

    def note(self, source: Source, resolved: Resolved, heard: Heard) -> None:
        """After each message or poll of a decoder."""
        if resolved.unknown:
            self._unknown(source, resolved.unknown, heard)
        elif resolved.bookings or resolved.statuses:
            if len(self._places) < MAX_PLACES:
                self._places.add(heard.place)
        elif heard.payload and heard.place not in self._places and (resolved.damaged or resolved.ignored):
            made = _made_of_it(resolved.damaged, resolved.ignored)
            names = ", ".join(route.counter for route in source.hearing(heard.topic)) or "nobody"
            self.overheard(heard, f"{source.family.name} (for {names}) makes no count of it: {made}")

    def overheard(self, heard: Heard, why: str) -> None:
        """A payload that nobody understood."""
        stranger = self._met(heard, "", why)
        self._tell(heard)
        if stranger.look is None and self._looking < MAX_LOOKING and self._looks.take(heard.stamp.mono_ms):
            self._looking += 1
            self._aside(partial(self._look, heard), partial(self._looked, stranger))

    def count(self, link: str) -> int:
        """How many are remembered of a link."""
        return sum(one.link == link for one in self._all.values())

    def of_link(self, link: str) -> Iterator[Stranger]:
        """Those whose device is known by its id."""
        return (one for one in self._all.values() if one.link == link and one.device and not one.guessed)

    def told(self) -> list[Told]:
        """All of them, whoever spoke last first."""
        return [_told(one) for one in reversed(self._all.values())]

    def _unknown(self, source: Source, items: Sequence[Item], heard: Heard) -> None:
        by_device: dict[str, list[Item]] = {}
        for item in items:
            by_device.setdefault(device_of(item), []).append(item)
        for device, said in by_device.items():
            if not self._is_anothers(source, device, heard):
                stranger = self._met(heard, device, self._why(source, device, said, heard.topic))
                stranger.family, stranger.options, stranger.mappings = _decoder(source)
                stranger.take(said)
                self._log(stranger)
        self._tell(heard)

    def _is_anothers(self, source: Source, device: str, heard: Heard) -> bool:
        """Another decoder of the link takes it: only for this one is it a stranger."""
        others = (one for one in self._roster.sources(heard.link) if one is not source)
        return any(
            route.device in (None, device) and one.family is source.family
            for one in others
            for route in one.hearing(heard.topic)
        )

    def _why(self, source: Source, device: str, said: Sequence[Item], topic: str) -> str:
        mine = [route.counter for route in source.hearing(topic) if route.device in (None, device)]
        if mine:
            line = getattr(said[0], "line", MAIN_LINE)
            return f"its line {line!r} is not configured; others of it count as {', '.join(mine)}"
        return "no counter or till here has this id" if source.routes else "nothing is configured here"

    def _met(self, heard: Heard, device: str, why: str) -> Stranger:
        key = (*heard.place, device)
        stranger = self._all.get(key)
        if stranger is None:
            stranger = self._all[key] = Stranger(*heard.place, device, why, heard.stamp.wall_ms)
            if len(self._all) > MAX_STRANGERS:
                self._all.popitem(last=False)
        self._all.move_to_end(key)
        stranger.times += 1
        stranger.why, stranger.last_ms = why, heard.stamp.wall_ms
        return stranger

    def _look(self, heard: Heard) -> Look:
        if len(heard.payload) > MAX_LOOKED_BYTES:
            return Look("", len(heard.payload))
        message = Message(heard.payload, heard.stamp.wall_ms, heard.topic, link=heard.link)
        return look(message, self._overs.get(heard.link, ""))

    def _looked(self, stranger: Stranger, found: Look) -> None:
        self._looking -= 1
        stranger.guess(found)

    def _tell(self, heard: Heard) -> None:
        for catch in tuple(self.catching) if heard.payload else ():
            catch(heard)

    def _log(self, stranger: Stranger) -> None:
        """Each device once, with the line it was first met by."""
        name = (stranger.link, stranger.device)
        if name not in self._logged and len(self._logged) < MAX_LOGGED:
            self._logged.add(name)
            line = next(iter(stranger.lines), MAIN_LINE)
            log.warning("link %s: counts of unknown device %r, line %r, are left out", *name, line)


def _made_of_it(damaged: Sequence[Damaged], ignored: Sequence[Ignored]) -> str:
    kinds = [f"damaged ({one.reason})" for one in damaged] + [f"ignored ({one.reason})" for one in ignored]
    return kinds[0]


def _decoder(source: Source) -> tuple[Family, Mapping[str, object], Mapping[str, Mapping[str, object]]]:
    options = source.device.options.model_dump(
        mode="json", by_alias=True, exclude_unset=True, exclude={"topic", "match", "serial"}
    )
    return source.family, options, source.device.shared


def _told(one: Stranger) -> Told:
    seen = one.look or Look("", 0)
    line = ""
    if one.family is not None or seen.mappable:
        line = suggestion(
            one.link, one.topic, one.device, one.lines, one.family, one.options, one.mappings, till=one.till
        )
    return Told(
        link=one.link,
        topic=one.topic,
        peer=one.peer,
        device="" if one.device == DEVICE else one.device,
        driver=one.family.name if one.family else "",
        guessed=one.guessed,
        why=one.why,
        times=one.times,
        first_heard_ms=one.first_ms,
        last_heard_ms=one.last_ms,
        lines=dict(one.lines),
        format=seen.format,
        bytes=seen.bytes,
        paths=seen.paths,
        table="till" if one.till else "counter",
        suggestion=line,
    )


def fits(place: str, heard: Heard) -> bool:
    """`LINK`, or `LINK/TOPIC` with MQTT's wildcards: is it from there?"""
    link, slash, topic = place.partition("/")
    return heard.link == link and (not slash or topic_fits(topic, heard.topic))
