"""Checks that every relative link in the documentation leads to a file, and every anchor to a heading."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(?P<text>.+)$", re.MULTILINE)
_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def documents() -> list[Path]:
    """Return the Markdown files of the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def broken(document: Path) -> Iterator[str]:
    """Yield a sentence for each link in `document` that leads nowhere."""
    for match in _LINK.finditer(_CODE.sub("", document.read_text())):
        target, _, anchor = match["target"].partition("#")
        if ":" in target:
            continue
        found = (document.parent / target).resolve() if target else document
        if not found.exists():
            yield f"{document.relative_to(ROOT)}: {target} does not exist"
        elif anchor and found.suffix == ".md" and anchor not in anchors(found.read_text()):
            yield f"{document.relative_to(ROOT)}: {target or document.name} has no heading #{anchor}"


def anchors(text: str) -> set[str]:
    """Return the anchors that renderers give the headings in `text`."""
    headings = (match["text"] for match in _HEADING.finditer(_CODE.sub("", text)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def main() -> int:
    """Print what is broken; return the exit status."""
    found = [sentence for document in documents() for sentence in broken(document)]
    for sentence in found:
        print(sentence, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
