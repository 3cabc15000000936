"""The file itself: locked, marked, moved aside when damaged, honest when full."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.errors import BufferInUse, BufferRefused, StoreError
from gateway.model import Basis, Booking, Crossings, LineRule, Parcel, Register, Stamp
from gateway.store import Reader, Store
from tests.unit.store.conftest import MINUTE, T0, Box

MakeBox = Callable[..., Awaitable[Box]]
NOW = Stamp("boot", 0, T0)


async def test_one_daemon_per_directory(box: Box) -> None:
    with pytest.raises(BufferInUse):
        await Store.open(box.path, now=NOW)


async def test_simulated_and_real_counts_never_mix(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, now=NOW, simulated="2026-01-01,60")
    await store.aclose()
    with pytest.raises(BufferRefused, match="simulated"):
        await Store.open(tmp_path, now=NOW)
    store = await Store.open(tmp_path, now=NOW, simulated="another run")
    await store.aclose()


async def test_a_damaged_file_is_kept_aside(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    await box.delta(T0 - MINUTE, T0, 5)
    await box.store.aclose()
    file = box.path / "buffer.db"
    content = bytearray(file.read_bytes())
    content[2048:20480] = b"\xff" * 18432
    file.write_bytes(bytes(content))
    with caplog.at_level(logging.ERROR):
        await box.open()
    await box.configure()
    assert "damaged" in caplog.text
    assert (box.path / f"buffer.db.damaged-{T0 // 1000}").stat().st_size == len(content)
    await box.delta(T0 - MINUTE, T0, 6)
    assert box.ledger()["counted"] == 6


async def test_not_a_database_at_all(tmp_path: Path) -> None:
    (tmp_path / "buffer.db").write_bytes(b"this is no database, it is a sentence" * 100)
    store = await Store.open(tmp_path, now=NOW)
    await store.ping()
    await store.aclose()


async def test_a_later_file_is_refused(box: Box) -> None:
    box.store._con.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('buffer', 'from"
        " the future', '')"
    )
    await box.store.aclose()
    with pytest.raises(StoreError, match="later version"):
        await box.open()
    box.store._con = sqlite3.connect(box.path / "buffer.db")
    box.store._con.execute("DELETE FROM _sqlite_migrations WHERE name='from the future'")
    box.store._con.commit()
    box.store._con.close()
    await box.open()


async def test_a_full_card_is_said_and_nothing_acknowledged_is_lost(box: Box) -> None:
    await box.delta(T0 - MINUTE, T0, 5)
    pages = box.store._con.execute("PRAGMA page_count").fetchone()[0]
    box.store._con.execute(f"PRAGMA max_page_count={pages}")
    many = [
        Booking("door", "main", Crossings("door", "main", T0 - n * MINUTE, T0 - (n - 1) * MINUTE, 1))
        for n in range(2, 2000)
    ]
    with pytest.raises(StoreError):
        await box.store.record([Parcel("link", box.now(), many)])
    assert box.ledger()["counted"] == 5
    box.store._con.execute("PRAGMA max_page_count=1000000")
    await box.store.record([Parcel("link", box.now(), many)])
    assert box.ledger()["counted"] == 5 + 1998
    box.balanced()


async def test_settings_that_survive_a_power_cut(box: Box) -> None:
    def pragma(name: str) -> object:
        return box.store._con.execute(f"PRAGMA {name}").fetchone()[0]

    assert (pragma("journal_mode"), pragma("synchronous"), pragma("mmap_size")) == ("wal", 2, 0)
    assert (pragma("trusted_schema"), pragma("foreign_keys")) == (0, 1)


async def test_a_reader_cannot_write(box: Box) -> None:
    reader = Reader(box.path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._con.execute("DELETE FROM ledger")
    reader.close_file()


def test_a_reader_without_a_buffer_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no buffer"):
        Reader(tmp_path)


async def test_the_books_notice_a_missing_person(box: Box) -> None:
    """An audit that cannot fail proves nothing."""
    await box.delta(T0 - MINUTE, T0, 5)
    await box.drain()
    box.balanced()
    for damage in (
        "UPDATE line_windows SET ins=ins+1 WHERE ins=5",
        "UPDATE zone_aggregates SET outs=1 WHERE ins=5",
        "UPDATE ledger SET ins=ins+1 WHERE account='received'",
        (
            "UPDATE outbox SET state='delivered', delivered_revision=9 WHERE start_ms=(SELECT"
            " max(start_ms) FROM outbox)"
        ),
    ):
        box.store._con.execute("SAVEPOINT damage")
        box.store._con.execute(damage)
        box.store._con.execute("RELEASE damage")
        assert not box.books().balanced, damage
        undo = damage.replace("ins+1 WHERE ins=5", "5 WHERE ins=6").replace("outs=1", "outs=0")
        undo = undo.replace("ins=ins+1 WHERE account", "ins=ins-1 WHERE account").replace(
            "revision=9", "revision=1"
        )
        box.store._con.execute(undo)
        box.balanced()


async def test_a_failing_card_leaves_nothing_half_remembered(make_box: MakeBox) -> None:
    """A batch of totals fails at its commit: the register must not believe that it has moved."""
    box = await make_box(rules=[LineRule("door", "main", basis=Basis.TOTAL, polled=True, expect_s=15)])
    await box.take_in(Register("door", "main", None, total_in=100))
    con, box.store._con = box.store._con, FailingCommit(box.store._con)  # type: ignore[assignment]
    box.pass_ms(5000)
    with pytest.raises(StoreError):
        await box.take_in(Register("door", "main", None, total_in=107))
    box.store._con = con
    await box.take_in(Register("door", "main", None, total_in=107))
    assert box.ledger()["counted"] == 7
    box.balanced()


class FailingCommit:
    """A connection whose card fails at the commit."""

    def __init__(self, con: sqlite3.Connection) -> None:
        self._con = con

    def execute(self, statement: str, *binds: object) -> sqlite3.Cursor:
        if statement == "COMMIT":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR
            raise error
        return self._con.execute(statement, *binds)  # type: ignore[arg-type]

    @property
    def in_transaction(self) -> bool:
        return self._con.in_transaction
