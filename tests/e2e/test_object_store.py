"""Items, pictures and results in an object store: a real server that speaks S3."""

from __future__ import annotations

import io
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq
import pytest
import s3fs
from e2e.world import World

from cluster import addons, providers
from cluster.settings import from_env
from demo.kube import Object
from demo.waiting import wait_for

NAME, PORT, BUCKET = "s3", 7070, "catalogue"
ACCESS, SECRET = "fathom", "not-a-secret"


@dataclass(frozen=True)
class Store:
    """A bucket, reached from here through a forwarded port."""

    files: Any


@pytest.fixture(scope="module")
def store(world: World) -> Generator[Store]:
    image = addons.add_s3_server(providers.choose(from_env()), from_env().cache)
    world.kube.apply([_pod(image, world.namespace), _service(world.namespace), _secret(world.namespace)])
    wait_for("the S3 server is ready", lambda: _ready(world), timeout=120)
    with world.kube.forward(f"pod/{NAME}", world.namespace, PORT) as port:
        files = s3fs.S3FileSystem(
            key=ACCESS, secret=SECRET, endpoint_url=f"http://127.0.0.1:{port}", skip_instance_cache=True
        )
        files.mkdir(BUCKET)
        yield Store(files)
    world.kube.delete("pod", NAME, world.namespace, "--grace-period=0")


def test_a_catalogue_in_an_object_store_is_captioned_into_it(world: World, store: Store) -> None:
    name = "in-a-bucket"
    items = world.context.data.table("items", ["item_id", "image"]).slice(0, 96)
    paths = [f"pictures/{number}.jpg" for number in range(items.num_rows)]
    for path, picture in zip(paths, items["image"].to_pylist(), strict=True):
        store.files.pipe_file(f"{BUCKET}/{path}", picture)
    # The last one is not there: a row in errors/, not a failed job.
    paths[-1] = "pictures/lost.jpg"
    listed = items.set_column(1, "image", [paths])
    table = io.BytesIO()
    pq.write_table(listed, table)
    store.files.pipe_file(f"{BUCKET}/items.parquet", table.getvalue())

    source = {"uri": f"s3://{BUCKET}/items.parquet", "idColumn": "item_id", "mediaColumn": "image"}
    job = world.caption_job(
        name, source=source, output={"uri": f"s3://{BUCKET}/{name}"}, shards=2, **world.learned()
    )
    job["spec"]["template"]["envFrom"] = [{"secretRef": {"name": NAME}}]
    job["spec"]["features"] |= {"minCount": 1}
    world.kube.apply([job])
    status = world.until_stage("captionjob", name, "Complete")

    assert status.items.done == items.num_rows - 1
    assert status.items.failed == 1
    assert status.features
    assert status.features.uri == f"s3://{BUCKET}/{name}/features"
    rows = [
        row
        for file in store.files.glob(f"{BUCKET}/{name}/captions/run-00001-*/shard-*/*.parquet")
        for row in _read(store, file)
    ]
    assert sorted(row["item_id"] for row in rows) == sorted(items["item_id"].to_pylist()[:-1])
    errors = [
        row
        for f in store.files.glob(f"{BUCKET}/{name}/errors/run-00001-*/shard-*/*.parquet")
        for row in _read(store, f)
    ]
    assert [row["reason"] for row in errors] == ["MediaNotFound"]
    report = store.files.cat_file(f"{BUCKET}/{name}/report/index.html").decode()
    assert "MediaNotFound" in report


def _read(store: Store, file: str) -> list[dict[str, Any]]:
    return pq.read_table(io.BytesIO(store.files.cat_file(file))).to_pylist()


def _ready(world: World) -> bool:
    pod = world.kube.find("pod", NAME, world.namespace)
    conditions = (pod or {}).get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _secret(namespace: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": NAME, "namespace": namespace},
        "stringData": {
            "AWS_ACCESS_KEY_ID": ACCESS,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": f"http://{NAME}.{namespace}:{PORT}",
            "AWS_DEFAULT_REGION": "us-east-1",
        },
    }


def _service(namespace: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {"selector": {"app": NAME}, "ports": [{"port": PORT}]},
    }


def _pod(image: str, namespace: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "namespace": namespace, "labels": {"app": NAME}},
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "fsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": NAME,
                    "image": image,
                    "args": ["--port", f":{PORT}", "posix", "--sidecar", "/meta", "/data"],
                    "env": [
                        {"name": "ROOT_ACCESS_KEY", "value": ACCESS},
                        {"name": "ROOT_SECRET_KEY", "value": SECRET},
                    ],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
                    "volumeMounts": [{"name": v, "mountPath": f"/{v}"} for v in ("data", "meta")],
                }
            ],
            "volumes": [{"name": v, "emptyDir": {}} for v in ("data", "meta")],
        },
    }
