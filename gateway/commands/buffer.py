"""The buffer, read beside a daemon or without one: shared by audit and export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import StoreError

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.store import Reader


def reader_of(config: Config) -> Reader:
    """A read-only view of the configured buffer. Raises StoreError when there is none."""
    from gateway.store import Grid, Reader
    from gateway.store.schema import FILE

    path = config.gateway.data_dir / FILE
    if not path.exists():
        raise StoreError(f"there is no buffer at {path}")
    site, windows = config.site, config.windows
    plan = Grid(
        size_s=windows.size_s,
        timezone=site.timezone,
        day_start_min=site.day_start_min,
        currency=site.currency,
        site=site.id,
        gateway=config.gateway.id,
        min_completeness=windows.min_completeness,
    )
    return Reader(path, plan)
