"""League -> lists: one conference on one date, its teams best first.

Rules of this room: pure. A list knows only games strictly before its date, but for its target: the
final ranks of its season, which is why folds are whole seasons. What is dropped is counted by
reason. Lists are plain dicts, for they are stored:

    {"conference": "E", "as_of_date": "2015-11-02", "season": "2015-16",
     "team_ids": [...], "win_rates": [...], "final_rank": [...] or None, and of standings.py:
     "games_played": [...], "margins": [...], "prior_win_rates": [...] or None,
     "prior_margins": [...] or None, "playoff_ranks": [...] or None}
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from model_a.league import TEAMS, seasons_in_use
from model_a.standings import of_teams, standings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model_a.league import League

List = dict[str, Any]


def build_lists(league: League, inputs: Mapping[str, Any]) -> tuple[list[List], dict[str, int]]:
    """Lists of all seasons in use, by date and conference, and how many were dropped and why.

    Win rates are of the season to date. A team joins after its first game of the season; once all
    30 have played, a date has 30 teams over its two lists.
    """
    named = seasons_in_use(inputs)
    used = [season for season, name in enumerate(league.seasons.names) if name in named]
    days = np.unique(league.team_games.day[np.isin(league.team_games.season, used)])
    days = spread(days, inputs["max_list_dates"])
    ranks = final_ranks(league, inputs["listmle_target"])
    playoff_ranks = final_ranks(league, "playoff_outcome")
    lists: list[List] = []
    dropped: Counter[str] = Counter()
    for season in used:
        of_season = days[league.seasons.at(days) == season]
        won, played = _games_before(league, season, of_season)
        known = standings(league, season, of_season, playoff_ranks[season])
        for row, day in enumerate(of_season):
            for conference in ("E", "W"):
                teams = np.flatnonzero((league.conferences == conference) & (played[row] > 0))
                rates = won[row, teams] / played[row, teams]
                if len(teams) < 2:
                    dropped["fewer than 2 teams have played"] += 1
                elif not rates.any():
                    dropped["no team has won"] += 1
                else:
                    best_first = np.lexsort((teams, -rates))
                    lists.append(
                        {
                            "conference": conference,
                            "as_of_date": str(np.datetime64(int(day), "D")),
                            "season": league.seasons.names[season],
                            "team_ids": league.team_ids[teams[best_first]].tolist(),
                            "win_rates": rates[best_first].tolist(),
                            "final_rank": None
                            if ranks is None
                            else ranks[season, teams[best_first]].tolist(),
                            **of_teams(known[row], teams[best_first]),
                        }
                    )
    return lists, dict(dropped)


def final_ranks(league: League, target: str | None) -> np.ndarray | None:
    """Ranks 1 to 30 (seasons, 30), or None where win rates to date are the target.

    `final_rank` goes by the season's final win rate, then team id. `playoff_outcome` puts the teams
    of the playoffs first, by games won there, then win rate, then team id; the lottery follows.
    """
    if target is None:
        return None
    ranks = np.zeros((len(league.seasons.names), TEAMS), dtype=np.int64)
    ids = np.arange(TEAMS)
    for season in range(len(league.seasons.names)):
        won, played = _games_before(league, season, league.seasons.end[season : season + 1] + 1)
        rate = won[0] / np.maximum(played[0], 1)
        playoff_wins = league.playoff_wins[season] if target == "playoff_outcome" else ids * 0
        ranks[season, np.lexsort((ids, -rate, -playoff_wins))] = ids + 1
    return ranks


def relevance(one: List) -> list[float]:
    """What the ranker is to order a list's teams by, higher is better."""
    if one["final_rank"] is None:
        return list(one["win_rates"])
    return [float(TEAMS + 1 - rank) for rank in one["final_rank"]]


def subsample(lists: list[List], cap: int | None) -> list[List]:
    """At most `cap` lists, of dates evenly spread, a date's two conferences kept together.

    Every k-th *list* of an alternating sequence would keep one conference only where k is even.
    """
    if cap is None or len(lists) <= cap:
        return lists
    kept = set(spread(np.unique([one["as_of_date"] for one in lists]), cap // 2).tolist())
    return [one for one in lists if one["as_of_date"] in kept]


def spread(values: np.ndarray, cap: int | None) -> np.ndarray:
    """At most `cap` of `values`, evenly spread over their order, the middle of each stretch."""
    if cap is None or len(values) <= cap:
        return values
    return values[[math.floor((2 * i + 1) * len(values) / (2 * cap)) for i in range(cap)]]


def _games_before(league: League, season: int, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Games won and played in the season strictly before each day, both (days, 30)."""
    games = league.team_games
    of_season = games.season == season
    # A game on day d counts for the first listed day after d, and so for all later ones.
    row = np.searchsorted(days, games.day[of_season], side="right")
    won = np.zeros((len(days) + 1, TEAMS), dtype=np.int64)
    played = np.zeros_like(won)
    np.add.at(won, (row, games.team[of_season]), games.won[of_season])
    np.add.at(played, (row, games.team[of_season]), 1)
    return won.cumsum(0)[:-1], played.cumsum(0)[:-1]
