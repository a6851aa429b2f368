"""Radio drivers. This package knows nothing of the gateway.

A driver is one class that a configuration names. It takes its transport and its clock as constructor
arguments, is opened with ``async with``, and offers only the capabilities it can honour
(``drivers.base``). Failures are classed by what the caller should do next (``drivers.errors``).
"""
