"""From captions to a guided request: a map of interests, published, and a ranker whose answer says why."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from e2e.world import World

from demo import environment, manifests
from demo.waiting import wait_for
from fathom_api.interestmap import InterestMapStatus

NAME = "discover"


def manifest(world: World, **spec: Any) -> dict[str, Any]:
    """Return the example's InterestMap in our namespace, its gates open to few pictures."""
    text = (environment.ROOT / "examples" / "interests" / "interestmap.yaml").read_text()
    found = yaml.safe_load(text)
    found["metadata"]["namespace"] = world.namespace
    gates = {"minExactMatch": 0.5, "minRecall": 0, "minCoverage": 0.05, "minPairs": 0.5, "maxSelfRepeat": 1}
    found["spec"] |= {"gates": gates, "clusters": {"counts": [3, 9]}, **spec}
    found["spec"]["planner"]["fineTune"]["epochs"] = 10
    return found


@pytest.fixture(scope="module")
def published(world: World) -> InterestMapStatus:
    """A map of the captions that the demo's path has made, for the ranker that it serves."""
    world.until_stage("captionjob", manifests.CAPTION_JOB, "Complete")
    world.until_stage("recmodel", manifests.REC_MODEL, "Serving")
    world.kube.apply([manifest(world)])
    status = world.until_stage("interestmap", NAME, "Published", "Rejected", "Failed", timeout=1200)
    assert isinstance(status, InterestMapStatus)
    return status


def liked(world: World) -> list[str]:
    """Return two items of different interests."""
    items = world.volume(
        'python3 -c "import glob, pyarrow.parquet as q; '
        f"t = q.read_table(glob.glob('{NAME}/tables/t-*/items.parquet')[0]).to_pydict(); "
        "print(*dict(zip(t['cluster'], t['item_id'])).values(), sep='\\n')\""
    )
    return items.split()[:2]


def test_every_step_was_a_job_and_left_a_table(published: InterestMapStatus) -> None:
    assert published.stage == "Published", published.conditions
    assert [step.name for step in published.steps] == [
        "cluster",
        "transitions",
        "plan-train",
        "plan-bulk",
        "gate",
        "publish",
    ]
    assert published.pairs.planned == published.pairs.total == published.clusters * (published.clusters - 1)
    assert published.table
    assert {verdict.verdict for verdict in published.gates} == {"Pass"}


def test_the_ranker_leads_a_user_to_a_new_interest_and_says_why(
    world: World, published: InterestMapStatus
) -> None:
    history = liked(world)
    model = world.until_stage("recmodel", manifests.REC_MODEL, "Serving")
    door = world.ingress(model.url, manifests.REC_MODEL)

    def guided() -> dict[str, Any] | None:
        answer = door.predict(history=history, k=10)
        return answer if any(answer.get("why") or ()) else None

    answer = wait_for("an answer that leads on", guided, timeout=180, every=2)
    led = [why for why in answer["why"] if why]
    assert 1 <= len(led) <= 2
    for why in led:
        assert why["reason"] == f"because you liked {' and '.join(why['because'])} → {why['interest']}"
        assert why["interest"] not in why["because"]
    plain = door.predict(history=history, k=10, explore=False)
    assert "why" not in plain


def test_the_report_is_beside_the_table(world: World, published: InterestMapStatus) -> None:
    assert published.report_uri
    path = published.report_uri.removeprefix(f"pvc://{manifests.OUTPUT}/")
    assert "Leads on to" in world.volume(f"cat {path}")
