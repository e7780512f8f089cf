"""`kubectl fathom` and Backfills."""

from __future__ import annotations

import io

import pytest
from builders.seen import NOW, backfilling, later

from fathom_operator.kube.resources import Obj, Resource
from fathom_operator.kubectl.backfills import sparkline
from fathom_operator.kubectl.main import Plugin, RefusedError
from fathom_operator.times import text

MOVING: Obj = {
    "stage": "Moving",
    "beta": 0.5,
    "items": {"total": 2000, "moved": 1000, "failed": 3},
    "itemsPerSecond": 2.5,
    "estimatedCompletionTime": text(later(minutes=90)),
    "probes": [
        {"percent": 0, "recall": 0.5, "negativeFlipRate": 0.0},
        {"percent": 25, "recall": 0.55, "negativeFlipRate": 0.02},
        {"percent": 50, "recall": 0.7, "negativeFlipRate": 0.01},
    ],
    "verdict": "Better",
    "url": "http://gallery.shop.svc",
}


class Api:
    """Holds one Backfill that has one status after the other."""

    def __init__(self, *statuses: Obj) -> None:
        self.statuses = list(statuses)
        self.patches: list[Obj] = []

    def get(self, resource: Resource, namespace: str, name: str) -> Obj | None:
        if (resource.kind, namespace, name) != ("Backfill", "shop", "gallery"):
            return None
        return backfilling(self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]).obj

    def patch(self, resource: Resource, namespace: str, name: str, changes: Obj, *, manager: str) -> Obj:
        self.patches.append(changes)
        return {}


def said(api: Api, verb: str, name: str = "backfill/gallery") -> str:
    out = io.StringIO()
    plugin = Plugin(api, "shop", out, clock=lambda: NOW, sleep=lambda seconds: None)  # type: ignore[arg-type]
    plugin.run(verb, name)
    return out.getvalue()


def test_the_status_shows_how_far_how_fast_and_what_the_probes_found() -> None:
    shown = said(Api(MOVING), "status")
    assert "██████████░░░░░░░░░░ β 0.50, 1,000 of 2,000 items, 3 cannot be read" in shown
    assert "2.5 items/s, done in 1.5 h" in shown
    assert "recall     ▁▃█  0.5000 at 0 %, 0.7000 at 50 %" in shown
    assert "flips      ▁█▅  at most 2.00%, now 1.00%" in shown
    assert "verdict    Better" in shown


def test_watching_ends_when_nothing_happens_by_itself_any_more() -> None:
    shown = said(Api(MOVING, MOVING, {"stage": "Holding"}), "watch", "bf/gallery")
    assert [line.split()[1] for line in shown.splitlines() if line.startswith("gallery")] == [
        "Moving",
        "Holding",
    ]


def test_what_has_stopped_can_be_told_to_go_on() -> None:
    api = Api({"stage": "Stopped"})
    assert "told to retry" in said(api, "retry")
    assert api.patches[0]["metadata"]["annotations"].keys() == {"fathom.dev/retry"}


@pytest.mark.parametrize(
    ("verb", "name", "why"),
    [
        ("retry", "backfill/gallery", "nothing to try again: its stage is Moving"),
        ("promote", "backfill/gallery", "a Backfill has no promote"),
        ("status", "backfill/other", "no Backfill other in namespace shop"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(verb: str, name: str, why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        said(Api(MOVING), verb, name)


def test_a_line_of_blocks_has_room_for_any_curve() -> None:
    assert sparkline([0.0] * 3) == "▁▁▁"
    assert len(sparkline([n / 100 for n in range(101)])) <= 52
    assert sparkline([n / 100 for n in range(101)])[-1] == "█"
