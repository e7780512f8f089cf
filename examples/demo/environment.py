"""A cluster with Fathom's images and chart on it, whatever stood there before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster import providers, tools
from cluster.settings import from_env
from demo.context import DemoError
from demo.kube import Kube
from demo.view import View

ROOT = Path(__file__).parents[2]
RELEASE, SYSTEM = "fathom", "fathom-system"
CHART = ROOT / "charts" / "fathom"


@dataclass(frozen=True)
class Environment:
    """A running cluster, the programs to use it with, and the names of the images on it."""

    kube: Kube
    helm: str
    images: Mapping[str, str]


def cluster_up(view: View) -> tuple[Kube, str]:
    """Return a cluster, brought up if need be, and the path of helm."""
    kubeconfig = providers.choose(from_env()).up()
    view.say(f"   export KUBECONFIG={kubeconfig}")
    return Kube(str(tools.kubectl()), kubeconfig), str(tools.helm())


def images_loaded() -> dict[str, str]:
    """Return the images' names, once they are built and the cluster has them."""
    # It tells people what it does on stderr, and programs the names on stdout.
    done = subprocess.run(
        [sys.executable, "images/build.py", "--load"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DemoError("the images could not be built and loaded: see above, then run it again")
    return json.loads(done.stdout)


def chart_installed(environment: Environment, view: View, *settings: str) -> None:
    """Install or upgrade the chart, and wait until the operator is ready."""
    view.say(f"   helm upgrade --install {RELEASE} {CHART.relative_to(ROOT)} -n {SYSTEM}")
    names = {f"images.{image}": reference for image, reference in environment.images.items()}
    sets = [word for name, value in names.items() for word in ("--set", f"{name}={value}")]
    sets += [word for setting in settings for word in ("--set", setting)]
    options = ["-n", SYSTEM, "--create-namespace", "--wait", "--timeout", "5m"]
    _finish_interrupted(environment)
    helm(environment, "upgrade", "--install", RELEASE, str(CHART), *options, *sets)


def _finish_interrupted(environment: Environment) -> None:
    """Undo what a killed helm left half-done: it refuses every later upgrade."""
    listed = helm(environment, "list", "-n", SYSTEM, "--pending", "--filter", f"^{RELEASE}$", "-o", "json")
    for release in json.loads(listed):
        undo = "uninstall" if release["status"] == "pending-install" else "rollback"
        helm(environment, undo, RELEASE, "-n", SYSTEM)


def helm(environment: Environment, *arguments: str) -> str:
    """Return what `helm ARGUMENTS` prints.

    Raises:
        DemoError: it failed; with what it said.
    """
    done = subprocess.run(
        [environment.helm, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "KUBECONFIG": str(environment.kube.kubeconfig)},
    )
    if done.returncode:
        raise DemoError(f"helm {arguments[0]}: {done.stderr.strip()}")
    return done.stdout
