"""What an HTTP answer says about asking again. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_RETRY_AFTER_S = 3600.0


def retry_after_s(headers: Mapping[str, str], now_ms: int | None = None) -> float | None:
    """Seconds to wait, 0 … 3600. A date is held against the answer's own `Date`, else against `now_ms`."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:9]), MAX_RETRY_AFTER_S))
    until, sent = _http_date(text), _http_date(headers.get("Date", ""))
    if sent is None and now_ms is not None:
        sent = now_ms / 1000
    if until is None or sent is None:
        return None
    return min(max(until - sent, 0.0), MAX_RETRY_AFTER_S)


def _http_date(text: str) -> float | None:
    try:
        when: datetime = parsedate_to_datetime(text)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
