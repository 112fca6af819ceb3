"""Raw logs -> checks -> the league database that script 3 reads.

    python scripts/2_build_db.py --raw data/raw --db data/processed/league.sqlite

A league that is not whole is refused with the rows that are wrong, and nothing is written.
Run twice on the same logs it leaves the same file, untouched. Exit 2 with one line for wrong use, 3
for a disk that is full or read-only.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer
from disk import BadDisk, writing
from league import checks, database, layout, report
from league.layout import BadLeague
from model_a.config import Config, meant, read_yaml
from model_a.errors import BadInput

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def main(
    raw: Annotated[Path, typer.Option(help="Directory of the five parquet files.")] = Path(
        "data/raw"
    ),
    db: Annotated[Path, typer.Option(help="SQLite file to build.")] = Path(
        "data/processed/league.sqlite"
    ),
    config: Annotated[
        Path | None,
        typer.Option(help="YAML with `seasons:`, to which the games are held."),
    ] = None,
) -> None:
    """Check the raw logs and build the league database."""
    try:
        ranges = season_ranges(config) if config else {}
        if config and not ranges:
            print(f"{config}: states no seasons, so their dates come from the data")
        with writing(f"--db {db}", BadLeague):
            database.refuse_if_in_use(db)
        with report.steps(f"reading and checking the logs in {raw}", 2) as step:
            step("read")
            frames, label = layout.read(raw)
            step("check")
            checks.check(frames, ranges)
        parts = database.tables(frames, label)
        with writing(f"--db {db}", BadLeague), report.steps(f"building {db}", len(parts)) as step:
            written = database.build(parts, db, step)
    except (BadLeague, BadDisk, OSError) as error:
        raise typer.Exit(report.refuse(error)) from None
    logs = len(parts["player_game_logs"]) + len(parts["playoff_player_game_logs"])
    report.table(parts["seasons"], f"{label} league, {logs:,} player rows")
    print(f"{db}: {'built' if written else 'the same already, left alone'} ({label})")


def season_ranges(path: Path) -> dict[str, tuple[dt.date, dt.date]]:
    """First and last regular day of the seasons that a config states, by season; maybe none.

    Raises:
        BadLeague: the file is no YAML mapping, has a key that no config has, or a season has no
            start and end.
    """
    try:
        config = read_yaml(path)
    except BadInput as error:
        raise BadLeague(str(error)) from None
    for name in config:
        if name not in Config.model_fields:
            raise BadLeague(f"{path}: {name}: no such key{meant(str(name))}")
    seasons = config.get("seasons")
    if seasons is None:
        return {}
    if not isinstance(seasons, dict):
        raise BadLeague(f"{path}: seasons is {seasons!r:.80}, wanted a map of season to start, end")
    return {
        str(name): _range(path, name, days)
        for name, days in seasons.items()
        if days is not None  # a config takes a season out by null
    }


def _range(path: Path, name: object, days: object) -> tuple[dt.date, dt.date]:
    try:
        # PyYAML reads an unquoted date as a date, a quoted one as text.
        start, end = (dt.date.fromisoformat(str(days[side])) for side in ("start", "end"))
    except (KeyError, TypeError, ValueError) as error:
        raise BadLeague(
            f"{path}: seasons.{name} is {days!r:.80}, wanted {{start: 2014-10-28, end: 2015-04-15}}"
        ) from error
    if start >= end:
        raise BadLeague(f"{path}: seasons.{name} ends on {end}, before it starts on {start}")
    return start, end


if __name__ == "__main__":
    app()
