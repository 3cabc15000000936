"""Commands before a socket or a buffer that they cannot use: one sentence, never a traceback."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gateway import control
from gateway.control import ControlFaultError, NoDaemonError, ask
from gateway.errors import StoreError
from gateway.store import Reader


class Denied(socket.socket):
    """What another user than the daemon's gets; root is never denied."""

    def connect(self, _address: object) -> None:
        raise PermissionError(13, "Permission denied")


def test_a_socket_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", Denied)
    with pytest.raises(NoDaemonError, match="not open to this user"):
        next(ask(tmp_path, "status"))


def test_a_daemon_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "ANSWER_S", 0.05)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / control.NAME))
        silent.listen()
        with pytest.raises(ControlFaultError, match=r"has not answered for 0\.05 s"):
            next(ask(tmp_path, "status"))


def test_a_buffer_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", denied)
    with pytest.raises(StoreError, match=r"cannot be read: Permission denied$"):
        Reader(tmp_path)


def test_a_buffer_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "buffer.db").write_text("not a database, however long " * 100)
    with pytest.raises(StoreError, match="cannot be read: file is not a database"):
        Reader(tmp_path)
