"""The lines family: how a line becomes a row of fields, which the rules of a mapping then read."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

from pydantic import Field, field_validator, model_validator

from drivers.bodies import MAX_NAME, Noise, parse_json
from drivers.lines.codec import LineCutter, SignCutter, printable
from drivers.lines.patterns import LONGEST, MOST_STEPS, compile_pattern, steps
from drivers.mapping.family import Mapped, MappingLine, MappingMatch
from drivers.mapping.reading import basis_of, leading_basis
from drivers.mapping.table import (
    DELTAS,
    PLACES,
    RECEIPTS,
    TOTALS,
    MappingKeys,
    ReadingKeys,
    read_table,
    resets_of,
)
from gateway.driver import Device, Family, Kind, Match, Message, Options, Side, Site
from gateway.model import (
    DEVICE,
    MAIN_LINE,
    Basis,
    Crossings,
    Damaged,
    DamageReason,
    DeviceState,
    Ignored,
    Item,
    Occupancy,
    Resets,
    Status,
    Transactions,
)

FIELDS = frozenset((*DELTAS, *TOTALS, *RECEIPTS, *PLACES, "persons"))
COUNTS = (*DELTAS, *TOTALS, *RECEIPTS)
UNFIT = Ignored("no pattern fits")
LEVEL_ONLY = "says only how many are inside: who came in and who left is not known"
LONGEST_DETAIL = 120  # characters of a device's own words

Row = Callable[[str], Any]  # a line's fields, None when it does not fit; raises Noise


class StatusLine(Options):
    """A line in which the device speaks of itself."""

    pattern: str = Field(description="the whole line as a regular expression")
    state: DeviceState = Field(DeviceState.DEGRADED, description="ok, degraded or fault")
    detail: str | None = Field(None, max_length=LONGEST_DETAIL, description="in words; default: the line")


class LinesOptions(Options):
    """A board that prints lines. Without pattern, csv, json and reading: bare signs."""

    pattern: str | None = Field(
        None, description="the whole line as a regular expression; groups are named as fields of a mapping"
    )
    csv: list[str] | None = Field(
        None, min_length=1, max_length=64, description='fields in columns, in order; "" passes one over'
    )
    separator: str = Field(",", min_length=1, max_length=1, description="between the columns of csv")
    json_: bool = Field(False, alias="json", description="each line is JSON; reading says what is in it")
    signs: str = Field("+-", min_length=2, max_length=2, description="bare signs: for in, for out")
    reading: list[dict[str, Any]] = Field(
        [], max_length=16, description="readings as in a mapping; each may have a pattern of its own"
    )
    base: dict[str, Any] = Field({}, description="keys common to all readings: register, factor, epoch, …")
    time: dict[str, Any] = Field({}, description="how the device writes time, as in a mapping")
    status: list[StatusLine] = Field(
        [], max_length=16, description="lines in which it speaks of itself: pattern, state, detail"
    )
    match: MappingMatch = Field(default_factory=MappingMatch, description="ids the line must carry")

    @field_validator("signs")
    @classmethod
    def _two(cls, signs: str) -> str:
        if signs[0] == signs[1] or not signs.isascii() or not signs.isprintable() or " " in signs:
            raise ValueError("two different printed characters, for in and for out")
        return signs

    @model_validator(mode="after")
    def _sound(self) -> LinesOptions:
        shapes = [
            name
            for name, given in (("pattern", self.pattern), ("csv", self.csv), ("json", self.json_))
            if given
        ]
        if len(shapes) > 1:
            raise ValueError(f"{shapes[1]}: a line is described by one of pattern, csv, json")
        if self.json_ and not self.reading:
            raise ValueError("reading: missing: which of the fields count?")
        patterns = [shape.pattern for shape in _shapes(self) if shape.pattern]
        patterns += [said.pattern for said in self.status]
        for said in self.status:
            compile_pattern(said.pattern)
        if sum(map(steps, patterns)) > MOST_STEPS:
            raise ValueError("pattern: all patterns together could take too long")
        return self


@dataclass(frozen=True, slots=True)
class _Shape:
    """One way to read a line, and the readings of what it gives."""

    row: Row
    table: MappingKeys
    pattern: str | None = None


def _shapes(options: LinesOptions) -> list[_Shape]:
    """Raises ValueError whose lines are `key: sentence`."""
    own = [str(reading["pattern"]) if "pattern" in reading else None for reading in options.reading]
    if not any((options.pattern, options.csv, options.json_, options.reading)):
        return [_Shape(_sign, _table(options, _sign_readings(options.signs)))]
    if not options.reading:
        return [_shape(options, options.pattern, [{}])]
    if None in own and not (options.pattern or options.csv or options.json_):
        raise ValueError(f"reading[{own.index(None)}]: pattern: missing, here or for all")
    shapes = []
    shared = [reading for reading, pattern in zip(options.reading, own, strict=True) if pattern is None]
    if shared:
        shapes.append(_shape(options, options.pattern, shared))
    for reading, pattern in zip(options.reading, own, strict=True):
        if pattern is not None:
            rest = {key: value for key, value in reading.items() if key != "pattern"}
            shapes.append(_shape(options, pattern, [rest]))
    return shapes


def _shape(options: LinesOptions, pattern: str | None, readings: list[dict[str, Any]]) -> _Shape:
    """Fields that are named like those of a mapping mean what they say."""
    if pattern is not None:
        try:
            compiled = compile_pattern(pattern)
        except ValueError as error:
            raise ValueError(f"pattern: {error}") from None
        row, names = _matched(compiled), list(compiled.groupindex)
    elif options.csv is not None:
        row, names = _columns(options.csv, options.separator), options.csv
    else:
        row, names = _parsed, []
    implied = {name: name for name in names if name in FIELDS}
    explicit = {path for reading in readings for path in reading.values() if isinstance(path, str)}
    implied = {name: path for name, path in implied.items() if path not in explicit}
    return _Shape(row, _table(options, [{**implied, **reading} for reading in readings]), pattern)


def _table(options: LinesOptions, readings: list[dict[str, Any]]) -> MappingKeys:
    return read_table({"base": options.base, "time": options.time, "reading": readings})


def _sign_readings(signs: str) -> list[dict[str, Any]]:
    return [{"where": {"sign": signs[0]}, "ins": "=1"}, {"where": {"sign": signs[1]}, "outs": "=1"}]


def _sign(text: str) -> Any:
    return {"sign": text}


def _matched(pattern: re.Pattern[str]) -> Row:
    def row(text: str) -> Any:
        if len(text) > LONGEST:
            raise Noise(DamageReason.LENGTH)
        found = pattern.fullmatch(text)
        return found.groupdict() if found else None

    return row


def _columns(names: list[str], separator: str) -> Row:
    def row(text: str) -> Any:
        try:
            values = next(csv.reader([text], delimiter=separator, skipinitialspace=True, strict=True))
        except csv.Error:
            raise Noise(DamageReason.SYNTAX) from None
        if len(values) == 1 < len(names):
            return None  # a board's greeting has no columns
        if len(values) != len(names):
            raise Noise(DamageReason.LENGTH)
        return {name: value.strip() for name, value in zip(names, values, strict=True) if name}

    return row


def _parsed(text: str) -> Any:
    """A JSON line; other text is a board's greeting."""
    return parse_json(text.encode()) if text[0] in "{[" else None


class Lines:
    """Stream: lines or signs, each read as one row by a mapping's readings."""

    def __init__(self, options: LinesOptions, site: Site) -> None:
        shapes = _shapes(options)
        self._readers = [(shape.row, Mapped(shape.table, site)) for shape in shapes]
        self._status = [(compile_pattern(said.pattern), said) for said in options.status]
        self._counter = options.match.counter or options.match.till or DEVICE
        bare = shapes[0].row is _sign
        self._cutters = {side: SignCutter(options.signs) if bare else LineCutter() for side in Side}
        self._level_only = not any(keys.given(COUNTS) for shape in shapes for keys in shape.table.reading)

    def feed(self, data: bytes, at_ms: int, side: Side = Side.DEVICE) -> Iterable[Item]:
        items: list[Item] = []
        for piece in self._cutters[side].feed(data, at_ms):
            if isinstance(piece, Damaged | Ignored):
                items.append(piece)
            else:
                items += self._read(piece, at_ms)
        return items

    def reopened(self, side: Side) -> None:
        self._cutters[side].reopened()

    def _read(self, piece: bytes | str, at_ms: int) -> list[Item]:
        size = len(piece)
        text = piece if isinstance(piece, str) else printable(piece)
        if text is None:
            return [Damaged(DamageReason.SYNTAX, size)]
        items = self._said(text)
        message = Message(text.encode(), at_ms)
        for row, mapped in self._readers:
            try:
                root = row(text)
            except Noise as noise:
                items.append(Damaged(noise.reason, size))
                continue
            if root is not None:
                items += mapped.read(message, root)
        return [told for item in items for told in self._honest(item)] or [UNFIT]

    def _said(self, text: str) -> list[Item]:
        if len(text) > LONGEST:
            return []
        return [
            Status(self._speaker(found), None, said.state, said.detail or text[:LONGEST_DETAIL])
            for pattern, said in self._status
            if (found := pattern.fullmatch(text))
        ]

    def _speaker(self, found: re.Match[str]) -> str:
        named: str | None = found.groupdict().get("counter")
        return (named or self._counter)[:MAX_NAME]

    def _honest(self, item: Item) -> Iterator[Item]:
        """A count without any time happened when it was heard; a level alone is no count."""
        if isinstance(item, Crossings | Transactions) and item.start_ms is None:
            yield replace(item, basis=Basis.EVENT)
            return
        yield item
        if self._level_only and isinstance(item, Occupancy):
            yield Status(item.counter, None, DeviceState.DEGRADED, LEVEL_ONLY)


def _open(device: Device) -> Lines:
    return Lines(cast("LinesOptions", device.options), device.site)


def problems(device: Device) -> list[str]:
    """What only the site can tell: a zone that is not one."""
    try:
        _open(device)
    except ValueError as error:
        return str(error).splitlines()
    return []


def _match(device: Device) -> Match:
    options = cast("LinesOptions", device.options)
    match = options.match
    lines = {cast("MappingLine", line).line: ours for ours, line in device.lines.items()}
    if match.line:
        lines[match.line] = MAIN_LINE
    elif not any(keys.line for shape in _shapes(options) for keys in shape.table.reading):
        lines[MAIN_LINE] = MAIN_LINE  # also where only a level is told, which adopts no line
    return Match(match.till or match.counter, {theirs: ours for theirs, ours in lines.items() if theirs})


def _basis(device: Device) -> Basis:
    tables = [shape.table for shape in _shapes(cast("LinesOptions", device.options))]
    return leading_basis(_heard_as(keys, table) for table in tables for keys in table.reading)


def _heard_as(keys: ReadingKeys, table: MappingKeys) -> Basis:
    timed = keys.given(("start", "end", "at"))
    return basis_of(keys, table.time) if timed or not keys.given(DELTAS) else Basis.EVENT


def _resets(device: Device) -> Resets:
    shapes = _shapes(cast("LinesOptions", device.options))
    told = [resets_of(shape.table) for shape in shapes]
    return next((word for word in told if word is not Resets.POWER), Resets.POWER)


FAMILY = Family(
    name="lines",
    summary="text lines of boards and sketches: pattern, CSV, JSON or bare + and -; by configuration",
    kind=Kind.STREAM,
    over=frozenset({"serial", "tcp"}),
    options=LinesOptions,
    line_options=MappingLine,
    open=_open,
    match=_match,
    basis=Basis.EVENT,
    resets=Resets.POWER,
    basis_of=_basis,
    resets_of=_resets,
    problems=problems,
)
