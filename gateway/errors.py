"""One base; the names say whose fault it is."""

from __future__ import annotations

import os


class GatewayError(Exception):
    """Base of all errors that are ours to name."""


class ConfigurationError(GatewayError):
    """The operator's file is wrong. Carries every problem, each a whole sentence."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class LinkError(GatewayError):
    """A port, bus or broker is not there (yet): the link tries again."""


class StoreError(GatewayError):
    """The buffer cannot be used."""


class BufferInUse(StoreError):
    """Another daemon holds this data directory."""


class BufferRefused(StoreError):
    """The buffer is not for this run: simulated and real counts never mix."""


class EntryRefused(GatewayError):
    """What somebody entered cannot be true, or not here; says which key and why."""


class EntryConflict(GatewayError):
    """The id was used before for something else."""


class BrokenDriver(GatewayError):
    """An installed driver that cannot be loaded: its own fault, named; the others go on."""


class UnknownDriver(GatewayError):
    """No entry point of that name."""


def unreached(host: str, port: int | None, error: Exception) -> str:
    """Where nobody answered and why, in the system's words: without numbers or a library's own."""
    number = getattr(error, "errno", None)
    why = os.strerror(number) if number and number > 0 else getattr(error, "strerror", None) or str(error)
    return f"cannot reach {host}:{port}: {why}"
