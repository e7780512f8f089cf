"""The arms: rankers with the same parameters, of which each is told something else about the films.

Every arm has a column of caption tokens, one of metadata, one of semantic ids and the vectors' numbers; what
an arm is not told is empty. So all have the same tables and layers, and a difference is one of information.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.lift import sources
from benchmarks.lift.sources import Floats, Tokens

NONE: Final = "ids + user features"
CAPTIONS: Final = "+ caption tokens"
SHUFFLED: Final = "+ shuffled caption tokens"
WORDS: Final = "+ the caption's words alone"
DENSE: Final = "+ dense image vector"
CODES: Final = "+ semantic ids"
METADATA: Final = "+ genre and year (oracle)"
BOTH: Final = "+ caption tokens and genre"
#: Those that the claim is about come first: a run that is interrupted has them.
ARMS: Final = (NONE, CAPTIONS, SHUFFLED, METADATA, WORDS, DENSE, CODES, BOTH)
#: Those that need no captioner.
PLAIN: Final = (NONE, METADATA, DENSE, CODES)


@dataclass(frozen=True)
class Known:
    """All that can be known of the films."""

    items: list[str]
    captions: Tokens
    words: Tokens
    metadata: Tokens
    codes: Tokens
    dense: Floats


def told(known: Known, arm: str, seed: int) -> tuple[dict[str, Tokens], Floats | None]:
    """Return the tokens by feature, and the vectors, that `arm` is told; `seed` draws what is shuffled."""
    captions = {
        CAPTIONS: known.captions,
        BOTH: known.captions,
        SHUFFLED: known.captions.shuffled(seed),
        WORDS: known.words,
    }
    tokens = {
        "captions": captions.get(arm, known.captions.none()),
        "metadata": known.metadata if arm in {METADATA, BOTH} else known.metadata.none(),
        "codes": known.codes if arm == CODES else known.codes.none(),
    }
    return tokens, known.dense if arm == DENSE else None


def write(folder: Path, known: Known, arm: str, seed: int) -> tuple[Path, dict[str, str]]:
    """Write what `arm` is told below `folder`; return the items table and the folder of each feature."""
    tokens, dense = told(known, arm, seed)
    items = folder / ("vectors" if dense is not None else "zeros") / "items.parquet"
    if not items.is_file():
        items.parent.mkdir(parents=True, exist_ok=True)
        sources.write_items(items, known.items, dense)
    folders: dict[str, str] = {}
    for name, own in tokens.items():
        what = f"{name}-none"
        if own.of:
            # Only what is shuffled differs from seed to seed.
            what = f"{name}-{'shuffled' if arm == SHUFFLED else 'words' if arm == WORDS else 'true'}"
            what += f"-{seed}" if arm == SHUFFLED else ""
        own.write(folder / what)
        folders[name] = str(folder / what)
    return items, folders


def features(pooling: str) -> dict[str, Any]:
    """Return the features of every arm."""
    captions = [
        {"captionJob": name, "pooling": pooling, "userHistory": {"maxItems": 20}}
        for name in ("captions", "metadata", "codes")
    ]
    return {
        "user": [{"column": "age_group"}, {"column": "occupation"}],
        "item": [{"column": f"v{n}", "type": "Numeric"} for n in range(sources.WIDTH)],
        "captions": captions,
    }
