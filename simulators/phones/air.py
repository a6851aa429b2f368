"""The air between virtual Bluetooth controllers: who hears whom, and who connects first.

bumble's virtual controllers are a host's test bed, not a radio. Corrected here and in
:mod:`simulators.phones.radio` and :mod:`simulators.phones.controller`:

* data goes along the connection it belongs to, not to whoever has the address of the sender's last setting;
* of two initiators that hear one advertisement, the first connects and the other goes on waiting;
* the scan response is its own packet; only scanners and initiators hear anything;
* a packet counts as completed when the far controller has it: buffers fill up behind a vanished phone;
* a controller whose host takes nothing takes nothing from the air (Vol 6 Part B 4.5.9);
* connection events, packets an event, PHY, LL payload and supervision timeout take their time; one radio
  serves one connection at a time;
* reset drops connections, a pending connection can be cancelled, a full controller refuses to advertise, a
  connection already gone cannot be ended.

With ``RadioTiming.instant`` packets cross at once and only the transport to the host limits the rate.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from bumble.controller import LegacyAdvertiser
from bumble.link import LocalLink

from simulators.phones.radio import RadioLink

if TYPE_CHECKING:
    from simulators.phones.controller import VirtualController


class Air(LocalLink):
    """All controllers in one place. ``seed`` settles losses and phases."""

    controllers: set[VirtualController]  # type: ignore[assignment] # bumble says Controller

    def __init__(self, seed: int = 1) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # untyped upstream
        self.random = random.Random(seed)

    def advertise(self, advertiser: RadioAdvertiser) -> None:
        """One advertising event; a copy of the list, since a connection changes who listens."""
        for controller in sorted(self.controllers, key=lambda _: self.random.random()):
            if advertiser.enabled and controller is not advertiser.controller and controller.in_range:
                controller.hears(advertiser)

    def connect(self, central: VirtualController, advertiser: RadioAdvertiser) -> None:
        """CONNECT_IND: from here on the advertiser is taken."""
        advertiser.stop()
        RadioLink(self, central, advertiser)


class RadioAdvertiser(LegacyAdvertiser):
    """Advertising events in true milliseconds."""

    controller: VirtualController

    def _on_timer_fired(self) -> None:
        self.send_advertising_data()
        if self.enabled:
            seconds = self.advertising_interval_min * 0.625e-3 + self.controller.link.random.random() * 10e-3
            self.timer_handle = asyncio.get_running_loop().call_later(seconds, self._on_timer_fired)

    def send_advertising_data(self) -> None:
        if self.enabled and self.controller.in_range:
            self.controller.link.advertise(self)
