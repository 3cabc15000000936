"""Prometheus: a collector over one snapshot, on its own registry. An unknown figure is an absent series."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from gateway.health import Health
from gateway.model import RESULTS

REASONS = ("closed", "late", "correction", "calibration", "till", "retrospective")
Row = tuple[Sequence[str], float | int | None]


def _gauge(name: str, text: str, labels: Sequence[str], rows: Iterable[Row]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, figure in rows:
        if figure is not None:
            family.add_metric(values, figure)
    return family


def _counter(name: str, text: str, labels: Sequence[str], rows: Iterable[Row]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, figure in rows:
        if figure is not None:
            family.add_metric(values, figure)
    return family


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


def _lines(health: Health) -> Iterator[Metric]:
    yield _counter(
        "footfall_crossings",
        "Persons counted on a line; passes where the device knows no direction.",
        ("line", "direction"),
        (
            ((line.line, side), figure)
            for line in health.lines
            if not line.till
            for side, figure in (("in", line.ins), ("out", line.outs), ("passes", line.passes))
        ),
    )
    yield _counter(
        "footfall_sales",
        "Receipts counted at a till.",
        ("till",),
        (((line.line,), line.sales) for line in health.lines if line.till),
    )
    yield _counter(
        "footfall_refused_persons",
        "Persons a line reported that were not counted, by reason.",
        ("line", "reason"),
        (((line.line, why), n) for line in health.lines for why, n in sorted(line.refused.items())),
    )
    yield _counter(
        "footfall_replaced_persons",
        "Persons in readings of a line that later ones took the place of.",
        ("line",),
        (((line.line,), line.replaced) for line in health.lines),
    )


def _links(health: Health) -> Iterator[Metric]:
    yield _counter(
        "footfall_telegrams",
        "Telegrams and messages received on a link, by what became of them.",
        ("link", "result"),
        (((link.link, result), link.telegrams.get(result, 0)) for link in health.links for result in RESULTS),
    )
    yield _gauge(
        "footfall_link_up",
        "1 while the port, bus or broker of a link is connected.",
        ("link",),
        (((link.link,), int(link.up)) for link in health.links),
    )


def _alarms(health: Health) -> Iterator[Metric]:
    raised = sorted({(one.line, one.kind) for one in health.alarms if one.raised})
    yield _gauge(
        "footfall_alarm",
        "1 while the counts of a line look wrong in this way.",
        ("line", "kind"),
        ((pair, 1) for pair in raised),
    )


def _counters(health: Health) -> Iterator[Metric]:
    faulty = {one.counter for one in health.alarms if one.raised and one.severity == "fault"}
    yield _gauge(
        "footfall_device_healthy",
        "1 while a counter or till has been heard, says nothing of a fault, and counts as it used to.",
        ("counter",),
        (((one.counter,), int(one.state == "ok" and one.counter not in faulty)) for one in health.counters),
    )
    yield _gauge(
        "footfall_device_last_reading_timestamp_seconds",
        "When a counter or till last gave a reading.",
        ("counter",),
        (((one.counter,), _seconds(one.last_reading_ms)) for one in health.counters),
    )
    yield _gauge(
        "footfall_device_clock_offset_seconds",
        "How far a device's own clock is ahead of the gateway's.",
        ("counter",),
        (((one.counter,), one.clock_offset_s) for one in health.counters),
    )
    yield _counter(
        "footfall_register_resets",
        "Decreases of a register, by what they were taken for.",
        ("counter", "kind"),
        (((counter, kind), n) for (counter, kind), n in sorted(health.resets.items())),
    )


def _zones(health: Health) -> Iterator[Metric]:
    for name, text, figure in (
        ("occupancy_persons", "Persons inside a zone, never below zero.", "occupancy"),
        ("completeness_ratio", "Share of today that a zone was watched.", "completeness"),
    ):
        rows: list[Row] = [((zone.zone,), getattr(zone, figure)) for zone in health.zones]
        yield _gauge(f"footfall_{name}", text, ("zone",), rows)
    yield _gauge(
        "footfall_conversion_ratio",
        "Receipts per visitor today; absent when not known.",
        ("zone",),
        (((zone.zone,), zone.conversion.value) for zone in health.zones),
    )
    yield _gauge(
        "footfall_capture_ratio",
        "Entries per passer-by today; absent when not known.",
        ("zone",),
        (((zone.zone,), zone.capture_rate.value) for zone in health.zones),
    )


def _upstreams(health: Health) -> Iterator[Metric]:
    yield _gauge(
        "footfall_pending_aggregates",
        "Aggregates an upstream has not yet stored.",
        ("upstream",),
        (((one.upstream,), one.pending) for one in health.upstreams),
    )
    yield _gauge(
        "footfall_oldest_pending_timestamp_seconds",
        "Start of the oldest pending window; absent when none is pending.",
        ("upstream",),
        (((one.upstream,), _seconds(one.oldest_pending_ms)) for one in health.upstreams),
    )
    yield _counter(
        "footfall_deliveries",
        "Aggregates and alarms sent to an upstream, by its answer.",
        ("upstream", "result"),
        (
            ((one.upstream, result), n)
            for one in health.upstreams
            for result, n in sorted(one.deliveries.items())
        ),
    )


def _buffer(health: Health) -> Iterator[Metric]:
    buffer = health.buffer
    commits = HistogramMetricFamily(
        "footfall_commit_seconds", "Time a commit of readings took, from queue to durable."
    )
    commits.add_metric([], health.commits.cumulative(), health.commits.sum_s)
    yield commits
    figures = (
        ("ingest_queue_readings", "Readings received and not yet durable.", buffer.queued),
        ("buffer_bytes", "Size of the buffer's files.", buffer.bytes),
        ("buffer_left_seconds", "Time until the card is full at the present growth.", buffer.left_s),
        (
            "books_imbalance_persons",
            "Persons the books cannot account for; must be 0.",
            health.books.imbalance,
        ),
        ("clock_trusted", "1 while the wall clock is believed.", int(health.clock_trusted)),
        (
            "simulated",
            "1 when the clock is simulated and the counts are not of real people.",
            int(health.simulated),
        ),
    )
    for name, text, figure in figures:
        yield _gauge(f"footfall_{name}", text, (), [((), figure)])
    yield _counter(
        "footfall_written_bytes",
        "Bytes this process caused to be written to storage.",
        (),
        [((), buffer.written_bytes)],
    )
    yield _counter(
        "footfall_revisions",
        "Aggregates closed or restated, by reason.",
        ("reason",),
        (((reason,), health.revisions.get(reason, 0)) for reason in REASONS),
    )
    yield _gauge(
        "footfall_build_info", "1, labelled with the version.", ("version",), [((health.version,), 1)]
    )


class SnapshotCollector(Collector):
    """Turns the snapshot that `read` gives at scrape time into metric families."""

    def __init__(self, read: Callable[[], Health]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        health = self._read()
        for part in (_lines, _links, _alarms, _counters, _zones, _upstreams, _buffer):
            yield from part(health)

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are known without a snapshot, and registering must not read one."""
        return ()


def exposition(health: Health, accept: str = "") -> tuple[bytes, str]:
    """(body, content type) of one scrape, by the scraper's Accept header."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SnapshotCollector(lambda: health))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
