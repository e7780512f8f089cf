"""A commit becomes a rollout: git, kustomize, server-side apply as Flux does it, health by our checks.

Neither Flux nor Argo CD runs here: `Sync` does what Flux's controllers do in a turn (fetch, build, apply with
their field manager, ask for the health), with the real git, kustomize and API server.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from builders.gitops import GITOPS, argo_health, flux_state
from builders.manifests import steps
from builders.outcomes import evaluated, succeeded
from integration.commands import kubectl
from integration.kube import Namespace, Object
from integration.waiting import until
from integration.world import Resource, unique

_GIT = ("-c", "user.name=Shop", "-c", "user.email=shop@example.com", "-c", "init.defaultBranch=main")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *_GIT, *arguments], cwd=folder, text=True, capture_output=True, timeout=60, check=True
    )
    return done.stdout.strip()


@dataclass(frozen=True)
class Shop:
    """People: a clone in which they change the overlay and push."""

    clone: Path
    overlay: Path

    def commit(
        self, message: str, *changes: tuple[str, Any], annotations: dict[str, str] | None = None
    ) -> None:
        """Change fields of the RecModel (JSON pointers into it), and push."""
        file = self.overlay / "kustomization.yaml"
        document = yaml.safe_load(file.read_text())
        patch = [{"op": "add", "path": path, "value": value} for path, value in changes]
        if annotations:
            patch.append({"op": "add", "path": "/metadata/annotations", "value": annotations})
        document.setdefault("patches", []).append(
            {"target": {"kind": "RecModel"}, "patch": yaml.safe_dump(patch)}
        )
        file.write_text(yaml.safe_dump(document, sort_keys=False))
        git(self.clone, "commit", "--quiet", "--all", "--message", message)
        git(self.clone, "push", "--quiet", "origin", "main")


@dataclass(frozen=True)
class Sync:
    """One turn of a GitOps controller, whenever it is asked for."""

    kubeconfig: Path
    checkout: Path
    path: str

    def turn(self) -> str:
        """Fetch, build and apply what the branch says; return its commit."""
        git(self.checkout, "fetch", "--quiet", "origin", "main")
        git(self.checkout, "reset", "--quiet", "--hard", "origin/main")
        revision = git(self.checkout, "rev-parse", "HEAD")
        built = self._kubectl("kustomize", str(self.checkout / self.path))
        self._kubectl(
            "apply", "--server-side", "--field-manager=kustomize-controller", "-f", "-", stdin=built
        )
        return revision

    def health(self, model: Resource) -> tuple[str, str | None]:
        """Return the health as Argo CD and as Flux see it."""
        seen: Object = model.object
        return argo_health(seen)[0], flux_state(seen, "RecModel")

    def _kubectl(self, *arguments: str, stdin: str = "") -> str:
        return kubectl(self.kubeconfig, self.checkout, *arguments, stdin=stdin)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    bare = tmp_path / "rankers.git"
    bare.mkdir()
    git(bare, "init", "--quiet", "--bare")
    return bare


@pytest.fixture
def people(repository: Path, tmp_path: Path, shop: Namespace) -> Shop:
    """Return a clone with examples/gitops and an overlay for the test's namespace, pushed."""
    clone = tmp_path / "people"
    git(tmp_path, "clone", "--quiet", str(repository), str(clone))
    shutil.copytree(GITOPS, clone, dirs_exist_ok=True)
    overlay = clone / "overlays" / "here"
    overlay.mkdir()
    here = {"namespace": shop.name, "nameSuffix": unique("-t"), "resources": ["../staging"]}
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(here, sort_keys=False))
    git(clone, "checkout", "--quiet", "-B", "main")
    git(clone, "add", ".")
    git(clone, "commit", "--quiet", "--message", "A ranker")
    git(clone, "push", "--quiet", "origin", "main")
    return Shop(clone, overlay)


@pytest.fixture
def sync(repository: Path, people: Shop, tmp_path: Path, kubeconfig: Path) -> Sync:
    checkout = tmp_path / "controller"
    git(tmp_path, "clone", "--quiet", str(repository), str(checkout))
    return Sync(kubeconfig, checkout, "overlays/here")


@pytest.fixture
def model(people: Shop, shop: Namespace) -> Resource:
    suffix = yaml.safe_load((people.overlay / "kustomization.yaml").read_text())["nameSuffix"]
    return Resource("RecModel", f"movies{suffix}", shop)


def train(model: Resource, letter: str) -> None:
    model.nodes.succeed(model.job("train"), succeeded("pvc://data/models", f"sha256:{letter * 64}"))
    model.nodes.succeed(model.job("evaluate"), evaluated(Captions=0.7, Serving=0.7))


def becomes(sync: Sync, model: Resource, argo: str, flux: str | None) -> None:
    """Wait until the health is so, and stays out of what would stop a GitOps tool meanwhile."""
    seen = set[str]()

    def look() -> bool:
        now = sync.health(model)
        seen.add(now[0])
        assert now == (argo, flux), model.status
        return True

    until(f"{model} is {argo}, {flux}", look)
    assert "Degraded" not in seen


@pytest.mark.usefixtures("hands")
def test_commits_are_trained_rolled_out_paused_and_promoted(
    people: Shop, sync: Sync, model: Resource
) -> None:
    sync.turn()
    assert sync.health(model) == ("Progressing", "inProgress")
    train(model, "a")
    becomes(sync, model, "Healthy", "current")
    first = model.status["stable"]["name"]

    people.commit(
        "Smaller embeddings, step by step",
        ("/spec/model", {"embeddingDim": 8}),
        ("/spec/serving/rollout/steps", steps(10, pause="1h")),
    )
    assert sync.health(model) == ("Healthy", "current"), "nothing happens before it is pulled"
    revision = sync.turn()
    assert revision == git(people.clone, "rev-parse", "HEAD")
    becomes(sync, model, "Progressing", "inProgress")
    train(model, "b")
    model.until("it rolls out", lambda status: status.get("rollout", {}).get("weight") == 10)
    assert sync.health(model) == ("Progressing", "inProgress")

    people.commit("Wait", annotations={"fathom.dev/pause": "1"})
    sync.turn()
    becomes(sync, model, "Suspended", None)

    people.commit("Go on", annotations={"fathom.dev/pause": "1", "fathom.dev/promote": "1"})
    sync.turn()
    becomes(sync, model, "Healthy", "current")
    assert model.status["stable"]["name"] != first


@pytest.mark.usefixtures("hands")
def test_a_turn_without_a_commit_changes_nothing(sync: Sync, model: Resource) -> None:
    sync.turn()
    train(model, "a")
    becomes(sync, model, "Healthy", "current")
    before = model.object
    sync.turn()
    after = model.object
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["spec"] == before["spec"], "the operator writes to no field that the repository has"
    managers = {m["manager"] for m in after["metadata"]["managedFields"] if "f:spec" in m["fieldsV1"]}
    assert managers == {"kustomize-controller"}
