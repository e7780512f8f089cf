"""How search does while a gallery moves from one embedding model to another.

`python -m benchmarks.backfill --data FOLDER` trains pairs of models, fits every method on what they make of
the same items, and writes `docs/evidence/backfill.md` with its plots. FOLDER holds `omniglot_small/`, and
what `--galleries` names: `movielens-posters/`, `flickr8k_1000/`, `cifar-100-binary/`, `imagenet/` and
`places365/` (a folder for each class), `Market-1501/`. What is made is kept in `build/backfill/` and not made
again.
"""

from __future__ import annotations

import argparse
import logging
from typing import Final

import torch

from benchmarks import evidence
from benchmarks.backfill import drawings, encoded, page, summary
from benchmarks.backfill.galleries import LOADERS
from benchmarks.backfill.protocol import ARMS, Results, measure

#: One network that looks at few pixels, and at many.
_ENCODERS: Final = ("fathom://efficientnet-lite0/64", "fathom://efficientnet-lite0/224")


def main() -> None:
    """Make, measure and write; see the module."""
    parser = evidence.options(__doc__, "backfill", "omniglot_small")
    parser.add_argument("--seeds", type=int, default=5, help="draws of data and models")
    parser.add_argument("--methods", nargs="*", default=list(ARMS), choices=ARMS, help="only these")
    parser.add_argument(
        "--galleries", nargs="*", default=[], choices=sorted(LOADERS), help="pictures for two encoders, too"
    )
    parser.add_argument(
        "--encoders", nargs=2, metavar=("OLD", "NEW"), default=list(_ENCODERS), help="of the galleries"
    )
    options = evidence.begin(parser)
    torch.set_num_threads(1)
    found = measured(options)
    page.write(options.output, *found)
    logging.info("wrote %s", options.output / page.NAME)


def measured(options: argparse.Namespace) -> tuple[list[summary.Table], dict[str, str]]:
    """Do what `options` ask for; return a table for each trial, and what each data set is."""
    data, folder = options.data, options.folder
    results = Results(folder / "results.jsonl")
    trials = [(drawings.NAME, trial) for trial in drawings.TRIALS]
    about = {drawings.NAME: drawings.about()}
    galleries = [LOADERS[name](data) for name in options.galleries]
    for gallery in galleries:
        trials += [(gallery.name, trial) for trial in encoded.TRIALS]
        about[gallery.name] = encoded.about(gallery, tuple(options.encoders))
    for seed in range(0 if options.report_only else options.seeds):
        measure(drawings.episode(data, folder, seed), results, logging.info, tuple(options.methods))
        for gallery in galleries:
            made = encoded.episode(gallery, tuple(options.encoders), folder, seed)
            measure(made, results, logging.info, tuple(options.methods))
    return summary.tables(results, trials), about


if __name__ == "__main__":
    main()
