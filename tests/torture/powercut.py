"""After the program is dead: leave in a directory only what a power cut would have left."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
SECTOR = 512


def build(into: Path) -> Path:
    """The shim, compiled."""
    library = into / "powercut.so"
    command = ["cc", "-shared", "-fPIC", "-O2", "-Wall", "-o", str(library), str(HERE / "powercut.c"), "-ldl"]
    subprocess.run(command, check=True)
    return library


def environment(library: Path, data_dir: Path, kept: Path) -> dict[str, str]:
    """What the program under test is started with."""
    kept.mkdir(exist_ok=True)
    return {
        "LD_PRELOAD": str(library),
        "POWERCUT_ROOT": str(data_dir.resolve()),
        "POWERCUT_KEPT": str(kept.resolve()),
    }


def cut(data_dir: Path, kept: Path, mode: str, rng: random.Random) -> int:
    """Roll back to what was synced (`drop`), or keep a random part of the sectors since (`torn`).

    Returns how many sectors or files differed, so that a campaign can show that it cut into something.
    """
    differed = 0
    for path in sorted(data_dir.glob("buffer.db*")):
        if path.name.endswith("-shm"):
            path.unlink()  # memory, not the card
            continue
        durable = kept / path.name
        if not durable.exists():
            path.unlink()
            differed += 1
            continue
        differed += _mix(path, durable.read_bytes(), mode, rng)
    for durable in kept.glob("buffer.db*"):
        if not (data_dir / durable.name).exists():
            (data_dir / durable.name).write_bytes(durable.read_bytes())
            differed += 1
    return differed


def _mix(path: Path, durable: bytes, mode: str, rng: random.Random) -> int:
    now = path.read_bytes()
    if now == durable:
        return 0
    result = bytearray(durable)
    share = rng.choice((0.1, 0.5, 0.9)) if mode == "torn" else 0.0
    differed = 0
    if mode == "torn" and len(now) > len(durable) and rng.random() < 0.5:
        result.extend(bytes(len(now) - len(durable)))
    for at in range(0, max(len(now), len(durable)), SECTOR):
        if now[at : at + SECTOR] != durable[at : at + SECTOR]:
            differed += 1
            if rng.random() < share and at + SECTOR <= min(len(now), len(result)):
                result[at : at + SECTOR] = now[at : at + SECTOR]
    path.write_bytes(bytes(result))
    return differed
