"""InferenceServices and the Service in front of them."""

from __future__ import annotations

from typing import Final

from fathom_api import Annotations, Labels
from fathom_api.recmodel import Autoscaling, Serving, Version
from fathom_operator.claims import claims_in
from fathom_operator.kube.resources import INFERENCE_SERVICES, SERVICES, Obj
from fathom_operator.owner import Owner
from fathom_operator.platform import Platform
from fathom_operator.pods import claim_mounts, container, draining, listening, pod, predictor_env

STAGE: Final = "serve"
#: Where the ranker finds the folder that says which table of interests it guides by.
ENV_GUIDE: Final = "FATHOM_GUIDE"
PORT: Final = 8080
#: Parts of `spec.serving` that say nothing of the pods.
_NOT_OF_PODS: Final = frozenset({"rollout", "gateway", "maxUnavailable"})
#: KServe treats the container of this name as the predictor.
_CONTAINER: Final = "kserve-container"


def standard_name(owner: Owner, version: Version) -> str:
    """Return the name of the InferenceService of `version` in Standard mode."""
    return f"{owner.name}-{version.name.removeprefix('v-')}"


def knative_service(
    owner: Owner,
    serving: Serving,
    version: Version,
    platform: Platform,
    *,
    percent: int | None,
    guide: str | None = None,
) -> Obj:
    """Return the one InferenceService of Knative mode; the latest revision gets `percent`, all if None.

    `guide` is where the ranker looks for a table of interests.
    """
    annotations = {"serving.kserve.io/deploymentMode": "Knative"}
    labels = owner.labels(STAGE, version.name)
    body = {"spec": {"predictor": _predictor(owner, serving, version, platform, guide)}}
    made_from = _made_from(serving, version, guide)
    isvc = owner.child(INFERENCE_SERVICES, owner.name, labels, body, annotations, made_from=made_from)
    if percent is not None:
        # After the hash has been taken: KServe hands annotations on to the revision's template, so a hash
        # that changed with the share would start new pods at every step.
        isvc["spec"]["predictor"]["canaryTrafficPercent"] = percent
    return isvc


def standard_service(
    owner: Owner, serving: Serving, version: Version, platform: Platform, *, guide: str | None = None
) -> Obj:
    """Return the InferenceService of `version` in Standard mode; it has no route of its own."""
    annotations = {
        "serving.kserve.io/deploymentMode": "Standard",
        "serving.kserve.io/autoscalerClass": _autoscaler(serving.autoscaling),
    }
    labels = owner.labels(STAGE, version.name) | {"networking.kserve.io/visibility": "cluster-local"}
    predictor = _predictor(owner, serving, version, platform, guide)
    [main] = predictor["containers"]
    # Knative's proxy sees to that by itself, and lets nobody else.
    main |= draining(serving.termination_grace_period_seconds)
    name = standard_name(owner, version)
    body = {"spec": {"predictor": predictor}}
    made_from = _made_from(serving, version, guide)
    return owner.child(INFERENCE_SERVICES, name, labels, body, annotations, made_from=made_from)


def stable_service(owner: Owner, version: Version) -> Obj:
    """Return the Service that sends requests to the pods of `version` (Standard mode)."""
    selector = {Labels.UID: owner.uid, Labels.STAGE: STAGE, Labels.RUN: version.name}
    ports = [{"name": "http", "port": 80, "targetPort": PORT, "protocol": "TCP"}]
    body = {"spec": {"selector": selector, "ports": ports}}
    return owner.child(SERVICES, owner.name, owner.labels(STAGE, version.name), body)


def _autoscaler(scaling: Autoscaling | None) -> str:
    """Return KServe's word for what scales; none where there is nothing that could fight over replicas."""
    return "none" if scaling is None else (scaling.scaler or "HPA").lower()


def _scaled(serving: Serving) -> Obj:
    """Return how many pods there are, as an InferenceService says it."""
    scaling = serving.autoscaling
    if scaling is None:
        return {"minReplicas": serving.replicas, "maxReplicas": serving.replicas}
    out: Obj = {"minReplicas": serving.replicas, "maxReplicas": scaling.max_replicas}
    if scaling.metric is not None:
        out["scaleMetric"] = scaling.metric.lower()
    if scaling.target is not None:
        out["scaleTarget"] = scaling.target
    if scaling.triggers is not None:
        out["autoScaling"] = {"metrics": scaling.triggers}
    return out


def _made_from(serving: Serving, version: Version, guide: str | None) -> Obj:
    """Return what a predictor is replaced for: what people wrote, and the version.

    Not for another default image or another operator: those would roll out under every served model at
    once, without a canary. They come with the next version.
    """
    pods = {name: value for name, value in serving.document().items() if name not in _NOT_OF_PODS}
    made_of = [version.name, version.digest, version.uri, version.image]
    return {"serving": pods, "version": made_of} | ({"guide": guide} if guide else {})


def _predictor(
    owner: Owner, serving: Serving, version: Version, platform: Platform, guide: str | None
) -> Obj:
    mounts, volumes = claim_mounts(claims_in([version.uri, guide]))
    for volume in volumes:
        # Knative refuses claims that are not read-only here too.
        volume["persistentVolumeClaim"]["readOnly"] = True
    # The image's root is read-only; libraries still want a place for temporary files.
    mounts.append({"name": "tmp", "mountPath": "/tmp"})  # noqa: S108 - an emptyDir of the pod's own
    volumes.append({"name": "tmp", "emptyDir": {}})
    args = [
        "serve", "--bundle", version.uri or "", "--model-name", owner.name, "--model-version", version.name,
        "--port", str(PORT),
    ]  # fmt: skip
    main = container(
        serving,
        platform,
        name=_CONTAINER,
        image=version.image or platform.ranker_image,
        args=args,
        # A variable, not an option: an image from before there were guides starts all the same.
        env=[*predictor_env(), *([{"name": ENV_GUIDE, "value": guide}] if guide else [])],
        mounts=mounts,
    )
    main |= listening(owner.name, PORT)
    return {
        **_scaled(serving),
        "labels": owner.labels(STAGE, version.name),
        "annotations": {Annotations.DIGEST: version.digest or ""},
        **pod(serving, main, volumes),
    }
