"""The mesh as services, where it is configured."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.app.carrying import Freight
from gateway.app.radios import Radios
from gateway.config import Config
from gateway.keys import Identity
from gateway.services.supervision import Service
from gateway.store import Store
from gateway.systemclock import SystemClock


def mesh_services(
    config: Config,
    identity: Identity,
    store: Store,
    goods: Freight,
    radios: Radios,
    down_s: Callable[[], float],
    clock: SystemClock,
) -> Mapping[str, Service]:
    """``mesh`` over every link, and ``mesh_lan`` where there are addresses; none without the section.

    What they are made of is imported only here: a gateway without a mesh does not carry it.
    """
    section = config.mesh
    if section is None:
        return {}
    from gateway.core.mesh import RelayLimits
    from gateway.services.mesh import Lan, Mesh, MeshSettings
    from gateway.services.mesh.service import Shore

    settings = MeshSettings(
        limits=RelayLimits(hops=section.hops, bytes_per_minute=section.megabytes_per_minute << 20),
        after_s=section.after_seconds,
        gather_s=section.gather_seconds,
    )
    shore = Shore(
        store=store,
        carried=goods.carried,
        desk=goods.carrying,
        key=identity.public_key,
        clock=clock,
        down_s=down_s,
    )
    mesh = Mesh(settings, shore)
    services: dict[str, Service] = {"mesh": mesh.run}
    if section.bluetooth:
        radios.linked_by(mesh.follow)
    if section.listen is not None or section.peers:
        listen = None if section.listen is None else _address(section.listen)
        peers = [_address(peer) for peer in section.peers]
        services["mesh_lan"] = Lan(config.gateway.id, listen, peers, mesh.join, clock).run
    return services


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)
