"""What cannot be recorded for what is in it: refused alone, its hash kept, never its body (semantics 7)."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable

from gateway.store.memory import Memory

log = logging.getLogger("gateway.store")
CARD_FAULTS = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    }
)


def is_card_fault(error: Exception) -> bool:
    """Is it the card that fails, and not what was to be written?"""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, sqlite3.Error) and code in CARD_FAULTS


def attempt(con: sqlite3.Connection, memory: Memory, work: Callable[[], None]) -> Exception | None:
    """Do it in a savepoint; what failed is undone, also in memory, and returned. Raises the card's faults."""
    con.execute("SAVEPOINT parcel")
    try:
        work()
    except Exception as error:
        if is_card_fault(error):
            raise
        con.execute("ROLLBACK TO parcel")
        con.execute("RELEASE parcel")
        memory.load()
        return error
    con.execute("RELEASE parcel")
    return None


def bury(con: sqlite3.Connection, digest: str, link: str, at_ms: int, error: Exception) -> None:
    """Remember the hash of a message that must not come back for ever."""
    log.error("message %s on link %s refused as poison", digest[:16], link, exc_info=error)
    con.execute("INSERT OR IGNORE INTO poison VALUES (?,?,?,?)", (digest, link, at_ms, type(error).__name__))
