"""The Prometheus files we ship: their own tests pass, and they speak only of what the box exports."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.metrics import exposition
from tests.health_sample import sample

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "config" / "prometheus"
RULES, TESTS = SHIPPED / "counter-gateway.rules.yml", SHIPPED / "counter-gateway.rules.test.yml"
ADDED_BY_PROMETHEUS = {"job", "instance"}


def exported() -> dict[str, set[str]]:
    """Series name → its labels."""
    shown: dict[str, set[str]] = {}
    for line in exposition(sample())[0].decode().splitlines():
        if match := re.match(r"(footfall_\w+)", line):
            shown.setdefault(match[1], set()).update(re.findall(r'(\w+)="', line))
    return shown


def alerts() -> list[str]:
    return re.findall(r"- alert: (\w+)", RULES.read_text())


@pytest.mark.needs("promtool")
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "--lint-fatal", RULES.name),
        ("test", "rules", TESTS.name),
    ],
    ids=" ".join,
)
def test_promtool_is_content(arguments: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    assert promtool is not None
    done = subprocess.run(
        [promtool, *arguments], cwd=SHIPPED, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_of_the_rules_is_exported() -> None:
    named = set(re.findall(r"footfall_\w+", RULES.read_text()))
    assert named
    assert named <= exported().keys()


def test_the_rules_are_tried_on_series_as_the_box_exports_them() -> None:
    shown = exported()
    for name, labels in re.findall(r"(footfall_\w+)\{(.*?)\}", TESTS.read_text()):
        assert set(re.findall(r'(\w+)="', labels)) == shown[name] | ADDED_BY_PROMETHEUS, name


def test_every_alert_is_tried() -> None:
    assert len(alerts()) == len(set(alerts()))
    assert set(alerts()) == set(re.findall(r"\bFootfall\w+", TESTS.read_text()))


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    text = RULES.read_text()
    for part in ("expr", "severity", "summary", "description"):
        assert len(re.findall(rf"\b{part}:", text)) == len(alerts()), part
