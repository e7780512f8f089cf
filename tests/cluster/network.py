"""A network namespace per cluster, joined to the host by one veth pair."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cluster.console import ClusterError
from cluster.shell import attempt, run

_SLOTS = range(256)


@dataclass(frozen=True)
class Network:
    """The addresses of one cluster: 10.250.SLOT.1 is the host's end, .2 the node's."""

    cluster: str
    slot: int

    @property
    def namespace(self) -> str:
        """The name of the namespace."""
        return f"fathom-{self.cluster}"

    @property
    def path(self) -> Path:
        """The file that stands for the namespace."""
        return Path("/run/netns") / self.namespace

    @property
    def subnet(self) -> str:
        """The addresses of the veth pair."""
        return f"10.250.{self.slot}.0/24"

    @property
    def host(self) -> str:
        """The host's address."""
        return f"10.250.{self.slot}.1"

    @property
    def node(self) -> str:
        """The node's address, where the API server listens."""
        return f"10.250.{self.slot}.2"

    @property
    def link(self) -> str:
        """The host's end of the pair; a name of at most 15 characters."""
        return f"fathom{self.slot}"

    def up(self) -> None:
        """Make the namespace and the pair, and let its pods reach the outside."""
        run(["ip", "netns", "add", self.namespace])
        run(["ip", "link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", self.namespace])
        run(["ip", "address", "add", f"{self.host}/24", "dev", self.link])
        run(["ip", "link", "set", self.link, "up"])
        inside = ["ip", "-n", self.namespace]
        run([*inside, "link", "set", "lo", "up"])
        run([*inside, "address", "add", f"{self.node}/24", "dev", "eth0"])
        run([*inside, "link", "set", "eth0", "up"])
        run([*inside, "route", "add", "default", "via", self.host])
        run(["nsenter", f"--net={self.path}", "sysctl", "-qw", "net.ipv4.ip_forward=1"])
        for rule in self._rules():
            run(["iptables", "-w", *_placed("-I", rule)])

    def down(self) -> None:
        """Remove it all; what is not there is no error."""
        for rule in self._rules():
            while attempt(["iptables", "-w", *_placed("-D", rule)]).returncode == 0:
                continue  # a crash may have left it twice
        if self.path.exists():
            # The namespace lives on, without a name, for as long as a process is in it: take its link first.
            attempt(["ip", "-n", self.namespace, "link", "delete", "eth0"])
            run(["ip", "netns", "delete", self.namespace])
        if Path(f"/sys/class/net/{self.link}").exists():
            run(["ip", "link", "delete", self.link])

    def _rules(self) -> list[list[str]]:
        comment = ["-m", "comment", "--comment", self.namespace]
        return [
            ["nat", "POSTROUTING", "-s", self.subnet, "!", "-o", self.link, *comment, "-j", "MASQUERADE"],
            ["filter", "FORWARD", "-i", self.link, *comment, "-j", "ACCEPT"],
            ["filter", "FORWARD", "-o", self.link, *comment, "-j", "ACCEPT"],
        ]


def _placed(action: str, rule: list[str]) -> list[str]:
    table, chain, *match = rule
    return ["-t", table, action, chain, *match]


def free_slot(addresses: Iterable[str], claimed: Iterable[int]) -> int:
    """The first 10.250.N.0/24 that neither an address of this machine nor another cluster uses.

    Raises:
        ClusterError: there is none.
    """
    used = {int(found[1]) for text in addresses if (found := re.match(r"10\.250\.(\d+)\.", text))}
    for slot in _SLOTS:
        if slot not in used and slot not in set(claimed):
            return slot
    raise ClusterError("no 10.250.N.0/24 is free on this machine: take a cluster down")


def host_addresses() -> list[str]:
    """The IPv4 addresses and routes of this machine."""
    links = json.loads(run(["ip", "-j", "-4", "address"]))
    routes = json.loads(run(["ip", "-j", "-4", "route"]) or "[]")
    addresses = [entry["local"] for link in links for entry in link.get("addr_info", ())]
    return [*addresses, *(route["dst"] for route in routes)]
