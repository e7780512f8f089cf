"""Deleting and uninstalling: what was made for a resource goes, data and definitions stay."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from e2e.world import World

from demo import environment, manifests
from demo.environment import RELEASE, SYSTEM
from demo.waiting import wait_for


def test_deleting_a_caption_job_deletes_its_jobs_and_not_its_data(world: World) -> None:
    name = "short-lived"
    world.kube.apply([world.caption_job(name, **world.learned())])
    world.until_stage("captionjob", name, "Complete")
    files = world.volume(f"find {name} -type f | sort")
    assert "_manifest.json" in files
    world.kube.delete("captionjob", name, world.namespace)
    wait_for("its Jobs are gone", lambda: not world.jobs(name), timeout=60)
    maps = world.kube.list("configmaps", world.namespace, f"fathom.dev/name={name}")
    assert maps == []
    assert world.volume(f"find {name} -type f | sort") == files


def test_an_upgrade_leaves_finished_work_alone(world: World) -> None:
    before = world.job_uids(manifests.CAPTION_JOB)
    environment.chart_installed(
        world.environment, world.context.view, "operator.leaseSeconds=10", "operator.logLevel=DEBUG"
    )
    pods = world.kube.list("pods", SYSTEM)
    assert any("DEBUG" in str(pod["spec"]) for pod in pods)
    world.kube.patch(
        "captionjob",
        manifests.CAPTION_JOB,
        world.namespace,
        {"metadata": {"annotations": {"touched": "yes"}}},
    )
    world.until_stage("captionjob", manifests.CAPTION_JOB, "Complete", timeout=60)
    assert world.job_uids(manifests.CAPTION_JOB) == before


@pytest.fixture(scope="class")
def uninstalled(world: World) -> Generator[World]:
    environment.helm(world.environment, "uninstall", RELEASE, "-n", SYSTEM, "--wait")
    yield world
    environment.chart_installed(world.environment, world.context.view, "operator.leaseSeconds=10")


class TestUninstalled:
    """Without the operator."""

    def test_the_operator_is_gone(self, uninstalled: World) -> None:
        wait_for("no operator runs", lambda: not uninstalled.kube.list("pods", SYSTEM), timeout=90)
        assert uninstalled.kube.list("deployments", SYSTEM) == []

    def test_definitions_resources_and_data_stay(self, uninstalled: World) -> None:
        names = {o["metadata"]["name"] for o in uninstalled.kube.list("captionjob", uninstalled.namespace)}
        assert manifests.CAPTION_JOB in names
        assert "_manifest.json" in uninstalled.volume(f"ls {manifests.CAPTION_JOB}/features")

    def test_the_model_is_still_served(self, uninstalled: World) -> None:
        found = uninstalled.kube.find("recmodel", manifests.REC_MODEL, uninstalled.namespace)
        assert found
        status = found["status"]
        door = uninstalled.ingress(status["url"], manifests.REC_MODEL)
        assert door.versions(3) == {status["stable"]["name"]: 3}


def test_installed_again_it_goes_on_where_it_was(world: World) -> None:
    status = world.until_stage("recmodel", manifests.REC_MODEL, "Serving", timeout=90)
    assert len(status.history) == 2
