"""Modbus: a wrong map or line is a mistake of the configuration, told in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from drivers.modbus.family import FAMILY, ModbusOptions
from drivers.modbus.lines import ModbusLine
from gateway import config
from gateway.driver import Device
from gateway.errors import ConfigurationError


@pytest.mark.parametrize(
    ("map_", "words"),
    [
        ("lott", "did you mean lot"),
        (7, "map"),
        ({}, "totals"),
        ({"totals": {}}, "totals"),
        ({"totals": {"a": {"addres": 0}}}, "addres"),
        ({"totals": {"a": {"address": 0, "function": 16}}}, "function"),
        ({"totals": {"a": {"address": 0, "function": 1}}}, "function"),
        ({"totals": {"a": {"address": 0xFFFF}}}, "two registers do not fit"),
        ({"totals": {"a": {"address": 0, "width": 24}}}, "width"),
        ({"totals": {"a": {"address": 0, "order": "middle"}}}, "order"),
        ({"totals": {"a": {"address": 0, "width": 16, "number_is": "float"}}}, "32 bits"),
        ({"totals": {"a": {"address": 0, "width": 16, "maximum": 70_000}}}, "more than 16 bits"),
        ({"totals": {"a": {"address": 0, "closes_at": 200}}}, "too far away"),
        ({"totals": {"a": {"address": 0}}, "in": "b"}, 'no total "b"; it has: a'),
        ({"totals": {"a": {"address": 0}}, "signs": [{"address": 0, "says": "x", "total": "b"}]}, "no total"),
        (
            {
                "totals": {"a": {"address": 0}},
                "signs": [{"address": 0, "says": "x", "mask": 1, "healthy": 2}],
            },
            "mask",
        ),
        (
            {"totals": {"a": {"address": 0}}, "signs": [{"address": 0, "says": "x", "function": 5}]},
            "function",
        ),
    ],
)
def test_a_wrong_map_is_refused_in_words(map_: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ModbusOptions.model_validate({"map": map_})


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"in": "9"}, 'in: the map has no total "9"; it has: 0, 1'),
        ({"in": 0, "out": "0"}, "out: names the same total as in"),
        ({"in": 0, "both": 1}, "both: either both, or in and out"),
        ({}, "in: missing: in and out, or both, name totals of the map: 0, 1"),
    ],
)
def test_a_wrong_line_is_refused_in_words(line: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        FAMILY.open(
            Device(
                ModbusOptions.model_validate({"map": "adam-4080"}), {"main": ModbusLine.model_validate(line)}
            )
        )


def test_a_configuration_must_name_its_map_and_its_lines() -> None:
    bare = Device(ModbusOptions.model_validate({"address": 248}))
    assert [problem.partition(":")[0] for problem in FAMILY.problems(bare)] == ["map", "address"]
    lineless = Device(ModbusOptions.model_validate({"map": "adam-4080"}))
    assert [problem.partition(":")[0] for problem in FAMILY.problems(lineless)] == ["in"]
    assert FAMILY.problems(Device(ModbusOptions.model_validate({"map": "lot", "address": 7}))) == []


def test_check_names_the_key_of_a_mistake_inside_a_map_of_ones_own(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "config/examples/modbus.toml").read_text()
    path = tmp_path / "gateway.toml"
    path.write_text(
        text.replace("totals.left = { function = 4, address", "totals.left = { function = 6, adress")
    )
    with pytest.raises(ConfigurationError) as caught:
        config.load(path)
    told = [
        problem.removeprefix(f"{path}: counter.gate.map.totals.left.") for problem in caught.value.problems
    ]
    assert set(told) == {
        "function: must be one of 3, 4, not 6",
        "address: missing",
        "adress: unknown key (did you mean address?)",
    }
