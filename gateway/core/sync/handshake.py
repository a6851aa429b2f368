"""Who the two ends of a link are, and the signatures by which each proves it to the other."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from gateway.core import cbor
from gateway.core.labels import Label, labelled
from gateway.core.note import Sign, VerifierKey
from gateway.core.pin import CoordinatorKey
from gateway.core.sync.breach import Breach
from gateway.core.sync.events import Fault
from gateway.core.sync.messages import Hello
from gateway.core.wallet.signature import verifies


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """Who this gateway is on the link; ``instance`` (16 bytes) is random per boot."""

    gateway_id: str
    key: bytes
    sign: Sign
    coordinator: CoordinatorKey
    instance: bytes
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far the log stands when the link opens; ``signed_note`` is the newest checkpoint signed.

    ``notices`` is the newest one kept; None: this end keeps neither notices nor evidence.
    """

    origin: str
    size: int
    signed_size: int
    signed_note: bytes | None
    acked_size: int
    notices: int | None = None
    brings: bool = False
    """Whether this end carries bundles of other gateways."""


@dataclass(frozen=True, slots=True)
class Handshake:
    """Both nonces (32 bytes each) and all that they bind together; ``cosigner`` signs notes."""

    local: Local
    standing: Standing
    nonce: bytes
    challenge: bytes
    cosigner: VerifierKey

    def hello(self) -> Hello:
        local, standing = self.local, self.standing
        covered = sha256(standing.signed_note or b"").digest()
        key = local.coordinator.public_key
        signed = [self.challenge, self.nonce, standing.origin, key, local.instance, covered]
        return Hello(
            gateway_id=local.gateway_id,
            key=local.key,
            origin=standing.origin,
            instance=local.instance,
            nonce=self.nonce,
            checkpoint=standing.signed_note,
            version=local.version,
            signature=local.sign(labelled(Label.LINK_GATEWAY, cbor.encode(signed))),
        )

    def require_answer(self, size: int, unix_ms: int, signature: bytes) -> None:
        """Raises :class:`Breach` unless the pinned key signed this WELCOME or CATCHUP to this very HELLO."""
        self._require(signature, size, unix_ms, self.cosigner.name)

    def require_rejected(self, code: str, text: str, signature: bytes | None) -> None:
        """Raises :class:`Breach` unless the pinned key signed this REJECT of this very HELLO."""
        if signature is None:
            raise Breach(Fault.BAD_SIGNATURE, f"REJECT {code} without a signature")
        self._require(signature, code, text)

    def _require(self, signature: bytes, *said: object) -> None:
        local = self.local
        named = [self.challenge, self.nonce, self.standing.origin, local.key, local.instance]
        text = labelled(Label.LINK_COORDINATOR, cbor.encode([*named, *said]))
        if not verifies(local.coordinator.public_key, signature, text):
            raise Breach(Fault.BAD_SIGNATURE, "what was said is not signed by the pinned coordinator key")
