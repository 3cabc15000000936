"""The simulated line survives what people do to it."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from simulators.bus import Bus
from simulators.dcon import Module

Ready = tuple[list[int], list[int], list[int]]


def ask(path: Path, question: bytes, patience_s: float = 10.0) -> bytes:
    """What the line says to one question, up to its CR; b"" if nothing in time."""
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    try:
        os.write(fd, question)
        heard = b""
        while not heard.endswith(b"\r") and select.select([fd], [], [], patience_s)[0]:
            heard += os.read(fd, 64)
        return heard
    finally:
        os.close(fd)


def test_a_line_pulled_between_two_looks_answers_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, pulled = select.select, threading.Event()
    bus = Bus([Module("01")], link=tmp_path / "bus")

    def pulled_first(
        read: Sequence[int], write: Sequence[int], odd: Sequence[int], wait: float | None
    ) -> Ready:
        if pulled.is_set() or len(read) < 2:
            return looks(read, write, odd, wait)
        bus.unplug()
        try:
            return looks(read, write, odd, wait)
        finally:
            pulled.set()

    with monkeypatch.context() as patch:
        patch.setattr("simulators.bus.select.select", pulled_first)
        with bus:
            assert pulled.wait(10)
            bus.plug()
            assert ask(tmp_path / "bus", b"#010\r") == b">00000000\r"
