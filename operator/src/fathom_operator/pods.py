"""Pods, secure by default: what the user's template may add to and nothing it can loosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fathom_api.pods import PodTemplate, Resources
from fathom_api.progress import AUDIENCE, ENV_CA_FILE, ENV_TOKEN_FILE, ENV_URL, ENV_VOLUMES
from fathom_operator.claims import ROOT
from fathom_operator.kube.resources import Obj
from fathom_operator.platform import Platform
from fathom_operator.views import CONTAINER

#: The user and group of all images.
USER: Final = 65532
TASK_FOLDER: Final = "/etc/fathom"
_TOKEN_FOLDER: Final = "/var/run/secrets/fathom"  # noqa: S105 - a path
_TOKEN_SECONDS: Final = 3600
_DRAIN_SECONDS: Final = 10

#: Knative refuses security contexts of pods unless a flag allows them, so predictors say it all here.
CONTAINER_SECURITY: Final[Obj] = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
_POD_SECURITY: Final[Obj] = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}


def worker_pod(
    template: PodTemplate,
    platform: Platform,
    *,
    image: str,
    args: list[str],
    task_config_map: str,
    claims: Iterable[str],
    writable: Iterable[str],
    env: Iterable[Obj] = (),
) -> Obj:
    """Return the spec of a pod that does the task in `task_config_map`; not `writable` is read-only.

    `env` holds further variables, as a container has them.
    """
    mounts, volumes = claim_mounts(claims, writable)
    mounts += [
        {"name": "task", "mountPath": TASK_FOLDER, "readOnly": True},
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - an emptyDir of the pod's own
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - torch's workers share memory through it
    ]
    volumes += [
        {"name": "task", "configMap": {"name": task_config_map}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory"}},
    ]
    values = _home() | {ENV_VOLUMES: ROOT}
    if platform.progress_url:
        values |= _progress_env(platform.progress_url)
        mounts.append({"name": "token", "mountPath": _TOKEN_FOLDER, "readOnly": True})
        volumes.append({"name": "token", "projected": {"sources": [{"serviceAccountToken": {
            "audience": AUDIENCE, "expirationSeconds": _TOKEN_SECONDS, "path": "token"}}]}})  # fmt: skip
    variables = [*_variables(values), *env]
    main = container(template, platform, name=CONTAINER, image=image, args=args, env=variables, mounts=mounts)
    return job_pod(template, main, volumes)


def job_pod(template: PodTemplate, main: Obj, volumes: list[Obj]) -> Obj:
    """Return the spec of a pod of a Job, around a container that runs to its end."""
    # The log's tail says more than nothing where a process dies before it can leave an outcome.
    ending = main | {"terminationMessagePolicy": "FallbackToLogsOnError"}
    return pod(template, ending, volumes) | {"securityContext": _POD_SECURITY, "restartPolicy": "Never"}


def container(
    template: PodTemplate,
    platform: Platform,
    *,
    name: str,
    image: str,
    args: list[str],
    env: Iterable[Obj],
    mounts: list[Obj],
) -> Obj:
    """Return a container with what `template` adds to it; of variables of one name the last wins."""
    variables = {str(variable.get("name")): variable for variable in (*env, *template.env)}
    out: Obj = {
        "name": name,
        "image": template.image or image,
        "args": args,
        "env": list(variables.values()),
        "resources": {key: value for key, value in template.resources.document().items() if value},
        "volumeMounts": [*mounts, *template.volume_mounts],
        "securityContext": CONTAINER_SECURITY,
    }
    if policy := template.image_pull_policy or platform.image_pull_policy:
        out["imagePullPolicy"] = policy
    if template.env_from:
        out["envFrom"] = template.env_from
    return out


def pod(template: PodTemplate, main: Obj, volumes: list[Obj]) -> Obj:
    """Return the spec of a pod around a container, with what `template` says about where it runs."""
    passed: dict[str, Any] = {
        "imagePullSecrets": template.image_pull_secrets,
        "nodeSelector": template.node_selector,
        "tolerations": template.tolerations,
        "affinity": template.affinity,
        "topologySpreadConstraints": template.topology_spread_constraints,
        "resourceClaims": template.resource_claims,
        "schedulerName": template.scheduler_name,
        "terminationGracePeriodSeconds": template.termination_grace_period_seconds,
        "priorityClassName": template.priority_class_name,
        "runtimeClassName": template.runtime_class_name,
        "serviceAccountName": template.service_account_name,
    }
    return {
        "containers": [main],
        "volumes": [*volumes, *template.volumes],
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # A grace period of nothing is something.
        **{key: value for key, value in passed.items() if value or value == 0},
    }


def claim_mounts(claims: Iterable[str], writable: Iterable[str] = ()) -> tuple[list[Obj], list[Obj]]:
    """Return the mounts and volumes of `claims`, each at `/volumes/<claim>`."""
    writable = frozenset(writable)
    mounts: list[Obj] = []
    volumes: list[Obj] = []
    for number, claim in enumerate(sorted(claims)):
        # A claim's name may be longer than a volume's.
        name = f"claim-{number}"
        mounts.append({"name": name, "mountPath": f"{ROOT}/{claim}", "readOnly": claim not in writable})
        # Not read-only in the volume: some drivers attach a claim to a node either so or so, for all pods.
        volumes.append({"name": name, "persistentVolumeClaim": {"claimName": claim}})
    return mounts, volumes


def _home() -> dict[str, str]:
    return {"HOME": "/tmp", "HF_HOME": "/tmp/hf"}  # noqa: S108 - an emptyDir of the pod's own


def _progress_env(url: str) -> dict[str, str]:
    return {
        ENV_URL: url,
        ENV_TOKEN_FILE: f"{_TOKEN_FOLDER}/token",
        ENV_CA_FILE: f"{TASK_FOLDER}/ca.crt",
    }


def predictor_env() -> list[Obj]:
    """Return the environment of a predictor."""
    return _variables(_home() | {ENV_VOLUMES: ROOT})


def without_devices(template: PodTemplate) -> PodTemplate:
    """Return `template` for work that needs no GPU: no extended resources, claimed devices, runtime class."""

    def plain(amounts: Mapping[str, int | str]) -> dict[str, int | str]:
        return {name: amount for name, amount in amounts.items() if "/" not in name}

    own = template.resources
    resources = Resources(requests=plain(own.requests), limits=plain(own.limits))
    return template.model_copy(
        update={"resources": resources, "resource_claims": [], "runtime_class_name": None}
    )


def _variables(values: Mapping[str, str]) -> list[Obj]:
    return [{"name": name, "value": value} for name, value in values.items()]


def draining(grace: int | None) -> Obj:
    """Return what a container says that goes on answering for a moment when it is told to stop.

    Proxies learn some seconds late that a pod has left its Service's endpoints; on busy nodes five were too
    few. `grace` is the pod's terminationGracePeriodSeconds, None for Kubernetes' own.
    """
    seconds = _DRAIN_SECONDS if grace is None else min(_DRAIN_SECONDS, grace)
    return {"lifecycle": {"preStop": {"sleep": {"seconds": seconds}}}} if seconds else {}


def listening(model: str, port: int) -> Obj:
    """Return what a container says that serves `model` at `port`: the port, and when it is ready.

    The server's /v2/health/ready is true whatever becomes of the model; only the model's own path asks the
    model.
    """
    probe = {
        "httpGet": {"path": f"/v2/models/{model}/ready", "port": port},
        "periodSeconds": 5,
        "timeoutSeconds": 3,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    return {"ports": [{"containerPort": port, "protocol": "TCP"}], "readinessProbe": probe}
