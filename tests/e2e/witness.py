"""Every state that an object has, as the API server tells it: nothing is missed between two looks."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field

from e2e.traffic import MOVING

from demo.kube import Kube, Object
from fathom_api.meta import Labels


@dataclass(frozen=True)
class State:
    """An object as it was from `at` on, seconds since the epoch; `gone` if that was its end."""

    at: float
    object: Object
    gone: bool = False


@dataclass
class Witness:
    """Watches one object on a thread of its own."""

    kube: Kube
    kind: str
    name: str
    namespace: str
    states: list[State] = field(default_factory=list[State])
    _stopped: threading.Event = field(default_factory=threading.Event)
    _process: subprocess.Popen[str] | None = None

    def run(self) -> None:
        """Watch until stopped; a watch that ends is begun again, and begins with the state as it is."""
        command = [self.kube.kubectl, "get", self.kind, "-n", self.namespace, "-w", "-o", "json"]
        command += ["--output-watch-events", "--field-selector", f"metadata.name={self.name}"]
        environment = {**os.environ, "KUBECONFIG": str(self.kube.kubeconfig)}
        while not self._stopped.wait(0.2):
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
            ) as self._process:
                assert self._process.stdout is not None
                # One event a line.
                for event in map(json.loads, self._process.stdout):
                    self.states.append(State(time.time(), event["object"], event["type"] == "DELETED"))

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()
        if self._process is not None:
            self._process.terminate()


@contextmanager
def watching(kube: Kube, kind: str, name: str, namespace: str) -> Generator[Witness]:
    """Yield a witness of one object."""
    witness = Witness(kube, kind, name, namespace)
    thread = threading.Thread(target=witness.run)
    thread.start()
    try:
        yield witness
    finally:
        witness.stop()
        thread.join()


def stables(states: Iterable[State]) -> list[str | None]:
    """Return the stable versions of a RecModel in order, each once; None where it had none for a while."""
    out = list[str | None]()
    for state in states:
        name = ((state.object.get("status") or {}).get("stable") or {}).get("name")
        if not out or out[-1] != name:
            out.append(name)
    return out


def knative_weights(states: Iterable[State], candidate: str) -> list[tuple[float, int]]:
    """Return from when on Knative gave `candidate` which percent of the requests (time, percent).

    Read from an InferenceService: its template says whose the latest revision is, its status what that gets.
    """
    return [(state.at, _knative_weight(state.object, candidate)) for state in states if not state.gone]


def _knative_weight(service: Object, candidate: str) -> int:
    predictor = service["spec"]["predictor"]
    if predictor.get("labels", {}).get(Labels.RUN) != candidate:
        return 0
    status = (service.get("status") or {}).get("components", {}).get("predictor", {})
    # While the new revision is not ready, "the latest" among the targets is still the one before.
    created = status.get("latestCreatedRevision")
    targets = [t for t in status.get("traffic") or [] if t.get("revisionName") == created]
    latest = sum(t.get("percent") or 0 for t in targets)
    wanted: int = predictor.get("canaryTrafficPercent", 100)
    return wanted if latest == wanted else MOVING


def gateway_weights(states: Iterable[State], model: str, candidate: str) -> list[tuple[float, int]]:
    """Return from when on the Gateway had taken in which weight of `candidate` (time, percent).

    Read from the HTTPRoute of a model in Standard mode.
    """
    backend = f"{model}-{candidate.removeprefix('v-')}-predictor"
    return [(state.at, _gateway_weight(state.object, backend)) for state in states if not state.gone]


def _gateway_weight(route: Object, backend: str) -> int:
    generation = route["metadata"]["generation"]
    said = [c for p in route.get("status", {}).get("parents", []) for c in p["conditions"]]
    if len(said) < 2 or any(c["observedGeneration"] != generation or c["status"] != "True" for c in said):
        return MOVING
    [rule] = [r for r in route["spec"]["rules"] if not r["matches"][0].get("headers")]
    return next((b["weight"] for b in rule["backendRefs"] if b["name"] == backend), 0)


def first(states: Iterable[State], holds: Callable[[Object], object]) -> State | None:
    """Return the first state whose object `holds`."""
    return next((state for state in states if holds(state.object)), None)
