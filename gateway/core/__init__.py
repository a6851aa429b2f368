"""Pure cores: bytes and facts in, bytes and facts out; no I/O, no clock, no event loop."""
