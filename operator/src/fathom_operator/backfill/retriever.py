"""The InferenceService that searches a gallery, and the Service in front of it; pure.

It follows the gallery by itself as items move, so nothing is rolled out while a backfill goes on. The image
is fixed when it is first made: an operator that brings another default must not restart what is searched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fathom_api import Annotations, BackfillSpec, Labels
from fathom_api.backfill import TWO_PASSES, RetrieverServing
from fathom_api.backfill_tasks import COMPATIBILITY, GALLERY
from fathom_operator.backfill.observe import BackfillSeen
from fathom_operator.claims import claims_in, join
from fathom_operator.digests import full
from fathom_operator.kube.resources import INFERENCE_SERVICES, SERVICES, Obj
from fathom_operator.plan import Ref
from fathom_operator.platform import Platform
from fathom_operator.pods import claim_mounts, container, draining, listening, pod, predictor_env

STAGE: Final = "retrieve"
#: The label that Jobs have their digest in; the retriever is one for the whole backfill.
RUN: Final = "retriever"
PORT: Final = 8080
_CONTAINER: Final = "kserve-container"


@dataclass(frozen=True)
class Retriever:
    """What shall be deployed, what shall go, and whether the gallery is searched, where."""

    desired: tuple[Obj, ...] = ()
    delete: tuple[Ref, ...] = ()
    ready: bool = False
    url: str | None = None
    message: str = ""


def retriever(seen: BackfillSeen, spec: BackfillSpec, platform: Platform, digest: str) -> Retriever:
    """Return how the gallery is searched; `digest` is that of what makes both models comparable."""
    owner = seen.owner
    if spec.serving is None:
        mine = {Ref(INFERENCE_SERVICES.kind, name(owner.name)), Ref(SERVICES.kind, owner.name)}
        return Retriever(delete=tuple(child for child in seen.children if child in mine))
    view = seen.services.get(name(owner.name))
    pods = [each for each in seen.pods if each.stage == STAGE]
    ready = view is not None and view.ready and any(each.ready and not each.deleting for each in pods)
    problem = next((each.problem.message for each in pods if each.problem), view.message if view else "")
    return Retriever(
        desired=(_inference_service(seen, spec, spec.serving, platform, digest), _service(seen)),
        ready=ready,
        url=f"http://{owner.name}.{owner.namespace}.svc",
        message=problem,
    )


def name(backfill: str) -> str:
    """Return the name of the InferenceService of a Backfill; a RecModel of the same name has another."""
    return f"{backfill}-retriever"


def _inference_service(
    seen: BackfillSeen, spec: BackfillSpec, serving: RetrieverServing, platform: Platform, digest: str
) -> Obj:
    owner = seen.owner
    annotations = {
        "serving.kserve.io/deploymentMode": "Standard",
        # A fixed number of replicas: no autoscaler that would fight over it.
        "serving.kserve.io/autoscalerClass": "none",
    }
    labels = owner.labels(STAGE, RUN) | {"networking.kserve.io/visibility": "cluster-local"}
    body = {"spec": {"predictor": _predictor(seen, spec, serving, platform, digest)}}
    made_from: Obj = {"serving": serving.document(), "gallery": spec.output.uri, "digest": digest}
    return owner.child(INFERENCE_SERVICES, name(owner.name), labels, body, annotations, made_from=made_from)


def _predictor(
    seen: BackfillSeen, spec: BackfillSpec, serving: RetrieverServing, platform: Platform, digest: str
) -> Obj:
    owner = seen.owner
    asked = [spec.to.model, *([spec.from_.model] if spec.compatibility.method in TWO_PASSES else [])]
    mounts, volumes = claim_mounts(claims_in([spec.output.uri, *asked]))
    # The image's root is read-only; libraries still want a place for temporary files.
    mounts.append({"name": "tmp", "mountPath": "/tmp"})  # noqa: S108 - an emptyDir of the pod's own
    volumes.append({"name": "tmp", "emptyDir": {}})
    args = [
        "retrieve", "--gallery", join(spec.output.uri, GALLERY),
        "--compatibility", join(spec.output.uri, COMPATIBILITY),
        "--model-name", owner.name, "--port", str(PORT),
    ]  # fmt: skip
    main = container(
        serving,
        platform,
        name=_CONTAINER,
        image=platform.retriever_image,
        args=args,
        env=predictor_env(),
        mounts=mounts,
    )
    main |= listening(owner.name, PORT) | draining(serving.termination_grace_period_seconds)
    return {
        "minReplicas": serving.replicas,
        "maxReplicas": serving.replicas,
        "labels": owner.labels(STAGE, RUN),
        "annotations": {Annotations.DIGEST: full([digest, spec.to.model])},
        **pod(serving, main, volumes),
    }


def _service(seen: BackfillSeen) -> Obj:
    """Return the Service that sends requests to the retriever's pods."""
    owner = seen.owner
    selector = {Labels.UID: owner.uid, Labels.STAGE: STAGE}
    ports = [{"name": "http", "port": 80, "targetPort": PORT, "protocol": "TCP"}]
    return owner.child(
        SERVICES, owner.name, owner.labels(STAGE, RUN), {"spec": {"selector": selector, "ports": ports}}
    )
