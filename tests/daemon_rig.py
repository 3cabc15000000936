"""The real daemon inside a test: its clock, its pauses, and where its counters push."""

from __future__ import annotations

import pytest

from gateway import app
from gateway.clock import Clock
from gateway.links import supervise
from gateway.links.push import PushLink
from gateway.links.supervise import Backoff
from simulators import timing

# How a test's configuration begins: windows close at once, and counters may push.
HEAD = """
[gateway]
data_dir = "data"
commit_interval_s = 0.02
[site]
id = "site"
timezone = "Europe/Oslo"
[windows]
allowed_lateness_s = 0
[http]
listen = "127.0.0.1:0"
"""
PUSH_HEAD = f"""{HEAD}
[push]
listen = "127.0.0.1:0"
allow = ["127.0.0.1"]
"""
NOON = 1_795_431_600_000  # 2026-11-23T12:00+01:00, a Monday


class Ahead(Clock):
    """It shows noon at first, whatever the hour is outside, and time passes when the test says so."""

    def __init__(self, start_ms: int = NOON) -> None:
        super().__init__("always")
        self.ahead_ms = 0
        self._start_ms = start_ms - super().wall_ms()

    def wall_ms(self) -> int:
        return super().wall_ms() + self._start_ms + self.ahead_ms

    def mono_ms(self) -> int:
        return super().mono_ms() + self.ahead_ms


class Same(timing.Clock):
    """The clock of a camera or portal agrees with ours."""

    def __init__(self, clock: Ahead) -> None:
        super().__init__()
        self._clock = clock

    def now_ms(self) -> int:
        return self._clock.wall_ms()


def make_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed is tried again, and a gap asked for, after hundredths of a second."""
    monkeypatch.setattr(supervise, "Backoff", lambda: Backoff(chance=lambda: 0.01))
    monkeypatch.setattr("gateway.links.pull.RECALL_PAUSE_S", 0.01)
    monkeypatch.setattr("gateway.links.pull.LOOK_S", 0.1)


def push_url(daemon: app.Gateway) -> str:
    """Where the counters of the daemon's push link post, once it listens."""
    link = next(link for link in daemon.links if isinstance(link, PushLink))
    address = link._listener.address
    assert address
    return f"http://127.0.0.1:{address[1]}/push/{link.id}"
