"""How much memory a server takes for its items: `python -m benchmarks.serving_memory [--items N]`.

Measured in a process that does what `fathom serve` does: resident memory (`/proc/self/statm`) after loading
a bundle of N items less that of the same process before, all libraries imported. Beside it the arrays that
answers are computed from, and the most that loading took (`VmHWM`).
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOKENS = 32
MIB = 1 << 20
WARM_UP = 200


def make(folder: Path, items: int) -> None:
    """Write a bundle of `items` items with 32 caption tokens each to `folder`."""
    sys.path.insert(0, str(ROOT / "tests"))
    from builders.bundles import make_bundle

    make_bundle(folder, items=items, users=1_000, dim=16, hidden=(128, 64), tokens_each=(TOKENS, TOKENS))


def measure(folder: Path) -> dict[str, int]:
    """Return bytes: of the arrays, taken when loaded, taken after requests, and at most while it loaded."""
    from fathom import memory
    from fathom.ranking.scorer import ScoreRequest
    from fathom.serving import command
    from fathom_api.tasks import ServeTask

    importlib.import_module("fathom.serving.server")
    before = memory.used()
    bundle = command.predictor(ServeTask(bundle=str(folder), model_name="bench")).scorer.bundle
    memory.give_back()
    memory.keep_freed()
    loaded = memory.used()
    candidates = [f"i{n * 7}" for n in range(500)]
    for _ in range(WARM_UP):
        bundle.score(ScoreRequest("u0", candidates=candidates))
    held, most = bundle.items, 0
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            most = int(line.split()[1]) * 1024
    parts = 0 if held.parts is None else held.parts.nbytes
    return {
        "rows": held.rows.nbytes + parts,
        "names": held.names.nbytes,
        "loaded": loaded - before,
        "served": memory.used() - before,
        "most": most - before,
    }


def _child(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks.serving_memory", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--items", type=int, default=1_000_000, help="(default: %(default)s)")
    options.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    options.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args([] if arguments is None else arguments)
    if given.make is not None:
        make(given.make, given.items)
        return
    if given.measure is not None:
        print(json.dumps(measure(given.measure)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        # What makes the bundle leaves no memory behind in the process that is measured.
        _child("--make", scratch, "--items", str(given.items))
        found = json.loads(_child("--measure", scratch).splitlines()[-1])
    print(f"{os.cpu_count()} CPUs, {platform.machine()}, {given.items:,} items of {TOKENS} tokens\n")
    arrays = found["rows"] + found["names"]
    print("| | MiB | of the arrays |")
    print("| --- | ---: | ---: |")
    for name, size in (
        ("arrays: vectors of items", found["rows"]),
        ("arrays: ids", found["names"]),
        ("resident, loaded", found["loaded"]),
        ("resident, after requests", found["served"]),
        ("at most, while loading", found["most"]),
    ):
        print(f"| {name} | {size / MIB:,.0f} | {size / arrays:.2f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
