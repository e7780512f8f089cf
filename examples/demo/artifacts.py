"""What Fathom left on the volume, read for people: captions, tokens, curves."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from demo import manifests
from demo.context import Context
from demo.steps.load import fetch
from fathom.captioning.store import plan
from fathom.captioning.store.captions import Captions
from fathom_api.captioning import ASPECT


@dataclass(frozen=True)
class Artifacts:
    """Copies of what Fathom made, below a folder of this machine."""

    folder: Path

    def captions(self) -> dict[str, str]:
        """Return the caption of each item."""
        root = self.folder / manifests.CAPTION_JOB
        planned = plan.read(root)
        if planned is None:
            return {}
        batches = Captions(root, planned.deal.shards).batches(ASPECT)
        return {item: text for b in batches for item, text in zip(b.item_ids, b.captions, strict=True)}

    def tokens(self) -> dict[str, list[str]]:
        """Return the tokens of each item, in words."""
        features = self.folder / manifests.CAPTION_JOB / "features" / ASPECT
        words = pq.read_table(features / "vocabulary.parquet", columns=["id", "token"])
        names: Mapping[int, str] = dict(zip(words["id"].to_pylist(), words["token"].to_pylist(), strict=True))
        table = pq.read_table(features / "features.parquet", columns=["item_id", "tokens"])
        rows: Sequence[dict[str, Any]] = table.to_pylist()
        return {row["item_id"]: [names[t] for t in row["tokens"] if t in names] for row in rows}

    def bundle(self, version: str, arm: str) -> dict[str, Any]:
        """Return the description of a model bundle, empty where there is none."""
        return _json(self.folder / manifests.REC_MODEL / version / arm / "bundle.json")

    def evaluation(self, version: str) -> dict[str, Any]:
        """Return the evaluation of a version, empty where there is none."""
        return _json(self.folder / manifests.REC_MODEL / version / "evaluation.json")

    def fine_tuning(self) -> list[dict[str, float]]:
        """Return the curve of the captioner's fine-tuning, empty where there is none."""
        model = self.folder / manifests.CAPTION_JOB / "model"
        version = _json(model / "latest.json").get("version", "")
        return _json(model / "versions" / version / "fine-tuning.json").get("curve", [])


def copy(context: Context) -> Artifacts:
    """Return copies of captions, features and the models' descriptions."""
    folder = context.out / "artifacts"
    job, model = manifests.CAPTION_JOB, manifests.REC_MODEL
    wanted = [f"{job}/{name}" for name in ("plan", "captions", "features", "report")]
    wanted += [f"{job}/model/latest.json", f"{job}/model/versions/*/fine-tuning.json"]
    wanted += [f"{model}/*/evaluation.json", f"{model}/*/*/bundle.json"]
    with fetch(context, *wanted) as archive:
        archive.extractall(folder, filter=_only_files)
    return Artifacts(folder)


def _only_files(member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
    return tarfile.data_filter(member, path) if member.isfile() else None


def _json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text()) if file.is_file() else {}
