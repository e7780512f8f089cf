"""The page all reports share: one look, one file, nothing from outside, nothing that data could start.

Everything from data is escaped by the templates. The page's own style and script are named by their digests
in its Content-Security-Policy, so that a browser runs and applies nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

_SIGNATURES: Final = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png"}


def document(template: str, *, script: str = "", **context: Any) -> str:
    """Return the page that `template` makes of `context`; `script` names the file that the page runs."""
    style, code = asset("page.css"), asset(script) if script else ""
    policy = {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": _named(style),
        **({"script-src": _named(code)} if code else {}),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return (
        environment()
        .get_template(template)
        .render(
            policy="; ".join(f"{name} {value}" for name, value in policy.items()),
            style=Markup(style),  # noqa: S704 - our own file
            script=Markup(code),  # noqa: S704 - our own file
            **context,
        )
    )


def asset(name: str) -> str:
    """Return a file of this package as text."""
    return files("fathom.report").joinpath(name).read_text(encoding="utf-8")


@cache
def environment() -> Environment:
    """Return the environment of the templates, with what they need to write numbers."""
    made = Environment(
        loader=PackageLoader("fathom.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "data_uri": data_uri,
        "number": number,
        "whole": whole,
        "percent": percent,
        "lasted": lasted,
        "signed": signed,
        "code": code,
    }
    return made


def data_uri(picture: bytes) -> str:
    """Return `picture` as a `data:` URI; of what is neither JPEG nor PNG, nothing is shown."""
    kind = next((kind for start, kind in _SIGNATURES.items() if picture.startswith(start)), None)
    return f"data:{kind};base64,{base64.b64encode(picture).decode()}" if kind else "data:,"


def number(value: float | None, digits: int = 4) -> str:
    """Return `value` with so many digits, or a dash where nothing was measured."""
    return "–" if value is None else f"{value:,.{digits}f}"


def signed(value: float, digits: int = 4) -> str:
    """Return a number with its sign; the minus is as wide as the plus."""
    return f"{value:+.{digits}f}".replace("-", "−")


def code(text: str) -> Markup:
    """Return `text` escaped, what stands between backticks as code."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped


def whole(value: float) -> str:
    """Return a whole number with separators."""
    return f"{value:,.0f}"


def percent(share: float) -> str:
    """Return a share in percent; what is not quite nothing or all is not written as such."""
    if 0 < share < 0.001:
        return "under 0.1 %"
    if 0.999 < share < 1:
        return "over 99.9 %"
    return f"{share * 100:.3g} %"


def lasted(seconds: float) -> str:
    """Return a length of time in its two largest units: `3 h 12 min`, `4 min 5 s`, `0.8 s`."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{int(seconds // 3600):,} h {int(seconds % 3600 // 60)} min"


def _named(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
