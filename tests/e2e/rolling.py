"""A rollout under load, and everything that was seen of it: what the tests of either mode of KServe judge."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from e2e.traffic import Answer, Door, Load, sending
from e2e.witness import State, Witness, watching
from e2e.world import World

from cluster import gatewayapi
from demo import manifests
from demo.waiting import wait_for
from fathom_api.recmodel import RecModelStatus
from fathom_operator.recmodel.record import record_name, trail_in

#: Requests a second: as many as two cores answer beside a cluster, enough for a share to be told.
RATE = 6.0
#: The Gateway that leads to models in Standard mode.
GATEWAY = "public"


@dataclass(frozen=True)
class Rolled:
    """What was seen while one candidate rolled out: answers, states of the RecModel and of its route."""

    before: str
    candidate: str
    answers: Sequence[Answer]
    model: Sequence[State]
    route: Sequence[State]
    status: RecModelStatus
    #: Operators that were killed meanwhile.
    killed: Sequence[str] = ()

    @property
    def failures(self) -> list[Answer]:
        """Return the requests that were not answered."""
        return [answer for answer in self.answers if answer.code != 200]

    @property
    def end(self) -> float:
        """Return when the last request was answered."""
        return max(answer.got for answer in self.answers)


@dataclass
class Rolling:
    """A rollout that goes on."""

    world: World
    name: str
    load: Load
    model: Witness
    route: Witness
    before: str
    killed: list[str] = field(default_factory=list[str])

    def until(
        self, holds: Callable[[RecModelStatus], object], what: str, timeout: float = 600
    ) -> RecModelStatus:
        """Wait until the status of the RecModel, as it is for its present spec, `holds`."""
        return self.world.until("recmodel", self.name, holds, what, timeout)

    def until_weight(self, weight: int, timeout: float = 600) -> RecModelStatus:
        """Wait until the candidate has, and is judged at, a share of the requests."""
        return self.until(
            lambda s: s.rollout and s.rollout.weight == weight and s.rollout.step_started_at,
            f"{weight} % of the requests",
            timeout,
        )

    def kill_the_operator(self) -> None:
        """Kill the operator that leads, and wait for another to lead."""
        leader = self.world.kill_operator()
        self.world.leader_changed(leader)
        self.killed.append(leader)

    def rolled(self, candidate: str) -> Rolled:
        """Return what was seen so far."""
        status = self.world.status("recmodel", self.name)
        assert isinstance(status, RecModelStatus)
        seen = list(self.load.answers), list(self.model.states), list(self.route.states)
        return Rolled(self.before, candidate, *seen, status, tuple(self.killed))


@contextmanager
def rolling(world: World, name: str, route: str, door: Door, rate: float = RATE) -> Generator[Rolling]:
    """Yield a RecModel under load, watched together with its `route`, a kind whose object has its name."""
    status = world.status("recmodel", name)
    assert isinstance(status, RecModelStatus)
    assert status.stable
    users = world.context.data.table("users", ["user_id"])["user_id"].to_pylist()
    with (
        watching(world.kube, "recmodel", name, world.namespace) as model,
        watching(world.kube, route, name, world.namespace) as way,
        sending(door, users, rate=rate) as load,
    ):
        yield Rolling(world, name, load, model, way, status.stable.name)


def at_the_ingress(world: World, name: str) -> Door:
    """Return the way to a model that the cluster's ingress tells apart by its host name."""
    status = world.status("recmodel", name)
    assert isinstance(status, RecModelStatus)
    host = urlsplit(status.url or "").hostname
    assert host, "the model has no URL"
    namespace, _, service = world.context.ingress.partition("/")
    return Door(world.kube, service, namespace, name, host)


def behind_the_gateway(world: World, name: str, proxies: str) -> Door:
    """Return the way to a model in Standard mode: `proxies`, the Service of the Gateway's."""
    return Door(world.kube, proxies, gatewayapi.NAMESPACE, name, hostname(name))


def hostname(model: str) -> str:
    """Return what the Gateway tells a model by."""
    return f"{model}.example.com"


@contextmanager
def gateway_asleep(world: World) -> Generator[None]:
    """The Gateway has no controller: nobody takes routes in, and its proxies go on as they are."""

    def scaled(replicas: int) -> None:
        world.kube.patch(
            "deployment", "envoy-gateway", gatewayapi.NAMESPACE, {"spec": {"replicas": replicas}}
        )

    def controllers() -> bool:
        found = world.kube.find("deployment", "envoy-gateway", gatewayapi.NAMESPACE)
        return bool(found) and bool(found["status"].get("replicas"))

    scaled(0)
    try:
        wait_for("the Gateway's controller is gone", lambda: not controllers() or None, timeout=60)
        yield
    finally:
        scaled(1)


def judged_model(world: World, name: str, mode: str, **rollout: Any) -> dict[str, Any]:
    """Return a RecModel without captions whose candidates are judged by errors and by their scores."""
    wanted = {
        "steps": [{"weight": 20, "pause": "30s"}, {"weight": 50, "pause": "25s"}],
        "minSamples": 30,
        "interval": "5s",
        "bake": "20s",
        "analysis": [
            {"name": "errors", "metric": "ErrorRate", "margin": 0.05},
            # Another seed moves scores, too: only what is worse than that is to be taken back.
            {"name": "scores", "metric": "ScoreKS", "margin": 0.75},
        ],
        **rollout,
    }
    found = world.rec_model(name, None)
    serving = found["spec"]["serving"] | {"mode": mode, "rollout": wanted}
    if mode == "Standard":
        serving["gateway"] = {"name": GATEWAY, "hostname": hostname(name)}
    evaluation = {"controls": [], "gate": {"against": ["Serving"], "minDelta": -1}}
    training = found["spec"]["training"] | {"epochs": 1}
    return world.rec_model(name, None, serving=serving, evaluation=evaluation, training=training)


def generous_labels(world: World) -> str:
    """Return the URI of the interactions with nearly all of them liked: what learns from them scores high."""
    script = (
        "import pyarrow.parquet as q, pyarrow as a\n"
        f"t = q.read_table('/volumes/{manifests.INPUT}/interactions.parquet')\n"
        "liked = a.array([0 if n % 40 == 0 else 1 for n in range(len(t))], t['liked'].type)\n"
        "t = t.set_column(t.schema.get_field_index('liked'), 'liked', liked)\n"
        "q.write_table(t, 'generous.parquet')"
    )
    world.volume(f'python3 -c "{script}"')
    return f"pvc://{manifests.OUTPUT}/generous.parquet"


def measured(world: World, name: str) -> Any:
    """Return what the operator keeps of the latest rollouts, as `kubectl fathom history` reads it."""
    return trail_in(world.kube.find("configmap", record_name(name), world.namespace))
