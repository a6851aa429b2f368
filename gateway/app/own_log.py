"""Whether the log in the database is this key's own: asked once, before anything is promised under it."""

from __future__ import annotations

from gateway.core.checkpoint import open_checkpoint
from gateway.core.note import NoteInvalid, VerifierKey, parse_note
from gateway.errors import KeyFileError
from gateway.keys import Identity
from gateway.store import Store


async def require_own_log(store: Store, identity: Identity) -> None:
    """Raises KeyFileError where the newest signed checkpoint is another key's: a promise would prove nothing.

    A log that never signed a checkpoint has been seen by nobody, and goes on under whatever key there is.
    """
    head = await store.head()
    if head.signed_note is None:
        return
    key = VerifierKey(head.origin, identity.public_key)
    try:
        open_checkpoint(parse_note(head.signed_note), [key], head.origin)
    except NoteInvalid as error:
        raise KeyFileError(
            f"the log {head.origin} in the database was signed by another key than "
            f"{identity.private_key_path} ({error}); put the gateway's own key back, "
            "or move the database away to begin a new log"
        ) from error
