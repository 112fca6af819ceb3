"""Batches and their lists -> columns, from which a mini-batch is picked.

Rules of this room: how training meets the cache. Nothing here asks whether batches come from a
file: what is trained on is columns (distinct rows of one shape) and which row each list is, so that
a mini-batch of lists of equal size is one `index_select` a field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from model_a.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tensorcache import Batches

# What a team's facts are, and the weight at which the net begins: a record to date as far as the
# season is decided, last season's for the rest. What begins at 0 is for training to find.
FACTS = {
    "decided": 0.0,
    "win_rate": 1.0,
    "win_rate_open": -1.0,
    "prior_win_rate_open": 1.0,
    "margin": 0.0,
    "margin_open": 0.0,
    "prior_margin_open": 0.0,
}
SEASON_GAMES = 82  # some seasons had fewer: they end before all is decided
SHRINK_GAMES = 20  # after so many games a record says as much of a team as its last season
# Roughly what final win rates and margins of teams differ by (standard deviations).
WIN_RATE_UNIT, MARGIN_UNIT = 0.15, 4.5


class Columns(NamedTuple):
    """Batches as a training loop wants them.

    `columns` are the distinct rows of a field, some tensors for each trailing shape; `at` (n, 3)
    says for each list: place in that tuple, first row, rows (always 1 here). `facts` are those of
    each list's teams, (n, most teams, F), 0 where there is no team.
    """

    columns: dict[str, tuple[Tensor, ...]]
    at: dict[str, Tensor]
    facts: Tensor

    @property
    def teams(self) -> list[int]:
        """How many teams each list has."""
        sizes = [column.shape[1] for column in self.columns["rel"]]
        return [sizes[place] for place in self.at["rel"][:, 0].tolist()]


def columns_of(
    batches: Batches | list[dict[str, Tensor]],
    lists: Sequence[dict[str, Any]],
    device: torch.device,
) -> Columns:
    """The columns of `batches` on `device`: those of the cache, or of a list that no cache saw."""
    facts = team_facts(lists).to(device)
    if isinstance(batches, list):
        columns, at = _laid_out(batches)
        moved = {name: tuple(c.to(device) for c in alike) for name, alike in columns.items()}
        return Columns(moved, at, facts)
    if device.type != "cpu":
        batches = batches.to(device)
    return Columns(batches.columns, batches.at, facts)


def team_facts(lists: Sequence[dict[str, Any]]) -> Tensor:
    """`FACTS` of the teams of each list, (n, most teams, F), all known before its date.

    What is open is the share of the games that are to come, times the weight of last season in a
    guess at their outcome, `SHRINK_GAMES / (games + SHRINK_GAMES)`; the rest is decided. Rates and
    margins are from their middle, in units of what teams differ by; `_open` is times what is open.
    Where a list has no season before, its facts are 0.
    """
    facts = torch.zeros(len(lists), max(len(one["team_ids"]) for one in lists), len(FACTS))
    for row, one in zip(facts, lists, strict=True):
        teams = len(one["team_ids"])
        games = torch.tensor(one["games_played"], dtype=torch.float32)
        to_come = (1 - games / SEASON_GAMES).clamp_min(0)
        is_open = to_come * SHRINK_GAMES / (games + SHRINK_GAMES)
        columns = [1 - is_open]
        for now, then, middle, unit in (
            ("win_rates", "prior_win_rates", 0.5, WIN_RATE_UNIT),
            ("margins", "prior_margins", 0.0, MARGIN_UNIT),
        ):
            to_date = (torch.tensor(one[now], dtype=torch.float32) - middle) / unit
            before = torch.zeros(teams)
            if one[then] is not None:
                before = (torch.tensor(one[then], dtype=torch.float32) - middle) / unit
            columns += [to_date, to_date * is_open, before * is_open]
        row[:teams] = torch.stack(columns, dim=-1)
    return facts


def pick_device(name: str) -> torch.device:
    """The device of that name; `auto` is cuda where there is one.

    Raises:
        BadInput: this machine has no such device.
    """
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        name = "cuda" if there["cuda"] else "cpu"
    if not there[name]:
        raise BadInput(f"repro.device: {name!r} is not on this machine: use auto, or cpu")
    return torch.device(name)


def mini_batches(
    batches: Columns, lists: list[int], size: int, *, shuffle: bool
) -> Iterator[list[int]]:
    """`lists` in groups of at most `size`, all of one group with equally many teams."""
    order = torch.randperm(len(lists)).tolist() if shuffle else range(len(lists))
    teams = batches.teams
    alike: dict[int, list[int]] = {}
    for position in order:
        alike.setdefault(teams[lists[position]], []).append(lists[position])
    groups = [
        of_shape[start : start + size]
        for of_shape in alike.values()
        for start in range(0, len(of_shape), size)
    ]
    turns = torch.randperm(len(groups)).tolist() if shuffle else range(len(groups))
    return (groups[turn] for turn in turns)


def gather(batches: Columns, field: str, lists: list[int]) -> Tensor:
    """The field of lists of equal shape as one tensor, a list's row for each along the first axis.

    Rows that an earlier section has too lie in that section's column, so one field of a mini-batch
    may come from several.
    """
    place, row, _ = batches.at[field][lists].T
    places = place.unique().tolist()
    columns = [batches.columns[field][number] for number in places]
    if len(places) == 1:
        return columns[0].index_select(0, row.to(columns[0].device))
    whole = columns[0].new_empty(len(lists), *columns[0].shape[1:])
    for number, column in zip(places, columns, strict=True):
        here = (place == number).nonzero().squeeze(1)
        whole[here.to(column.device)] = column.index_select(0, row[here].to(column.device))
    return whole


def _laid_out(
    batches: list[dict[str, Tensor]],
) -> tuple[dict[str, tuple[Tensor, ...]], dict[str, Tensor]]:
    columns: dict[str, tuple[Tensor, ...]] = {}
    at: dict[str, Tensor] = {}
    for name in batches[0]:
        by_shape: dict[torch.Size, list[Tensor]] = {}
        rows = []
        for batch in batches:
            alike = by_shape.setdefault(batch[name].shape, [])
            rows.append((list(by_shape).index(batch[name].shape), len(alike), 1))
            alike.append(batch[name])
        columns[name] = tuple(torch.cat(alike) for alike in by_shape.values())
        at[name] = torch.tensor(rows)
    return columns, at
