"""Events are rendered from stored facts; a box that runs for years keeps none of them in mind."""

from __future__ import annotations

import json
import tracemalloc

from gateway.store.events import roles


def test_roles_of_windows_past_are_forgotten() -> None:
    """Late counts give each window revisions of its own: 52 doors for two weeks."""
    tracemalloc.start()
    try:
        for window in range(1500):
            lines = [[line, 1 + (window * 7 + line) % 5000, 1, "entrance"] for line in range(52)]
            assert roles(json.dumps(lines)) == {"entrance"}
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1_000_000
