"""How fast a shard is captioned on this machine, against transformers' own pipeline and against the limit.

`python -m benchmarks.captioning [--data FOLDER] [--items N] [--rounds N]` teaches the small LLaVA to say what
colours a picture has, then captions JPEGs, of FOLDER or made up, in three ways, by turns, each in a process
of its own:

- ours: the whole of `fathom caption` once its model is open: rows, media, decoding, batches, commits
- pipeline: `transformers.pipeline("image-text-to-text")` on one picture after the other, as its docs show it
- limit: `model.generate` on tensors that were decoded, processed and put into batches before the clock runs

Ratios are of images a second within one round; the table has their medians. Captions must be the same.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from fathom import cpus
from fathom.captioning import command, computing, engines
from fathom.captioning.engines import Question
from fathom.captioning.engines.collating import Buffers, collate
from fathom.captioning.engines.transformers_engine import TransformersEngine
from fathom.captioning.media import Clip
from fathom.captioning.models import checkpoint
from fathom.captioning.stopping import Stop
from fathom.captioning.store.captions import Captions
from fathom.captioning.tally import Tally
from fathom.captioning.work import Work
from fathom.progress import Reporter
from fathom_api.tasks import CaptionTask, FinetuneTask

PROMPT = "Describe this item in one sentence."
NEW_TOKENS = 24
#: The pipeline takes one picture at a time, so a few of them tell its speed.
PIPELINE_ITEMS = 32
WORDS = ("dark", "dim", "pale", "bright")


@dataclass
class Round:
    """Images a second of each way in one round."""

    ours: float
    pipeline: float
    limit: float


def pictures(folder: Path | None, count: int) -> list[bytes]:
    """Return `count` JPEGs: those of `folder`, over and over if need be, or made up, 500 × 375 pixels."""
    if folder is not None:
        files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg"})
        if not files:
            sys.exit(f"{folder}: no JPEGs")
        # A byte behind a JPEG's end changes nothing but its hash: a copy is not reused.
        return [
            files[n % len(files)].read_bytes() + bytes([n // len(files)]) * (n >= len(files))
            for n in range(count)
        ]
    return [_made_up(number) for number in range(count)]


def _made_up(number: int) -> bytes:
    chance = np.random.default_rng(number)
    coarse = Image.fromarray(chance.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    picture = np.asarray(coarse.resize((500, 375), Image.Resampling.BICUBIC)).astype(np.int16)
    noisy = np.clip(picture + chance.integers(-12, 13, picture.shape), 0, 255).astype(np.uint8)
    data = io.BytesIO()
    Image.fromarray(noisy).save(data, "JPEG", quality=90)
    return data.getvalue()


def caption_of(data: bytes) -> str:
    """Return a sentence on the colours of a picture: something to learn, of usual length."""
    small = np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize((2, 1)), dtype=int)
    sides = []
    for red, green, blue in small[0]:
        colour = ("red", "green", "blue")[int(np.argmax((red, green, blue)))]
        sides.append(f"{WORDS[int(red + green + blue) // 192]} {colour}")
    return f"A picture that is {sides[0]} on the left and {sides[1]} on the right side."


def table(path: Path, images: list[bytes], **columns: list[str]) -> str:
    """Write a table of pictures, ids 0 … n - 1, and return its path."""
    ids = [str(number) for number in range(len(images))]
    pq.write_table(pa.table({"item_id": ids, "image": images, **columns}), path, row_group_size=64)
    return str(path)


def teach(scratch: Path, images: list[bytes]) -> str:
    """Fine-tune the small LLaVA on what `caption_of` says of `images` and return its path."""
    pairs = table(scratch / "pairs.parquet", images, caption=[caption_of(image) for image in images])
    task = {
        "model": {"uri": "fathom://small-llava", "prompt": PROMPT},
        "fineTune": {"uri": pairs, "epochs": 2, "validation": 0, "evaluatedPairs": 0},
        "output": str(scratch / "model"),
    }
    command.finetune(FinetuneTask.model_validate(task))
    return task["output"]  # pyright: ignore[reportReturnType]


def caption_task(model: str, items: str, output: Path) -> CaptionTask:
    """Return the task that all ways do."""
    return CaptionTask.model_validate(
        {
            "source": {"uri": items},
            "model": {"uri": model, "prompt": PROMPT, "maxNewTokens": NEW_TOKENS},
            "output": str(output),
        }
    )


@dataclass(frozen=True)
class Given:
    """What every way is given: pictures, the table that holds them, a model, a folder of its own."""

    images: list[bytes]
    items: str
    model: str
    scratch: Path

    @property
    def task(self) -> CaptionTask:
        """What all ways do."""
        return caption_task(self.model, self.items, self.scratch / "out")


class Ours:
    """A shard as pods caption it, each time into a new folder; batch sizes found once stay found."""

    def __init__(self, given: Given) -> None:
        self._given = given
        self._runs = 0
        self.engine = engines.open_engine(given.task.model)
        while self._runs < 2:
            self()

    def __call__(self) -> list[str]:
        """Return the captions of all items."""
        self._runs += 1
        output = self._given.scratch / f"out-{self._runs}"
        task = caption_task(self._given.model, self._given.items, output)
        reader, shard = command.open_shard(task, 0)
        tally = Tally(shard.total)
        Work(task, self.engine, reader, shard, tally).run(Stop(), Reporter(lambda progress: None))
        shard.finish({}, tally.counts())
        rows = Captions(output, 1).rows(["item_id", "caption"])
        found = {int(r["item_id"]): r["caption"] for batch in rows for r in batch.to_pylist()}
        return [found[number] for number in sorted(found)]


class Pipeline:
    """One call of transformers' pipeline for each of a few pictures."""

    def __init__(self, given: Given) -> None:
        from transformers import pipeline

        self._images = given.images[:PIPELINE_ITEMS]
        found = checkpoint.find(given.task.model)
        model, processor = checkpoint.open_model(found, given.task.model, torch.device("cpu"))
        self._pipeline: Any = pipeline("image-text-to-text", model=model.eval(), processor=processor)
        self._say(self._images[0])

    def __call__(self) -> list[str]:
        """Return the captions of a few."""
        return [self._say(image) for image in self._images]

    def _say(self, image: bytes) -> str:
        picture = Image.open(io.BytesIO(image)).convert("RGB")
        content = [{"type": "image", "image": picture}, {"type": "text", "text": PROMPT}]
        said = self._pipeline(
            text=[{"role": "user", "content": content}],
            return_full_text=False,
            generate_kwargs={"max_new_tokens": NEW_TOKENS, "do_sample": False},
        )
        return " ".join(said[0]["generated_text"].split())


class Limit:
    """`generate` on tensors that are ready; memory is kept as ours keeps it, or the limit were none."""

    def __init__(self, given: Given) -> None:
        computing.settle()
        engine = TransformersEngine.of(given.task.model)
        found = checkpoint.find(given.task.model)
        self._model, self._processor = checkpoint.open_model(found, given.task.model, torch.device("cpu"))
        self._model.eval()
        questions = [
            Question("", PROMPT, Clip((Image.open(io.BytesIO(i)).convert("RGB"),), ()), NEW_TOKENS)
            for i in given.images
        ]
        prepared = [engine.prepare(question) for question in questions]
        parts = [p.inputs[1] for p in prepared]
        self._batches = {
            size: [
                collate(parts[start : start + size], 0, prepared[0].inputs[0], Buffers())
                for start in range(0, len(parts), size)
            ]
            for size in (8, 16, 32)
        }
        # Its best size, as ours finds its own.
        self._size = min(self._batches, key=self._seconds)

    @torch.inference_mode()
    def __call__(self) -> list[str]:
        """Return the captions of all items."""
        return self._texts(self._size)

    def _seconds(self, size: int) -> float:
        self._texts(size)
        began = time.perf_counter()
        self._texts(size)
        return time.perf_counter() - began

    @torch.inference_mode()
    def _texts(self, size: int) -> list[str]:
        texts: list[str] = []
        for batch in self._batches[size]:
            ids = self._model.generate(**batch, do_sample=False, max_new_tokens=NEW_TOKENS)
            new = ids[:, batch["input_ids"].shape[1] :]
            texts += self._processor.batch_decode(new, skip_special_tokens=True)
        return [" ".join(text.split()) for text in texts]


WAYS: dict[str, Callable[[Given], Callable[[], list[str]]]] = {
    "ours": Ours,
    "pipeline": Pipeline,
    "limit": Limit,
}


def attend(name: str, given: Given, orders: Connection) -> None:
    """Be one of the ways: open what it needs, then go through the items whenever told to."""
    torch.set_num_threads(cpus.available())
    way = WAYS[name](given)
    orders.send(None)
    while orders.recv():
        began = time.perf_counter()
        said = way()
        orders.send((len(said) / (time.perf_counter() - began), said))


@contextmanager
def _environment(**changed: str | None) -> Generator[None]:
    """Set variables for the processes that are started within; None unsets one."""
    before = {name: os.environ.pop(name, None) for name in changed}
    os.environ.update({name: value for name, value in changed.items() if value is not None})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


class Ways:
    """The ways, each in a process of its own: what one does to its memory is not the others' gain."""

    def __init__(self, given: Given) -> None:
        start = multiprocessing.get_context("spawn")
        self._orders: dict[str, Connection] = {}
        self._processes: list[SpawnProcess] = []
        for name in WAYS:
            ours, theirs = start.Pipe()
            # What the captioner's image sets; and a daemon could not have processes of its own.
            with _environment(GOMP_SPINCOUNT="20000" if name == "ours" else None):
                process = start.Process(target=attend, args=(name, given, theirs))
                process.start()
            ours.recv()
            self._orders[name] = ours
            self._processes.append(process)

    def run(self, name: str) -> tuple[float, list[str]]:
        """Return the images a second of a way, and what it said."""
        self._orders[name].send(name)
        return self._orders[name].recv()

    def close(self) -> None:
        """Let their processes end."""
        for name, process in zip(self._orders, self._processes, strict=True):
            self._orders[name].send("")
            process.join()


def rounds(ways: Ways, count: int) -> Iterator[Round]:
    """Yield rounds; the order of the ways turns with each, so that a neighbour's load falls on all."""
    names = list(WAYS)
    for number in range(count):
        speed: dict[str, float] = {}
        said: dict[str, list[str]] = {}
        for name in names[number % 3 :] + names[: number % 3]:
            speed[name], said[name] = ways.run(name)
        if said["ours"] != said["limit"] or said["ours"][: len(said["pipeline"])] != said["pipeline"]:
            sys.exit("the ways give different captions, so their speeds cannot be compared")
        yield Round(**speed)


def start_up(scratch: Path, model: str, image: bytes) -> float:
    """Return the seconds that `fathom caption` takes for a shard whose caption exists: no model is opened."""
    task = caption_task(model, table(scratch / "one.parquet", [image]), scratch / "start")
    file = scratch / "task.json"
    file.write_text(task.model_dump_json(by_alias=True, exclude_none=True))
    times: list[float] = []
    # The first one captions, and transformers imports all it finds.
    for program in ("fathom.cli", *3 * ["benchmarks.as_in_image"]):
        began = time.perf_counter()
        argv = [sys.executable, "-m", program, "caption", "--task", str(file)]
        subprocess.run(argv, check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return min(times[1:])


def main() -> None:
    """Teach, measure, print the table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--data", type=Path, help="folder with JPEGs (default: made-up ones)")
    options.add_argument("--items", type=int, default=192, help="pictures a round (default: %(default)s)")
    options.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    given = options.parse_args()
    torch.set_num_threads(cpus.available())
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        images = pictures(given.data, given.items)
        model = teach(scratch, images[:128])
        ways = Ways(Given(images, table(scratch / "items.parquet", images), model, scratch))
        measured = list(rounds(ways, given.rounds))
        ways.close()
        show(measured, start_up(scratch, model, images[0]))


def show(measured: list[Round], seconds: float) -> None:
    """Print images a second and ratios."""
    machine = f"{cpus.available()} CPUs, {platform.machine()}, load {os.getloadavg()[0]:.1f}"
    print(f"{machine}; medians of {len(measured)} rounds")
    print("| way | images/s | ours / it | least | most |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name in ("ours", "pipeline", "limit"):
        ratios = [r.ours / getattr(r, name) for r in measured]
        speed = median(getattr(r, name) for r in measured)
        print(f"| {name} | {speed:.1f} | {median(ratios):.2f} | {min(ratios):.2f} | {max(ratios):.2f} |")
    print(f"\nStart of a shard without its model: {seconds:.1f} s")


if __name__ == "__main__":
    main()
