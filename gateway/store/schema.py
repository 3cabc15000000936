"""The file: how it is opened and brought up to date, what happens to a damaged one."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
from pathlib import Path

from gateway.errors import BufferInUse, BufferRefused, StoreError
from gateway.model import Stamp
from gateway.store.migrations import MIGRATIONS
from gateway.store.room import quota_bytes

log = logging.getLogger("gateway.store")

FILE = "buffer.db"
PAGE_BYTES = 1024  # measured: half the bytes of 4096 at one commit a second (docs/decisions/001)
CHECK_WHOLE_BYTES = 64 * 1024 * 1024  # above this, a start would take longer than counting may wait
CHECKPOINT_PAGES = 4000
JOURNAL_BYTES = 8 * 1024 * 1024
DEFAULT_MAX_BYTES = 4 * 1024 * 1024 * 1024
MIGRATIONS_SET = "buffer"


def connect(
    path: Path, *, faults: frozenset[str] = frozenset(), max_bytes: int = DEFAULT_MAX_BYTES
) -> sqlite3.Connection:
    """The one read-write connection, with its settings. Autocommit: transactions are written out."""
    con = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    level = "NORMAL" if "synchronous_normal" in faults else "FULL"
    con.executescript(
        f"PRAGMA page_size={PAGE_BYTES};PRAGMA journal_mode=WAL;PRAGMA synchronous={level};"
        f"PRAGMA busy_timeout=5000;PRAGMA foreign_keys=ON;PRAGMA trusted_schema=OFF;PRAGMA temp_store=MEMORY;"
        f"PRAGMA cache_size=-2000;PRAGMA mmap_size=0;PRAGMA journal_size_limit={JOURNAL_BYTES};"
        f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES};"
    )
    page_bytes = con.execute("PRAGMA page_size").fetchone()[0]
    con.execute(f"PRAGMA max_page_count={max(max_bytes // page_bytes, 1000)}")
    return con


def reader(path: Path) -> sqlite3.Connection:
    """A short-lived connection that can only read."""
    con = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
    )
    con.executescript(
        "PRAGMA query_only=ON;PRAGMA busy_timeout=5000;PRAGMA temp_store=MEMORY;PRAGMA cache_size=-2000;"
    )
    return con


def applied(con: sqlite3.Connection) -> set[str]:
    """Names of migrations already made, by plain SQL: sqlite-utils is slow to import and seldom needed."""
    if not con.execute("SELECT 1 FROM sqlite_master WHERE name='_sqlite_migrations'").fetchone():
        return set()
    rows = con.execute("SELECT name FROM _sqlite_migrations WHERE migration_set=?", (MIGRATIONS_SET,))
    return {name for (name,) in rows}


def migrate(con: sqlite3.Connection) -> None:
    """Bring the tables up to date. A file from a later version is refused."""
    done, known = applied(con), {name for name, _ in MIGRATIONS}
    if done - known:
        raise StoreError(f"the buffer was written by a later version (it knows {sorted(done - known)})")
    if done == known:
        return
    from sqlite_utils import Database, Migrations

    migrations = Migrations(MIGRATIONS_SET)
    for name, script in MIGRATIONS:
        migrations(name=name)(_step(script))
    migrations.apply(Database(con))


def _step(script: str):  # type: ignore[no-untyped-def]
    def run(db) -> None:  # type: ignore[no-untyped-def]
        for statement in script.split(";\n"):
            if statement.strip():
                db.conn.execute(statement)

    return run


def lock(data_dir: Path) -> int:
    """Hold the directory: a second daemon on it would count everything twice."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise BufferInUse(f"{data_dir} is in use by another daemon") from error
    return descriptor


def damage(con: sqlite3.Connection, path: Path) -> str:
    """Why the file cannot be trusted; empty when it can."""
    whole = path.stat().st_size <= CHECK_WHOLE_BYTES
    try:
        if not whole:
            con.execute("SELECT count(*) FROM lines").fetchone()
            return ""
        row = con.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if row[0] == "ok" else str(row[0])


def set_aside(path: Path, wall_ms: int, why: str) -> None:
    """Rename a damaged file and its journal; what is readable in it can be salvaged later."""
    aside = f"{path.name}.damaged-{wall_ms // 1000}"
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(path.with_name(aside + suffix))
    log.error("the buffer is damaged (%s): kept as %s, counting goes on in a new one", why, aside)


def open_buffer(
    data_dir: Path,
    now: Stamp,
    simulated: str | None,
    faults: frozenset[str] = frozenset(),
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> sqlite3.Connection:
    """The usable buffer of this directory. Raises BufferRefused, StoreError."""
    path = data_dir / FILE
    try:
        con = _open_sound(path, now.wall_ms, faults, quota_bytes(path, max_bytes))
        _mark(con, now, simulated)
    except sqlite3.Error as error:
        raise StoreError(f"the buffer {path} cannot be opened: {error}") from error
    return con


def _open_sound(path: Path, wall_ms: int, faults: frozenset[str], max_bytes: int) -> sqlite3.Connection:
    try:
        con = connect(path, faults=faults, max_bytes=max_bytes)
        why = damage(con, path)
        if not why:
            migrate(con)
            return con
        con.close()
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (
            sqlite3.SQLITE_CORRUPT,
            sqlite3.SQLITE_NOTADB,
        ):
            raise
        why = str(error)
    set_aside(path, wall_ms, why)
    con = connect(path, faults=faults, max_bytes=max_bytes)
    migrate(con)
    return con


def _mark(con: sqlite3.Connection, now: Stamp, simulated: str | None) -> None:
    """A new buffer gets its generation and its kind; an old one must be of the same kind."""
    row = con.execute("SELECT value FROM meta WHERE name='simulated'").fetchone()
    mark = "" if simulated is None else "simulated"
    if row is None:
        with con:
            con.execute("BEGIN IMMEDIATE")
            con.executemany(
                "INSERT INTO meta VALUES (?,?)",
                [
                    ("simulated", mark),
                    ("generation", str(now.wall_ms // 1000 if now.trusted else 0)),
                    ("frozen_ms", "0"),
                    ("trusted_ms", "0"),
                ],
            )
    elif row[0] != mark:
        con.close()
        kinds = ("a simulated run", "real counts") if row[0] else ("real counts", "a simulated run")
        raise BufferRefused(f"the buffer holds {kinds[0]}, not {kinds[1]}: choose another data_dir")
