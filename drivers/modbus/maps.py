"""Register maps of known devices, in the words of a map in a configuration. Sources: README.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Raw = dict[str, Any]


def _row(count: int, **first: int) -> Iterable[tuple[str, Raw]]:
    """Totals named by their numbers, two registers each, one after the other."""
    for number in range(count):
        yield str(number), {key: at + 2 * number for key, at in first.items()}


def _signs(count: int, says: str, **of_total: Any) -> list[Raw]:
    """The same sign for each of `count` totals; callables are given the total's number."""
    return [
        {"total": str(number), "says": f"{says} {number}"}
        | {key: value(number) if callable(value) else value for key, value in of_total.items()}
        for number in range(count)
    ]


LOT: Raw = {
    "totals": {
        "in": {"address": 0x44, "order": "low"},
        "out": {"address": 0x46, "order": "low"},
    },
    "in": "in",
    "out": "out",
    "signs": [
        {"address": 0x42, "says": "beam blocked on the way in", "standing": True},
        {"address": 0x43, "says": "beam blocked on the way out", "standing": True},
        {"address": 0x48, "says": "turnstile reports an error", "state": "fault"},
    ],
}

ADAM_4080: Raw = {"totals": {name: total | {"order": "low"} for name, total in _row(2, address=0)}}

M_7084: Raw = {
    "totals": {
        name: total | {"function": 4, "order": "low"}
        for name, total in _row(8, address=0, maximum_at=64, preset_at=96)
    },
    "signs": [
        *_signs(
            8,
            "counter stopped: channel",
            address=489,
            mask=lambda n: 1 << n,
            healthy=lambda n: 1 << n,
        ),
        *_signs(
            8,
            "no up counter: channel",
            address=lambda n: 256 + n,
            mask=0xFF,
            healthy=0x50,
            state="fault",
        ),
    ],
}

IOLOGIK_R1212: Raw = {
    "totals": {name: total | {"function": 4, "order": "high"} for name, total in _row(16, address=0x20)},
    "signs": [
        *_signs(16, "counter stopped: DI", function=1, address=lambda n: n, healthy=1),
        *_signs(16, "counter overflowed: DI", function=1, address=lambda n: 0x40 + n),
        *_signs(16, "no counter: DI", function=3, address=lambda n: n, healthy=1, state="fault"),
    ],
}

TRUMETER_898X: Raw = {
    "apart": True,
    "totals": {
        "main": {"address": 0x00, "order": "low", "number_is": "float"},
        "secondary": {"address": 0x02, "order": "low", "number_is": "float"},
    },
    "signs": [
        {
            "total": name,
            "address": 0x14,
            "width": 32,
            "order": "low",
            "mask": mask,
            "says": f"{name} counter out of its range",
            "state": "fault",
        }
        for name, mask in (("main", 0x0F00), ("secondary", 0xF000))
    ],
}

GAUGER: Raw = {
    "totals": {
        str(number): {"address": 5299 + number, "width": 16, "closes_at": 5303 + number}
        for number in range(1, 5)
    }
}

MAPS: Mapping[str, Raw] = {
    "adam-4080": ADAM_4080,
    "hardwario-gauger": GAUGER,
    "iologik-r1212": IOLOGIK_R1212,
    "lot": LOT,
    "m-7084": M_7084,
    "trumeter-898x": TRUMETER_898X,
}
