"""Bundles, for the daemon and for commands beside a stopped one: the carried folder, the log, the keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.carried import Carried
from gateway.config import Config
from gateway.core.pin import CoordinatorKey
from gateway.errors import NeedsPerson
from gateway.keys import Identity, pinned_key
from gateway.model import Stamp
from gateway.services.carrying import Author, Carrying, Delivery, Surroundings
from gateway.store import Store


@dataclass(frozen=True, slots=True)
class Freight:
    """The folder, the desk over it, and what the link brings of it."""

    carried: Carried
    carrying: Carrying
    delivery: Delivery


def freight(
    config: Config,
    identity: Identity,
    store: Store,
    now: Callable[[], Stamp],
    changed: Callable[[], None] = lambda: None,
) -> Freight:
    """Opens the carried folder; ``changed`` is called when something has come into it."""

    def coordinator() -> CoordinatorKey | None:
        try:
            return pinned_key(config.network.coordinator_key, config.storage.pin_path)
        except NeedsPerson:
            return None

    carried = Carried(config.storage.carried_path, config.carry.max_megabytes << 20, coordinator)
    around = Surroundings(
        store=store,
        carried=carried,
        author=Author(config.gateway.id, identity.public_key, identity.sign),
        coordinator=coordinator,
        now=now,
        outbox=config.storage.outbox_path,
    )

    def stir() -> None:
        delivery.stirred.set()
        changed()

    carrying = Carrying(around, stir)
    delivery = Delivery(carried, identity.public_key, carrying.take_ack_of)
    return Freight(carried, carrying, delivery)
