"""Simulated LoRa: devices with wallets, the ether between, and a packet forwarder that speaks UDP.

Written from docs/protocol/lora.md and PROTOCOL.TXT alone.
"""
