"""A small report of a ranker's life."""

from dataclasses import replace

from fathom.report import Arm, Chart, Curve, Fact, Gate, Item, Moment, Ranked, Report, User

JPEG = b"\xff\xd8\xff\xe0 a picture"


def a_report(**changes: object) -> Report:
    item = Item("7", "Heat", "crime film", ["crime", "film"], JPEG)
    report = Report(
        title="A demo",
        made_at="2026-01-02 03:04 UTC",
        simulated=False,
        about=[Fact("data", "films")],
        items=[item],
        charts=[Chart("validation AUC", "epoch", "AUC", [Curve("captions", [(1, 0.6), (2, 0.7)])])],
        arms=[Arm("with captions", 0.71), Arm("without", 0.66, gain=0.05, low=0.03, high=0.07)],
        gates=[Gate("v-1", "Serving", "Pass", "0.71 is better than 0.70")],
        timeline=[Moment("03:04:05", "v-1", "v-2", 10, "canary")],
        user=User("user 12", "A farmer."),
        top=[Ranked(item, 0.9)],
        answered_by="v-2",
    )
    return replace(report, **changes)
