"""Are there binary wheels, with the locked hashes, for 64-bit and 32-bit ARM? Exit 1 says what is missing."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from lock import HERE, PYTHONS, download


def main() -> int:
    failed = 0
    for machine in ("aarch64", "armv7l"):
        for python in PYTHONS:
            with tempfile.TemporaryDirectory() as folder:
                result = download(
                    ["--require-hashes", "--no-deps", "-r", str(HERE / "box.txt")],
                    machine,
                    python,
                    Path(folder),
                )
                count = len(list(Path(folder).iterdir()))
            print(
                f"{machine}, Python {python}: {count} wheels"
                if not result.returncode
                else result.stderr.strip()
            )
            failed += result.returncode
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
