"""The check that `make lint` makes of every manifest: it has to find mistakes."""

from typing import Any

import manifests
import pytest

SCHEMAS = manifests.custom_schemas()
CAPTION_JOB: dict[str, Any] = {
    "apiVersion": "fathom.dev/v1alpha1",
    "kind": "CaptionJob",
    "metadata": {"name": "catalog"},
    "spec": {
        "source": {"uri": "pvc://media/items.parquet", "idColumn": "item_id", "mediaColumn": "image"},
        "model": {"uri": "hf://llava-hf/llava-1.5-7b-hf"},
        "output": {"uri": "pvc://features/catalog"},
    },
}
SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "shop"},
    "spec": {"ports": [{"port": 80}]},
}


def problems(document: dict[str, Any], **spec: Any) -> str:
    return "\n".join(manifests.check({**document, "spec": {**document["spec"], **spec}}, SCHEMAS))


@pytest.mark.parametrize("document", [CAPTION_JOB, SERVICE], ids=["of ours", "of Kubernetes'"])
def test_a_good_manifest_passes(document: dict[str, Any]) -> None:
    assert problems(document) == ""


@pytest.mark.parametrize(
    ("document", "spec", "word"),
    [
        pytest.param(CAPTION_JOB, {"shard": 4}, "shard", id="a field that we do not have"),
        pytest.param(CAPTION_JOB, {"shards": "4"}, "integer", id="a word for a number"),
        pytest.param(CAPTION_JOB, {"shards": 0}, "minimum", id="a number out of bounds"),
        pytest.param(CAPTION_JOB, {"template": {"resources": {"limit": {}}}}, "limit", id="a deep field"),
        pytest.param(SERVICE, {"port": 80}, "port", id="a field that Kubernetes does not have"),
        pytest.param(SERVICE, {"ports": [{"port": "80"}]}, "ports", id="a word for Kubernetes' number"),
    ],
)
def test_a_mistake_is_found(document: dict[str, Any], spec: dict[str, Any], word: str) -> None:
    assert word in problems(document, **spec)


def test_a_kind_that_kubernetes_does_not_have_is_found() -> None:
    assert "no Deployment" in problems({**SERVICE, "kind": "Deployment"})


def test_a_merge_patch_needs_no_more_than_it_changes() -> None:
    assert list(manifests.check({"spec": {"shards": 4}}, SCHEMAS)) == []
    assert list(manifests.check({"spec": {"shard": 4}}, SCHEMAS)) != []
