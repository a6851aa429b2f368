"""Device messages ↔ bytes: deterministic CBOR, and the wallet's own JSON."""
