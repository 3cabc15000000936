"""Writes box.txt: the run-time packages, pinned, with the hashes of the wheels a box may install.

Needs a package index through pip. Run as `make lock`; review the difference before committing it.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
PLATFORMS = {
    "aarch64": ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64", "linux_aarch64"),
    "armv7l": ("manylinux_2_31_armv7l", "manylinux_2_17_armv7l", "manylinux2014_armv7l", "linux_armv7l"),
    "x86_64": ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64", "linux_x86_64"),
}
PYTHONS = ("3.11", "3.13")  # Debian 12 and 13, and the Raspberry Pi OS releases made from them
NAME = re.compile(r"^(?P<name>.+?)-(?P<version>[^-]+)-")
HEADER = """\
# The daemon's run-time packages, pinned and hash-locked. Made by `make lock`; checked by `make wheels`.
# On the box: pip install --require-hashes --only-binary=:all: -r box.txt
"""


def download(wanted: list[str], machine: str, python: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Wheels only, for that machine and Python, whatever this machine is."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    for platform in PLATFORMS[machine]:
        command += ["--platform", platform]
    return subprocess.run(  # noqa: S603  # our own interpreter, arguments from this file and the lock
        [*command, "--dest", str(folder), *wanted], capture_output=True, text=True, check=False
    )


def runtime_dependencies() -> list[str]:
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]
    dependencies: list[str] = project["dependencies"]
    return dependencies


def wheels(wanted: list[str]) -> dict[str, set[str]]:
    """`name==version` → SHA-256 of every wheel that some box needs."""
    pins: dict[str, set[str]] = {}
    for machine in PLATFORMS:
        for python in PYTHONS:
            with tempfile.TemporaryDirectory() as folder:
                result = download(wanted, machine, python, Path(folder))
                if result.returncode:
                    raise SystemExit(f"{machine}, Python {python}: {result.stderr.strip()}")
                for wheel in Path(folder).iterdir():
                    found = NAME.match(wheel.name)
                    if found is None:
                        raise SystemExit(f"not a wheel: {wheel.name}")
                    pin = f"{found['name'].lower().replace('_', '-')}=={found['version']}"
                    pins.setdefault(pin, set()).add(hashlib.sha256(wheel.read_bytes()).hexdigest())
    return pins


def main() -> None:
    pins = wheels(runtime_dependencies())
    names = [pin.split("==")[0] for pin in pins]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SystemExit(f"different versions for different machines: {', '.join(twice)}")
    lines = [
        " \\\n".join([pin, *(f"    --hash=sha256:{digest}" for digest in sorted(pins[pin]))])
        for pin in sorted(pins)
    ]
    (HERE / "box.txt").write_text(HEADER + "\n".join(lines) + "\n")
    print(f"{len(pins)} packages")


if __name__ == "__main__":
    main()
