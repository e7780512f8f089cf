"""What Argo CD and Flux make of an object, by the health checks in examples/gitops, really evaluated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import celpy
import lupa
import yaml

GITOPS = Path(__file__).resolve().parents[2] / "examples" / "gitops"
#: In the order in which Flux asks.
_STATES = ("inProgress", "failed", "current")


def argo_health(seen: dict[str, Any]) -> tuple[str, str]:
    """Return Argo CD's health of an object and its message, by our Lua."""
    lua = lupa.LuaRuntime(register_eval=False)
    lua.globals().obj = lua.table_from(seen, recursive=True)
    said: Any = lua.execute((GITOPS / "argocd" / "health.lua").read_text())
    return said["status"], said["message"]


def flux_state(seen: dict[str, Any], kind: str) -> str | None:
    """Return what Flux takes an object to be, by our CEL; None if none of its expressions holds."""
    _, sync = yaml.safe_load_all((GITOPS / "flux" / "sync.yaml").read_text())
    [check] = [c for c in sync["spec"]["healthCheckExprs"] if c["kind"] == kind]
    environment = celpy.Environment()
    activation = {name: celpy.json_to_cel(value) for name, value in seen.items()}

    def holds(expression: str) -> bool:
        return bool(environment.program(environment.compile(expression)).evaluate(activation))

    return next((name for name in _STATES if holds(check[name])), None)
