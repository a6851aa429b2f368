"""Bad networks between real endpoints."""

from simulators.faults.tcp import Line, TcpProxy

__all__ = ["Line", "TcpProxy"]
