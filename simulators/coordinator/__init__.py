"""The reference coordinator: takes, verifies and cosigns the logs of gateways, by the textbook definition."""

from simulators.coordinator.faults import Fault, parse_fault
from simulators.coordinator.server import Coordinator

__all__ = ["Coordinator", "Fault", "parse_fault"]
