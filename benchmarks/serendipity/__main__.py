"""What leading users to new interests gives, measured on MovieLens-100K and its posters.

`python -m benchmarks.serendipity --data FOLDER` makes clusters, measures the baselines, teaches the small
planner, plans all pairs, mixes guided items into a ranker's answers, writes `docs/evidence/serendipity.md`.
FOLDER holds `movielens-posters/`. What is made is kept in `build/serendipity/` and not made again.
"""

from __future__ import annotations

import logging

from benchmarks import evidence
from benchmarks.serendipity import measure, page, world
from benchmarks.serendipity.measure import Plan
from benchmarks.serendipity.variants import VARIANTS


def main() -> None:
    """Make, measure and write; see the module."""
    parser = evidence.options(__doc__, "serendipity", "movielens-posters")
    parser.add_argument("--counts", type=int, nargs="+", default=[60, 150, 300], help="of clusters")
    parser.add_argument("--seeds", type=int, default=3, help="of all that is random")
    parser.add_argument("--epochs", type=int, default=6, help="most epochs of a planner")
    parser.add_argument(
        "--variants",
        type=int,
        nargs="*",
        default=list(range(len(VARIANTS))),
        help="planners to teach: " + "; ".join(f"{n} {v.name}" for n, v in enumerate(VARIANTS)),
    )
    parser.add_argument(
        "--words",
        choices=("captions", "metadata"),
        default="captions",
        help="what clusters are named by: captions need a captioner to be taught first",
    )
    options = evidence.begin(parser)
    plan = Plan(
        options.folder / options.words,
        tuple(options.counts),
        options.seeds,
        options.epochs,
        tuple(options.variants),
    )
    if not options.report_only:
        measure.run(plan, world.load(options.folder, options.data, options.words))
    page.write(options.output, measure.read(plan), options.words)
    logging.info("wrote %s", options.output / page.NAME)


if __name__ == "__main__":
    main()
