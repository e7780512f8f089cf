"""What pods have used is added up once, whatever becomes of them, and priced."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
from builders.courses import begun, plan_of
from builders.outcomes import captioned, planned
from builders.seen import NOW, PLATFORM, captioning, carried_out, done, later, pod, report, with_job_status
from builders.seen import broken as broken_pod

from fathom_api.captionjob import Usage
from fathom_operator.captionjob.decide import decide
from fathom_operator.captionjob.usage import counted
from fathom_operator.prices import Prices
from fathom_operator.times import text
from fathom_operator.views import PodView, pod_view

PRICES = Prices.model_validate(
    {"cpuHour": 0.05, "memoryGiBHour": 0.01, "gpuHour": {"default": 1.0, "nvidia.com/gpu": 2.5}}
)
AMOUNTS = {"cpu": 2.0, "memory": 8.0, "nvidia.com/gpu": 1.0, "rdma/hca": 1.0}


def ran(name: str, begin: float, end: float | None = None, **changes: object) -> PodView:
    """Return a pod that ran from `begin` to `end`, in seconds after NOW."""
    ended = text(later(seconds=end)) if end is not None else None
    made = pod(name, started=text(later(seconds=begin)), ended=ended, requests=AMOUNTS)
    return replace(made, **changes)  # type: ignore[arg-type]


def count(usage: Usage, at: float, *pods: PodView) -> Usage:
    return counted(usage, pods, PRICES, later(seconds=at))


def cpu(usage: Usage) -> float:
    return usage.resource_seconds.get("cpu", 0.0)


def test_requested_amounts_times_seconds() -> None:
    usage = count(Usage(), 3600, ran("a", 0, 3600))
    assert usage.resource_seconds == {"cpu": 7200.0, "memory": 28800.0, "nvidia.com/gpu": 3600.0}
    assert (usage.cpu_seconds, usage.gpu_seconds) == (7200, 3600)
    assert usage.estimated_cost == "2.68 USD"


@pytest.mark.parametrize(
    ("looks", "total"),
    [
        pytest.param([300], 600.0, id="once, at the end"),
        pytest.param([60, 120, 180, 240, 300], 600.0, id="in portions"),
        pytest.param([61, 61, 61, 300], 600.0, id="several times at once"),
        pytest.param([90, 400, 5000], 600.0, id="long after the end"),
        pytest.param([10, 20, 30], 0.0, id="not for less than a minute, while it runs"),
    ],
)
def test_no_second_is_counted_twice(looks: list[float], total: float) -> None:
    usage = Usage()
    for at in looks:
        usage = count(usage, at, ran("a", 0, 300 if at >= 300 else None))
    assert cpu(usage) == total


def test_pods_that_are_gone_stay_counted() -> None:
    usage = count(Usage(), 100, ran("a", 0, 100))
    usage = count(usage, 250, ran("b", 110, 210))
    assert cpu(usage) == 400.0
    assert count(usage, 900) == usage


def test_every_attempt_of_a_shard_counts() -> None:
    assert cpu(count(Usage(), 300, ran("a", 0, 100), ran("a-again", 120, 220))) == 400.0


def test_one_that_is_about_to_go_is_counted_at_once() -> None:
    assert cpu(count(Usage(), 10, ran("a", 0, deleting=True))) == 20.0


def test_a_pod_that_waits_costs_nothing() -> None:
    assert count(Usage(), 600, pod("a", requests=AMOUNTS, phase="Pending")) == Usage()


@pytest.mark.parametrize(
    ("prices", "cost"),
    [
        pytest.param({}, None, id="no prices: no cost"),
        pytest.param({"cpuHour": 0.5, "currency": "EUR"}, "1.00 EUR", id="only CPU has one"),
        pytest.param({"gpuHour": {"default": 0.01}}, "0.0100 USD", id="less than one: four digits"),
        pytest.param({"gpuHour": {"amd.com/gpu": 3}}, "0.0000 USD", id="another GPU's price"),
        pytest.param({"gpuHour": {"default": 1, "nvidia.com/gpu": 4}}, "4.00 USD", id="by its name"),
    ],
)
def test_prices(prices: dict[str, object], cost: str | None) -> None:
    seconds = {"cpu": 7200.0, "memory": 3600.0, "nvidia.com/gpu": 3600.0}
    assert Prices.model_validate(prices).cost(seconds) == cost


def test_what_is_read_of_a_pod() -> None:
    resources = {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"cpu": "4", "nvidia.com/gpu": "1"}}
    times = {"startedAt": text(NOW), "finishedAt": text(later(seconds=5)), "exitCode": 0}
    seen = pod_view(
        {
            "metadata": {"name": "p", "uid": "u"},
            "spec": {"containers": [{"name": "fathom", "resources": resources}]},
            "status": {"containerStatuses": [{"name": "fathom", "state": {"terminated": times}}]},
        }
    )
    assert seen.requests == {"cpu": 0.5, "memory": 2.0, "nvidia.com/gpu": 1.0}
    assert (seen.started, seen.ended, seen.runs) == (times["startedAt"], times["finishedAt"], False)


def test_the_status_has_tokens_use_and_cost() -> None:
    seen, name = begun(planned(total=50))
    said = captioned().progress.model_copy(update={"tokens": 900})
    pods = [
        replace(done(name, captioned().model_copy(update={"progress": said})),
                started=text(NOW), ended=text(later(seconds=60)), requests=AMOUNTS),
    ]  # fmt: skip
    seen = replace(with_job_status(seen, name, pods), now=later(minutes=2))
    usage = decide(seen, replace(PLATFORM, prices=PRICES)).status["usage"]
    assert (usage["tokens"], usage["cpuSeconds"], usage["gpuSeconds"]) == (900, 120, 60)
    assert usage["estimatedCost"] == "0.0447 USD"


def test_the_tokens_of_a_pod_that_was_replaced_and_of_earlier_runs_stay_counted() -> None:
    seen, name = begun(planned(total=50))
    before = {"tokens": 1000, "cpuSeconds": 5}
    seen = replace(seen, status=seen.status.model_copy(update={"usage": Usage.model_validate(before)}))
    first, second = broken_pod(name, uid="first"), pod(name, uid="second", created="2026-01-31T12:01:00Z")
    reports = {"first": report(total=50, tokens=300), "second": report(total=50, tokens=200)}
    seen = replace(with_job_status(seen, name, [first, second]), reports=reports)
    plan = plan_of(seen)
    assert plan.status["usage"]["tokens"] == 1500
    forgotten = replace(carried_out(seen, plan), reports={})
    assert plan_of(forgotten).status["usage"]["tokens"] == 1500


@pytest.mark.parametrize(
    ("committed", "shown"),
    [
        pytest.param(NOW.timestamp() - 5, "2026-01-31T11:59:55Z", id="a moment ago"),
        pytest.param(NOW.timestamp() + 900, "2026-01-31T12:00:00Z", id="a clock ahead: when it said so"),
        pytest.param(float("inf"), None, id="no time at all"),
        pytest.param(-1e300, None, id="no time at all either"),
        pytest.param(None, None, id="nothing committed yet"),
    ],
)
def test_the_last_checkpoint(committed: float | None, shown: str | None) -> None:
    seen, name = begun(planned(total=50))
    seen = with_job_status(seen, name, [pod(name)], active=1)
    seen = replace(seen, reports={f"uid-{name}-0": report(total=50, done=5, committed_at=committed)})
    plan = plan_of(seen)
    assert plan.status.get("lastCheckpointTime") == shown
    [made] = [child for child in plan.desired if child["kind"] == "Job"]
    assert made["metadata"]["annotations"].get("fathom.dev/last-checkpoint-time") == shown


def test_the_builders_now_is_what_the_tests_count_from() -> None:
    assert captioning().now == NOW == datetime.fromisoformat("2026-01-31T12:00:00+00:00")
