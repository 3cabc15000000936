"""Instants as text, written and read: RFC 3339, in UTC. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(at_ms: int) -> str:
    """`2026-11-23T09:00:00.000Z`."""
    return f"{rfc3339_seconds(at_ms)[:-1]}.{at_ms % 1000:03d}Z"


def rfc3339_seconds(at_ms: int) -> str:
    """`2026-11-23T09:00:00Z`: of windows and days, whose edges are whole seconds."""
    return f"{EPOCH + timedelta(seconds=at_ms // 1000):%Y-%m-%dT%H:%M:%SZ}"


def parse(text: str) -> int:
    """Unix seconds or RFC 3339 (UTC when it names no offset) → ms. Raises ValueError."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) > 8:
        return int(text) * 1000
    # a '+' that nobody escaped arrives as a space
    at = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)
