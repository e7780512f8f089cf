"""From the report of a ranker's life to HTML."""

from __future__ import annotations

from fathom.report import page
from fathom.report.charts import draw
from fathom.report.model import Report


def render(report: Report) -> str:
    """Return `report` as one HTML document that needs nothing else."""
    drawings = [drawing for chart in report.charts if (drawing := draw(chart))]
    return page.document("report.html.j2", report=report, drawings=drawings)
