"""Rules for the whole suite: what a missing program means, and no test leaves a task behind."""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import inspect
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from simulators.processes import program
from tests.brokers import Mosquitto, Nats, Server

LEFT_OUT = "left out: needs "
# An example that takes long says that the machine is busy; what must be quick is measured where it is said.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_configure() -> None:
    """No loop yet: asked for one before the first test, asyncio 3.11 would make one that nobody closes."""
    asyncio.set_event_loop(None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        _leave_out(name for name in marker.args if program(name) is None)
    for marker in item.iter_markers("needs_module"):
        _leave_out(module for module in marker.args if importlib.util.find_spec(module) is None)
    _watch_tasks(item)


def _leave_out(missing: Iterable[str]) -> None:
    for name in missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"needs {name}, which is missing; under CI=true nothing is left out")
        pytest.skip(LEFT_OUT + name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each test that did not run for want of a program."""
    for report in terminalreporter.stats.get("skipped", []):
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
        if LEFT_OUT in reason:
            terminalreporter.write_line(f"{report.nodeid}: {reason[reason.index(LEFT_OUT) :]}", yellow=True)


def _watch_tasks(item: pytest.Item) -> None:
    """An asyncio test fails when a task it started is still running at its end."""
    test: Callable[..., Any] | None = getattr(item, "obj", None)
    if not isinstance(item, pytest.Function) or not inspect.iscoroutinefunction(test):
        return
    if hasattr(test, "hypothesis") or hasattr(test, "watched"):
        return

    @functools.wraps(test)
    async def watched(*args: Any, **kwargs: Any) -> None:
        before = asyncio.all_tasks()
        await test(*args, **kwargs)
        for _ in range(5):  # what was cancelled needs a turn to end
            await asyncio.sleep(0)
        left = asyncio.all_tasks() - before
        assert not left, f"tasks left behind: {left}"

    watched.watched = True  # type: ignore[attr-defined]
    item.obj = watched


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A running broker of its own for this test."""
    yield from _running(Mosquitto(tmp_path / "mosquitto"))


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    yield from _running(Nats(tmp_path / "nats"))


def _running(server: Any) -> Iterator[Any]:
    assert isinstance(server, Server)
    server.start()
    try:
        yield server
    finally:
        server.kill()
