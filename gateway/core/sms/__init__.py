"""What fits a text message: packed payments, receipts and answers, words of people; docs/protocol/sms.md."""
