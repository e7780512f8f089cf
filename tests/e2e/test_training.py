"""Training on two nodes: pods that find each other, lose one, and make the model that a single pod makes."""

from __future__ import annotations

from typing import Any

import pytest
from e2e.world import World

from demo.kube import Object
from demo.waiting import wait_for

ALONE, TOGETHER, LONGER = "trained-alone", "trained-together", "trained-longer"
#: Short enough that sums in another order have not been learned from yet.
TRAINING = {"epochs": 2, "patience": 2}
#: Long enough that a pod can be lost on the way.
LONG = {"epochs": 400, "patience": 100}


def ranker(world: World, name: str, **training: Any) -> Object:
    """Return the quickstart's RecModel without captions, not served."""
    model = world.rec_model(name, None, evaluation={"gate": {"against": ["Serving"]}})
    model["spec"].pop("serving", None)
    model["spec"]["training"] |= TRAINING | training
    return model


def weights(world: World, name: str) -> dict[str, float]:
    """Return the sum of the magnitudes of each tensor of the one bundle of a RecModel."""
    script = (
        "import glob, safetensors.torch as s\n"
        f"[f] = glob.glob('{name}/v-*/captions/model.safetensors')\n"
        "for n, t in sorted(s.load_file(f).items()): print(n, float(t.double().abs().sum()))"
    )
    lines = world.volume(f'python3 -c "{script}"').splitlines()
    return {key: float(value) for key, value in (line.split() for line in lines)}


def alike(found: dict[str, float], expected: dict[str, float], within: float) -> None:
    """Assert that two bundles have the same tensors, of the same magnitudes."""
    assert found.keys() == expected.keys()
    for name, size in expected.items():
        assert found[name] == pytest.approx(size, rel=within, abs=within), name


def pods(world: World, name: str, phase: str | None = None) -> list[Object]:
    """Return the training pods of a RecModel, of one phase if it is given."""
    found = world.kube.list("pods", world.namespace, f"fathom.dev/name={name},fathom.dev/stage=train")
    return [pod for pod in found if phase in (None, pod["status"].get("phase"))]


@pytest.fixture(scope="module")
def alone(world: World) -> Any:
    world.kube.apply([ranker(world, ALONE)])
    return world.until_stage("recmodel", ALONE, "Complete", timeout=1200)


class TestTwoNodes:
    """Two pods of one training; and of a longer one, of which a pod is lost on the way."""

    def test_the_model_is_the_one_that_a_single_pod_makes(self, world: World, alone: Any) -> None:
        world.kube.apply([ranker(world, TOGETHER, nodes=2)])
        status = world.until_stage("recmodel", TOGETHER, "Complete", timeout=1200)
        assert len(pods(world, TOGETHER)) == 2
        assert status.candidate.name == alone.candidate.name
        assert status.metrics[0].auc == pytest.approx(alone.metrics[0].auc, abs=1e-3)
        alike(weights(world, TOGETHER), weights(world, ALONE), within=1e-3)

    def test_with_half_of_the_tables_each_they_make_what_one_with_all_makes(self, world: World) -> None:
        names = {f"divided-{nodes}": nodes for nodes in (1, 2)}
        for name, nodes in names.items():
            world.kube.apply([ranker(world, name, nodes=nodes, shardedTables={}, epochs=1)])
        for name in names:
            world.until_stage("recmodel", name, "Complete", timeout=1200)
        single, together = (weights(world, name) for name in names)
        # Adagrad's first steps are of full length however small a gradient: rounding is learned from.
        alike(together, single, within=1e-2)

    def test_one_that_is_lost_is_replaced_and_training_goes_on(self, world: World) -> None:
        world.kube.apply([ranker(world, LONGER, nodes=2, **LONG)])
        world.until("recmodel", LONGER, lambda s: s.training and s.training.epoch >= 1, "an epoch", 600)
        lost = max(pods(world, LONGER, "Running"), key=lambda pod: pod["metadata"]["name"])
        world.kube.delete("pod", lost["metadata"]["name"], world.namespace, "--force", "--grace-period=0")
        uid = lost["metadata"]["uid"]

        def replaced() -> bool:
            there = {pod["metadata"]["uid"] for pod in pods(world, LONGER, "Running")}
            return len(there) == 2 and uid not in there

        wait_for("another pod has taken its place", replaced, timeout=600)
        world.until_stage("recmodel", LONGER, "Complete", timeout=1200)

    def test_where_they_met_is_gone(self, world: World) -> None:
        selector = f"fathom.dev/name={TOGETHER}"
        for kind in ("services", "networkpolicies"):
            wait_for(
                f"no {kind} are left",
                lambda kind=kind: not world.kube.list(kind, world.namespace, selector),
                timeout=60,
            )
