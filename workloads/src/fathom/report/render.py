"""From a report to HTML. All that comes from data is escaped: captions and titles are strangers' words."""

from __future__ import annotations

import base64

from jinja2 import Environment, PackageLoader, StrictUndefined

from fathom.report.charts import draw
from fathom.report.model import Report

_SIGNATURES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png"}


def render(report: Report) -> str:
    """Return `report` as one HTML document that needs nothing else."""
    environment = Environment(
        loader=PackageLoader("fathom.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data_uri"] = data_uri
    environment.filters["number"] = number
    drawings = [drawing for chart in report.charts if (drawing := draw(chart))]
    return environment.get_template("report.html.j2").render(report=report, drawings=drawings)


def data_uri(picture: bytes) -> str:
    """Return `picture` as a `data:` URI; of what is neither JPEG nor PNG, nothing is shown."""
    kind = next((kind for start, kind in _SIGNATURES.items() if picture.startswith(start)), None)
    return f"data:{kind};base64,{base64.b64encode(picture).decode()}" if kind else "data:,"


def number(value: float | None, digits: int = 4) -> str:
    """Return `value` with so many digits, or a dash where nothing was measured."""
    return "–" if value is None else f"{value:.{digits}f}"
