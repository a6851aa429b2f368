"""The air over a concentrator: places, losses, collisions, windows, the law; shares no code with the gateway.

virtual       an event loop on which time jumps to the next appointment, so that an hour runs in seconds
propagation   how loud a transmitter is somewhere else
collisions    which of several frames on the air at once is demodulated
law           sub-bands, shares of any hour, dwell time: what a device may do, and what anybody did
channel       the concentrator model's control socket: frames to its antenna, its emissions back
handset       a device's radio at its place: waits for what the law allows, listens in its windows
air           all of them together, and a log of what was sent and what became of it
reckoning     from that log alone: which messages could have been completed

Frequencies are in Hz, times in microseconds of the loop's clock, which is the concentrator model's clock too.
"""
