"""League -> what a season so far, and the one before, say of its teams on each date.

Rules of this room: pure. All but `playoff_ranks` is of games strictly before the date; those are a
target, never a feature. These are the fields of a list that baselines are made from, and that the
net may be given beside its rosters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from model_a.league import PLAYOFF_TEAMS, TEAMS

if TYPE_CHECKING:
    from model_a.league import League

OFF_SEASON_DAYS = 365  # a season that ended earlier than so many days ago is not the last one


def standings(
    league: League, season: int, days: np.ndarray, playoff_ranks: np.ndarray
) -> list[dict[str, np.ndarray | None]]:
    """The fields of the lists of a season, for each of its days, of all 30 teams.

    `games_played` and `margins` (mean points a game) are of the season to date, `prior_win_rates`
    and `prior_margins` of the whole season before, None where the database does not have it.
    `playoff_ranks` are how the season's playoffs will end, None where it has none.
    """
    games, margins, _ = _to_date(league, season, days)
    prior: dict[str, Any] = {"prior_win_rates": None, "prior_margins": None}
    start = league.seasons.start
    if season and start[season] - league.seasons.end[season - 1] < OFF_SEASON_DAYS:
        played, margin, rate = _to_date(league, season - 1, start[season : season + 1])
        if played.all():
            prior = {"prior_win_rates": rate[0], "prior_margins": margin[0]}
    held = (league.playoff_wins[season] >= 0).sum() == PLAYOFF_TEAMS
    prior["playoff_ranks"] = playoff_ranks if held else None
    return [
        {"games_played": games[row], "margins": margins[row], **prior} for row in range(len(days))
    ]


def of_teams(fields: dict[str, np.ndarray | None], teams: np.ndarray) -> dict[str, Any]:
    """The fields of some teams, in their order, as plain values."""
    return {
        name: None if values is None else values[teams].tolist() for name, values in fields.items()
    }


def _to_date(
    league: League, season: int, days: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Games, mean margin and win rate in the season strictly before each day, all (days, 30)."""
    games = league.team_games
    of_season = games.season == season
    row = np.searchsorted(days, games.day[of_season], side="right")
    sums = np.zeros((3, len(days) + 1, TEAMS))
    at = (row, games.team[of_season])
    for total, values in zip(sums, (1, games.margin[of_season], games.won[of_season]), strict=True):
        np.add.at(total, at, values)
    played, margin, won = sums.cumsum(1)[:, :-1]
    each = np.maximum(played, 1)
    return played.astype(np.int64), margin / each, won / each
