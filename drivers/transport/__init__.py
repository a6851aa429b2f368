"""Byte transports, opened by an address: a device of this machine or a simulator's socket."""
