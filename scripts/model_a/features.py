"""Rosters -> stats of each player on each date.

Rules of this room: pure, vectorised, and only rows strictly before the date. What a player's games
say by a row depends on no date, so it is computed once a row; a date only picks the row that was
the latest. Columns and names follow the windows: `stat_names` is the order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from model_a.league import COUNTS, TEAMS
from model_a.rosters import exact_totals, rows_before, sums

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_a.league import League
    from model_a.rosters import Rosters

WINDOW_STATS = (*COUNTS[:6], "availability", "true_shooting", "usage", "on_court_plus_minus")
OTHER_STATS = ("continuity", "minutes_share", "starter", "minutes_rank")
STARTERS = 5
CONTINUITY_LOOKBACK_DAYS = 400  # reaches over last season, also after a late start of this one


def stat_names(windows: list[int]) -> list[str]:
    """The names of the stats, in the order of the last axis of `player_stats`."""
    return [f"{name}_L{window}" for window in windows for name in WINDOW_STATS] + list(OTHER_STATS)


def player_stats(
    league: League, rosters: Rosters, days: np.ndarray, inputs: Mapping[str, Any]
) -> np.ndarray:
    """Stats (D, 30, P, S) float32, 0 where a roster has no player."""
    by_row = _row_stats(league, inputs)
    width = by_row.shape[1]
    stats = np.empty((*rosters.latest.shape, width + len(OTHER_STATS)), dtype=np.float32)
    stats[..., :width] = by_row[rosters.latest]
    stats[..., width:] = _minutes_stats(rosters)
    there = rosters.latest >= 0
    stats[..., width] = np.where(there, _continuity(league, days)[:, :, None], 0.0)
    return stats


def _row_stats(league: League, inputs: Mapping[str, Any]) -> np.ndarray:
    """`WINDOW_STATS` of each window by row (rows + 1, S - 4), float32; the last, 0, is nobody's."""
    totals = _totals(league)
    windows = inputs["rolling_windows"]
    width = len(WINDOW_STATS)
    stats = np.zeros((len(totals), width * len(windows)), dtype=np.float32)
    for place, window in enumerate(windows):
        columns = slice(place * width, (place + 1) * width)
        stats[:-1, columns] = _window_means(league, totals, window)
    if inputs["use_prior_season_baseline"]:
        empty = np.flatnonzero(~stats[:-1].any(1) & (league.player_games.season >= 0))
        lookback = inputs["prior_season_lookback_days"]
        stats[empty] = np.tile(_prior_season_means(league, totals, empty, lookback), len(windows))
    return stats


def _totals(league: League) -> np.ndarray:
    """Running totals of all that is averaged: `COUNTS`, games with minutes, on-court plus-minus."""
    games = league.player_games
    columns = [games.counts, (games.minutes > 0)[:, None], games.on_court[:, None]]
    return exact_totals(np.concatenate(columns, axis=1))


def _window_means(league: League, totals: np.ndarray, window: int) -> np.ndarray:
    """`WINDOW_STATS` over each row's game and the player's games before it, `window` in all."""
    player = league.player_games.player
    end = np.arange(1, len(player) + 1)
    start = np.maximum(np.searchsorted(player, player), end - window)
    return _means(totals, start, end)


def _means(totals: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """`WINDOW_STATS` of rows `start` to `end`; 0 where there are none.

    True shooting is that of the whole window, pts / (2 (fga + 0.44 fta)): a mean of games would
    weigh a single shot like twenty.
    """
    means = sums(totals, start, end) / np.maximum(end - start, 1)[:, None]
    counts = dict(zip(COUNTS, means.T, strict=False))
    shots = counts["fga"] + 0.44 * counts["fta"]
    shooting = np.divide(counts["pts"], 2 * shots, out=np.zeros(len(means)), where=shots > 0)
    availability, on_court = means[:, len(COUNTS)], means[:, len(COUNTS) + 1]
    plain = [counts[name] for name in WINDOW_STATS[:6]]
    return np.stack([*plain, availability, shooting, shots + counts["tov"], on_court], axis=1)


def _prior_season_means(
    league: League, totals: np.ndarray, rows: np.ndarray, lookback_days: int
) -> np.ndarray:
    """The means of the rows' players over the days before the rows' seasons."""
    games = league.player_games
    player, season_start = games.player[rows], league.seasons.start[games.season[rows]]
    end = rows_before(games.player, games.day, player, season_start)
    start = rows_before(games.player, games.day, player, season_start - lookback_days)
    return _means(totals, start, end)


def _minutes_stats(rosters: Rosters) -> np.ndarray:
    """`OTHER_STATS`, continuity still 0: share of the roster's minutes, first five, rank 1 to 0."""
    there = rosters.latest >= 0
    roster_size = there.shape[-1]
    total = rosters.minutes.sum(-1, keepdims=True)
    others = np.zeros((*there.shape, len(OTHER_STATS)))
    np.divide(rosters.minutes, total, out=others[..., 1], where=total > 0)
    others[..., 2] = there & (np.arange(roster_size) < STARTERS)
    others[..., 3] = there * (1 - np.arange(roster_size) / max(roster_size - 1, 1))
    return others


def _continuity(league: League, days: np.ndarray) -> np.ndarray:
    """Share of a team's minutes this season by players it had last season, (D, 30)."""
    games = league.player_games
    pair = games.player * TEAMS + games.team
    by_pair = np.lexsort((games.day, pair))
    pairs, pair_days = pair[by_pair], games.day[by_pair]
    # Rows outside all seasons take the last season's start; no list ever reads them.
    season_start = league.seasons.start[games.season]
    end = rows_before(pairs, pair_days, pair, season_start)
    start = rows_before(pairs, pair_days, pair, season_start - CONTINUITY_LOOKBACK_DAYS)
    minutes = np.stack([games.minutes, games.minutes * (end > start)], axis=1)
    by_team = np.lexsort((games.day, games.team))
    totals = exact_totals(minutes[by_team])
    teams, team_days = games.team[by_team], games.day[by_team]
    all_teams, day = np.arange(TEAMS)[None, :], days[:, None]
    season_start = league.seasons.start[league.seasons.at(days)][:, None]
    end = rows_before(teams, team_days, all_teams, day)
    start = rows_before(teams, team_days, all_teams, season_start)
    played, returning = np.moveaxis(sums(totals, start, end), -1, 0)
    return np.divide(returning, played, out=np.zeros_like(played), where=played > 0)
