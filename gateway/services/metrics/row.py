"""One metric that is read from the vitals when Prometheus asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from gateway.core.vitals import Vitals

Values = Iterable[tuple[tuple[str, ...], float]]


@dataclass(frozen=True, slots=True)
class Row:
    """One metric read from the vitals: ``read`` gives the values of its labels, and the figure."""

    name: str
    help: str
    read: Callable[[Vitals], Values]
    labels: tuple[str, ...] = ()

    def family(self, vitals: Vitals) -> Metric:
        kind = CounterMetricFamily if self.name.endswith("_total") else GaugeMetricFamily
        family = kind(self.name, self.help, labels=self.labels)
        for labels, value in self.read(vitals):
            family.add_metric(list(labels), value)
        return family


def one(read: Callable[[Vitals], float | None]) -> Callable[[Vitals], Values]:
    """A figure without labels; None: there is none now."""

    def values(vitals: Vitals) -> Values:
        value = read(vitals)
        return [] if value is None else [((), value)]

    return values


def by_name(read: Callable[[Vitals], Mapping[str, float]]) -> Callable[[Vitals], Values]:
    """A figure for each name."""
    return lambda vitals: [((name,), value) for name, value in read(vitals).items()]
