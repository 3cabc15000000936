"""One reading of a mapping, compiled: a row in, items out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from drivers.bodies import LONGEST_MS, Noise, Numerals, name, opaque, whole
from drivers.mapping import paths
from drivers.mapping.conditions import compile_where, fits
from drivers.mapping.instants import SAME_DATE, Clock, began, clock, earlier, exclusive, unit_ms
from drivers.mapping.paths import Getter, Scope
from drivers.mapping.table import DELTAS, RECEIPTS, TOTALS, Paths, ReadingKeys, TimeKeys, as_paths
from drivers.money import currency_code, minor_digits, minor_units
from gateway.driver import Site
from gateway.model import (
    DEVICE,
    MAIN_LINE,
    MAX_COUNT,
    MAX_MONEY_MINOR,
    Basis,
    Crossings,
    Damaged,
    Ignored,
    Item,
    Occupancy,
    Register,
    Transactions,
)

MAX_TOTAL = 10**15  # an odometer's figure; SQLite's integers stay far away
UNTIMED = Ignored("retained delta without time or id")

Emit = Callable[[Scope, str, str], Item | None]
Count = Callable[[Scope], int | None]
Span = Callable[[Scope], tuple[int | None, int | None]]


@dataclass(frozen=True, slots=True)
class Reading:
    """`read` adds the items of one row; what is out of range damages its own item only."""

    rows: paths.Path | None
    where: list[tuple[Getter, Callable[[Any], bool]]]
    unless: list[tuple[Getter, Callable[[Any], bool]]]
    counter: Getter
    line: Getter
    emits: tuple[Emit, ...]
    number: int

    def read(self, scope: Scope, items: list[Item]) -> None:
        if (self.where or self.unless) and not fits(scope, self.where, self.unless):
            return
        try:
            counter = name(self.counter(scope)) or DEVICE
            line = name(self.line(scope)) or MAIN_LINE
        except Noise as noise:
            items.append(Damaged(noise.reason, len(scope.message.payload)))
            return
        scope.series = (self.number, counter, line)
        for emit in self.emits:
            try:
                item = emit(scope, counter, line)
            except Noise as noise:
                item = Damaged(noise.reason, len(scope.message.payload))
            if item is not None:
                items.append(item)


def nothing(_scope: Scope) -> None:
    return None


def _get(path: str | list[str] | None) -> Getter:
    if path is None:
        return nothing
    gets = [paths.getter(paths.parse(text)) for text in as_paths(path)]
    return gets[0] if len(gets) == 1 else partial(_joined, gets)


def _joined(gets: list[Getter], scope: Scope) -> str | None:
    """A date and a time of day. Raises Noise where they are no text."""
    parts = [name(get(scope)) for get in gets]
    return " ".join(filter(None, parts)) or None


def compile_reading(
    keys: ReadingKeys, time: TimeKeys, numerals: Numerals, site: Site, number: int
) -> Reading:
    """Raises ValueError for a site's zone that is not one."""
    time = keys.time or time
    read_time = clock(time.format, time.zone, site.timezone, inclusive=time.end == "inclusive")
    emits: list[Emit] = []
    if keys.given(DELTAS):
        emits.append(_crossings(keys, time, read_time, numerals))
    if keys.given(TOTALS):
        emits.append(_register(keys, read_time, numerals))
    if keys.persons is not None:
        emits.append(_level(keys, read_time, numerals))
    if keys.given(RECEIPTS):
        emits.append(_receipts(keys, time, read_time, numerals, site.currency))
    return Reading(
        rows=None if keys.rows is None else paths.parse(keys.rows, rows=True),
        where=compile_where(keys.where),
        unless=compile_where(keys.except_),
        counter=_get(keys.till or keys.counter if keys.given(RECEIPTS) else keys.counter),
        line=_get(keys.line),
        emits=tuple(emits),
        number=number,
    )


def _count(path: str | None, keys: ReadingKeys, numerals: Numerals, limit: int = MAX_COUNT) -> Count:
    """Persons (times `factor`): a number, or a number as text."""
    if path is None:
        return nothing
    get, factor = _get(path), Decimal(str(keys.factor))
    if factor == 1:
        if paths.is_member(path):
            return _member_count(str(paths.parse(path).steps[0]), limit, numerals)
        return lambda scope: whole(get(scope), limit, numerals)

    def scaled(scope: Scope) -> int | None:
        units = whole(get(scope), limit, numerals)
        return None if units is None else whole(int(units * factor), limit)

    return scaled


def _member_count(key: str, limit: int, numerals: Numerals) -> Count:
    """The common case without a call more than needed: this is half the cost of a small message."""

    def count(scope: Scope) -> int | None:
        try:
            value = scope.row[key]
        except (KeyError, TypeError, IndexError):
            return None
        return value if type(value) is int and 0 <= value <= limit else whole(value, limit, numerals)

    return count


def _key(keys: ReadingKeys, *, hashed: bool) -> Callable[[Scope], str | None]:
    """The device's own id: hashed where it may name a person's passage or a receipt."""
    if keys.key is None:
        return nothing
    gets = [_get(path) for path in as_paths(keys.key)]
    plain = _one_key(gets[0]) if len(gets) == 1 else partial(_joined_key, gets)
    if not hashed:
        return plain

    def digest(scope: Scope) -> str | None:
        text = plain(scope)
        return None if text is None else opaque(text)

    return digest


def _one_key(get: Getter) -> Callable[[Scope], str | None]:
    return lambda scope: name(get(scope))


def _joined_key(gets: list[Getter], scope: Scope) -> str | None:
    parts = [name(get(scope)) for get in gets]
    return "/".join(part or "" for part in parts) if any(parts) else None


def basis_of(keys: ReadingKeys, time: TimeKeys) -> Basis:
    """An event if the row has only `at`."""
    time = keys.time or time
    if not keys.given((*DELTAS, *RECEIPTS)):
        return Basis.TOTAL
    only_at = keys.at is not None and not keys.given(("start", "end")) and time.span_s is None
    return Basis.EVENT if only_at else Basis.DELTA


def leading_basis(found: Iterable[Basis]) -> Basis:
    """Deltas before totals before events: a device that sends several counts by the first."""
    among = set(found)
    return next((basis for basis in Basis if basis in among), Basis.EVENT)


def _span(keys: ReadingKeys, time: TimeKeys, read_time: Clock) -> Span:
    if basis_of(keys, time) is Basis.EVENT:
        return _instant_span(_get(keys.at), read_time)
    start, end = keys.start, keys.end
    end_field = SAME_DATE if time.end == "exclusive" and _share_date(start, end) else "end"
    if start is None and end is None:  # one stamp and a span: `label` says which end it is
        start, end = (keys.at, None) if time.label == "start" else (None, keys.at)
    elif start is not None and end is None and time.label == "end":
        start, end = None, start
    elif end is not None and start is None and time.label == "start":
        start, end = end, None
    unit = unit_ms(time.format) if time.end == "inclusive" else 0
    span_ms = None if time.span_s is None else round(time.span_s * 1000)
    return partial(_interval, _get(start), _get(end), read_time, unit, span_ms, time.growing, end_field)


def _share_date(start: Paths | None, end: Paths | None) -> bool:
    """Is the end's time of day told with the date of the start?"""
    if start is None or not isinstance(end, list):
        return False
    return any(path in as_paths(start) for path in end if not path.startswith("="))


def _instant_span(get: Getter, read_time: Clock) -> Span:
    def span(scope: Scope) -> tuple[int | None, int | None]:
        at_ms = read_time(get(scope), scope, "at")
        return (None, None) if at_ms is None else (at_ms, at_ms + 1)

    return span


def _interval(
    get_start: Getter,
    get_end: Getter,
    read_time: Clock,
    unit: int,
    span_ms: int | None,
    growing: bool,
    end_field: str,
    scope: Scope,
) -> tuple[int | None, int | None]:
    scope.early, scope.told, scope.begun = None, False, None
    start_ms = read_time(get_start(scope), scope, "start")
    end_ms = read_time(get_end(scope), scope, end_field)
    if start_ms is None and end_ms is None:
        return None, None
    if end_ms is not None and unit:
        end_ms = exclusive(end_ms, unit)
    if start_ms is None and end_ms is not None and span_ms:
        start_ms = end_ms - span_ms
    elif end_ms is None and start_ms is not None and span_ms:
        start_ms = start_ms if growing else began(scope, start_ms, span_ms)
        end_ms = start_ms + span_ms
    if start_ms is None or end_ms is None:
        raise Noise
    if end_ms <= start_ms:
        start_ms = earlier(scope, start_ms)
    if not 0 < end_ms - start_ms <= max(LONGEST_MS, span_ms or 0) or start_ms <= 0:
        raise Noise
    return start_ms, end_ms


def _crossings(keys: ReadingKeys, time: TimeKeys, read_time: Clock, numerals: Numerals) -> Emit:
    get_ins, get_outs = _count(keys.ins, keys, numerals), _count(keys.outs, keys, numerals)
    if keys.reversed:
        get_ins, get_outs = get_outs, get_ins
    get_passes = _count(keys.passes, keys, numerals)
    basis, span, growing = basis_of(keys, time), _span(keys, time, read_time), time.growing
    get_key, always = _key(keys, hashed=basis is Basis.EVENT), keys.retained is True

    def crossings(scope: Scope, counter: str, line: str) -> Item | None:
        ins, outs, passes = get_ins(scope), get_outs(scope), get_passes(scope)
        if ins is None and outs is None and passes is None:
            return None
        start_ms, end_ms = span(scope)
        key = get_key(scope)
        if start_ms is None and key is None and scope.message.retained and not always:
            return UNTIMED
        return Crossings(counter, line, start_ms, end_ms, ins, outs, passes, key, basis, growing)

    return crossings


def _at(keys: ReadingKeys, read_time: Clock, field: str) -> Callable[[Scope], int | None]:
    """The instant of a total or a level; `field` keeps its stamps apart from those of its neighbours."""
    get = _get(keys.at or keys.end or keys.start)
    return lambda scope: read_time(get(scope), scope, field)


def _register(keys: ReadingKeys, read_time: Clock, numerals: Numerals) -> Emit:
    modulus = keys.register_.modulus
    limit = modulus - 1 if modulus else MAX_TOTAL
    get_in, get_out, get_passes = (_count(getattr(keys, name), keys, numerals, limit) for name in TOTALS)
    if keys.reversed:
        get_in, get_out = get_out, get_in
    get_epoch = _get(keys.epoch)
    at, get_key = _at(keys, read_time, "total"), _key(keys, hashed=False)

    def register(scope: Scope, counter: str, line: str) -> Item | None:
        ins, outs, passes = get_in(scope), get_out(scope), get_passes(scope)
        if ins is None and outs is None and passes is None:
            return None
        epoch = name(get_epoch(scope)) or ""
        key = get_key(scope)
        return Register(counter, line, at(scope), ins, outs, passes, key, epoch, modulus)

    return register


def _level(keys: ReadingKeys, read_time: Clock, numerals: Numerals) -> Emit:
    get, at = _count(keys.persons, keys, numerals), _at(keys, read_time, "level")

    def level(scope: Scope, counter: str, line: str) -> Item | None:
        persons = get(scope)
        return None if persons is None else Occupancy(counter, line, at(scope), persons)

    return level


def _money(value: object, digits: int, numerals: Numerals) -> int | None:
    """Minor units; absent stays absent. Raises Noise, also below zero."""
    if value is None or value == "":
        return None
    return whole(minor_units(value, digits, numerals), MAX_MONEY_MINOR)


def _amount(keys: ReadingKeys, numerals: Numerals, site_currency: str) -> Count:
    get, get_currency, in_units = (
        _get(keys.amount or keys.amount_minor),
        _get(keys.currency),
        keys.amount is not None,
    )

    def amount(scope: Scope) -> int | None:
        digits = minor_digits(currency_code(get_currency(scope), site_currency)) if in_units else 0
        return _money(get(scope), digits, numerals)

    return amount


def _receipts(
    keys: ReadingKeys, time: TimeKeys, read_time: Clock, numerals: Numerals, site_currency: str
) -> Emit:
    get_sales, get_returns = _count(keys.sales, keys, numerals), _count(keys.returns, keys, numerals)
    get_amount, get_currency = _amount(keys, numerals, site_currency), _get(keys.currency)
    basis, span = basis_of(keys, time), _span(keys, time, read_time)
    get_key, always = _key(keys, hashed=basis is Basis.EVENT), keys.retained is True
    growing = time.growing

    def receipts(scope: Scope, till: str, _line: str) -> Item | None:
        sales, returns = get_sales(scope), get_returns(scope)
        currency = currency_code(get_currency(scope), site_currency)
        amount = get_amount(scope)
        if sales is None and returns is None and amount is None:
            return None
        start_ms, end_ms = span(scope)
        key = get_key(scope)
        if start_ms is None and key is None and scope.message.retained and not always:
            return UNTIMED
        return Transactions(
            till, start_ms, end_ms, sales or 0, returns or 0, amount or 0, currency, key, basis, growing
        )

    return receipts


Check = tuple[str, Callable[[Scope], object]]  # what is wrong where it raises Noise


def checks(keys: ReadingKeys, time: TimeKeys, numerals: Numerals, site: Site) -> dict[str, Check]:
    """By path: each value of a reading by itself, so that the one that damages it can be named."""
    time = keys.time or time
    read_time = clock(time.format, time.zone, site.timezone, inclusive=time.end == "inclusive")
    span = _span(keys, time, read_time) if keys.given((*DELTAS, *RECEIPTS)) else nothing
    found: dict[str, Check] = {}
    for field in ("start", "end", "at"):
        if path := getattr(keys, field):
            stamp = partial(_stamp, _get(path), read_time, field)
            found[as_paths(path)[0]] = (
                f"no time of the format {time.format}, or not of this interval",
                _both(stamp, span),
            )
    for field in (*DELTAS, *TOTALS, "persons", "sales", "returns"):
        if path := getattr(keys, field):
            limit = (keys.register_.modulus or MAX_TOTAL + 1) - 1 if field in TOTALS else MAX_COUNT
            found[path] = (f"no count from 0 to {limit}", _count(path, keys, numerals, limit))
    for field in ("counter", "line", "till", "epoch"):
        if path := getattr(keys, field):
            found[path] = ("no id or name", partial(_named, _get(path)))
    if keys.amount or keys.amount_minor:
        found[keys.amount or keys.amount_minor or ""] = ("no amount", _amount(keys, numerals, site.currency))
    if keys.currency:
        found[keys.currency] = ("no currency", partial(_money_of, _get(keys.currency), site.currency))
    return found


def _both(first: Callable[[Scope], object], then: Callable[[Scope], object]) -> Callable[[Scope], object]:
    def both(scope: Scope) -> None:
        first(scope)
        then(scope)

    return both


def _stamp(get: Getter, read_time: Clock, field: str, scope: Scope) -> int | None:
    return read_time(get(scope), scope, field)


def _named(get: Getter, scope: Scope) -> str | None:
    return name(get(scope))


def _money_of(get: Getter, default: str, scope: Scope) -> str:
    return currency_code(get(scope), default)
