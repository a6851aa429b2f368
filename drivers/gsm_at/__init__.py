"""GSM modems spoken to by AT commands: text messages in PDU mode."""

from drivers.gsm_at.driver import GsmDriver

__all__ = ["GsmDriver"]
