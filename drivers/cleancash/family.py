"""CleanCash: requests of the till and answers of the unit as sales."""

from __future__ import annotations

from collections.abc import Iterator

from drivers.bodies import Noise
from drivers.cleancash import codec
from drivers.cleancash.codec import Message
from drivers.journal import SignedReceipt, UnitTap
from gateway.driver import Device, Family, Kind, LineOptions, Match, Options, Side
from gateway.model import Basis, Damaged, DeviceState, Ignored, Item, Resets

UNIT_STATES = {
    "0": (DeviceState.OK, ""),
    "1": (DeviceState.DEGRADED, "unit warns"),
    "2": (DeviceState.DEGRADED, "unit reports a protocol error"),
    "3": (DeviceState.DEGRADED, "unit reports an error"),
    "4": (DeviceState.FAULT, "unit reports a fatal error"),
}
HEADLESS = Ignored("signature asked for an unknown receipt")
OTHER = Ignored("no receipt")


class CleanCashOptions(Options):
    """Nothing to choose: the frames say everything."""


class CleanCash(UnitTap):
    """Frames, told apart by their type."""

    def __init__(self, device: Device) -> None:
        super().__init__(device)
        self._header: SignedReceipt | None = None  # CCSP 1: said before the signature is asked for

    def reopened(self, side: Side) -> None:
        super().reopened(side)
        self._header = None

    def _hear(self, line: bytes | Damaged, side: Side) -> Iterator[Item]:
        for message in (line,) if isinstance(line, Damaged) else codec.read_line(line):
            if isinstance(message, Damaged):
                yield self._lose(message, side)
            elif message[0] in codec.REQUESTS:
                yield from self._asked(message, side)
            else:
                yield from self._answered(message)

    def _asked(self, message: Message, side: Side) -> Iterator[Item]:
        try:
            receipt = self._receipt(message)
        except Noise as noise:
            yield self._lose(Damaged(noise.reason, codec.FRAME_BYTES + len("#".join(message))), side)
            return
        if receipt:
            yield from self._journal.ask(receipt, apart=side is Side.HOST)
        else:
            self._journal.ask_else()
            yield HEADLESS if message[0] == codec.SIGN else OTHER

    def _receipt(self, message: Message) -> SignedReceipt | None:
        """The receipt for which this message asks a signature. Raises Noise."""
        known, self._header = self._header, None
        if message[0] == codec.REGISTER:
            return codec.register(message)
        if message[0] == codec.HEADER:
            self._header = codec.header(message)
        elif message[0] == codec.SIGN:
            self._header = known  # asked for again, the receipt is the same
            return known
        return None

    def _answered(self, message: Message) -> Iterator[Item]:
        if message[0] in codec.STATUS_ANSWERS:
            self._journal.ask_else()
            self._journal.unit_is(*UNIT_STATES.get("".join(message[1:2]), UNIT_STATES["0"]))
        elif message[0] == codec.IDENTITY_ANSWER:
            self._journal.ask_else()
        yield from self._journal.answer(codec.refusal(message))


FAMILY = Family(
    name="cleancash",
    summary="CleanCash control units (CCSP), Sweden: a tap on till and unit counts signed receipts",
    kind=Kind.STREAM,
    over=frozenset({"serial", "tcp"}),
    options=CleanCashOptions,
    line_options=LineOptions,
    open=CleanCash,
    match=lambda _device: Match(),
    basis=Basis.EVENT,
    resets=Resets.NEVER,
)
