"""What ``drivers.base`` promises, tried by the conformance kit over every driver that has a bench."""

from __future__ import annotations

from pathlib import Path

import pytest
from radio_benches import BENCHES

from drivers.conformance import PROMISES, Promise, kept


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.sentence)
@pytest.mark.parametrize("name", sorted(BENCHES))
async def test_it_keeps(name: str, promise: Promise) -> None:
    assert await kept(promise, BENCHES[name]) == ""


@pytest.mark.parametrize("name", [name for name in sorted(BENCHES) if name.startswith("lora_")])
async def test_a_lora_frame_says_how_it_was_heard(name: str, tmp_path: Path) -> None:
    bench = BENCHES[name](tmp_path)
    async with bench.opened() as radio:
        bench.hear(b"\xe0\x01 a frame")
        frame = await anext(radio.frames())
        assert (frame.lora.frequency_hz, frame.lora.spreading_factor) == (868_100_000, 7)
