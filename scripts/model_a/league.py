"""The league database -> League: arrays of what the lists and features need, checked.

Rules of this room: the only one that opens the database, read-only, and only where batches are
built. A league that is not whole is refused in one line (`BadInput`); it never becomes a smaller
one. Days are whole numbers since 1970-01-01, teams are positions in `team_ids`, seasons positions
in `inputs["seasons"]` by their start.
"""

from __future__ import annotations

import contextlib
import sqlite3
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from model_a.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

# The columns of `PlayerGames.counts`, in this order.
COUNTS = ("pts", "reb", "ast", "stl", "blk", "tov", "fga", "fta")
TEAMS = 30
PLAYOFF_TEAMS = 16
_REMEDY = "build it with scripts/2_build_db.py"
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class Seasons(NamedTuple):
    """Configured seasons in order of time; `start` and `end` are days, both played."""

    names: list[str]
    start: np.ndarray
    end: np.ndarray

    def at(self, days: np.ndarray) -> np.ndarray:
        """The season in which each day falls, -1 where none."""
        inside = (days[:, None] >= self.start) & (days[:, None] <= self.end)
        return np.where(inside.any(1), inside.argmax(1), -1)


class TeamGames(NamedTuple):
    """One row a team and regular game, by day; `margin` is in points."""

    day: np.ndarray
    season: np.ndarray
    team: np.ndarray
    won: np.ndarray
    margin: np.ndarray


class PlayerGames(NamedTuple):
    """One row a player and regular game, by player and day.

    `player` is a position in `player_ids`, `counts` (rows, 8) holds `COUNTS`, and `on_court` is the
    team's plus-minus times the player's share of the team's minutes.
    """

    player: np.ndarray
    day: np.ndarray
    season: np.ndarray
    team: np.ndarray
    minutes: np.ndarray
    counts: np.ndarray
    on_court: np.ndarray


class League(NamedTuple):
    """A whole league: 30 teams in two conferences, and what they played.

    `playoff_wins` (seasons, 30) is -1 for a team that was not in the playoffs.
    """

    label: str
    seasons: Seasons
    team_ids: np.ndarray
    conferences: np.ndarray
    player_ids: np.ndarray
    team_games: TeamGames
    player_games: PlayerGames
    playoff_wins: np.ndarray


def read_league(path: str, inputs: Mapping[str, Any]) -> League:
    """The league in the SQLite database at `path`, as the seasons of `inputs` cut it.

    Raises:
        BadInput: no such database, a table is missing, or the league is not whole.
    """
    seasons = seasons_of(inputs)
    try:
        with contextlib.closing(sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True)) as db:
            db.execute("BEGIN")  # one state of the database, whoever writes meanwhile
            return _read(db, seasons)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        is_busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY
        remedy = "wait until who writes it is done" if is_busy else _REMEDY
        raise BadInput(f"league database {path!r}: {error}: {remedy}") from None


def seasons_of(inputs: Mapping[str, Any]) -> Seasons:
    """The season map of `inputs` as days."""
    names = sorted(inputs["seasons"], key=lambda name: inputs["seasons"][name]["start"])
    dates = [[inputs["seasons"][name][edge] for name in names] for edge in ("start", "end")]
    start, end = np.array(dates, dtype="datetime64[D]").astype(np.int64)
    return Seasons(names, start, end)


def seasons_in_use(inputs: Mapping[str, Any]) -> list[str]:
    """The seasons that get lists: those that train or test, or all where none is named."""
    if inputs["train_seasons"] is None:
        return sorted(inputs["seasons"])
    return sorted(inputs["train_seasons"] + inputs["test_seasons"])


def check_league(league: League, inputs: Mapping[str, Any]) -> None:
    """Refuse a league whose lists or whose past would be smaller than the league is.

    Raises:
        BadInput: a season in use has no games, or not the playoffs it needs; or one that is there,
            in use or the past of one that is, has not the games of 30 teams.
    """
    in_use = seasons_in_use(inputs)
    last = max(map(league.seasons.names.index, in_use), default=-1)
    for season, name in enumerate(league.seasons.names[: last + 1]):
        playing = np.unique(league.team_games.team[league.team_games.season == season])
        if name in in_use and not len(playing):
            raise BadInput(f"season {name!r} has no games in the database: take it out, or load it")
        if 0 < len(playing) < TEAMS:
            missing = np.setdiff1d(np.arange(TEAMS), playing)
            ids = ", ".join(str(league.team_ids[team]) for team in missing)
            raise BadInput(
                f"season {name!r} has games of {len(playing)} of {TEAMS} teams (none of {ids}): "
                "load the rest"
            )
        in_playoffs = int((league.playoff_wins[season] >= 0).sum())
        wanted = name in in_use and inputs["listmle_target"] == "playoff_outcome"
        if wanted and in_playoffs != PLAYOFF_TEAMS:
            raise BadInput(
                f"season {name!r} has {in_playoffs} playoff teams, listmle_target "
                f"'playoff_outcome' needs {PLAYOFF_TEAMS}: load its playoffs, or use 'final_rank'"
            )


def _read(db: sqlite3.Connection, seasons: Seasons) -> League:
    team_ids, conferences = _read_teams(db)
    _refuse_rows(
        db,
        "SELECT game_id FROM games LEFT JOIN team_game_logs USING (game_id) "
        "GROUP BY game_id HAVING count(*) != 2 OR count(DISTINCT team_id) != 2",
        "game {0!r} has not exactly two team logs",
    )
    _refuse_rows(
        db,
        "SELECT game_id FROM team_game_logs WHERE game_id NOT IN (SELECT game_id FROM games)",
        "the team logs of game {0!r} have no game",
    )
    team_games = _read_team_games(db, seasons, team_ids)
    player_ids, player_games = _read_player_games(db, seasons, team_ids)
    label = db.execute("SELECT value FROM league WHERE name = 'label'").fetchone()
    if label is None:
        raise BadInput("table league has no 'label': build it with scripts/2_build_db.py")
    return League(
        label=str(label[0]),
        seasons=seasons,
        team_ids=team_ids,
        conferences=conferences,
        player_ids=player_ids,
        team_games=team_games,
        player_games=player_games,
        playoff_wins=_read_playoff_wins(db, seasons, team_ids),
    )


def _read_teams(db: sqlite3.Connection) -> tuple[np.ndarray, np.ndarray]:
    rows = db.execute("SELECT team_id, conference FROM teams ORDER BY team_id").fetchall()
    if len(rows) != TEAMS:
        few = len(rows) < TEAMS
        remedy = "load the rest" if few else "take out those that are none of them"
        raise BadInput(f"table teams has {len(rows)} teams, a league has {TEAMS}: {remedy}")
    for team_id, conference in rows:
        if conference not in ("E", "W"):
            raise BadInput(f"team {team_id} has the conference {conference!r}: make it 'E' or 'W'")
    east = sum(conference == "E" for _, conference in rows)
    if 2 * east != TEAMS:
        raise BadInput(f"{east} teams are in conference 'E', not {TEAMS // 2}: correct table teams")
    return np.array([row[0] for row in rows]), np.array([row[1] for row in rows])


def _read_team_games(db: sqlite3.Connection, seasons: Seasons, team_ids: np.ndarray) -> TeamGames:
    _refuse_rows(
        db,
        "SELECT game_id, wl FROM team_game_logs WHERE wl IS NULL OR wl NOT IN ('W', 'L')",
        "game {0!r} has the result {1!r}, neither 'W' nor 'L'",
    )
    _refuse_rows(
        db,
        "SELECT game_id, game_date FROM games WHERE julianday(game_date) IS NULL",
        "game {0!r} has the date {1!r}, no ISO day",
    )
    rows = _numbers(
        db,
        f"SELECT {_DAY}, t.team_id, t.wl = 'W', t.plus_minus "  # noqa: S608  # our own text
        "FROM team_game_logs t JOIN games g USING (game_id) ORDER BY 1, 2",
        4,
    )
    day = rows[:, 0].astype(np.int64)
    season = seasons.at(day)
    _refuse_games_outside(db, seasons)
    team = _positions(rows[:, 1], team_ids)
    return TeamGames(day, season, team, rows[:, 2].astype(bool), rows[:, 3])


def _refuse_games_outside(db: sqlite3.Connection, seasons: Seasons) -> None:
    """A game outside its season's dates would be lost to the lists without a word."""
    query = f"SELECT game_id, game_date, season, {_DAY} FROM games g"  # noqa: S608  # our own text
    rows = db.execute(query).fetchall()
    by_day = seasons.at(np.array([row[3] for row in rows], dtype=np.int64))
    for (game_id, date, season, _), found in zip(rows, by_day, strict=True):
        by_date = seasons.names[found] if found >= 0 else None
        if season != by_date and (season in seasons.names or by_date is not None):
            raise BadInput(
                f"game {game_id!r} of season {season!r} is dated {date}, outside that season's "
                "dates: correct seasons in the config, or the database"
            )


def _read_player_games(
    db: sqlite3.Connection, seasons: Seasons, team_ids: np.ndarray
) -> tuple[np.ndarray, PlayerGames]:
    counts = ", ".join(f"p.{name}" for name in COUNTS)
    nulls = " OR ".join(f"{name} IS NULL" for name in ("team_id", *COUNTS))
    _refuse_rows(
        db,
        "SELECT game_id, player_id FROM player_game_logs "  # noqa: S608  # our own text
        f"WHERE min IS NULL OR NOT min >= 0 OR {nulls}",
        "player {1} has no minutes, negative ones, or a missing count in game {0!r}",
    )
    rows = _numbers(
        db,
        f"SELECT p.player_id, {_DAY}, p.team_id, p.min, t.min, t.plus_minus, {counts} "  # noqa: S608
        "FROM player_game_logs p JOIN games g USING (game_id) "
        "JOIN team_game_logs t ON t.game_id = p.game_id AND t.team_id = p.team_id",
        6 + len(COUNTS),
    )
    in_table = db.execute("SELECT count(*) FROM player_game_logs").fetchone()[0]
    if len(rows) != in_table:
        raise BadInput(
            f"{in_table - len(rows)} of {in_table} player logs have no team log: load those"
        )
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    player_ids, player = np.unique(rows[:, 0].astype(np.int64), return_inverse=True)
    day = rows[:, 1].astype(np.int64)
    twice = np.flatnonzero((np.diff(player) == 0) & (np.diff(day) == 0))
    if len(twice):
        raise BadInput(
            f"player {player_ids[player[twice[0]]]} has two logs on "
            f"{np.datetime64(int(day[twice[0]]), 'D')}: drop the duplicate"
        )
    minutes, team_minutes, plus_minus = rows[:, 3], rows[:, 4], rows[:, 5]
    share = np.divide(minutes, team_minutes, out=np.zeros(len(rows)), where=team_minutes > 0)
    team = _positions(rows[:, 2], team_ids)
    games = PlayerGames(
        player, day, seasons.at(day), team, minutes, rows[:, 6:], share * plus_minus
    )
    return player_ids, games


def _read_playoff_wins(
    db: sqlite3.Connection, seasons: Seasons, team_ids: np.ndarray
) -> np.ndarray:
    wins = np.full((len(seasons.names), TEAMS), -1)
    rows = db.execute(
        "SELECT g.season, t.team_id, sum(t.wl = 'W') FROM playoff_team_game_logs t "
        "JOIN playoff_games g USING (game_id) GROUP BY 1, 2"
    ).fetchall()
    teams = _positions(np.array([row[1] for row in rows], dtype=np.int64), team_ids)
    for (season, _, won), team in zip(rows, teams, strict=True):
        if season in seasons.names:
            wins[seasons.names.index(season), team] = won
    return wins


def _numbers(db: sqlite3.Connection, query: str, width: int) -> np.ndarray:
    """The rows of `query` as float64 (rows, width); several times faster than a list of tuples."""
    cells = chain.from_iterable(db.execute(query))
    try:
        rows = np.fromiter(cells, dtype=np.float64).reshape(-1, width)
    except ValueError as error:  # a text
        raise BadInput(f"a log is no number: {error}: correct the database") from None
    if not np.isfinite(rows).all():  # a null is NaN by now
        raise BadInput("a log has null for a number, or infinity: correct the database")
    return rows


def _positions(ids: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Where each id stands in the sorted `known`."""
    found = np.searchsorted(known, ids).clip(max=len(known) - 1)
    strange = np.flatnonzero(known[found] != ids)
    if len(strange):
        raise BadInput(f"team {int(ids[strange[0]])} has games but is not in table teams: add it")
    return found


def _refuse_rows(db: sqlite3.Connection, query: str, message: str) -> None:
    row = db.execute(f"{query} LIMIT 1").fetchone()
    if row is not None:
        raise BadInput(f"{message.format(*row)}: correct the database")


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


_DAY = "CAST(julianday(g.game_date) - 2440587.5 AS INTEGER)"  # 2440587.5 is 1970-01-01
