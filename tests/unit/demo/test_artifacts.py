"""What the demo reads of what Fathom left."""

import json
from pathlib import Path

from builders.captioned import write_features
from builders.catalogues import Writer, numbered

from demo import manifests
from demo.artifacts import Artifacts


def test_captions_tokens_and_curves_are_read_from_where_a_captionjob_leaves_them(tmp_path: Path) -> None:
    job = tmp_path / manifests.CAPTION_JOB
    Writer().run(job, numbered(5), shards=2)  # what an earlier run made stays, and must not be read
    Writer(model="m2").run(job, numbered(4), shards=2, run=2)
    write_features(job, {"item-0": ["red", "shoe"], "item-1": []})
    version = job / "model" / "versions" / "0123456789ab"
    version.mkdir(parents=True)
    (job / "model" / "latest.json").write_text('{"version": "0123456789ab"}')
    (version / "fine-tuning.json").write_text(json.dumps({"curve": [{"epoch": 1, "loss": 2.0}]}))
    found = Artifacts(tmp_path)
    assert found.captions() == {f"item-{n}": f"caption of item-{n} by m2" for n in range(4)}
    assert found.tokens() == {"item-0": ["red", "shoe"], "item-1": []}
    assert found.fine_tuning() == [{"epoch": 1, "loss": 2.0}]


def test_what_is_not_there_is_empty(tmp_path: Path) -> None:
    assert Artifacts(tmp_path).captions() == {}
    assert Artifacts(tmp_path).fine_tuning() == []
