"""Persons counted: footfall, imbalance, and how much of the time anybody was watching."""

from __future__ import annotations

from collections.abc import Iterable


def footfall(ins: Iterable[int]) -> int:
    """Persons that came in over a zone's entrances. Sum over outer doors only: inner doors count again."""
    return sum(ins)


def footfall_undirected(passes: Iterable[int]) -> int:
    """Persons in a closed zone whose beams know no direction: half of all passes, halved after summing."""
    return sum(passes) // 2


def footfall_average(ins: float, outs: float) -> float:
    """(in + out) / 2: for a closed day only, intraday it lags by half a dwell."""
    return (ins + outs) / 2


def imbalance(ins: float, outs: float) -> float | None:
    """(in - out) / average of a closed day; None when nobody crossed."""
    average = footfall_average(ins, outs)
    return (ins - outs) / average if average else None


def completeness(watched_ms: int | None, base_ms: int | None) -> float | None:
    """Share of the base that was watched, 0…1. None: nothing watches, or the zone was closed."""
    if watched_ms is None or not base_ms or base_ms < 0:
        return None
    return min(1.0, max(0, watched_ms) / base_ms)
