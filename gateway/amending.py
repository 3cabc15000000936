"""What people say afterwards, asked over the control socket: corrections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.amendments import Correction
from gateway.clock import Clock
from gateway.control import ControlServer
from gateway.errors import EntryRefused
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


def _text(args: Mapping[str, Any], key: str) -> str:
    value = args.get(key)
    if not isinstance(value, str):
        raise EntryRefused(f"{key}: missing, or no text")
    return value


def _whole(args: Mapping[str, Any], key: str) -> int:
    value = args.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise EntryRefused(f"{key}: missing, or no whole number")
    return value


def _count(args: Mapping[str, Any], key: str) -> int | None:
    return None if args.get(key) is None else _whole(args, key)
