"""The kill drill of a backfill: its movers, its probe and its retrievers are killed, and nobody notices.

`python -m benchmarks.backfill_drill [--kills N] [--items N]` upgrades a gallery of drawn pictures from one
look of EfficientNet-Lite0 to a finer one. Movers, the probe and two retrievers are processes that do what the
pods' commands do; they get SIGKILL, by process id, at moments drawn at random, and are started again as a Job
or a Deployment would. Meanwhile queries are asked without a pause, as through a Service: by whichever
retriever is ready, once more by another one where the connection broke. In the end every item must be in the
new space exactly once, with the vector that an undisturbed embedding gives, the curve of the probes must be
that of an undisturbed run, and no query may have failed.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from builders.backfills import CLASSES, picture, write_gallery, write_queries

from benchmarks import drills
from benchmarks.ports import free_port
from fathom.backfill.stages.folders import Folders
from fathom.retrieval.gallery import open_gallery
from fathom_api.backfill_tasks import BackfillTask

MODELS = ("fathom://efficientnet-lite0/32", "fathom://efficientnet-lite0/96")
NAME = "gallery"
#: Nothing takes longer than this, or it is stuck.
PATIENCE = 900.0
#: What is killed lives so long before, in seconds: about what it takes to start and to move a few items.
LIFE = (0.5, 12.0)


def command(*arguments: str) -> subprocess.Popen[bytes]:
    """Start `fathom` with these arguments."""
    out = subprocess.DEVNULL if not os.environ.get("DRILL_VERBOSE") else None
    return subprocess.Popen(
        [sys.executable, "-m", "fathom.cli", *arguments], stdout=out, stderr=out, env=os.environ.copy()
    )


@dataclass(frozen=True)
class World:
    """A gallery to upgrade below `folder`, with its tasks."""

    folder: Path
    output: Path
    parallelism: int = 2

    def task(self, **more: Any) -> dict[str, Any]:
        """Return what all tasks say."""
        return {
            "gallery": {"uri": str(self.folder / "items.parquet")},
            "from": {"model": MODELS[0]},
            "to": {"model": MODELS[1]},
            "output": str(self.output),
            **more,
        }

    def file(self, stage: str) -> str:
        """Write the task of a stage and return its path."""
        probes = {"queries": str(self.folder / "queries.parquet"), "k": 10}
        own: dict[str, dict[str, Any]] = {
            "pair": {"pairs": 200},
            "fit": {"compatibility": {"method": "Procrustes"}},
            "move": {"parallelism": self.parallelism},
            "probe": {"probes": probes, "pollSeconds": 0.5},
            "complete": {"probes": probes},
        }
        path = self.output / f"{stage}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.task(**own.get(stage, {}))))
        return str(path)

    def do(self, stage: str, *more: str) -> None:
        """Do a stage to its end, undisturbed."""
        code = command("backfill", stage, "--task", self.file(stage), *more).wait(PATIENCE)
        if code != 0:
            raise SystemExit(f"fathom backfill {stage} ended with {code}")

    @property
    def folders(self) -> Folders:
        """Return the folder that all stages share."""
        return Folders(BackfillTask.model_validate(self.task()))


@dataclass
class Pod:
    """A process that is started again whenever it ends before its work is done."""

    arguments: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    kills: int = 0

    def start(self) -> None:
        """Start it."""
        self.process = command(*self.arguments)

    def kill(self) -> None:
        """Kill it without a word of warning."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            self.kills += 1

    def done(self) -> bool:
        """Return whether it came to its end; one that was killed is started again."""
        code = None if self.process is None else self.process.poll()
        if code == 0:
            return True
        if code in {-9, 1}:
            self.start()
        elif code is not None:
            raise SystemExit(f"{' '.join(self.arguments)} ended with {code}")
        return False


@dataclass(eq=False)
class Asking(threading.Thread):
    """Asks queries without a pause, of one retriever after the other, until stopped."""

    ports: Sequence[int]
    asked: int = 0
    again: int = 0
    failed: list[str] = field(default_factory=list[str])
    seconds: list[float] = field(default_factory=list[float])

    def __post_init__(self) -> None:
        super().__init__(name="queries", daemon=True)
        self._stop_asking = threading.Event()

    def run(self) -> None:
        """Ask."""
        number = 0
        with httpx.Client(timeout=10, trust_env=False) as client:
            while not self._stop_asking.is_set():
                number += 1
                self._ask(client, number)

    def stop(self) -> None:
        """Ask no more."""
        self._stop_asking.set()
        self.join(30)

    def _ask(self, client: httpx.Client, number: int) -> None:
        image = base64.b64encode(picture(number % CLASSES, 500_000 + number)).decode()
        document = {"instances": [{"image": {"b64": image}, "k": 10}]}
        began, errors = time.monotonic(), list[str]()
        for port in [self.ports[(number + turn) % len(self.ports)] for turn in range(len(self.ports))]:
            try:
                answer = client.post(f"http://127.0.0.1:{port}/v1/models/{NAME}:predict", json=document)
            except httpx.TransportError as error:
                errors.append(type(error).__name__)
                self.again += 1
                continue
            found = answer.json() if answer.status_code == 200 else {}
            ids = _ids(found)
            if len(ids) != 10 or len(set(ids)) != 10:
                errors.append(f"{answer.status_code}: {answer.text[:200]}")
                break
            self.asked += 1
            self.seconds.append(time.monotonic() - began)
            return
        self.failed.append(", ".join(errors))


def _ids(answer: dict[str, Any]) -> list[str]:
    """Return the ids of the items of the one answer."""
    predictions = answer.get("predictions", [{}])
    return predictions[0].get("item_ids", [])


def ready(port: int) -> bool:
    """Return whether the retriever at `port` answers."""
    try:
        return httpx.get(
            f"http://127.0.0.1:{port}/v2/models/{NAME}/ready", timeout=2, trust_env=False
        ).is_success
    except httpx.TransportError:
        return False


def until(what: str, holds: Any) -> None:
    """Wait until `holds()`."""
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise SystemExit(f"{what}: not within {PATIENCE:.0f} s")
        time.sleep(0.2)


def disturbed(world: World, kills: int, draw: random.Random) -> tuple[list[Pod], list[Pod], Asking]:
    """Move all items while movers, probe and retrievers are killed; return these and who asked."""
    ports = [free_port() for _ in range(2)]
    uri = str(world.output)
    retrievers = [
        Pod(
            [
                "retrieve", "--gallery", f"{uri}/gallery", "--compatibility", f"{uri}/compatibility",
                "--model-name", NAME, "--port", str(port),
            ]
        )
        for port in ports
    ]  # fmt: skip
    for each in retrievers:
        each.start()
    until("both retrievers answer", lambda: all(map(ready, ports)))
    asking = Asking(ports)
    asking.start()
    move = world.file("move")
    pods = [
        Pod(["backfill", "move", "--task", move, "--shard", str(shard)]) for shard in range(world.parallelism)
    ]
    pods.append(Pod(["backfill", "probe", "--task", world.file("probe")]))
    for pod in pods:
        pod.start()
    # All of them are looked at each time: one that was killed is started again.
    while sum(not pod.done() for pod in pods):
        for each in retrievers:
            each.done()
        if sum(pod.kills for pod in (*pods, *retrievers)) < kills:
            time.sleep(draw.uniform(*LIFE) / 4)
            _kill_one(draw, pods, retrievers, ports)
        time.sleep(0.1)
    until(
        "both retrievers answer again",
        lambda: all(each.done() or ready(p) for each, p in zip(retrievers, ports, strict=True)),
    )
    asking.stop()
    for each in retrievers:
        if each.process is not None:
            each.process.kill()
            each.process.wait()
    return pods, retrievers, asking


def _kill_one(draw: random.Random, pods: list[Pod], retrievers: list[Pod], ports: list[int]) -> None:
    """Kill a mover, the probe, or a retriever while the other one answers."""
    victim = draw.choice([*pods, *retrievers])
    if victim in retrievers:
        other = ports[1 - retrievers.index(victim)]
        if not ready(other):
            return
    victim.kill()


def vectors(world: World) -> tuple[dict[str, bytes], int]:
    """Return the vectors of the new space by item, and how many items are there more than once."""
    found = open_gallery(str(world.output / "gallery"))
    out: dict[str, bytes] = {}
    rows = 0
    for part in found.parts("new"):
        read = found.read(part)
        rows += len(read)
        for item_id, vector in zip(read.ids.to_pylist(), read.vectors, strict=True):
            out[item_id] = vector.tobytes()
    return out, rows - len(out)


def drill(folder: Path, items: int, kills: int, seed: int) -> drills.Found:
    """Return what was found: a name, a value, and whether that is as it should be."""
    began = time.monotonic()
    write_gallery(folder / "items.parquet", items)
    write_queries(folder / "queries.parquet", 64, items)
    wild, calm = World(folder, folder / "wild"), World(folder, folder / "calm", parallelism=1)
    for world in (wild, calm):
        for stage in ("pair", "fit"):
            world.do(stage)
    for stage in ("move", "probe"):
        calm.do(stage)
    pods, retrievers, asking = disturbed(wild, kills, random.Random(seed))
    wild.do("complete")
    there, twice = vectors(wild)
    expected, _ = vectors(calm)
    curve, calm_curve = wild.folders.curve(), calm.folders.curve()
    movers, probe = pods[:-1], pods[-1]
    slow = sorted(asking.seconds)
    return [
        ("movers killed", sum(pod.kills for pod in movers), True),
        ("probes killed", probe.kills, True),
        ("retrievers killed", sum(pod.kills for pod in retrievers), True),
        ("kills in all", sum(pod.kills for pod in (*pods, *retrievers)), True),
        ("items", items, True),
        ("items lost", len(expected.keys() - there.keys()), there.keys() == expected.keys()),
        ("items doubled", twice, twice == 0),
        ("vectors other than undisturbed", sum(there[i] != expected[i] for i in there), there == expected),
        ("percents probed", len(curve), len(curve) == 101),
        (
            "of them other than undisturbed",
            sum(curve[p] != calm_curve[p] for p in curve),
            curve == calm_curve,
        ),
        ("queries answered", asking.asked, asking.asked > 0),
        ("queries failed", len(asking.failed), not asking.failed),
        ("connections broken, asked again", asking.again, True),
        ("median seconds of a query", round(slow[len(slow) // 2], 3) if slow else None, True),
        ("slowest query, seconds", round(slow[-1], 2) if slow else None, True),
        ("seconds in all", round(time.monotonic() - began), True),
        *[("a query that failed", why, False) for why in asking.failed[:3]],
    ]


def main() -> None:
    """Run the drill and print what was found."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--kills", type=int, default=50, help="(default: %(default)s)")
    options.add_argument("--items", type=int, default=600, help="(default: %(default)s)")
    options.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    given = options.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as scratch:
        rows = drill(Path(scratch), given.items, given.kills, given.seed)
    drills.tell(rows)


if __name__ == "__main__":
    main()
