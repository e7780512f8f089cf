"""Memory of preparing and training, by rows: `python -m benchmarks.streaming [ROWS …]`.

Interactions of 100,000 users with 20,000 items are written as a folder of Parquet files; a process of its
own reads, splits and joins them, writes the trainer's arrays, and trains 200 steps. Reported are seconds and
the most anonymous memory (what the kernel cannot drop; mapped files are not part of it), sampled every 20 ms.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FILE = 1_000_000


def write(folder: Path, rows: int) -> None:
    """Write `rows` interactions, a million a file."""
    for number, start in enumerate(range(0, rows, FILE)):
        chance = np.random.default_rng(number)
        n = min(FILE, rows - start)
        user, item = chance.integers(100_000, size=n), chance.integers(20_000, size=n)
        columns = {
            "user_id": pa.array(user).cast(pa.string()),
            "item_id": pa.array(item).cast(pa.string()),
            "label": (chance.random(n) < np.where(user % 3 == item % 3, 0.6, 0.2)).astype(np.int8),
            "timestamp": start + chance.integers(n, size=n),
        }
        pq.write_table(pa.table(columns), folder / f"{number:04d}.parquet")


def anonymous() -> int:
    """Return the KiB of memory this process has to itself."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def work(folder: Path) -> None:
    """Prepare and train, and print the figures."""
    import torch
    import torch.distributed as dist

    from fathom.ranking import inputs
    from fathom.ranking.inputs import Job
    from fathom.ranking.prepare import prepare
    from fathom.ranking.training import Trainer
    from fathom_api.tasks import TrainTask

    torch.set_num_threads(1)
    samples: list[int] = [anonymous()]

    def sample() -> None:
        while True:
            samples.append(anonymous())
            time.sleep(0.02)

    threading.Thread(target=sample, daemon=True).start()
    before, began = samples[0], time.perf_counter()
    task = TrainTask.model_validate(
        {
            "data": {"interactions": {"uri": str(folder / "data")}},
            "features": {},
            "model": {"embeddingDim": 8},
            "output": str(folder / "out"),
        }
    )
    prepared = prepare(task)
    ready = time.perf_counter()
    job = Job(
        features=prepared.features, model=task.model, training=task.training, checkpoints="", made_from=""
    )
    inputs.write(folder, job, prepared)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    trainer = Trainer(*inputs.read(folder, torch.device("cpu")), torch.device("cpu"), lambda progress: None)
    for at, weight, hidden, size in islice(trainer._batches(0), 200):
        trainer._step(at, weight, hidden, size)
    figures = {"prepare_s": ready - began, "all_s": time.perf_counter() - began}
    print(json.dumps({**figures, "before_mib": before / 1024, "peak_mib": max(samples) / 1024}))


def main(sizes: list[int]) -> None:
    """Measure each size in a process of its own."""
    for rows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder) / "data"
            data.mkdir()
            write(data, rows)
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.streaming", "--work", folder],
                check=True,
                capture_output=True,
                text=True,
            )
            found = json.loads(done.stdout.splitlines()[-1])
            print(
                f"{rows:>12,} rows: prepared in {found['prepare_s']:.0f} s, all in {found['all_s']:.0f} s; "
                f"memory {found['before_mib']:.0f} MiB before, {found['peak_mib']:.0f} MiB at most",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(Path(sys.argv[2]))
    else:
        main([int(rows) for rows in sys.argv[1:]] or [2_000_000, 20_000_000])
