"""GSM modems spoken to by AT commands: text messages in PDU mode."""
