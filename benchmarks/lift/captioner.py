"""The captioner: learns from posters of films that nobody in MovieLens-100K rated, then sees only pixels.

Each step is the product's own command and is left alone once it is done.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from demo.data import movielens, tables
from demo.data.tables import Dataset
from fathom.captioning import command
from fathom.captioning.store.captions import Captions
from fathom.features import command as featurising
from fathom_api.captioning import ASPECT
from fathom_api.tasks import CaptionTask, FeaturiseTask, FinetuneTask

PROMPT: Final = "What kind of film is this, and of which decade?"
SAMPLES: Final = 16
#: Chosen by the loss on posters held out of those to learn from.
EPOCHS: Final = 3
LEARNING_RATE: Final = 1e-3
SEED: Final = 0
SHARDS: Final = 4


def dataset(folder: Path, data: Path) -> Dataset:
    """Return MovieLens-100K joined with the posters below `data`, kept in `folder`."""
    return tables.cached(folder / "tables", lambda: movielens.make(data))


def features(folder: Path, found: Dataset) -> Path:
    """Return the folder of the caption features of all items, made if need be: tokens and weights."""
    checkpoint = _finetuned(folder / "captioner", found)
    model = {**_question(), "uri": checkpoint, "samples": SAMPLES}
    source = {"uri": str(found.folder / "items.parquet")}
    output = str(folder / "captions")
    asked = {"source": source, "model": model, "output": output, "shards": SHARDS}
    for shard in range(SHARDS):
        command.caption(CaptionTask.model_validate(asked), shard)
    featurising.featurise(
        FeaturiseTask.model_validate(
            {
                **asked,
                "features": {"tokenizer": "WordNgram", "maxNgram": 1, "stopWords": "en"},
            }
        )
    )
    return folder / "captions" / featurising.FOLDER


def captions(folder: Path) -> dict[str, str]:
    """Return the caption of each item: the model's likeliest sentence."""
    batches = Captions(folder / "captions", SHARDS).batches(ASPECT)
    return {item: text for b in batches for item, text in zip(b.item_ids, b.captions, strict=True)}


def _question() -> dict[str, Any]:
    return {"prompt": PROMPT, "maxNewTokens": 24}


def _finetuned(folder: Path, found: Dataset) -> str:
    """Return the checkpoint of the small LLaVA, fine-tuned on pairs of other films' posters and sentences."""
    document = {
        "model": {"uri": "fathom://small-llava", **_question()},
        "fineTune": {
            "uri": str(found.folder / "pairs.parquet"),
            "epochs": EPOCHS,
            "learningRate": LEARNING_RATE,
            "validation": 0.1,
            "evaluatedPairs": 0,
            "seed": SEED,
        },
        "output": str(folder),
    }
    uri = command.finetune(FinetuneTask.model_validate(document)).uri
    assert uri is not None, "a fine-tuning that succeeded has left a model"
    return uri
