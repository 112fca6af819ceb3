"""What training makes small: scores and relevance of lists -> one number.

Rules of this room: torch alone. Both take scores and `rel` (B, K) of lists of equally many teams,
`rel` higher is better, and return the mean over lists.
"""

from __future__ import annotations

import torch
from torch import Tensor


def listmle(scores: Tensor, rel: Tensor) -> Tensor:
    """The mean ListMLE loss of lists (B, K).

    The negative log-likelihood of the true order under the Plackett-Luce model of the scores,
    Xia et al. 2008, "Listwise approach to learning to rank", equation 9: with s in the true order,
    `sum over i of (log sum over j >= i of exp(s_j)) - s_i`. Equal `rel` keep the order of the list.
    """
    order = rel.argsort(dim=-1, descending=True, stable=True)
    in_order = scores.gather(-1, order)
    from_here_on = in_order.flip(-1).logcumsumexp(-1).flip(-1)
    return (from_here_on - in_order).sum(-1).mean()


def spearman_surrogate(scores: Tensor, rel: Tensor, tau: float) -> Tensor:
    """One minus the mean correlation of soft ranks (B, K) with the ranks of `rel`.

    Spearman's correlation is Pearson's of ranks. A soft rank is the smooth position of Qin, Liu and
    Li 2010, "A general approximation framework for direct optimization of information retrieval
    measures", section 4: one plus, over the others, the sum of `sigmoid((s_j - s_i) / tau)`, which
    tends to the rank as `tau` falls to 0. A list whose `rel` are all equal counts as 1.
    """
    soft = _ranks(torch.sigmoid(_differences(scores) / tau))
    hard = _ranks((_differences(rel).sign() + 1) / 2)
    return 1 - _correlation(soft, hard).mean()


def _differences(values: Tensor) -> Tensor:
    """Element (i, j) is value j less value i, (B, K, K)."""
    return values.unsqueeze(-2) - values.unsqueeze(-1)


def _ranks(beaten: Tensor) -> Tensor:
    """Ranks from 1, of how far i is beaten by each j: 1, or 1/2 for a tie, as i with itself."""
    return 0.5 + beaten.sum(-1)


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
    norm = (a.square().sum(-1) * b.square().sum(-1)).clamp_min(1e-12).sqrt()
    return (a * b).sum(-1) / norm
