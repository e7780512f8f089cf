"""InterestMaps that must be refused, and the sentence that says why."""

from __future__ import annotations

from builders.manifests import ABSENT, interest_map
from builders.refusal import Refusal

MAP_BOUNDS = (
    Refusal("captions of nobody", interest_map(spec__captions=ABSENT), "captions", "Required value"),
    Refusal(
        "a planner that is no model",
        interest_map(spec__planner={"model": "fathom://small-llava"}),
        "planner.model",
        "should match '^(hf://",
    ),
    Refusal(
        "a share that is no percentage",
        interest_map(spec__serving={"recModel": "movies", "explore": {"share": "0.1"}}),
        "serving.explore.share",
        "should match '^(100|",
    ),
    Refusal(
        "a table that cannot be one",
        interest_map(spec__serving={"recModel": "movies", "table": "latest"}),
        "serving.table",
        "should match '^t-",
    ),
    Refusal(
        "no clusters on a level",
        interest_map(spec__clusters={"counts": [1, 60]}),
        "clusters.counts",
        "should be greater than or equal to 2",
    ),
)

MAP_RULES = (
    Refusal(
        "clusters of nothing",
        interest_map(spec__clusters={"mix": {"captions": 0, "coEngagement": 0}}),
        "clusters.mix",
        "clusters need something to be made of: give captions or coEngagement a weight above 0",
    ),
    Refusal(
        "levels that get coarser",
        interest_map(spec__clusters={"counts": [60, 12]}),
        "clusters.counts",
        "counts must rise from level to level, as in 12, 60",
    ),
    Refusal(
        "the best answers without a word on which satisfy",
        interest_map(spec__inference={"best": 3}),
        "inference.best",
        "the best answers are those that satisfy: name a column in spec.interactions.satisfaction, or unset "
        "spec.inference.best",
    ),
    Refusal(
        "the small planner without a lesson",
        interest_map(spec__planner={"model": "fathom://small-planner"}),
        "planner.fineTune",
        "fathom://small-planner has learned nothing yet: keep spec.planner.fineTune, or name a trained model",
    ),
    Refusal(
        "adapters for the small planner",
        interest_map(spec__planner={"fineTune": {"method": "LoRA"}}),
        "planner.fineTune.method",
        "fathom://small-planner starts from nothing, which adapters cannot teach: set "
        "spec.planner.fineTune.method to Full, or name a trained model",
    ),
    Refusal(
        "a schedule of nothing",
        interest_map(spec__schedule={}),
        "schedule",
        "a schedule says when: give spec.schedule.fineTune or spec.schedule.bulk, or remove it",
    ),
    Refusal(
        "lessons on a schedule for a planner that is not taught",
        interest_map(
            spec__planner={"model": "pvc://models/planner"}, spec__schedule={"fineTune": "0 3 1 * *"}
        ),
        "schedule.fineTune",
        "there is nothing to fine-tune on a schedule: give spec.planner.fineTune, or use spec.schedule.bulk "
        "alone",
    ),
)
