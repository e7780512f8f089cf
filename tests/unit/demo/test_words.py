"""The live lines: what the demo says about a status."""

from datetime import UTC, datetime

import pytest

from demo import words
from fathom_api.captionjob import CaptionJobStatus
from fathom_api.recmodel import ArmMetrics, RecModelStatus

NOW = datetime(2026, 1, 2, 3, 4, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "line"),
    [
        pytest.param({"stage": "Pending"}, "Pending", id="nothing known yet"),
        pytest.param(
            {"stage": "FineTuning", "fineTune": {"epoch": 1.5, "loss": 2.0, "validationLoss": 2.5}},
            "FineTuning · epoch 1.5 · loss 2.000 · held out 2.500",
            id="fine-tuning tells epoch and loss",
        ),
        pytest.param(
            {
                "stage": "Captioning",
                "items": {"total": 1643, "done": 820, "failed": 2},
                "itemsPerSecond": 21.34,
                "estimatedCompletionTime": "2026-01-02T03:04:38Z",
                "sampleCaptions": ["drama film"],
            },
            "Captioning · 820 of 1,643 pictures · 2 failed · 21.3 captions/s · 0:38 left · “drama film”",
            id="captioning tells how many, how fast, how long, and a sample",
        ),
        pytest.param(
            {"stage": "Captioning", "items": {"total": 9}, "estimatedCompletionTime": "2026-01-02T03:00:00Z"},
            "Captioning · 0 of 9 pictures · 0:00 left",
            id="an estimate that has passed is not negative",
        ),
    ],
)
def test_captioning(status: dict[str, object], line: str) -> None:
    assert words.captioning(CaptionJobStatus.model_validate(status), NOW) == line


@pytest.mark.parametrize(
    ("status", "line"),
    [
        pytest.param(
            {
                "stage": "Training",
                "candidate": {"name": "v-1"},
                "training": {"percent": 40, "epoch": 2.5, "rowsPerSecond": 61000, "validationAuc": 0.66},
            },
            "Training · v-1 · 40 % of all arms · epoch 2.5 · 61,000 interactions/s · validation AUC 0.6600",
            id="training tells epoch, speed and AUC",
        ),
        pytest.param(
            {
                "stage": "RollingOut",
                "candidate": {"name": "v-2"},
                "rollout": {"phase": "Stepping", "weight": 10},
            },
            "RollingOut · v-2 · canary gets 10 % · stepping",
            id="a rollout tells the canary's weight",
        ),
    ],
)
def test_ranking(status: dict[str, object], line: str) -> None:
    assert words.ranking(RecModelStatus.model_validate(status)) == line


def test_metrics_are_a_table_with_dashes_for_what_was_not_measured() -> None:
    arms = [ArmMetrics(arm="Captions", auc=0.7), ArmMetrics(arm="WithoutCaptions", auc=0.6512, gauc=0.6)]
    heads, captions, without = words.metrics(arms).splitlines()
    assert heads.split()[0] == "AUC"
    assert captions.split() == ["with", "captions", "0.7000", "–", "–", "–", "–"]
    assert without.split()[2:4] == ["0.6512", "0.6000"]


def test_only_stalled_is_wrong() -> None:
    conditions = [
        {"type": "Ready", "status": "False", "reason": "Training", "message": "", "lastTransitionTime": ""},
        {
            "type": "Stalled",
            "status": "True",
            "reason": "InvalidInput",
            "message": "no column x",
            "lastTransitionTime": "",
        },
    ]
    status = RecModelStatus.model_validate({"conditions": conditions})
    assert words.stalled(status.conditions) == "InvalidInput: no column x"
    assert words.stalled(status.conditions[:1]) is None
