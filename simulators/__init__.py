"""Simulated radios, wallets and coordinator: real endpoints below the drivers, sharing no code with the gateway."""
