"""A made-up league on the real calendar: same seed, same rows, and labelled SIMULATED throughout.

Rules of this room: one generator, passed along; what is random is drawn in one order. Teams and
dates are real, players and results invented. Strengths drift within seasons and between them,
and players change teams, so that what a ranker learns of players and of last season is worth
something, and not everything.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from league import boxes, facts, schedule
from league.counts import Ints
from league.facts import Season
from league.layout import COUNTS, FILES, PLAYOFFS, REGULAR, SIMULATED
from league.people import TEAMS, People

FIRST_PLAYER_ID = 90_000_001  # far from any real player's
_STRETCHES = 3  # of a regular season, with trades and drift in between
_RETURNING = 22  # teams that came back after the interruption
# The range of the real seasons; best-of-sevens alone would stray further.
_PLAYOFF_GAMES = range(79, 88)
_HIGHER_HOSTS = np.array([1, 1, 0, 0, 1, 0, 1], bool)  # game by game
_SEEDS = np.array([(0, 7), (3, 4), (1, 6), (2, 5)])  # winners of neighbours meet
_ROUND_STARTS = (0, 14, 28)  # days after the first playoff day; the finals end on the last


class Played(NamedTuple):
    """Games that have been played, home side first."""

    season: str
    season_type: str
    ids: list[str]
    days: Ints  # (G,), date ordinals
    teams: Ints  # (G, 2)
    rosters: Ints  # (G, 2, R)
    box: boxes.Box

    @property
    def home_won(self) -> np.ndarray:
        """Whether the home side won, by game."""
        points = self.box["pts"].sum(-1)
        return points[:, 0] > points[:, 1]

    def only(self, games: np.ndarray) -> Played:
        """The chosen ones of these games."""
        box = {name: count[games] for name, count in self.box.items()}
        ids = [self.ids[game] for game in games]
        return self._replace(
            ids=ids,
            days=self.days[games],
            teams=self.teams[games],
            rosters=self.rosters[games],
            box=box,
        )


def simulate(
    seed: int,
    seasons: Iterable[str] = tuple(facts.SEASONS),
    step: Callable[[str], None] = lambda _: None,
) -> dict[str, pd.DataFrame]:
    """The five frames of raw logs of a made-up league.

    `step` is told the name of each season before it is played.

    Raises:
        KeyError: a season that is not in `facts.SEASONS`.
    """
    rng = np.random.default_rng(seed)
    people = People()
    played: list[Played] = []
    for name in seasons:
        step(name)
        people.summer(rng)
        regular = _regular_season(people, facts.SEASONS[name], rng)
        played += regular + _playoffs(people, facts.SEASONS[name], _order(regular), rng)
    return _frames(played, len(people.team))


def _regular_season(people: People, season: Season, rng: np.random.Generator) -> list[Played]:
    conferences = facts.teams()["conference"].to_numpy()
    east, west = np.flatnonzero(conferences == "E"), np.flatnonzero(conferences == "W")
    games = schedule.meetings(east, west, season.games_a_team, rng)
    if season.halt is None:
        laid = schedule.spread(games, season.first, season.last, season.games, rng)
        return _stretches(people, season, *laid, rng)
    laid = schedule.spread(games, season.first, season.halt, season.games_before, rng)
    played = _stretches(people, season, *laid, rng)
    numbers = range(season.games_before, season.games)
    back = rng.permutation(_order(played)[:_RETURNING])
    games = schedule.circle(back, range(1, len(numbers) // _RETURNING + 1))
    laid = schedule.spread(games, season.resumed, season.last, len(numbers), rng)
    return [*played, _play(people, season, _ids(season, numbers), *laid, rng)]


def _stretches(
    people: People, season: Season, games: Ints, days: Ints, rng: np.random.Generator
) -> list[Played]:
    played = []
    edges = np.searchsorted(days, np.linspace(days[0], days[-1] + 1, _STRETCHES + 1))
    for begin, end in itertools.pairwise(edges):
        if begin:
            people.trade(rng)
        part = slice(begin, end)
        ids = _ids(season, range(begin, end))
        played.append(_play(people, season, ids, games[part], days[part], rng))
    return played


def _play(
    people: People,
    season: Season,
    ids: list[str],
    games: Ints,
    days: Ints,
    rng: np.random.Generator,
) -> Played:
    """Play `games` (G, 2) on `days` (G,)."""
    rosters = people.rosters()[games]
    fit = people.days(int(np.ptp(days)) + 1, rng)[days - days.min()]
    fit = np.take_along_axis(fit, rosters.reshape(len(games), -1), axis=1)
    era = (int(season.name[:4]) - 2014) / 10
    box = boxes.play(people.skills, rosters, fit.reshape(rosters.shape), era, rng)
    season_type = REGULAR if ids[0].startswith("002") else PLAYOFFS
    return Played(season.name, season_type, ids, days, games, rosters, box)


def _ids(season: Season, numbers: range) -> list[str]:
    return [f"002{season.name[2:4]}{number + 1:05d}" for number in numbers]


def _order(played: list[Played]) -> Ints:
    """Teams by share of games won, best first."""
    games, wins = np.zeros(TEAMS), np.zeros(TEAMS)
    for part in played:
        games += np.bincount(part.teams.ravel(), minlength=TEAMS)
        winners = np.where(part.home_won, part.teams[:, 0], part.teams[:, 1])
        wins += np.bincount(winners, minlength=TEAMS)
    return np.argsort(-wins / games, kind="stable")


def _playoffs(
    people: People, season: Season, order: Ints, rng: np.random.Generator
) -> list[Played]:
    """Four rounds of best-of-seven between the eight best of each conference."""
    while True:
        rounds = _rounds(people, season, order, rng)
        if sum(len(played.ids) for played in rounds) in _PLAYOFF_GAMES:
            return rounds


def _rounds(people: People, season: Season, order: Ints, rng: np.random.Generator) -> list[Played]:
    conferences = facts.teams()["conference"].to_numpy()
    best = [order[conferences[order] == side][:8] for side in ("E", "W")]
    left = np.concatenate([side[_SEEDS].ravel() for side in best])
    rank = np.argsort(order)
    first, last = season.playoffs_first.toordinal(), season.playoffs_last.toordinal()
    rounds = []
    for number, start in enumerate((*_ROUND_STARTS, last - first - 12), start=1):
        series = left.reshape(-1, 2)
        series = np.take_along_axis(series, np.argsort(rank[series], axis=1), axis=1)
        played, left = _round(people, season, number, series, first + start, rng)
        rounds.append(played)
    finals = rounds[-1]
    rounds[-1] = finals._replace(days=finals.days + last - finals.days.max())
    return rounds


def _round(
    people: People,
    season: Season,
    number: int,
    series: Ints,
    first_day: int,
    rng: np.random.Generator,
) -> tuple[Played, Ints]:
    """The games of each of `series` (N, 2), higher seed first, and its winners (N,).

    All seven are played, and those after the fourth win forgotten.
    """
    at, game = (part.ravel() for part in np.indices((len(series), 7)))
    hosts = _HIGHER_HOSTS[game][:, None]
    teams = np.where(hosts, series[at], series[at, ::-1])
    ids = [f"004{season.name[2:4]}00{number}{s}{g + 1}" for s, g in zip(at, game, strict=True)]
    played = _play(people, season, ids, teams, first_day + 2 * game + at % 2, rng)
    won = (played.home_won == hosts[:, 0]).reshape(-1, 7)
    wins, losses = (np.cumsum(side, axis=1) - side for side in (won, ~won))
    needed = (wins < 4) & (losses < 4)
    winners = np.where((won & needed).sum(axis=1) == 4, *series.T)
    return played.only(np.flatnonzero(needed)), winners


def _frames(played: list[Played], players: int) -> dict[str, pd.DataFrame]:
    numbers = np.arange(players)
    frames = {
        "teams": facts.teams(),
        "players": pd.DataFrame(
            {
                "player_id": numbers + FIRST_PLAYER_ID,
                "player_name": [f"Player {number + 1:04d}" for number in numbers],
            }
        ),
    }
    parts = [_logs(part) for part in played]
    for place, name in enumerate(("games", "team_game_logs", "player_game_logs")):
        rows = pd.concat([part[place] for part in parts], ignore_index=True)
        frames[name] = rows[list(FILES[name].columns)]
    return frames


def _logs(played: Played) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Rows of games, of teams and of players in them."""
    team_ids = facts.teams()["team_id"].to_numpy()[played.teams]
    about = {
        "game_id": np.array(played.ids, object),
        "game_date": pd.to_datetime(played.days - dt.date(1970, 1, 1).toordinal(), unit="D"),
        "season": np.full(len(played.ids), played.season, object),
        "season_type": np.full(len(played.ids), played.season_type, object),
    }
    games = pd.DataFrame(
        {**about, "home_team_id": team_ids[:, 0], "away_team_id": team_ids[:, 1]}
    ).assign(neutral_site=False)

    game, side = (part.ravel() for part in np.indices(team_ids.shape))
    team_logs = pd.DataFrame({name: values[game] for name, values in about.items()})
    team_logs["team_id"] = team_ids.ravel()
    team_logs["is_home"] = 1 - side
    team_logs["wl"] = np.where((side == 0) == played.home_won[game], "W", "L")
    for name in COUNTS:
        team_logs[name] = played.box[name].sum(-1).ravel()
    team_logs["tov"] = played.box["team_tov"].ravel()
    team_logs["pf"] = played.box["pf"].ravel()
    team_logs["plus_minus"] //= 5

    at = np.nonzero(played.box["min"])
    player_logs = pd.DataFrame({name: values[at[0]] for name, values in about.items()})
    player_logs["player_id"] = played.rosters[at] + FIRST_PLAYER_ID
    player_logs["team_id"] = team_ids[at[:2]]
    for name in COUNTS:
        player_logs[name] = played.box[name][at]
    player_logs["provenance"] = SIMULATED
    return games, team_logs, player_logs
