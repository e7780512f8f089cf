"""Tables of embeddings whose rows are divided among the processes that train: TorchRec, row-wise.

For tables that no device can hold. A process keeps its rows and one number for each; ids go to the processes
that have their rows, embeddings come back (`torchrec.distributed`, row-wise). The kernels of fbgemm
learn while gradients come in, by row-wise Adagrad (Duchi et al., JMLR 2011, one sum of squares a row): the
gradients of a table are never held. So these tables are no parameters to an optimiser, and need one less.

Which rows a process has changes nothing about what is learned, but the order of sums.
"""

from __future__ import annotations

import math
import os
from importlib.util import find_spec
from typing import Any, Final

import torch
import torch.distributed as dist
from torch import Tensor, nn

from fathom.errors import InvalidInputError
from fathom.ranking.layers import INITIAL, MakeTable, whole_table
from fathom_api.learning import ShardedTables, Training

#: Rows that are begun with, sent and put back at once.
CHUNK: Final = 1 << 16
_NAME: Final = "table"
_FEATURE: Final = "ids"
_EPS: Final = 1e-8
#: fbgemm's kernels take widths that are a multiple of this; what a table lacks is zeros nobody sees.
_ALIGNED: Final = 4


class ShardedTable(nn.Module):
    """An `nn.Embedding` [R, D] of which each process of the group has some rows, one after the other.

    All processes must call it the same number of times, and `state_dict` and `sums` too: rows are sent to
    process 0, which is the only one to get them all.

    Attributes:
        held: the rows that this process has.
        weight: [len(held), D] their embeddings.
    """

    def __init__(
        self, rows: int, dim: int, settings: ShardedTables, weight_decay: float, device: torch.device
    ) -> None:
        super().__init__()
        self.num_embeddings, self.embedding_dim = rows, dim
        seed = int(torch.randint(1 << 62, ()))
        # TorchRec draws numbers too, as many as a process has rows: what comes after would differ.
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            sharded = _shard(rows, dim + -dim % _ALIGNED, settings, weight_decay, device)
        # Not a part of this module: what is learned while gradients come in is no optimiser's, and a state
        # of parts is not what checkpoints keep.
        self._sharded = (sharded,)
        [table] = sharded.state_dict().values()
        self._starts = [shard.shard_offsets[0] for shard in table.metadata().shards_metadata]
        [shard] = table.local_shards()
        start = self._starts[dist.get_rank()]
        # The tensor that learns, as `nn.Embedding`'s own: never another in its place.
        self.weight: Tensor = shard.tensor[:, :dim]
        self.held = range(start, start + len(self.weight))
        shard.tensor.zero_()
        self._begin(seed)
        self.register_state_dict_post_hook(_keep)
        self.register_load_state_dict_pre_hook(_put_back)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the embeddings [..., D] of `ids` [...], whoever has them."""
        if torch.is_inference_mode_enabled():
            # fbgemm's kernels are reached through autograd.
            with torch.inference_mode(mode=False), torch.no_grad():
                return self(ids.clone())
        from torchrec import KeyedJaggedTensor

        flat = ids.flatten().long()
        lengths = torch.ones(len(flat), dtype=torch.int32, device=flat.device)
        found = self._sharded[0](KeyedJaggedTensor([_FEATURE], flat, lengths=lengths))
        return found[_FEATURE].values()[:, : self.embedding_dim].reshape(*ids.shape, self.embedding_dim)

    def whole(self) -> Tensor:
        """Return in process 0 all embeddings [R, D]."""
        return self._gathered(self.weight)

    def sums(self) -> Tensor:
        """Return in process 0 the sums of squares [R] that rows have learned by so far."""
        return self._gathered(self._own_sums())

    @torch.no_grad()
    def put_back(self, whole: Tensor) -> None:
        """Go on with the embeddings that `whole` returned."""
        self.weight.copy_(whole[self.held.start : self.held.stop])

    @torch.no_grad()
    def put_back_sums(self, sums: Tensor) -> None:
        """Go on with what `sums` returned."""
        self._own_sums().copy_(sums[self.held.start : self.held.stop])

    def _begin(self, seed: int) -> None:
        """Begin as `whole_table` does, with the same numbers for any number of processes."""
        for number, start in enumerate(range(0, self.num_embeddings, CHUNK)):
            stop = min(start + CHUNK, self.num_embeddings)
            mine = range(max(start, self.held.start), min(stop, self.held.stop))
            if not mine:
                continue
            generator = torch.Generator().manual_seed((seed + number) % (1 << 63))
            values = torch.empty(stop - start, self.embedding_dim).normal_(std=INITIAL, generator=generator)
            at = slice(mine.start - self.held.start, mine.stop - self.held.start)
            self.weight[at] = values[mine.start - start : mine.stop - start].to(self.weight.device)

    def _own_sums(self) -> Tensor:
        [state] = self._sharded[0].fused_optimizer.state_dict()["state"].values()
        [sums] = state.values()
        found: Tensor = sums.local_shards()[0].tensor
        return found

    def _gathered(self, own: Tensor) -> Tensor:
        """Return in process 0 the rows of all, in host memory, elsewhere nothing; sent piece by piece.

        `ShardedTensor.gather` would have the whole on a GPU, which cannot hold it.
        """
        rank, stops = dist.get_rank(), [*self._starts[1:], self.num_embeddings]
        whole = torch.empty(self.num_embeddings if rank == 0 else 0, *own.shape[1:], dtype=own.dtype)
        for owner, (start, stop) in enumerate(zip(self._starts, stops, strict=True)):
            for at in range(start, stop, CHUNK):
                end = min(at + CHUNK, stop)
                if rank == owner:
                    piece = own[at - start : end - start].contiguous()
                    if rank == 0:
                        whole[at:end] = piece.cpu()
                    else:
                        dist.send(piece, 0)
                elif rank == 0:
                    piece = own.new_empty(end - at, *own.shape[1:])
                    dist.recv(piece, owner)
                    whole[at:end] = piece.cpu()
        return whole


def _keep(table: ShardedTable, state: dict[str, Any], prefix: str, _: object) -> None:
    state[f"{prefix}weight"] = table.whole()


def _put_back(table: ShardedTable, state: dict[str, Any], prefix: str, *_: object) -> None:
    table.put_back(state.pop(f"{prefix}weight"))


def check(training: Training) -> None:
    """Check that what `training` asks for is installed.

    Raises:
        InvalidInputError: it is not.
    """
    if training.sharded_tables is not None and find_spec("torchrec") is None:
        raise InvalidInputError(
            "NoTorchRec",
            "training.shardedTables needs TorchRec: install fathom-workloads[shard], or train in Fathom's "
            "trainer image",
        )


def tables(training: Training, device: torch.device) -> MakeTable:
    """Return how tables of embeddings are made: whole in every process, or divided if that is asked for."""
    settings = training.sharded_tables
    if settings is None:
        return whole_table

    def make(rows: int, dim: int) -> nn.Module:
        processes = dist.get_world_size()
        if math.ceil(rows / processes) * (processes - 1) >= rows:
            # All blocks but the last are of one size: the last process would have nothing of it.
            return whole_table(rows, dim)
        return ShardedTable(rows, dim, settings, training.weight_decay, device)

    return make


def tables_of(model: nn.Module) -> dict[str, ShardedTable]:
    """Return the sharded tables of `model` by name."""
    return {name: part for name, part in model.named_modules() if isinstance(part, ShardedTable)}


def _shard(rows: int, dim: int, settings: ShardedTables, weight_decay: float, device: torch.device) -> Any:
    """Return TorchRec's module for one table."""
    # Most trainings shard nothing, and this takes seconds to load.
    from fbgemm_gpu.split_embedding_configs import EmbOptimType
    from torchrec import EmbeddingCollection, EmbeddingConfig
    from torchrec.distributed.comm_ops import set_gradient_division
    from torchrec.distributed.embedding import EmbeddingCollectionSharder
    from torchrec.distributed.sharding_plan import construct_module_sharding_plan, row_wise
    from torchrec.distributed.types import ShardingEnv

    # Each process gives its part of the batch's mean loss: gradients are added up, not averaged.
    set_gradient_division(False)
    table = EmbeddingConfig(name=_NAME, embedding_dim=dim, num_embeddings=rows, feature_names=[_FEATURE])
    collection = EmbeddingCollection(tables=[table], device=torch.device("meta"))
    sharder = EmbeddingCollectionSharder(
        fused_params={
            "optimizer": EmbOptimType.EXACT_ROWWISE_ADAGRAD,
            "learning_rate": settings.learning_rate,
            "weight_decay": weight_decay,
            "eps": _EPS,
        }
    )
    processes = dist.get_world_size()
    plan = construct_module_sharding_plan(
        collection,
        {_NAME: row_wise(compute_kernel="fused")},
        local_size=int(os.environ.get("LOCAL_WORLD_SIZE", processes)),
        world_size=processes,
        device_type=device.type,
    )
    group = dist.group.WORLD
    if group is None:
        raise ValueError("there is no group of processes")
    return sharder.shard(collection, plan, ShardingEnv.from_process_group(group), device)
