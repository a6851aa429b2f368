"""The wallets' formats: signed texts, tree, receipts, and the rules by which an upload stands."""
