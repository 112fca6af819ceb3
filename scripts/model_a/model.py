"""The net: players, and what their team has done, -> score.

Rules of this room: torch alone, no data, no loop. Letters of the shapes: B lists in a mini-batch, K
teams, P players, S stats, F facts of a team, H attention heads, D the width of the last encoder
layer.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DeepSet(nn.Module):
    """An attention DeepSet: a team is the attention-weighted sum of its encoded players.

    Deep Sets: Zaheer et al. 2017. Pooling by attention with one query: Lee et al. 2019 (Set
    Transformer, section 3.2); here the query is the mean of the team's own players. Beside it the
    score sees the mean of the stats, weighted by minutes.
    With `facts_start` (F) the facts of a team are scored too, by weights that start there and decay
    towards it. The first fact, 0 to 1, says how much of the season is decided, and the roster
    counts by the rest, times `mix`. The roster's score starts at 0, so an untrained net ranks by
    the start alone. `sharpness` sets the scale of a list's scores by its first fact, for the order
    of late lists is the surer one; it changes no order.
    `stat_mean` and `stat_std` (S) standardise the stats; they belong to the model that was trained.
    """

    stat_mean: Tensor
    stat_std: Tensor
    facts_start: Tensor

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
        facts_start: Tensor | None = None,
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
        self.score = nn.Linear(width + len(stat_mean), 1)
        self.facts: nn.Parameter | None = None
        if facts_start is not None:
            self.register_buffer("facts_start", facts_start)
            self.facts = nn.Parameter(torch.zeros_like(facts_start))
            self.sharpness = nn.Parameter(torch.tensor([0.0, 2.0]))
            self.mix = nn.Parameter(torch.tensor(0.5))
            nn.init.zeros_(self.score.weight)
            nn.init.zeros_(self.score.bias)

    def forward(
        self, indices: Tensor, stats: Tensor, minutes: Tensor, padding: Tensor, facts: Tensor
    ) -> Tensor:
        """Scores (B, K) of teams with players (B, K, P), one at least, and facts (B, K, F)."""
        return self.with_facts(self.of_roster(indices, stats, minutes, padding), facts)

    def with_facts(self, scores: Tensor, facts: Tensor) -> Tensor:
        """The scores of rosters (B, K), blended with those of their teams' facts."""
        if self.facts is None:
            return scores
        decided = facts[..., 0]
        scores = self.mix * scores * (1 - decided) + facts @ (self.facts_start + self.facts)
        sharpness = self.sharpness[0] + self.sharpness[1] * decided.mean(-1, keepdim=True)
        return scores * sharpness.exp()

    def of_roster(self, indices: Tensor, stats: Tensor, minutes: Tensor, padding: Tensor) -> Tensor:
        """Scores (B, K) of the players alone."""
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
        played = (minutes * there.squeeze(-1)).unsqueeze(-1)
        plain = (stats * played).sum(-2) / played.sum(-2).clamp_min(1e-6)  # (B, K, S)
        return self.score(torch.cat([F.relu(team + mean), plain], dim=-1)).squeeze(-1)
