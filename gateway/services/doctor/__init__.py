"""``doctor``: named checks of the machine, the configuration and the running gateway, one file a subject.

:func:`examine` is for whoever wants an answer: the command line, the page, a command from afar. It blocks
(DNS and TLS take their time), so from the event loop it goes to a thread.
"""

from __future__ import annotations

from gateway.services.doctor.check import Check, Finding, Patient, Verdict, document, exit_code, worst
from gateway.services.doctor.examination import CHECKS, FILES, examine
from gateway.services.doctor.host import Account, Host

__all__ = [
    "CHECKS",
    "FILES",
    "Account",
    "Check",
    "Finding",
    "Host",
    "Patient",
    "Verdict",
    "document",
    "examine",
    "exit_code",
    "worst",
]
