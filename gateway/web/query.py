"""What a query asks for. What cannot be read is answered with 422 and a sentence that names the key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TypeVar

from aiohttp import web

from gateway import instants
from gateway.model import MAX_MS, SIZES_S

FIRST_YEAR, LAST_YEAR = 1970, 9998
Default = TypeVar("Default")


def instant_ms(query: Mapping[str, str], name: str, default: Default) -> int | Default:
    """Unix seconds or RFC 3339 (UTC when it names no offset) → ms."""
    text = query.get(name)
    if text is None:
        return default
    try:
        ms = instants.parse(text)
    except ValueError:
        raise web.HTTPUnprocessableEntity(text=f"{name}: expected an RFC 3339 time") from None
    if not 0 <= ms < MAX_MS:
        raise web.HTTPUnprocessableEntity(text=f"{name}: out of range")
    return ms


def day(query: Mapping[str, str], name: str, default: date) -> date:
    """`2026-11-23`."""
    text = query.get(name)
    try:
        found = default if text is None else date.fromisoformat(text)
    except ValueError:
        raise web.HTTPUnprocessableEntity(text=f"{name}: expected a date like 2026-11-23") from None
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise web.HTTPUnprocessableEntity(text=f"{name}: out of range")
    return found


def size_s(query: Mapping[str, str], default: int) -> int:
    """A window's size in seconds."""
    text = query.get("size_s", str(default))
    if text not in (known := [str(size) for size in SIZES_S]):
        raise web.HTTPUnprocessableEntity(text=f"size_s: expected {', '.join(known)}")
    return int(text)
