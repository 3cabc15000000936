"""While the clock is not believed: what came is kept by (boot, monotonic) and booked once it is."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from gateway.model import (
    Basis,
    Booking,
    Crossings,
    Delivery,
    Parcel,
    Reading,
    Register,
    Stamp,
    TimeQuality,
    Transactions,
)
from gateway.store.batch import COUNTED, HELD, RECEIVED, Batch
from gateway.store.memory import Line
from gateway.store.plan import NOTHING, Figures, negative, sane

KINDS: dict[str, Any] = {kind.__name__: kind for kind in (Crossings, Register, Transactions)}
COUNTS = ("ins", "outs", "passes", "sales", "returns", "amount_minor")


def hold(batch: Batch, parcel: Parcel) -> bool:
    """Keep a parcel whole; its persons are received, counted and held. False when all of it was refused."""
    kinds = [item for item in parcel.bookings if type(item.reading).__name__ in KINDS]
    kept = [item for item in kinds if sane(_figures(item.reading))]
    if len(kept) < len(kinds):
        batch.note("sanity", NOTHING)
    if not kept:
        return not kinds
    books = list(_persons(batch, kept))
    for line, figures in books:
        for account in (HELD, RECEIVED, COUNTED):
            batch.post(line, account, figures)
    text = encode(parcel, kept, [(line.id, figures) for line, figures in books])
    batch.con.execute(
        "INSERT INTO held (boot, mono_ms, link, parcel) VALUES (?,?,?,?)",
        (parcel.stamp.boot, parcel.stamp.mono_ms, parcel.link, text),
    )
    batch.memory.held = True
    return True


def unhold(batch: Batch, text: str) -> None:
    """Take a held parcel out of the books; the caller records it anew."""
    for line_id, figures in json.loads(text)["books"]:
        for account in (HELD, RECEIVED, COUNTED):
            batch.post(batch.memory.by_id[line_id], account, negative(tuple(figures)))


def _persons(batch: Batch, bookings: list[Booking]) -> Iterator[tuple[Line, Figures]]:
    """What each held delta and event adds; a total adds nothing until it has a neighbour."""
    for booking in bookings:
        reading = booking.reading
        if isinstance(reading, Register):
            continue
        key = (isinstance(reading, Transactions), booking.counter, booking.line)
        line = batch.memory.lines.get(key)
        if line is None or not isinstance(reading, (Crossings, Transactions)):
            continue
        if reading.basis is not line.rule.basis and not line.rule.till:
            continue
        yield line, _figures(reading)


def _figures(reading: Reading) -> Figures:
    """What it says was counted; nothing for a total."""
    ins, outs, passes, sales, returns, amount = (int(getattr(reading, name, None) or 0) for name in COUNTS)
    return ins, outs, passes, sales, returns, amount


def encode(parcel: Parcel, bookings: list[Booking], books: list[tuple[int, Figures]]) -> str:
    """A parcel as JSON: readable by the next version, never executable."""
    given = parcel.delivery
    return json.dumps(
        {
            "bookings": [
                [item.counter, item.line, type(item.reading).__name__, dataclasses.asdict(item.reading)]
                for item in bookings
            ],
            "books": books,
            "heard": parcel.heard,
            "delivery": None if given is None else [given.session, given.mid, given.digest.hex(), given.dup],
        }
    )


def decode(text: str, link: str, stamp: Stamp) -> Parcel:
    """What `encode` wrote, received at `stamp`."""
    kept = json.loads(text)
    bookings = [
        Booking(counter, line, _reading(kind, values)) for counter, line, kind, values in kept["bookings"]
    ]
    delivery = None
    if kept["delivery"] is not None:
        session, mid, digest, _dup = kept["delivery"]
        delivery = Delivery(session, mid, bytes.fromhex(digest), dup=False)
    return Parcel(link, stamp, bookings, tuple(kept["heard"]), delivery)


def _reading(kind: str, values: dict[str, Any]) -> Reading:
    if "basis" in values:
        values["basis"] = Basis(values["basis"])
    reading: Reading = KINDS[kind](**values)
    return reading


RESTAMPED, BOUNDED = TimeQuality.RESTAMPED.rank, TimeQuality.BOUNDED.rank
