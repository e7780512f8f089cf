"""What the first cluster changes on the host, and the last one puts back."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
# The kubelet, CNI and containerd's shims write to these fixed places.
_FOLDERS = ("/var/lib/kubelet", "/var/log/containers", "/var/lib/cni", "/run/containerd")


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
        for folder in before["absent"]:
            shutil.rmtree(folder, ignore_errors=True)
        self._record.unlink()

    def claimed_slots(self) -> dict[str, int]:
        """Name of each cluster that is up, or died, → its network slot."""
        return {file.parent.name: int(file.read_text()) for file in self.state.glob("*/slot")}
