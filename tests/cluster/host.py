"""What the first cluster changes on the host, and the last one puts back."""

import json
from dataclasses import dataclass
from pathlib import Path

_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
# The kubelet, CNI and containerd's shims write to these fixed places.
_FOLDERS = ("/var/lib/kubelet", "/var/log/containers", "/var/lib/cni", "/run/containerd")
_LEFTOVERS = (
    "/var/lib/kubelet/device-plugins/kubelet.sock",
    "/var/lib/kubelet/device-plugins/kubelet_internal_checkpoint",
)


@dataclass(frozen=True)
class Host:
    """This machine, as clusters under one state folder share it."""

    state: Path

    @property
    def _record(self) -> Path:
        return self.state / "host-before.json"

    def prepare(self) -> None:
        """Remember how the host was, unless another cluster did, and let it forward packets."""
        if not self._record.exists():
            before = {
                "forwarding": _FORWARDING.read_text().strip(),
                "absent": [folder for folder in _FOLDERS if not Path(folder).exists()],
            }
            self.state.mkdir(parents=True, exist_ok=True)
            self._record.write_text(json.dumps(before))
        _FORWARDING.write_text("1")

    def restore(self) -> None:
        """Put back what was before, when no cluster of this state folder is left."""
        if not self._record.exists() or any(self.claimed_slots()):
            return
        before = json.loads(self._record.read_text())
        _FORWARDING.write_text(before["forwarding"])
        for leftover in map(Path, _LEFTOVERS):
            if any(leftover.is_relative_to(folder) for folder in before["absent"]):
                leftover.unlink(missing_ok=True)
        for folder in before["absent"]:
            remove_empty(Path(folder))
        self._record.unlink()

    def claimed_slots(self) -> dict[str, int]:
        """Name of each cluster that is up, or died, → its network slot."""
        return {file.parent.name: int(file.read_text()) for file in self.state.glob("*/slot")}


def remove_empty(folder: Path) -> None:
    """Remove a folder and those below it as far as they hold nothing: another program may use it by now."""
    if not folder.is_dir():
        return
    for below in folder.iterdir():
        if below.is_dir() and not below.is_symlink():
            remove_empty(below)
    if not any(folder.iterdir()):
        folder.rmdir()
