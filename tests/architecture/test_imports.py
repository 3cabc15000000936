"""The import table and the sizes of docs/architecture.md."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gateway", "drivers", "simulators")
MAX_FUNCTION_LINES = 60
MAX_FILE_LINES = 400

PURE = {"gateway.model", "gateway.amendments", "gateway.instants"}
SEAMS = {"gateway.driver", "gateway.upstreams"}
STORE = {
    "gateway.store",
    "gateway.registers",
    "gateway.windows",
    "gateway.measures",
    "gateway.quality",
    "gateway.learning",
}

# room → what it may import of ours (a prefix stands for the module and everything below it)
TABLE: dict[str, set[str]] = {
    "gateway.model": set(),
    "gateway.amendments": set(),
    "gateway.instants": set(),
    "gateway.errors": set(),
    "gateway.clock": PURE,
    "gateway.systemd": set(),
    "gateway.retry": set(),
    "gateway.registers": PURE,
    "gateway.windows": PURE,
    "gateway.calendars": PURE,
    "gateway.holidays": set(),
    "gateway.measures": PURE | {"gateway.measures"},
    "gateway.quality": PURE | {"gateway.measures", "gateway.quality"},
    "gateway.driver": PURE | {"gateway.errors"},
    "gateway.config": PURE
    | {"gateway.errors", "gateway.driver", "gateway.config", "gateway.windows", "gateway.calendars"}
    | {"gateway.upstreams"},
    "gateway.roster": PURE | {"gateway.driver", "gateway.config"},
    "gateway.store": PURE | {"gateway.errors"} | STORE,
    "gateway.links": PURE
    | {"gateway.errors", "gateway.clock", "gateway.driver", "gateway.retry", "gateway.links"},
    "gateway.upstreams": PURE
    | {"gateway.errors", "gateway.clock", "gateway.driver", "gateway.retry", "gateway.upstreams"},
    "gateway.strangers": PURE | {"gateway.errors", "gateway.driver", "gateway.roster", "gateway.strangers"},
    "gateway.ingest": PURE
    | {"gateway.errors", "gateway.clock", "gateway.store", "gateway.roster", "gateway.strangers"}
    | SEAMS,
    "gateway.closing": PURE | {"gateway.errors", "gateway.clock", "gateway.store"} | SEAMS,
    "gateway.forward": PURE | {"gateway.errors"} | SEAMS,
    "gateway.items": PURE,
    "gateway.entries": PURE
    | {"gateway.errors", "gateway.measures", "gateway.windows", "gateway.calendars"}
    | {"gateway.config.wording", "gateway.entries", "gateway.reports"},
    "gateway.learning": PURE | {"gateway.measures"},
    "gateway.reports": PURE | {"gateway.measures", "gateway.windows", "gateway.reports"},
    "gateway.control": PURE | {"gateway.errors", "gateway.health", "gateway.items"},
    "gateway.health": PURE
    | {"gateway.clock", "gateway.config", "gateway.roster", "gateway.ingest", "gateway.store"}
    | {"gateway.windows", "gateway.calendars", "gateway.measures", "gateway.learning", "gateway.reports"}
    | {"gateway.health"},
    "gateway.metrics": PURE | {"gateway.health"},
    "gateway.web": PURE
    | {"gateway.calendars", "gateway.errors", "gateway.health", "gateway.metrics", "gateway.web"},
    "drivers": {"gateway.driver", "gateway.model", "gateway.errors", "drivers"},
    "simulators": {"simulators"},
}
EVERYTHING_OF_GATEWAY = {
    "gateway.app",
    "gateway.amending",
    "gateway.__main__",
    "gateway.commands",
}

# outside package → the only rooms that may import it
RESERVED: dict[str, set[str]] = {
    "sqlite3": {"gateway.store", "simulators"},
    "sqlite_utils": {"gateway.store"},
    "serial": {"gateway.links", "simulators"},
    "paho": {"gateway.links", "gateway.upstreams", "simulators"},
    "nats": {"gateway.upstreams", "simulators"},
    "holidays": {"gateway.holidays"},  # heavy: only in a process of its own (docs/decisions/015)
    "tomllib": {"gateway.config", "gateway.commands", "simulators"},
}
IMPURE = {"asyncio", "socket", "time", "threading", "os", "select", "subprocess", "sqlite3", "logging"}
PURE_ROOMS = {
    "gateway.model",
    "gateway.amendments",
    "gateway.instants",
    "gateway.retry",
    "gateway.registers",
    "gateway.windows",
    "gateway.calendars",
    "gateway.measures",
    "gateway.learning",
    "gateway.reports",
    "gateway.quality",
    "drivers",
}


def modules() -> Iterator[tuple[str, Path]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def within(module: str, rooms: set[str]) -> bool:
    return any(module == room or module.startswith(room + ".") for room in rooms)


def imports(module: str, path: Path) -> Iterator[str]:
    """Every absolute module name imported, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            source = node.module or ""
            if source in PACKAGES:
                yield from (f"{source}.{alias.name}" for alias in node.names)
            else:
                yield source


def room_of(module: str) -> str | None:
    """The longest entry of the table that holds this module."""
    fitting = [room for room in TABLE if within(module, {room})]
    return max(fitting, key=len) if fitting else None


def strangers(module: str, path: Path) -> list[str]:
    room = room_of(module)
    found = []
    for name in imports(module, path):
        top = name.split(".")[0]
        if top in PACKAGES and not may_import(module, room, name):
            found.append(f"{module} imports {name}")
        if top in RESERVED and not within(module, RESERVED[top]):
            found.append(f"{module} imports {top}, which belongs to {', '.join(sorted(RESERVED[top]))}")
        if within(module, PURE_ROOMS) and top in IMPURE:
            found.append(f"{module} imports {top} and is no longer pure")
    return found


def may_import(module: str, room: str | None, name: str) -> bool:
    if name == "gateway.__version__":
        return within(module, {"gateway"})
    if within(module, EVERYTHING_OF_GATEWAY):
        return within(name, {"gateway"})
    return room is not None and within(name, TABLE[room])


MODULES = list(modules())


@pytest.mark.parametrize(("module", "path"), MODULES, ids=[name for name, _ in MODULES])
def test_imports_follow_the_table(module: str, path: Path) -> None:
    assert strangers(module, path) == []


@pytest.mark.parametrize(("module", "path"), MODULES, ids=[name for name, _ in MODULES])
def test_files_and_functions_stay_small(module: str, path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE_LINES, f"{module} is too long"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{module}.{node.name}: {lines} lines"


def test_an_import_against_the_table_is_caught(tmp_path: Path) -> None:
    guilty = tmp_path / "family.py"
    guilty.write_text("import asyncio\nfrom gateway.store import Store\nfrom gateway import clock\n")
    assert strangers("drivers.dcon.family", guilty) == [
        "drivers.dcon.family imports asyncio and is no longer pure",
        "drivers.dcon.family imports gateway.store",
        "drivers.dcon.family imports gateway.clock",
    ]


def test_sql_stays_in_its_room() -> None:
    verbs = ("SELECT ", "INSERT ", "UPDATE ", "DELETE FROM", "CREATE TABLE")
    for module, path in MODULES:
        if within(module, {"gateway"}) and not within(module, {"gateway.store"}):
            literals = [n.value for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant)]
            sql = [text for text in literals if isinstance(text, str) and text.lstrip().startswith(verbs)]
            assert sql == [], f"{module} holds SQL"
