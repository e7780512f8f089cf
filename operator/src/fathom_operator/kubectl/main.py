"""`kubectl-fathom`, which kubectl finds by its name: `kubectl fathom status movies`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TextIO

import kubernetes.client
import kubernetes.config
from kubernetes.config import ConfigException

from fathom_api import Annotations, BackfillStatus, RecModelSpec, RecModelStatus
from fathom_operator.analysis.trail import Trail
from fathom_operator.kube.client import Kube
from fathom_operator.kube.errors import KubeError
from fathom_operator.kube.resources import BACKFILLS, CONFIG_MAPS, REC_MODELS, Obj
from fathom_operator.kubectl.backfills import AT_REST, NAMES, backfill_lines
from fathom_operator.kubectl.pages import history_page
from fathom_operator.kubectl.view import history_lines, status_lines
from fathom_operator.observation import parse_spec, parse_status
from fathom_operator.recmodel.record import record_name, trail_in
from fathom_operator.times import Clock, text, utc_now

_MANAGER: Final = "kubectl-fathom"
_COMMANDS: Final = {
    "promote": (Annotations.PROMOTE, "skip what is left of the steps; told again, of the bake"),
    "pause": (Annotations.PAUSE, "stay at this share; what is worse is taken back all the same"),
    "resume": (Annotations.RESUME, "go on"),
    "abort": (Annotations.ABORT, "take the candidate back"),
    "retry": (Annotations.RETRY, "try again what failed or was rejected"),
}
_SHOWS: Final = {
    "status": "show what a RecModel does",
    "watch": "show it until its rollout is over",
    "history": "show the versions that were served or rejected",
}
#: A picture is drawn over the one before, line by line: clearing the screen each second would flicker.
_CLEAR: Final = "\033[H\033[J"
_HOME: Final = "\033[H"
_TO_END_OF_LINE: Final = "\033[K"
_TO_END: Final = "\033[J"
_HIDE_CURSOR: Final = "\033[?25l"
_SHOW_CURSOR: Final = "\033[?25h"
_SECONDS: Final = 1.0


class RefusedError(Exception):
    """What was asked for makes no sense now; the message says why and what does."""


@dataclass(frozen=True)
class Plugin:
    """The commands, on one API server."""

    kube: Kube
    namespace: str
    out: TextIO
    clock: Clock = utc_now
    sleep: Callable[[float], None] = time.sleep
    #: Of people who want none: https://no-color.org
    no_colour: bool = False

    def run(self, verb: str, name: str, output: str = "text") -> None:
        """Carry out a command; `output` is the form of a history, text or html.

        Raises:
            RefusedError: it makes no sense now.
            KubeError: the API server refuses it or does not answer.
        """
        kind, slash, rest = name.partition("/")
        if slash and kind in NAMES:
            self._backfill(verb, rest)
        elif verb in _COMMANDS:
            self._tell(verb, name)
        elif verb == "watch":
            self._watch(name)
        elif verb == "history" and output == "html":
            self.out.write(self._history_page(name))
        elif verb == "history":
            self._print(history_lines(self._status(self._get(name)), self.clock()))
        else:
            self._print(self._lines(self._get(name)))

    def _watch(self, name: str) -> None:
        """Draw the status anew each second where there is a terminal; else print it whenever it changes."""
        live = self.out.isatty()
        try:
            if live:
                self.out.write(_HIDE_CURSOR + _CLEAR)
            self._look_until_over(name, live=live)
        finally:
            if live:
                self.out.write(_SHOW_CURSOR)
                self.out.flush()

    def _look_until_over(self, name: str, *, live: bool) -> None:
        before: RecModelStatus | None = None
        rolled = False
        # What was measured before somebody watched; from here on it is seen as the operator sees it.
        trail = self._measured_before(name)
        while True:
            obj = self._get(name)
            status = self._status(obj)
            trail = trail.see(status, text(self.clock()))
            lines = self._lines(obj, trail)
            if live:
                self.out.write(_HOME + "".join(f"{line}{_TO_END_OF_LINE}\n" for line in lines) + _TO_END)
                self.out.flush()
            elif status != before:  # Not the lines: they tell the time.
                self._print(lines)
            before = status
            if rolled and status.rollout is None:
                return
            rolled = rolled or status.rollout is not None
            if not rolled and status.stage in {"Serving", "Complete", "Rejected", "Failed"}:
                return
            self.sleep(_SECONDS)

    def _backfill(self, verb: str, name: str) -> None:
        """Show a Backfill once, or with each change until nothing happens any more by itself; or retry it."""
        before = list[str]()
        while True:
            obj = self.kube.get(BACKFILLS, self.namespace, name)
            if obj is None:
                where = f"in namespace {self.namespace}: kubectl get backfills -n {self.namespace}"
                raise RefusedError(f"no Backfill {name} {where}")
            status = parse_status(BackfillStatus, obj)
            if verb == "retry":
                self._retry_backfill(name, status)
                return
            if verb not in {"status", "watch"}:
                raise RefusedError(f"a Backfill has no {verb}: what it does is in its spec; see kubectl edit")
            lines = backfill_lines(name, status, self.clock())
            if lines != before:
                self.out.write(_CLEAR if self.out.isatty() and verb == "watch" else "")
                self._print(lines)
            before = lines
            if verb == "status" or status.stage in AT_REST:
                return
            self.sleep(_SECONDS)

    def _retry_backfill(self, name: str, status: BackfillStatus) -> None:
        if status.stage not in {"Failed", "Stopped"}:
            raise RefusedError(f"{name} has nothing to try again: its stage is {status.stage}")
        value = self.clock().isoformat(timespec="milliseconds")
        changes = {"metadata": {"annotations": {Annotations.RETRY: value}}}
        self.kube.patch(BACKFILLS, self.namespace, name, changes, manager=_MANAGER)
        self._print([f"{name}: told to retry; see kubectl fathom watch backfill/{name}"])

    def _measured_before(self, name: str) -> Trail:
        try:
            return trail_in(self.kube.get(CONFIG_MAPS, self.namespace, record_name(name)))
        except KubeError:
            # Not everybody may read ConfigMaps; then the bars begin now. What else is wrong is said below.
            return Trail()

    def _history_page(self, name: str) -> str:
        obj = self._get(name)
        record = self.kube.get(CONFIG_MAPS, self.namespace, record_name(name))
        title = f"{self.namespace}/{name}"
        return history_page(title, _spec(obj), self._status(obj), trail_in(record), self.clock())

    def _tell(self, verb: str, name: str) -> None:
        status = self._status(self._get(name))
        if verb == "retry":
            if status.stage not in {"Rejected", "Failed"}:
                raise RefusedError(f"{name} has nothing to try again: its stage is {status.stage}")
        elif status.rollout is None:
            raise RefusedError(f"{name} has no rollout to {verb}: its stage is {status.stage}")
        elif verb == "resume" and status.rollout.phase != "Paused":
            raise RefusedError(f"{name} is not paused: its rollout is {status.rollout.phase}")
        value = self.clock().isoformat(timespec="milliseconds")
        changes = {"metadata": {"annotations": {_COMMANDS[verb][0]: value}}}
        self.kube.patch(REC_MODELS, self.namespace, name, changes, manager=_MANAGER)
        self._print([f"{name}: told to {verb}; see kubectl fathom watch {name}"])

    def _get(self, name: str) -> Obj:
        obj = self.kube.get(REC_MODELS, self.namespace, name)
        if obj is None:
            raise RefusedError(
                f"no RecModel {name} in namespace {self.namespace}: kubectl get recmodels -n {self.namespace}"
            )
        return obj

    def _lines(self, obj: Obj, trail: Trail | None = None) -> list[str]:
        colour = self.out.isatty() and not self.no_colour
        name, status = obj["metadata"]["name"], self._status(obj)
        return status_lines(name, _spec(obj), status, self.clock(), colour=colour, trail=trail)

    def _status(self, obj: Obj) -> RecModelStatus:
        return parse_status(RecModelStatus, obj)

    def _print(self, lines: Sequence[str]) -> None:
        self.out.write("\n".join(lines) + "\n")
        self.out.flush()


def _spec(obj: Obj) -> RecModelSpec:
    spec, invalid = parse_spec(RecModelSpec, obj)
    if spec is None:
        raise RefusedError(f"the spec is of another version of Fathom than this plugin: {invalid}")
    return spec


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    out = argparse.ArgumentParser(
        prog="kubectl fathom", description="Rollouts of RecModels, and Backfills (status, watch, retry)."
    )
    verbs = out.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    for verb, words in {**_SHOWS, **{verb: words for verb, (_, words) in _COMMANDS.items()}}.items():
        sub = verbs.add_parser(verb, help=words, description=words)
        sub.add_argument("name", help="of the RecModel; backfill/NAME for a Backfill")
        if verb == "history":
            sub.add_argument(
                "-o",
                "--output",
                choices=("text", "html"),
                default="text",
                help="html: one page with what each rollout measured, plotted; to the standard output",
            )
        sub.add_argument("-n", "--namespace", help="default: that of the context")
        sub.add_argument("--context", help="of the kubeconfig; default: the current one")
        sub.add_argument("--kubeconfig", help="default: $KUBECONFIG, or ~/.kube/config")
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the plugin; exits with 1 and a sentence where it cannot."""
    given = parser().parse_args(arguments)
    try:
        kube, namespace = _connect(given.kubeconfig, given.context)
        plugin = Plugin(
            kube, given.namespace or namespace, sys.stdout, no_colour=bool(os.environ.get("NO_COLOR"))
        )
        plugin.run(given.verb, given.name, getattr(given, "output", "text"))
    except (RefusedError, ConfigException, KubeError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _connect(kubeconfig: str | None, context: str | None) -> tuple[Kube, str]:
    """Return a client and the namespace of its context."""
    configuration = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(kubeconfig, context, client_configuration=configuration)
    listed: Any = kubernetes.config.list_kube_config_contexts(kubeconfig)
    contexts, current = listed
    chosen = next((each for each in contexts if each["name"] == context), current)
    return Kube(configuration), chosen["context"].get("namespace") or "default"


if __name__ == "__main__":
    main()
