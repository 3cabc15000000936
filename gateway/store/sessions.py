"""Messages without time or id: remembered until their broker has our acknowledgement (semantics 8)."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any


class Sessions:
    """Broker sessions by link, and what was delivered in them. `write`: a transaction on the writer."""

    def __init__(self, con: sqlite3.Connection, write: Callable[[Callable[[], Any]], Awaitable[Any]]) -> None:
        self._con, self._write = con, write

    async def begin(self, link: str, present: bool) -> int:
        """The delivery session of a link; a new one unless the broker kept the old."""
        number: int = await self._write(lambda: self._begin(link, present))
        return number

    async def forget(self, link: str, round_: int) -> None:
        """The broker has our acknowledgement of all that came in earlier rounds of this connection."""
        await self._write(
            lambda: self._con.execute("DELETE FROM deliveries WHERE link=? AND round<?", (link, round_))
        )

    def _begin(self, link: str, present: bool) -> int:
        row = self._con.execute("SELECT session FROM sessions WHERE link=?", (link,)).fetchone()
        if present and row:
            self._con.execute("UPDATE deliveries SET round=0 WHERE link=?", (link,))
            return int(row[0])
        session = row[0] + 1 if row else 1
        self._con.execute("INSERT OR REPLACE INTO sessions VALUES (?,?)", (link, session))
        self._con.execute("DELETE FROM deliveries WHERE link=?", (link,))
        return int(session)
