"""Mistakes people make: told with their fix, and forgotten once they are put right."""

from __future__ import annotations

from e2e.world import World, stalled

from demo import manifests


def test_a_wrong_column_is_told_with_the_columns_there_are(world: World) -> None:
    source = world.caption_job("x")["spec"]["source"] | {"mediaColumn": "picture"}
    world.kube.apply([world.caption_job("wrong-column", source=source, **world.learned())])
    status = world.until("captionjob", "wrong-column", stalled, "it is stalled")
    message = stalled(status)
    assert message
    for word in ("picture", "image", "item_id"):
        assert word in message
    assert all(job["status"].get("active", 0) == 0 for job in world.jobs("wrong-column"))


def test_a_wrong_label_column_is_told_with_the_columns_there_are(world: World) -> None:
    model = world.rec_model("wrong-label", None)
    model["spec"]["data"]["label"] = "clicked"
    world.kube.apply([model])
    message = stalled(world.until("recmodel", "wrong-label", stalled, "it is stalled"))
    assert message
    for word in ("clicked", "liked", "user_id"):
        assert word in message


def test_a_claim_that_is_made_later_is_found(world: World) -> None:
    spec = {"source": {"uri": "pvc://later/items.parquet"}, **world.learned()}
    world.kube.apply([world.caption_job("early", **spec)])
    message = stalled(world.until("captionjob", "early", stalled, "it is stalled"))
    assert message
    assert "MissingClaim" in message
    assert "later" in message
    claim = manifests.load("volumes", world.namespace)[0]
    claim["metadata"]["name"] = "later"
    world.kube.apply([claim])
    world.until("captionjob", "early", lambda s: stalled(s) is None, "it goes on", timeout=60)


def test_a_caption_job_that_is_made_later_is_waited_for(world: World) -> None:
    world.kube.apply([world.rec_model("waits", "not-yet")])

    def waits(status: object) -> bool:
        conditions = getattr(status, "conditions", [])
        return any(c.status == "True" and "not-yet" in c.message for c in conditions)

    world.until("recmodel", "waits", waits, "it names the CaptionJob it waits for", timeout=60)
    assert not world.jobs("waits")
