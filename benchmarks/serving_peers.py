"""A bundle's model in another server: `python -m benchmarks.serving_peers KIND FOLDER PORT`.

All look up the items' features in a dictionary, put them beside the user's, and call the same exported model.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fathom.ranking import bundle
from fathom.ranking.items import tensors
from fathom.ranking.model import Ranker


class Whole(nn.Module):
    """The ranker as one function of the user's features and n items'."""

    def __init__(self, ranker: Ranker) -> None:
        super().__init__()
        self.ranker = ranker

    def forward(self, user: list[Tensor], history: Tensor, liked: list[Tensor], item: list[Tensor]) -> Tensor:
        """Return P(label = 1) [n]; sides are ids, numbers and lists; `liked` those of the history's items."""
        model = self.ranker
        past = model.item_side(liked[0], model.item_sparse.pool(liked[2:], len(liked[0])))
        users = model.user_side(tensors_of(user), history, past)
        n = item[0].shape[0]
        items = model.item_side(item[0], model.item_sparse.pool(item[2:], n))
        numbers = torch.cat([user[1].expand(n, -1), item[1]], dim=1)
        return model.interact(users.expand(n, -1, -1), items, numbers).sigmoid()


def tensors_of(side: list[Tensor]) -> Any:
    from fathom.ranking.layers import ColumnTensors

    return ColumnTensors(side[0], side[2:], side[1])


class Plain:
    """The exported model and the features of everybody."""

    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)
        info, parts, _ = bundle.read(folder)
        self.users, self.items = parts.users.rows(), parts.items.rows()
        self.user_columns, self.item_columns = (
            [t.ids, t.numeric, *t.lists] for t in map(tensors, (parts.users.columns, parts.items.columns))
        )
        self.histories = [[], *parts.histories]
        self.size = max(1, info.features.history)
        model = Whole(bundle.ranker(folder, info, parts.weights)).eval()
        example = self.inputs("u0", list(self.items)[:7])
        n = torch.export.Dim("n", min=2, max=1 << 20)
        shapes: Any = (
            [{} for _ in example[0]],
            {},
            [{} for _ in example[2]],
            [{0: n} for _ in example[3]],
        )
        self.forward = torch.export.export(model, example, dynamic_shapes=shapes).module()

    def inputs(self, user: str, items: list[str]) -> tuple[list[Tensor], Tensor, list[Tensor], list[Tensor]]:
        row = self.users.get(user, 0)
        liked = [0, *(self.items.get(i, 0) for i in self.histories[row][: self.size])]
        liked += [0] * (self.size + 1 - len(liked))
        history = [place if r else 0 for place, r in enumerate(liked)][1:]
        at = torch.tensor([self.items.get(item, 0) for item in items])
        return (
            [values[[row]] for values in self.user_columns],
            torch.tensor([history]),
            [values[liked] for values in self.item_columns],
            [values[at] for values in self.item_columns],
        )

    def score(self, user: str, items: list[str]) -> np.ndarray:
        with torch.inference_mode():
            return self.forward(*self.inputs(user, items)).numpy()


def kserve(folder: Path, port: int) -> None:
    sys.argv = sys.argv[:1]
    from kserve import InferOutput, InferResponse, Model, ModelServer

    class Stock(Model):
        def load(self) -> bool:
            self.plain = Plain(folder)
            self.ready = True
            return True

        async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
            given = {one.name: one.data for one in payload.inputs}
            scores = self.plain.score(given["user_id"][0], given["item_id"])
            output = InferOutput("score", [len(scores)], "FP32", scores.tolist())
            return InferResponse(payload.id or "0", self.name, [output])

    model = Stock("bench")
    model.load()
    ModelServer(http_port=port, workers=1, enable_grpc=False).start([model])


def litserve(folder: Path, port: int) -> None:
    import litserve as ls

    from benchmarks.serving_litserve import Api

    ls.LitServer(Api(folder), accelerator="cpu").run(
        host="127.0.0.1", port=port, generate_client_file=False, log_level="error"
    )


def bentoml(folder: Path, port: int) -> None:
    import bentoml as bento

    @bento.service(workers=1)
    class Bench:
        def __init__(self) -> None:
            self.plain = Plain(folder)

        @bento.api(route="/predict")
        def predict(self, user: str, items: list[str]) -> list[float]:
            return self.plain.score(user, items).tolist()

    import uvicorn

    uvicorn.run(Bench.to_asgi(), host="127.0.0.1", port=port, log_level="error")


def ray(folder: Path, port: int) -> None:
    import threading

    import ray as cluster
    from ray import serve

    cluster.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": port})

    @serve.deployment(num_replicas=1)
    class Bench:
        def __init__(self) -> None:
            self.plain = Plain(folder)

        async def __call__(self, request: Any) -> Any:
            body = await request.json()
            return {"scores": self.plain.score(body["user"], body["items"]).tolist()}

    serve.run(Bench.bind(), route_prefix="/predict")
    threading.Event().wait()


if __name__ == "__main__":
    kind, at, listen = sys.argv[1:4]
    {"kserve": kserve, "litserve": litserve, "bentoml": bentoml, "ray": ray}[kind](Path(at), int(listen))
