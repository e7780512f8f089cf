"""The report of a run that Fathom itself kept: its plan, its shards, its source."""

import re
from pathlib import Path

import pytest
from builders.catalogues import Writer
from builders.pictures import parquet, png

from fathom.captioning.sources import open_source
from fathom.captioning.store import planning
from fathom.captioning.store.captions import Captions
from fathom.captioning.store.plan import Deal
from fathom.captioning.store.shard import Shard
from fathom.features.command import featurise
from fathom.report import captions
from fathom_api.tasks import FeaturiseTask


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


@pytest.fixture
def task(tmp_path: Path) -> FeaturiseTask:
    ids = [f"item-{n}" for n in range(30)] + ["item-3", None, "broken"]
    images = [png("teal", (30 + n, 40)) for n in range(32)] + [b"<html>an error"]
    table = parquet(tmp_path / "items.parquet", item_id=ids, image=images, title=["A shoe"] * 33)
    return FeaturiseTask.model_validate(
        {
            "source": {"uri": table, "textColumns": ["title"]},
            "output": str(tmp_path / "out"),
            "shards": 2,
            "run": 2,
            "model": {"uri": "hf://a/b"},
        }
    )


def run(task: FeaturiseTask, writer: Writer, number: int, reused: int = 0) -> Captions:
    """Plan and caption all shards of a run."""
    assert task.source
    output, reader = Path(task.output), open_source(task.source)
    plan = planning.make(output, reader, Deal.of(task.source, reader, task.shards, number), "plan")
    for index in range(task.shards):
        shard = Shard(output, plan, index, asked=writer.model)
        writer.work(reader, shard)  # type: ignore[arg-type] # any reader will do
        shard.finish({"model": writer.model}, {"reused": reused})
    return Captions(output, task.shards)


def test_a_run_is_shown_as_it_was_kept(task: FeaturiseTask) -> None:
    broken = {"broken": "HtmlInsteadOfMedia"}
    run(task, Writer(broken=broken), 1)
    store = run(task, Writer(model="m2", broken=broken), 2, reused=4)
    html = captions.write(Path(task.output), task, store).read_text()
    said = words(html)
    assert "Items with captions 30 of 33" in said
    assert "Items with an error 3 9.09 %" in said
    assert "Reused 8" in said
    assert {"NoId", "DuplicateId", "HtmlInsteadOfMedia"} <= set(
        re.findall(r'<h3 dir="auto">(\w+)</h3>', html)
    )
    assert len(re.findall(r'<img src="data:image/webp;base64,', html)) == 30
    assert "HtmlInsteadOfMedia: an HTML page" in said
    assert "title: A shoe" in said
    assert "30 captions differ from before (100 %)" in said


def test_featurising_leaves_a_report_with_the_tokens_it_made(task: FeaturiseTask) -> None:
    run(task, Writer(), 1)
    run(task, Writer(model="m2"), 2)
    featurise(task)
    html = (Path(task.output) / captions.PATH).read_text()
    assert "Items with tokens 100 %" in words(html)
    assert ">caption of</button>" in html
    featurise(task)
    assert (Path(task.output) / captions.PATH).read_text().count("<article") == html.count("<article") > 30
