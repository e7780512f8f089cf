#!/usr/bin/env python
"""Makes the documentation's pictures of rollouts: docs/images/rollout-history.png and rollout-watch.svg.

    PYTHONPATH=.:tests:examples .venv/bin/python scripts/rollout_pictures.py

Traffic and clock are simulated (`benchmarks/rollout_traffic.py`); windows, tests, verdicts, records, page and
watch are the operator's and the plugin's own.
"""

from __future__ import annotations

import argparse
import io
import re
import tempfile
from pathlib import Path

from browser import browser, open_file
from builders.rollouts import Life, fault, spec
from rich.console import Console
from rich.text import Text

from fathom_operator.kubectl.pages import history_page
from fathom_operator.kubectl.view import status_lines

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
_COLUMNS = 132
#: A font that the picture would load from elsewhere; any of the reader's does.
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def lived() -> Life:
    """Return a ranker with a good rollout, one that is taken back for its latency, and one under way."""
    said = {6: {"pause": "1"}, 10: {"pause": "1", "resume": "2"}}
    life = Life().roll_out("v-20260105-1f3a").roll_out("v-20260112-77c0", fault("p99"), seed=3)
    looks = iter(range(1, 500))
    return life.roll_out(
        "v-20260119-5d21", seed=5, told=said, until=lambda s: s.status.step == 1 and next(looks) >= 12
    )


def watch_picture(life: Life) -> str:
    """Return what `kubectl fathom watch` draws, as SVG."""
    lines = status_lines("movies", spec(), life.status, life.now, colour=True, trail=life.trail)
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi("\n".join(lines)), soft_wrap=False)
    drawn = console.export_svg(title="kubectl fathom watch movies", unique_id="watch")
    return _FONTS.sub("", drawn)


def main() -> None:
    """Make both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=IMAGES, help="the folder the pictures go to")
    out: Path = parser.parse_args().out
    life = lived()
    (out / "rollout-watch.svg").write_text(watch_picture(life), encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder, browser() as running:
        page = Path(folder) / "history.html"
        html = history_page("shop/movies", spec(), life.status, life.trail, life.now)
        page.write_text(html, encoding="utf-8")
        opened = open_file(running, page, width=1180, height=1120)
        opened.page.screenshot(path=out / "rollout-history.png")


if __name__ == "__main__":
    main()
