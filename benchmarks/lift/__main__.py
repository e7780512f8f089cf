"""What captions give a ranker, measured on MovieLens-100K and its posters.

`python -m benchmarks.lift --data FOLDER` fine-tunes a captioner on posters of films that are not in
MovieLens-100K, captions those that are, trains every arm on every split, and writes `docs/evidence/lift.md`
with its plots. FOLDER holds `movielens-posters/`. What is made is kept in `build/lift/` and not made again.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import torch

from benchmarks import evidence
from benchmarks.lift import captioner, page, sources, summary
from benchmarks.lift.arms import ARMS, PLAIN, Known
from benchmarks.lift.matrix import STRATEGIES, Matrix
from benchmarks.lift.runs import Results
from demo.data.tables import Dataset


def main() -> None:
    """Make, measure and write; see the module."""
    parser = evidence.options(__doc__, "lift", "movielens-posters")
    parser.add_argument("--seeds", type=int, default=5, help="of each arm on each draw")
    parser.add_argument(
        "--plain", action="store_true", help="train only the arms that need no captioner, and write nothing"
    )
    parser.add_argument(
        "--splits",
        nargs="+",
        choices=STRATEGIES,
        default=STRATEGIES,
        help="train on these alone; processes for different splits may run side by side in one folder",
    )
    options = evidence.begin(parser)
    torch.set_num_threads(1)
    measure(options)


def measure(options: argparse.Namespace) -> None:
    """Do what `options` ask for."""
    found = captioner.dataset(options.folder, options.data)
    matrix = Matrix(
        folder=options.folder / "arms",
        found=found,
        known=_known(options.folder, found, captioned=not options.plain),
        results=Results(options.folder),
        seeds=options.seeds,
    )
    began = time.monotonic()
    if not options.report_only:
        arms = PLAIN if options.plain else ARMS

        def tell(text: str) -> None:
            logging.info("%5.0f s  %s", time.monotonic() - began, text)

        matrix.run(tell, arms, options.splits)
    if options.plain:
        return
    tables = {strategy: summary.rows(matrix, strategy) for strategy in STRATEGIES}
    page.write(options.output, matrix, tables)
    logging.info("wrote %s", options.output / page.NAME)


def _known(folder: Path, found: Dataset, *, captioned: bool) -> Known:
    tokens = sources.captions(captioner.features(folder, found)) if captioned else sources.blank()
    items, dense = sources.vectors(folder, found)
    return Known(
        items=items,
        captions=tokens,
        words=sources.words(tokens, captioner.captions(folder)) if captioned else tokens,
        metadata=sources.metadata(found),
        codes=sources.codes(items, dense),
        dense=dense,
    )


if __name__ == "__main__":
    main()
