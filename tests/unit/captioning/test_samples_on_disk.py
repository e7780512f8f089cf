"""Samples in the captions' table, and tables from before there were samples."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from fathom.captioning.store import parts, view
from fathom.captioning.store.hashing import identities
from fathom.captioning.store.parts import CaptionRow


def row(item: str, samples: list[str] | None) -> CaptionRow:
    return CaptionRow(
        item, "caption", "a dog", "key", "media", "model", "prompt", 2, 1.0, "Stop", 0.0, samples
    )


def content(path: Path, rows: list[CaptionRow]) -> str:
    [batch] = parts.table(rows, parts.CAPTIONS).to_batches()
    wanted = view.Wanted(identities(batch, 0))
    return view.write_captions(path, [batch], wanted, 0).digest()


@pytest.mark.parametrize("samples", [None, [], ["a dog", "a wolf"]])
def test_samples_come_back_as_they_were(tmp_path: Path, samples: list[str] | None) -> None:
    content(tmp_path / "c.parquet", [row("1", samples)])
    [batch] = parts.batches(tmp_path / "c.parquet", ["item_id", "samples"])
    assert batch.to_pylist() == [{"item_id": "1", "samples": samples}]


def test_files_from_before_there_were_samples_have_none(tmp_path: Path) -> None:
    old = parts.table([row("1", None)], parts.CAPTIONS).drop_columns(["samples"])
    parts.write(tmp_path / "c.parquet", old)
    [batch] = parts.batches(tmp_path / "c.parquet", parts.CAPTIONS.names)
    with parts.reading(tmp_path / "c.parquet") as file:
        rows = parts.group(file, 0, parts.CAPTIONS.names)
    assert batch.schema.equals(parts.CAPTIONS)
    assert rows.equals(parts.table([row("1", None)], parts.CAPTIONS))
    assert pa.Table.from_batches([batch]).equals(rows)


def test_other_samples_are_another_content(tmp_path: Path) -> None:
    kinds = [None, ["a dog"], ["a dog", "a wolf"], ["a wolf", "a dog"]]
    digests = [content(tmp_path / f"{n}.parquet", [row("1", own)]) for n, own in enumerate(kinds)]
    assert len(set(digests)) == len(kinds)
