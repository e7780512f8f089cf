"""What is known of the films besides their ids: caption tokens, genres and decade, vectors of the posters."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from demo.data.tables import Dataset
from fathom import manifest
from fathom.features import coverage, tables
from fathom.features.coverage import Tally
from fathom.features.quantiser import Quantiser
from fathom.features.vocabulary import FIRST, Terms, Vocabulary
from fathom_api.captioning import ASPECT

Floats = NDArray[np.float32]
#: Width of the dense vectors, and the codes made of them: levels and codes of each.
WIDTH: Final = 32
LEVELS, CODES = 3, 32
_TOKENS_EACH: Final = 4
#: Caption tokens that there is room for, more than there are: so arms without captions can be trained before.
MOST_CAPTION_TOKENS: Final = 64
_BATCH: Final = 32


@dataclass(frozen=True)
class Tokens:
    """Tokens by item, each with its weight."""

    names: list[str]
    of: dict[str, dict[int, float]]

    def shuffled(self, seed: int) -> Tokens:
        """Return the same with each item's tokens given to another item, drawn by `seed`."""
        items = sorted(self.of)
        drawn = np.random.default_rng(seed).permutation(len(items))
        return Tokens(self.names, {item: self.of[items[n]] for item, n in zip(items, drawn, strict=True)})

    def none(self) -> Tokens:
        """Return the same vocabulary, of which no item has anything."""
        return Tokens(self.names, {})

    def write(self, folder: Path) -> None:
        """Write them as features of captions, which is what a ranker of ours reads."""
        if (folder / manifest.NAME).is_file():
            return
        ids = np.arange(FIRST, FIRST + len(self.names))
        terms = Terms(self.names, np.ones(len(ids), np.int64))
        known = Vocabulary.fixed({"tokenizer": "lift"}, ids, terms, FIRST + len(ids))
        aspect = folder / ASPECT
        aspect.mkdir(parents=True, exist_ok=True)
        own = {**self.of, **self._unrated()}
        columns = [
            pa.array(list(own), pa.string()),
            pa.array([[FIRST + n for n in tokens] for tokens in own.values()], pa.list_(pa.int32())),
            pa.array([list(tokens.values()) for tokens in own.values()], pa.list_(pa.float32())),
        ]
        pq.write_table(pa.table(columns, names=["item_id", "tokens", "weights"]), aspect / tables.NAME)
        report = Tally().coverage(dict(known.meaning), known)
        (aspect / coverage.NAME).write_text(report.model_dump_json(by_alias=True))
        manifest.write(folder, "Features", counts={}, made_from={})

    def _unrated(self) -> dict[str, dict[int, float]]:
        """Return items that nobody rated and that have every token between them.

        So every arm has the same vocabularies, hence tables, whatever it is told of the others.
        """
        each, count = _TOKENS_EACH, len(self.names)
        return {
            f"unrated-{at}": dict.fromkeys(range(at, min(at + each, count)), 1.0)
            for at in range(0, count, each)
        }


def captions(features: Path) -> Tokens:
    """Return the tokens that `fathom featurise` made of the captioner's samples."""
    vocabulary = pq.read_table(features / ASPECT / "vocabulary.parquet").to_pylist()
    place = {row["id"]: n for n, row in enumerate(vocabulary)}
    rows = pq.read_table(features / ASPECT / tables.NAME).to_pylist()
    of = {
        row["item_id"]: {
            place[token]: weight
            for token, weight in zip(row["tokens"], row["weights"], strict=True)
            if token in place
        }
        for row in rows
    }
    names = [row["token"] for row in vocabulary]
    return Tokens([*names, *blank().names[len(names) :]], of)


def blank() -> Tokens:
    """Return caption tokens before there are captions: as many, of which no item has any."""
    return Tokens([f"unused-{n}" for n in range(MOST_CAPTION_TOKENS)], {})


def words(tokens: Tokens, rows: dict[str, str]) -> Tokens:
    """Return the tokens of `rows`, plain captions by item, in the words of `tokens`, all of weight 1."""
    place = {name: n for n, name in enumerate(tokens.names)}
    from fathom.features.words import words as split

    return Tokens(
        tokens.names,
        {item: {place[w]: 1.0 for w in split(text) if w in place} for item, text in rows.items()},
    )


def metadata(found: Dataset) -> Tokens:
    """Return genres and decade as the shop knows them: the oracle, what a captioner could see at best."""
    rows = found.table("items", ["item_id", "genres", "year"]).to_pylist()
    said = {r["item_id"]: [*r["genres"].split("|"), f"{r['year'] // 10 * 10}s"] for r in rows}
    return _numbered(said)


def vectors(folder: Path, found: Dataset) -> tuple[list[str], Floats]:
    """Return the items and vectors [n, WIDTH] of their posters: whitened principal components.

    The encoder is the captioner's, as ImageNet left it, style included; each of its channels is standardised,
    and the components are those of the posters alone. They are kept in `folder`.
    """
    path = folder / "vectors.npz"
    items = found.table("items", ["item_id"])["item_id"].to_pylist()
    if not path.is_file():
        given = seen(found.table("items", ["image"])["image"].to_pylist())
        standard = (given - given.mean(axis=0)) / (given.std(axis=0) + 1e-3)
        left, values, _ = np.linalg.svd(standard, full_matrices=False)
        np.savez(path, vectors=(left[:, :WIDTH] * np.sqrt(len(given))).astype(np.float32), values=values)
    return items, np.load(path)["vectors"]


def codes(items: list[str], dense: Floats) -> Tokens:
    """Return semantic ids: the prefixes of residual-quantised codes of the posters' vectors."""
    found = Quantiser.learn(dense, LEVELS, CODES).codes(dense)
    said = {
        item: [".".join(map(str, own[: n + 1])) for n in range(LEVELS)]
        for item, own in zip(items, found.tolist(), strict=True)
    }
    return _numbered(said)


def write_items(path: Path, items: list[str], dense: Floats | None) -> None:
    """Write the items table: their vectors, or zeros."""
    known = np.zeros((len(items), WIDTH), np.float32) if dense is None else dense
    columns = {f"v{n}": known[:, n] for n in range(WIDTH)}
    pq.write_table(pa.table({"item_id": items, **columns}), path)


def _numbered(said: dict[str, list[str]]) -> Tokens:
    names = sorted({name for own in said.values() for name in own})
    place = {name: n for n, name in enumerate(names)}
    return Tokens(names, {item: {place[name]: 1.0 for name in own} for item, own in said.items()})


def seen(pictures: list[bytes]) -> Floats:
    """Return what the encoder sees in each of `pictures`, averaged over it [n, width]."""
    import torch
    from PIL import Image

    from fathom.captioning.models.vision import (
        IMAGE_SIZE,
        STYLED,
        EfficientNetLiteConfig,
        EfficientNetLiteModel,
    )

    model = EfficientNetLiteModel(EfficientNetLiteConfig(style=True, hidden_size=STYLED)).eval()
    model.load_imagenet()
    parts: list[Floats] = []
    for start in range(0, len(pictures), _BATCH):
        opened = [Image.open(io.BytesIO(p)).convert("RGB") for p in pictures[start : start + _BATCH]]
        sized = [np.asarray(p.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC)) for p in opened]
        pixels = torch.from_numpy((np.stack(sized).astype(np.float32) - 127) / 128).permute(0, 3, 1, 2)
        with torch.inference_mode():
            parts.append(model(pixels).last_hidden_state.mean(dim=1).numpy())
    return np.concatenate(parts)


def describe(tokens: Tokens) -> str:
    """Return the vocabulary's size and the mean number and weight of tokens of an item, as JSON."""
    own = list(tokens.of.values())
    count, weight = np.mean([len(o) for o in own]), np.mean([sum(o.values()) for o in own])
    used = len({n for o in own for n in o})
    return json.dumps({"vocabulary": used, "tokens": float(count), "weight": float(weight)})
