"""Counters that speak by themselves, with their troubles: twice, late, again, in blocks, lost, contradicting.

A counter goes by its own clock: its periods begin on whole minutes of that, and it speaks when one is over.
Its `life` yields when to do what, in order of the true time; nothing here waits.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from simulators.fleet.expected import Expected
from simulators.fleet.makes import Make
from simulators.fleet.plan import Counter
from simulators.mqtt import Record, Voice, busy, poisson
from simulators.timing import Clock

Due = tuple[int, Callable[[], object]]  # true time in ms, what happens then
Send = Callable[[str, bytes], object]  # topic, body

TROUBLE = 0.04  # share of the messages for each kind of trouble
OFFLINE = 0.15  # share of the counters that are cut off once, for up to a quarter of the time
MOST_ROUNDS = 5  # that a late message waits
QUARTER_MS = 900_000
MOST_HELD_UP_MS = 1_200_000
SPREAD_MS = 5000  # not all speak in the same second


@dataclass(frozen=True, slots=True)
class Span:
    """What is played, true time in ms: whole quarters of an hour."""

    begin_ms: int
    end_ms: int

    @property
    def middle_ms(self) -> int:
        return (self.begin_ms + self.end_ms) // 2


@dataclass(frozen=True, slots=True)
class Said:
    """One body, and which periods' totals it tells (by their end)."""

    body: bytes
    ends: tuple[int, ...] = ()


def crowd(source: random.Random, make: Make, start_ms: int, length_ms: int) -> tuple[int, int]:
    """Who passes in that time, one way and the other."""
    mean = make.per_hour * busy(start_ms) * length_ms / 3_600_000
    return poisson(source, mean), poisson(source, mean)


@dataclass
class Speaker:
    """`voice`: how it speaks. `busy`: is something of it still on its way?

    `withheld`: it forgets the first period in which somebody came.
    """

    counter: Counter
    voice: Voice
    seed: int
    span: Span
    expected: Expected
    send: Send
    clock: Clock
    busy: Callable[[], bool] = lambda: False
    withheld: bool = False
    _chance: random.Random = field(init=False)
    _packages: int = 0
    _last: Record | None = None
    _held: list[tuple[int, Said]] = field(default_factory=list)
    _untold: list[Record] = field(default_factory=list)
    _sums: dict[int, tuple[int, int]] = field(default_factory=dict)  # totals by the end of a period
    _told: set[int] = field(default_factory=set)
    _offline: tuple[int, int] = (0, 0)  # own time
    _quarter: list[Record] = field(default_factory=list)  # told in order, of the quarter of an hour running

    def __post_init__(self) -> None:
        self._chance = random.Random(f"{self.seed}/{self.counter.id}/trouble")
        if self._chance.random() < OFFLINE and not self.counter.fault.refused:
            length_ms = self.span.end_ms - self.span.begin_ms
            from_ms = self.span.begin_ms + int(self._chance.uniform(0.1, 0.6) * length_ms)
            self._offline = from_ms, from_ms + int(self._chance.uniform(0.1, 0.25) * length_ms)

    def life(self) -> Iterator[Due]:
        late_ms = self._chance.randrange(SPREAD_MS)
        off_ms, last_ms = 0, self.span.begin_ms
        if self.counter.make.totals:
            yield self.span.begin_ms + self.counter.make.phase_s * 1000 + late_ms, self._baseline
        for off_ms, record in self._periods():
            last_ms = record[1] - off_ms + late_ms
            yield last_ms, partial(self._over, off_ms, record)
        yield max(last_ms, self.span.end_ms), self._finish

    def _periods(self) -> Iterator[tuple[int, Record]]:
        """(ahead by ms, period in own time without its persons), as far as it ends within the span."""
        fault, span = self.counter.fault, self.span
        off_ms = round(fault.off_s * 1000)
        if not fault.mended:
            yield from ((off_ms, one) for one in self._between(span.begin_ms, span.end_ms))
            return
        whole_ms = off_ms - off_ms % (self.counter.make.period_s * 1000)
        yield from (
            (off_ms, one) for one in self._between(span.begin_ms + whole_ms, span.middle_ms + whole_ms)
        )
        yield from ((0, one) for one in self._between(span.middle_ms, span.end_ms))

    def _between(self, from_ms: int, to_ms: int) -> Iterator[Record]:
        make = self.counter.make
        period_ms = make.period_s * 1000
        for start_ms in range(from_ms + make.phase_s * 1000, to_ms - period_ms + 1, period_ms):
            yield start_ms, start_ms + period_ms, 0, 0

    def _saw(self, off_ms: int, start_ms: int, end_ms: int) -> Record:
        source = random.Random(f"{self.seed}/{self.counter.id}/{start_ms}/{off_ms}")
        return start_ms, end_ms, *crowd(source, self.counter.make, start_ms - off_ms, end_ms - start_ms)

    def _over(self, off_ms: int, period: Record) -> None:
        """A period is over: what is said of it, and of others."""
        record = self._saw(off_ms, *period[:2])
        if self.counter.fault.refused and off_ms:
            self._say_in_vain(record, record[1] - off_ms)
            return
        self._count(record)
        if self.withheld and record[2] + record[3]:
            self.withheld = False
            self.expected.forget(self.counter, *record[2:])
        elif self._offline[0] <= record[0] < self._offline[1]:
            self._untold.append(record)
        else:
            self._block()
            self._say(record)

    def _say_in_vain(self, record: Record, due_ms: int) -> None:
        """Held up it says nothing: what is an hour ahead would be true by then."""
        if not self.busy() and self.clock.now_ms() < due_ms + MOST_HELD_UP_MS:
            self.expected.refuse(self.counter, *record[2:])
            self._put(self._tell([record]))

    def _count(self, record: Record) -> None:
        if self.counter.make.totals:
            ins, outs = self._sums[max(self._sums)]
            self._sums[record[1]] = ins + record[2], outs + record[3]
        else:
            self.expected.told(self.counter, *record)

    def _baseline(self) -> None:
        """The first total counts nobody."""
        end_ms = self.span.begin_ms + self.counter.make.phase_s * 1000
        record = (end_ms - self.counter.make.period_s * 1000, end_ms, 0, 0)
        self._sums[end_ms] = 0, 0
        self._put(self._tell([record]))

    def _block(self) -> None:
        """Back on the network: all that was stored, oldest first."""
        several = self.counter.make.several
        for first in range(0, len(self._untold), several):
            self._put(self._tell(self._untold[first : first + several]))
        self._untold.clear()

    def _say(self, record: Record) -> None:
        make = self.counter.make
        again = self._last and make.several > 1 and self._unlucky()
        said = self._tell([self._last, record] if again and self._last else [record])
        self._last = record
        self._held = [(rounds - 1, held) for rounds, held in self._held]
        if make.totals and self._unlucky() and record[1] + 3 * make.period_s * 1000 < self.span.end_ms:
            return  # lost on the air: the next total has it
        if self._unlucky():
            self._held.append((self._chance.randint(1, MOST_ROUNDS), said))
        else:
            for _ in range(1 + self._unlucky()):
                self._put(said)
            self._afterthought(record)
        if self._unlucky():
            self._put(Said(self.voice.test(self._packages)))
        self._release(0)

    def _afterthought(self, record: Record) -> None:
        """What may follow a period that was told just now."""
        make = self.counter.make.name
        if make == "milesight" and self._unlucky():
            self._contradict(record)
        elif make == "hikvision":
            self._sum_up(record)

    def _contradict(self, record: Record) -> None:
        """After a lost link it tells told time again, cut otherwise and with other figures."""
        half_ms = (record[1] - record[0]) // 2
        crossing = record[0] + half_ms, record[1] + half_ms, self._chance.randint(1, 9), 1
        self.expected.refuse(self.counter, *crossing[2:])
        self._put(Said(self.voice.tell(self._packages, [crossing])))

    def _sum_up(self, record: Record) -> None:
        """Now and then it retransmits a quarter of an hour as one window; its parts are superseded."""
        begins = record[0] % QUARTER_MS == 0
        follows = bool(self._quarter) and self._quarter[-1][1] == record[0]
        self._quarter = [*(self._quarter if follows and not begins else ()), record]
        whole = self._quarter[-1][1] - self._quarter[0][0] == QUARTER_MS
        if whole and record[1] % QUARTER_MS == 0 and self._chance.random() < 5 * TROUBLE:
            self._put(self._tell(self._quarter))

    def _release(self, most: int) -> None:
        due = [said for rounds, said in self._held if rounds <= most]
        self._held = [(rounds, said) for rounds, said in self._held if rounds > most]
        for said in due:
            self._put(said)

    def _finish(self) -> None:
        self._block()
        self._release(MOST_ROUNDS)
        if self.counter.make.totals:
            stamp_ms = self.counter.make.stamp_ms
            self.expected.totals(self.counter, [(at + stamp_ms, *self._sums[at]) for at in self._told])

    def _tell(self, records: Sequence[Record]) -> Said:
        self._packages += 1
        body = self.voice.tell(self._packages, records)
        several = self.counter.make.several > 1
        return Said(body, tuple(record[1] for record in (records if several else records[-1:])))

    def _put(self, said: Said) -> None:
        self._told.update(said.ends)
        self.send(self.voice.topic(), said.body)

    def _unlucky(self) -> bool:
        return self._chance.random() < TROUBLE
