"""Is a place open, until when, and what are its hours today? Pure."""

from __future__ import annotations

from gateway.health.snapshot import OpeningHealth, OpenSpan
from gateway.windows import Hours, Span, open_spans

WEEK_MS = 7 * 86_400_000


def opening(hours: Hours, timezone: str, now_ms: int, day: Span) -> OpeningHealth:
    """`day`: bounds of the business day around now, ms."""
    today = tuple(OpenSpan(*span) for span in open_spans(hours, timezone, *day))
    until_ms: int | None = now_ms
    for low_ms, high_ms in open_spans(hours, timezone, now_ms, now_ms + WEEK_MS):
        if low_ms > now_ms and until_ms == now_ms:
            return OpeningHealth(False, low_ms, today)
        if low_ms != until_ms:
            break
        until_ms = high_ms  # goes on where nothing lies between: "00:00-24:00"
    if until_ms == now_ms:
        return OpeningHealth(False, None, today)
    return OpeningHealth(True, None if until_ms == now_ms + WEEK_MS else until_ms, today)
