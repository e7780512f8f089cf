"""The cluster's one node: containerd, the kubelet and kube-proxy."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from cluster import cgroups, kubeconfig, pki, systemimages
from cluster.build import Built
from cluster.console import ClusterError, step, tail
from cluster.controlplane import API_SERVICE, NODE, POD_CIDR, Authority, ControlPlane, until
from cluster.processes import Folder
from cluster.shell import attempt, run

DNS = "10.96.0.10"
_RESOLVED = Path("/run/systemd/resolve/resolv.conf")


@dataclass(frozen=True)
class Node:
    """The node of one embedded cluster."""

    cluster: str
    run: Path
    """Sockets, state and configuration: gone when the cluster is down."""
    store: Path
    """containerd's images: kept between runs."""
    processes: Folder
    built: Mapping[str, Built]
    address: str
    netns: Path

    @property
    def cgroup(self) -> str:
        """The cgroup that all pods are in, without the leading slash."""
        return f"fathom-{self.cluster}"

    @property
    def socket(self) -> Path:
        """containerd's socket."""
        return self.run / "containerd.sock"

    @property
    def pod_logs(self) -> Path:
        """Where the kubelet has containers write."""
        return self.run / "pod-logs"

    @property
    def cni_state(self) -> Path:
        """Where addresses given to pods are kept."""
        return self.run / "cni"

    def ctr(self, *words: str | Path) -> str:
        """Ask containerd."""
        return run(["ctr", "--address", self.socket, "--namespace", "k8s.io", *words])

    def start_containerd(self, *, janitor: bool = False) -> None:
        """Start containerd and wait until it answers.

        Args:
            janitor: without the kubelet's interface, which would first try to revive what it remembers.
        """
        self._write_cni()
        log = self.processes.log("containerd")
        log.unlink(missing_ok=True)
        config = self._write("containerd.toml", containerd_config(self, janitor=janitor))
        self.processes.start("containerd", ["containerd", "--config", config], netns=self.netns_if_there)
        # The kubelet ends itself when it asks before this line: its interface comes up after containerd.
        sign = "containerd successfully booted" if janitor else "Start streaming server"

        def booted() -> bool:
            self.processes.check("containerd")
            return log.exists() and sign in log.read_text(errors="replace") and self._answers()

        if not until(booted, 60.0):
            raise ClusterError(f"containerd does not answer.\n{tail(log)}")

    @property
    def netns_if_there(self) -> Path | None:
        """The namespace; none while cleaning up after a crash that lost it."""
        return self.netns if self.netns.exists() else None

    def _answers(self) -> bool:
        return attempt(["ctr", "--address", self.socket, "version"]).returncode == 0

    def import_system_images(self, cache: Path) -> None:
        """Give containerd the system images, unless it kept them from last time."""
        layout = systemimages.ensure(cache, envoy=True)
        marker = self.store / "system-images"
        if marker.exists() and marker.read_text() == layout.name:
            return
        with step("Importing the system images"), systemimages.archive(layout) as archive:
            self.ctr("images", "import", archive)
        marker.write_text(layout.name)

    def start_kubelet(self, plane: ControlPlane, authority: Authority) -> None:
        """Start the kubelet and kube-proxy."""
        user = pki.issue(
            authority.ca, f"system:node:{NODE}", groups=["system:nodes"], hosts=[NODE, self.address]
        )
        user.write(plane.pki, "kubelet")
        ca = authority.ca.certificate_pem
        kubelet = kubeconfig.write(
            self.run / "kubelet.kubeconfig", server=plane.server, ca=ca, user=user, context="fathom"
        )
        config = self._write("kubelet.yaml", yaml.safe_dump(kubelet_config(self, plane.pki)))
        arguments = [
            f"--config={config}",
            f"--kubeconfig={kubelet}",
            f"--hostname-override={NODE}",
            f"--node-ip={self.address}",
            f"--root-dir={self.run / 'kubelet'}",
            f"--cert-dir={plane.pki}",
            f"--tls-cert-file={plane.pki / 'kubelet.crt'}",
            f"--tls-private-key-file={plane.pki / 'kubelet.key'}",
        ]
        cgroups.create(self.cgroup)
        self._start("kubelet", arguments)
        proxy = self._write("proxy.yaml", yaml.safe_dump(proxy_config(plane)))
        self._start("kube-proxy", [f"--config={proxy}"])

    def wait_services(self) -> None:
        """Wait until pods can reach the API server: those that start earlier fail, and are then held back."""

        def routed() -> bool:
            for name in ("kubelet", "kube-proxy"):
                self.processes.check(name)
            return f"{API_SERVICE}/32" in run(
                ["nsenter", f"--net={self.netns}", "iptables-save", "-t", "nat"]
            )

        if not until(routed, 60.0):
            log = tail(self.processes.log("kube-proxy"))
            raise ClusterError(f"kube-proxy made no rule for {API_SERVICE} within 60 s.\n{log}")

    def _start(self, name: str, arguments: list[str]) -> None:
        argv = [self.built["kubernetes"].binary(name), *arguments]
        self.processes.start(name, argv, netns=self.netns)

    def _write(self, name: str, content: str) -> Path:
        self.run.mkdir(parents=True, exist_ok=True)
        target = self.run / name
        target.write_text(content)
        return target

    def _write_cni(self) -> None:
        folder = self.run / "net.d"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "10-fathom.conflist").write_text(json.dumps(cni_config(self)))

    def forget_containers(self) -> list[str]:
        """Remove all containers, whose processes must be gone, but no image; returns their ids."""
        containers = self.ctr("containers", "list", "--quiet").split()
        if containers:
            self.ctr("containers", "delete", *containers)
        return containers


def containerd_config(node: Node, *, janitor: bool) -> str:
    """containerd's configuration: everything it writes is under the cluster's own folders."""
    unused = [f"io.containerd.snapshotter.v1.{name}" for name in ("aufs", "btrfs", "zfs", "devmapper")]
    disabled = [*unused, "io.containerd.internal.v1.opt", *(["io.containerd.grpc.v1.cri"] if janitor else [])]
    return f"""version = 2
root = "{node.store}"
state = "{node.run}/containerd"
disabled_plugins = {json.dumps(disabled)}
[grpc]
  address = "{node.socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{systemimages.name("pause")}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{node.run}/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        Root = "{node.run}/runc"
"""


def cni_config(node: Node) -> dict[str, object]:
    """Each pod hangs on a routed link of its own: no bridge, so no bridge settings of the host matter."""
    ipam = {
        "type": "host-local",
        "dataDir": str(node.cni_state),
        "ranges": [[{"subnet": POD_CIDR}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    return {
        "cniVersion": "0.4.0",
        "name": f"fathom-{node.cluster}",
        "plugins": [
            {"type": "ptp", "ipMasq": True, "ipam": ipam},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def kubelet_config(node: Node, certificates: Path) -> dict[str, object]:
    """The kubelet's configuration; works with cgroup v1 and v2 and leaves the host's limits alone."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "x509": {"clientCAFile": str(certificates / "ca.crt")},
            "webhook": {"enabled": True},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node.cgroup}",
        "cgroupsPerQOS": True,
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "localStorageCapacityIsolation": False,
        "clusterDNS": [DNS],
        "clusterDomain": "cluster.local",
        "resolvConf": str(_RESOLVED if _RESOLVED.exists() else Path("/etc/resolv.conf")),
        "containerRuntimeEndpoint": f"unix://{node.socket}",
        "podLogsDir": str(node.pod_logs),
        "volumePluginDir": str(node.run / "volume-plugins"),
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        # Images come from no registry: what the kubelet removed could not be pulled again.
        "imageGCHighThresholdPercent": 100,
        "serializeImagePulls": False,
    }


def proxy_config(plane: ControlPlane) -> dict[str, object]:
    """kube-proxy's configuration; the host's connection tracking stays as it is."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(plane.admin)},
        "clusterCIDR": POD_CIDR,
        "mode": "iptables",
        "hostnameOverride": NODE,
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }
