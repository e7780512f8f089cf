"""What pods say last, as workloads would."""

from __future__ import annotations

from typing import Any

from fathom_api.progress import Outcome, Progress

DIGEST = f"sha256:{'a' * 64}"


def succeeded(uri: str = "pvc://features/catalog", digest: str = DIGEST, **changes: Any) -> Outcome:
    """Return the outcome of a pod that did its work."""
    return Outcome(result="Succeeded", uri=uri, digest=digest, **changes)


def planned(total: int = 100, failed: int = 0, reused: int = 0) -> Outcome:
    """Return the outcome of `fathom plan`."""
    return succeeded(
        "pvc://features/catalog/plan", progress=Progress(total=total, failed=failed, reused=reused)
    )


def captioned(done: int = 50, failed: int = 0, reused: int = 0) -> Outcome:
    """Return the outcome of a shard."""
    progress = Progress(
        total=done + failed, done=done, failed=failed, reused=reused, samples=["A red train on a green hill."]
    )
    return succeeded("pvc://features/catalog/captions", progress=progress)


def featurised(digest: str = DIGEST) -> Outcome:
    """Return the outcome of `fathom featurise`."""
    metrics = {"vocabulary_size": 40.0, "coverage": 0.9, "tokens_per_item": 6.5}
    return succeeded("pvc://features/catalog/features", digest, progress=Progress(metrics=metrics))


def evaluated(**auc: float) -> Outcome:
    """Return the outcome of `fathom evaluate`: the AUC of each arm by name."""
    arms = {
        arm: {"auc": value, "gauc": value, "logLoss": 0.6, "normalizedEntropy": 0.9, "calibration": 1.0}
        for arm, value in auc.items()
    }
    return succeeded("pvc://data/models/evaluation.json", arms=arms)


def invalid(reason: str = "MissingColumn", message: str = "there is no column image: name one") -> Outcome:
    """Return the last words of a pod whose input is wrong (exit 65)."""
    return Outcome(result="Failed", reason=reason, message=message)
