"""What the benchmarks share that write a page of `docs/evidence`."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def options(about: str | None, name: str | None, data: str) -> argparse.ArgumentParser:
    """Return a parser with what all of them ask: where `data`, a folder, is, and where `name` is made.

    What is made at once is made nowhere: `name` is None.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("FATHOM_DATA"),
        help=f"where {data} is; $FATHOM_DATA",
    )
    parser.add_argument("--output", type=Path, default=Path("docs/evidence"), help="for the page")
    if name is not None:
        parser.add_argument("--folder", type=Path, default=Path("build") / name, help="for all that is made")
        parser.add_argument("--report-only", action="store_true", help="measure nothing, write what is there")
    parser.set_defaults(needs=data)
    return parser


def begin(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Return what was asked for, with progress on the way to the terminal."""
    asked = parser.parse_args()
    if asked.data is None:
        raise SystemExit(f"name the folder that holds {asked.needs}: --data FOLDER, or FATHOM_DATA")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    return asked


def table(head: Sequence[Any], rows: Sequence[Sequence[Any]], figures: str = "---:") -> str:
    """Return a table of Markdown: names in the first column, `figures` says how the others stand."""
    lines = [head, ["---", *[figures] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"
