"""Faults of a modem that can be switched on and off while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal

Cure = Literal["cfun", "power", "never"]


@dataclass(slots=True)
class Faults:
    """None, "" or 0 is healthy; counts run down by one each time."""

    hang: Cure | None = None  # the port is open and nobody answers; what cures it
    cms_error: int = 0  # AT+CMGS answers this …
    cms_errors: int = -1  # … so many times; -1 for ever
    send_unanswered: int = 0  # messages that are sent, and no answer comes
    send_swallowed: int = 0  # messages that are not sent, and no answer comes
    no_prompt: int = 0  # AT+CMGS without a prompt and without an answer
    urc_at_prompt: str = ""  # said between the prompt and the payload
    urc_in_reply: str = ""  # said inside every reply that has information lines
    late_s: float = 0.0  # every answer comes so late
    delete_fails: int = 0  # AT+CMGD answers an error
    reset_at: dict[str, int] = field(default_factory=dict)  # brown-out at the nth command with this in it

    def set(self, name: str, value: Any) -> None:
        """Set one by name; KeyError for an unknown name."""
        if name not in {one.name for one in fields(self)}:
            raise KeyError(f"no fault {name!r}")
        setattr(self, name, value)

    def use(self, name: str) -> bool:
        """True while the count of this fault lasts; counts it down."""
        left: int = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return left != 0

    def resets(self, command: str) -> bool:
        """Is this the command at which the supply breaks down?"""
        for prefix, left in list(self.reset_at.items()):
            if prefix.removeprefix("AT") in command.upper():
                self.reset_at[prefix] = left - 1
                if left <= 1:
                    del self.reset_at[prefix]
                    return True
        return False
