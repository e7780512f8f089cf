"""A gallery of pictures gets a new embedding model while it is searched: no query fails, no item is lost."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from builders.backfills import write_gallery, write_queries
from e2e.world import World

from demo import manifests
from demo.kube import Object
from demo.steps import load
from demo.waiting import wait_for
from fathom_api import API_VERSION
from fathom_api.backfill_status import BackfillStatus

NAME = "drawings"
ITEMS = 240
FOLDER = f"/volumes/{manifests.OUTPUT}/{NAME}"
STOP, SAID = f"{FOLDER}/stop", f"{FOLDER}/said"
MODELS = ("fathom://efficientnet-lite0/32", "fathom://efficientnet-lite0/96")
#: Asks one picture after the other until told to stop; once more, later, where a connection breaks.
ASK = """
import base64, json, pathlib, time, httpx, pyarrow.parquet as q
images = [base64.b64encode(i).decode() for i in q.read_table("{folder}/queries.parquet")["image"].to_pylist()]
url, stop = "http://{name}/v1/models/{name}:predict", pathlib.Path("{folder}/stop")
asked, again, failed, number = 0, 0, [], 0
while not stop.exists():
    number += 1
    document = {{"instances": [{{"image": {{"b64": images[number % len(images)]}}, "k": 10}}]}}
    for attempt in (1, 2):
        try:
            answer = httpx.post(url, json=document, timeout=30)
        except httpx.TransportError as error:
            again += 1
            why = type(error).__name__
            time.sleep(1)
            continue
        ids = answer.json()["predictions"][0]["item_ids"] if answer.status_code == 200 else []
        why = "" if len(set(ids)) == len(ids) == 10 else f"{{answer.status_code}} {{answer.text[:200]}}"
        break
    asked += 1
    failed += [why] if why else []
    time.sleep(0.05)
pathlib.Path("{folder}/said").write_text(json.dumps({{"asked": asked, "again": again, "failed": failed}}))
"""


@dataclass(frozen=True)
class Upgraded:
    """What came of it: the status in the end, and what the one who asked all the time says."""

    status: BackfillStatus
    said: dict[str, Any]


def manifest(world: World, **spec: Any) -> Object:
    small = {"requests": {"cpu": "100m", "memory": "400Mi"}}
    return {
        "apiVersion": API_VERSION,
        "kind": "Backfill",
        "metadata": {"name": NAME, "namespace": world.namespace},
        "spec": {
            "gallery": {"uri": f"pvc://{manifests.OUTPUT}/{NAME}/items.parquet"},
            "from": {"model": MODELS[0]},
            "to": {"model": MODELS[1]},
            "compatibility": {"method": "Procrustes", "pairs": 200, "labels": "kind"},
            "order": {"policy": "Popularity", "column": "views"},
            "pace": {"parallelism": 2, "itemsPerSecond": 4},
            "target": 40,
            "probes": {"queries": f"pvc://{manifests.OUTPUT}/{NAME}/queries.parquet"},
            "serving": {"replicas": 2, "resources": small},
            "retention": {"old": "1s"},
            "output": {"uri": f"pvc://{manifests.OUTPUT}/{NAME}/out"},
            "template": {"resources": small},
            **spec,
        },
    }


def pods(world: World, stage: str) -> list[str]:
    """Return the running pods of a stage."""
    found = world.kube.list("pods", world.namespace, f"fathom.dev/name={NAME},fathom.dev/stage={stage}")
    return [p["metadata"]["name"] for p in found if p["status"].get("phase") == "Running"]


def retrievers_answer(world: World) -> bool:
    found = world.kube.list("pods", world.namespace, f"fathom.dev/name={NAME},fathom.dev/stage=retrieve")
    conditions = [c for p in found for c in p["status"].get("conditions", [])]
    return sum(c["type"] == "Ready" and c["status"] == "True" for c in conditions) == 2


@pytest.fixture(scope="module")
def gallery(world: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Put a gallery and queries with known answers on the output volume."""
    folder = tmp_path_factory.mktemp("gallery")
    write_gallery(folder / "items.parquet", ITEMS)
    write_queries(folder / "queries.parquet", 40, ITEMS)
    (folder / "ask.py").write_text(ASK.format(folder=FOLDER, name=NAME))
    load.open_volumes(world.context)
    world.kube.exec("loader", world.namespace, "mkdir", "-p", FOLDER)
    world.kube.exec(
        "loader", world.namespace, "tar", "x", "-C", FOLDER, stdin=load.archived(sorted(folder.iterdir()))
    )
    return world


@pytest.fixture(scope="module")
def upgraded(gallery: World) -> Upgraded:
    world = gallery
    world.kube.apply([manifest(world)])
    world.until("backfill", NAME, lambda s: s.stage == "Moving", "items move", timeout=900)
    wait_for("both retrievers answer", lambda: retrievers_answer(world), timeout=300)
    world.kube.exec("loader", world.namespace, "rm", "-f", STOP, SAID)
    world.kube.exec(
        "loader", world.namespace, "sh", "-c", f"python3 {FOLDER}/ask.py >{FOLDER}/ask.log 2>&1 &"
    )
    world.until("backfill", NAME, lambda s: s.items.moved > 0, "something has moved", timeout=300)
    for mover in pods(world, "move")[:1]:
        world.kube.delete("pod", mover, world.namespace, "--force", "--grace-period=0")
    holding = world.until("backfill", NAME, lambda s: s.stage == "Holding", "it holds at 40 %", timeout=600)
    assert 0.4 <= holding.beta < 0.5
    world.kube.patch("backfill", NAME, world.namespace, {"spec": {"target": 10}})
    world.until("backfill", NAME, lambda s: s.beta == 0.1, "it is rolled back", timeout=300)
    world.kube.patch("backfill", NAME, world.namespace, {"spec": {"target": 100}})
    world.until("backfill", NAME, lambda s: s.stage == "Moving" and s.beta >= 0.4, "it goes on", timeout=300)
    world.leader_changed(world.kill_operator())
    world.kube.delete("pod", pods(world, "retrieve")[0], world.namespace, "--wait=false")
    world.until_stage("backfill", NAME, "Complete", timeout=1200)
    wait_for("both retrievers answer", lambda: retrievers_answer(world), timeout=300)
    world.kube.exec("loader", world.namespace, "touch", STOP)
    said = wait_for("who asked says how it went", lambda: _said(world), timeout=60)
    status = world.status("backfill", NAME)
    assert isinstance(status, BackfillStatus)
    return Upgraded(status, said)


def test_no_query_failed_while_pods_died(upgraded: Upgraded) -> None:
    assert upgraded.said["asked"] > 100
    assert upgraded.said["failed"] == []


def test_every_item_is_in_the_new_space_exactly_once(upgraded: Upgraded, gallery: World) -> None:
    script = (
        "import glob, pyarrow.parquet as q\n"
        f"for f in glob.glob('{FOLDER}/out/gallery/new/*.parquet'):\n"
        "  print(*q.read_table(f, columns=['id'])['id'].to_pylist(), sep='\\n')"
    )
    ids = gallery.volume(f'python3 -c "{script}"').split()
    assert sorted(ids) == [f"item-{n:04d}" for n in range(ITEMS)]
    assert gallery.volume(f"ls {FOLDER}/out/gallery/old | wc -l").strip() == "0"


def test_the_probes_were_asked_at_every_percent(upgraded: Upgraded) -> None:
    curve = upgraded.status.probes
    assert [probe.percent for probe in curve] == list(range(101))
    assert curve[-1].recall > curve[0].recall


def test_the_status_says_that_all_is_done(upgraded: Upgraded) -> None:
    assert upgraded.status.beta == 1
    assert upgraded.status.completed == ["estimate", "pair", "fit", "move", "complete", "drop"]
    assert upgraded.status.report_uri == f"pvc://{manifests.OUTPUT}/{NAME}/out/report/index.html"


def _said(world: World) -> dict[str, Any] | None:
    found: bytes = world.kube.exec("loader", world.namespace, "sh", "-c", f"cat {SAID} 2>/dev/null || true")
    return json.loads(found) if found else None
