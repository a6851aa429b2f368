"""Simulated radios, wallets and coordinator: real endpoints below the drivers; no code of the gateway's."""
