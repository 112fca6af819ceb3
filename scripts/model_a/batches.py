"""League -> payload: lists, split, and one batch of tensors a list.

Rules of this room: what script 3 gives `get_or_build` to call. `build_payload` is the whole build.
A batch of K teams, P players, S stats:

    embedding_indices (1, K, P) int64     num_embeddings where there is no player
    player_stats      (1, K, P, S) float32
    minutes           (1, K, P) float32   share of the most minutes in the team
    key_padding_mask  (1, K, P) bool      True where there is no player
    rel               (1, K) float32      higher is better
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from model_a.errors import BadInput, NothingToFold
from model_a.features import player_stats, stat_names
from model_a.league import TEAMS, check_league, read_league
from model_a.lists import build_lists, relevance, subsample
from model_a.rosters import find_rosters
from model_a.split import compute_split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_a.league import League
    from model_a.lists import List
    from model_a.rosters import Rosters

Batch = dict[str, torch.Tensor]


def build_payload(db: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """All that a run trains on, and the test lists that the final model scores once, at the end.

    `oof_lists`, `list_metas`, `oof_batches` go by the same numbers.

    Raises:
        BadInput: the database or the league in it cannot be used.
        NothingToFold: there are no lists, none that train, or none for out-of-fold scores.
    """
    league, lists, train, test, split_info = _lists_and_split(db, inputs)
    if not lists:
        raise NothingToFold("no valid lists")
    if not train:
        raise NothingToFold("no train lists")
    oof_lists = subsample(train, inputs["max_lists_oof"])
    if not oof_lists:
        raise NothingToFold("no out-of-fold batches")
    seasons = {one["season"] for one in oof_lists}
    if len(seasons) < inputs["n_folds"]:
        raise BadInput(
            f"training.n_folds: {inputs['n_folds']} folds of whole seasons, but the out-of-fold "
            f"lists are of {len(seasons)}: lower it, or raise max_lists_oof or max_list_dates"
        )
    all_lists = subsample(train, inputs["max_final_batches"])
    split_info |= {"n_oof_lists": len(oof_lists), "n_all_lists": len(all_lists)}
    n_oof, n_train = len(oof_lists), len(oof_lists) + len(all_lists)
    metas, batches = build_batches(league, oof_lists + all_lists + test, inputs)
    return {
        "split_info": split_info,
        "oof_lists": oof_lists,
        "all_lists": all_lists,
        "list_metas": metas[:n_oof],
        "oof_batches": batches[:n_oof],
        "all_batches": batches[n_oof:n_train],
        "test_lists": test,
        "test_batches": batches[n_train:],
    }


def build_final(db: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The sections that the final model alone needs, from the train lists, or all without them.

    Raises:
        BadInput: the database or the league in it cannot be used, or it has no lists at all.
    """
    league, lists, train, _, split_info = _lists_and_split(db, inputs)
    if not lists:
        raise BadInput(f"league database {db!r} gives no lists: {split_info['dropped']}")
    all_lists = subsample(train or lists, inputs["max_final_batches"])
    split_info |= {"n_oof_lists": 0, "n_all_lists": len(all_lists)}
    _, batches = build_batches(league, all_lists, inputs)
    return {"split_info": split_info, "all_lists": all_lists, "all_batches": batches}


def build_batches(
    league: League, lists: list[List], inputs: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[Batch]]:
    """A meta and a batch for each list; equal lists share one batch.

    Raises:
        BadInput: a team has no roster on a date, or a stat is 0 everywhere.
    """
    days = np.unique(np.array([one["as_of_date"] for one in lists], dtype="datetime64[D]"))
    rosters = find_rosters(league, days.astype(np.int64), inputs["roster_size"])
    stats = player_stats(league, rosters, days.astype(np.int64), inputs)
    tensors = _fields(league, rosters, stats, inputs["num_embeddings"])
    made: dict[tuple[str, str], tuple[dict[str, Any], Batch]] = {}
    for one in lists:
        name = (one["as_of_date"], one["conference"])
        if name not in made:
            date = int(np.searchsorted(days, np.datetime64(one["as_of_date"])))
            teams = np.searchsorted(league.team_ids, one["team_ids"])
            made[name] = (
                _meta(league, rosters.latest[date, teams], one),
                _batch(tensors, date, teams, one),
            )
    _refuse_zero_stats([batch for _, batch in made.values()], inputs["rolling_windows"])
    pairs = [made[one["as_of_date"], one["conference"]] for one in lists]
    return [meta for meta, _ in pairs], [batch for _, batch in pairs]


def embedding_index(player_id: int, num_embeddings: int) -> int:
    """The same in every process: Python's own `hash` of a str is salted."""
    digest = hashlib.blake2b(str(player_id).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % num_embeddings


def _lists_and_split(
    db: str, inputs: Mapping[str, Any]
) -> tuple[League, list[List], list[List], list[List], dict[str, Any]]:
    league = read_league(db, inputs)
    check_league(league, inputs)
    lists, dropped = build_lists(league, inputs)
    train, test, split_info = compute_split(lists, inputs)
    whole = TEAMS // 2  # a conference
    split_info |= {
        "label": league.label,
        "n_teams": len(league.team_ids),
        "dropped": dropped,
        "short": {"a team has not played yet": sum(len(one["team_ids"]) < whole for one in lists)},
        "stat_names": stat_names(inputs["rolling_windows"]),
    }
    return league, lists, train, test, split_info


def _fields(
    league: League, rosters: Rosters, stats: np.ndarray, num_embeddings: int
) -> dict[str, np.ndarray]:
    """Every field but `rel` for all dates and teams, (D, 30, P, ...)."""
    there = rosters.latest >= 0
    indices = np.array([embedding_index(int(i), num_embeddings) for i in league.player_ids])
    most = rosters.minutes.max(-1, keepdims=True)
    share = np.divide(rosters.minutes, most, out=np.zeros(there.shape), where=most > 0)
    player = league.player_games.player[rosters.latest]
    return {
        "embedding_indices": np.where(there, indices[player], num_embeddings),
        "player_stats": stats,
        "minutes": share.astype(np.float32),
        "key_padding_mask": ~there,
    }


def _batch(fields: Mapping[str, np.ndarray], date: int, teams: np.ndarray, one: List) -> Batch:
    alone = fields["key_padding_mask"][date, teams].all(-1)
    if alone.any():
        raise BadInput(
            f"team {one['team_ids'][int(alone.argmax())]} has played before {one['as_of_date']}, "
            "but no player of it has: load its player logs"
        )
    batch = {name: torch.from_numpy(values[date, teams][None]) for name, values in fields.items()}
    return batch | {"rel": torch.tensor([relevance(one)], dtype=torch.float32)}


def _meta(league: League, latest: np.ndarray, one: List) -> dict[str, Any]:
    ids = league.player_ids[league.player_games.player[latest]].astype(object)
    ids[latest < 0] = None
    return {
        "team_ids": one["team_ids"],
        "as_of_date": one["as_of_date"],
        "conference": one["conference"],
        "season": one["season"],
        "win_rates": one["win_rates"],
        "rel_values": relevance(one),
        "player_ids_per_team": ids.tolist(),
    }


def _refuse_zero_stats(batches: list[Batch], windows: list[int]) -> None:
    """A stat that is 0 everywhere teaches nothing, and is the mark of a name that missed."""
    seen = torch.stack([batch["player_stats"].flatten(0, 2).any(0) for batch in batches]).any(0)
    for name, alive in zip(stat_names(windows), seen.tolist(), strict=True):
        if not alive:
            raise BadInput(
                f"the stat {name!r} is 0 for every player of every list: add the season before "
                "to the database, or correct its logs"
            )
