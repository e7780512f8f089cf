"""etcd, the API server and, where wanted, controllers and the scheduler."""

import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster import kubeconfig, pki
from cluster.build import Built
from cluster.console import ClusterError, tail
from cluster.processes import Folder

SERVICE_CIDR = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
POD_CIDR = "10.244.0.0/16"
NODE = "node1"


@dataclass(frozen=True)
class Authority:
    """What signs certificates and service-account tokens in one cluster."""

    ca: pki.Pair
    front_proxy_ca: pki.Pair
    """Must differ from ``ca``, or any client could pose as the front proxy."""
    accounts_key: bytes


@dataclass(frozen=True)
class ControlPlane:
    """The control plane of one cluster, and where it listens."""

    folder: Path
    address: str
    port: int
    etcd_port: int
    processes: Folder
    built: Mapping[str, Built]
    netns: Path | None = None
    tied: bool = False
    """Whether the kernel ends the processes with the thread that started them."""

    @property
    def server(self) -> str:
        """The address of the API server."""
        return f"https://{self.address}:{self.port}"

    @property
    def admin(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "kubeconfig"

    @property
    def pki(self) -> Path:
        """The folder of certificates and keys."""
        return self.folder / "pki"

    def start(self, seed: Path | None = None) -> Authority:
        """Make certificates, start etcd and the API server, and wait until it is ready.

        Args:
            seed: etcd data to begin with.
        """
        authority = self._certificates()
        if seed is not None:
            shutil.copytree(seed, self.folder / "etcd")
        self._start("etcd", "etcd", etcd_arguments(self.folder / "etcd", self.etcd_port))
        self._start("kube-apiserver", "kubernetes", self._api_server_arguments())
        self._wait_ready(60.0)
        return authority

    def start_controllers(self, controllers: Sequence[str]) -> None:
        """Start the controller manager with the named controllers (``*`` for the usual ones)."""
        self._start(
            "kube-controller-manager",
            "kubernetes",
            [
                f"--kubeconfig={self.admin}",
                f"--service-account-private-key-file={self.pki / 'accounts.key'}",
                f"--root-ca-file={self.pki / 'ca.crt'}",
                f"--cluster-signing-cert-file={self.pki / 'ca.crt'}",
                f"--cluster-signing-key-file={self.pki / 'ca.key'}",
                "--use-service-account-credentials",
                f"--controllers={','.join(controllers)}",
                f"--cluster-cidr={POD_CIDR}",
                "--allocate-node-cidrs=false",
                "--leader-elect=false",
                "--secure-port=0",
            ],
        )

    def start_scheduler(self) -> None:
        """Start the scheduler."""
        arguments = [f"--kubeconfig={self.admin}", "--leader-elect=false", "--secure-port=0"]
        self._start("kube-scheduler", "kubernetes", arguments)

    def _start(self, name: str, component: str, arguments: Sequence[str]) -> None:
        argv = [self.built[component].binary(name), *arguments]
        self.processes.start(name, argv, netns=self.netns, tied=self.tied)

    def _certificates(self) -> Authority:
        authority = Authority(pki.authority("fathom-ca"), pki.authority("fathom-front-proxy-ca"), _key())
        service = "kubernetes.default.svc"
        names = ("kubernetes", "kubernetes.default", service, f"{service}.cluster.local", "localhost")
        hosts = [*names, "127.0.0.1", API_SERVICE, self.address]
        authority.ca.write(self.pki, "ca")
        authority.front_proxy_ca.write(self.pki, "front-proxy-ca")
        pki.issue(authority.ca, "kube-apiserver", hosts=hosts).write(self.pki, "apiserver")
        pki.issue(authority.front_proxy_ca, "front-proxy-client").write(self.pki, "front-proxy")
        admin = pki.issue(authority.ca, "fathom-admin", groups=["system:masters"])
        admin.write(self.pki, "admin")
        pki.write_secret(self.pki / "accounts.key", authority.accounts_key)
        ca = authority.ca.certificate_pem
        kubeconfig.write(self.admin, server=self.server, ca=ca, user=admin, context="fathom")
        return authority

    def _api_server_arguments(self) -> list[str]:
        p = self.pki
        return [
            f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            f"--bind-address={'0.0.0.0' if self.netns else self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self.port}",
            f"--service-cluster-ip-range={SERVICE_CIDR}",
            f"--tls-cert-file={p}/apiserver.crt",
            f"--tls-private-key-file={p}/apiserver.key",
            f"--client-ca-file={p}/ca.crt",
            f"--service-account-key-file={p}/accounts.key",
            f"--service-account-signing-key-file={p}/accounts.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged",
            f"--kubelet-client-certificate={p}/admin.crt",
            f"--kubelet-client-key={p}/admin.key",
            # Otherwise logs and exec look the node's name up in DNS.
            "--kubelet-preferred-address-types=InternalIP",
            f"--requestheader-client-ca-file={p}/front-proxy-ca.crt",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={p}/front-proxy.crt",
            f"--proxy-client-key-file={p}/front-proxy.key",
            "--enable-aggregator-routing",
            # A loopback address cannot be an endpoint of the service "kubernetes", but stays in the data.
            f"--endpoint-reconciler-type={'lease' if self.netns else 'none'}",
        ]

    def _wait_ready(self, seconds: float) -> None:
        context = ssl.create_default_context(cafile=str(self.pki / "ca.crt"))
        context.load_cert_chain(self.pki / "admin.crt", self.pki / "admin.key")

        def ready() -> bool:
            for name in ("etcd", "kube-apiserver"):
                self.processes.check(name)
            return _answers(f"{self.server}/readyz", context)

        if not until(ready, seconds):
            log = tail(self.processes.log("kube-apiserver"))
            raise ClusterError(f"the API server was not ready after {seconds:.0f} s.\n{log}")


def etcd_arguments(data: Path, port: int) -> list[str]:
    """One member, on the loopback, without waiting for the disk: the data does not outlive the cluster."""
    clients, peers = f"http://127.0.0.1:{port}", "http://127.0.0.1:0"
    return [
        f"--data-dir={data}",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def until(true: Callable[[], bool], seconds: float, pause: float = 0.1) -> bool:
    """Look again until it is true; False when ``seconds`` went by."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def _key() -> bytes:
    return pki.private_pem(pki.new_key())


def _answers(url: str, context: ssl.SSLContext) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2, context=context) as response:
            return response.status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
