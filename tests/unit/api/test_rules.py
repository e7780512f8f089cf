"""The models refuse what the API server refuses (tests/integration asks it): a laptop refuses it too."""

from __future__ import annotations

import re

import pytest
from builders.good import GOOD_CAPTION_JOBS
from builders.manifests import Manifest, backfill, caption_job, rec_model, steps
from builders.refusals import BOUNDS, RULES, Refusal
from pydantic import BaseModel, ValidationError

from fathom_api.crd import KINDS
from fathom_api.meta import ApiModel

SPECS: dict[str, type[BaseModel]] = {kind.kind: kind.spec for kind in KINDS}


def parse(manifest: Manifest) -> BaseModel:
    return SPECS[manifest["kind"]].model_validate(manifest["spec"])


@pytest.mark.parametrize("refusal", [pytest.param(r, id=r.because) for r in BOUNDS])
def test_a_value_out_of_bounds_is_refused_where_it_is(refusal: Refusal) -> None:
    with pytest.raises(ValidationError) as refused:
        parse(refusal.manifest)
    places = [".".join(str(part) for part in error["loc"]) for error in refused.value.errors()]
    assert any(place.startswith(refusal.field) for place in places), places


@pytest.mark.parametrize("refusal", [pytest.param(r, id=r.because) for r in RULES])
def test_a_broken_rule_is_told_with_its_fix(refusal: Refusal) -> None:
    with pytest.raises(ValidationError, match=re.escape(refusal.sentence)):
        parse(refusal.manifest)


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(caption_job(), id="a CaptionJob that says only what it must"),
        pytest.param(
            caption_job(
                spec__model__uri="fathom://small-llava", spec__fineTune={"uri": "pvc://media/pairs.parquet"}
            ),
            id="the small model, taught first",
        ),
        *GOOD_CAPTION_JOBS,
        pytest.param(rec_model(), id="a RecModel that says only what it must"),
        pytest.param(rec_model(spec__serving={}), id="served with all defaults"),
        pytest.param(rec_model(spec__serving__rollout__steps=steps(1, 2, 100)), id="weights that rise"),
        pytest.param(rec_model(spec__serving__mode="Standard"), id="Standard mode, at once"),
        pytest.param(
            rec_model(
                spec__serving={
                    "mode": "Standard",
                    "replicas": 2,
                    "gateway": {"name": "public", "namespace": "infra", "hostname": "movies.example.com"},
                    "autoscaling": {"maxReplicas": 5, "metric": "CPU", "target": 70},
                    "rollout": {"shadow": {}, "steps": steps(0, 10), "bake": "5m", "scaleDownDelay": "1m"},
                }
            ),
            id="Standard mode, behind a Gateway",
        ),
        pytest.param(
            rec_model(
                spec__features__captions=[{"captionJob": "catalog"}],
                spec__evaluation__gate={"against": ["Serving", "WithoutCaptions"], "minDelta": 0.01},
            ),
            id="a gate against itself without captions",
        ),
        pytest.param(backfill(), id="a Backfill that says only what it must"),
        pytest.param(
            backfill(
                spec__from__embeddings="s3://shop/embeddings/",
                spec__compatibility={"method": "Procrustes", "pairs": 500, "labels": "genre"},
                spec__order={"policy": "Popularity", "column": "views"},
                spec__pace={"parallelism": 4, "itemsPerSecond": 2.5, "window": "22:00-06:00 Europe/Berlin"},
                spec__probes={
                    "queries": "pvc://data/queries.parquet",
                    "k": 5,
                    "stopIf": {"negativeFlipRate": "2%", "recallDrop": "1%"},
                },
                spec__serving={"replicas": 2},
                spec__retention={"old": "7d12h"},
                spec__target=40,
                spec__approve=False,
                spec__queueName="gpus",
            ),
            id="a Backfill that asks for everything there is",
        ),
        pytest.param(rec_model(spec__data__split={"validation": 0.3, "test": 0.2}), id="half is held out"),
    ],
)
def test_a_good_manifest_is_taken(manifest: Manifest) -> None:
    spec = parse(manifest)
    assert isinstance(spec, ApiModel)
    assert SPECS[manifest["kind"]].model_validate(spec.document()) == spec


def test_every_rule_has_a_manifest_that_breaks_it() -> None:
    def rules(model: type[BaseModel]) -> set[str]:
        own = {rule.message for rule in model.RULES} if issubclass(model, ApiModel) else set[str]()
        below = {
            annotation
            for field in model.model_fields.values()
            for annotation in [field.annotation, *getattr(field.annotation, "__args__", ())]
            if isinstance(annotation, type) and issubclass(annotation, BaseModel)
        }
        return own.union(*(rules(each) for each in below))

    assert {r.sentence for r in RULES} == set[str]().union(*(rules(spec) for spec in SPECS.values()))
