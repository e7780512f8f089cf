"""`fathom items` writes what the CaptionJob says of new items, tokens and weights; the server ranks by it."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders.bundles import make_bundle
from builders.featured import Captions

from fathom import manifest
from fathom.errors import InvalidInputError
from fathom.features.command import write as featurise
from fathom.features.coverage import NAME as COVERAGE
from fathom.features.coverage import Coverage
from fathom.ranking import overlay
from fathom.ranking.schema import weights_name
from fathom.ranking.scorer import Bundle, ScoreRequest, load
from fathom.serving.reload import Reload
from fathom_api.tasks import FeaturiseTask
from fathom_api.tokens import CaptionFeatures

CAPTIONS = "captions/catalog"
SAID = {"i1": "red car", "i2": "red bus", "new": "old red bus", "silent": ""}


def features_of(folder: Path, captions: Mapping[str, str]) -> tuple[Path, str]:
    """Return the features of `captions`, as `fathom featurise` makes them, and their vocabulary."""
    features = CaptionFeatures(min_count=1, max_ngram=1).document()
    task = FeaturiseTask.model_validate(
        {"output": str(folder), "features": features, "model": {"uri": "fathom://small-llava"}}
    )
    featurise(task, folder, Captions({"caption": captions}))
    text = (folder / "features" / "caption" / COVERAGE).read_bytes()
    return folder / "features", Coverage.model_validate_json(text).vocabulary


def score(of: Bundle, item: str, **described: object) -> float:
    items = {item: described} if described else {}
    return float(of.score(ScoreRequest("u1", candidates=[item], items=items))[0])


def test_new_items_of_a_caption_job_are_ranked_by_what_was_said_of_them(tmp_path: Path) -> None:
    made, vocabulary = features_of(tmp_path / "job", SAID)
    folder = make_bundle(tmp_path / "bundle", vocabulary=vocabulary)
    written = overlay.write(tmp_path / "items", folder, {"catalog": made})
    assert written.counts == {"items": 2}, "those the bundle does not know"
    served = load(folder)
    nothing_known = score(served, "new")
    Reload(served, str(tmp_path / "items")).look()
    tokens = {
        row["item_id"]: row["tokens"] for row in pq.read_table(made / "caption/features.parquet").to_pylist()
    }
    assert score(served, "new") == pytest.approx(score(served, "nobody", **{CAPTIONS: tokens["new"]}))
    assert score(served, "new") != nothing_known


def test_features_of_another_vocabulary_are_refused(tmp_path: Path) -> None:
    made, _ = features_of(tmp_path / "job", SAID)
    folder = make_bundle(tmp_path / "bundle", vocabulary="of another job")
    with pytest.raises(InvalidInputError, match="which is not the one") as refused:
        overlay.write(tmp_path / "items", folder, {"catalog": made})
    assert refused.value.reason == "OtherVocabulary"


@pytest.fixture
def weighing(tmp_path: Path) -> Bundle:
    """A bundle to which the weights of tokens matter."""
    return load(make_bundle(tmp_path / "weighing", pooling="Weighted"))


def put(folder: Path, served: Bundle, tokens: list[int], weights: list[float] | None) -> None:
    columns = {"item_id": pa.array(["new"]), CAPTIONS: pa.array([tokens], pa.list_(pa.int32()))}
    if weights is not None:
        columns[weights_name(CAPTIONS)] = pa.array([weights], pa.list_(pa.float32()))
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), folder / overlay.ITEMS)
    digest = overlay.schema_digest(served.info.features)
    manifest.write(folder, overlay.KIND, counts={}, made_from={overlay.SCHEMA: digest})


@pytest.mark.parametrize(
    ("weights", "as_if"),
    [
        pytest.param([1.0, 1.0], [5, 7], id="tokens of full weight count as tokens without weights"),
        pytest.param([1.0, 1e-9], [5], id="a token of next to no weight does not count"),
        pytest.param(None, [5, 7], id="without weights all tokens count fully"),
    ],
)
def test_tokens_of_new_items_count_by_their_weights(
    weighing: Bundle, tmp_path: Path, weights: list[float] | None, as_if: list[int]
) -> None:
    put(tmp_path / "items", weighing, [5, 7], weights)
    Reload(weighing, str(tmp_path / "items")).look()
    assert score(weighing, "new") == pytest.approx(score(weighing, "nobody", **{CAPTIONS: as_if}), abs=1e-6)


def test_half_a_weight_is_neither_all_nor_nothing(weighing: Bundle, tmp_path: Path) -> None:
    put(tmp_path / "items", weighing, [5, 7], [1.0, 0.5])
    Reload(weighing, str(tmp_path / "items")).look()
    others = {score(weighing, "nobody", **{CAPTIONS: tokens}) for tokens in ([5], [5, 7])}
    assert len({round(one, 6) for one in others | {score(weighing, "new")}}) == 3
