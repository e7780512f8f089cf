"""How search does while a gallery moves from one embedding model to another.

`python -m benchmarks.backfill --data FOLDER` trains pairs of models, fits every method on what they make of
the same items, and writes `docs/evidence/backfill.md` with its plots. FOLDER holds `omniglot_small/`. What is
made is kept in `build/backfill/` and not made again.
"""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

import torch

from benchmarks.backfill import drawings, page, summary
from benchmarks.backfill.protocol import ARMS, Results, measure


def main() -> None:
    """Make, measure and write; see the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("FATHOM_DATA"), help="where the data are; $FATHOM_DATA"
    )
    parser.add_argument("--folder", type=Path, default=Path("build/backfill"), help="for all that is made")
    parser.add_argument("--output", type=Path, default=Path("docs/evidence"), help="for the page")
    parser.add_argument("--seeds", type=int, default=5, help="draws of data and models")
    parser.add_argument("--methods", nargs="*", default=list(ARMS), choices=ARMS, help="only these")
    parser.add_argument("--report-only", action="store_true", help="measure nothing, write what is there")
    options = parser.parse_args()
    if options.data is None and not options.report_only:
        raise SystemExit("name the folder that holds omniglot_small: --data FOLDER, or FATHOM_DATA")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    results = Results(options.folder / "results.jsonl")
    if not options.report_only:
        for seed in range(options.seeds):
            made = drawings.episode(Path(options.data), options.folder, seed)
            measure(made, results, logging.info, tuple(options.methods))
    tables = summary.tables(results, [(drawings.NAME, trial) for trial in drawings.TRIALS])
    page.write(options.output, tables, {drawings.NAME: drawings.about()})
    logging.info("wrote %s", options.output / page.NAME)


if __name__ == "__main__":
    main()
