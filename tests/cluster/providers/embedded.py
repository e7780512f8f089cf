"""A cluster made of programs built here, for machines without a Docker engine."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster import build, debian, importing, install, mounts, pruning, seed, systemimages
from cluster.components import ALL
from cluster.console import ClusterError, say, step
from cluster.controlplane import ControlPlane
from cluster.host import Host
from cluster.kube import Kube
from cluster.manifests import storage
from cluster.network import Network, free_slot, host_addresses
from cluster.node import Node
from cluster.processes import Folder
from cluster.settings import Settings
from cluster.shell import locked
from cluster.sweep import sweep


@dataclass(frozen=True)
class Embedded:
    """One embedded cluster."""

    settings: Settings

    @property
    def _home(self) -> Path:
        return self.settings.home

    @property
    def _run(self) -> Path:
        return self._home / "run"

    @property
    def _processes(self) -> Folder:
        return Folder(self._run / "processes", self._home / "log")

    @property
    def _host(self) -> Host:
        return Host(self.settings.state)

    def up(self) -> Path:
        """Start afresh unless it runs already."""
        debian.require_root("run the embedded cluster")
        self._home.mkdir(parents=True, exist_ok=True)
        with locked(self._home / "lock", f"cluster {self.settings.name}"):
            if self._runs():
                say(f"cluster {self.settings.name} is up already")
                return self._run / "kubeconfig"
            self._prepare()
            self._sweep()
            return self._start()

    def _prepare(self) -> None:
        debian.require({**debian.NODE, **debian.IMAGES})
        cache = self.settings.cache
        built = build.ensure(ALL, cache)
        layout = systemimages.ensure(cache, envoy=True)
        seed.ensure(cache)
        pruning.used([*(one.folder for one in built.values()), layout])
        pruning.prune([cache / "build", cache / "images"])

    def _runs(self) -> bool:
        return (self._run / "ready").exists() and all(one.alive() for one in self._processes.recorded())

    def _network(self) -> Network:
        """The network of the last run, or a free one."""
        return Network(self.settings.name, self._host.claimed_slots().get(self.settings.name, 0))

    def _node(self, network: Network) -> Node:
        built = {one.name: build.location(one, self.settings.cache) for one in ALL}
        store, name = self._home / "containerd", self.settings.name
        return Node(name, self._run, store, self._processes, built, network.node, network.path)

    def _sweep(self) -> None:
        if not (self._home / "slot").exists():
            return
        with step(f"Cleaning up what cluster {self.settings.name} left"):
            network = self._network()
            sweep(self._node(network), network)
            self._remove_volumes()
            (self._home / "slot").unlink()

    def _claim_network(self) -> Network:
        with locked(self.settings.state / "lock", "choosing a network"):
            self._host.prepare()
            slot = free_slot(host_addresses(), self._host.claimed_slots().values())
            (self._home / "slot").write_text(str(slot))
        return Network(self.settings.name, slot)

    def _start(self) -> Path:
        network = self._claim_network()
        shutil.rmtree(self._home / "log", ignore_errors=True)
        network.up()
        node = self._node(network)
        plane = ControlPlane(self._run, network.node, 6443, 2379, self._processes, node.built, network.path)
        with step("Starting the control plane"):
            authority = plane.start(seed.ensure(self.settings.cache))
            plane.start_controllers(["*", "bootstrapsigner", "tokencleaner"])
        with step("Starting the node"):
            node.start_containerd()
            node.import_system_images(self.settings.cache)
            node.start_kubelet(plane, authority)
            node.wait_services()
            plane.start_scheduler()
        kube = Kube(plane.admin)
        kube.create(self._storage())
        install.wait(kube)
        (self._run / "ready").touch()
        return plane.admin

    def _storage(self) -> list[dict[str, object]]:
        return storage.objects(storage.make_folders(self._home / "volumes"))

    def _remove_volumes(self) -> None:
        mounts.unmount(self._home / "volumes")
        shutil.rmtree(self._home / "volumes", ignore_errors=True)

    def down(self, *, purge: bool) -> None:
        """Remove everything but the image store, and with ``purge`` that too."""
        debian.require_root("take the embedded cluster down")
        if not self._home.exists():
            say(f"there is no cluster {self.settings.name}")
            return
        with locked(self._home / "lock", f"cluster {self.settings.name}"):
            self._sweep()
            with locked(self.settings.state / "lock", "choosing a network"):
                self._host.restore()
            if purge:
                shutil.rmtree(self._home)

    def status(self) -> str:
        """The processes, the node and the pods."""
        if not self._processes.records.exists():
            return f"embedded cluster {self.settings.name} is down"
        lines = [f"{one.name}: {'runs' if one.alive() else 'DEAD'}" for one in self._processes.recorded()]
        if not self._runs():
            return "\n".join([*lines, "the cluster is broken: `python -m cluster up` starts it afresh"])
        pods = Kube(self.kubeconfig()).kubectl("get", "nodes,pods", "-A", "-o", "wide")
        return "\n".join([*lines, pods])

    def load(self, images: Sequence[str]) -> None:
        """Import images from buildah, sending only the layers that the node lacks."""
        self.kubeconfig()  # says so when the cluster is down
        importing.load(self._node(self._network()), images, self.settings.cache)

    def load_layout(self, layout: Path) -> None:
        """Import the images of an OCI layout."""
        with systemimages.archive(layout) as archive:
            self._node(self._network()).ctr("images", "import", archive)

    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        if not (self._run / "kubeconfig").exists():
            raise ClusterError(f"cluster {self.settings.name} is down: start it with `python -m cluster up`")
        return self._run / "kubeconfig"
