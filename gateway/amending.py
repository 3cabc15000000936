"""What people say afterwards, asked over the control socket: corrections and calibrations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.amendments import Correction, LineFactor
from gateway.clock import Clock
from gateway.control import ControlServer
from gateway.errors import EntryRefused
from gateway.model import MAX_MS
from gateway.store import Store


def offer(control: ControlServer, store: Store, clock: Clock, stir: Callable[[], None]) -> None:
    """Register the commands; `stir`: windows are to be restated now."""

    async def correct(args: Mapping[str, Any]) -> Correction:
        made = await store.correct(correction(args), clock.stamp())
        stir()
        return made

    async def undo(args: Mapping[str, Any]) -> Correction:
        reason, by = str(args.get("reason") or ""), str(args.get("by") or "")
        undone = await store.undo_correction(str(args.get("id")), reason, by, clock.stamp())
        stir()
        return undone

    async def calibrate(args: Mapping[str, Any]) -> LineFactor:
        put = await store.calibrate(line_factor(args), clock.stamp())
        stir()
        return put

    async def end_calibration(args: Mapping[str, Any]) -> LineFactor:
        to_ms = None if args.get("to_ms") is None else _whole(args, "to_ms")
        ended = await store.end_calibration(_whole(args, "version"), _text(args, "by"), clock.stamp(), to_ms)
        stir()
        return ended

    control.register("calibrate", calibrate)
    control.register("end-calibration", end_calibration)
    control.register("correct", correct)
    control.register("undo-correction", undo)


def correction(args: Mapping[str, Any]) -> Correction:
    """One as it came in JSON: instants in ms, counts as integers. Raises EntryRefused naming the key."""
    return Correction(
        id=_text(args, "id"),
        line=_text(args, "line"),
        start_ms=_whole(args, "from_ms"),
        end_ms=_whole(args, "to_ms"),
        ins=_count(args, "ins"),
        outs=_count(args, "outs"),
        passes=_count(args, "passes"),
        reason=_text(args, "reason"),
        by=_text(args, "by"),
    )


def line_factor(args: Mapping[str, Any]) -> LineFactor:
    """One as it came in JSON. Raises EntryRefused naming the key."""
    return LineFactor(
        line=_text(args, "line"),
        side=_text(args, "side"),
        factor=_number(args, "factor"),
        error=_number(args, "error"),
        from_ms=None if args.get("from_ms") is None else _whole(args, "from_ms"),
        source=str(args.get("source") or ""),
        by=_text(args, "by"),
    )


def _number(args: Mapping[str, Any], key: str) -> float:
    value = args.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise EntryRefused(f"{key}: missing, or no number")
    return float(value)


def _text(args: Mapping[str, Any], key: str) -> str:
    value = args.get(key)
    if not isinstance(value, str):
        raise EntryRefused(f"{key}: missing, or no text")
    return value


def _whole(args: Mapping[str, Any], key: str) -> int:
    value = args.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise EntryRefused(f"{key}: missing, or no whole number")
    if abs(value) >= MAX_MS:
        raise EntryRefused(f"{key}: out of range")
    return value


def _count(args: Mapping[str, Any], key: str) -> int | None:
    return None if args.get(key) is None else _whole(args, key)
