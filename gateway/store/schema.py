"""The file: its tables, how it is opened, what happens to a damaged one."""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
from pathlib import Path

from gateway.errors import BufferInUse, BufferRefused, StoreError
from gateway.model import Stamp
from gateway.store.room import quota_bytes

log = logging.getLogger("gateway.store")

FILE = "buffer.db"
PAGE_BYTES = 1024  # measured: half the bytes of 4096 at one commit a second (docs/decisions/001)
CHECK_WHOLE_BYTES = 64 * 1024 * 1024  # above this, a start would take longer than counting may wait
CHECKPOINT_PAGES = 4000
JOURNAL_BYTES = 8 * 1024 * 1024
DEFAULT_MAX_BYTES = 4 * 1024 * 1024 * 1024
MIGRATIONS_SET = "buffer"

FIRST = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE lines (
  id INTEGER PRIMARY KEY, counter TEXT NOT NULL, line TEXT NOT NULL,
  till INTEGER NOT NULL CHECK (till IN (0, 1)), UNIQUE (till, counter, line)) STRICT;
-- what is known of a line's rhythm, and the span it is being watched in
CREATE TABLE pulse (
  line_id INTEGER PRIMARY KEY REFERENCES lines, period_ms INTEGER NOT NULL, longest_ms INTEGER NOT NULL,
  last_ms INTEGER NOT NULL, newest_ms INTEGER NOT NULL, quality INTEGER NOT NULL,
  watch_start_ms INTEGER, watch_end_ms INTEGER) STRICT;
CREATE TABLE readings (
  long INTEGER NOT NULL CHECK (long IN (0, 1)), start_ms INTEGER NOT NULL, line_id INTEGER NOT NULL,
  end_ms INTEGER NOT NULL, side INTEGER NOT NULL CHECK (side BETWEEN 1 AND 8), key INTEGER NOT NULL,
  ins INTEGER NOT NULL CHECK (ins BETWEEN 0 AND 1000000000),
  outs INTEGER NOT NULL CHECK (outs BETWEEN 0 AND 1000000000),
  passes INTEGER NOT NULL CHECK (passes BETWEEN 0 AND 1000000000),
  sales INTEGER NOT NULL CHECK (sales BETWEEN 0 AND 1000000000),
  returns INTEGER NOT NULL CHECK (returns BETWEEN 0 AND 1000000000),
  amount INTEGER NOT NULL CHECK (amount BETWEEN 0 AND 1000000000000),
  total INTEGER, quality INTEGER NOT NULL CHECK (quality BETWEEN 0 AND 4),
  PRIMARY KEY (long, start_ms, line_id, end_ms, side, key),
  CHECK (end_ms - start_ms BETWEEN 1 AND 2678400000)) STRICT, WITHOUT ROWID;
-- device ids of events that carry no time: their identity cannot be in the reading's key
CREATE TABLE timeless (line_id INTEGER NOT NULL, key INTEGER NOT NULL, start_ms INTEGER NOT NULL,
  end_ms INTEGER NOT NULL,
  PRIMARY KEY (line_id, key)) STRICT, WITHOUT ROWID;
CREATE TABLE deliveries (link TEXT NOT NULL, mid INTEGER NOT NULL, session INTEGER NOT NULL,
  digest BLOB NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (link, mid)) STRICT, WITHOUT ROWID;
CREATE TABLE sessions (link TEXT PRIMARY KEY, session INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE heads (
  line_id INTEGER NOT NULL, side INTEGER NOT NULL, epoch TEXT NOT NULL, first_ms INTEGER NOT NULL,
  first_total INTEGER NOT NULL, at_ms INTEGER NOT NULL, total INTEGER NOT NULL, boot TEXT NOT NULL,
  mono_ms INTEGER NOT NULL, held_ms INTEGER, held_until_ms INTEGER, held_total INTEGER,
  not_before_ms INTEGER NOT NULL, PRIMARY KEY (line_id, side)) STRICT, WITHOUT ROWID;
-- refused jumps, so that a late total inside one can judge both halves anew
CREATE TABLE jumps (
  line_id INTEGER NOT NULL, side INTEGER NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL,
  from_total INTEGER NOT NULL, to_total INTEGER NOT NULL, persons INTEGER NOT NULL,
  PRIMARY KEY (line_id, side, start_ms)) STRICT, WITHOUT ROWID;
CREATE TABLE resets (line_id INTEGER NOT NULL, kind TEXT NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY (line_id, kind)) STRICT, WITHOUT ROWID;
CREATE TABLE ledger (
  line_id INTEGER NOT NULL, account TEXT NOT NULL, ins INTEGER NOT NULL, outs INTEGER NOT NULL,
  passes INTEGER NOT NULL, sales INTEGER NOT NULL, returns INTEGER NOT NULL, amount INTEGER NOT NULL,
  PRIMARY KEY (line_id, account)) STRICT, WITHOUT ROWID;
CREATE TABLE held (id INTEGER PRIMARY KEY, boot TEXT NOT NULL, mono_ms INTEGER NOT NULL, link TEXT NOT NULL,
  parcel TEXT NOT NULL) STRICT;
CREATE TABLE poison (digest TEXT PRIMARY KEY, link TEXT NOT NULL, at_ms INTEGER NOT NULL, why TEXT NOT NULL)
  STRICT, WITHOUT ROWID;
CREATE TABLE coverage (line_id INTEGER NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL,
  PRIMARY KEY (line_id, start_ms), CHECK (end_ms >= start_ms)) STRICT, WITHOUT ROWID;
CREATE TABLE grids (size_s INTEGER NOT NULL, from_ms INTEGER NOT NULL, to_ms INTEGER, base INTEGER NOT NULL,
  PRIMARY KEY (size_s, from_ms)) STRICT, WITHOUT ROWID;
CREATE TABLE closed (line_id INTEGER NOT NULL, size_s INTEGER NOT NULL, through_ms INTEGER NOT NULL,
  PRIMARY KEY (line_id, size_s)) STRICT, WITHOUT ROWID;
CREATE TABLE zone_closed (zone_id INTEGER NOT NULL, size_s INTEGER NOT NULL, through_ms INTEGER NOT NULL,
  PRIMARY KEY (zone_id, size_s)) STRICT, WITHOUT ROWID;
CREATE TABLE dirty (size_s INTEGER NOT NULL, start_ms INTEGER NOT NULL, line_id INTEGER NOT NULL,
  first_mono_ms INTEGER NOT NULL, since_mono_ms INTEGER NOT NULL,
  PRIMARY KEY (size_s, start_ms, line_id)) STRICT, WITHOUT ROWID;
-- zone days whose occupancy must be restated once they are over
CREATE TABLE drift (zone_id INTEGER NOT NULL, size_s INTEGER NOT NULL, day_ms INTEGER NOT NULL,
  since_mono_ms INTEGER NOT NULL, PRIMARY KEY (zone_id, size_s, day_ms)) STRICT, WITHOUT ROWID;
CREATE TABLE line_windows (
  size_s INTEGER NOT NULL, start_ms INTEGER NOT NULL, line_id INTEGER NOT NULL, revision INTEGER NOT NULL,
  ins INTEGER NOT NULL, outs INTEGER NOT NULL, passes INTEGER NOT NULL, sales INTEGER NOT NULL,
  returns INTEGER NOT NULL, amount INTEGER NOT NULL, odd_before INTEGER NOT NULL, watched_ms INTEGER,
  est_ins INTEGER NOT NULL, est_outs INTEGER NOT NULL, est_passes INTEGER NOT NULL, quality INTEGER NOT NULL,
  PRIMARY KEY (line_id, size_s, start_ms, revision)) STRICT, WITHOUT ROWID;
CREATE TABLE zones (id INTEGER PRIMARY KEY, zone TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, name TEXT NOT NULL,
  parent TEXT, was TEXT NOT NULL, active INTEGER NOT NULL) STRICT;
CREATE TABLE zone_versions (zone_id INTEGER NOT NULL, version INTEGER NOT NULL, from_ms INTEGER NOT NULL,
  members TEXT NOT NULL, PRIMARY KEY (zone_id, version)) STRICT, WITHOUT ROWID;
CREATE TABLE zone_aggregates (
  zone_id INTEGER NOT NULL, size_s INTEGER NOT NULL, start_ms INTEGER NOT NULL, revision INTEGER NOT NULL,
  zone_version INTEGER NOT NULL, ins INTEGER NOT NULL, outs INTEGER NOT NULL, passersby INTEGER NOT NULL,
  sales INTEGER NOT NULL, returns INTEGER NOT NULL, amount INTEGER NOT NULL, watched_ms INTEGER,
  base_ms INTEGER, estimated_ins INTEGER NOT NULL, estimated_outs INTEGER NOT NULL,
  occupancy INTEGER NOT NULL,
  occupancy_raw INTEGER NOT NULL, flags INTEGER NOT NULL, quality INTEGER NOT NULL, lines TEXT NOT NULL,
  reason TEXT NOT NULL, closed_ms INTEGER NOT NULL,
  PRIMARY KEY (zone_id, size_s, start_ms, revision)) STRICT, WITHOUT ROWID;
CREATE TABLE upstreams (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE subscriptions (
  upstream_id INTEGER NOT NULL, zone_id INTEGER NOT NULL, size_s INTEGER NOT NULL, from_ms INTEGER NOT NULL,
  to_ms INTEGER, PRIMARY KEY (upstream_id, zone_id, size_s, from_ms)) STRICT, WITHOUT ROWID;
CREATE TABLE outbox (
  upstream_id INTEGER NOT NULL, zone_id INTEGER NOT NULL, size_s INTEGER NOT NULL, start_ms INTEGER NOT NULL,
  revision INTEGER NOT NULL, state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'rejected')),
  delivered_revision INTEGER, attempts INTEGER NOT NULL DEFAULT 0, closed_ms INTEGER NOT NULL, reason TEXT,
  settled_ms INTEGER, PRIMARY KEY (upstream_id, zone_id, size_s, start_ms)) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_pending ON outbox (upstream_id, start_ms) WHERE state = 'pending';
CREATE INDEX outbox_rejected ON outbox (upstream_id) WHERE state = 'rejected';
"""

# `round`: of the link's connection, see links; `basis` and `since_ms`: a line that counts by something else
# now does not count again what it counted before
SECOND = """
ALTER TABLE upstreams ADD COLUMN expired INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries RENAME COLUMN sequence TO round;
ALTER TABLE lines ADD COLUMN basis TEXT;
ALTER TABLE pulse ADD COLUMN since_ms INTEGER NOT NULL DEFAULT 0;
-- device lines that counters without a choice of their own have taken for theirs
CREATE TABLE adopted (counter TEXT NOT NULL, origin TEXT NOT NULL, line TEXT NOT NULL,
  PRIMARY KEY (counter)) STRICT, WITHOUT ROWID;
-- what an event says of its place, as it was when the window was closed
CREATE TABLE plans (from_ms INTEGER PRIMARY KEY, plan TEXT NOT NULL) STRICT;
"""

# opening hours in force from a window's start on; a window is closed, and restated, by those of its start
OPENING = """
CREATE TABLE zone_hours (zone_id INTEGER NOT NULL, from_ms INTEGER NOT NULL, hours TEXT NOT NULL,
  PRIMARY KEY (zone_id, from_ms)) STRICT, WITHOUT ROWID;
"""

# what people entered in place of what was counted; `masked_…`: of what it hides, the part whose readings may
# be pruned; `sides`: which of ins, outs and passes a line has ever given; `why`: for what a revision is made
CORRECTIONS = """
CREATE TABLE corrections (
  id TEXT PRIMARY KEY, line_id INTEGER NOT NULL REFERENCES lines, start_ms INTEGER NOT NULL,
  end_ms INTEGER NOT NULL, side INTEGER NOT NULL CHECK (side BETWEEN 1 AND 7),
  ins INTEGER NOT NULL CHECK (ins BETWEEN 0 AND 1000000000),
  outs INTEGER NOT NULL CHECK (outs BETWEEN 0 AND 1000000000),
  passes INTEGER NOT NULL CHECK (passes BETWEEN 0 AND 1000000000),
  reason TEXT NOT NULL, by TEXT NOT NULL, made_ms INTEGER NOT NULL, undone_ms INTEGER,
  undone_by TEXT NOT NULL DEFAULT '', undone_reason TEXT NOT NULL DEFAULT '',
  masked_ins INTEGER NOT NULL DEFAULT 0, masked_outs INTEGER NOT NULL DEFAULT 0,
  masked_passes INTEGER NOT NULL DEFAULT 0, CHECK (end_ms - start_ms BETWEEN 1 AND 2678400000)) STRICT;
CREATE UNIQUE INDEX corrections_in_force ON corrections (line_id, start_ms) WHERE undone_ms IS NULL;
ALTER TABLE dirty ADD COLUMN why TEXT NOT NULL DEFAULT '';
ALTER TABLE pulse ADD COLUMN sides INTEGER NOT NULL DEFAULT 0;
UPDATE pulse SET sides=s.sides FROM (SELECT line_id, max(side&1)|max(side&2)|max(side&4) AS sides FROM
  (SELECT line_id, side FROM readings UNION ALL SELECT line_id, side FROM heads) GROUP BY line_id) AS s
  WHERE s.line_id=pulse.line_id;
"""

# factors that are applied on read, in millionths; the calibrated sums of a zone's window in thousandths of
# persons; `recalibrate`: closed windows that a factor reaches back to and that are still to be looked at
CALIBRATIONS = """
CREATE TABLE calibrations (
  version INTEGER PRIMARY KEY, line_id INTEGER NOT NULL REFERENCES lines,
  side INTEGER NOT NULL CHECK (side IN (1, 2, 4)),
  factor_ppm INTEGER NOT NULL CHECK (factor_ppm BETWEEN 800000 AND 1250000), error_ppm INTEGER NOT NULL,
  from_ms INTEGER NOT NULL, to_ms INTEGER, source TEXT NOT NULL, by TEXT NOT NULL, made_ms INTEGER NOT NULL,
  ended_ms INTEGER, ended_by TEXT NOT NULL DEFAULT '') STRICT;
CREATE TABLE recalibrate (zone_id INTEGER NOT NULL, size_s INTEGER NOT NULL, next_ms INTEGER NOT NULL,
  PRIMARY KEY (zone_id, size_s)) STRICT, WITHOUT ROWID;
ALTER TABLE zone_aggregates ADD COLUMN calibration INTEGER;
ALTER TABLE zone_aggregates ADD COLUMN cal_ins INTEGER;
ALTER TABLE zone_aggregates ADD COLUMN cal_outs INTEGER;
ALTER TABLE zone_aggregates ADD COLUMN cal_passersby INTEGER;
ALTER TABLE zone_aggregates ADD COLUMN cal_ins_ppm INTEGER;
ALTER TABLE zone_aggregates ADD COLUMN cal_passersby_ppm INTEGER;
"""

# what people enter; `kind` first, so that taps of a day lie together
ENTRIES = """
CREATE TABLE entries (
  kind TEXT NOT NULL, id TEXT NOT NULL, subject TEXT NOT NULL, start_ms INTEGER NOT NULL,
  end_ms INTEGER NOT NULL, content TEXT NOT NULL, by TEXT NOT NULL, entered_ms INTEGER NOT NULL,
  withdrawn_ms INTEGER, PRIMARY KEY (kind, id), CHECK (end_ms > start_ms)) STRICT, WITHOUT ROWID;
CREATE INDEX entries_time ON entries (kind, subject, start_ms);
"""

# staff among the ins, and what closed days teach a zone: `day_ms` is the start of the day it was learnt for
LEARNT = """
ALTER TABLE zone_aggregates ADD COLUMN staff INTEGER NOT NULL DEFAULT 0;
CREATE TABLE learnt (zone_id INTEGER NOT NULL, from_ms INTEGER NOT NULL, day_ms INTEGER NOT NULL,
  content TEXT NOT NULL, PRIMARY KEY (zone_id, from_ms)) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('written', '0');
"""

# `inside`: occupancy in thousandths of persons; what a business day that is over says of a zone's doors: ins
# and outs in thousandths, calibrated where they are, and the persons left inside when the day was reset
OCCUPANCY = """
ALTER TABLE zone_aggregates ADD COLUMN inside INTEGER;
CREATE TABLE zone_days (
  zone_id INTEGER NOT NULL, day_ms INTEGER NOT NULL, revision INTEGER NOT NULL, ins INTEGER NOT NULL,
  outs INTEGER NOT NULL, residual INTEGER NOT NULL, watched_ms INTEGER, base_ms INTEGER NOT NULL,
  imbalance INTEGER NOT NULL CHECK (imbalance IN (0, 1)), made_ms INTEGER NOT NULL,
  PRIMARY KEY (zone_id, day_ms, revision)) STRICT, WITHOUT ROWID;
"""

MIGRATIONS: tuple[tuple[str, str], ...] = (
    ("first", FIRST),
    ("second", SECOND),
    ("opening", OPENING),
    ("corrections", CORRECTIONS),
    ("calibrations", CALIBRATIONS),
    ("entries", ENTRIES),
    ("learnt", LEARNT),
    ("occupancy", OCCUPANCY),
)


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
