"""What an operator may ask of a running daemon's queues."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from gateway import app, config
from gateway.control import ControlFaultError, ask
from tests.daemon_rig import Ahead

TEXT = """
[gateway]
id = "box"
data_dir = "data"
[site]
id = "here"
timezone = "UTC"
[clock]
trust = "always"
[http]
listen = "127.0.0.1:0"
"""
OFFICE = """
[upstream.office]
driver = "http"
options = { url = "http://127.0.0.1:1/events" }
"""


async def ask_daemon(path: Path, text: str, *commands: tuple[str, dict[str, Any]]) -> list[Any]:
    """Each command's answer, or why there is none, of a daemon with this configuration."""
    path.write_text(text)
    loaded = config.load(path)
    answers: list[Any] = []

    def ask_one(command: str, args: dict[str, Any]) -> Any:
        try:
            return list(ask(loaded.gateway.data_dir, command, args))
        except ControlFaultError as error:
            return str(error)

    async with app.gateway(loaded, Ahead()):
        for command, args in commands:
            answers.append(await asyncio.to_thread(ask_one, command, args))
    return answers


async def test_rejected_events_are_released_and_a_removed_upstream_forgotten(tmp_path: Path) -> None:
    path, office = tmp_path / "gateway.toml", {"upstream": "office"}
    answers = await ask_daemon(
        path,
        TEXT + OFFICE,
        ("release", {"upstream": None}),
        ("release", office),
        ("release", {"upstream": "nobody"}),
        ("forget", office),
    )
    assert answers[:2] == [[0], [0]]
    assert answers[2] == "the buffer knows no upstream nobody"
    assert "remove it there first" in answers[3]
    answers = await ask_daemon(path, TEXT, ("forget", office), ("forget", office))
    assert answers == [[0], "the buffer knows no upstream office"]
