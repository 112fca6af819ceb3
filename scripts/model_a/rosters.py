"""League and dates -> who plays for each team on each date, strictly before it.

Rules of this room: pure, vectorised. A roster is the players whose latest team this is and who have
played for it this season, by their minutes for it this season, at most `roster_size` of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from model_a.league import TEAMS

if TYPE_CHECKING:
    from model_a.league import League


class Rosters(NamedTuple):
    """Players by minutes, most first, for each date and team: arrays (D, 30, P).

    `latest` is the row of the player's latest game before the date, -1 where the roster is shorter
    than P; `minutes` are those of the season to date for this team.
    """

    latest: np.ndarray
    minutes: np.ndarray


def find_rosters(league: League, days: np.ndarray, roster_size: int) -> Rosters:
    """The rosters on each of `days`, which rise, and each of which lies in a season."""
    games = league.player_games
    date, row = _latest_rows(league, days)
    minutes = _stint_minutes(league)
    # Rows by minutes falling, then player: so one sort of whole numbers ranks every team at once.
    standing = np.empty(len(minutes), dtype=np.int64)
    standing[np.lexsort((games.player, -minutes))] = np.arange(len(minutes))
    roster = date * TEAMS + games.team[row]
    order = np.argsort(roster * len(standing) + standing[row])
    roster, row = roster[order], row[order]
    rank = np.arange(len(roster)) - np.searchsorted(roster, roster)
    kept = rank < roster_size
    at = (roster[kept], rank[kept])
    shape = (len(days) * TEAMS, roster_size)
    rosters = Rosters(np.full(shape, -1), np.zeros(shape))
    rosters.latest[at] = row[kept]
    rosters.minutes[at] = minutes[row[kept]]
    return Rosters(*(array.reshape(len(days), TEAMS, roster_size) for array in rosters))


def _latest_rows(league: League, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (date, row): a player's latest game strictly before the date, in the date's season.

    A row is the latest from the day after it to the day of the player's next game, so it is laid
    out over the dates in between, and nobody is looked for on any date.
    """
    games = league.player_games
    first = np.searchsorted(days, games.day, side="right")
    season_over = np.searchsorted(days, league.seasons.end[games.season], side="right")
    end = np.where(games.season < 0, 0, season_over)
    goes_on = np.flatnonzero(np.diff(games.player) == 0)
    end[goes_on] = np.minimum(end[goes_on], first[goes_on + 1])
    dates = np.maximum(end - first, 0)
    row = np.repeat(np.arange(len(first)), dates)
    nth = np.arange(len(row)) - np.repeat(dates.cumsum() - dates, dates)
    return first[row] + nth, row


def rows_before(
    group: np.ndarray, day: np.ndarray, of_group: np.ndarray, before: np.ndarray
) -> np.ndarray:
    """How many rows, sorted by (group, day), stand before `(of_group, before)`."""
    first, last = day.min(), day.max()
    span = last - first + 2  # one more than the days there are: `before` may follow all of them
    return np.searchsorted(
        group * span + (day - first), of_group * span + (before.clip(first, last + 1) - first)
    )


def _stint_minutes(league: League) -> np.ndarray:
    """Minutes of the row's player for the row's team in the row's season, this game included."""
    games = league.player_games
    order = np.lexsort((games.day, games.team, games.season, games.player))
    stint = np.stack([games.player[order], games.season[order], games.team[order]])
    begins = np.append(True, (np.diff(stint) != 0).any(0))
    totals = exact_totals(games.minutes[order])
    first = np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))
    minutes = np.empty(len(order))
    minutes[order] = sums(totals, first, np.arange(1, len(order) + 1))
    return minutes


def exact_totals(values: np.ndarray) -> np.ndarray:
    """Running totals along the first axis, from 0, in fixed point.

    Floats would round, and a game could change the last bit of a sum that it is no part of: a leak.
    """
    fixed = np.rint(values * _FIXED).astype(np.int64)
    return np.concatenate([np.zeros_like(fixed[:1]), fixed.cumsum(0)])


def sums(totals: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Sums of the values `start` to `end`, from their running totals."""
    return (totals[end] - totals[start]) / _FIXED


_FIXED = 1 << 20
