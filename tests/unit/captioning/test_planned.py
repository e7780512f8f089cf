"""`fathom plan`, and `fathom caption` with a plan and without."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from builders.pictures import parquet, png
from typer.testing import CliRunner

from fathom.captioning import command
from fathom.captioning.store.plan import read
from fathom.cli import app
from fathom.errors import InvalidInputError
from fathom_api.tasks import CaptionTask, PlanTask


def document(root: Path, **more: object) -> dict[str, object]:
    return {"source": {"uri": str(root / "items.parquet")}, "output": str(root / "out"), **more}


def write(root: Path, ids: list[str | None]) -> None:
    parquet(root / "items.parquet", item_id=ids, image=[png("red") for _ in ids])


def opened(root: Path, shard: int = 0, **more: object) -> command.Shard:
    task = CaptionTask.model_validate({**document(root, **more), "model": {"uri": "a-model"}})
    return command.open_shard(task, shard)[1]


def test_a_plan_is_made_and_tells_what_it_found(tmp_path: Path) -> None:
    write(tmp_path, ["a", "b", None, "a"])
    outcome = command.plan(PlanTask.model_validate(document(tmp_path, shards=2)))
    assert outcome.uri == f"{tmp_path}/out/plan"
    assert outcome.digest
    assert outcome.progress.total == 4
    assert outcome.progress.metrics == {"captions": 0, "errors": 0, "duplicates": 1, "no_id": 1}


def test_a_shard_takes_its_rows_of_the_plan(tmp_path: Path) -> None:
    write(tmp_path, ["a", "b", None, "c", "d"])
    command.plan(PlanTask.model_validate(document(tmp_path, shards=2)))
    shard = opened(tmp_path, 1, shards=2)
    assert (shard.start, shard.stop, shard.total, shard.skipped_rows) == (2, 5, 3, {2})


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param({"shards": 3}, "shards 3, planned was 2", id="other shards"),
        pytest.param({"shards": 2, "run": 5}, "run 5, planned was 1", id="another run"),
        pytest.param(
            {"shards": 2, "source": {"idColumn": "image"}},
            "a source with the fingerprint",
            id="another id column",
        ),
    ],
)
def test_a_plan_that_somebody_made_for_another_task_is_not_used(
    change: dict[str, object], complaint: str, tmp_path: Path
) -> None:
    write(tmp_path, ["a", "b"])
    given = document(tmp_path, shards=2)
    command.plan(PlanTask.model_validate(given))
    change = {**change, "source": {**given["source"], **change.get("source", {})}}  # type: ignore[dict-item]
    with pytest.raises(InvalidInputError, match=complaint) as refused:
        opened(tmp_path, **change)
    assert refused.value.reason == "StalePlan"


def test_without_a_plan_one_is_made_and_made_anew_when_the_source_has_changed(tmp_path: Path) -> None:
    write(tmp_path, ["a", "b"])
    assert opened(tmp_path).total == 2
    write(tmp_path, ["a", "b", "c"])
    assert opened(tmp_path).total == 3
    plan = read(tmp_path / "out")
    assert plan is not None
    assert plan.maker == "caption"


def test_a_stale_plan_ends_the_process_with_the_code_that_is_not_retried(tmp_path: Path) -> None:
    write(tmp_path, ["a"])
    command.plan(PlanTask.model_validate(document(tmp_path)))
    task = tmp_path / "task.json"
    task.write_text(json.dumps({**document(tmp_path, run=2), "model": {"uri": "a-model"}}))
    ended = CliRunner().invoke(app, ["caption", "--task", str(task)])
    assert ended.exit_code == 65
    assert "StalePlan" in ended.stdout


def test_planning_and_opening_a_shard_load_no_model_library(tmp_path: Path) -> None:
    write(tmp_path, ["a", "b"])
    task = json.dumps({**document(tmp_path), "model": {"uri": "a-model"}})
    code = (
        "import sys\n"
        "from fathom.captioning.command import open_shard\n"
        "from fathom_api.tasks import CaptionTask\n"
        "reader, shard = open_shard(CaptionTask.model_validate_json(sys.argv[1]), 0)\n"
        "next(iter(reader.items(shard.start, shard.stop)))\n"
        "print(sorted({'torch', 'transformers', 's3fs', 'httpx'} & set(sys.modules)))\n"
    )
    said = subprocess.run([sys.executable, "-c", code, task], check=True, capture_output=True, text=True)
    assert said.stdout.strip() == "[]"
