"""Skattedosan: commands of the till and answers of the unit as sales."""

from __future__ import annotations

from collections.abc import Iterator

from drivers.bodies import Noise
from drivers.journal import Journal, Lines
from drivers.skattedosan import codec
from drivers.skattedosan.codec import Words
from gateway.driver import Device, Family, Kind, LineOptions, Match, Options, Side
from gateway.model import Basis, Damaged, Ignored, Item, Resets

OTHER = Ignored("no receipt")


class SkattedosanOptions(Options):
    """Nothing to choose: the lines say everything."""


class Skattedosan:
    """Which side speaks is told by the first word; the sides only keep their bytes apart."""

    def __init__(self, device: Device) -> None:
        self._lines = {side: Lines() for side in Side}
        self._journal = Journal(device.site.currency)

    def feed(self, data: bytes, at_ms: int, side: Side = Side.DEVICE) -> list[Item]:  # noqa: ARG002
        return [item for line in self._lines[side].feed(data) for item in self._hear(line, side)]

    def _hear(self, line: bytes | Damaged, side: Side) -> Iterator[Item]:
        for words in (line,) if isinstance(line, Damaged) else codec.read_line(line):
            if isinstance(words, Damaged):
                yield self._lose(words, side)
            elif (code := codec.return_code(words)) is not None:
                yield from self._journal.answer(codec.refusal(code))
            else:
                yield from self._asked(words, side)

    def _lose(self, damage: Damaged, side: Side) -> Damaged:
        """What the till said is not known, and so not what the next answer is to."""
        if side is Side.HOST:
            self._journal.ask_else()
        return damage

    def _asked(self, words: Words, side: Side) -> Iterator[Item]:
        if words[0].lower() != codec.RECEIPT:
            self._journal.ask_else()
            yield OTHER
            return
        try:
            receipt = codec.receipt(words)
        except Noise as noise:
            yield self._lose(Damaged(noise.reason, len(" ".join(words))), side)
        else:
            yield from self._journal.ask(receipt, apart=side is Side.HOST)


FAMILY = Family(
    name="skattedosan",
    summary="Skattedosan and PosPlus control units, Sweden: a tap on till and unit counts signed receipts",
    kind=Kind.STREAM,
    over=frozenset({"serial", "tcp"}),
    options=SkattedosanOptions,
    line_options=LineOptions,
    open=Skattedosan,
    match=lambda _device: Match(),
    basis=Basis.EVENT,
    resets=Resets.NEVER,
)
