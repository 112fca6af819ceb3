"""The net: players -> team -> score, and its loss.

Rules of this room: torch alone, no data, no loop. Letters of the shapes: B lists in a mini-batch, K
teams, P players, S stats, H attention heads, D the width of the last encoder layer.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DeepSet(nn.Module):
    """An attention DeepSet: a team is the attention-weighted sum of its encoded players.

    Deep Sets: Zaheer et al. 2017. Pooling by attention with one query: Lee et al. 2019 (Set
    Transformer, section 3.2); here the query is the mean of the team's own players.
    `stat_mean` and `stat_std` (S) standardise the stats; they belong to the model that was trained.
    """

    stat_mean: Tensor
    stat_std: Tensor

    def __init__(
        self,
        *,
        num_embeddings: int,
        embedding_dim: int,
        encoder_hidden: list[int],
        attention_heads: int,
        minutes_bias_weight: float,
        dropout: float,
        stat_mean: Tensor,
        stat_std: Tensor,
    ) -> None:
        super().__init__()
        self.register_buffer("stat_mean", stat_mean)
        self.register_buffer("stat_std", stat_std)
        self.heads = attention_heads
        self.minutes_bias_weight = minutes_bias_weight
        self.embedding = nn.Embedding(num_embeddings + 1, embedding_dim, padding_idx=num_embeddings)
        layers: list[nn.Module] = []
        width = embedding_dim + len(stat_mean)
        for hidden in encoder_hidden:
            layers += [nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout)]
            width = hidden
        self.encoder = nn.Sequential(*layers)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.score = nn.Linear(width, 1)

    def forward(self, indices: Tensor, stats: Tensor, minutes: Tensor, padding: Tensor) -> Tensor:
        """Scores (B, K) of teams of players (B, K, P), every team with one player at least."""
        stats = (stats - self.stat_mean) / self.stat_std
        players = self.encoder(torch.cat([self.embedding(indices), stats], dim=-1))  # (B, K, P, D)
        there = (~padding).unsqueeze(-1).to(players.dtype)
        mean = (players * there).sum(-2) / there.sum(-2)  # (B, K, D)
        query = self.query(mean).unflatten(-1, (self.heads, -1))  # (B, K, H, D/H)
        key = self.key(players).unflatten(-1, (self.heads, -1))  # (B, K, P, H, D/H)
        value = self.value(players).unflatten(-1, (self.heads, -1))
        match = torch.einsum("bkhd,bkphd->bkph", query, key) / query.shape[-1] ** 0.5
        match = match + self.minutes_bias_weight * minutes.unsqueeze(-1)
        weights = match.masked_fill(padding.unsqueeze(-1), -torch.inf).softmax(-2)
        team = torch.einsum("bkph,bkphd->bkhd", weights, value).flatten(-2)
        return self.score(F.relu(team + mean)).squeeze(-1)


def listmle(scores: Tensor, rel: Tensor) -> Tensor:
    """The mean ListMLE loss of lists (B, K), `rel` higher is better.

    The negative log-likelihood of the true order under the Plackett-Luce model of the scores,
    Xia et al. 2008, "Listwise approach to learning to rank", equation 9: with s in the true order,
    `sum over i of (log sum over j >= i of exp(s_j)) - s_i`. Equal `rel` keep the order of the list.
    """
    order = rel.argsort(dim=-1, descending=True, stable=True)
    in_order = scores.gather(-1, order)
    from_here_on = in_order.flip(-1).logcumsumexp(-1).flip(-1)
    return (from_here_on - in_order).sum(-1).mean()
