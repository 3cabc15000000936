"""Files that options name with `*_file`: found, readable, and secret where they are secrets."""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.config.files import Key, Merged, Tree

CREDENTIALS = "CREDENTIALS_DIRECTORY"
PUBLIC = ("ca_file", "cert_file")  # certificates: anybody may read them
OTHERS_MAY_READ = 0o077


def place_files(merged: Merged) -> None:
    """Replaces every `*_file` of links, upstreams and [http] by its absolute path; notes what is wrong."""
    for table, key in _tables(merged.tree):
        for name, given in table.items():
            if name.endswith("_file") and isinstance(given, str):
                table[name] = str(_place(merged, (*key, name), given))


def _tables(tree: Tree) -> Iterator[tuple[dict[str, Any], Key]]:
    http = tree.get("http")
    if isinstance(http, dict):
        yield http, ("http",)
    for kind in ("link", "upstream"):
        entries = tree.get(kind)
        for id_, entry in entries.items() if isinstance(entries, dict) else ():
            if isinstance(entry, dict) and isinstance(entry.get("options"), dict):
                yield entry["options"], (kind, id_, "options")


def _place(merged: Merged, key: Key, given: str) -> Path:
    path, delivered = _sought(given, merged.origin(key).parent)
    if not path.is_file():
        merged.note(key, f"there is no file {path}")
        return path
    if not os.access(path, os.R_OK):
        merged.note(key, f"{path} cannot be read by this user")
        return path
    if not path.read_bytes().removeprefix(BOM_UTF8).strip():
        merged.note(key, f"{path} is empty")
    if key[-1] not in PUBLIC and not delivered and path.stat().st_mode & OTHERS_MAY_READ:
        merged.note(key, f"{path} is open to others: chmod 600 {path}")
    return path


def _sought(given: str, beside: Path) -> tuple[Path, bool]:
    """The path, and whether the service manager delivered it (then its mode is not ours to judge)."""
    folder = os.environ.get(CREDENTIALS)
    if folder and not Path(given).is_absolute() and (Path(folder) / given).is_file():
        return (Path(folder) / given).absolute(), True
    return (beside / given).absolute(), False
