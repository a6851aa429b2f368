"""The composition: the only place that constructs the parts and connects them.

plan        which parts there are, and who is told what
radios      a driver with its intake, as a service
place       GPS as a service, paired with a concentrator
link        the way to the coordinator, as a service
pages       the HTTP servers, as services
settings    from the configuration to what each part takes
commands    what the control socket can be asked
lifetime    signals: stop, reload
"""

from __future__ import annotations
