"""The work of a version: one training Job an arm, of one pod or more, then the evaluation, of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from fathom_api import RecModelSpec
from fathom_api.captionjob import Artifact
from fathom_api.meta import ApiModel
from fathom_api.recmodel import Arm, Version
from fathom_api.tasks import AnyData, EvaluateTask, TrainTask
from fathom_operator.claims import claims_in, join
from fathom_operator.owner import Owner
from fathom_operator.platform import Platform
from fathom_operator.recmodel.versions import what_is_learned
from fathom_operator.together import Together
from fathom_operator.work import Work

_FOLDERS: Final[dict[Arm, str]] = {
    "Captions": "captions",
    "WithoutCaptions": "without-captions",
    "ShuffledCaptions": "shuffled-captions",
}
#: Names of Jobs have no room for the folders' names.
_STAGES: Final[dict[Arm, str]] = {
    "Captions": "train",
    "WithoutCaptions": "train-without",
    "ShuffledCaptions": "train-shuffle",
}


@dataclass(frozen=True)
class Course:
    """What has to be done to make and judge one version."""

    spec: RecModelSpec
    owner: Owner
    platform: Platform
    version: str
    #: Caption features by name of their CaptionJob.
    features: Mapping[str, Artifact]
    stable: Version | None
    retry: str
    #: How several pods train together, None for one.
    together: Together | None = None

    @property
    def output(self) -> str:
        """Return the folder of the version."""
        return join(self.spec.output.uri, self.version)

    @property
    def evaluation_uri(self) -> str:
        """Return where the evaluation lies."""
        return join(self.output, "evaluation.json")

    @property
    def report_uri(self) -> str:
        """Return where the report for people lies."""
        return join(self.output, "report.html")

    def bundle(self, arm: Arm) -> str:
        """Return the folder of the model bundle of `arm`."""
        return join(self.output, _FOLDERS[arm])

    @property
    def arms(self) -> list[Arm]:
        """Return what is trained: the candidate, and the controls where there are captions to leave out."""
        if not self.spec.features.captions:
            return ["Captions"]
        evaluation = self.spec.evaluation
        wanted = {*evaluation.controls, *evaluation.gate.against}
        return ["Captions", *(arm for arm in _FOLDERS if arm in wanted)]

    def training(self) -> dict[Arm, Work]:
        """Return the training of each arm, in order."""
        return {arm: self._train(arm) for arm in self.arms}

    def evaluation(self) -> Work:
        """Return the evaluation of all arms, and of what is served now."""
        bundles: dict[str, str] = {arm: self.bundle(arm) for arm in self.arms}
        if self.stable is not None and self.stable.uri is not None:
            bundles["Serving"] = self.stable.uri
        task = EvaluateTask(
            data=self._data(),
            bundles=bundles,
            caption_features=self._captions(),
            output=self.output,
        )
        return self._work("evaluate", "evaluate", task)

    def _train(self, arm: Arm) -> Work:
        task = TrainTask(
            arm=arm,
            data=self._data(),
            features=self.spec.features,
            caption_features=self._captions(),
            model=self.spec.model,
            training=what_is_learned(self.spec.training),
            output=self.bundle(arm),
        )
        return replace(self._work(_STAGES[arm], "train", task), together=self.together)

    def _captions(self) -> dict[str, str]:
        return {name: artifact.uri for name, artifact in self.features.items()}

    def _data(self) -> AnyData:
        return AnyData.model_validate(self.spec.data.document())

    def _work(self, stage: str, command: str, task: ApiModel) -> Work:
        training = self.spec.training
        return Work(
            owner=self.owner,
            stage=stage,
            command=command,
            task=task,
            image=self.platform.trainer_image,
            template=training.template,
            writes=claims_in(self.spec.output.uri),
            queue_name=training.queue_name,
            backoff_limit=training.backoff_limit,
            retry=self.retry,
        )
