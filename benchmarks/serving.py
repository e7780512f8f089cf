"""How long a ranking request takes, beside the same model in other servers and beside no server at all.

`python -m benchmarks.serving [--peers PYTHON] [--requests N] [--model small|wide]`. Each server runs on one
core, its client on the other (`taskset`), one request after the other over one connection. Peers that PYTHON
(a virtual environment of their own) does not have are left out. What is compared is in `serving_peers`.
"""

from __future__ import annotations

import argparse
import http.client
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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import psutil
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from builders.bundles import make_bundle

from benchmarks.ports import free_port
from benchmarks.serving_peers import Plain
from fathom.ranking.scorer import ScoreRequest, load

ROOT = Path(__file__).parents[1]
ITEMS, USERS = 10_000, 1_000
MODELS = {"small": (128, 64), "wide": (400, 400, 400)}
WARM_UP = 50
SERVER, CLIENT = "0", "1"


@dataclass(frozen=True)
class Found:
    """Milliseconds of each of a row of calls; `cpu` is the mean that the process that answers computes.

    Attributes:
        rows: scored in a second of the calls; cpu_rows: in a second of CPU time, which other work on the
            machine changes less.
    """

    p50: float
    p99: float
    cpu: float
    rows: float
    cpu_rows: float


@dataclass(frozen=True)
class Message:
    path: str
    content: bytes
    headers: dict[str, str]


Asking = tuple[str, list[str]]
Writer = Callable[[str, list[str]], Message]
_JSON = {"content-type": "application/json"}


def measure(
    calls: Sequence[Callable[[], object]], size: int, cpu_seconds: Callable[[], float] = time.process_time
) -> Found:
    """Return the latency of `calls`, the first ones not counted."""
    for call in calls[:WARM_UP]:
        call()
    milliseconds: list[float] = []
    cpu_before = cpu_seconds()
    for call in calls[WARM_UP:]:
        started = time.perf_counter()
        call()
        milliseconds.append((time.perf_counter() - started) * 1000)
    count = len(milliseconds)
    cpu = (cpu_seconds() - cpu_before) * 1000 / count
    cuts = quantiles(milliseconds, n=100)
    return Found(cuts[49], cuts[98], cpu, size * 1000 * count / sum(milliseconds), size * 1000 / cpu)


def v1(user: str, items: list[str]) -> Message:
    body = {"instances": [{"user_id": user, "candidates": items}]}
    return Message("/v1/models/bench:predict", json.dumps(body).encode(), _JSON)


def _tensor(name: str, values: list[str], **more: object) -> dict[str, object]:
    return {"name": name, "datatype": "BYTES", "shape": [len(values)], **more}


def v2(user: str, items: list[str]) -> Message:
    inputs = [_tensor("user_id", [user], data=[user]), _tensor("item_id", items, data=items)]
    return Message("/v2/models/bench/infer", json.dumps({"inputs": inputs}).encode(), _JSON)


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


def plain(user: str, items: list[str]) -> Message:
    return Message("/predict", json.dumps({"user": user, "items": items}).encode(), _JSON)


def post(connection: http.client.HTTPConnection, message: Message) -> bytes:
    connection.request("POST", message.path, message.content, message.headers)
    response = connection.getresponse()
    content = response.read()
    if response.status != 200:
        raise RuntimeError(f"{message.path}: {response.status} {content[:200]!r}")
    return content


@contextmanager
def served(
    command: list[str], port: int, probe: Message
) -> Iterator[tuple[http.client.HTTPConnection, psutil.Process]]:
    """Yield a connection to, and the process of, a server that `command` starts on one core."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            ["taskset", "-c", SERVER, *command], stdout=log, stderr=log, env=environment, cwd=ROOT
        )
        try:
            yield _answering(process, port, probe), psutil.Process(process.pid)
        finally:
            # Some have workers that would outlive them.
            family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
            for worker in family:
                with suppress(psutil.NoSuchProcess):
                    worker.kill()


def _answering(process: subprocess.Popen[bytes], port: int, probe: Message) -> http.client.HTTPConnection:
    for _ in range(600):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            post(connection, probe)
        except (OSError, RuntimeError, http.client.HTTPException):
            connection.close()
            if process.poll() is not None:
                break
            time.sleep(0.2)
        else:
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
    raise RuntimeError("it did not start")


def cpu_seconds_of(process: psutil.Process) -> float:
    """Return the CPU time of a process and of those it has started."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def _has(python: str, module: str) -> bool:
    found = subprocess.run([python, "-c", f"import {module}"], check=False, capture_output=True)
    return found.returncode == 0


def servers(folder: Path, peers: str | None) -> Iterator[tuple[str, list[str], Writer]]:
    """Yield the name of each server, what starts it (a port is to be added), and how it is asked."""
    ours = [sys.executable, "-m", "fathom.cli", "serve", "--bundle", str(folder), "--model-name", "bench"]
    for name, writer in (("v1", v1), ("v2", v2), ("v2 binary", v2_binary)):
        yield f"fathom, {name}", [*ours, "--port"], writer
    stock = [sys.executable, "-m", "benchmarks.serving_peers", "kserve", str(folder)]
    yield "kserve, stock model, v2", stock, v2
    for kind, module in (("litserve", "litserve"), ("bentoml", "bentoml"), ("ray", "ray.serve")):
        if peers is None or not _has(peers, module):
            print(f"{kind}: not installed, left out", file=sys.stderr)
            continue
        yield kind, [peers, "-m", "benchmarks.serving_peers", kind, str(folder)], plain


def rows(folder: Path, size: int, requests: int, peers: str | None) -> Iterator[tuple[str, Found]]:
    """Yield what each way of scoring `size` candidates takes."""
    draw = random.Random(size)
    names = [f"i{n}" for n in range(ITEMS)]
    askings: list[Asking] = [
        (f"u{draw.randrange(USERS)}", draw.choices(names, k=size)) for _ in range(requests + WARM_UP)
    ]
    os.sched_setaffinity(0, {int(SERVER)})
    torch.set_num_threads(1)
    exported, bundle = Plain(folder), load(folder)
    inputs = [exported.inputs(*asking) for asking in askings]
    with torch.inference_mode():
        yield "no server: exported model", measure([lambda i=i: exported.forward(*i) for i in inputs], size)
    yield (
        f"no server: fathom's scorer, {str(bundle.dtype).removeprefix('torch.')}",
        measure([lambda a=a: bundle.score(ScoreRequest(a[0], candidates=a[1])) for a in askings], size),
    )
    os.sched_setaffinity(0, {int(CLIENT)})
    for name, command, write in servers(folder, peers):
        messages = [write(*asking) for asking in askings]
        port = free_port()
        try:
            with served([*command, str(port)], port, messages[0]) as (client, process):
                calls = [lambda m=m: post(client, m) for m in messages]
                yield name, measure(calls, size, lambda: cpu_seconds_of(process))
        except RuntimeError as error:
            print(f"{name}: {error}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--requests", type=int, default=300, help="of each kind (default: %(default)s)")
    options.add_argument("--candidates", type=int, default=500, help="of each (default: %(default)s)")
    options.add_argument("--model", choices=MODELS, default="small", help="MLP (default: %(default)s)")
    options.add_argument("--peers", help="Python of an environment with litserve, bentoml, ray[serve]")
    given = options.parse_args([] if arguments is None else arguments)
    load_average = os.getloadavg()[0]
    print(
        f"{os.cpu_count()} CPUs, {platform.machine()}, load {load_average:.1f}, {given.candidates} candidates"
    )
    print(f"DCN V2, embeddings of 16, MLP {MODELS[given.model]}, {ITEMS} items\n")
    print("| | p50 ms | p99 ms | CPU ms | rows/s | rows per CPU second |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as scratch:
        folder = make_bundle(Path(scratch), items=ITEMS, users=USERS, dim=16, hidden=MODELS[given.model])
        for name, found in rows(folder, given.candidates, given.requests, given.peers):
            times = f"{found.p50:.2f} | {found.p99:.2f} | {found.cpu:.2f}"
            print(f"| {name} | {times} | {found.rows:,.0f} | {found.cpu_rows:,.0f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
