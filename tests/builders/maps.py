"""InterestMaps as the operator sees them, with the CaptionJob that they are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from builders.manifests import caption_job, interest_map
from builders.seen import DIGEST, NOW, resource, untouched
from fathom_api import CaptionJobSpec, InterestMapSpec, InterestMapStatus
from fathom_api.captionjob import Artifact
from fathom_api.progress import Outcome, Progress, Verdict
from fathom_operator.catalogues import CatalogueSeen
from fathom_operator.interestmap.observe import InterestMapSeen
from fathom_operator.kube.resources import Obj

#: What there is to be made, in order, without a model that describes clusters.
STEPS: Final = ("cluster", "transitions", "plan-train", "plan-bulk", "gate", "publish")


def catalogue(digest: str = DIGEST, **changes: Any) -> CatalogueSeen:
    """Return a CaptionJob that has captioned everything."""
    spec = CaptionJobSpec.model_validate(caption_job(**changes)["spec"])
    captions = Artifact(uri="pvc://features/catalog/captions", digest=digest)
    return CatalogueSeen("catalog", spec, captions, stage="Complete")


def mapping(
    status: Obj | None = None,
    *,
    retry: str = "",
    now: datetime = NOW,
    of: CatalogueSeen | None = None,
    ranker: bool = True,
    rival: str | None = None,
    missing_claims: frozenset[str] = frozenset(),
    generation: int = 1,
    **changes: Any,
) -> InterestMapSeen:
    """Return an InterestMap that nothing has been done for yet, its captions made."""
    obj = resource(interest_map(**changes), status, retry=retry, generation=generation)
    seen = untouched(obj, (InterestMapSpec, InterestMapStatus), now)
    return InterestMapSeen(
        **vars(replace(seen, missing_claims=missing_claims)),
        catalogue=of or catalogue(),
        ranker=ranker,
        rival=rival,
    )


def verdict(gate: str = "Recall", said: str = "Pass", message: str = "3.0% of moves") -> Verdict:
    """Return what a gate says."""
    return Verdict.model_validate({"gate": gate, "verdict": said, "message": message})


def told(step: str, *verdicts: Verdict, **metrics: float) -> Outcome:
    """Return the last words of a pod of `step`, one of STEPS."""
    usual: Mapping[str, dict[str, float]] = {
        "cluster": {"clusters": 60, "churn": 0.0},
        "transitions": {"train": 900, "validation": 100},
        "plan-train": {"loss": 1.5},
        "plan-bulk": {"rejected": 4},
        "gate": {"exact_match": 0.97, "recall": 0.05, "novelty": 1.0},
    }
    pairs = {"total": 3540, "done": 3540} if step == "plan-bulk" else {"total": 1, "done": 1}
    progress = Progress.model_validate({**pairs, "metrics": usual.get(step, {}) | metrics})
    given = list(verdicts) or ([verdict()] if step == "gate" else [])
    return Outcome(result="Succeeded", digest=DIGEST, progress=progress, verdicts=given)
