"""Two nodes train together, each a `fathom train` of its own, and make the model that a single one makes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import torch
from builders.worlds import make_world, train_task
from safetensors.torch import load_file

from fathom import manifest
from fathom.ranking import bundle, command
from fathom.ranking.checkpoint import STATE, State
from fathom_api.tasks import TrainTask

pytestmark = pytest.mark.timeout(900)
Node = subprocess.Popen[bytes]
#: Starts node 0 or 1 of two that meet at an endpoint.
Start = Callable[[int, str], Node]
#: Short enough that sums in another order have not been learned from yet.
SHORT = {"epochs": 6, "patience": 6}
#: Long enough that a node can be lost on the way.
LONG = {"epochs": 16, "patience": 16}
PATIENCE_S = 240


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def alone(world: Path) -> Path:
    """The bundle that one node makes."""
    folder = world / "alone"
    command.train(train_task(world, folder, training=SHORT))
    return folder


def test_two_nodes_make_the_model_that_one_makes(world: Path, alone: Path, tmp_path: Path) -> None:
    with pair(train_task(world, tmp_path / "together", training=SHORT), tmp_path) as (start, endpoint):
        ended([start(0, endpoint), start(1, endpoint)])
    same(tmp_path / "together", alone)


@pytest.mark.parametrize("lost", [pytest.param(1, id="a follower"), pytest.param(0, id="the one that hosts")])
def test_a_node_that_is_lost_and_comes_back_costs_what_came_after_the_last_checkpoint(
    lost: int, world: Path, alone: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "together"
    with pair(train_task(world, folder, training=LONG), tmp_path) as (start, endpoint):
        nodes = [start(0, endpoint), start(1, endpoint)]
        until_epoch(folder / command.CHECKPOINTS / STATE, 3)
        kill(nodes[lost])
        kept = State.model_validate_json((folder / command.CHECKPOINTS / STATE).read_bytes())
        assert not kept.finished
        # What Kubernetes does: who has ended badly is started again, and so is who ends for want of the host.
        nodes[lost] = start(lost, endpoint)
        if lost == 0:
            nodes[1].communicate(timeout=PATIENCE_S)
            nodes[1] = start(1, endpoint)
        ended(nodes)
    manifest.verify(folder)
    curve = bundle.read_info(folder).curve
    assert len(curve) == LONG["epochs"]
    assert losses(curve[: SHORT["epochs"]]) == pytest.approx(losses(bundle.read_info(alone).curve), abs=1e-4)
    # Goes on from what was kept: a beginning from nothing would have trained the epochs before once more.
    assert curve[: kept.epoch] == kept.curve


@contextmanager
def pair(task: TrainTask, folder: Path) -> Generator[tuple[Start, str]]:
    """Yield what starts a node of two, and where they meet; leaves no process behind."""
    path, started = folder / "task.json", list[Node]()
    path.write_text(task.model_dump_json(by_alias=True))

    def start(index: int, endpoint: str) -> Node:
        met = {
            "PET_NNODES": "2",
            "PET_RDZV_ENDPOINT": endpoint,
            "PET_RDZV_ID": "test",
            "PET_LOCAL_ADDR": "127.0.0.1",
            "PET_MAX_RESTARTS": "3",
            "JOB_COMPLETION_INDEX": str(index),
        }
        log = (folder / f"node-{len(started)}.log").open("w")
        arguments = [sys.executable, "-m", "fathom.cli", "train", "--task", str(path)]
        node = subprocess.Popen(arguments, env=os.environ | met, stdout=log, stderr=subprocess.STDOUT)
        started.append(node)
        return node

    try:
        yield start, free_endpoint()
    finally:
        for node in started:
            if node.poll() is None:
                kill(node)


def ended(nodes: list[Node]) -> None:
    """Wait until all nodes have ended well."""
    for node in nodes:
        node.wait(timeout=PATIENCE_S)
    assert [node.returncode for node in nodes] == [0, 0]


def until_epoch(state: Path, epoch: int) -> None:
    """Wait until a checkpoint has been written after `epoch`."""
    deadline = time.monotonic() + PATIENCE_S
    while not state.is_file() or State.model_validate_json(state.read_bytes()).epoch < epoch:
        assert time.monotonic() < deadline, f"no checkpoint of epoch {epoch}"
        time.sleep(0.02)


def kill(node: Node) -> None:
    """Kill a node as a pod is killed: all of its processes at once."""
    for pid in (*children(node.pid), node.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    node.wait()


def children(pid: int) -> list[int]:
    """Return the processes below `pid`."""
    below = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*below, *(grandchild for child in below for grandchild in children(child))]


def free_endpoint() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def same(folder: Path, alone: Path) -> None:
    """Check that a bundle is the one that a single node makes, but for the order of sums."""
    manifest.verify(folder)
    weights, expected = (load_file(each / bundle.WEIGHTS) for each in (folder, alone))
    for name, tensor in expected.items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-3, atol=1e-4)
    curve, expected_curve = (bundle.read_info(each).curve for each in (folder, alone))
    assert losses(curve) == pytest.approx(losses(expected_curve), abs=1e-4)
    # How many nodes there were is no part of what a model is.
    assert bundle.read_info(folder).training == bundle.read_info(alone).training


def losses(curve: list[dict[str, float]]) -> list[float]:
    return [point["loss"] for point in curve]
