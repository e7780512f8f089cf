"""SASRec over clusters: a baseline that reads the whole sequence in which a user met them."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch

from fathom.serendipity.baselines import Scorer, Scores
from fathom.serendipity.events import Ints
from fathom.serendipity.transitions import Journeys


class SasRec(torch.nn.Module):
    """Self-attentive sequential recommendation over clusters (Kang & McAuley, ICDM 2018).

    Input ids [B, L], 0 for padding on the left; output scores [B, L, k].
    """

    def __init__(self, count: int, width: int = 64, blocks: int = 2, longest: int = 50) -> None:
        super().__init__()
        self.longest = longest
        self.items = torch.nn.Embedding(count + 1, width, padding_idx=0)
        self.places = torch.nn.Embedding(longest, width)
        layer = torch.nn.TransformerEncoderLayer(
            width, 2, width, dropout=0.2, batch_first=True, norm_first=True, activation="gelu"
        )
        self.blocks = torch.nn.TransformerEncoder(layer, blocks, enable_nested_tensor=False)
        self.norm = torch.nn.LayerNorm(width)
        torch.nn.init.normal_(self.items.weight, std=0.02)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the scores of all clusters after each place."""
        length = ids.shape[1]
        places = torch.arange(length, device=ids.device)
        hidden = self.items(ids) + self.places(places)
        # Padding is on the left: a row may see itself, so that no row of the softmax is empty.
        future = torch.triu(torch.ones(length, length, dtype=torch.bool), 1)
        blocked = future[None] | (ids == 0)[:, None, :]
        blocked = blocked & ~torch.eye(length, dtype=torch.bool)[None]
        heads: int = cast(Any, self.blocks.layers[0]).self_attn.num_heads
        hidden = self.blocks(hidden, mask=blocked.repeat_interleave(heads, 0))
        return self.norm(hidden) @ self.items.weight[1:].T


def sasrec(found: Journeys, count: int, epochs: int = 30, seed: int = 0) -> Scorer:
    """Return SASRec over clusters, trained with a softmax over all of them."""
    torch.manual_seed(seed)
    model = SasRec(count)
    rows = [found.of(user)[-model.longest - 1 :] for user in range(len(found.users))]
    rows = [row for row in rows if len(row) > 1]
    width = max(map(len, rows))
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    for place, row in enumerate(rows):
        ids[place, width - len(row) :] = torch.from_numpy(row.astype(np.int64)) + 1
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    for _ in range(epochs):
        model.train()
        for some in torch.randperm(len(ids)).split(128):
            given, wanted = ids[some, :-1], ids[some, 1:]
            told = (given > 0) & (wanted > 0)
            loss = torch.nn.functional.cross_entropy(model(given)[told], wanted[told] - 1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    model.eval()

    @torch.inference_mode()
    def score(met: Ints) -> Scores:
        if not len(met):
            return np.zeros(count)
        return (
            model(torch.from_numpy(met[-model.longest :].astype(np.int64))[None] + 1)[0, -1].double().numpy()
        )

    return score
