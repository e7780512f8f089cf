"""What a resource owns: its children, told by owner reference."""

from __future__ import annotations

from fathom_api import Labels
from fathom_operator.kube.client import Kube
from fathom_operator.kube.resources import JOBS, SERVICES, Obj, Resource
from fathom_operator.observation import owned
from fathom_operator.owner import Owner
from fathom_operator.plan import Ref

MOVIES = Owner("RecModel", "shop", "movies", "0000-uid")


class Shelf(Kube):
    """An API server that holds Services and nothing else."""

    def __init__(self, *services: Obj) -> None:
        self.services = services

    def items(self, resource: Resource, namespace: str | None, selector: str = "") -> list[Obj]:
        assert (namespace, selector) == ("shop", f"{Labels.UID}=0000-uid")
        return list(self.services) if resource is SERVICES else []


def test_what_kserve_makes_of_a_child_with_our_labels_is_nobodys_child_of_ours() -> None:
    labels = MOVIES.labels("serve", "v-1")
    ours = MOVIES.child(SERVICES, "movies", labels, {"spec": {}})
    theirs = ours | {
        "metadata": {
            "name": "movies-1-predictor",
            "labels": labels,
            "ownerReferences": [{"kind": "InferenceService", "name": "movies-1", "uid": "1111-uid"}],
        }
    }
    nobodys = ours | {"metadata": {"name": "by-hand", "labels": labels}}
    assert owned(Shelf(ours, theirs, nobodys), MOVIES, [JOBS, SERVICES]) == {Ref("Service", "movies"): ours}
