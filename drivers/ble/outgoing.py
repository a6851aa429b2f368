"""Host to controller by turns: at most two packets of a link in the controller, whoever vanishes.

bumble keeps one FIFO for all links, so that what is queued for a phone out of range holds up everybody until
its supervision timeout (30 notifications starved another phone for more than 6 s). Here every link has its
own FIFO and they take turns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from bumble import hci
from bumble.host import DataPacketQueue

LINK_SHARE = 2


@dataclass(slots=True)
class Lane:
    """One link's packets: waiting here, and how many of all were handed over and completed."""

    waiting: deque[hci.HCI_Packet] = field(default_factory=deque)
    queued: int = 0
    in_flight: int = 0

    @property
    def completed(self) -> int:
        return self.queued - self.in_flight - len(self.waiting)


class FairQueue(DataPacketQueue):
    """Stands in for bumble's queue; ``on_room`` is called with a handle when packets of it completed."""

    def __init__(
        self,
        max_packet_size: int,
        max_in_flight: int,
        send: Callable[[hci.HCI_Packet], None],
        on_room: Callable[[int], None],
    ) -> None:
        super().__init__(max_packet_size, max_in_flight, send)
        self._on_room = on_room
        self._lanes: dict[int, Lane] = {}
        self._total_in_flight = 0

    def lane(self, connection_handle: int) -> Lane:
        return self._lanes.setdefault(connection_handle, Lane())

    def enqueue(self, packet: hci.HCI_Packet, connection_handle: int) -> None:
        lane = self.lane(connection_handle)
        lane.waiting.append(packet)
        lane.queued += 1
        self._queued += 1
        self._fill()

    def flush(self, connection_handle: int) -> None:
        """The link is gone: the controller has dropped its packets (Vol 4 Part E 4.3)."""
        lane = self._lanes.pop(connection_handle, None)
        if lane is not None:
            self._total_in_flight -= lane.in_flight
            self._completed += lane.in_flight + len(lane.waiting)
            self._fill()

    def on_packets_completed(self, packet_count: int, connection_handle: int) -> None:
        lane = self._lanes.get(connection_handle)
        if lane is None:
            return  # of a link already flushed
        count = min(packet_count, lane.in_flight)  # a controller that counts wrong must not free others' room
        lane.in_flight -= count
        self._total_in_flight -= count
        self._completed += count
        self._fill()
        self._on_room(connection_handle)
        self.emit("flow")

    def _fill(self) -> None:
        """One packet a lane a round; a lane that was served goes to the end."""
        served = True
        while served and self._total_in_flight < self.max_in_flight:
            served = False
            for handle in list(self._lanes):
                if self._total_in_flight >= self.max_in_flight:
                    return
                served |= self._serve(handle)

    def _serve(self, handle: int) -> bool:
        lane = self._lanes[handle]
        if not lane.waiting or lane.in_flight >= LINK_SHARE:
            return False
        self._lanes[handle] = self._lanes.pop(handle)
        lane.in_flight += 1
        self._total_in_flight += 1
        self._send(lane.waiting.popleft())
        return True
