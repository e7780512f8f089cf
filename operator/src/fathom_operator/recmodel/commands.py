"""What people tell a rollout by annotations; each value is obeyed once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fathom_api import Annotations
from fathom_operator.analysis.decide import Command

#: In the order in which they count where several are new: what is safe first.
ANNOTATIONS: Final[Mapping[Command, str]] = {
    "Abort": Annotations.ABORT,
    "Pause": Annotations.PAUSE,
    "Resume": Annotations.RESUME,
    "Promote": Annotations.PROMOTE,
}
_LONGEST: Final = 253


def said(annotations: Mapping[str, str]) -> dict[str, str]:
    """Return the commands among `annotations`, by their short names: what `status.obeyed` shall be."""
    return {
        name.partition("/")[2]: str(annotations[name])[:_LONGEST]
        for name in ANNOTATIONS.values()
        if name in annotations
    }


def command(annotations: Mapping[str, str], obeyed: Mapping[str, str]) -> Command | None:
    """Return the command that is new, if there is one: not among those `obeyed`, or with another value."""
    now = said(annotations)
    for word, name in ANNOTATIONS.items():
        short = name.partition("/")[2]
        if now.get(short, "") not in {"", obeyed.get(short)}:
            return word
    return None
