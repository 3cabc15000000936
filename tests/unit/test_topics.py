"""MQTT filters: what covers what (MQTT 5.0, 4.7), and who wants a topic."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.links.topics import REMEMBERED_TOPICS, Directory, covers, fewest


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("sport/tennis/player1/#", "sport/tennis/player1", True),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", True),
        ("sport/tennis/+", "sport/tennis/player1/ranking", False),
        ("sport/+", "sport", False),
        ("sport/+", "sport/", True),
        ("+/+", "/finance", True),
        ("+", "/finance", False),
        ("#", "$SYS/broker", False),
        ("+/broker", "$SYS/broker", False),
        ("$SYS/#", "$SYS/broker", True),
        ("a/+", "a/+", True),
        ("a/+", "a/#", False),
        ("a/#", "a/+", True),
        ("a/b", "a/+", False),
    ],
)
def test_covers(wide: str, narrow: str, expected: bool) -> None:
    assert covers(wide, narrow) is expected


def test_overlapping_filters_are_subscribed_once() -> None:
    assert fewest(["a/b", "a/+", "c", "c", "a/+/d"]) == ["a/+", "a/+/d", "c"]


class Wants:
    def __init__(self, *topics: str) -> None:
        self.topics = topics
        self.driver: Any = None


def test_each_source_gets_its_topics_and_the_memory_is_bounded() -> None:
    door, all_doors = Wants("doors/1"), Wants("doors/+")
    directory = Directory([door, all_doors])
    assert directory.filters == ["doors/+"]
    assert directory.find(b"doors/1") == ("doors/1", [door, all_doors])
    assert directory.find(b"doors/2") == ("doors/2", [all_doors])
    assert directory.find(b"tills/1") == ("tills/1", [])
    for number in range(REMEMBERED_TOPICS + 10):
        directory.find(b"doors/%d" % number)
    assert len(directory._known) <= REMEMBERED_TOPICS
