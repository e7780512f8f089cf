"""How long a run takes to plan, how much memory that needs, and how soon a shard begins.

`python -m benchmarks.planning [--items N] [--shards N]` measures each step in a process of its own: planning
when nothing is captioned yet, planning when every item is, and a shard of each plan from the start of its
process to its first item. The peer is the obvious way, with the ids in a Python dict: the same ids, the same
machine, one after the other. It deals and finds duplicates; it joins nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fathom.captioning.store import history, parts
from fathom_api.tasks import CaptionTask, PlanTask

ROWS = 250_000
STEPS = ("plan", "shard", "dict")


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock and of CPU, and the largest resident memory, MB."""

    seconds: float
    cpu: float
    megabytes: float


def item_ids(start: int, stop: int) -> pa.Array:
    return pa.array([f"item-{number:012d}" for number in range(start, stop)])


def texts(letters: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> pa.Array:
    """Return an array of strings from their letters [n, length]."""
    count, length = letters.shape
    ends = np.arange(0, (count + 1) * length, length, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(ends), pa.py_buffer(letters)])


def write_source(path: Path, items: int) -> None:
    """Write a table of ids and paths of pictures that nobody reads."""
    with pq.ParquetWriter(path, pa.schema({"item_id": pa.string(), "image": pa.string()})) as out:
        for start in range(0, items, ROWS):
            ids = item_ids(start, min(items, start + ROWS))
            out.write_table(pa.table({"item_id": ids, "image": ids}))


def write_history(folder: Path, items: int, shards: int) -> None:
    """Write a caption of every item, dealt into the files that `shards` shards would leave."""
    draw = np.random.default_rng(0)
    hexadecimal, letters = (np.frombuffer(text, np.uint8) for text in (b"0123456789abcdef", b"etaoinsrhl  "))
    for shard in range(shards):
        start, stop = items * shard // shards, items * (shard + 1) // shards
        count = stop - start
        columns = {
            "item_id": item_ids(start, stop),
            "aspect": ["caption"] * count,
            "caption": texts(draw.choice(letters, (count, 60))),
            "key": texts(draw.choice(hexadecimal, (count, 64))),
            "media_sha256": texts(draw.choice(hexadecimal, (count, 64))),
            "model_digest": ["sha256:" + "0" * 64] * count,
            "prompt_digest": ["1" * 64] * count,
            "tokens": np.full(count, 12, np.int32),
            "milliseconds": np.full(count, 20.0),
            "finish": ["Stop"] * count,
            "made_at": np.full(count, time.time()),
        }
        rows = pa.table(columns, schema=parts.CAPTIONS)
        parts.write(folder / "run-00000-earlier" / f"shard-{shard:05d}" / "captions-bench.parquet", rows)


def plan(folder: Path, shards: int) -> None:
    from fathom.captioning import command

    task = {"source": {"uri": str(folder / "items.parquet")}, "output": str(folder / "out"), "shards": shards}
    command.plan(PlanTask.model_validate(task))


def shard(folder: Path, shards: int) -> None:
    from fathom.captioning.command import open_shard

    task = {"source": {"uri": str(folder / "items.parquet")}, "output": str(folder / "out"), "shards": shards}
    reader, rows = open_shard(CaptionTask.model_validate({**task, "model": {"uri": "none"}}), shards // 2)
    next(iter(reader.items(rows.start, rows.stop)))


def in_a_dict(folder: Path, shards: int) -> None:
    """Find duplicates and deal the items the obvious way."""
    seen: dict[str, int] = {}
    with pq.ParquetFile(folder / "items.parquet") as file:
        for batch in file.iter_batches(columns=["item_id"]):
            for item_id in batch["item_id"].to_pylist():
                seen.setdefault(item_id, len(seen) % shards)


def measure(step: str, folder: Path, shards: int) -> Cost:
    """Return what `step` costs in a process of its own, its start included."""
    command = [sys.executable, "-m", "benchmarks.planning", "--step", step, "--folder", str(folder)]
    began = time.monotonic()
    done = subprocess.run([*command, "--shards", str(shards)], check=True, stdout=subprocess.PIPE)
    used = json.loads(done.stdout)
    return Cost(time.monotonic() - began, used["cpu"], used["megabytes"])


def own_cost() -> dict[str, float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"cpu": used.ru_utime + used.ru_stime, "megabytes": used.ru_maxrss / 1000}


def costs(items: int, shards: int) -> Iterator[tuple[str, Cost]]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_source(folder / "items.parquet", items)
        yield "ids in a dict (peer)", measure("dict", folder, shards)
        yield "plan, nothing captioned", measure("plan", folder, shards)
        yield "shard of it, to its first item", measure("shard", folder, shards)
        for file in (folder / "out" / "plan").iterdir():
            file.unlink()
        write_history(folder / "out" / history.FOLDER, items, shards)
        yield "plan, every item captioned", measure("plan", folder, shards)
        yield "shard of it, to its first item", measure("shard", folder, shards)


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--items", type=int, default=10_000_000, help="(default: %(default)s)")
    options.add_argument("--shards", type=int, default=1_000, help="(default: %(default)s)")
    options.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.step:
        {"plan": plan, "shard": shard, "dict": in_a_dict}[given.step](given.folder, given.shards)
        print(json.dumps(own_cost()))
        return
    print(f"{given.items:,} items, {given.shards:,} shards; {os.cpu_count()} CPUs, {platform.machine()}")
    print("| step | seconds | CPU s | peak MB | CPU / peer | MB / peer |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    peer: Cost | None = None
    for step, cost in costs(given.items, given.shards):
        peer = peer or cost
        ratios = f"{cost.cpu / peer.cpu:.2f} | {cost.megabytes / peer.megabytes:.2f}"
        print(
            f"| {step} | {cost.seconds:.1f} | {cost.cpu:.1f} | {cost.megabytes:.0f} | {ratios} |", flush=True
        )


if __name__ == "__main__":
    main()
