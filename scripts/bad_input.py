"""Writes docs/reference/bad-input.md from the tests' corpus; with `--check` fails when it is stale."""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

from builders.bad_media import CAPTIONED, KINDS, Kind

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "bad-input.md"
_INTRODUCTION = """\
<!-- Generated from tests/builders/bad_media.py by scripts/bad_input.py; do not edit. -->
# What becomes of bad input

An item whose media cannot be used is a row under `errors/` with the reason below and a sentence; the job
goes on. Each line is a case of `tests/unit/captioning/test_bad_media.py`, which also bounds its time and
memory.

A reason marked *passing* may be gone next time: the medium was not reached. Such an item is tried again on
the next run; the others are when their media or the model change, or when you ask for it.

Limits: 64 MiB and 64 million pixels a picture; 256 MiB and 60 seconds of decoding a video; 120 seconds,
5 redirects and 4 attempts a download.
"""


def page() -> str:
    """Return the page."""
    sections = [_section(name, list(kinds)) for name, kinds in groupby(KINDS, key=lambda kind: kind.group)]
    return "\n".join([_INTRODUCTION, *sections])


def _section(name: str, kinds: list[Kind]) -> str:
    rows = "".join(f"| {kind.name.replace('|', '&#124;')} | {_outcome(kind)} |\n" for kind in kinds)
    return f"## {name}\n\n| media | outcome |\n| --- | --- |\n{rows}"


def _outcome(kind: Kind) -> str:
    if kind.outcome == CAPTIONED:
        return CAPTIONED
    return f"`{kind.outcome}`, passing" if kind.transient else f"`{kind.outcome}`"


def main(arguments: list[str]) -> int:
    """Write or check; return the exit status."""
    if "--check" not in arguments:
        PAGE.write_text(page())
        return 0
    if PAGE.is_file() and PAGE.read_text() == page():
        return 0
    command = "PYTHONPATH=tests python scripts/bad_input.py"
    print(f"docs/reference/bad-input.md is stale: run `{command}` and commit the result", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
