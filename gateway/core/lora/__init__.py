"""The LoRa link: frames, fragments, windows, regions and airtime; no loop, no clock, no radio.

:class:`gateway.core.lora.link.LoraLink` is the door; a service drives it. The bytes are in
``docs/protocol/lora.md``.
"""
