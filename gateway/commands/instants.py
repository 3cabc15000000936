"""Times as people type them where they know better than a counter: by the clock of the site."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

import click

if TYPE_CHECKING:
    from gateway.config import Config

Typed: TypeAlias = "int | datetime"  # ms; or what the clock on the wall says


def typed(text: str) -> Typed:
    """Unix seconds, or a time with or without an offset. Raises BadParameter."""
    try:
        if text.isascii() and text.isdigit() and len(text) > 8:
            return int(text) * 1000
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        like = "'2026-11-23 10:00' or 2026-11-23T10:00+01:00"
        raise click.BadParameter(f"{text!r} is no time like {like}") from None
    return round(at.timestamp() * 1000) if at.tzinfo else at


def at_site(config: Config, at: Typed | None) -> int | None:
    """ms; a time without an offset is the site's."""
    from gateway.windows import zone_of

    if not isinstance(at, datetime):
        return at
    return round(at.replace(tzinfo=zone_of(config.site.timezone)).timestamp() * 1000)
