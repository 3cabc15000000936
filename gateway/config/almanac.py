"""Which days are holidays: asked of a process of its own, remembered in a file beside the buffer."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-I", "-m", "gateway.holidays")
PATIENCE_S = 30.0  # the package takes seconds to load on a slow card; systemd waits 90 s for a start
FILE = "holidays.json"
BEFORE, AFTER = 1, 3  # years around this one: late data look back, and a box may run for long


@dataclass(frozen=True, slots=True)
class Holiday:
    """`public`: by law; else an eve or a day that many take off."""

    day: date
    name: str
    public: bool


class UnknownPlace(ValueError):
    """`key`: country or subdiv; `known`: those that there are."""

    def __init__(self, key: str, known: list[str]) -> None:
        super().__init__(key)
        self.key, self.known = key, known


class Silent(Exception):
    """The process has not answered."""


def years_around(year: int) -> range:
    return range(year - BEFORE, year + AFTER + 1)


class Almanac:
    """One look-up of holidays. `folder`: where they are remembered; `keep`: news is written there."""

    def __init__(self, years: range, folder: Path | None, *, keep: bool) -> None:
        self._years, self._folder, self._keep = years, folder, keep
        self._remembered = self._read()
        self.known: list[range] = []  # of each place asked for; empty ranges: nothing is known
        self.complaint = ""  # why the last answer is missing or old
        self._silent: Silent | None = None

    def holidays(self, country: str, subdiv: str | None) -> list[Holiday]:
        """All of the years that are known, oldest first. Raises UnknownPlace."""
        place = f"{country}/{subdiv or ''}"
        self.complaint = ""
        entry = self._remembered.get(place)
        if entry is None or not self._fresh(entry):
            entry = self._asked(place, country, subdiv, entry)
        self.known.append(range(entry["first"], entry["last"] + 1))
        return [Holiday(date.fromisoformat(day), name, public) for day, name, public in entry["days"]]

    def _fresh(self, entry: dict[str, Any]) -> bool:
        """Worked out by the installed version, for all of these years."""
        covers = entry["first"] <= self._years[0] and self._years[-1] <= entry["last"]
        with suppress(PackageNotFoundError):
            return covers and bool(entry["version"] == version("holidays"))
        return False

    def _asked(
        self, place: str, country: str, subdiv: str | None, old: dict[str, Any] | None
    ) -> dict[str, Any]:
        try:
            said = self._ask(country, subdiv)
        except Silent as error:
            if old is None:
                self.complaint = f"the holidays of {country} are not known, days go by their weekday: {error}"
                return {"first": 1, "last": 0, "days": []}
            self.complaint = (
                f"the holidays of {country} are those that were known (until {old['last']}): {error}"
            )
            return old
        if "unknown" in said:
            raise UnknownPlace(said["unknown"], said["known"])
        entry = {**said, "first": self._years[0], "last": self._years[-1]}
        self._remember(place, entry)
        return entry

    def _ask(self, country: str, subdiv: str | None) -> dict[str, Any]:
        """Who did not answer once is not waited for again, whatever the number of countries."""
        if self._silent is not None:
            raise self._silent
        try:
            return ask(country, subdiv, self._years)
        except Silent as error:
            self._silent = error
            raise

    def _read(self) -> dict[str, Any]:
        """What the file says; one that cannot be read or is damaged is as good as none."""
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            if self._folder is not None:
                found = json.loads((self._folder / FILE).read_text(encoding="utf-8"))
                return {place: entry for place, entry in found.items() if _sound(entry)}
        return {}

    def _remember(self, place: str, entry: dict[str, Any]) -> None:
        self._remembered[place] = entry
        if self._folder is None or not self._keep:
            return
        with suppress(OSError):  # a full card: it is asked again at the next start
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = self._folder / f"{FILE}.new"
            fresh.write_text(json.dumps(self._remembered, ensure_ascii=False), encoding="utf-8")
            fresh.replace(self._folder / FILE)


def _sound(entry: Any) -> bool:
    days = [(date.fromisoformat(day), str(name), bool(public)) for day, name, public in entry["days"]]
    return bool(days) and isinstance(entry["first"], int) and isinstance(entry["last"], int)


def ask(country: str, subdiv: str | None, years: range) -> dict[str, Any]:
    """The process's answer. Raises Silent."""
    wanted = [country, subdiv or "", str(years[0]), str(years[-1])]
    try:
        done = subprocess.run(  # noqa: S603  # our own interpreter and module; the country was checked
            [*COMMAND, *wanted], capture_output=True, timeout=PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Silent(f"asking for them failed ({type(error).__name__})") from error
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or [f"exit {done.returncode}"])[-1]
        raise Silent(f"asking for them failed ({last[:200]})")
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        raise Silent("asking for them gave no answer") from error
    return answer
