"""Parcels → the books: which rule applies to each reading, what is refused at the door, what is poison."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence

from gateway.model import (
    MAX_INTERVAL_MS,
    UNKNOWN_CURRENCY,
    Basis,
    Booking,
    Crossings,
    Parcel,
    Register,
    Stamp,
    TimeQuality,
    Transactions,
)
from gateway.store.batch import CHECK, RECEIVED, REFUSED, Batch
from gateway.store.coverage import add_span, answer
from gateway.store.held import BOUNDED, RESTAMPED, hold
from gateway.store.memory import DAY_MS, Line, Memory
from gateway.store.odometers import book_register, polled_ms, spacing_ms
from gateway.store.plan import (
    NOTHING,
    SIDE_IN,
    SIDE_OUT,
    SIDE_PASSES,
    SIDE_RECEIPTS,
    Figures,
    Recorded,
    plus,
    sane,
)
from gateway.store.readings import book_delta, book_event

FUTURE_MS = 120_000  # a device's clock may be this far ahead
# of a telegram refused whole
RESULT_OF = {"future": "future", "ancient": "ancient", "too_late": "ancient", "sanity": "damaged"}
TIMELESS_ADD = "INSERT OR IGNORE INTO timeless VALUES (?,?,?,?)"
ADOPT = "INSERT OR REPLACE INTO adopted VALUES (?,?,?)"
GATEWAY_RANK = TimeQuality.GATEWAY.rank


class Recorder:
    """Record's hot path; runs on the writer thread inside one transaction."""

    def __init__(self, con: sqlite3.Connection, memory: Memory) -> None:
        self.con, self.memory = con, memory
        self._sequence = 0
        self._bound: tuple[int, int] | None = None  # where in time a reading of an unknown boot may lie

    def record(self, parcels: Sequence[Parcel]) -> list[Recorded]:
        """One batch; the caller has begun the transaction and commits it."""
        if not parcels:
            return []
        batch = Batch(self.con, self.memory, parcels[-1].stamp)
        outcomes = [self.parcel(batch, parcel) for parcel in parcels]
        batch.flush()
        return outcomes

    def rebook(self, batch: Batch, parcel: Parcel, bound: tuple[int, int] | None) -> None:
        """A held parcel, now that its time is known, or known to lie in `bound`."""
        self._bound = bound
        batch.outcome = Recorded()
        batch.now = parcel.stamp
        try:
            self._book_all(batch, parcel, RESTAMPED if bound is None else BOUNDED)
        finally:  # a card fault here must not leave later readings with this boot's bounds
            self._bound = None

    def parcel(self, batch: Batch, parcel: Parcel) -> Recorded:
        outcome = batch.outcome = Recorded()
        for one in parcel.adopted:
            self.con.execute(ADOPT, (one.counter, one.origin, one.line))
        names = parcel.delivery is not None and any(_needs_name(item) for item in parcel.bookings)
        if names and self._already_delivered(parcel):
            outcome.result = "duplicate"
            self._remember_delivery(parcel)  # its acknowledgement is owed anew
            return outcome
        batch.now = parcel.stamp
        booked = self._book_all(batch, parcel, None) if parcel.stamp.trusted else hold(batch, parcel)
        if outcome.refused and not booked and len(outcome.refused) == 1:
            outcome.result = RESULT_OF.get(next(iter(outcome.refused)), "ok")
        elif parcel.bookings and outcome.repeated == len(parcel.bookings):
            outcome.result = "duplicate"
        if names:
            self._remember_delivery(parcel)
        return outcome

    def _book_all(self, batch: Batch, parcel: Parcel, quality: int | None) -> bool:
        """True when at least one reading was taken in."""
        lines = self.memory.lines
        booked = False
        for index, booking in enumerate(parcel.bookings):
            reading = booking.reading
            line = lines.get((type(reading) is Transactions, booking.counter, booking.line))
            if line is None:
                continue
            if isinstance(reading, Register):
                booked |= self._register(batch, line, reading, parcel.stamp, quality)
            elif isinstance(reading, (Crossings, Transactions)):
                booked |= self._counted(batch, line, reading, parcel, index, quality)
        for counter in parcel.heard:
            self._heard(batch, counter, parcel.stamp.wall_ms)
        return booked

    def _heard(self, batch: Batch, counter: str, at_ms: int) -> None:
        """A sign of life watches event lines; deltas and totals bring their own coverage."""
        for line in self.memory.lines_of(counter):
            if line.rule.basis is Basis.EVENT and line.rule.expect_s is not None:
                answer(batch, line, at_ms)

    def _register(
        self, batch: Batch, line: Line, reading: Register, stamp: Stamp, quality: int | None
    ) -> bool:
        if line.rule.basis is not Basis.TOTAL:
            return True
        if not _sane_register(reading):
            batch.note("sanity", NOTHING)
            return False
        at_ms, rank = reading.at_ms, 0
        if at_ms is None:
            at_ms = polled_ms(batch, line, stamp)
            if at_ms is None:
                return True
            rank = GATEWAY_RANK if quality is None else quality
        elif reason := self._absurd(line, at_ms, at_ms + 1, stamp.wall_ms):
            batch.note(reason, NOTHING)
            return False
        line.period_ms = spacing_ms(line, at_ms)
        line.last_ms = max(line.last_ms, stamp.wall_ms)
        book_register(batch, line, reading, at_ms, stamp, rank)
        answer(batch, line, at_ms)
        return True

    def _counted(
        self,
        batch: Batch,
        line: Line,
        reading: Crossings | Transactions,
        parcel: Parcel,
        index: int,
        quality: int | None,
    ) -> bool:
        """A delta or an event. True when it was taken in (also as a repetition or a check)."""
        side, figures = _figures(reading)
        if not sane(figures):
            batch.note("sanity", NOTHING)
            return False
        if reading.basis is not line.rule.basis and not line.rule.till:
            batch.post(line, CHECK, figures)
            return True
        wall_ms = parcel.stamp.wall_ms
        event = reading.basis is Basis.EVENT or reading.start_ms is None
        start_ms, end_ms, rank = self._times(line, reading, parcel, event)
        reason = self._absurd(line, start_ms, end_ms, wall_ms)
        if reason or not side:
            if reason:
                batch.refuse(line, reason, figures)
            return not reason
        line.last_ms = max(line.last_ms, wall_ms)
        rank = rank if quality is None or reading.start_ms is not None else quality
        foreign = self._foreign(reading) if isinstance(reading, Transactions) else NOTHING
        figures = plus(figures, foreign, -1)
        if event:
            key = self._key(reading, parcel, index)
            if isinstance(reading, Transactions) and reading.once:
                start_ms, end_ms = self._timeless(line, key, start_ms, end_ms)
            written = book_event(batch, line, start_ms, end_ms, side, key, figures, rank)
            if line.rule.expect_s is not None:
                answer(batch, line, wall_ms)
        else:
            if end_ms > wall_ms + FUTURE_MS:
                end_ms = max(wall_ms, start_ms + 1)
            written = book_delta(batch, line, start_ms, end_ms, side, figures, rank)
            add_span(batch, line, start_ms, end_ms)
        if written and isinstance(reading, Transactions) and any(foreign):
            batch.post(line, RECEIVED, foreign)
            batch.post(line, f"{REFUSED}currency", foreign)
            batch.outcome.foreign[line.rule.counter] = reading.currency or UNKNOWN_CURRENCY
        return True

    def _foreign(self, reading: Transactions) -> Figures:
        """Money of another currency than the site's: the receipt counts, the sum would mean nothing."""
        given, ours = reading.currency or UNKNOWN_CURRENCY, self.memory.plan.currency
        return (
            NOTHING
            if UNKNOWN_CURRENCY in (given, ours) or given == ours
            else (0, 0, 0, 0, 0, reading.amount_minor)
        )

    def _times(
        self, line: Line, reading: Crossings | Transactions, parcel: Parcel, event: bool
    ) -> tuple[int, int, int]:
        """(start, end, quality rank) of a reading; a timeless one is stamped with its receipt."""
        if reading.start_ms is None:
            wall_ms = parcel.stamp.wall_ms
            start_ms, end_ms = self._bound or (wall_ms, wall_ms + 1)
            if reading.key is not None:
                start_ms, end_ms = self._timeless(line, key_hash(reading.key), start_ms, end_ms)
            return start_ms, end_ms, GATEWAY_RANK
        given_ms = reading.end_ms
        if given_ms is None or (event and given_ms <= reading.start_ms):
            return reading.start_ms, reading.start_ms + 1, 0
        return reading.start_ms, given_ms, 0

    def _timeless(self, line: Line, key: int, start_ms: int, end_ms: int) -> tuple[int, int]:
        """When an event that its key alone names was first told: that holds whenever it comes again."""
        if self.con.execute(TIMELESS_ADD, (line.id, key, start_ms, end_ms)).rowcount:
            return start_ms, end_ms
        found: tuple[int, int] = self.con.execute(
            "SELECT start_ms, end_ms FROM timeless WHERE line_id=? AND key=?", (line.id, key)
        ).fetchone()
        return found

    def _absurd(self, line: Line, start_ms: int, end_ms: int, wall_ms: int) -> str:
        """Why these times cannot be booked; empty when they can."""
        if start_ms > wall_ms + FUTURE_MS:
            return "future"
        if not 1 <= end_ms - start_ms <= MAX_INTERVAL_MS:
            return "sanity"
        if start_ms < self.memory.frozen_ms:
            return "too_late"
        if start_ms < wall_ms - self.memory.plan.readings_days * DAY_MS:
            return "ancient"
        if start_ms < line.since_ms:
            return "basis"
        return ""

    def _key(self, reading: Crossings | Transactions, parcel: Parcel, index: int) -> int:
        """63 bits that name an event: the device's id, else its delivery, else the moment it came."""
        if reading.key is not None:
            return key_hash(reading.key)
        if parcel.delivery is not None:
            given = parcel.delivery
            return key_hash(f"{parcel.link}/{given.session}/{given.mid}/{given.digest.hex()}/{index}")
        self._sequence += 1
        return key_hash(f"{parcel.stamp.boot}/{parcel.stamp.mono_ms}/{self._sequence}/{index}/{parcel.link}")

    def _already_delivered(self, parcel: Parcel) -> bool:
        given = parcel.delivery
        if given is None or not given.dup:
            return False
        row = self.con.execute(
            "SELECT session, digest FROM deliveries WHERE link=? AND mid=?", (parcel.link, given.mid)
        ).fetchone()
        return bool(row) and row[0] == given.session and row[1] == given.digest

    def _remember_delivery(self, parcel: Parcel) -> None:
        given = parcel.delivery
        if given is not None:
            self.con.execute(
                "INSERT OR REPLACE INTO deliveries VALUES (?,?,?,?,?)",
                (parcel.link, given.mid, given.session, given.digest, given.round),
            )


def key_hash(key: str) -> int:
    """63 bits of a device's event id: the id itself is never stored."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 1) or 1


def _needs_name(booking: Booking) -> bool:
    """A reading without time or id can only be told from its copy by its delivery."""
    reading = booking.reading
    return isinstance(reading, (Crossings, Transactions)) and reading.start_ms is None and reading.key is None


def _figures(reading: Crossings | Transactions) -> tuple[int, Figures]:
    """(side bits, the six columns)."""
    if isinstance(reading, Transactions):
        return SIDE_RECEIPTS, (0, 0, 0, reading.sales, reading.returns, reading.amount_minor)
    ins, outs, passes = reading.ins, reading.outs, reading.passes
    side = (
        (0 if ins is None else SIDE_IN)
        | (0 if outs is None else SIDE_OUT)
        | (0 if passes is None else SIDE_PASSES)
    )
    return side, (ins or 0, outs or 0, passes or 0, 0, 0, 0)


def _sane_register(reading: Register) -> bool:
    totals = [t for t in (reading.total_in, reading.total_out, reading.total_passes) if t is not None]
    return all(0 <= total < 1 << 62 for total in totals) and all(
        abs(n or 0) < 1 << 62 for n in (reading.modulus, reading.restart)
    )
