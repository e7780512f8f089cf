"""What fine-tuning gives a small captioner, all weights against adapters, on photographs and film posters.

`python -m benchmarks.finetuning --data FOLDER` teaches `fathom://small-llava` the 1,000 photographs of
FOLDER/flickr8k_1000 (five captions each), then moves it to the posters of FOLDER/movielens-posters (a
sentence made of genres and decade), with all weights and with adapters. All are examined on held-out media
of both: what was gained, and what of the photographs was forgotten. Minutes are CPU time.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from torch import device

from fathom.captioning import command
from fathom.captioning.models import checkpoint
from fathom.captioning.tuning import examination, tuning_report
from fathom.captioning.tuning.examination import Examination
from fathom.captioning.tuning.pairs import Pairs
from fathom_api.tasks import AnyFineTune, AnyModel, FinetuneTask

PROMPT = "Describe this picture in one sentence."
VALIDATION = 0.15


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    model: str
    minutes: float
    trained: str
    loss: float
    posters: Examination
    photographs: Examination


def photographs(data: Path) -> Iterator[tuple[Path, str]]:
    """Yield each photograph of Flickr8k with each of its captions."""
    folder = data / "flickr8k_1000"
    with (folder / "captions.csv").open(encoding="utf-8", newline="") as file:
        yield from ((folder / "images" / row["image"], row["caption"]) for row in csv.DictReader(file))


def posters(data: Path, most: int) -> Iterator[tuple[Path, str]]:
    """Yield every other poster, `most` in all, with a sentence about its film."""
    folder = data / "movielens-posters"
    with (folder / "movies.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["poster"]][::2][:most]
    for row in rows:
        decade = f"{row['title'].rstrip(')')[-4:-1]}0s"
        genres = " and ".join(sorted(row["genres"].lower().split("|")))
        yield folder / row["poster"], f"poster of a {genres} film of the {decade}"


def table(path: Path, rows: Iterator[tuple[Path, str]]) -> str:
    """Write pairs as Parquet and return where."""
    files, captions = zip(*rows, strict=True)
    pq.write_table(pa.table({"image": list(map(str, files)), "caption": list(captions)}), path)
    return str(path)


def task(model: str, pairs: str, output: Path, **settings: Any) -> FinetuneTask:
    """Return a fine-tuning with the benchmark's prompt."""
    document = {
        "model": {"uri": model, "prompt": PROMPT, "maxNewTokens": 24},
        "fineTune": {"uri": pairs, "validation": VALIDATION, "evaluatedPairs": 0, **settings},
        "output": str(output),
    }
    return FinetuneTask.model_validate(document)


def examined(model: str, pairs: Pairs, media: int) -> Examination:
    """Return how the checkpoint captions media of `pairs` that were held out."""
    asked = AnyModel.model_validate({"uri": model, "prompt": PROMPT, "maxNewTokens": 24})
    write = examination.writer(*checkpoint.open_model(checkpoint.find(asked), asked, device("cpu")), asked)
    held_out = pairs.split(VALIDATION, 0)[1]
    found = examination.examine(write, pairs, held_out, most=media, seed=0, tick=lambda: None)
    if found is None:
        raise SystemExit("nothing was held out: more pictures are needed")
    return found


def main() -> None:
    """Teach, move, examine and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="where flickr8k_1000 and movielens-posters are"
    )
    parser.add_argument("--posters", type=int, default=600, help="posters to learn from or to hold out")
    parser.add_argument("--epochs", type=int, default=6, help="on posters; half as many on photographs")
    parser.add_argument("--examined", type=int, default=100, help="held-out media of each kind captioned")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        show(measured(options, Path(folder)))


def measured(options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """Yield the rows of the table."""
    first = table(folder / "photographs.parquet", photographs(options.data))
    second = table(folder / "posters.parquet", posters(options.data, options.posters))
    seen = {uri: Pairs(AnyFineTune(uri=uri)) for uri in (first, second)}

    def row(name: str, learn: FinetuneTask) -> tuple[str, Row]:
        began = time.process_time()
        uri = command.finetune(learn).uri or ""
        minutes = (time.process_time() - began) / 60
        told = tuning_report.read(Path(uri))
        loss = told.progress.metrics["validation_loss"]
        scores = [examined(uri, seen[pairs], options.examined) for pairs in (second, first)]
        settings = learn.fine_tune
        trained = f"{told.pairs.training} pairs, {settings.epochs} epochs, rate {settings.learning_rate:g}"
        return uri, Row(name, minutes, trained, loss, *scores)

    fewer = -(-options.epochs // 2)
    learn = task("fathom://small-llava", first, folder / "a", epochs=fewer)
    base, taught = row("taught photographs, Full", learn)
    yield taught
    moves = {
        "moved to posters, Full": {"learningRate": 1e-3},
        "moved to posters, Full, low rate": {"learningRate": 1e-4},
        "moved to posters, LoRA": {"learningRate": 5e-3, "method": "LoRA"},
    }
    for number, (name, settings) in enumerate(moves.items()):
        yield row(name, task(base, second, folder / f"b{number}", epochs=options.epochs, **settings))[1]


def show(rows: Iterator[Row]) -> None:
    """Print a table in Markdown, each row when it is there."""
    kinds = [f"{kind}: CIDEr-D | BLEU-4 | F1" for kind in ("posters", "photographs")]
    print(f"| model | learned from | CPU min | held-out loss | {' | '.join(kinds)} |")
    print("| --- | --- |" + " ---: |" * 8)
    for row in rows:
        figures = " | ".join(
            f"{e.cider:.3f} | {e.bleu4:.1f} | {e.token_f1:.3f}" for e in (row.posters, row.photographs)
        )
        print(f"| {row.model} | {row.trained} | {row.minutes:.1f} | {row.loss:.3f} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
