"""How an object shares requests, in a form that can be compared: what others have changed is put right."""

from __future__ import annotations

from collections.abc import Iterator

from fathom_operator.kube.resources import HTTP_ROUTES, INFERENCE_SERVICES, Obj


def share(kind: str, obj: Obj) -> object:
    """Return who gets which share of the requests, None for what shares none."""
    if kind == INFERENCE_SERVICES.kind:
        # Not in the hash of what it was made from.
        return obj.get("spec", {}).get("predictor", {}).get("canaryTrafficPercent")
    if kind == HTTP_ROUTES.kind:
        rules: list[Obj] = obj.get("spec", {}).get("rules", [])
        return [sorted(weights(rule).items()) + sorted(mirrors(rule).items()) for rule in rules]
    return None


def weights(rule: Obj) -> dict[str, int]:
    """Return the weights of a rule of an HTTPRoute, by the name of the Service."""
    return {each["name"]: each.get("weight", 1) for each in rule.get("backendRefs", [])}


def mirrors(rule: Obj) -> dict[str, int]:
    """Return to which Services a rule of an HTTPRoute copies how many percent of the requests."""
    return dict(_mirrored(rule))


def _mirrored(rule: Obj) -> Iterator[tuple[str, int]]:
    for each in rule.get("filters", []):
        if each["type"] == "RequestMirror":
            mirror: Obj = each["requestMirror"]
            yield mirror["backendRef"]["name"], mirror.get("percent", 100)
