"""Raw logs of a league: copied from a directory, made up, or asked of the league's own site.

    python scripts/1_get_data.py --from DIR        # five parquet files of real box scores
    python scripts/1_get_data.py --simulate        # a seeded league, labelled SIMULATED
    python scripts/1_get_data.py --download        # by nba_api: pip install nba_api

The layout of the files is checked here, and that no key is there twice; whether the league in them
is whole, by the next script. Run twice it leaves the same files, untouched; a download goes on
where it was cut short. Exit 2 with one line for wrong use, 3 for a disk that is full or read-only,
or a site that does not answer.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from disk import BadDisk, writing
from league import checks, download, facts, layout, report
from league.download import NoAnswer
from league.layout import BadLeague
from league.simulate import simulate

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def main(
    source: Annotated[
        Path | None, typer.Option("--from", help="Directory of the five parquet files.")
    ] = None,
    made_up: Annotated[bool, typer.Option("--simulate", help="Make a league up instead.")] = False,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the simulated league: same seed, same files.")
    ] = 0,
    asked: Annotated[
        bool, typer.Option("--download", help="Ask the league's site, with nba_api.")
    ] = False,
    season: Annotated[
        list[str] | None,
        typer.Option(help="To download, like 2014-15; repeat it. All eleven if not given."),
    ] = None,
    pause: Annotated[
        float, typer.Option(min=0, help="Seconds between two requests of a download.")
    ] = 1.0,
    to: Annotated[Path, typer.Option(help="Where the five files go.")] = Path("data/raw"),
) -> None:
    """Get the raw logs of a league."""
    try:
        if (source is not None) + made_up + asked != 1:
            raise BadLeague("say one of --from DIR, --simulate and --download")
        if season and not asked:
            raise BadLeague(f"--season {season[0]!r} goes with --download only: leave it out")
        if source is not None:
            changed, label = _copy(source, to)
        elif made_up:
            changed, label = _simulate(seed, to)
        else:
            changed, label = _download(season or list(facts.SEASONS), pause, to)
    except (BadLeague, BadDisk, NoAnswer, OSError) as error:
        raise typer.Exit(report.refuse(error)) from None
    print(f"{to}: {'written' if changed else 'the same already, left alone'} ({label})")


def _simulate(seed: int, to: Path) -> tuple[bool, str]:
    title = f"simulating {len(facts.SEASONS)} seasons, seed {seed}: {layout.SIMULATED}, not real"
    with report.steps(title, len(facts.SEASONS)) as step:
        frames = simulate(seed, step=step)
    with writing(f"--to {to}", BadLeague):
        return layout.write(frames, to, label=layout.SIMULATED), layout.SIMULATED


def _copy(source: Path, to: Path) -> tuple[bool, str]:
    with report.steps(f"checking the files in {source}", 1) as step:
        step("read")
        frames, label = layout.read(source, remedy="name a directory of all five with --from")
        checks.check_keys(frames)
    with writing(f"--to {to}", BadLeague):
        return layout.copy(source, to), label


def _download(seasons: list[str], pause: float, to: Path) -> tuple[bool, str]:
    answers = to / download.FOLDER
    missing = download.unanswered(seasons, answers)
    if missing:
        ask = download.client()
        known = len(download.questions(seasons)) - len(missing)
        title = f"asking for {len(missing)} logs, {known} are there"
        with (
            writing(f"--to {to}", BadLeague),
            report.steps(title, len(missing), told=True) as step,
        ):
            download.fetch(missing, answers, ask, pause=pause, wait=time.sleep, step=step)
    frames = download.frames(answers, seasons)
    checks.check_keys(frames)
    with writing(f"--to {to}", BadLeague):
        return layout.write(frames, to, label=layout.REAL), layout.REAL


if __name__ == "__main__":
    app()
