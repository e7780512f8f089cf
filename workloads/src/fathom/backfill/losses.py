"""Losses that make two spaces' distances compare (arXiv 2301.03767, section 4)."""

from __future__ import annotations

import torch
from torch import Tensor


def reverse_query(transformed: Tensor, old: Tensor) -> Tensor:
    """Return L_RQT, the mean cosine distance of ψ(φ_new(x_i)) to φ_old(x_i); both [B, d_old], unit length."""
    return (1 - (transformed * old).sum(dim=1)).mean()


def metric_compatible(backward: Tensor, new: Tensor, together: Tensor, temperature: float) -> Tensor:
    """Return L_MCL (equation 11 as we read it): supervised contrastive, with negatives from both systems.

    With s = exp(cosine / τ), P_i the items that belong to i and N_i those that do not, for both systems
    a ∈ {backward, new}:

        L_i = − Σ_a 1/|P_i^a| Σ_{p ∈ P_i^a} log [ s^a_ip / (s^a_ip + Σ_{n ∈ N_i} (s^backward_in + s^new_in)) ]

    The negatives are what both share: an old item that does not belong to the query must be farther than a
    new one that does, and the reverse, which is what merging by distance needs. An item itself is a positive
    of the backward system (its old vector is in the gallery) and none of the new one (a query that is an item
    does not look for itself).

    Args:
        backward: cosines of ψ(φ_new(x_i)) and φ_old(x_j), [B, B].
        new: cosines of ρ(φ_new(x_i)) and ρ(φ_new(x_j)), [B, B].
        together: whether i and j belong together, bool [B, B], true on the diagonal.
        temperature: τ.
    """
    systems = torch.stack([backward, new]).div(temperature)
    negatives = torch.logsumexp(systems.masked_fill(together, float("-inf")), dim=(0, 2))
    others = together.clone().fill_diagonal_(fill_value=False)
    total = backward.new_zeros(())
    for scores, positive in ((systems[0], together), (systems[1], others)):
        query, item = positive.nonzero(as_tuple=True)
        counts = positive.sum(dim=1)
        shares = 1 / (counts[query] * (counts > 0).sum())
        # log(1 + exp(negatives − s)) without overflow, and only where there is a positive: few of B².
        total = total + (torch.nn.functional.softplus(negatives[query] - scores[query, item]) * shares).sum()
    return total
