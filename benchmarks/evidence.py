"""What the benchmarks share that write a page of `docs/evidence`."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path


def options(about: str | None, name: str, data: str) -> argparse.ArgumentParser:
    """Return a parser with what all of them ask: where `data`, a folder, is, and where `name` is made."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("FATHOM_DATA"),
        help=f"where {data} is; $FATHOM_DATA",
    )
    parser.add_argument("--folder", type=Path, default=Path("build") / name, help="for all that is made")
    parser.add_argument("--output", type=Path, default=Path("docs/evidence"), help="for the page")
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
