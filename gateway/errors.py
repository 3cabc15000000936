"""One base; the names say whose fault it is."""

from __future__ import annotations


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


class BrokenDriver(GatewayError):
    """An installed driver that cannot be loaded: its own fault, named; the others go on."""


class UnknownDriver(GatewayError):
    """No entry point of that name."""
