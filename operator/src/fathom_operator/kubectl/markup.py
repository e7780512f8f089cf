"""HTML and SVG as trees, so that everything from the cluster is text and nothing else.

No template and no library: a kubectl plugin shall be small. The page's style is named by its digest in its
Content-Security-Policy, so that a browser applies nothing else; it runs no script at all.
"""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files
from typing import Final
from xml.etree.ElementTree import Element, tostring

Node = Element | str | None
#: Control characters that HTML has no place for, and marks that turn the text around them.
_UNFIT: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def tag(kind: str, /, *inside: Node, **attributes: object) -> Element:
    """Return an element; None among what is inside, or as an attribute's value, is left out.

    Underscores at the end of an attribute's name go, others become dashes: `class_`, `aria_label`.
    """
    given = {_named(key): clean(str(value)) for key, value in attributes.items() if value is not None}
    element = Element(kind, given)
    last: Element | None = None
    for node in inside:
        if isinstance(node, str):
            text = clean(node)
            if last is None:
                element.text = (element.text or "") + text
            else:
                last.tail = (last.tail or "") + text
        elif node is not None:
            element.append(node)
            last = node
    return element


def clean(text: str) -> str:
    """Return `text` with a mark in the place of characters that do more than being read."""
    return _UNFIT.sub("\ufffd", text)


def document(title: str, *main: Node) -> str:
    """Return a page that needs nothing else, loads nothing and runs nothing."""
    style = files("fathom_operator.kubectl").joinpath("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", content=policy, **{"http-equiv": "Content-Security-Policy"}),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"{title} – Fathom"),
    )
    # As it is, not cleaned: the browser takes the digest of exactly this.
    sheet = Element("style")
    sheet.text = style
    head.append(sheet)
    page = tag("html", head, tag("body", tag("main", *main)), lang="en")
    return "<!doctype html>\n" + tostring(page, encoding="unicode", method="html") + "\n"


def _named(key: str) -> str:
    return key.rstrip("_").replace("_", "-")
