"""Who meets whom, and on which day.

Rules of this room: indices of teams and days only, no strengths and no results. Every team plays
at most once a day, and teams keep step, so that win rates on a date rest on like numbers of
games.
"""

from __future__ import annotations

import datetime as dt

import numpy as np

from league.counts import Ints, whole

# Games on a Monday, Tuesday, ... relative to one another.
_WEEKDAYS = (1.0, 0.9, 1.4, 0.6, 1.3, 1.1, 0.9)
_BREAK_DAYS = 6
_TIRED = 2.0  # how much a game yesterday speaks against one today, in games a team is behind


def circle(teams: Ints, offsets: range) -> Ints:
    """Pairs (n, 2) of each team with those `offsets` places on: as often first as second."""
    return np.concatenate([np.column_stack([teams, np.roll(teams, -k)]) for k in offsets])


def meetings(east: Ints, west: Ints, games_a_team: int, rng: np.random.Generator) -> Ints:
    """The games (n, 2) of a season as (home, away), every team at home in half of them.

    Two games against each team of the other conference; four against one's own, but three
    against some (82 games a team) or all of it (72).
    """
    of_three = {82: 2, 72: 7}[games_a_team]
    games = []
    for conference in (east, west):
        teams = rng.permutation(conference)
        pairs = circle(teams, range(1, len(teams) // 2 + 1))
        fewer = pairs[: of_three * len(teams)]
        games += [pairs, pairs, pairs[:, ::-1], pairs[len(fewer) :, ::-1]]
    across = np.array([(a, b) for a in east for b in west])
    return np.concatenate([*games, across, across[:, ::-1]])


def spread(
    games: Ints, first: dt.date, last: dt.date, count: int, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """Lay `count` of `games` on the days from `first` to `last`.

    Returns the games laid (count, 2) and their days as date ordinals, in order of days.
    """
    days = np.arange(first.toordinal(), last.toordinal() + 1)
    weights = np.array([_weight(dt.date.fromordinal(int(day))) for day in days])
    weights[-1] = max(_WEEKDAYS)  # the last day is a full one
    while True:
        quotas = whole(count * weights / weights.sum(), rng)
        laid = _lay(games, quotas, rng)
        if len(laid) == count:  # else the last games met on too few days: draw again
            chosen, at = np.array(laid).T
            return games[chosen], days[at]


def _lay(games: Ints, quotas: Ints, rng: np.random.Generator) -> list[tuple[int, int]]:
    """(game, day) pairs, day by day; the teams with most games left go first."""
    home, away = games.T
    left = np.bincount(games.ravel()).astype(float)
    open_games = np.ones(len(games), bool)
    tired = np.zeros(len(left))
    laid: list[tuple[int, int]] = []
    due = 0
    for day, quota in enumerate(quotas):
        due += int(quota)
        wish = left - _TIRED * tired
        order = np.flatnonzero(open_games)
        order = order[np.argsort(-(wish[home] + wish[away])[order] - 2 * rng.random(len(order)))]
        busy: set[int] = set()
        for game in order:
            if len(laid) == due:
                break
            sides = {int(home[game]), int(away[game])}
            if quota and not sides & busy:
                busy |= sides
                laid.append((int(game), day))
                open_games[game] = False
        tired[:] = 0
        tired[list(busy)] = 1
        left[list(busy)] -= 1
    return laid


def _weight(day: dt.date) -> float:
    """The share of a day; none in the break around the third Sunday of February."""
    third_sunday = 21 - dt.date(day.year, 2, 7).isoweekday() % 7
    begin = dt.date(day.year, 2, third_sunday) - dt.timedelta(days=2)
    if 0 <= (day - begin).days < _BREAK_DAYS:
        return 0.0
    return _WEEKDAYS[day.weekday()]
