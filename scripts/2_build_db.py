"""Raw logs -> checks -> the league database that script 3 reads.

    python scripts/2_build_db.py --raw data/raw --db data/processed/league.sqlite

A league that is not whole is refused with the rows that are wrong, and nothing is written.
Run twice on the same logs it leaves the same file, untouched.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer
import yaml
from league import checks, database, layout, report
from league.layout import BadLeague

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
        database.refuse_if_in_use(db)
        with report.steps(f"reading and checking the logs in {raw}", 2) as step:
            step("read")
            frames, label = layout.read(raw)
            step("check")
            checks.check(frames, ranges)
        parts = database.tables(frames, label)
        with report.steps(f"building {db}", len(parts)) as step:
            written = database.build(parts, db, step)
    except (BadLeague, OSError) as error:
        report.refuse(error)
        raise typer.Exit(2) from None
    logs = len(parts["player_game_logs"]) + len(parts["playoff_player_game_logs"])
    report.table(parts["seasons"], f"{label} league, {logs:,} player rows")
    print(f"{db}: {'built' if written else 'the same already, left alone'} ({label})")


def season_ranges(path: Path) -> dict[str, tuple[dt.date, dt.date]]:
    """First and last regular day of the seasons that a config states, by season; maybe none.

    Raises:
        BadLeague: the file is no YAML mapping, or a season has no start and end.
    """
    if not path.is_file():
        raise BadLeague(f"no config file {str(path)!r}: leave --config out, or correct it")
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadLeague(f"{path} is not YAML: {error}") from error
    seasons = config.get("seasons") if isinstance(config, dict) else config
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
