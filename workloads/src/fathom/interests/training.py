"""`fathom plan-train`: transitions in, a planner that was taught them out."""

from __future__ import annotations

from fathom import storage
from fathom.errors import InvalidInputError
from fathom.interests import reading
from fathom.progress import Reporter, reporter
from fathom.serendipity import teaching
from fathom.serendipity.teaching import Teaching
from fathom.serendipity.transitions import Lessons
from fathom_api.interest_tasks import PlanTrainTask
from fathom_api.interests import PlannerFineTune
from fathom_api.progress import Outcome, Progress
from fathom_api.tasks import AnyModel

#: Progress is told in thousandths of the epochs: how many steps there are is known to the loop alone.
_PARTS = 1000


def plan_train(task: PlanTrainTask) -> Outcome:
    """Teach the planner, or find that it is taught. Goes on from the last snapshot.

    Raises:
        InvalidInputError: the model cannot be opened or taught, or there is nothing to learn.
    """
    settings = task.planner.fine_tune
    if settings is None:
        raise InvalidInputError(
            "NothingAsked", "planner.fineTune is not set: a planner that is not taught needs no plan-train"
        )
    clusters = reading.clusters(task.clusters, task.summaries)
    lessons = Lessons.read(storage.existing(task.transitions), clusters)
    with reporter() as report:
        version = teaching.teach(
            AnyModel(uri=task.planner.model),
            lessons,
            clusters,
            storage.local(task.output),
            taught(settings, task.planner.seed),
            reading.asked(task.planner),
            _Told(report, settings.epochs),
        )
        metrics = report.progress.metrics
    progress = Progress(total=_PARTS, done=_PARTS, metrics=metrics)
    uri, digest = version.uri(task.output), version.manifest.digest
    return Outcome(result="Succeeded", uri=uri, digest=digest, progress=progress)


def taught(settings: PlannerFineTune, seed: int) -> Teaching:
    """Return how the planner is taught."""
    return Teaching(
        method=settings.method,
        lora=settings.lora,
        epochs=settings.epochs,
        patience=settings.patience,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        seed=seed,
    )


class _Told:
    """Reports each step of the training."""

    def __init__(self, report: Reporter, epochs: int) -> None:
        self._report, self._epochs = report, epochs

    def __call__(self, metrics: dict[str, float]) -> None:
        """Report how far the epochs are."""
        done = round(_PARTS * metrics.get("epoch", 0.0) / self._epochs)
        self._report.update(Progress(total=_PARTS, done=min(done, _PARTS), metrics=metrics))
