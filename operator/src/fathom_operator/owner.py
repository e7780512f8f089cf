"""Labels and owner references that tie children to their parent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fathom_api import API_VERSION, Annotations, Labels
from fathom_operator.digests import full
from fathom_operator.kube.resources import Obj, Resource
from fathom_operator.plan import Key


@dataclass(frozen=True)
class Owner:
    """The parent of children."""

    kind: str
    namespace: str
    name: str
    uid: str

    @property
    def key(self) -> Key:
        """Return its key."""
        return Key(self.kind, self.namespace, self.name)

    @property
    def selector(self) -> str:
        """Return the label selector of all its children, and of what is made for them."""
        return f"{Labels.UID}={self.uid}"

    def owns(self, obj: Obj) -> bool:
        """Return whether `obj` is its child, by owner reference: others hand its labels on."""
        references: list[Obj] = obj["metadata"].get("ownerReferences", [])
        return any(each["uid"] == self.uid for each in references)

    def labels(self, stage: str, run: str) -> dict[str, str]:
        """Return the labels of a child."""
        return {
            "app.kubernetes.io/managed-by": "fathom-operator",
            "app.kubernetes.io/part-of": "fathom",
            Labels.KIND: self.kind,
            Labels.NAME: self.name,
            Labels.UID: self.uid,
            Labels.STAGE: stage,
            Labels.RUN: run,
        }

    def child(
        self,
        resource: Resource,
        name: str,
        labels: dict[str, str],
        body: Obj,
        annotations: Mapping[str, str] = MappingProxyType({}),
        *,
        made_from: Obj | None = None,
    ) -> Obj:
        """Return a child with `body` beside its metadata; its annotation tells whether it is up to date.

        It is as long as `made_from` stays the same, or else `body`.
        """
        spec_hash = full([labels, dict(annotations), body if made_from is None else made_from])
        return {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": labels,
                "annotations": {**annotations, Annotations.SPEC_HASH: spec_hash},
                "ownerReferences": [
                    {
                        "apiVersion": API_VERSION,
                        "kind": self.kind,
                        "name": self.name,
                        "uid": self.uid,
                        "controller": True,
                        "blockOwnerDeletion": True,
                    }
                ],
            },
            **body,
        }


def owner_of(obj: Obj) -> Owner:
    """Return the owner that `obj`, a resource of ours, is to its children."""
    meta = obj["metadata"]
    return Owner(obj["kind"], meta["namespace"], meta["name"], meta["uid"])


def parent_key(child: Obj) -> Key | None:
    """Return the key of the resource that `child` says it belongs to."""
    meta = child["metadata"]
    labels = meta.get("labels", {})
    if not {Labels.KIND, Labels.NAME} <= labels.keys():
        return None
    return Key(labels[Labels.KIND], meta["namespace"], labels[Labels.NAME])
