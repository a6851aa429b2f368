"""Wallets that pay each other and hand over their ledgers, by the textbook definition."""

from simulators.wallets.season import Season
from simulators.wallets.wallet import HandOver, Payment, Wallet

__all__ = ["HandOver", "Payment", "Season", "Wallet"]
