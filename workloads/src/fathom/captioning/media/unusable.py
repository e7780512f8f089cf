"""What is said about media that cannot be used."""

from __future__ import annotations

from typing import Final

import regex

_MAX_NAME: Final = 200
_UNSAFE: Final = regex.compile(r"[\p{C}\p{Zl}\p{Zp}]")


class UnusableMediaError(Exception):
    """This item's media cannot be used; `reason` is CamelCase, the message a sentence.

    `transient` says that another try may go well though neither media nor model change: a server was down.
    """

    def __init__(self, reason: str, message: str, *, transient: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.transient = transient

    def __reduce__(self) -> tuple[object, ...]:
        # Media are read in other processes too; pickle would drop what is only given by name.
        return _again, (self.reason, str(self), self.transient)


def _again(reason: str, message: str, transient: bool) -> UnusableMediaError:
    return UnusableMediaError(reason, message, transient=transient)


def printable(text: object) -> str:
    """Return `text`, which strangers wrote, so that it fits into a message: short, one line, Unicode."""
    shown = _UNSAFE.sub("\ufffd", str(text)[: _MAX_NAME + 1])
    return shown if len(shown) <= _MAX_NAME else f"{shown[:_MAX_NAME]}…"
