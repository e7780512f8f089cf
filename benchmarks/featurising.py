"""Word n-grams with bigrams: captions a second against scikit-learn's CountVectorizer, and peak memory.

Both read the same captions from a file, in processes of their own, on one core, and keep what is in at least
five captions. CountVectorizer leaves a sparse matrix in memory. Fathom leaves the tokens of each item, the
rarest first: `in memory` stops there, `to files` also sorts and writes them, with vocabulary and coverage.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

MIN_COUNT = 5
ROWS = 8192
KINDS = {"sklearn": "CountVectorizer", "memory": "Fathom, in memory", "files": "Fathom, to files"}


@dataclass(frozen=True)
class Batch:
    item_ids: list[str]
    captions: list[str]


def write_captions(path: Path, count: int, source: Path | None, seed: int = 0) -> None:
    """Write `count` captions, one a line: those of `source` with words changed, or made-up ones."""
    draw = random.Random(seed)
    known = [row["caption"] for row in csv.DictReader(source.open())] if source else made_up(draw)
    words = [word for caption in known for word in caption.split()]
    with path.open("w") as out:
        for _ in range(count):
            caption = draw.choice(known).split()
            for _ in range(2):
                caption[draw.randrange(len(caption))] = draw.choice(words)
            out.write(" ".join(caption) + "\n")


def made_up(draw: random.Random) -> list[str]:
    """Return 5,000 captions of 8 to 16 words; word k is 1/k as frequent as the first."""
    letters = "etaoinshrdlu"
    words = ["".join(draw.choices(letters, k=draw.randint(2, 9))) for _ in range(4000)]
    weights = [1 / (k + 1) for k in range(len(words))]
    return [" ".join(draw.choices(words, weights, k=draw.randint(8, 16))) + " ." for _ in range(5000)]


def batches(path: Path) -> Iterator[Batch]:
    """Yield the captions in `path`, never all at once."""
    with path.open() as lines:
        for start in range(0, sys.maxsize, ROWS):
            captions = list(islice(lines, ROWS))
            if not captions:
                return
            yield Batch([f"item-{start + n}" for n in range(len(captions))], captions)


def sklearn(path: Path) -> int:
    """Count with CountVectorizer; return the size of the vocabulary."""
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(
        ngram_range=(1, 2), min_df=MIN_COUNT, token_pattern=r"(?u)\b\w+\b", binary=True
    )
    with path.open() as lines:
        vectorizer.fit_transform(lines)
    return len(vectorizer.vocabulary_)


def in_memory(path: Path) -> int:
    """Learn the vocabulary and encode all captions; return the vocabulary's size."""
    from fathom import memory
    from fathom.features import vocabulary
    from fathom.features.encoding import encode
    from fathom.features.sequences import spooling
    from fathom.features.tokenisers.base import Before
    from fathom.features.vocabulary import Numbering

    memory.keep_freed()
    strategy, features = ours()
    with spooling() as scratch:
        learned = strategy.learn(lambda: batches(path), Before(), scratch)
        known = vocabulary.extended(
            None, learned.meaning, learned.terms, min_count=MIN_COUNT, most=features.vocabulary_size
        )
        numbering = Numbering.of(known.find(learned.terms.names), learned.terms.counts)
        for _, sequences in learned.corpus:
            encode(learned.find(sequences, numbering.ranks), numbering, features.max_tokens_per_item)
    return len(known.tokens)


def to_files(path: Path) -> int:
    """Make the features of an aspect as `fathom featurise` does; return the vocabulary's size."""
    from fathom import memory
    from fathom.features import aspect

    memory.keep_freed()
    strategy, features = ours()
    with path.open() as lines:
        items = sum(1 for _ in lines)
    with tempfile.TemporaryDirectory() as folder:
        return aspect.make(Path(folder), lambda: batches(path), items, strategy, features).tokens_in_use


def ours() -> tuple[Any, Any]:
    """Return our strategy and its parameters."""
    from fathom.features.tokenisers.word_ngram import WordNgram
    from fathom_api.tokens import CaptionFeatures

    features = CaptionFeatures(max_ngram=2, min_count=MIN_COUNT, vocabulary_size=10_000_000)
    return WordNgram(features), features


def measure(kind: str, path: Path) -> None:
    """Do `kind` in this process and print its CPU seconds, peak memory and size of the vocabulary."""
    import pyarrow as pa

    pa.set_cpu_count(1)
    work: dict[str, Callable[[Path], int]] = {"sklearn": sklearn, "memory": in_memory, "files": to_files}
    with tempfile.TemporaryDirectory() as folder:
        # Imports and the like are not what is compared.
        small = Path(folder, "small")
        small.write_text("a b c\n" * MIN_COUNT)
        work[kind](small)
    began = time.process_time()
    size = work[kind](path)
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak": peak, "size": size}))


def run(kind: str, path: Path) -> dict[str, float]:
    """Return what `measure` prints in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.featurising", "--measure", kind, "--file", str(path)]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    return json.loads(done.stdout.splitlines()[-1])


def main(arguments: list[str] | None = None) -> None:
    """Print a row for each, at n and at ten times n captions."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=100_000, help="n")
    parser.add_argument("--captions", type=Path, help="CSV with a column `caption` to make captions from")
    parser.add_argument("--measure", choices=list(KINDS), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        measure(options.measure, options.file)
        return
    print("| captions | | vocabulary | CPU s | captions / CPU s | ratio | peak MiB |")
    print("| ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    for items in (options.items, 10 * options.items):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "captions")
            write_captions(path, items, options.captions)
            found = {kind: run(kind, path) for kind in KINDS}
        for kind, name in KINDS.items():
            own = found[kind]
            ratio = found["sklearn"]["seconds"] / own["seconds"]
            print(
                f"| {items:,} | {name} | {own['size']:,.0f} | {own['seconds']:.2f} | "
                f"{items / own['seconds']:,.0f} | {ratio:.1f} | {own['peak']:,.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
