"""`python -m gateway.holidays COUNTRY SUBDIVISION FIRST LAST`: the holidays of those years, one JSON object.

A process of its own, because the package it asks costs more memory than it is worth for the rest of the year.
The daemon never imports this module (docs/decisions/015-holidays.md). Says `{"version", "days": [[date, name,
public], ...]}`, or `{"unknown": "country" | "subdiv", "known": [...]}`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import date
from importlib.metadata import version
from typing import Any

import holidays

NO_DAYS_OFF = frozenset({"workday", "school"})


def answer(country: str, subdiv: str | None, years: range) -> dict[str, Any]:
    """Every holiday by its name in the country's own language; those that are not public too (eves)."""
    known = holidays.list_supported_countries(include_aliases=False)
    if country not in known:
        return {"unknown": "country", "known": sorted(known)}
    if subdiv is not None and subdiv not in known[country]:
        return {"unknown": "subdiv", "known": sorted(known[country])}
    days = [[day.isoformat(), name, public] for day, name, public in sorted(_days(country, subdiv, years))]
    return {"version": version("holidays"), "days": days}


def _days(country: str, subdiv: str | None, years: range) -> Iterator[tuple[date, str, bool]]:
    of = holidays.country_holidays(country, subdiv)
    seen: set[tuple[date, str]] = set()
    for category in sorted({*of.supported_categories} - NO_DAYS_OFF, key=lambda one: one != "public"):
        found = holidays.country_holidays(
            country, subdiv, years, categories=(category,), language=of.default_language
        )
        for day in found:
            for name in found.get_list(day):
                if (day, name) not in seen:
                    seen.add((day, name))
                    yield day, name, category == "public"


def main() -> None:
    country, subdiv, first, last = sys.argv[1:]
    sys.stdout.write(json.dumps(answer(country, subdiv or None, range(int(first), int(last) + 1))))


if __name__ == "__main__":
    main()
