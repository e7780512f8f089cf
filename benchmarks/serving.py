"""How long a ranking request takes over HTTP, and how much of that is the model.

`python -m benchmarks.serving [--bundle FOLDER] [--requests N]` starts `fathom serve` on 127.0.0.1 and asks it
one request after the other over one connection, with 100 and 500 candidates, over v1, v2 and v2 with binary
tensors. The ratio is to a bare call of the scorer, in this process, with the same candidates and threads; it
is of CPU time, which other work on the machine changes less than latency.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import httpx
import torch

from fathom.ranking.scorer import Bundle, ScoreRequest, load
from fathom.serving.scoring import torch_threads

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from builders.bundles import make_bundle

SIZES = (100, 500)
WARM_UP = 50


@dataclass(frozen=True)
class Latency:
    """Milliseconds; `cpu` is the mean that the process that answers computes for one request."""

    p50: float
    p99: float
    cpu: float


@dataclass(frozen=True)
class Message:
    """A request ready to be sent."""

    path: str
    content: bytes
    headers: dict[str, str]


def measure(calls: Sequence[Callable[[], object]], cpu_seconds: Callable[[], float]) -> Latency:
    """Return the latency of `calls`, the first ones not counted."""
    for call in calls[:WARM_UP]:
        call()
    milliseconds: list[float] = []
    cpu_before = cpu_seconds()
    for call in calls[WARM_UP:]:
        started = time.perf_counter()
        call()
        milliseconds.append((time.perf_counter() - started) * 1000)
    cpu = (cpu_seconds() - cpu_before) * 1000 / len(milliseconds)
    cuts = quantiles(milliseconds, n=100)
    return Latency(cuts[49], cuts[98], cpu)


def cpu_seconds_of(client: httpx.Client) -> float:
    """Return the CPU time of the server so far, which its metrics tell."""
    lines = client.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("process_cpu_seconds_total "))


def v1(user: str, items: list[str]) -> Message:
    body = {"instances": [{"user_id": user, "candidates": items}]}
    return Message(
        "/v1/models/bench:predict", json.dumps(body).encode(), {"content-type": "application/json"}
    )


def _tensor(name: str, values: list[str], **more: object) -> dict[str, object]:
    return {"name": name, "datatype": "BYTES", "shape": [len(values)], **more}


def v2(user: str, items: list[str]) -> Message:
    inputs = [_tensor("user_id", [user], data=[user]), _tensor("item_id", items, data=items)]
    content = json.dumps({"inputs": inputs}).encode()
    return Message("/v2/models/bench/infer", content, {"content-type": "application/json"})


def v2_binary(user: str, items: list[str]) -> Message:
    raw = b"".join(struct.pack("<I", len(item)) + item.encode() for item in items)
    inputs = [
        _tensor("user_id", [user], data=[user]),
        _tensor("item_id", items, parameters={"binary_data_size": len(raw)}),
    ]
    outputs = [{"name": "score", "parameters": {"binary_data": True}}]
    head = json.dumps({"inputs": inputs, "outputs": outputs}).encode()
    headers = {
        "content-type": "application/octet-stream",
        "inference-header-content-length": str(len(head)),
    }
    return Message("/v2/models/bench/infer", head + raw, headers)


@contextmanager
def served(folder: Path) -> Iterator[httpx.Client]:
    """Yield a client of a server of the bundle in `folder`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "fathom.cli", "serve", "--bundle", str(folder), "--model-name", "bench"]
    with (
        subprocess.Popen([*command, "--port", str(port)], stderr=subprocess.DEVNULL) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        try:
            _wait(client, process)
            yield client
        finally:
            process.terminate()


def _wait(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        try:
            client.get("/v2/models/bench/ready").raise_for_status()
        except httpx.HTTPError:
            if process.poll() is not None:
                sys.exit(f"the server ended with {process.returncode}; try: fathom serve --bundle …")
            time.sleep(0.2)
        else:
            return
    sys.exit("the server did not become ready in two minutes")


def post(client: httpx.Client, message: Message) -> None:
    client.post(message.path, content=message.content, headers=message.headers).raise_for_status()


def _askings(bundle: Bundle, size: int, count: int) -> list[tuple[str, list[str]]]:
    draw = random.Random(size)
    return [(f"u{draw.randrange(1000)}", draw.choices(bundle.item_ids, k=size)) for _ in range(count)]


def rows(folder: Path, requests: int) -> Iterator[tuple[str, int, Latency, float]]:
    """Yield protocol, candidates, latency, and its CPU time as a multiple of the bare scorer's."""
    bundle = load(folder)
    torch.set_num_threads(torch_threads())
    with served(folder) as client:
        for size in SIZES:
            askings = _askings(bundle, size, requests + WARM_UP)
            calls = [lambda u=u, i=i: bundle.score(ScoreRequest(u, candidates=i)) for u, i in askings]
            bare = measure(calls, time.process_time)
            yield "scorer, no HTTP", size, bare, 1.0
            for name, write in (("v1", v1), ("v2", v2), ("v2 binary", v2_binary)):
                messages = [write(user, items) for user, items in askings]
                posts = [lambda m=m: post(client, m) for m in messages]
                found = measure(posts, lambda: cpu_seconds_of(client))
                yield name, size, found, found.cpu / bare.cpu


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--bundle", type=Path, help="bundle to serve; one of 10,000 items is made otherwise")
    options.add_argument("--requests", type=int, default=500, help="of each kind (default: %(default)s)")
    given = options.parse_args()
    print(f"{os.cpu_count()} CPUs, {torch_threads()} thread a request, {platform.machine()}")
    print("| request | candidates | p50 ms | p99 ms | CPU ms | CPU / scorer |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.bundle or make_bundle(
            Path(scratch), items=10_000, users=1_000, dim=16, hidden=(128, 64)
        )
        for name, size, found, ratio in rows(folder, given.requests):
            times = f"{found.p50:.2f} | {found.p99:.2f} | {found.cpu:.2f}"
            print(f"| {name} | {size} | {times} | {ratio:.1f} |", flush=True)


if __name__ == "__main__":
    main()
