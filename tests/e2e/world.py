"""The cluster as the tests see it: what they apply, wait for and count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from demo import manifests
from demo.context import Context
from demo.environment import SYSTEM, Environment
from demo.kube import Object
from demo.steps import load
from demo.steps.ask import Ingress, ingress
from demo.waiting import wait_for
from fathom_api.backfill_status import BackfillStatus
from fathom_api.captionjob import CaptionJobStatus
from fathom_api.conditions import ConditionType
from fathom_api.interestmap import InterestMapStatus
from fathom_api.meta import Labels
from fathom_api.recmodel import RecModelStatus

KINDS = {
    "captionjob": CaptionJobStatus,
    "recmodel": RecModelStatus,
    "backfill": BackfillStatus,
    "interestmap": InterestMapStatus,
}
LEASE = "fathom-operator"
Status = CaptionJobStatus | RecModelStatus | BackfillStatus | InterestMapStatus


@dataclass(frozen=True)
class World:
    """One cluster with Fathom on it and one namespace for the tests."""

    context: Context
    environment: Environment

    @property
    def kube(self) -> Any:
        return self.context.kube

    @property
    def namespace(self) -> str:
        return self.context.namespace

    def caption_job(self, name: str, **spec: Any) -> Object:
        """Return the quickstart's CaptionJob under another name, with parts of its spec replaced."""
        [job] = manifests.load("captionjob", self.namespace)
        job["metadata"]["name"] = name
        job["spec"] |= {"output": {"uri": f"pvc://{manifests.OUTPUT}/{name}"}, **spec}
        job["spec"] = {key: value for key, value in job["spec"].items() if value is not None}
        return job

    def learned(self) -> dict[str, Any]:
        """Return what makes a CaptionJob start from the captioner that the demo's path has taught."""
        [job] = manifests.load("captionjob", self.namespace)
        model = job["spec"]["model"] | {"uri": f"pvc://{manifests.OUTPUT}/{manifests.CAPTION_JOB}/model"}
        return {"model": model, "fineTune": None}

    def learned_at_length(self) -> dict[str, Any]:
        """Return the same of a captioner slow enough to be stopped midway: one item at a time, sampled."""
        spec = self.learned()
        return spec | {"model": spec["model"] | {"batchSize": 1, "samples": 8}}

    def rec_model(self, name: str, captions: str | None, **spec: Any) -> Object:
        """Return the quickstart's RecModel under another name, of two epochs, with parts replaced."""
        [model] = manifests.load("recmodel", self.namespace)
        model["metadata"]["name"] = name
        training = model["spec"]["training"] | {"epochs": 2}
        model["spec"] |= {"training": training, "output": {"uri": f"pvc://{manifests.OUTPUT}/{name}"}, **spec}
        model["spec"]["features"]["captions"] = [{"captionJob": captions}] if captions else []
        return model

    def status(self, kind: str, name: str) -> Status | None:
        """Return the status of a resource if it speaks of the spec as it is now."""
        found = self.kube.find(kind, name, self.namespace)
        if not found:
            return None
        status = KINDS[kind].model_validate(found.get("status") or {})
        return status if status.observed_generation == found["metadata"]["generation"] else None

    def until(
        self, kind: str, name: str, holds: Callable[[Any], object], what: str, timeout: float = 300
    ) -> Any:
        """Return the status of a resource once it `holds`."""

        def look() -> Status | None:
            status = self.status(kind, name)
            return status if status is not None and holds(status) else None

        return wait_for(f"{kind} {name}: {what}", look, timeout=timeout, every=0.5)

    def until_stage(self, kind: str, name: str, *stages: str, timeout: float = 600) -> Any:
        """Return the status of a resource once its stage is one of `stages`."""
        return self.until(kind, name, lambda s: s.stage in stages, f"stage {' or '.join(stages)}", timeout)

    def jobs(self, name: str, stage: str = "") -> list[Object]:
        """Return the Jobs of a resource."""
        selector = f"{Labels.NAME}={name}" + (f",{Labels.STAGE}={stage}" if stage else "")
        return self.kube.list("jobs", self.namespace, selector)

    def job_uids(self, name: str) -> set[str]:
        """Return what tells the Jobs of a resource from Jobs made anew."""
        return {job["metadata"]["uid"] for job in self.jobs(name)}

    def kill_operator(self) -> str:
        """Kill the operator that leads, without a word of warning, and return its pod's name."""
        lease = self.kube.find("lease", LEASE, SYSTEM)
        assert lease, f"no Lease {LEASE} in {SYSTEM}"
        holder = lease["spec"]["holderIdentity"]
        pods = [p["metadata"]["name"] for p in self.kube.list("pods", SYSTEM)]
        leader = next(pod for pod in pods if holder.startswith(pod))
        self.kube.delete("pod", leader, SYSTEM, "--force", "--grace-period=0")
        return leader

    def leader_changed(self, old: str) -> None:
        """Wait until another operator leads."""

        def look() -> bool:
            lease = self.kube.find("lease", LEASE, SYSTEM)
            return bool(lease) and not (lease["spec"].get("holderIdentity") or old).startswith(old)

        wait_for(f"another operator than {old} leads", look, timeout=90)

    def volume(self, script: str) -> str:
        """Return what a shell script prints in the folder of the output volume."""
        load.open_volumes(self.context)
        folder = f"/volumes/{manifests.OUTPUT}"
        output: bytes = self.kube.exec("loader", self.namespace, "sh", "-c", f"cd {folder} && {script}")
        return output.decode()

    def rows(self, job: str) -> list[str]:
        """Return the item ids of all captions of a CaptionJob's first run."""
        script = (
            "import glob, json, os, pyarrow.parquet as q\n"
            f"for m in glob.glob('{job}/captions/run-00001-*/shard-*/_manifest.json'):\n"
            "  for f in json.load(open(m))['files']:\n"
            "    rows = q.read_table(os.path.join(os.path.dirname(m), f), columns=['item_id'])\n"
            "    print(*rows['item_id'].to_pylist(), sep='\\n')"
        )
        return self.volume(f'python3 -c "{script}"').split()

    def ingress(self, url: str | None, model: str) -> Ingress:
        """Return the way to a served model."""
        return replace_model(ingress(self.context, url), model)


def replace_model(door: Ingress, model: str) -> Ingress:
    """Return the same way to another model's name."""
    return replace(door, model=model)


def stalled(status: Status) -> str | None:
    """Return the message of the Stalled condition, if it is true."""
    return next(
        (
            f"{c.reason}: {c.message}"
            for c in status.conditions
            if c.type == ConditionType.STALLED and c.status == "True"
        ),
        None,
    )
