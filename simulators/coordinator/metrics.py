"""Prometheus metrics of all gateways: behind carrier NAT nobody can scrape one."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from simulators.coordinator.authority import Authority, Told

# Metric, help, key of the heartbeat.
_FACTS = (
    ("gateway_health", "Health 0-100 as the gateway told it last", "health"),
    ("gateway_backlog_entries", "Entries that wait for an ACK, as the gateway told it", "backlog"),
    ("gateway_backlog_oldest_seconds", "Age of the oldest of them", "oldest_s"),
    ("gateway_log_size", "Entries in the gateway's log, as it told", "size"),
    ("gateway_time_quality", "0 untrusted, 1 unchecked, 2 agreed, 3 GPS", "quality"),
    ("gateway_told_received_bytes", "Bytes the gateway counts as received from here", "rx_bytes"),
    ("gateway_told_sent_bytes", "Bytes the gateway counts as sent to here", "tx_bytes"),
)


class GatewayCollector(Collector):
    """One sample a gateway and metric, from what the authority knows now."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    def collect(self) -> Iterator[Metric]:
        told = self._authority.told
        for name, help_, key in _FACTS:
            gauge = GaugeMetricFamily(name, help_, labels=["gateway_id"])
            for gateway, one in told.items():
                value = one.facts.get(key)
                if isinstance(value, int):
                    gauge.add_metric([gateway], value)
            yield gauge
        yield from self._seen(told)
        yield self._radios(told)

    def _seen(self, told: dict[str, Told]) -> Iterator[Metric]:
        now = self._authority.now_ms()
        seen = GaugeMetricFamily(
            "gateway_last_seen_seconds", "Seconds since the gateway was heard last", labels=["gateway_id"]
        )
        connected = GaugeMetricFamily("gateway_connected", "1 while its link is open", labels=["gateway_id"])
        received = CounterMetricFamily(
            "gateway_link_received_bytes", "Bytes of messages from it", labels=["gateway_id"]
        )
        sent = CounterMetricFamily(
            "gateway_link_sent_bytes", "Bytes of messages to it", labels=["gateway_id"]
        )
        for gateway, one in told.items():
            seen.add_metric([gateway], max(0, now - one.last_seen_ms) / 1000)
            connected.add_metric([gateway], gateway in self._authority.live)
            received.add_metric([gateway], one.received_bytes)
            sent.add_metric([gateway], one.sent_bytes)
        yield from (seen, connected, received, sent)

    def _radios(self, told: dict[str, Told]) -> Metric:
        radios = GaugeMetricFamily(
            "gateway_radio_state",
            "1 for the state that the gateway told of a radio",
            labels=["gateway_id", "radio", "state"],
        )
        for gateway, one in told.items():
            states = one.facts.get("radios")
            for radio, state in states.items() if isinstance(states, dict) else ():
                radios.add_metric([gateway, radio, state], 1)
        return radios


def registry(authority: Authority) -> CollectorRegistry:
    """A registry of its own, so that two coordinators live in one process."""
    own = CollectorRegistry(auto_describe=False)
    own.register(GatewayCollector(authority))
    return own


def text(own: CollectorRegistry) -> bytes:
    return generate_latest(own)
