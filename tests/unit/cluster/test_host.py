import os
import subprocess
from pathlib import Path

import pytest

from cluster import host, mounts, pki, processes
from cluster.console import ClusterError
from cluster.network import Network, free_slot


@pytest.mark.parametrize(
    ("addresses", "claimed", "slot"),
    [
        pytest.param(["192.0.2.2", "127.0.0.1"], [], 0, id="the first, on a machine without clusters"),
        pytest.param(["10.250.0.1"], [], 1, id="not one that an interface has"),
        pytest.param(["10.250.0.0/24"], [], 1, id="not one that is routed elsewhere"),
        pytest.param([], [0, 1], 2, id="not one that a stopped or dead cluster claims"),
        pytest.param(["10.25.0.1", "110.250.0.1"], [], 0, id="addresses that only look alike do not count"),
    ],
)
def test_a_cluster_takes_a_free_network(addresses: list[str], claimed: list[int], slot: int):
    assert free_slot(addresses, claimed) == slot


def test_no_free_network_says_what_to_do():
    with pytest.raises(ClusterError, match="take a cluster down"):
        free_slot([], range(256))


def test_the_longest_link_name_fits_the_kernel():
    assert len(Network("a" * 20, 255).link) <= 15


MOUNTS = """\
/dev/vda / ext4 rw 0 0
tmpfs /state/one/run/kubelet/pods/a tmpfs rw 0 0
tmpfs /state/one/run/kubelet/pods/a/with\\040blank tmpfs rw 0 0
tmpfs /state/one-more/run tmpfs rw 0 0
"""


def test_mounts_are_found_under_a_folder_innermost_first():
    assert mounts.under(Path("/state/one"), MOUNTS) == [
        Path("/state/one/run/kubelet/pods/a/with blank"),
        Path("/state/one/run/kubelet/pods/a"),
    ]


@pytest.fixture
def folder(tmp_path: Path) -> processes.Folder:
    return processes.Folder(tmp_path / "processes", tmp_path / "log")


def test_what_was_started_is_recorded_and_ended(folder: processes.Folder):
    started = folder.start("sleeper", ["sleep", "60"])
    assert started.alive()
    assert folder.recorded() == [started]
    folder.stop()
    assert not started.alive()
    assert folder.recorded() == []


def test_a_process_that_ignores_the_polite_signal_is_ended_too(folder: processes.Folder):
    started = folder.start("stubborn", ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.01; done"])
    while "ready" not in folder.log("stubborn").read_text():
        os.sched_yield()
    folder.stop(grace=0.1)
    assert not started.alive()


def test_another_process_with_a_recorded_number_is_left_alone(folder: processes.Folder):
    with subprocess.Popen(["sleep", "60"]) as other:
        processes.end([processes.Process("old", other.pid, started=1)], grace=0.1)
        assert other.poll() is None
        other.kill()


def test_a_component_that_ended_by_itself_is_told_with_its_log(folder: processes.Folder):
    started = folder.start("broken", ["sh", "-c", "echo no such flag; exit 1"])
    while started.alive():
        processes.reap(started.pid)
    with pytest.raises(ClusterError, match="no such flag"):
        folder.check("broken")


def test_keys_are_readable_by_their_owner_alone(tmp_path: Path):
    pki.authority("ca").write(tmp_path, "ca")
    assert (tmp_path / "ca.key").stat().st_mode & 0o077 == 0


def test_a_certificate_is_signed_by_its_authority_and_names_its_hosts():
    authority = pki.authority("ca")
    issued = pki.issue(authority, "server", hosts=["localhost", "10.96.0.1"]).certificate
    issued.verify_directly_issued_by(authority.certificate)
    names = issued.extensions.get_extension_for_class(pki.x509.SubjectAlternativeName).value
    assert names.get_values_for_type(pki.x509.DNSName) == ["localhost"]
    assert [str(one) for one in names.get_values_for_type(pki.x509.IPAddress)] == ["10.96.0.1"]


def test_folders_that_another_program_uses_by_now_stay(tmp_path: Path):
    (tmp_path / "containerd" / "s").mkdir(parents=True)
    (tmp_path / "containerd" / "theirs").mkdir()
    (tmp_path / "containerd" / "theirs" / "socket").touch()
    host.remove_empty(tmp_path / "containerd")
    assert [one.name for one in (tmp_path / "containerd").iterdir()] == ["theirs"]


def test_folders_that_hold_nothing_go(tmp_path: Path):
    (tmp_path / "cni" / "results").mkdir(parents=True)
    host.remove_empty(tmp_path / "cni")
    assert not (tmp_path / "cni").exists()
