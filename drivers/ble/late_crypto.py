"""bumble's cryptography at the first pairing only: OpenSSL takes 6 MiB, and phones here need not pair."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

NAME, WITHOUT_OPENSSL = "bumble.crypto.cryptography", "bumble.crypto.builtin"


def install() -> None:
    """To be called before bumble is imported; afterwards it is too late, and does nothing."""
    if NAME not in sys.modules:
        stand_in = ModuleType(NAME, __doc__)
        vars(stand_in).update(EccKey=EccKey, aes_cmac=aes_cmac, e=e)
        sys.modules[NAME] = stand_in


class EccKey:
    """Stands for the class of that name, of which only these two are asked."""

    @staticmethod
    def generate() -> Any:
        return _real().EccKey.generate()

    @staticmethod
    def from_private_key_bytes(private_key: bytes) -> Any:
        return _real().EccKey.from_private_key_bytes(private_key)


def aes_cmac(m: bytes, k: bytes) -> Any:
    return _real().aes_cmac(m, k)


def e(key: bytes, data: bytes) -> Any:
    return _real().e(key, data)


def _real() -> ModuleType:
    loaded = sys.modules.get(NAME)
    if loaded is not None and getattr(loaded, "__file__", None) is not None:
        return loaded
    sys.modules.pop(NAME, None)
    try:
        return importlib.import_module(NAME)
    except ImportError:  # no cryptography here: bumble brings its own, slower
        return importlib.import_module(WITHOUT_OPENSSL)
