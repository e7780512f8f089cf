"""`fathom understand`: what a multimodal LLM says of each cluster by its most typical media.

What was said is kept by content, so that a cluster whose media, prompt and model are what they were is not
asked about again, whatever became of the others.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from fathom import manifest, storage
from fathom.captioning import engines, media
from fathom.captioning.engines import Answer, Engine, Question
from fathom.captioning.media import Clip
from fathom.captioning.media.unusable import UnusableMediaError
from fathom.captioning.sources import SourceReader, open_source
from fathom.errors import InvalidInputError
from fathom.interests import reading, summaries
from fathom.interests.reading import identity, outcome
from fathom.progress import reporter
from fathom.report.pictures import places_of, ranges
from fathom.serendipity.clusters import Cluster
from fathom.storage import Location, appearing
from fathom_api.interest_tasks import UnderstandTask
from fathom_api.progress import Outcome, Progress

_ASPECT: Final = "summary"
#: Clusters whose pictures are in memory at once.
_AT_ONCE: Final = 8
_log = logging.getLogger("fathom")


@dataclass(frozen=True)
class _Shown:
    """A cluster and the media that stand for it."""

    cluster: Cluster
    clips: list[Clip]
    digests: list[str]


def understand(task: UnderstandTask) -> Outcome:
    """Say what each cluster is about, unless that is said.

    Raises:
        InvalidInputError: the model or the source cannot be opened, or no cluster has media to show.
    """
    folder = storage.resolve(task.output)
    clusters = reading.clusters(task.clusters, None).finest
    model = task.model.model_copy(update={"prompt": task.understanding.prompt, "prompts": [], "samples": 0})
    engine = engines.open_engine(model)
    made_from = identity(task, clusters=reading.digest(task.clusters), model=engine.digest)
    reused = 0
    if manifest.unchanged(folder, made_from) is None:
        said: dict[int, str] = {}
        with reporter() as report:
            for shown in _shown(task, clusters):
                found, known = _said(task, engine, shown)
                said |= found
                reused += known
                report.update(Progress(total=len(clusters), done=len(said), reused=reused))
        if not any(said.values()):
            raise InvalidInputError(
                "NothingSaid",
                f"{task.source.uri}: none of the clusters' typical items has media that the model could "
                "describe; correct the source, or remove spec.understanding",
            )
        summaries.write(folder, {i: text for i, text in said.items() if text}, made_from)
    described = summaries.read(folder)
    digest = reading.digest(task.output)
    return outcome(task.output, digest, done=len(described), reused=float(reused))


def _shown(task: UnderstandTask, clusters: Sequence[Cluster]) -> Iterator[list[_Shown]]:
    """Yield a few clusters at a time, with their media."""
    reader = open_source(task.source)
    wanted = {i for cluster in clusters for i in cluster.representatives[: task.understanding.media]}
    rows = {item: row for row, item in places_of(reader, wanted).items()}
    for start in range(0, len(clusters), _AT_ONCE):
        some = clusters[start : start + _AT_ONCE]
        chosen = [[i for i in c.representatives[: task.understanding.media] if i in rows] for c in some]
        needed = sorted({rows[item] for items in chosen for item in items})
        clips = _clips(task, reader, needed)
        yield [
            _Shown(
                cluster,
                [clips[rows[i]][0] for i in items if rows[i] in clips],
                [clips[rows[i]][1] for i in items if rows[i] in clips],
            )
            for cluster, items in zip(some, chosen, strict=True)
        ]


def _clips(task: UnderstandTask, reader: SourceReader, rows: list[int]) -> dict[int, tuple[Clip, str]]:
    """Return the media of `rows` and their digests; what cannot be read is passed over, the log says why."""
    found: dict[int, tuple[Clip, str]] = {}
    for start, stop in ranges(rows):
        for item in reader.items(start, stop):
            if item.row not in rows:
                continue
            try:
                own = media.read(item.media, task.source)
                found[item.row] = media.decode(own, task.source), own.sha256
            except UnusableMediaError as error:
                _log.warning("item %s: %s", item.id, error)
    return found


def _said(task: UnderstandTask, engine: Engine, shown: list[_Shown]) -> tuple[dict[int, str], int]:
    """Return what is said of each cluster by id, and how many of them were asked about before."""
    cache = storage.resolve(task.cache)
    keys = {one.cluster.id: _key(task, engine, one) for one in shown}
    known = {i: text for i, key in keys.items() if (text := _cached(cache, key)) is not None}
    left = [one for one in shown if one.cluster.id not in known]
    found = {one.cluster.id: "" for one in left if not one.clips}
    for one, text in zip(
        asked := [one for one in left if one.clips], _answers(task, engine, asked), strict=True
    ):
        found[one.cluster.id] = text
        with appearing(cache / f"{keys[one.cluster.id]}.json") as path:
            path.write_text(json.dumps({"summary": text}, ensure_ascii=False))
    return known | found, len(known)


def _answers(task: UnderstandTask, engine: Engine, shown: Sequence[_Shown]) -> list[str]:
    """Return what the model says of each, seeing all its media at once or, if it cannot, one by one."""
    try:
        together = [_question(task, engine, one, _joined(one.clips)) for one in shown]
        return [_text([answer]) for answer in engine.answer(together)] if together else []
    except InvalidInputError as error:
        if error.reason != "OnePictureOnly":
            raise
    apart: list[str] = []
    for one in shown:
        questions = [_question(task, engine, one, clip) for clip in one.clips]
        apart.append(_text(engine.answer(questions)))
    return apart


def _joined(clips: Sequence[Clip]) -> Clip:
    """Return the media as one: a picture of each, or all of a single one."""
    return clips[0] if len(clips) == 1 else Clip(tuple(clip.frames[0] for clip in clips), ())


def _question(task: UnderstandTask, engine: Engine, one: _Shown, clip: Clip) -> Question:
    words = engine.clean(", ".join(one.cluster.keywords))
    prompt = task.understanding.prompt.replace("{keywords}", words)
    return Question(
        _ASPECT, prompt, clip, task.understanding.max_new_tokens, varies="{" in task.understanding.prompt
    )


def _text(answers: Iterable[object]) -> str:
    """Return what was said, each different thing once."""
    said = [engines.one_line(answer.text) for answer in answers if isinstance(answer, Answer)]
    return "; ".join(dict.fromkeys(text for text in said if text))


def _key(task: UnderstandTask, engine: Engine, one: _Shown) -> str:
    settings = task.understanding
    told = [engine.digest, engine.decoding, settings.prompt, settings.max_new_tokens, one.digests]
    told += one.cluster.keywords if "{keywords}" in settings.prompt else []
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


def _cached(cache: Location, key: str) -> str | None:
    path = cache / f"{key}.json"
    if not path.is_file():
        return None
    try:
        return str(json.loads(path.read_text())["summary"])
    except (ValueError, KeyError, TypeError):
        return None  # Damaged: asked again.
