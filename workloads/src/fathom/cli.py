"""`fathom`: one command for each thing that happens to media on the way to a ranking."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fathom import backfill_commands as backfill
from fathom.examples import COMMANDS, example
from fathom.interests import commands as interests
from fathom.options import Shard, TaskFile
from fathom.run import run_task
from fathom_api.tasks import (
    CaptionTask,
    EvaluateTask,
    FeaturiseTask,
    FinetuneTask,
    PlanTask,
    ServeTask,
    TrainTask,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Media → captions → features → ranker → scores, and captions → interests. Each command reads its "
    "task as one JSON document (--task); `fathom task COMMAND` prints one to start from. The same in pods and"
    " on a laptop.",
)


@app.command()
def plan(task: TaskFile) -> None:
    """Deal the items into shards: check the source, find duplicates and what is captioned already.

    Needed once before several shards are captioned at once; for a single one, `fathom caption` does it. Needs
    no GPU, 12 bytes of memory an item, and reads nothing but ids.
    """
    from fathom.captioning.command import plan as work

    run_task(task, PlanTask, work)


@app.command()
def caption(task: TaskFile, shard: Shard = 0) -> None:
    """Caption one shard of the items. What is captioned already is not captioned again.

    The items are rows of a Parquet, CSV or JSONL file with an id and a picture (bytes or a path), or a folder
    of pictures. The model is anything transformers opens as an image-text-to-text model, from
    hf://organisation/name or a folder with safetensors; a GPU is used if there is one. Captions go to
    OUTPUT/captions, items that cannot be captioned to OUTPUT/errors with the reason, all that was ever made
    to OUTPUT/history. Run it again after an interruption: it goes on.

    Try it: `fathom task caption > task.json; fathom caption --task task.json`
    """
    from fathom.captioning.command import caption as work

    run_task(task, CaptionTask, lambda t: work(t, shard))


@app.command()
def finetune(task: TaskFile) -> None:
    """Teach a captioner a domain by pairs of media and captions; leaves a Hugging Face checkpoint.

    Starts from any image-text-to-text model, or from fathom://small-llava, which needs no model hub; teaches
    all weights, or adapters that are merged in the end. A share of the media is held out: the epoch that does
    best on them is kept, and captions of them are compared with people's. The checkpoint is a version of its
    own in OUTPUT/versions; OUTPUT stands for the latest. Run it again after an interruption: it goes on.
    """
    from fathom.captioning.command import finetune as work

    run_task(task, FinetuneTask, work)


@app.command()
def featurise(task: TaskFile) -> None:
    """Turn captions into token ids: features.parquet, vocabulary.parquet and a coverage report."""
    from fathom.features.command import featurise as work

    run_task(task, FeaturiseTask, work)


@app.command()
def drift(
    before: Annotated[str, typer.Argument(help="Folder of features, a path or URI.", show_default=False)],
    after: Annotated[str, typer.Argument(help="Another one.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="As JSON instead of words.")] = False,
) -> None:
    """Compare two folders of features: coverage, tokens in use, their frequencies, changed items."""
    from fathom.features.drift import drift as compare
    from fathom.run import as_process

    with as_process():
        typer.echo(compare(before, after, as_json=as_json))


@app.command()
def train(task: TaskFile) -> None:
    """Train one arm of a ranker and leave a model bundle. Goes on from the last checkpoint."""
    from fathom.ranking.command import train as work

    run_task(task, TrainTask, work)


@app.command()
def evaluate(task: TaskFile) -> None:
    """Measure bundles on the same test interactions: AUC, GAUC, log loss, NE, calibration."""
    from fathom.ranking.command import evaluate as work

    run_task(task, EvaluateTask, work)


@app.command()
def serve(  # noqa: PLR0917 (options)
    task: Annotated[
        Path | None, typer.Option("--task", help="The task, a JSON document, instead of the options.")
    ] = None,
    bundle: Annotated[str, typer.Option(help="Folder of the model bundle, a path or URI.")] = "",
    model_name: Annotated[str, typer.Option(help="Name in the inference protocol's paths.")] = "ranker",
    model_version: Annotated[str, typer.Option(help="Version told with every answer.")] = "",
    port: Annotated[int, typer.Option(min=1, max=65535, help="HTTP port.")] = 8080,
    grpc_port: Annotated[int, typer.Option(min=0, max=65535, help="gRPC port; 0 for none.")] = 0,
    items: Annotated[str, typer.Option(help="Folder to watch for new items, see fathom items.")] = "",
    guide: Annotated[
        str, typer.Option(envvar="FATHOM_GUIDE", help="Folder to watch for tables, see fathom publish.")
    ] = "",
    feedback: Annotated[bool, typer.Option(help="Take outcomes at /v1/feedback.")] = False,
) -> None:
    """Serve a bundle over the open inference protocol, v1 and v2, over HTTP and gRPC."""
    from fathom.run import as_process, read_task
    from fathom.serving.command import serve as work

    with as_process():
        document = read_task(task, ServeTask) if task else None
        work(
            document
            or ServeTask(
                bundle=bundle,
                model_name=model_name,
                model_version=model_version,
                port=port,
                grpc_port=grpc_port,
                items=items,
                guide=guide,
                feedback=feedback,
            )
        )


interests.add_to(app)
backfill.add_to(app)


@app.command()
def retrieve(  # noqa: PLR0917 (options)
    gallery: Annotated[str, typer.Option(help="Folder of the gallery, a path or URI.")],
    compatibility: Annotated[
        str, typer.Option(help="Folder of what makes both models comparable; not needed once all have moved.")
    ] = "",
    encoder: Annotated[
        str, typer.Option(help="What embeds queries; as the gallery says, or none for vectors alone.")
    ] = "",
    model_name: Annotated[str, typer.Option(help="Name in the inference protocol's paths.")] = "retriever",
    model_version: Annotated[str, typer.Option(help="Version told with every answer.")] = "",
    port: Annotated[int, typer.Option(min=1, max=65535, help="HTTP port.")] = 8080,
    poll_seconds: Annotated[
        float, typer.Option(min=0.1, max=3600, help="How often the gallery is looked at.")
    ] = 2.0,
    probes: Annotated[
        int, typer.Option(min=0, help="Lists looked into beyond 100,000 items; 0 for a 32nd of them.")
    ] = 0,
    database: Annotated[
        str,
        typer.Option(help="Search a database instead: qdrant+http://host:6333/collection, milvus+http://…"),
    ] = "",
) -> None:
    """Search a gallery over the open inference protocol while its items move to a newer embedding model.

    Takes pictures, texts or vectors; answers with items, scores and the model that found each. Parts are
    picked up as they are committed, and each item is found in one of the two spaces at any moment.
    """
    from fathom.retrieval.serving.command import Options
    from fathom.retrieval.serving.command import retrieve as work
    from fathom.run import as_process

    with as_process():
        work(
            Options(
                gallery=gallery,
                compatibility=compatibility,
                encoder=encoder,
                model_name=model_name,
                model_version=model_version,
                port=port,
                poll_seconds=poll_seconds,
                probes=probes,
                database=database,
            )
        )


@app.command()
def dataset(
    name: Annotated[str, typer.Argument(help="kuaivideo, movielens-100k, …; a wrong one lists all.")],
    source: Annotated[Path, typer.Option("--from", help="Folder of its files as published.")],
    target: Annotated[Path, typer.Option("--to", help="Folder for the tables and train.json.")],
) -> None:
    """Turn a public data set into tables and a task for `fathom train`. Downloads nothing."""
    from fathom.datasets.convert import TASK, convert
    from fathom.run import as_process

    with as_process():
        convert(name, source, target)
        typer.echo(f"{target / TASK}")


@app.command()
def items(
    bundle: Annotated[str, typer.Option(help="Folder of the bundle that is served.")],
    output: Annotated[str, typer.Option(help="Folder that fathom serve --items watches.")],
    features: Annotated[
        list[str] | None, typer.Option(help="NAME=FOLDER: the features of each CaptionJob it uses.")
    ] = None,
    table: Annotated[str, typer.Option(help="Table with the items' other features.")] = "",
) -> None:
    """Write the items that came after a bundle was trained, for its server to rank without a rollout."""
    from fathom.ranking.overlay import command as work
    from fathom.run import as_process

    with as_process():
        named = dict(_pair(text) for text in features or [])
        written = work(bundle, named, output, table or None)
        typer.echo(f"{written.counts['items']} new items, {written.digest}", err=True)


def _pair(text: str) -> tuple[str, str]:
    name, separator, folder = text.partition("=")
    if not (name and separator and folder):
        raise typer.BadParameter(f"{text}: give NAME=FOLDER", param_hint="--features")
    return name, folder


@app.command(name="task")
def print_task(
    command: Annotated[str, typer.Argument(help=" | ".join(COMMANDS), metavar="COMMAND", show_default=False)],
) -> None:
    """Print an example of a command's task with all defaults, to start from.

    The examples fit together: each reads what the one before leaves below out/.
    """
    if command not in COMMANDS:
        raise typer.BadParameter(f"no command {command!r}; choose from {', '.join(COMMANDS)}")
    typer.echo(json.dumps(example(command).document(), indent=2))


if __name__ == "__main__":
    app()
