"""Builds Fathom's images: what has changed, with buildah or docker, and loads them into the cluster.

`python images/build.py [IMAGE ...] [--load] [--print]` prints the images' names as JSON when all is
done. Names are `dev.local/fathom-<image>:<digest of what it is made from>`, so a second run has nothing
to do and a tag never means two things.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from builder import context, engine
from builder.lock import exclusive

#: Knative resolves no digests for this prefix, so images that only a node's store has can be used.
PREFIX = "dev.local"
DEBIAN = "localhost/fathom-debian:bookworm"
PYTHON = "python:3.11-slim-bookworm"
#: Builds of an image that stay: those of the last trees, for whoever goes back and forth between them.
KEPT = 3


def references(variant: context.Variant) -> dict[str, str]:
    """Return every image's name, whether it is built or not."""
    return {image: f"{PREFIX}/fathom-{image}:{context.tag(image, variant)}" for image in context.IMAGES}


def build(wanted: dict[str, str], variant: context.Variant, builder: engine.Engine) -> None:
    """Build those of `wanted`, image → name, that are missing; earlier builds of theirs go.

    Raises:
        subprocess.CalledProcessError: a build failed; the engine has said why.
    """
    missing = [image for image in wanted if not builder.has(wanted[image])]
    if missing and variant.base == DEBIAN:
        _cluster("base-image")
    folder = context.lay_out(variant) if missing else context.CONTEXT
    for image, reference in wanted.items():
        started = time.monotonic()
        if image in missing:
            builder.build(folder, image, reference, _arguments(image, variant))
            _clear(reference, builder)
        took = f"built in {time.monotonic() - started:.0f} s" if image in missing else "unchanged"
        size = builder.size(reference) / 1e6
        print(f"    {reference}: {took}, {size:.0f} MB unpacked", file=sys.stderr, flush=True)


def _clear(reference: str, builder: engine.Engine) -> None:
    """Remove the image's builds before the last few: a gigabyte each, they would fill the disk."""
    for earlier in builder.tags(reference.rpartition(":")[0])[KEPT:]:
        if earlier != reference and builder.remove(earlier):
            print(f"    {earlier}: removed, {KEPT} later builds are there", file=sys.stderr, flush=True)


def _arguments(image: str, variant: context.Variant) -> dict[str, str]:
    return {
        "BASE": variant.base,
        "TORCH": variant.torch,
        "DEPENDENCIES": context.dependencies_digest(variant),
        "SOURCE": context.source_digest(context.IMAGES[image]),
    }


def _cluster(*words: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "cluster", *words],
        check=True,
        stdout=sys.stderr,
        env={**os.environ, "PYTHONPATH": str(context.ROOT / "tests")},
    )


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("images", nargs="*", choices=[[], *context.IMAGES], help="which; all unless given")
    parser.add_argument(
        "--engine", choices=["buildah", "docker"], help="docker where it answers, unless given"
    )
    parser.add_argument("--base", default=os.environ.get("FATHOM_BASE_IMAGE"), help="base image")
    parser.add_argument("--torch", default="cpu", help="what torch is built for: cpu, cu128, cu130")
    parser.add_argument("--load", action="store_true", help="load them into the running cluster")
    parser.add_argument("--print", action="store_true", help="only print the names: build nothing")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Do what the arguments say; return the exit status."""
    options = _options(arguments)
    try:
        builder = engine.choose(options.engine)
    except LookupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    base = options.base or (PYTHON if builder.name == "docker" else DEBIAN)
    wheels = os.environ.get("FATHOM_WHEELS") or str(context.ROOT.parent / "shared" / "wheels")
    variant = context.Variant(base, options.torch, Path(wheels))
    names = options.images or list(context.IMAGES)
    wanted = references(variant)
    try:
        if not options.print:
            with exclusive(context.CONTEXT.with_suffix(".lock")):
                build({name: wanted[name] for name in names}, variant, builder)
        if options.load:
            _cluster("load", *(wanted[name] for name in names))
    except subprocess.CalledProcessError as error:
        failed = f"error: {Path(error.cmd[0]).name} ended with status {error.returncode}; see above"
        print(failed, file=sys.stderr)
        return 1
    print(json.dumps({name: wanted[name] for name in names}, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
