"""The kill drill: a real captioning run that is killed at random moments, again and again, and loses nothing.

`python -m benchmarks.kill_drill [--kills N] [--minutes M] [--teach]` captions catalogues of drawn pictures
with a LLaVA of two layers and random weights, or (`--teach`) with the small LLaVA, fine-tuned on such ones.
Pods are processes that do what `fathom plan` and `fathom caption` do; they get SIGKILL, by process id, at
moments drawn evenly over their life, some while another pod is at work on the same shard. When a run is done
all the same, the next begins: items are new and gone, the shards are others. After each kill every caption
that was ever on disk must still be there. At the end the captions must be those of a run that nobody
disturbed.
"""

from __future__ import annotations

import argparse
import colorsys
import json
import multiprocessing
import os
import random
import runpy
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

from benchmarks import drills
from fathom.captioning.store import history
from fathom.captioning.store.captions import Captions
from fathom_api.tasks import CaptionTask, FinetuneTask, PlanTask

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from builders.pictures import parquet, png

TESTS = Path(__file__).parents[1] / "tests"

COLOURS = {"red": 0.0, "yellow": 0.16, "green": 0.33, "cyan": 0.5, "blue": 0.66, "pink": 0.86}
SIZES = {"wide": (60, 30), "tall": (30, 60), "square": (40, 40)}
#: Items of one run, and how many of them are new in the next.
ITEMS, NEW = 360, 120
#: A pod that takes longer than this is stuck.
PATIENCE = 180.0
BATCH = 2
Row = tuple[str, str, str]


def picture(number: int) -> tuple[bytes, str]:
    """Return a picture and what it shows; no two are the same."""
    draw = random.Random(number)
    colour, size = draw.choice([*COLOURS]), draw.choice([*SIZES])
    hue = (COLOURS[colour] + draw.uniform(-0.03, 0.03)) % 1.0
    tone = colorsys.hsv_to_rgb(hue, draw.uniform(0.8, 1.0), draw.uniform(0.7, 1.0))
    width, height = SIZES[size]
    rgb = "#" + "".join(f"{int(255 * part):02x}" for part in tone)
    return png(rgb, (width + number % 7, height + number % 5)), f"a {size} {colour} card"


def untaught(folder: Path) -> None:
    """Make a model that says something else of each picture, if nothing that makes sense."""
    made = runpy.run_path(str(TESTS / "unit/captioning/conftest.py"))
    made["save"](made["ARCHITECTURES"]["LLaVA with a chat template"], folder / "model")


def taught(folder: Path) -> None:
    """Fine-tune the small model for a few steps."""
    from fathom.captioning.command import finetune

    pictures = [picture(-number) for number in range(1, 97)]
    pairs = parquet(
        folder / "pairs.parquet", image=[p for p, _ in pictures], caption=[c for _, c in pictures]
    )
    tune = {"uri": pairs, "epochs": 8, "batchSize": 16, "validation": 0.0, "evaluatedPairs": 0}
    task = {"model": {"uri": "fathom://small-llava"}, "fineTune": tune, "output": str(folder / "model")}
    finetune(FinetuneTask.model_validate(task))


@dataclass(frozen=True)
class Run:
    """One run: a catalogue, dealt into shards, captioned below `output`."""

    number: int
    shards: int
    items: range
    folder: Path
    output: Path

    def write(self) -> None:
        """Write the catalogue."""
        ids = [f"item-{number}" for number in self.items]
        parquet(self._source, item_id=ids, image=[picture(number)[0] for number in self.items])

    @property
    def _source(self) -> Path:
        return self.folder / f"items-{self.number}.parquet"

    def document(self) -> dict[str, Any]:
        """Return what the tasks of this run have in common."""
        source = {"uri": str(self._source)}
        return {"source": source, "output": str(self.output), "shards": self.shards, "run": self.number}

    def task(self) -> CaptionTask:
        """Return the task of captioning a shard."""
        model = {"uri": str(self.folder / "model"), "batchSize": BATCH, "maxNewTokens": 12}
        return CaptionTask.model_validate({**self.document(), "model": model})


def runs(folder: Path, output: Path) -> Iterator[Run]:
    """Yield runs without end: a third of the items is new in each, as many are gone."""
    number = 0
    while True:
        number += 1
        first = NEW * (number - 1)
        yield Run(number, 2 + number % 3, range(first, first + ITEMS), folder, output)


def plan_pod(document: str) -> None:
    from fathom.captioning.command import plan

    plan(PlanTask.model_validate_json(document))


def caption_pod(document: str, shard: int, tally: str) -> None:
    """Caption a shard; a byte is added to the file `tally` for each caption that the model made."""
    import torch

    from fathom.captioning.command import caption
    from fathom.captioning.engines.replicated_engine import ReplicatedEngine
    from fathom.captioning.engines.transformers_engine import TransformersEngine

    torch.set_num_threads(1)
    for engine in (TransformersEngine, ReplicatedEngine):
        engine.generate = _counted(engine.generate, Path(tally))
    caption(CaptionTask.model_validate_json(document), shard)


def _counted(generate: Callable[..., list[Any]], tally: Path) -> Callable[..., list[Any]]:
    def counted(self: Any, batch: Any) -> list[Any]:
        made = generate(self, batch)
        with tally.open("ab", buffering=0) as file:
            file.write(b"." * len(made))
        return made

    return counted


@dataclass
class Drill:
    """Starts pods, kills them, and remembers every caption it has seen on disk."""

    folder: Path
    kills: int
    draw: random.Random
    context: ForkServerContext
    #: When there have been kills enough, whatever their number.
    until: float = float("inf")
    #: Seconds within which a pod is killed.
    life: float = 0.0
    killed: int = 0
    killed_beside_another: int = 0
    finished: int = 0
    lost: int = 0
    changed: int = 0
    seen: dict[Row, str] = field(default_factory=dict[Row, str])

    @property
    def due(self) -> bool:
        """Whether there are to be more kills."""
        return self.killed < self.kills and time.monotonic() < self.until

    def run(self, run: Run) -> None:
        """Have `run` planned and captioned to its end, killing as many pods on the way as are still due."""
        run.write()
        planning = (json.dumps(run.document()),)
        while not self._lives(run, [self.context.Process(target=plan_pod, args=planning)]):
            pass
        open_shards = set(range(run.shards))
        while open_shards:
            shard = self.draw.choice(sorted(open_shards))
            pods = 2 if self.draw.random() < 0.3 else 1
            given = (run.task().model_dump_json(by_alias=True), shard, str(self.folder / "tally"))
            if self._lives(run, [self.context.Process(target=caption_pod, args=given) for _ in range(pods)]):
                open_shards.remove(shard)

    def _lives(self, run: Run, pods: list[ForkServerProcess]) -> bool:
        """Start `pods` and kill them while kills are due; return whether one came to its end."""
        for pod in pods:
            pod.start()
        for pod in pods:
            if self.due:
                pod.join(self.draw.uniform(0, self.life))
            else:
                pod.join(PATIENCE)
            if pod.is_alive() and self.due:
                self.killed += 1
                self.killed_beside_another += len(pods) > 1
                pod.kill()
                pod.join()
                self._look(run.output)
        for pod in pods:
            pod.join(PATIENCE)
        ends = [pod.exitcode for pod in pods]
        if any(end not in (0, -9) for end in ends):
            raise SystemExit(f"a pod ended with {ends}")
        self.finished += ends.count(0)
        return 0 in ends

    def _look(self, output: Path) -> None:
        """Compare what is on disk with all that has ever been seen there."""
        now = dict(on_disk(output))
        self.lost += len(self.seen.keys() - now.keys())
        self.changed += sum(now.get(row, text) != text for row, text in self.seen.items())
        self.seen |= now


def on_disk(output: Path) -> Iterator[tuple[Row, str]]:
    """Yield every caption in history by item, aspect and key."""
    for batch in history.rows(output / history.FOLDER, "captions", ["item_id", "aspect", "key", "caption"]):
        for row in batch.to_pylist():
            yield (row["item_id"], row["aspect"], row["key"]), row["caption"]


def view(run: Run) -> list[Row]:
    """Return item, aspect and caption of a finished run."""
    captions = Captions(run.output, run.shards)
    rows = (row for batch in captions.rows(["item_id", "aspect", "caption"]) for row in batch.to_pylist())
    return sorted((row["item_id"], row["aspect"], row["caption"]) for row in rows)


def drill(folder: Path, kills: int, minutes: float, seed: int, make: Callable[[Path], None]) -> drills.Found:
    """Return what was found: a name, a value, and whether that is as it should be."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["fathom.captioning.engines.transformers_engine", "fathom.captioning.work", __name__]
    )
    began = time.monotonic()
    make(folder)
    # The first process waits for the server to have imported everything, which is no part of a pod's life.
    first = context.Process(target=int)
    first.start()
    first.join()
    ready = time.monotonic()
    found = Drill(folder, kills, random.Random(seed), context)
    # How long a pod lives that nobody kills: of those that are to be killed many shall come to their end.
    # In a run of three shards each has so many new items.
    practice = Run(1, 1, range(NEW // 3), folder, folder / "practice")
    Drill(folder, 0, random.Random(seed), context).run(practice)
    found.life = time.monotonic() - ready
    found.until = time.monotonic() + 60 * minutes
    (folder / "tally").unlink()
    for run in runs(folder, folder / "out"):
        found.run(run)
        print(f"run {run.number} is done, {found.killed} pods killed", file=sys.stderr, flush=True)
        if not found.due:
            break
    disturbed = view(run)
    calm = Run(run.number, run.shards, run.items, folder, folder / "calm")
    made = (folder / "tally").stat().st_size
    assert made, "no pod has counted its captions"
    Drill(folder, 0, random.Random(seed), context).run(calm)
    undisturbed = view(calm)
    found._look(run.output)  # pyright: ignore[reportPrivateUsage]
    distinct = len(found.seen)
    twice = len(disturbed) - len({row[:2] for row in disturbed})
    return [
        ("pods killed", found.killed, found.killed > 0),
        ("of them beside another pod on the same shard", found.killed_beside_another, True),
        ("pods that came to their end", found.finished, True),
        ("runs, each with other items and shards", run.number, True),
        ("captions committed that were gone later", found.lost, found.lost == 0),
        ("captions committed that were another later", found.changed, found.changed == 0),
        ("items of the last run", len(run.items), len(disturbed) == len(run.items)),
        ("of them twice", twice, twice == 0),
        ("other than in a run undisturbed", len(set(disturbed) ^ set(undisturbed)), disturbed == undisturbed),
        ("different captions among them", len({text for _, _, text in disturbed}), True),
        ("captions made by the model", made, made >= distinct),
        ("of them made before, and lost with a batch", f"{(made - distinct) / made:.1%}", made >= distinct),
        ("longest life of a pod, seconds", round(found.life, 1), True),
        ("seconds in all", round(time.monotonic() - began), True),
    ]


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--kills", type=int, default=100, help="(default: %(default)s)")
    options.add_argument(
        "--minutes", type=float, default=30, help="after which no more are killed (default: %(default)s)"
    )
    options.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    options.add_argument("--teach", action="store_true", help="fine-tune the small LLaVA first")
    given = options.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as scratch:
        rows = drill(
            Path(scratch), given.kills, given.minutes, given.seed, taught if given.teach else untaught
        )
    drills.tell(rows)


if __name__ == "__main__":
    main()
