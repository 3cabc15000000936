"""The paths of a mapping: where a value stands, seen from a row.

`Name.Sub[0]` starts at the row, `$.` at the payload, `^.` at the row above; `topic[n]`, `header.N`, `link`
are the envelope and `=text` is itself. `"a.b"` quotes a name. In XML the outermost element's name may be left
out, and `@name` is an attribute. Each path is compiled once to a closure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from drivers.markup import Element
from gateway.driver import Message

STEP = re.compile(r"""\.?(?:"([^"]+)"|'([^']+)'|([^.\[\]"'^$=]+))|\[(\d+|\*)\]""")
EVERY = "*"


class Origin(StrEnum):
    ROW = "row"
    ROOT = "$"
    ABOVE = "^"
    TOPIC = "topic"
    HEADER = "header"
    LINK = "link"
    CONSTANT = "="


@dataclass(slots=True)
class Scope:
    """Where a reading stands while it reads: one row of one message."""

    message: Message
    root: Any
    row: Any
    above: Any = None  # (row, above) of the row above, or None
    series: object = None  # whose local stamps these are
    folds: Folds | None = None
    begun: datetime | None = None  # the local start of an interval
    early: dict[str, int] | None = None  # the earlier instants of doubled stamps
    late_ms: int = 0  # the later one of the last of them
    told: bool = False  # the body itself says which of the two is meant


@dataclass(slots=True)
class Folds:
    """Local stamps of the repeated autumn hour met in one message: (series, field, stamp) → how often."""

    seen: dict[object, int] = field(default_factory=dict)
    taken: dict[object, int] | None = None  # on the second reading: how often already


Getter = Callable[[Scope], Any]
Step = str | int


@dataclass(frozen=True, slots=True)
class Path:
    """A parsed path. `up` counts the rows above; `[*]` stands among the steps as EVERY of `rows` only."""

    text: str
    origin: Origin
    steps: tuple[Step, ...] = ()
    up: int = 0
    constant: str = ""


def parse(text: str, *, rows: bool = False) -> Path:
    """Raises ValueError in words."""
    if text.startswith("="):
        return Path(text, Origin.CONSTANT, constant=text[1:])
    if text == "link":
        return Path(text, Origin.LINK)
    if found := re.fullmatch(r"topic\[(\d+)\]|topic", text):
        return Path(text, Origin.TOPIC, (int(found[1]),) if found[1] else ())
    if text.startswith("header."):
        return Path(text, Origin.HEADER, (text[7:].lower(),))
    origin, rest, up = _origin(text)
    steps = _steps(text, rest)
    if EVERY_STEP in steps and not rows:
        raise ValueError(f"{text!r}: [*] stands for many values; it belongs in rows")
    return Path(text, origin, steps, up)


EVERY_STEP: Step = -1  # an index no path can name


def _origin(text: str) -> tuple[Origin, str, int]:
    if text == "$" or text.startswith(("$.", "$[")):
        return Origin.ROOT, text[1:], 0
    up = 0
    while text == "^" or text.startswith(("^.", "^[")):
        text, up = text[1:].removeprefix("."), up + 1
    return (Origin.ABOVE if up else Origin.ROW), text, up


def _steps(whole: str, rest: str) -> tuple[Step, ...]:
    steps: list[Step] = []
    position = 0
    while position < len(rest):
        found = STEP.match(rest, position)
        if found is None:
            raise ValueError(f"{whole!r}: not a path (at {rest[position:]!r})")
        position = found.end()
        if found[4] is None:
            steps.append(found[1] or found[2] or found[3])
        else:
            steps.append(EVERY_STEP if found[4] == EVERY else int(found[4]))
    if not whole:
        raise ValueError("an empty path")
    return tuple(steps)


def getter(path: Path) -> Getter:
    """The closure that reads the value at `path`: None where there is nothing."""
    special = _envelope(path)
    if special is not None:
        return special
    steps, up = path.steps, path.up
    if path.origin is Origin.ROOT:
        return lambda scope: walk(scope.root, steps)
    if path.origin is Origin.ABOVE:
        return lambda scope: walk(_above(scope, up), steps)
    if len(steps) == 1 and isinstance(steps[0], str):
        return _member(steps[0])
    return lambda scope: walk(scope.row, steps)


def is_member(text: str) -> bool:
    """Is it just the name of a value in the row?"""
    path = parse(text)
    return path.origin is Origin.ROW and len(path.steps) == 1 and isinstance(path.steps[0], str)


def _member(key: str) -> Getter:
    def member(scope: Scope) -> Any:
        try:
            return scope.row[key]
        except (KeyError, TypeError, IndexError):
            return None

    return member


def _envelope(path: Path) -> Getter | None:
    if path.origin is Origin.CONSTANT:
        constant = path.constant
        return lambda _scope: constant
    if path.origin is Origin.LINK:
        return lambda scope: scope.message.link or None
    if path.origin is Origin.TOPIC:
        level = path.steps[0] if path.steps else None
        return lambda scope: _topic(scope.message.topic, level)
    if path.origin is Origin.HEADER:
        wanted = path.steps[0]
        return lambda scope: next(
            (value for key, value in scope.message.headers.items() if key.lower() == wanted), None
        )
    return None


def _topic(topic: str, level: Step | None) -> str | None:
    if not isinstance(level, int):
        return topic or None
    levels = topic.split("/")
    return levels[level] if level < len(levels) else None


def _above(scope: Scope, up: int) -> Any:
    found = scope.above
    for _ in range(up - 1):
        found = found[1] if found else None
    return found[0] if found else None


NAMED = (dict, Element)


def walk(value: Any, steps: tuple[Step, ...]) -> Any:
    """Down the steps; None where the way ends. Several elements of one name stay several."""
    for step in steps:
        if isinstance(value, NAMED) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value):
            value = value[step]
        elif isinstance(value, list) and value and isinstance(value[0], Element):
            return value
        elif not isinstance(value, Element) or step != 0:
            return None
    return value


Place = tuple[Step, ...]  # the address of a value in the payload


def each_row(root: Any, path: Path | None) -> Iterator[tuple[Any, Any, Place]]:
    """(row, above, place) of every row. Without a path: the payload, or each element of a list."""
    if path is None:
        path = ITSELF if not isinstance(root, list) else ELEMENTS
    yield from _rows(root, path.steps, None, ())


def _rows(value: Any, steps: tuple[Step, ...], above: Any, place: Place) -> Iterator[tuple[Any, Any, Place]]:
    if EVERY_STEP not in steps:
        found = walk(value, steps)
        if found is not None:
            yield found, (value, above) if steps else above, place + steps
        return
    at = steps.index(EVERY_STEP)
    found, below = walk(value, steps[:at]), (value, above)
    if isinstance(found, Element):  # one element is a list of one
        found = [found]
    if isinstance(found, list):
        for index, element in enumerate(found):
            here = (*place, *steps[:at], index)
            if at + 1 == len(steps):
                yield element, below, here
            else:
                yield from _rows(element, steps[at + 1 :], below, here)


ITSELF = Path("$", Origin.ROOT)
ELEMENTS = Path("$[*]", Origin.ROOT, (EVERY_STEP,))


def place_of(path: Path, row: Place, aboves: tuple[Place, ...]) -> Place | None:
    """The payload address of a path seen from the row at `row`; None for the envelope."""
    if path.origin is Origin.ROW:
        return row + path.steps
    if path.origin is Origin.ROOT:
        return path.steps
    if path.origin is Origin.ABOVE and path.up <= len(aboves):
        return aboves[path.up - 1] + path.steps
    return None


def above_places(rows: Path | None, row: Place) -> tuple[Place, ...]:
    """Addresses of the rows above the row at `row`, nearest first."""
    steps = rows.steps if rows else (EVERY_STEP,) * len(row)
    starts = [0, *(i + 1 for i, step in enumerate(steps) if step == EVERY_STEP and i + 1 < len(steps))]
    return tuple(row[:start] for start in reversed(starts))
