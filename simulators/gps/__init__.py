"""A GPS receiver on a pseudo-terminal: NMEA each second, and u-blox' NAV-TIMEGPS to whoever asks for it.

``python -m simulators.gps --link run/gps`` starts one whose seconds are those of the simulated concentrator's
PPS (``python -m simulators.concentrator``); give ``run/gps`` to the gateway as ``gps.address``.
"""
