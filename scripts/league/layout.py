"""The five parquet files of raw logs: their columns, read, labelled and written.

Rules of this room: the form of the files only; whether the league in them is a good one is
`checks`' business. Files are written aside and renamed, and the one that is renamed last is taken
away first, so that an interrupted change leaves an incomplete set, never a mixed one.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

REAL = "REAL"
SIMULATED = "SIMULATED"
REGULAR = "Regular Season"
PLAYOFFS = "Playoffs"
# Box-score columns that a player and a team have in common, in the order of the tables.
COUNTS = "min pts oreb dreb reb ast stl blk tov fgm fga fg3m fg3a ftm fta plus_minus".split()

_ABOUT_A_GAME = "game_id:text season:text season_type:text game_date:date"


class File(NamedTuple):
    """One file: the columns that name a row, and the kind of every column."""

    key: list[str]
    columns: dict[str, str]


def _file(key: str, *columns: str) -> File:
    pairs = (word.split(":") for word in " ".join(columns).split())
    return File(key.split(), dict(pairs))


def _counts(names: list[str]) -> str:
    return " ".join(f"{name}:count" for name in names)


FILES = {
    "teams": _file("team_id", "team_id:id abbreviation:text name:text conference:text"),
    "players": _file("player_id", "player_id:id player_name:text"),
    "games": _file(
        "game_id",
        "game_id:text game_date:date season:text season_type:text",
        "home_team_id:id away_team_id:id neutral_site:bool",
    ),
    "team_game_logs": _file(
        "game_id team_id",
        _ABOUT_A_GAME,
        "team_id:id is_home:flag wl:text pf:count",
        _counts(COUNTS),
    ),
    "player_game_logs": _file(
        "game_id player_id team_id",
        _ABOUT_A_GAME,
        "player_id:id team_id:id",
        _counts(COUNTS),
        "provenance:text",
    ),
}
_ARROW = {
    "id": pa.int64(),
    "count": pa.int16(),
    "flag": pa.int8(),
    "text": pa.string(),
    "date": pa.date32(),
    "bool": pa.bool_(),
}


class BadLeague(ValueError):
    """Logs that cannot be used.

    The message is one line: what is wrong, where, and the remedy. `rows` are the wrong rows where
    there are such.
    """

    def __init__(self, message: str, rows: pd.DataFrame | None = None) -> None:
        super().__init__(message)
        self.rows = rows


def read(
    folder: Path, *, remedy: str = "get all five files with scripts/1_get_data.py"
) -> tuple[dict[str, pd.DataFrame], str]:
    """The five frames by name, and their label: REAL or SIMULATED.

    `remedy` is told where the directory or a file is missing.

    Raises:
        BadLeague: a file is missing or unreadable, a column is missing or of another kind, a key
            is null, or the files do not belong together.
    """
    if not folder.is_dir():
        raise BadLeague(f"no directory {str(folder)!r}: {remedy}")
    paths = {name: folder / f"{name}.parquet" for name in FILES}
    for path in paths.values():
        if not path.is_file():
            raise BadLeague(f"{path} is missing: {remedy}")
    tables = {name: _read_file(paths[name], file) for name, file in FILES.items()}
    frames = {name: table.to_pandas(date_as_object=False) for name, table in tables.items()}
    return frames, _label(tables)


def _read_file(path: Path, file: File) -> pa.Table:
    try:
        schema = pq.read_schema(path)
        for column, kind in file.columns.items():
            _check_column(path, schema, column, kind)
        table = pq.read_table(path, columns=list(file.columns))
    except (pa.ArrowException, OSError) as error:
        raise BadLeague(f"{path} cannot be read as parquet: {_first_line(error)}") from error
    for column in file.key:
        if nulls := table[column].null_count:
            row = table[column].is_null().to_pylist().index(True)
            raise BadLeague(
                f"{path}: the key column {column!r} is null in {nulls} rows, first in row {row}"
            )
    return table


def _check_column(path: Path, schema: pa.Schema, column: str, kind: str) -> None:
    if column not in schema.names:
        raise BadLeague(f"{path} has no column {column!r}: it has {', '.join(schema.names)}")
    found = schema.field(column).type
    if not _is_kind(found, kind):
        raise BadLeague(f"{path}: column {column!r} is {found}, wanted {_ARROW[kind]}")


def _is_kind(found: pa.DataType, kind: str) -> bool:
    """Any width of integer or text will do; a float, a timestamp or a number as text will not."""
    if kind == "text":
        return pa.types.is_string(found) or pa.types.is_large_string(found)
    if kind in {"id", "count", "flag"}:
        return pa.types.is_integer(found)
    return found == _ARROW[kind]


def _label(tables: dict[str, pa.Table]) -> str:
    provenance = set(tables["player_game_logs"]["provenance"].unique().to_pylist())
    if SIMULATED in provenance and len(provenance) > 1:
        raise BadLeague(
            "player_game_logs.parquet mixes SIMULATED rows with others: get the logs again"
        )
    label = SIMULATED if SIMULATED in provenance else REAL
    for name, table in tables.items():
        stated = (table.schema.metadata or {}).get(b"label", REAL.encode()).decode()
        if stated != label:
            raise BadLeague(
                f"{name}.parquet is labelled {stated}, player_game_logs.parquet {label}: "
                "these files do not belong together, get the logs again"
            )
    return label


def write(frames: dict[str, pd.DataFrame], folder: Path, *, label: str) -> bool:
    """Write the five files, each with its label in the schema; False if they were there already."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".aside-") as aside:
        for name, file in FILES.items():
            fields = [(column, _ARROW[kind]) for column, kind in file.columns.items()]
            schema = pa.schema(fields, metadata={"label": label})
            table = pa.Table.from_pandas(
                frames[name][schema.names], schema=schema, preserve_index=False
            ).replace_schema_metadata(schema.metadata)  # without pandas' own, which names versions
            pq.write_table(table, Path(aside, f"{name}.parquet"), compression="zstd")
        return _move_in(Path(aside), folder)


def copy(source: Path, folder: Path) -> bool:
    """Copy the five files of `source` byte for byte; False if they were there already."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".aside-") as aside:
        for name in FILES:
            shutil.copyfile(source / f"{name}.parquet", Path(aside, f"{name}.parquet"))
        return _move_in(Path(aside), folder)


def _move_in(aside: Path, folder: Path) -> bool:
    names = [f"{name}.parquet" for name in FILES]
    same, _, _ = filecmp.cmpfiles(aside, folder, names, shallow=False)
    if same == names:
        return False
    for name in names:
        sync(aside / name)
    (folder / names[-1]).unlink(missing_ok=True)
    for name in names:
        os.replace(aside / name, folder / name)
    sync(folder)
    return True


def sync(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
