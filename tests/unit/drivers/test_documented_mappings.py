"""Every worked payload of docs/drivers.md gives the output printed beside it."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import cast

import pytest

from drivers.mapping.family import FAMILY
from gateway.driver import Device, Message, Messages
from gateway.items import to_json

DOCUMENT = (Path(__file__).parents[3] / "docs" / "drivers.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(
    r"```toml\n(?P<table>.*?)```(?:\s*With `--topic (?P<topic>[^`]+)`:)?"
    r".*?```(?:json|xml|csv)\n(?P<payload>.*?)```.*?```jsonl\n(?P<output>.*?)```",
    re.DOTALL,
)
EXAMPLES = {
    name[1]: found
    for found in EXAMPLE.finditer(DOCUMENT)
    if (name := re.match(r"\[mapping\.(\w+)", found["table"]))
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_documented_payload_gives_the_documented_output(name: str) -> None:
    example = EXAMPLES[name]
    driver = FAMILY.open(Device(FAMILY.options.model_validate(tomllib.loads(example["table"]))))
    message = Message(example["payload"].encode(), 0, example["topic"] or "")
    found = [to_json(item) for item in cast("Messages", driver).decode(message)]
    assert found == [json.loads(line) for line in example["output"].splitlines()]


def test_all_examples_were_found() -> None:
    assert len(EXAMPLES) == DOCUMENT.count("```toml") == 10
