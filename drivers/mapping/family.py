"""The mapping family: options, and the compiled mapping at work."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any, cast

from pydantic import Field, model_validator

from drivers.bodies import Noise
from drivers.mapping import paths
from drivers.mapping.explaining import explain_body, faults_of
from drivers.mapping.formats import Table
from drivers.mapping.outline import outline
from drivers.mapping.paths import Folds, Scope
from drivers.mapping.reading import basis_of, compile_reading, leading_basis
from drivers.mapping.stream import Bodies
from drivers.mapping.table import (
    DELTAS,
    RECEIPTS,
    MappingKeys,
    ReadingKeys,
    TimeKeys,
    read_table,
    resets_of,
)
from gateway.driver import (
    Device,
    Family,
    Fetch,
    Kind,
    LineOptions,
    Match,
    Message,
    Options,
    Response,
    Side,
    Site,
)
from gateway.errors import ConfigurationError
from gateway.model import Basis, Crossings, Damaged, DamageReason, Ignored, Item, Resets, Transactions

EMPTY = Ignored("empty message")
RETAINED = Ignored("retained message")
UNFIT = Ignored("no reading of the mapping fits")
TIMEOUT_MS = 30_000  # of an answer over pull
DATELESS = Ignored("row without its time")


class MappingMatch(Options):
    """What the payload must say to be this counter's or till's."""

    counter: str | None = Field(default=None, description="the device's id in the payload")
    till: str | None = Field(default=None, description="the till's id in the payload")
    line: str | None = Field(default=None, description="the device's name of the counter's only line")


class MappingOptions(Options):
    """A counter or till whose payload the configuration describes."""

    mapping: str | dict[str, Any] = Field(description="name of a [mapping] table, or the table itself")
    topic: str | None = Field(default=None, description="MQTT topic or filter the device publishes to")
    path: str = Field(
        default="",
        pattern=r"^(|[/?][!-~]*)$",
        description="over pull: what is asked for, below the link's url, as in /counts?last=2h",
    )
    match: MappingMatch = Field(default_factory=MappingMatch, description="ids the payload must carry")

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, given: Any) -> Any:
        """A mapping table on its own, or a file with one [mapping.x], stands for `mapping = …`."""
        if not isinstance(given, Mapping):
            return given
        if "reading" in given:
            return {"mapping": dict(given)}
        inner = given.get("mapping")
        if isinstance(inner, Mapping) and "reading" not in inner:
            named = [
                name for name, table in inner.items() if isinstance(table, Mapping) and "reading" in table
            ]
            if len(named) == 1:
                return {**given, "mapping": inner[named[0]]}
            if named:
                raise ValueError(f"several mappings ({', '.join(named)}): give one of them")
        return given

    @model_validator(mode="after")
    def _sound(self) -> MappingOptions:
        if not isinstance(self.mapping, str):
            read_table(self.mapping)
        return self


class MappingLine(LineOptions):
    """One line of the device."""

    line: str | None = Field(default=None, description="the device's name of this line in the payload")


def _undated(item: Item) -> bool:
    return isinstance(item, Crossings | Transactions) and item.start_ms is None


class Mapped:
    """Messages: a compiled mapping, stateless between messages."""

    def __init__(self, table: MappingKeys, site: Site) -> None:
        self.table = table
        self.readings = [
            compile_reading(keys, table.time, table.format.numerals, site, number)
            for number, keys in enumerate(table.reading)
        ]
        self.parse = table.format.parser(table.columns)
        self._folds = Folds()
        self._bodies = Bodies(table.format, table.columns)
        self._timed = any(keys.given(("start", "end", "at")) for keys in table.reading)
        self._only_row = all(reading.rows is None for reading in self.readings)

    def decode(self, message: Message) -> Iterable[Item]:
        if not message.payload or message.payload.isspace():
            return [EMPTY]
        if message.retained and self.table.retained is False:
            return [RETAINED]
        try:
            root = self.parse(message.payload)
        except Noise as noise:
            return [Damaged(noise.reason, len(message.payload))]
        items = self.read(message, root)
        if isinstance(root, Table):
            return self._rows_of(root, items, len(message.payload))
        return items or [UNFIT]

    def feed(self, data: bytes, at_ms: int, side: Side = Side.DEVICE) -> Iterable[Item]:  # noqa: ARG002 - has one
        """Over TCP: bodies without anything around them."""
        items: list[Item] = []
        for body in self._bodies.feed(data, at_ms):
            items += [body] if isinstance(body, Damaged) else self.decode(Message(body, at_ms))
        return items

    def reopened(self, side: Side) -> None:  # noqa: ARG002 - a stream has one
        self._bodies.reopened()

    def _rows_of(self, rows: Table, items: list[Item], size: int) -> list[Item]:
        """A row that should say when and does not (a sum below the others) is no count of now."""
        if rows.names and not self.table.columns.issubset(rows.names):
            return [Damaged(DamageReason.SYNTAX, size)]  # a column renamed or gone must not count as none
        if self._timed:
            items = [DATELESS if _undated(item) else item for item in items]
        return items + rows.damaged or [UNFIT if rows else EMPTY]

    def read(self, message: Message, root: Any) -> list[Item]:
        """The items of a parsed body; none when no reading fits."""
        items = self._read(message, root)
        return self._settle(message, root, items) if self._folds.seen else items

    def _settle(self, message: Message, root: Any, items: list[Item]) -> list[Item]:
        """Local stamps of the autumn hour were met: where one came twice, read again knowing that."""
        if max(self._folds.seen.values()) > 1:
            self._folds.taken = {}
            items = self._read(message, root)
        self._folds = Folds()
        return items

    def _read(self, message: Message, root: Any) -> list[Item]:
        items: list[Item] = []
        folds = self._folds
        if self._only_row and not isinstance(root, list):
            scope = Scope(message, root, root, None, None, folds)
            for reading in self.readings:
                reading.read(scope, items)
            return items
        for reading in self.readings:
            for row, above, _ in paths.each_row(root, reading.rows):
                reading.read(Scope(message, root, row, above, None, folds), items)
        return items


class Asked(Mapped):
    """Pull: one question, whose answer is a body like any other."""

    def __init__(self, table: MappingKeys, site: Site, path: str) -> None:
        super().__init__(table, site)
        self._fetch = Fetch(path, timeout_ms=TIMEOUT_MS)

    def poll(self, now_ms: int) -> Generator[Fetch, Response, Iterable[Item]]:  # noqa: ARG002 - asks for all there is
        response = yield self._fetch
        return self.answer(self._fetch.line, response)

    def answer(self, request: bytes, response: Response) -> Iterable[Item]:  # noqa: ARG002 - there is but one question
        if response.data is None:
            return []
        return self.decode(Message(response.data, response.at_ms, headers=response.headers))


def _raw(device: Device) -> Mapping[str, object]:
    """The table that the device's options mean. Raises ValueError whose lines are `key: sentence`."""
    wanted = cast("MappingOptions", device.options).mapping
    if not isinstance(wanted, str):
        return wanted
    named = device.shared.get("mapping", {})
    if wanted not in named:
        known = f"; known: {', '.join(sorted(named))}" if named else ""
        raise ValueError(f"mapping: there is no [mapping.{wanted}]{known}")
    table = named[wanted]
    if not isinstance(table, Mapping):
        raise ValueError(f"mapping.{wanted}: must be a table")  # noqa: TRY004 - the operator's, not ours
    return table


def _table(device: Device) -> MappingKeys:
    return read_table(_raw(device))


def problems(device: Device) -> list[str]:
    """Everything wrong with the device's mapping, each `key: sentence`."""
    try:
        table = _table(device)
        Mapped(table, device.site)
    except ValueError as error:
        return str(error).splitlines()
    return list(_unfit_for(device.over, table))


def _unfit_for(over: str, table: MappingKeys) -> Iterator[str]:
    """What is right over other links."""
    if over == "tcp" and table.format.csv and not table.format.csv.single:
        yield (
            f"format.csv.encoding: {table.format.csv.encoding!r} cannot be cut into rows over tcp;"
            " have the device send utf-8 or a code page"
        )
    for number, keys in enumerate(table.reading):
        if over in ("tcp", "pull") and "link" in keys.paths:
            yield f'reading[{number}]: over {over} nothing is known of the "link"; give "=…", or leave it out'
        if over == "pull" and _again(keys, table.time):
            yield (
                f"reading[{number}]: over pull this would be counted again at each poll;"
                " give key (the device's own id of it), or start and end"
            )


def _again(keys: ReadingKeys, time: TimeKeys) -> bool:
    """A count that says neither which it is nor what time it is for."""
    if keys.key is not None or not keys.given((*DELTAS, *RECEIPTS)):
        return False
    return not keys.given(("start", "end", "at")) or basis_of(keys, time) is Basis.EVENT


def open_mapping(device: Device) -> Mapped:
    """Raises ConfigurationError."""
    wrong = problems(device)
    if wrong:
        raise ConfigurationError(wrong)
    if device.over == "pull":
        return Asked(_table(device), device.site, cast("MappingOptions", device.options).path)
    return Mapped(_table(device), device.site)


def _match(device: Device) -> Match:
    match = cast("MappingOptions", device.options).match
    lines = {cast("MappingLine", line).line: ours for ours, line in device.lines.items()}
    if match.line:
        lines[match.line] = "main"
    return Match(match.till or match.counter, {theirs: ours for theirs, ours in lines.items() if theirs})


def _basis(device: Device) -> Basis:
    try:
        table = _table(device)
    except ValueError:
        return Basis.DELTA
    return leading_basis(basis_of(keys, table.time) for keys in table.reading)


def _resets(device: Device) -> Resets:
    try:
        return resets_of(_table(device))
    except ValueError:
        return Resets.POWER


def faults(device: Device, message: Message) -> Iterator[tuple[str, str]]:
    """(path, why) of what damaged a body, or why no reading of the mapping fits it; no value of it."""
    try:
        driver = Mapped(_table(device), device.site)
        root = driver.parse(message.payload)
    except Noise as noise:
        return iter([("$", f"not {_table(device).format.name} ({noise.reason})")])
    except ValueError:
        return iter(())
    return faults_of(driver.table, driver.readings, device.site, message, root)


def explain(device: Device, message: Message) -> Iterator[tuple[str, str, bool]]:
    """(path, value, used) of every leaf of the payload, and what is wrong with a value that does damage."""
    try:
        driver = Mapped(_table(device), device.site)
        root = driver.parse(message.payload)
    except Noise as noise:
        told = f"{len(message.payload)} bytes, not {_table(device).format.name}  (damaged: {noise.reason})"
        return iter([("$", told, True)])
    except ValueError:
        return iter(())
    return explain_body(driver.table, driver.readings, device.site, message, root)


FAMILY = Family(
    name="mapping",
    summary="any JSON, XML or CSV, described in the configuration; counters and tills",
    kind=Kind.MESSAGES,
    over=frozenset({"mqtt", "push", "pull", "folder", "tcp"}),
    options=MappingOptions,
    line_options=MappingLine,
    open=open_mapping,
    match=_match,
    basis=Basis.DELTA,
    explain=explain,
    faults=faults,
    outline=outline,
    basis_of=_basis,
    resets_of=_resets,
    problems=problems,
)
