"""Storage of the embedded cluster: volumes made beforehand, since nothing on it provisions any."""

from pathlib import Path

from cluster.controlplane import NODE
from cluster.kube import Object

CLASS = "standard"
VOLUMES = 48


def make_folders(folder: Path) -> list[Path]:
    """The volumes' empty folders, which our images' user may write."""
    volumes = [folder / f"pv-{number:02}" for number in range(1, VOLUMES + 1)]
    for volume in volumes:
        volume.mkdir(parents=True)
        volume.chmod(0o777)  # charts may run pods as any user
    return volumes


def objects(volumes: list[Path]) -> list[Object]:
    """The default storage class, and a volume for each folder."""
    storage_class: Object = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "Immediate",
    }
    return [storage_class, *(_volume(path) for path in volumes)]


def _volume(path: Path) -> Object:
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": path.name},
        "spec": {
            "storageClassName": CLASS,
            "capacity": {"storage": "50Gi"},
            "accessModes": ["ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(path), "type": "Directory"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }
