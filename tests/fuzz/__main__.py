"""Coverage-guided fuzzing of the drivers: `python -m tests.fuzz [FAMILY ...] [--seconds 60]`."""

from __future__ import annotations

import argparse
import subprocess
import sys

from gateway.driver import family_names


def run(name: str, seconds: int) -> tuple[int, int, str]:
    """(exit code, inputs tried, what was printed) of one family in a process of its own."""
    command = [sys.executable, "-m", "tests.fuzz.inside", name, str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    printed = done.stdout + done.stderr
    return done.returncode, _executions(printed), printed


def _executions(printed: str) -> int:
    lines = (line.split(":") for line in printed.splitlines() if "number_of_executed_units" in line)
    return next((int(words[-1]) for words in lines), 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", help="default: all")
    parser.add_argument("--seconds", type=int, default=60, help="for each family")
    given = parser.parse_args()
    worst = 0
    for name in given.families or family_names():
        code, inputs, printed = run(name, given.seconds)
        print(f"{name:12} {inputs:>9} inputs  {'FOUND' if code else 'clean'}", flush=True)
        if code:
            print(printed[-4000:])
        worst = max(worst, abs(code))
    return 1 if worst else 0


if __name__ == "__main__":
    sys.exit(main())
