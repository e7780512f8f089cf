"""Namespace, volumes, and the data set streamed into them through a pod."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from demo import manifests
from demo.context import Context, DemoError
from demo.kube import KubeError
from demo.waiting import wait_for

_MARK = "description.json"


def load(context: Context) -> None:
    """Put the data set on the volume, unless it lies there already."""
    wait_for("the namespace's last deletion ends", lambda: not _leaving(context), timeout=300)
    context.kube.apply(manifests.load("namespace", context.namespace))
    context.kube.apply(manifests.load("volumes", context.namespace))
    open_volumes(context)
    if _loaded(context):
        context.view.say("   the data lie on the volume already")
        return
    # Its description comes last: where that is, all is.
    archive = archived([*context.data.files, context.data.folder / _MARK])
    context.kube.exec(
        "loader", context.namespace, "tar", "x", "-C", f"/volumes/{manifests.INPUT}", stdin=archive
    )
    if not _loaded(context):
        raise DemoError(f"the data did not arrive on the volume {manifests.INPUT}: run the demo again")
    context.view.say(f"   {len(archive) / 1e6:.0f} MB streamed to pvc://{manifests.INPUT}")


def open_volumes(context: Context) -> None:
    """Have a pod that holds both volumes open."""
    found = context.kube.find("pod", "loader", context.namespace)
    if found and found["status"].get("phase") in {"Succeeded", "Failed"}:
        context.kube.delete("pod", "loader", context.namespace)
        found = None
    if not found:
        context.kube.apply([manifests.loader(context.namespace, context.images["captioner"])])
    wait_for("the pod that loads the data runs", lambda: _running(context), timeout=120)


def close_volumes(context: Context) -> None:
    """Take the pod away; the volumes stay."""
    context.kube.delete("pod", "loader", context.namespace, "--wait=false")


def fetch(context: Context, *patterns: str) -> tarfile.TarFile:
    """Return the files of the output volume that match `patterns`, as an archive."""
    script = f"cd /volumes/{manifests.OUTPUT} && tar c $(ls -d {' '.join(patterns)} 2>/dev/null)"
    data = context.kube.exec("loader", context.namespace, "sh", "-c", script)
    return tarfile.open(fileobj=io.BytesIO(data))


def _leaving(context: Context) -> bool:
    found = context.kube.find("namespace", context.namespace, context.namespace)
    return bool(found) and found["status"].get("phase") == "Terminating"


def _running(context: Context) -> bool:
    pod = context.kube.find("pod", "loader", context.namespace)
    return bool(pod) and pod["status"].get("phase") == "Running"


def _loaded(context: Context) -> bool:
    there = f"/volumes/{manifests.INPUT}/{_MARK}"
    try:
        found = context.kube.exec("loader", context.namespace, "cat", there)
    except KubeError as error:
        if "No such file" in str(error):
            return False
        raise
    return found == (context.data.folder / _MARK).read_bytes()


def archived(files: Iterable[Path]) -> bytes:
    """Return files as an archive, in this order, that pods may read."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        for file in files:
            entry = archive.gettarinfo(file, arcname=file.name)
            entry.uid = entry.gid = 65532
            entry.mode = 0o644
            with file.open("rb") as content:
                archive.addfile(entry, content)
    return held.getvalue()
