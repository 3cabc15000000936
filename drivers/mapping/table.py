"""The mapping table as an operator writes it: its keys, checked in words."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cached_property
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, ValidationError, field_validator, model_validator

from drivers.local import zone_of
from drivers.mapping import paths
from drivers.mapping.conditions import Condition, condition_problems
from drivers.mapping.formats import CsvKeys, FormatKeys, Keys, NumberKeys
from gateway.model import Resets

DELTAS = ("ins", "outs", "passes")
TOTALS = ("total_in", "total_out", "total_passes")
RECEIPTS = ("sales", "returns", "amount", "amount_minor")
PLACES = ("counter", "line", "till", "start", "end", "at", "key", "epoch", "currency")
VALUES = (*DELTAS, *TOTALS, *RECEIPTS, *PLACES, "persons")


Paths: TypeAlias = str | Annotated[list[str], Field(min_length=1)]


class TimeKeys(Keys):
    """How the device writes time."""

    format: str = Field(default="rfc3339", description="rfc3339, unix_s, unix_ms or a strptime format")
    zone: str = Field(default="site", description="of stamps without an offset: site, utc or a name")
    span_s: float | None = Field(
        default=None, gt=0, le=2_678_400, description="length of an interval with one stamp"
    )
    label: Literal["start", "end"] | None = Field(
        default=None, description="which end of the span `at` names"
    )
    end: Literal["exclusive", "inclusive"] = Field(
        default="exclusive", description="inclusive: 09:59:59 means 10:00"
    )
    growing: bool = Field(
        default=False, description="a running interval whose later copies replace the earlier"
    )

    @field_validator("format")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in ("rfc3339", "unix_s", "unix_ms") and "%" not in value:
            raise ValueError("neither rfc3339, unix_s, unix_ms nor a strptime format (%Y-%m-%d …)")
        return value

    @field_validator("zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        if value != "site":
            zone_of(value)
        return value


class RegisterKeys(Keys):
    """When the device's totals start again by themselves."""

    width_bits: int | None = Field(default=None, ge=8, le=64, description="a binary register of so many bits")
    restarts_at: int | Literal["never", "power", "daily"] | None = Field(
        default=None,
        description="the figure that is never shown (1000000 for six digits), or: never, power, daily",
    )

    @property
    def modulus(self) -> int | None:
        """The value at which it returns to 0."""
        if isinstance(self.restarts_at, int):
            return self.restarts_at
        return 1 << self.width_bits if self.width_bits else None


class Common(Keys):
    """Keys that may stand in a reading, in `base` or beside them."""

    epoch: str | None = Field(
        default=None, description="path to what changes with the device: serial number, boot"
    )
    key: str | list[str] | None = Field(
        default=None, description="path (or several) to the device's own event id"
    )
    factor: float = Field(default=1, gt=0, le=1000, description="persons per unit; below 1 only for totals")
    reversed: bool = Field(default=False, description="the device's in is our out")
    register_: RegisterKeys = Field(
        default=RegisterKeys(), alias="register", description="when totals restart"
    )
    retained: bool | None = Field(
        default=None, description="true: count retained messages always; false: never"
    )


class ReadingKeys(Common):
    """One kind of row. Every path starts at the row."""

    rows: str | None = Field(
        default=None, description="path with [*] to the rows; default: the payload itself"
    )
    where: dict[str, Condition] = Field(default={}, description="all must hold")
    except_: dict[str, Condition] = Field(default={}, alias="except", description="none may hold")
    time: TimeKeys | None = None
    counter: str | None = Field(default=None, description="the device's id")
    line: str | None = Field(default=None, description="the line's name at the device")
    till: str | None = Field(default=None, description="the till's id")
    start: Paths | None = None
    end: Paths | None = None
    at: Paths | None = Field(
        default=None,
        description="path, or several whose texts are joined by blanks: a date and a time of day",
    )
    ins: str | None = None
    outs: str | None = None
    passes: str | None = None
    total_in: str | None = None
    total_out: str | None = None
    total_passes: str | None = None
    persons: str | None = None
    sales: str | None = None
    returns: str | None = None
    amount: str | None = Field(default=None, description="money in units of the currency")
    amount_minor: str | None = Field(default=None, description="money in minor units (øre, cent)")
    currency: str | None = Field(default=None, description="default: the site's")

    def given(self, names: tuple[str, ...]) -> list[str]:
        return [name for name in names if getattr(self, name) is not None]

    @property
    def paths(self) -> list[str]:
        return [*self.values, *self.where, *self.except_]

    @property
    def values(self) -> list[str]:
        """The paths of all that is read, without the conditions."""
        given = [getattr(self, name) for name in VALUES]
        return [text for one in given if one is not None for text in as_paths(one)]

    @model_validator(mode="after")
    def _sense(self) -> ReadingKeys:
        problems = list(_kind_problems(self)) + list(_path_problems(self))
        if problems:
            raise ValueError("\n".join(problems))
        return self


class MappingKeys(Common):
    """A whole mapping."""

    format: FormatKeys = Field(
        default=FormatKeys(json=NumberKeys()), description="json, xml, csv, or { csv = { separator = ';' } }"
    )
    time: TimeKeys = TimeKeys()
    base: dict[str, Any] = Field(default={}, description="keys common to all readings")
    reading: list[ReadingKeys] = Field(min_length=1)

    @cached_property
    def columns(self) -> frozenset[str]:
        """Names of values that stand in the row itself."""
        return frozenset(str(paths.parse(text).steps[0]) for text in self._paths if paths.is_member(text))

    @property
    def _paths(self) -> list[str]:
        return [text for keys in self.reading for text in keys.paths]

    @field_validator("format", mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        return {given: {}} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _rows_of_csv(self) -> MappingKeys:
        if self.format.csv and any(keys.rows for keys in self.reading):
            raise ValueError("rows: in CSV each line is a row")
        for text in self._paths if self.format.csv else ():
            if paths.parse(text).origin is paths.Origin.ROW and not paths.is_member(text):
                raise ValueError(
                    f"reading: {text!r}: in CSV the name of a column; '\"a.b\"' quotes one with dots"
                )
        return self


def as_paths(given: str | list[str]) -> list[str]:
    return [given] if isinstance(given, str) else given


def _kind_problems(keys: ReadingKeys) -> list[str]:
    deltas, totals = keys.given(DELTAS), keys.given(TOTALS)
    receipts, level = keys.given(RECEIPTS), keys.given(("persons",))
    problems = []
    if not deltas + totals + receipts + level:
        problems.append("counts nothing: give ins, outs, passes, total_…, persons, sales, returns or amount")
    if receipts and deltas + totals + level:
        problems.append("persons and receipts need a reading each")
    if keys.passes and (keys.ins or keys.outs):
        problems.append("passes: a line knows directions (ins, outs) or it does not (passes)")
    if keys.total_passes and (keys.total_in or keys.total_out):
        problems.append("total_passes: a line knows directions or it does not")
    if keys.amount and keys.amount_minor:
        problems.append("amount_minor: amount says it already")
    if keys.till and not receipts:
        problems.append("till: persons belong to a counter")
    if keys.factor != int(keys.factor) and deltas + level:
        problems.append("factor: a fraction of a delta loses persons; only totals can be shared")
    if keys.factor != 1 and receipts:
        problems.append("factor: receipts are counted as they are")
    return problems


def _path_problems(keys: ReadingKeys) -> list[str]:
    every = [(name, getattr(keys, name)) for name in VALUES]
    texts = [(name, text) for name, one in every if one is not None for text in as_paths(one)]
    texts += [("where", text) for text in keys.where] + [("except", text) for text in keys.except_]
    problems = condition_problems({**keys.where, **keys.except_})
    for name, text in texts:
        problems += _path_problem(name, text, rows=False)
    if keys.rows is not None:
        problems += _path_problem("rows", keys.rows, rows=True)
    return problems


def _path_problem(name: str, text: str, *, rows: bool) -> list[str]:
    try:
        paths.parse(text, rows=rows)
    except ValueError as error:
        return [f"{name}: {error}"]
    return []


def read_table(raw: Mapping[str, object]) -> MappingKeys:
    """The checked table. Raises ValueError whose lines are `key: sentence`."""
    try:
        return MappingKeys.model_validate(_merged(raw))
    except ValidationError as error:
        raise ValueError("\n".join(_in_words(error))) from None


def resets_of(table: MappingKeys) -> Resets:
    """When its totals restart by themselves: the first reading that says so."""
    told = [keys.register_.restarts_at for keys in table.reading]
    return next((Resets(word) for word in told if isinstance(word, str)), Resets.POWER)


def _merged(raw: Mapping[str, object]) -> dict[str, object]:
    """Every reading with what `base` and the table say for all of them; the nearer word wins."""
    merged = dict(raw)
    base, readings = raw.get("base"), raw.get("reading")
    shared = {key: raw[key] for key in COMMON if key in raw}
    if isinstance(readings, Mapping):
        readings = [readings]
    if isinstance(readings, list) and isinstance(base, Mapping | None):
        merged["reading"] = [
            {**shared, **(base or {}), **reading} if isinstance(reading, Mapping) else reading
            for reading in readings
        ]
    return merged


COMMON = tuple(field.alias or name for name, field in Common.model_fields.items())
KNOWN = {
    field.alias or name
    for model in (MappingKeys, ReadingKeys, TimeKeys, RegisterKeys, FormatKeys, CsvKeys)
    for name, field in model.model_fields.items()
}


def _in_words(error: ValidationError) -> list[str]:
    words = []
    for problem in error.errors(include_url=False):
        where = _where(problem["loc"])
        if problem["type"] == "extra_forbidden":
            close = get_close_matches(str(problem["loc"][-1]), KNOWN, n=1)
            words.append(f"{where}: unknown key" + (f" (did you mean {close[0]}?)" if close else ""))
        elif problem["type"] == "missing":
            words.append(f"{where}: is missing")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            words += [f"{where}{'.' if _keyed(line) else ': '}{line}" for line in message.splitlines()]
    return words


def _keyed(line: str) -> bool:
    return line.split(":", 1)[0] in KNOWN


def _where(place: tuple[int | str, ...]) -> str:
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text or "mapping"
