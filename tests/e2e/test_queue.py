"""Kueue admits, stops and readmits the pods of a CaptionJob; no caption is made twice."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from e2e.world import World

from cluster import addons, providers
from cluster.settings import from_env
from demo.waiting import wait_for
from fathom_api.conditions import Reason

API = "kueue.x-k8s.io/v1beta1"
QUEUE = "team"
NAME = "queued"
HELD, OPEN, DRAINED = "Hold", "None", "HoldAndDrain"


@pytest.fixture(scope="module")
def queue(world: World) -> Generator[str]:
    """A LocalQueue whose ClusterQueue admits nothing yet."""
    provider, cache = providers.choose(from_env()), from_env().cache
    addons.add_kueue(provider, cache)
    flavor = {"apiVersion": API, "kind": "ResourceFlavor", "metadata": {"name": "any"}}
    quota = {
        "name": "any",
        "resources": [
            {"name": "cpu", "nominalQuota": "4"},
            {"name": "memory", "nominalQuota": "16Gi"},
        ],
    }
    cluster_queue = {
        "apiVersion": API,
        "kind": "ClusterQueue",
        "metadata": {"name": QUEUE},
        "spec": {
            "namespaceSelector": {},
            "stopPolicy": HELD,
            "resourceGroups": [{"coveredResources": ["cpu", "memory"], "flavors": [quota]}],
        },
    }
    local_queue = {
        "apiVersion": API,
        "kind": "LocalQueue",
        "metadata": {"name": QUEUE, "namespace": world.namespace},
        "spec": {"clusterQueue": QUEUE},
    }
    world.kube.apply([flavor, cluster_queue, local_queue])
    yield QUEUE
    # Jobs are queued as long as they are there.
    world.kube.delete("captionjob", NAME, world.namespace)
    wait_for("its Jobs are gone", lambda: not world.jobs(NAME), timeout=120)
    addons.remove_kueue(provider)


def _policy(world: World, policy: str) -> None:
    world.kube.patch("clusterqueue", QUEUE, "", {"spec": {"stopPolicy": policy}})


def test_a_queued_job_waits_is_admitted_stopped_midway_and_goes_on(world: World, queue: str) -> None:
    items = world.context.data.table("items", ["item_id"])["item_id"].to_pylist()
    world.kube.apply([world.caption_job(NAME, queueName=queue, shards=1, **world.learned_at_length())])

    def waits(status: object) -> bool:
        return any(c.reason == Reason.QUEUED for c in getattr(status, "conditions", []))

    world.until("captionjob", NAME, waits, "it waits for its queue")
    assert all(job["spec"]["suspend"] for job in world.jobs(NAME))
    assert not world.kube.list("pods", world.namespace, f"fathom.dev/name={NAME}")

    _policy(world, OPEN)
    world.until("captionjob", NAME, lambda s: 0 < s.items.done < len(items), "some items are captioned")
    _policy(world, DRAINED)
    world.until("captionjob", NAME, waits, "it waits again")
    _policy(world, OPEN)
    status = world.until_stage("captionjob", NAME, "Complete")

    assert status.items.done == len(items)
    assert 0 < status.items.reused < len(items)
    assert sorted(world.rows(NAME)) == sorted(items)
