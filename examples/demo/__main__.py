"""`python -m demo`: the main job on a real cluster, from pictures to a canary, with everything shown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cluster.console import ClusterError
from demo import environment, manifests
from demo.artifacts import copy
from demo.context import Context, DemoError
from demo.data import DataError, prepare
from demo.kube import KubeError
from demo.steps import ask, caption, load, rank, recommend, report
from demo.trouble import diagnosis
from demo.view import View, duration
from demo.waiting import DeadlineError

EXPECTED = (DemoError, DataError, KubeError, ClusterError, DeadlineError, ask.IngressError)
Data = Annotated[
    Path | None,
    typer.Option(envvar="FATHOM_DATA", help="Folder with movielens-posters/; unset: Tux Paint's stamps."),
]
Out = Annotated[Path, typer.Option(help="Where the report goes.")]
Ingress = Annotated[str, typer.Option(help="Knative's ingress, NAMESPACE/SERVICE.")]
Small = Annotated[bool, typer.Option(help="A part of the data only.")]


def demo(
    data: Data = None,
    out: Out = Path("out"),
    ingress: Ingress = "kourier-system/kourier",
    small: Small = False,
) -> None:
    """Caption pictures, train a ranker with the captions, serve it, and roll out a second version."""
    view = View()
    try:
        run(view, data, out, ingress, small=small)
    except KeyboardInterrupt:
        view.say(
            "stopped; nothing is lost: run it again to go on, `make cluster-down` takes the cluster away"
        )
        raise typer.Exit(130) from None
    except EXPECTED as error:
        view.show(f"\nThe demo stopped after {duration(view.elapsed)}: {error}")
        raise typer.Exit(1) from error


def run(view: View, source: Path | None, out: Path, ingress: str, *, small: bool) -> None:
    """Do all steps."""
    with view.step("Data"):
        data = prepare(source, small=small)
        _introduce(view, data.about.title, data.about.about_interactions, data.about.about_captions)
        counts = {name: data.table(name).num_rows for name in ("items", "users", "interactions", "pairs")}
        view.say("   " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))
    with view.step("Cluster"):
        kube, helm = environment.cluster_up(view)
    with view.step("Images"):
        images = environment.images_loaded()
    context = Context(kube, view, data, f"demo-{data.about.name}{'-small' * small}", out, images, ingress)
    try:
        with view.step("Fathom, by Helm"):
            environment.chart_installed(environment.Environment(kube, helm, images), view)
        walk(context)
    except EXPECTED:
        view.show(diagnosis(kube, [context.namespace, environment.SYSTEM]))
        raise
    _what_next(context)


def walk(context: Context) -> None:
    """Do the steps inside the cluster."""
    view = context.view
    with view.step("Data onto a volume"):
        load.load(context)
    with view.step("CaptionJob: fine-tune a multimodal LLM, caption, make features"):
        captions = caption.caption(context)
    with view.step("RecModel: train with and without captions, judge, serve"):
        timeline = rank.timeline(context)
        model = rank.first_version(context, timeline)
    with view.step("Second version: train, judge, canary"):
        door = ask.ingress(context, model.url)
        model = rank.second_version(context, timeline, door)
    with view.step("One user's top ten, through the ingress"):
        artifacts = copy(context)
        person = recommend.someone(context.data)
        answer = recommend.recommend(context, door, person, artifacts)
    with view.step("What Kubernetes shows"):
        view.show(context.kube.run("get", "captionjob,recmodel", "-o", "wide", "-n", context.namespace))
    with view.step("Report"):
        found = report.Findings(captions, model, timeline, person, answer, artifacts)
        path = report.report(context, found)
        view.say(f"   {path.resolve()}")
    load.close_volumes(context)


def _introduce(view: View, *lines: str) -> None:
    for line in lines:
        view.say(f"   {line}")


def _what_next(context: Context) -> None:
    kube = f"KUBECONFIG={context.kube.kubeconfig} {context.kube.kubectl} -n {context.namespace}"
    context.view.show(
        "\n".join(
            [
                f"\nDone in {duration(context.view.elapsed)}. What next:",
                f"  look at the report    {(context.out / 'report.html').resolve()}",
                f"  look around           {kube} get captionjob,recmodel,isvc,jobs",
                f"  see what was decided  {kube} describe recmodel {manifests.REC_MODEL}",
                f"  change something      {kube} edit recmodel {manifests.REC_MODEL}",
                "  use your own data     copy examples/quickstart, read docs/tutorial",
                "  clean up              make cluster-down",
            ]
        )
    )


if __name__ == "__main__":
    typer.run(demo)
