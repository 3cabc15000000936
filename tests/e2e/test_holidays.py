"""The daemon and its holidays: it never carries the package, asks in time, and lives without an answer."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from gateway import config
from gateway.clock import Clock, Simulated
from gateway.commands import run
from gateway.config import almanac
from tests import machine_time
from tests.e2e.test_run import COMMAND, Daemon
from tests.torture.rig import wait_until

HOURS = '\n[site]\nid = "hall"\ntimezone = "Europe/Oslo"\nhours = "c"\n[hours.c]\nmon-sat = "10:00-20:00"\n'
HOLIDAYS = 'holidays = { country = "NO" }\n'


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    box = Daemon(tmp_path)
    yield box
    box.close()


def with_hours(box: Daemon, holidays: str) -> None:
    text = box.config.read_text()
    box.config.write_text(text.replace('\n[site]\nid = "hall"\ntimezone = "Europe/Oslo"\n', HOURS + holidays))


def test_the_daemon_never_imports_the_package(daemon: Daemon) -> None:
    """It would carry its 20 MB for as long as it runs; only a child that is gone again has it."""
    with_hours(daemon, HOLIDAYS)
    daemon.start(env={"PYTHONPROFILEIMPORTTIME": "1"})
    imported = {line.rpartition("|")[2].strip() for line in daemon.log().splitlines()}
    assert {"aiohttp", "gateway.config.almanac"} <= imported
    assert not {"holidays", "gateway.holidays"} & imported
    known = json.loads((daemon.folder / "data" / "holidays.json").read_text())
    today = datetime.fromtimestamp(machine_time.now_s(), UTC)
    assert known["NO/"]["first"] < today.year < known["NO/"]["last"]


def test_a_reload_with_a_country_that_is_none_keeps_the_old_hours(daemon: Daemon) -> None:
    with_hours(daemon, HOLIDAYS)
    process = daemon.start()
    daemon.config.write_text(daemon.config.read_text().replace('"NO"', '"QQ"'))
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: 'no holidays are known of "QQ"' in daemon.log(), 20, "refusal")
    assert "the old one stays in force" in daemon.log()
    assert daemon.ready()


def test_a_start_with_a_country_that_is_none_is_refused(daemon: Daemon) -> None:
    with_hours(daemon, HOLIDAYS.replace("NO", "QQ"))
    done = subprocess.run(
        [COMMAND, "run", "-c", str(daemon.config)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "hours.c.holidays.country" in done.stderr


# -- asking again --------------------------------------------------------------------------------------------


def clock(day: str) -> Clock:
    """It stands at noon of that day, as far as years are concerned."""
    now_s = machine_time.now_s()
    return Clock("always", Simulated(datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp(), 1.0, now_s))


def loaded(folder: Path, year: int) -> config.Config:
    path = folder / "gateway.toml"
    path.write_text('[gateway]\nid = "box"\ndata_dir = "data"' + HOURS + HOLIDAYS)
    return config.load(path, config.years_around(year), keep=True)


@pytest.mark.parametrize(
    ("year", "today", "known"),
    [
        (2026, "2029-11-20", True),  # three years on, all of 2029 is known
        (2026, "2029-12-05", False),  # in December the next year's are needed
        (2026, "2030-06-01", False),
        (1970, "2026-11-29", False),  # the box woke up without a clock
        (2026, "2024-06-01", False),
        (2026, "2026-11-29", True),
    ],
)
def test_when_the_known_years_do_not_do(tmp_path: Path, year: int, today: str, known: bool) -> None:
    assert run._known(loaded(tmp_path, year), clock(today)) is known


async def test_before_they_run_out_more_years_are_looked_up(tmp_path: Path) -> None:
    old = loaded(tmp_path, 2026)
    (tmp_path / "gateway.toml").write_text("[half an edit")  # the file is not read again
    new = await run._renewed(old, clock("2029-12-05"))
    assert 2030 in new.holiday_years
    assert old.hours["c"].of(date(2030, 12, 25)) != () == new.hours["c"].of(date(2030, 12, 25))
    assert (new.path, new.hash, new.link) == (old.path, old.hash, old.link)


async def test_nobody_answers_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Asked again and again, with the layers running on; the file with the years that were known stays."""
    answer = tmp_path / "answer"
    script = f"import pathlib, runpy, sys; assert pathlib.Path({str(answer)!r}).exists(); sys.argv[0] = 'x';"
    script += " runpy.run_module('gateway.holidays', run_name='__main__')"
    old = loaded(tmp_path, 2026)
    monkeypatch.setattr(almanac, "COMMAND", (sys.executable, "-c", script))
    monkeypatch.setattr(run, "RENEW_S", 0.01)
    asked = 0
    ask = almanac.ask

    def counted(*args: object) -> object:
        nonlocal asked
        asked += 1
        if asked == 3:
            answer.touch()
        return ask(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(almanac, "ask", counted)
    new = await run._renewed(old, clock("2029-12-05"))
    assert asked == 3
    assert 2030 in new.holiday_years
    assert caplog.text.count("are those that were known (until 2029)") == 2
