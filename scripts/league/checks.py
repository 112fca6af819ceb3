"""What a good league is; the first rule that is broken is refused with the rows that break it.

Rules of this room: pure; frames in, nothing out but a refusal. Nothing is repaired and nothing
dropped: a league that is silently smaller trains a model that looks better. The rules stand in
`check` in an order in which each may rely on those before it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import numpy as np
import pandas as pd

from league import facts
from league.layout import COUNTS, FILES, PLAYOFFS, REGULAR, BadLeague

# What players of a game add up to. `tov` does not: a team has turnovers of its own.
SUMMED = "pts reb oreb dreb ast stl blk fgm fga fg3m fg3a ftm fta".split()
# Playoff counts of some seasons were counted from play-by-play and are off by one now and then.
PLAYOFF_TOLERANCE = 1

Frames = dict[str, pd.DataFrame]
Ranges = Mapping[str, tuple[dt.date, dt.date]]


def check(frames: Frames, ranges: Ranges | None = None) -> None:
    """Refuse a league that is not whole.

    `ranges` are the first and last day of regular seasons, where somebody states them; a season
    that is not among them is held to its own games only.

    Raises:
        BadLeague: with the rows that are wrong.
    """
    _teams(frames["teams"])
    check_keys(frames)
    _ids(frames)
    _games(frames)
    _counts(frames)
    _results(frames)
    _sums(frames)
    _seasons(frames["games"])
    _dates(frames["games"], ranges or {})


def _refuse(rows: pd.DataFrame, what: str, remedy: str) -> None:
    if len(rows):
        count = "1 row" if len(rows) == 1 else f"{len(rows)} rows"
        raise BadLeague(f"{what}: {count}; {remedy}", rows)


def _teams(teams: pd.DataFrame) -> None:
    columns = ["team_id", "abbreviation", "conference"]
    both = teams.merge(facts.teams()[columns], how="outer", on=columns, indicator=True)
    _refuse(
        both.loc[both["_merge"] == "left_only", columns],
        "teams that are none of the 30, or have another abbreviation or conference",
        "use the modern team ids and abbreviations, and E or W for every team",
    )
    _refuse(
        both.loc[both["_merge"] == "right_only", columns],
        "teams.parquet lacks teams",
        "a league has 30 teams, 15 in each conference",
    )


def check_keys(frames: Frames) -> None:
    """Refuse rows that go by the same key.

    Raises:
        BadLeague: with all of them.
    """
    for name in FILES:
        key = ["game_id", "player_id"] if name == "player_game_logs" else FILES[name].key
        frame = frames[name]
        _refuse(
            frame[frame.duplicated(key, keep=False)].sort_values(key),
            f"{name}: more than one row for the same {', '.join(key)}",
            "keep one of them",
        )


def _ids(frames: Frames) -> None:
    games, team_logs, player_logs = (
        frames[name] for name in ("games", "team_game_logs", "player_game_logs")
    )
    for name, frame, column, known in (
        ("games", games, "home_team_id", frames["teams"]["team_id"]),
        ("games", games, "away_team_id", frames["teams"]["team_id"]),
        ("team_game_logs", team_logs, "game_id", games["game_id"]),
        ("team_game_logs", team_logs, "team_id", frames["teams"]["team_id"]),
        ("player_game_logs", player_logs, "game_id", games["game_id"]),
        ("player_game_logs", player_logs, "team_id", frames["teams"]["team_id"]),
        ("player_game_logs", player_logs, "player_id", frames["players"]["player_id"]),
    ):
        _refuse(
            frame[~frame[column].isin(known)],
            f"{name}: a {column} that nothing else knows",
            "every id of a log must be in teams, players or games",
        )


def _games(frames: Frames) -> None:
    games = frames["games"]
    _refuse(
        games[games["home_team_id"] == games["away_team_id"]],
        "games: a team that plays itself",
        "correct home_team_id or away_team_id",
    )
    for name in ("team_game_logs", "player_game_logs"):
        logs = frames[name].merge(games, on="game_id", suffixes=("", "_of_game"))
        for column in ("season", "season_type", "game_date"):
            _refuse(
                logs.loc[logs[column] != logs[f"{column}_of_game"], _seen(frames[name], column)],
                f"{name}: another {column} than the game's",
                "a log and its game must agree",
            )
        strange = (logs["team_id"] != logs["home_team_id"]) & (
            logs["team_id"] != logs["away_team_id"]
        )
        _refuse(
            logs.loc[strange, _seen(frames[name], "team_id")],
            f"{name}: a team that does not play in the game",
            "correct team_id, or the game's teams",
        )
    team_logs = frames["team_game_logs"]
    rows = games["game_id"].map(team_logs["game_id"].value_counts()).fillna(0)
    _refuse(games[rows != 2], "games without exactly two team rows", "add or remove team rows")
    home = team_logs["game_id"].map(games.set_index("game_id")["home_team_id"])
    _refuse(
        team_logs[(team_logs["team_id"] == home) != (team_logs["is_home"] == 1)],
        "team_game_logs: is_home does not agree with the game's home_team_id",
        "is_home is 1 for the home team and 0 for the other",
    )


def _counts(frames: Frames) -> None:
    for name in ("team_game_logs", "player_game_logs"):
        logs = frames[name]
        _refuse(
            logs.loc[~(logs["min"] >= 0), _seen(logs, "min")],  # also where it is missing
            f"{name}: minutes missing or negative",
            "a row is for who took part, for 0 minutes or more",
        )
        for column in COUNTS:
            wrong = logs[column] < (-np.inf if column == "plus_minus" else 0)
            if name == "team_game_logs":  # of players, some counts of old playoffs are unknown
                wrong |= logs[column].isna()
            _refuse(
                logs.loc[wrong, _seen(logs, column)],
                f"{name}: {column} missing or negative",
                "a team has every count, and no count is below 0",
            )


def _results(frames: Frames) -> None:
    logs = frames["team_game_logs"]
    margin = 2 * logs["pts"] - logs.groupby("game_id")["pts"].transform("sum")
    shown = ["game_id", "team_id", "wl", "pts", "plus_minus"]
    for wrong, what, remedy in (
        (margin == 0, "a draw", "correct the points of the game"),
        (
            logs["wl"] != np.where(margin > 0, "W", "L"),
            "wl does not agree with the points",
            "a game has one W, for more points, and one L",
        ),
        (
            logs["plus_minus"] != margin,
            "plus_minus is not own points minus the opponent's",
            "the two of a game are opposite",
        ),
    ):
        _refuse(logs.loc[wrong, shown], f"team_game_logs: {what}", remedy)


def _sums(frames: Frames) -> None:
    at = ["game_id", "team_id"]
    teams = frames["team_game_logs"].set_index(at)
    players = frames["player_game_logs"].groupby(at)[SUMMED]
    regular = teams["season_type"] == REGULAR
    sums = players.sum().reindex(teams.index, fill_value=0)
    # In the playoffs a column with nulls is unknown; in the regular season a null adds nothing,
    # so that it cannot hide a hole.
    rows = frames["player_game_logs"].groupby(at).size()
    whole = players.count().eq(rows, axis=0).reindex(teams.index, fill_value=True)
    for column in SUMMED:
        off = (sums[column] - teams[column]).abs()
        allowed = np.where(regular, 0, PLAYOFF_TOLERANCE)
        wrong = (off > allowed) & (regular | whole[column])
        shown = pd.DataFrame({"players": sums[column], "team": teams[column]})[wrong]
        _refuse(
            shown.reset_index(),
            f"{column} of the players does not add up to the team's",
            f"the playoffs may be off by {PLAYOFF_TOLERANCE}, the regular season by nothing",
        )


def _seasons(games: pd.DataFrame) -> None:
    wrong = ~games["season_type"].isin([REGULAR, PLAYOFFS])
    _refuse(games[wrong], "games: unknown season_type", f"use {REGULAR!r} or {PLAYOFFS!r}")
    wrong = [not is_season(name) for name in games["season"]]
    _refuse(games[wrong], "games: not the name of a season", "write it like '2014-15'")
    regular = games[games["season_type"] == REGULAR]
    if regular.empty:
        raise BadLeague("games.parquet holds no regular game: get the logs again")
    sides = regular.melt("season", ["home_team_id", "away_team_id"], value_name="team_id")
    teams = sides.groupby("season")["team_id"].nunique().reindex(games["season"].unique())
    few = teams[teams != len(facts.teams())].fillna(0).astype(int)
    _refuse(
        few.rename("teams").reset_index(),
        "seasons in which not all 30 teams play a regular game",
        "add the missing games, or leave the season out",
    )


def is_season(name: str) -> bool:
    """Whether it is two years like 2014-15, the second following the first."""
    first, dash, second = name.partition("-")
    return (
        bool(dash)
        and len(first) == 4
        and name.replace("-", "").isdigit()
        and second == f"{(int(first) + 1) % 100:02d}"
    )


def _dates(games: pd.DataFrame, ranges: Ranges) -> None:
    regular = games[games["season_type"] == REGULAR]
    for season, (start, end) in ranges.items():
        those = regular[regular["season"] == season]
        inside = those["game_date"].between(pd.Timestamp(start), pd.Timestamp(end))
        _refuse(
            those[~inside],
            f"regular games of {season} outside {start} to {end}",
            f"widen seasons.{season} in the config, or correct the games",
        )
    days = regular.groupby("season")["game_date"].agg(["min", "max"])
    playoffs = games[games["season_type"] == PLAYOFFS]
    _refuse(
        playoffs[playoffs["game_date"] <= playoffs["season"].map(days["max"])],
        "playoff games before the end of the season's regular games",
        "correct their dates or season_type",
    )
    ends = games.groupby("season")["game_date"].max().shift()
    _refuse(
        days[days["min"] <= ends].reset_index(),
        "seasons that begin before the one before has ended",
        "correct the dates or the season of its games",
    )


def _seen(logs: pd.DataFrame, column: str) -> list[str]:
    """The columns that show a person which row is wrong, and what in it."""
    who = [name for name in ("game_id", "team_id", "player_id") if name in logs]
    return list(dict.fromkeys([*who, column]))
