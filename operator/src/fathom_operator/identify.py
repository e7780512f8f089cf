"""Who reports: a pod shows a token of our audience; it must belong to a Job of what it speaks for."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from fathom_api import Labels
from fathom_api.progress import AUDIENCE
from fathom_operator.kube.client import Kube
from fathom_operator.kube.resources import JOB_KINDS, OWN_KINDS, PODS, TOKEN_REVIEWS, Obj
from fathom_operator.owner import parent_key
from fathom_operator.plan import Key

_EXTRA = "authentication.kubernetes.io/"
#: For so long an answer about a token is believed; as long, a pod that was deleted may still report.
_BELIEVED_SECONDS = 60.0
_MOST_TOKENS = 20_000


class UnknownPodError(Exception):
    """The token does not prove a live pod of ours; the message says why."""


@dataclass(frozen=True)
class Identity:
    """A pod, and the resource whose work it does."""

    parent: Key
    pod_uid: str


class Identifier:
    """Finds out whose token it is, and remembers it for a minute."""

    def __init__(self, kube: Kube, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Ask the API server behind `kube`."""
        self._kube = kube
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Identity, float]] = {}

    def identify(self, token: str) -> Identity:
        """Return who shows `token`.

        Raises:
            UnknownPodError: nobody we expect.
            KubeError: the API server did not answer.
        """
        digest, now = hashlib.sha256(token.encode()).hexdigest(), self._clock()
        with self._lock:
            known = self._known.get(digest)
        if known is not None and now - known[1] < _BELIEVED_SECONDS:
            return known[0]
        identity = self._ask(token)
        with self._lock:
            if len(self._known) >= _MOST_TOKENS:
                self._known.clear()
            self._known[digest] = (identity, now)
        return identity

    def _ask(self, token: str) -> Identity:
        namespace, name, uid = self._review(token)
        pod = self._kube.get(PODS, namespace, name)
        if pod is None or pod["metadata"]["uid"] != uid:
            raise UnknownPodError(f"pod {namespace}/{name} is gone")
        if pod.get("status", {}).get("phase") not in {"Pending", "Running"}:
            raise UnknownPodError(f"pod {namespace}/{name} has ended")
        return Identity(self._parent(pod), uid)

    def _review(self, token: str) -> tuple[str, str, str]:
        """Return namespace, name and uid of the pod that the API server says the token was made for."""
        review = {
            "apiVersion": TOKEN_REVIEWS.api_version,
            "kind": TOKEN_REVIEWS.kind,
            "spec": {"token": token, "audiences": [AUDIENCE]},
        }
        status = self._kube.create(TOKEN_REVIEWS, None, review).get("status", {})
        if not status.get("authenticated") or AUDIENCE not in status.get("audiences", []):
            raise UnknownPodError(f"the token is not valid for the audience {AUDIENCE}")
        user = status.get("user", {})
        extra = user.get("extra", {})
        name, uid = extra.get(f"{_EXTRA}pod-name"), extra.get(f"{_EXTRA}pod-uid")
        parts = user.get("username", "").split(":")
        if not name or not uid or len(parts) != 4 or parts[:2] != ["system", "serviceaccount"]:
            raise UnknownPodError("the token was not made for a pod")
        return parts[2], name[0], uid[0]

    def _parent(self, pod: Obj) -> Key:
        """Return whose Job the pod belongs to: by owner references, since labels are anybody's to set.

        The Job is ours, or that of a JobSet of ours, or of the JobSet of a TrainJob of ours.
        """
        meta = pod["metadata"]
        parent, uid = parent_key(pod), meta.get("labels", {}).get(Labels.UID)
        if parent is not None and parent.kind in OWN_KINDS:
            owner = _controller(pod)
            for _ in JOB_KINDS:
                if owner is None or owner["kind"] not in JOB_KINDS:
                    break
                maker = self._kube.get(JOB_KINDS[owner["kind"]], meta["namespace"], owner["name"])
                if maker is not None and any(o["uid"] == uid for o in _owners(maker)):
                    return parent
                owner = _controller(maker) if maker else None
        raise UnknownPodError(f"pod {meta['namespace']}/{meta['name']} does no work of ours")


def _controller(obj: Obj) -> Obj | None:
    """Return the reference to the controller of `obj`."""
    return next((owner for owner in _owners(obj) if owner.get("controller")), None)


def _owners(obj: Obj) -> list[Obj]:
    return obj["metadata"].get("ownerReferences", [])
