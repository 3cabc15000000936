"""Room on the card: a quota below it, and ballast to throw off when others have filled it.

A full card does not heal by itself: deleting and checkpointing need room too.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path

log = logging.getLogger("gateway.store")

BALLAST = "ballast"
BALLAST_BYTES = 4 * 1024 * 1024
SPARE_BYTES = 32 * 1024 * 1024  # below this much free the card counts as full, on a card large enough for it
SPARE_PAGES = 4096
USED_AT_MOST = 0.9  # of the quota


def quota_bytes(path: Path, at_most: int) -> int:
    """How large the file may grow: a part of what is free is left to journals and others."""
    size = path.stat().st_size if path.exists() else 0
    return min(at_most, size + shutil.disk_usage(path.parent).free * 4 // 5)


class Room:
    """How full the card and the quota are. Runs on the writer thread, outside transactions."""

    def __init__(self, con: sqlite3.Connection, path: Path) -> None:
        self._con, self._ballast = con, path.with_name(BALLAST)

    def short(self) -> bool:
        """Is it time to prune more than is due?"""
        (pages,) = self._con.execute("PRAGMA page_count").fetchone()
        (unused,) = self._con.execute("PRAGMA freelist_count").fetchone()
        (quota,) = self._con.execute("PRAGMA max_page_count").fetchone()
        if pages - unused > USED_AT_MOST * quota:
            return True
        # on a full card the file cannot grow: it needs unused pages of its own, not more than that
        return unused < SPARE_PAGES and self._card_is_full()

    def make(self) -> None:
        """Throw the ballast off when the card is full, take it aboard again when it is not."""
        with suppress(OSError):
            self._trim()

    def _trim(self) -> None:
        if self._card_is_full():
            if self._ballast.exists():
                log.warning("the card is full: ballast thrown off")
                self._ballast.unlink()
            self._con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        elif not self._ballast.exists():
            self._load()

    def _card_is_full(self) -> bool:
        card = shutil.disk_usage(self._ballast.parent)
        return card.free < min(SPARE_BYTES, card.total // 20)

    def _load(self) -> None:
        """On a card too small for it there is none."""
        card = shutil.disk_usage(self._ballast.parent)
        if card.free < 4 * SPARE_BYTES:
            return
        descriptor = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, BALLAST_BYTES)
        finally:
            os.close(descriptor)
