"""One snapshot of everything, and who puts it together. Page, API, metrics and `status` read only this."""

from gateway.health.snapshot import (
    AlarmHealth,
    BooksHealth,
    BufferHealth,
    CounterHealth,
    Health,
    LineHealth,
    LinkHealth,
    OpeningHealth,
    OpenSpan,
    SiteHealth,
    UpstreamHealth,
    ZoneHealth,
    to_json,
)
from gateway.health.source import HealthSource

__all__ = (
    "AlarmHealth",
    "BooksHealth",
    "BufferHealth",
    "CounterHealth",
    "Health",
    "HealthSource",
    "LineHealth",
    "LinkHealth",
    "OpenSpan",
    "OpeningHealth",
    "SiteHealth",
    "UpstreamHealth",
    "ZoneHealth",
    "to_json",
)
