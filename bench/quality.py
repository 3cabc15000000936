"""What it costs to judge counters: time per slot, and the state of two hundred lines after five weeks."""

from __future__ import annotations

import time
import tracemalloc
from random import Random

from gateway.quality import Cell, Day, DayType, Detectors, Rules, Slot, end_of_day, level_today, step

LINES, DAYS, SLOTS = 200, 35, 96
QUARTER_S = 900
DAY_MS = 86_400_000
Line = tuple[Detectors, list[Cell]]


def slot(day: int, index: int, dice: Random) -> Slot:
    mean = 40 if 36 <= index < 84 else 1
    kind = DayType(max(0, day % 7 - 4))
    start_ms = day * DAY_MS + index * QUARTER_S * 1000
    ins, outs = (max(0, round(dice.gauss(mean, mean**0.5))) for _ in range(2))
    return Slot("door", start_ms, QUARTER_S, index, kind, ins=ins, outs=outs)


def live(dice: Random, rules: Rules, days: int) -> Line:
    detectors, cells = Detectors(), [Cell()] * SLOTS
    for day in range(days):
        for index in range(SLOTS):
            done = step(detectors, cells[index], slot(day, index, dice), rules)
            detectors, cells[index] = done.detectors, done.cell
        level = level_today(detectors, rules)
        detectors = end_of_day(
            detectors, Day("door", day * DAY_MS, (day + 1) * DAY_MS), [level or 0], rules
        ).detectors
    return detectors, cells


def stored_step(detectors: bytes, cell: bytes, given: Slot, rules: Rules) -> tuple[bytes, bytes]:
    """As a store does it: bytes in, bytes out."""
    done = step(Detectors.decode(detectors), Cell.decode(cell), given, rules)
    return done.detectors.encode(), done.cell.encode()


def us_per_slot(line: Line, rules: Rules, *, stored: bool) -> float:
    """Processor time, over one more week."""
    detectors, cells = line[0], list(line[1])
    dice, week = Random(2), [(day, index) for day in range(DAYS, DAYS + 7) for index in range(SLOTS)]
    slots = [slot(day, index, dice) for day, index in week]
    rows = [cell.encode() for cell in cells]
    state = detectors.encode()
    began = time.process_time()
    for given in slots:
        if stored:
            state, rows[given.index] = stored_step(state, rows[given.index], given, rules)
        else:
            done = step(detectors, cells[given.index], given, rules)
            detectors, cells[given.index] = done.detectors, done.cell
    return round((time.process_time() - began) / len(slots) * 1e6, 1)


def held_bytes(line: Line) -> int:
    """What two hundred lines hold in memory between slots when their rows are kept as bytes."""
    tracemalloc.start()
    kept = [(line[0].encode(), [cell.encode() for cell in line[1]]) for _ in range(LINES)]
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(kept) == LINES
    return size


def figures() -> dict[str, object]:
    rules = Rules()
    line = live(Random(1), rules, DAYS)
    detectors, cells = len(line[0].encode()), sum(len(cell.encode()) for cell in line[1])
    return {
        "us_per_slot": us_per_slot(line, rules, stored=False),
        "us_per_slot_with_bytes": us_per_slot(line, rules, stored=True),
        "detectors_bytes": detectors,
        "cells_bytes": cells,
        "stored_mb_200_lines": round((detectors + cells) * LINES / 1e6, 2),
        "memory_mb_200_lines": round(held_bytes(line) / 1e6, 2),
        "n": 7 * SLOTS,
    }
