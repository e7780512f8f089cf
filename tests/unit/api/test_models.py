"""Specs, statuses and tasks as objects: what is read, what is written, what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
from builders.manifests import caption_job, rec_model
from pydantic import ValidationError

from fathom_api import CaptionJobSpec, CaptionJobStatus, Condition, ConditionType, Reason, RecModelSpec
from fathom_api.conditions import MEANING
from fathom_api.progress import MAX_TERMINATION_BYTES, Outcome, Progress
from fathom_api.tasks import CaptionTask, TrainTask


def test_camel_case_outside_and_snake_case_inside() -> None:
    spec = CaptionJobSpec.model_validate(caption_job(spec__model__maxNewTokens=7)["spec"])
    assert spec.model.max_new_tokens == 7
    assert spec.document()["model"]["maxNewTokens"] == 7


def test_a_document_leaves_out_what_is_not_set() -> None:
    document = CaptionJobSpec.model_validate(caption_job()["spec"]).document()
    assert "fineTune" not in document
    assert "image" not in document["template"]


def test_a_misspelt_field_of_a_spec_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match=re.escape("source.idColum")):
        CaptionJobSpec.model_validate(caption_job(spec__source__idColum="id")["spec"])


def test_a_field_of_a_newer_status_is_let_pass() -> None:
    """An operator that is rolled back must not fall over what its successor wrote."""
    status = CaptionJobStatus.model_validate({"stage": "Captioning", "tomorrow": 1})
    assert status == CaptionJobStatus(stage="Captioning")


def test_a_spec_cannot_be_changed_in_place() -> None:
    spec = RecModelSpec.model_validate(rec_model()["spec"])
    with pytest.raises(ValidationError, match="frozen"):
        spec.training.epochs = 9


def test_what_is_not_ours_is_handed_on_as_it_is() -> None:
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}
    spec = CaptionJobSpec.model_validate(caption_job(spec__template__affinity=affinity)["spec"])
    assert spec.document()["template"]["affinity"] == affinity


@pytest.mark.parametrize("uri", ["items.parquet", "file:///data/items.parquet", "pvc://media/items.parquet"])
def test_a_task_reads_from_anywhere(uri: str) -> None:
    """On a laptop there are no claims."""
    task = CaptionTask.model_validate({"source": {"uri": uri}, "model": {"uri": "model/"}, "output": "out/"})
    assert task.source.uri == uri


def test_a_task_takes_the_parts_of_a_spec_as_they_are() -> None:
    spec = RecModelSpec.model_validate(rec_model(spec__model__embeddingDim=4)["spec"]).document()
    parts = {part: spec[part] for part in ("data", "features", "model", "training")}
    task = TrainTask.model_validate({**parts, "output": "out/"})
    assert task.model.embedding_dim == 4


def test_rules_hold_for_tasks_too() -> None:
    data = {"interactions": {"uri": "i.csv"}, "split": {"validation": 0.4, "test": 0.4}}
    with pytest.raises(ValidationError, match="less than half of the interactions"):
        TrainTask.model_validate({"data": data, "features": {}, "output": "out/"})


def test_a_task_knows_its_kind() -> None:
    with pytest.raises(ValidationError, match="CaptionTask"):
        CaptionTask.model_validate(
            {"kind": "TrainTask", "source": {"uri": "a"}, "model": {"uri": "b"}, "output": "c"}
        )


@pytest.mark.parametrize("reason", list(Reason))
def test_reasons_are_words_that_a_condition_may_hold(reason: Reason) -> None:
    """metav1.Condition: `^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`."""
    assert re.fullmatch(r"([A-Z][a-z]+)+", reason)
    assert MEANING[reason].endswith(".")


def test_the_conditions_that_gitops_tools_know_are_named_as_they_know_them() -> None:
    assert {"Ready", "Reconciling", "Stalled"} <= {str(kind) for kind in ConditionType}


def condition(**changes: Any) -> Condition:
    return Condition.model_validate(
        {
            "type": ConditionType.READY,
            "status": "True",
            "reason": Reason.COMPLETE,
            "message": "All items have captions.",
            "lastTransitionTime": "2026-01-31T12:00:00Z",
            **changes,
        }
    )


def test_a_condition_is_written_as_kubernetes_writes_it() -> None:
    assert condition(observedGeneration=3).document() == {
        "type": "Ready",
        "status": "True",
        "reason": "Complete",
        "message": "All items have captions.",
        "observedGeneration": 3,
        "lastTransitionTime": "2026-01-31T12:00:00Z",
    }


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"status": True}, id="a status is a word, not a boolean"),
        pytest.param({"message": "x" * 5000}, id="a message that no status could hold"),
    ],
)
def test_what_is_no_condition(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        condition(**changes)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param('{"done": -1}', id="less than nothing"),
        pytest.param('{"tokens": 1000000000000000000000}', id="more than a status can hold"),
        pytest.param('{"samples": ["a", "b", "c", "d"]}', id="more samples than are shown"),
    ],
)
def test_what_no_pod_may_report(said: str) -> None:
    with pytest.raises(ValidationError):
        Progress.model_validate_json(said)


def test_last_words_fit_a_termination_message() -> None:
    numbers = {"auc": 0.7, "gauc": 0.6, "logLoss": 0.5, "normalizedEntropy": 0.9, "calibration": 1.0}
    outcome = Outcome(
        result="Succeeded",
        uri="pvc://data/models/v-00000000/evaluation.json",
        digest=f"sha256:{'0' * 64}",
        progress=Progress(total=10**9, done=10**9, samples=["A caption of some forty-eight words. " * 7] * 3),
        arms=dict.fromkeys(("Captions", "WithoutCaptions", "ShuffledCaptions", "Serving"), numbers),
    )
    text = outcome.model_dump_json(by_alias=True)
    assert len(text.encode()) <= MAX_TERMINATION_BYTES
    assert Outcome.model_validate_json(text) == outcome
