"""The metric names dashboards rely on, from one snapshot."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.metrics import exposition
from tests.health_sample import sample, zone

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = re.findall(
    r"\S+",
    """
footfall_crossings_total{line,direction} footfall_sales_total{till} footfall_telegrams_total{link,result}
footfall_refused_persons_total{line,reason} footfall_link_up{link} footfall_device_healthy{counter}
footfall_device_last_reading_timestamp_seconds{counter} footfall_device_clock_offset_seconds{counter}
footfall_register_resets_total{counter,kind} footfall_commit_seconds_bucket{le} footfall_ingest_queue_readings
footfall_buffer_bytes footfall_buffer_left_seconds footfall_pending_aggregates{upstream}
footfall_oldest_pending_timestamp_seconds{upstream} footfall_deliveries_total{upstream,result}
footfall_revisions_total{reason} footfall_occupancy_persons{zone} footfall_conversion_ratio{zone}
footfall_capture_ratio{zone} footfall_completeness_ratio{zone} footfall_books_imbalance_persons
footfall_clock_trusted footfall_written_bytes_total footfall_build_info{version}
""",
)
RESULTS = {
    *("ok", "damaged", "ignored", "unknown_counter", "duplicate"),
    *("future", "ancient", "too_large", "unsigned", "poison"),
}


def text() -> str:
    return exposition(sample())[0].decode()


@pytest.mark.parametrize("promised", CONTRACT)
def test_a_promised_series_is_there_with_its_labels(promised: str) -> None:
    name, _, labels = promised.rstrip("}").partition("{")
    lines = [line for line in text().splitlines() if re.match(rf"{name}[{{ ]", line)]
    assert lines
    for line in lines:
        assert set(re.findall(r'(\w+)="', line)) == {label for label in labels.split(",") if label}


@pytest.mark.parametrize(
    "line",
    [
        'footfall_crossings_total{direction="in",line="corner/d5"} 550.0',
        'footfall_crossings_total{direction="passes",line="corner/d5"} 12.0',
        'footfall_sales_total{till="pos-1"} 44.0',
        'footfall_telegrams_total{link="bus-a",result="damaged"} 2.0',
        'footfall_refused_persons_total{line="door-n",reason="jump"} 4.0',
        'footfall_link_up{link="broker"} 0.0',
        'footfall_device_healthy{counter="door-s"} 0.0',
        'footfall_commit_seconds_bucket{le="0.005"} 2.0',
        'footfall_commit_seconds_bucket{le="+Inf"} 3.0',
        "footfall_commit_seconds_count 3.0",
        'footfall_oldest_pending_timestamp_seconds{upstream="head-office"} 1.79543508e+09',
        'footfall_revisions_total{reason="late"} 3.0',
        'footfall_register_resets_total{counter="door-n",kind="power"} 1.0',
        "footfall_books_imbalance_persons 0.0",
        "footfall_simulated 1.0",
    ],
)
def test_figures(line: str) -> None:
    wanted = sorted(re.findall(r'\w+="[^"]*"', line))
    found = [
        shown
        for shown in text().splitlines()
        if shown.split("{")[0].split(" ")[0] == line.split("{")[0].split(" ")[0]
        and sorted(re.findall(r'\w+="[^"]*"', shown)) == wanted
    ]
    assert [shown.rsplit(" ", 1)[1] for shown in found] == [line.rsplit(" ", 1)[1]]


def test_alarms_are_series_while_raised_and_a_crowd_is_none() -> None:
    assert re.findall(r"footfall_alarm(\{.*\} .*)", text()) == ['{kind="dead",line="corner/d5"} 1.0']


def test_a_counter_with_a_fault_in_its_counts_is_not_healthy() -> None:
    health = sample()
    assert 'footfall_device_healthy{counter="door-n"} 1.0' in text()  # busy is no fault
    fault = replace(health.alarms[0], counter="door-n")
    shown = exposition(replace(health, alarms=[fault]))[0].decode()
    assert 'footfall_device_healthy{counter="door-n"} 0.0' in shown
    warning = replace(fault, severity="warning")
    shown = exposition(replace(health, alarms=[warning]))[0].decode()
    assert 'footfall_device_healthy{counter="door-n"} 1.0' in shown


def test_every_result_of_a_link_is_a_series_from_the_start() -> None:
    results = re.findall(r'footfall_telegrams_total\{link="broker",result="(\w+)"\}', text())
    assert set(results) == RESULTS


def test_an_unknown_ratio_is_an_absent_series() -> None:
    assert re.findall(r'footfall_conversion_ratio\{zone="([\w-]+)"\}', text()) == ["shop-1"]
    assert 'counter="pos-1"} ' not in "".join(re.findall(r"footfall_device_last.*", text()))


def test_nothing_watched_is_an_absent_completeness() -> None:
    health = sample()
    health.zones[:] = [zone("street", "street", 4, None, None)]  # type: ignore[index]
    assert "footfall_completeness_ratio{" not in exposition(health)[0].decode()


def test_a_scraper_may_ask_for_open_metrics() -> None:
    body, content_type = exposition(sample(), "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


def test_no_created_timestamps() -> None:
    assert "_created" not in text()


def test_every_metric_is_documented() -> None:
    documented = set(re.findall(r"`(footfall_\w+)", (ROOT / "docs" / "metrics.md").read_text()))
    shown = set(re.findall(r"^# TYPE (\w+)", text(), re.MULTILINE))
    assert documented == shown


@pytest.mark.needs("promtool")
def test_promtool_is_content() -> None:
    promtool = shutil.which("promtool")
    assert promtool is not None
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text(), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
