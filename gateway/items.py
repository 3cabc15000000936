"""Items as the JSON objects that `decode` and `tail` print. Pure."""

from __future__ import annotations

import json

from gateway.instants import rfc3339
from gateway.model import (
    UNKNOWN_CURRENCY,
    Crossings,
    Damaged,
    Ignored,
    Item,
    Occupancy,
    Register,
    Status,
    Transactions,
)


def to_json(item: Item, receipt_ms: int | None = None) -> dict[str, object]:
    """One item as an object of contract section 4; what the device did not give is absent.

    `receipt_ms` is the instant of a register, level or status whose device has no clock.
    """
    given = {key: value for key, value in _fields(item, receipt_ms).items() if value is not None}
    return {"type": type(item).__name__.lower(), **given}


def to_line(item: Item, receipt_ms: int | None = None) -> str:
    return json.dumps(to_json(item, receipt_ms), ensure_ascii=False, separators=(",", ":"))


def _time(instant_ms: int | None) -> str | None:
    return None if instant_ms is None else rfc3339(instant_ms)


def _fields(item: Item, receipt_ms: int | None) -> dict[str, object]:
    if isinstance(item, Crossings):
        return _crossings(item)
    if isinstance(item, Transactions):
        return _transactions(item)
    if isinstance(item, Register | Occupancy | Status):
        return _at_instant(item, _time(receipt_ms if item.at_ms is None else item.at_ms))
    if isinstance(item, Damaged):
        return {"reason": str(item.reason), "bytes": item.bytes}
    return _ignored(item)


def _ignored(item: Ignored) -> dict[str, object]:
    return {"reason": item.reason}


def _crossings(item: Crossings) -> dict[str, object]:
    return {
        "counter": item.counter,
        "line": item.line,
        "start": _time(item.start_ms),
        "end": _time(item.end_ms),
        "ins": item.ins,
        "outs": item.outs,
        "passes": item.passes,
        "key": item.key,
    }


def _transactions(item: Transactions) -> dict[str, object]:
    return {
        "till": item.till,
        "start": _time(item.start_ms),
        "end": _time(item.end_ms),
        "sales": item.sales,
        "returns": item.returns,
        "amount_minor": item.amount_minor,
        "currency": None if item.currency == UNKNOWN_CURRENCY else item.currency,
        "key": item.key,
    }


def _at_instant(item: Register | Occupancy | Status, at: str | None) -> dict[str, object]:
    if isinstance(item, Status):
        return {"counter": item.counter, "at": at, "state": str(item.state), "detail": item.detail or None}
    place = {"counter": item.counter, "line": item.line, "at": at}
    if isinstance(item, Occupancy):
        return {**place, "persons": item.persons}
    totals = {"total_in": item.total_in, "total_out": item.total_out, "total_passes": item.total_passes}
    return {**place, **totals, "key": item.key}
