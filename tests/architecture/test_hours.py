"""No test depends on the hour, the day or the year in which it runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ASKING = ("time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "datetime.today", "date.today")
PROCESSES = {"e2e", "torture", "fleet_rig.py"}  # they start some, which know the machine's clock only


def calls(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Each call: what is called, with what."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), " ".join(ast.unparse(argument) for argument in node.args)


def asks(called: str, arguments: str) -> bool:
    """Is it the machine's time that is asked for, or given to a daemon inside the test?"""
    own = called.startswith("Clock(") and called.endswith(".wall_ms")
    given = called.split(".")[-1] == "gateway" and "Clock(" in arguments
    return called.endswith(ASKING) or own or given


def offenders(source: str, place: str) -> list[str]:
    tree = ast.parse(source)
    found = [called for called, arguments in calls(tree) if asks(called, arguments)]
    if "machine_time" in source and place not in PROCESSES:
        found.append("machine_time")
    return found


def test_the_machines_clock_is_read_in_one_place_and_for_processes_only() -> None:
    found = {
        str(path.relative_to(TESTS)): wrong
        for path in TESTS.rglob("*.py")
        if path.name != "machine_time.py" and path != Path(__file__)
        if (wrong := offenders(path.read_text(encoding="utf-8"), path.relative_to(TESTS).parts[0]))
    }
    assert found == {}


def test_a_test_that_reads_it_is_found() -> None:
    assert offenders("at = time.time() - 60", "e2e")
    assert offenders("at = datetime.datetime.now(UTC)", "unit")
    assert offenders("at = Clock('always').wall_ms()", "integration")
    assert offenders("app.gateway(config.load(path), Clock('always'))", "integration")
    assert offenders("from tests import machine_time", "integration")
    assert not offenders("app.gateway(config.load(path), Ahead()); began = time.monotonic()", "integration")
