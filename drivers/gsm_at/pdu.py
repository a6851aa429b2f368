"""Text messages as TPDUs: SUBMIT, DELIVER, STATUS-REPORT (3GPP TS 23.040 clause 9.2.2)."""

from __future__ import annotations

from binascii import unhexlify
from dataclasses import dataclass

from drivers.gsm_at.octets import Address, Octets, PduError, Timestamp, read_smsc, smsc_octets
from drivers.gsm_at.userdata import UserData, coding_of, read_user_data

# First octet
DELIVER, SUBMIT, STATUS_REPORT = 0, 1, 2
NO_MORE_MESSAGES = 0x04  # of DELIVER and STATUS-REPORT
REJECT_DUPLICATES = 0x04  # of SUBMIT
LOOP_PREVENTION = 0x08
REPORT = 0x20  # requested, or indicated
HEADER = 0x40
REPLY_PATH = 0x80
VALIDITY_NONE, VALIDITY_ENHANCED, VALIDITY_RELATIVE, VALIDITY_ABSOLUTE = 0, 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """A message on its way to the service centre.

    ``validity``: a relative octet (clause 9.2.3.12.1), a time, seven octets of the enhanced format, or None.
    """

    destination: Address
    user_data: UserData
    smsc: Address | None = None
    reference: int = 0
    pid: int = 0
    dcs: int = 0
    validity: int | Timestamp | bytes | None = None
    reject_duplicates: bool = False
    report_requested: bool = False
    reply_path: bool = False

    def tpdu(self) -> bytes:
        """Raises :class:`ValueError` for a coding that contradicts ``dcs``, or too much of it."""
        form, validity = _validity_octets(self.validity)
        first = SUBMIT | form << 3
        first |= REJECT_DUPLICATES * self.reject_duplicates | REPORT * self.report_requested
        first |= HEADER * bool(self.user_data.elements) | REPLY_PATH * self.reply_path
        head = bytes((first, self.reference)) + self.destination.to_octets() + bytes((self.pid, self.dcs))
        return head + validity + _checked(self.user_data, self.dcs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """A message from the service centre."""

    sender: Address
    timestamp: Timestamp
    user_data: UserData
    smsc: Address | None = None
    pid: int = 0
    dcs: int = 0
    more_messages: bool = False
    loop_prevention: bool = False
    report_indication: bool = False
    reply_path: bool = False

    def tpdu(self) -> bytes:
        """Raises :class:`ValueError` for a coding that contradicts ``dcs``, or too much of it."""
        first = DELIVER | NO_MORE_MESSAGES * (not self.more_messages) | LOOP_PREVENTION * self.loop_prevention
        first |= REPORT * self.report_indication | REPLY_PATH * self.reply_path
        first |= HEADER * bool(self.user_data.elements)
        head = bytes((first,)) + self.sender.to_octets() + bytes((self.pid, self.dcs))
        return head + self.timestamp.octets + _checked(self.user_data, self.dcs)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """What became of a message: ``status`` is TP-ST (clause 9.2.3.15), ``reference`` the SUBMIT's.

    ``pid``, ``dcs`` and ``user_data`` are None where TP-PI says that they are absent.
    """

    recipient: Address
    reference: int
    timestamp: Timestamp
    discharge: Timestamp
    status: int
    smsc: Address | None = None
    pid: int | None = None
    dcs: int | None = None
    user_data: UserData | None = None
    indicator: int | None = None  # TP-PI, None where the report ends before it
    more_messages: bool = False
    loop_prevention: bool = False
    command: bool = False  # answers an SMS-COMMAND

    @property
    def delivered(self) -> bool:
        """Clause 9.2.3.15: 0x00..0x1F, the message is where it was to go."""
        return self.status < 0x20

    @property
    def final(self) -> bool:
        """False while the service centre still tries (0x20..0x3F)."""
        return not 0x20 <= self.status < 0x40

    def tpdu(self) -> bytes:
        first = STATUS_REPORT | NO_MORE_MESSAGES * (not self.more_messages)
        first |= LOOP_PREVENTION * self.loop_prevention | REPORT * self.command
        first |= HEADER * bool(self.user_data is not None and self.user_data.elements)
        head = bytes((first, self.reference)) + self.recipient.to_octets()
        head += self.timestamp.octets + self.discharge.octets + bytes((self.status,))
        if self.indicator is None:
            return head
        for field in (self.indicator, self.pid, self.dcs):
            head += b"" if field is None else bytes((field,))
        return head + (b"" if self.user_data is None else self.user_data.to_octets())


def to_hex(message: Submit | Deliver | StatusReport) -> str:
    """The PDU as a modem takes it: service centre and TPDU. ``AT+CMGS`` counts only the TPDU's octets."""
    return (smsc_octets(message.smsc) + message.tpdu()).hex().upper()


def decode_incoming(pdu: str) -> Deliver | StatusReport:
    """What a modem read from its storage or was handed. Raises :class:`PduError` by kind."""
    octets = _octets(pdu)
    smsc = read_smsc(octets)
    first = octets.one()
    match first & 3:
        case 0:
            return _deliver(octets, first, smsc)
        case 2:
            return _status_report(octets, first, smsc)
    raise PduError("type", f"message type {first & 3} does not come from a service centre")


def decode_submit(pdu: str) -> Submit:
    """What a device sends. Raises :class:`PduError` by kind."""
    octets = _octets(pdu)
    smsc = read_smsc(octets)
    first = octets.one()
    if first & 3 != SUBMIT:
        raise PduError("type", f"message type {first & 3} is not SUBMIT")
    reference = octets.one()
    destination = Address.read(octets)
    pid, dcs = octets.take(2)
    coding = coding_of(dcs)
    return Submit(
        smsc=smsc,
        reference=reference,
        destination=destination,
        pid=pid,
        dcs=dcs,
        validity=_read_validity(octets, first >> 3 & 3),
        user_data=read_user_data(octets, coding, bool(first & HEADER)),
        reject_duplicates=bool(first & REJECT_DUPLICATES),
        report_requested=bool(first & REPORT),
        reply_path=bool(first & REPLY_PATH),
    )


def _octets(pdu: str) -> Octets:
    try:
        return Octets(unhexlify(pdu))  # unlike bytes.fromhex it takes no blanks
    except ValueError as error:
        raise PduError("not_hex", str(error)) from error


def _deliver(octets: Octets, first: int, smsc: Address | None) -> Deliver:
    sender = Address.read(octets)
    pid, dcs = octets.take(2)
    timestamp = Timestamp(octets.take(7))
    coding = coding_of(dcs)
    return Deliver(
        smsc=smsc,
        sender=sender,
        pid=pid,
        dcs=dcs,
        timestamp=timestamp,
        user_data=read_user_data(octets, coding, bool(first & HEADER)),
        more_messages=not first & NO_MORE_MESSAGES,
        loop_prevention=bool(first & LOOP_PREVENTION),
        report_indication=bool(first & REPORT),
        reply_path=bool(first & REPLY_PATH),
    )


def _status_report(octets: Octets, first: int, smsc: Address | None) -> StatusReport:
    reference = octets.one()
    recipient = Address.read(octets)
    timestamp, discharge = Timestamp(octets.take(7)), Timestamp(octets.take(7))
    status = octets.one()
    indicator = octets.one() if octets.rest() else None
    present = indicator or 0
    extension = present
    while extension & 0x80:  # clause 9.2.3.27: further indicator octets, all reserved
        extension = octets.one()
    pid = octets.one() if present & 1 else None
    dcs = octets.one() if present & 2 else None
    coding = coding_of(dcs or 0)
    user_data = read_user_data(octets, coding, bool(first & HEADER)) if present & 4 else None
    return StatusReport(
        smsc=smsc,
        reference=reference,
        recipient=recipient,
        timestamp=timestamp,
        discharge=discharge,
        status=status,
        indicator=None if indicator is None else indicator & 7,
        pid=pid,
        dcs=dcs,
        user_data=user_data,
        more_messages=not first & NO_MORE_MESSAGES,
        loop_prevention=bool(first & LOOP_PREVENTION),
        command=bool(first & REPORT),
    )


def _read_validity(octets: Octets, form: int) -> int | Timestamp | bytes | None:
    if form == VALIDITY_RELATIVE:
        return octets.one()
    if form == VALIDITY_ABSOLUTE:
        return Timestamp(octets.take(7))
    return octets.take(7) if form == VALIDITY_ENHANCED else None


def _validity_octets(validity: int | Timestamp | bytes | None) -> tuple[int, bytes]:
    if validity is None:
        return VALIDITY_NONE, b""
    if isinstance(validity, int):
        return VALIDITY_RELATIVE, bytes((validity,))
    if isinstance(validity, Timestamp):
        return VALIDITY_ABSOLUTE, validity.octets
    return VALIDITY_ENHANCED, validity


def _checked(user_data: UserData, dcs: int) -> bytes:
    if coding_of(dcs) is not user_data.coding:
        raise ValueError(f"coding {dcs:#04x} is not {user_data.coding.value}")
    return user_data.to_octets()
