"""Phones that walk past a gateway with their wallets: Bluetooth centrals on a simulated radio."""
