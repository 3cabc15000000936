"""Record, close, take, settle: the whole way of one count."""

from __future__ import annotations

import pytest

from gateway.errors import BufferInUse, BufferRefused
from gateway.model import Basis, Booking, Crossings, LineRule, Member, Parcel, Role, Transactions, ZoneSpec
from gateway.store import Store, UpstreamPlan
from tests.unit.store.conftest import DOOR, HOUR, MINUTE, T0, Box


async def test_a_minute_becomes_an_event(box: Box) -> None:
    await box.delta(T0, T0 + MINUTE, 3, 1)
    box.at(T0 + 16 * MINUTE)
    assert await box.close() == 1
    [event] = await box.take()
    data = event.body["data"]
    assert isinstance(data, dict)
    assert event.id == f"site/shop/900/2026-11-25T10:00:00Z/{T0 // 1000}/1"
    assert (data["ins"], data["outs"], data["occupancy"], data["reason"]) == (3, 1, 2, "closed")
    assert data["completeness"] == pytest.approx(60 / 900, abs=1e-6)
    assert data["flags"] == ["partial"]
    box.balanced()
    await box.settle([event])
    assert await box.take() == []
    box.balanced()
