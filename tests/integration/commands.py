"""kubectl, as people and controllers call it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from integration.world import ROOT

from cluster import tools


def kubectl(kubeconfig: Path, home: Path, *arguments: str, stdin: str = "") -> str:
    """Return what kubectl prints, called in the checkout by somebody whose home is `home`."""
    done = subprocess.run(
        [str(tools.kubectl()), *arguments],
        cwd=ROOT,
        env={"KUBECONFIG": str(kubeconfig), "HOME": str(home), "PATH": "/usr/bin:/bin"},
        input=stdin,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
