"""`--explain`: every leaf of a body, whether anybody read it, and what did damage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from drivers.bodies import Noise
from drivers.mapping import paths
from drivers.mapping.conditions import fits
from drivers.mapping.formats import Table
from drivers.mapping.paths import Folds, Path, Place, Scope
from drivers.mapping.reading import Reading, checks
from drivers.mapping.table import MappingKeys, ReadingKeys
from drivers.markup import Element, unprefixed
from gateway.driver import Message, Site

MAX_SHOWN = 60  # characters of one value
TORN = {"length": "have more or fewer cells than the header", "syntax": "broken quotation"}

Told = tuple[str, str, bool]  # path, value, used


@dataclass(slots=True)
class Examined:
    """What the readings of a mapping made of one body."""

    used: set[Place] = field(default_factory=set)
    wrong: dict[Place, str] = field(default_factory=dict)
    nowhere: dict[str, str] = field(default_factory=dict)  # path of the mapping → why it gave nothing


def explain_body(
    table: MappingKeys, readings: Sequence[Reading], site: Site, message: Message, root: Any
) -> Iterator[Told]:
    """The leaves in the order of the body, then what the mapping names and the body has not."""
    seen = _examine(table, readings, site, message, root)
    for place, value in _leaves(root):
        note = f"  (damaged: {seen.wrong[place]})" if place in seen.wrong else ""
        yield _spelled(place, root), repr(value)[:MAX_SHOWN] + note, place in seen.used
    gone = _gone(table, root)
    yield from ((name, "no such column", True) for name in gone)
    yield from ((path, f"({why})", True) for path, why in seen.nowhere.items() if path not in gone)


def faults_of(
    table: MappingKeys, readings: Sequence[Reading], site: Site, message: Message, root: Any
) -> Iterator[tuple[str, str]]:
    """(path, why) of what did damage, and where there is none, of what gave nothing. Without any value."""
    seen = _examine(table, readings, site, message, root)
    yield from ((name, "no such column") for name in _gone(table, root))
    if isinstance(root, Table):
        for reason, often in Counter(str(one.reason) for one in root.damaged).items():
            yield f"{often} rows", TORN.get(reason, reason)
    for place, why in seen.wrong.items():
        yield _spelled(place, root), why
    if not seen.wrong:
        yield from seen.nowhere.items()


def _gone(table: MappingKeys, root: Any) -> list[str]:
    """Columns of CSV that the mapping names and the header does not."""
    return sorted(table.columns - set(root.names)) if isinstance(root, Table) else []


def _examine(
    table: MappingKeys, readings: Sequence[Reading], site: Site, message: Message, root: Any
) -> Examined:
    seen = Examined()
    for reading, keys in zip(readings, table.reading, strict=True):
        wanted = checks(keys, table.time, table.format.numerals, site)
        _Seen(root, seen).read(reading, keys, wanted, message)
    return seen


class _Seen:
    """What one reading looked at."""

    def __init__(self, root: Any, seen: Examined) -> None:
        self._root, self._seen = root, seen

    def read(
        self,
        reading: Reading,
        keys: ReadingKeys,
        wanted: dict[str, tuple[str, Callable[[Scope], object]]],
        message: Message,
    ) -> None:
        conditions = [paths.parse(text) for text in (*keys.where, *keys.except_)]
        values = [paths.parse(text) for text in keys.values]
        rows, fitting, given = 0, 0, set[str]()
        for row, above, place in paths.each_row(self._root, reading.rows):
            scope = Scope(message, self._root, row, above, folds=Folds())
            fit = fits(scope, reading.where, reading.unless)
            rows, fitting = rows + 1, fitting + fit
            aboves = paths.above_places(reading.rows, place)
            for path in conditions + (values if fit else []):
                self._look(path, place, aboves)
                if paths.getter(path)(scope) is not None:
                    given.add(path.text)
            for text, (why, check) in wanted.items() if fit else ():
                self._judge(paths.parse(text), why, check, scope, place, aboves)
        if not rows:
            self._seen.nowhere[keys.rows or "$"] = "leads to no row"
        elif not fitting:
            self._seen.nowhere[_asked(keys)] = f"none of {rows} rows is as it says"
        else:
            missing = [text for text in keys.values if text not in given]
            self._seen.nowhere.update(dict.fromkeys(missing, "nothing stands there"))

    def _look(self, path: Path, row: Place, aboves: tuple[Place, ...]) -> None:
        seen = paths.place_of(path, row, aboves)
        if seen is not None:
            self._seen.used.add(_whole(seen, self._root))

    def _judge(
        self,
        path: Path,
        why: str,
        check: Callable[[Scope], object],
        scope: Scope,
        row: Place,
        aboves: tuple[Place, ...],
    ) -> None:
        try:
            check(scope)
        except Noise:
            place = paths.place_of(path, row, aboves)
            if place is not None:
                self._seen.wrong.setdefault(_whole(place, self._root), why)


def _asked(keys: ReadingKeys) -> str:
    return ", ".join([f"where {path}" for path in keys.where] + [f"except {path}" for path in keys.except_])


def _whole(place: Place, root: Any) -> Place:
    """In XML every child is one of a list, and the outermost element need not be named."""
    if not isinstance(root, Element):
        return place
    place = tuple(unprefixed(step) if isinstance(step, str) else step for step in place)
    if place and place[0] == root.tag and root.inner.get(root.tag) is None:
        place = place[1:]
    steps: list[str | int] = []
    for step in place:
        if steps and isinstance(step, str) and isinstance(steps[-1], str):
            steps.append(0)
        steps.append(step)
    if steps and isinstance(steps[-1], str) and not steps[-1].startswith("@"):
        steps.append(0)
    return tuple(steps)


def _leaves(root: Any) -> Iterator[tuple[Place, Any]]:
    heap: list[tuple[Place, Any]] = [((), root)]
    while heap:
        place, value = heap.pop()
        inner = list(_inside(value))
        if inner:
            heap += [((*place, *steps), one) for steps, one in reversed(inner)]
        if not inner or (isinstance(value, Element) and value):
            yield place, str(value) if isinstance(value, Element) else value


def _inside(value: Any) -> Iterator[tuple[Place, Any]]:
    if isinstance(value, Element):
        for name, child in value.inner.items():
            if name.startswith("@"):
                yield (name,), child
            else:
                children = child if isinstance(child, list) else [child]
                yield from (((name, index), one) for index, one in enumerate(children))
    elif isinstance(value, dict):
        yield from (((key,), one) for key, one in value.items())
    elif isinstance(value, list):
        yield from (((index,), one) for index, one in enumerate(value))


def _spelled(place: Place, root: Any) -> str:
    text, at = "", root
    for step in place:
        several = isinstance(at, list)
        at = at.get(step) if isinstance(step, str) else at[step] if several else at
        if isinstance(step, str):
            plain = step if step.isprintable() and not set(step) & set(".[]\"'^$=") else ascii(step)
            text += f".{plain}" if text else plain
        elif several:
            text += f"[{step}]"
    return text or "$"
