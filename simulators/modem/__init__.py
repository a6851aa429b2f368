"""GSM modems on pseudo-terminals, a service centre behind them, phones that text."""
