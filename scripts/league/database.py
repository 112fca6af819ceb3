"""The league as a SQLite file: the same bytes for the same logs.

Rules of this room: rows go in sorted by key, page size and pragmas are fixed, and nothing of
time, path or machine is written. The file is built aside, synced and renamed; when the same
bytes lie there already, they are left alone, with their times, so that whoever remembers the
file by its stat need not read it again.
"""

from __future__ import annotations

import contextlib
import errno
import filecmp
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from league.layout import COUNTS, PLAYOFFS, REGULAR, BadLeague, sync

_COUNT_COLUMNS = ", ".join(f"{name} INTEGER" for name in COUNTS)
_GAMES = """
game_id TEXT PRIMARY KEY, game_date TEXT NOT NULL, season TEXT NOT NULL,
home_team_id INTEGER NOT NULL REFERENCES teams, away_team_id INTEGER NOT NULL REFERENCES teams
"""
_TEAM_LOGS = f"""
game_id TEXT NOT NULL REFERENCES {{games}}, team_id INTEGER NOT NULL REFERENCES teams,
is_home INTEGER NOT NULL, wl TEXT NOT NULL CHECK (wl IN ('W', 'L')), {_COUNT_COLUMNS},
PRIMARY KEY (game_id, team_id)
"""
_PLAYER_LOGS = f"""
game_id TEXT NOT NULL REFERENCES {{games}}, player_id INTEGER NOT NULL REFERENCES players,
team_id INTEGER NOT NULL REFERENCES teams, {_COUNT_COLUMNS}, PRIMARY KEY (game_id, player_id)
"""
TABLES = {
    "teams": """
team_id INTEGER PRIMARY KEY, abbreviation TEXT NOT NULL, name TEXT NOT NULL,
conference TEXT NOT NULL CHECK (conference IN ('E', 'W'))
""",
    "players": "player_id INTEGER PRIMARY KEY, player_name TEXT NOT NULL",
    "games": _GAMES,
    "team_game_logs": _TEAM_LOGS.format(games="games"),
    "player_game_logs": _PLAYER_LOGS.format(games="games"),
    "playoff_games": _GAMES,
    "playoff_team_game_logs": _TEAM_LOGS.format(games="playoff_games"),
    "playoff_player_game_logs": _PLAYER_LOGS.format(games="playoff_games"),
    "seasons": """
season TEXT PRIMARY KEY, first_date TEXT NOT NULL, last_date TEXT NOT NULL,
regular_games INTEGER NOT NULL, playoff_games INTEGER NOT NULL
""",
    "league": "name TEXT PRIMARY KEY, value TEXT NOT NULL",
}


def tables(frames: dict[str, pd.DataFrame], label: str) -> dict[str, pd.DataFrame]:
    """What goes into each table, from the raw logs: playoffs apart, seasons and label added."""
    parts = {"teams": frames["teams"], "players": frames["players"]}
    for name in ("games", "team_game_logs", "player_game_logs"):
        frame = frames[name]
        parts[name] = frame[frame["season_type"] == REGULAR]
        parts[f"playoff_{name}"] = frame[frame["season_type"] == PLAYOFFS]
    parts["seasons"] = seasons(frames["games"])
    counted = [(f"rows of {name}", str(len(part))) for name, part in parts.items()]
    parts["league"] = pd.DataFrame([("label", label), *counted], columns=["name", "value"])
    return parts


def seasons(games: pd.DataFrame) -> pd.DataFrame:
    """One row a season: first and last regular date (ISO), regular and playoff games."""
    regular = games[games["season_type"] == REGULAR].groupby("season")["game_date"]
    playoffs = games[games["season_type"] == PLAYOFFS].groupby("season").size()
    table = pd.DataFrame(
        {
            "first_date": regular.min().dt.strftime("%Y-%m-%d"),
            "last_date": regular.max().dt.strftime("%Y-%m-%d"),
            "regular_games": regular.size(),
        }
    )
    table["playoff_games"] = playoffs.reindex(table.index, fill_value=0)
    return table.reset_index()


def build(
    parts: dict[str, pd.DataFrame], path: Path, step: Callable[[str], None] = lambda _: None
) -> bool:
    """Build the file at `path`; False if the same bytes were there, which are then left alone.

    `step` is told the name of each table before it is filled.

    Raises:
        BadLeague: what is at `path` is no database, or somebody is at work in it.
        OSError: it cannot be written, or the disk is full.
    """
    path = Path(os.path.realpath(path))  # a link is followed, not replaced
    refuse_if_in_use(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".league-") as folder:
        aside = Path(folder, path.name)
        try:
            with contextlib.closing(_connect(aside)) as connection:
                for name in TABLES:
                    step(name)
                    _fill(connection, name, parts[name])
                connection.commit()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        if path.exists() and filecmp.cmp(aside, path, shallow=False):
            return False
        sync(aside)
        refuse_if_in_use(path)
        os.replace(aside, path)
        sync(path.parent)
    return True


def refuse_if_in_use(path: Path) -> None:
    """Refuse to replace what is no SQLite file, or one with a journal beside it.

    A journal of the old file would be played into the new one. An empty `-wal` counts too: it
    is that of a process that has the file open and may write to it later.

    Raises:
        BadLeague: in one line, with the remedy.
    """
    if path.exists() and not path.is_file():
        raise BadLeague(f"{path} is not a file: choose another path with --db")
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(16) != b"SQLite format 3\0":
                raise BadLeague(f"{path} is not a SQLite database: choose another path with --db")
    for suffix, least_bytes in (("-wal", 0), ("-journal", 1)):
        journal = Path(f"{path}{suffix}")
        if journal.exists() and journal.stat().st_size >= least_bytes:
            raise BadLeague(
                f"{journal} belongs to a process at work in the database, or to one that died: "
                "close it, or remove both files"
            )


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    # Nobody sees this file before it is whole: it needs no journal, and is synced once.
    for pragma in (
        "page_size = 4096",
        "encoding = 'UTF-8'",
        "auto_vacuum = NONE",
        "journal_mode = OFF",
        "synchronous = OFF",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _fill(connection: sqlite3.Connection, name: str, part: pd.DataFrame) -> None:
    # Without a rowid a table is its primary key's tree: half the pages for the logs.
    kind = "" if "INTEGER PRIMARY KEY" in TABLES[name] else " WITHOUT ROWID"
    connection.execute(f"CREATE TABLE {name} ({TABLES[name].strip()}){kind}")
    info = connection.execute(f"PRAGMA table_info({name})").fetchall()
    columns = [row[1] for row in info]
    key = [row[1] for row in info if row[5]]
    marks = ", ".join("?" * len(columns))
    rows = part[columns].sort_values(key)
    connection.executemany(
        f"INSERT INTO {name} VALUES ({marks})",  # noqa: S608 - names and marks of our own
        zip(*(_values(rows[column]) for column in columns), strict=True),
    )


def _values(column: pd.Series) -> Iterator[object]:
    """A column as Python values: dates as ISO text, what is missing as None."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return iter(column.dt.strftime("%Y-%m-%d").tolist())
    if pd.api.types.is_float_dtype(column):  # whole numbers with holes
        whole = column.fillna(0).astype("int64").tolist()
        return (None if gone else n for n, gone in zip(whole, column.isna(), strict=True))
    return iter(column.tolist())
