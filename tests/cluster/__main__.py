"""``python -m cluster``: a real Kubernetes for the demo and the tests."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from cluster import addons, api_server, baseimage, build, console, providers, settings, systemimages, tools
from cluster.components import ALL
from cluster.kube import Kube

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)
api = typer.Typer(no_args_is_help=True, help="A control plane without nodes, for integration tests.")
app.add_typer(api, name="api")

Kubeconfig = Annotated[Path | None, typer.Option(help="Use this cluster instead of making one.")]
Folder = Annotated[Path, typer.Option(help="Where the control plane keeps its files.")]
_API_FOLDER = Path("/tmp/fathom-api")


@app.callback()
def configure(kubeconfig: Kubeconfig = None) -> None:
    """A real Kubernetes with Knative, Kourier and KServe."""
    if kubeconfig is not None:
        os.environ["FATHOM_KUBECONFIG"] = str(kubeconfig.absolute())


def _provider() -> providers.Provider:
    return providers.choose(settings.from_env())


@app.command()
def up() -> None:
    """Start the cluster, building what is missing; prints its kubeconfig."""
    path = _provider().up()
    console.say(f'ready. Next: export KUBECONFIG={path}   (or: eval "$(python -m cluster env)")')
    print(path)


@app.command()
def down(purge: Annotated[bool, typer.Option(help="Also remove the kept images.")] = False) -> None:
    """Stop the cluster and leave no trace of it."""
    _provider().down(purge=purge)
    console.say("down. `python -m cluster up` starts it again")


@app.command()
def status() -> None:
    """Say what runs."""
    print(_provider().status())


@app.command("build")
def build_all() -> None:
    """Build the programs and system images into the cache, without starting anything."""
    cache = settings.from_env().cache
    build.ensure(ALL, cache)
    systemimages.ensure(cache, envoy=not providers.docker_answers())
    console.say(f"built into {cache}. Next: python -m cluster up")


@app.command()
def load(images: list[str]) -> None:
    """Give images that buildah or Docker built to the cluster."""
    _provider().load(images)


@app.command()
def add(addon: Annotated[str, typer.Argument(help=" or ".join(addons.ADDONS))]) -> None:
    """Add what some tests need: Kueue, Envoy Gateway, or the image of a server that speaks S3."""
    if addon not in addons.ADDONS:
        raise console.ClusterError(f"no add-on {addon!r}: choose from {', '.join(addons.ADDONS)}")
    addons.ADDONS[addon](_provider(), settings.from_env().cache)


@app.command()
def kubeconfig() -> None:
    """Print the path of the cluster's kubeconfig."""
    print(_provider().kubeconfig())


@app.command()
def env() -> None:
    """Print lines for a shell: KUBECONFIG, and PATH with kubectl and helm."""
    print(f"export KUBECONFIG={_provider().kubeconfig()}")
    print(f"export PATH={tools.kubectl().parent}:{tools.helm().parent}:$PATH")


@app.command("base-image")
def base_image() -> None:
    """Make sure that buildah has the Debian base image; prints its name."""
    print(baseimage.ensure(settings.from_env().cache))


@app.command()
def advertise(resource: Annotated[str, typer.Argument(help="Such as nvidia.com/gpu=1.")]) -> None:
    """Have every node offer an extended resource, so that scheduling can be tested without the device."""
    name, _, count = resource.partition("=")
    if not count.isdigit() or "/" not in name:
        raise console.ClusterError(f"{resource!r}: write domain/name=count, such as nvidia.com/gpu=1")
    Kube(_provider().kubeconfig()).advertise(name, int(count))


@api.command("up")
def api_up(folder: Folder = _API_FOLDER) -> None:
    """Start it; prints its kubeconfig."""
    print(api_server.up(folder))


@api.command("down")
def api_down(folder: Folder = _API_FOLDER) -> None:
    """Stop it and remove its files."""
    api_server.down(folder)


def main() -> None:
    """Run a verb; an error the user can act on is told without a traceback."""
    try:
        app()
    except console.ClusterError as failed:
        print(f"\nerror: {failed}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
