"""The words a person may text, and what they are told, in a few languages.

Every text fits 160 characters of the GSM 7-bit default alphabet (3GPP TS 23.038 section 6.2.1) with the
longest gateway id and numbers of seven digits; hence the missing accents. Each begins with ``OFFGRID``, and
what begins so is never answered: two gateways that text each other fall silent.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

MAX_WORD = 16


class Word(Enum):
    HELP = "help"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Language:
    """``words``: what asks for what. Texts are filled with ``id``, ``held``, ``synced`` and ``told``."""

    words: dict[str, Word]
    help: str
    status: str
    told: str
    halted: str
    intent: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A person's word, and the language that it is of."""

    word: Word
    language: Language


ENGLISH = Language(
    {"help": Word.HELP, "status": Word.STATUS},
    "OFFGRID {id}: gateway for offline payments. Let your wallet app text here; what is typed by hand cannot "
    "be verified. STATUS: how it fares.",
    "OFFGRID {id}: open. {held} entries kept, {synced} of them confirmed by the coordinator.",
    "OFFGRID {id}: open, no line home. {held} entries kept; coordinator: {synced} confirmed, {told} known "
    "by text message.",
    "OFFGRID {id}: takes nothing now. Keep what you have and try another gateway.",
    "OFFGRID {id}: not a payment. A PAY line cuts the signature and cannot be verified. Hand over the ledger "
    "with your wallet app.",
)
FRENCH = Language(
    {"aide": Word.HELP, "statut": Word.STATUS, "etat": Word.STATUS},
    "OFFGRID {id}: passerelle de paiements hors ligne. Laissez votre portefeuille écrire ici; un texte "
    "tapé ne prouve rien. STATUT: son état.",
    "OFFGRID {id}: ouverte. {held} entrées gardées, dont {synced} confirmées par le coordinateur.",
    "OFFGRID {id}: ouverte, isolée. {held} entrées gardées; coordinateur: {synced} confirmées, {told} "
    "connues par SMS.",
    "OFFGRID {id}: ne prend rien en ce moment. Gardez tout et essayez une autre passerelle.",
    "OFFGRID {id}: pas un paiement. Une ligne PAY coupe la signature: invérifiable. Utilisez votre "
    "portefeuille.",
)
SPANISH = Language(
    {"ayuda": Word.HELP, "estado": Word.STATUS},
    "OFFGRID {id}: puerta de pagos sin red. Deje que su billetera escriba; lo escrito a mano no se puede "
    "verificar. ESTADO: su estado.",
    "OFFGRID {id}: abierta. {held} entregas guardadas, {synced} confirmadas por el coordinador.",
    "OFFGRID {id}: abierta, aislada. {held} entregas guardadas; coordinador: {synced} confirmadas, {told} "
    "conocidas por SMS.",
    "OFFGRID {id}: ahora no recibe nada. Guarde todo y pruebe otra puerta.",
    "OFFGRID {id}: no es un pago. Una linea PAY corta la firma y no se puede verificar. Use su billetera.",
)
LANGUAGES = (ENGLISH, FRENCH, SPANISH)

_WORDS = {word: Asked(asked, language) for language in LANGUAGES for word, asked in language.words.items()}


def read_word(text: bytes) -> Asked | None:
    """The one word that the whole message is, however it is written; None for anything else."""
    if len(text) > MAX_WORD:
        return None
    return _WORDS.get(text.decode("utf-8", "replace").strip(" .!?\r\n").lower().replace("é", "e"))
