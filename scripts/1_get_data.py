"""Raw logs of a league: copied from a directory, or made up.

    python scripts/1_get_data.py --from DIR        # five parquet files of real box scores
    python scripts/1_get_data.py --simulate        # a seeded league, labelled SIMULATED

The layout of the files is checked here, and that no key is there twice; whether the league in them
is whole, by the next script. Run twice it leaves the same files, untouched. Exit 2 with one line
for wrong use, 3 for a disk that is full or read-only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from disk import BadDisk, writing
from league import checks, facts, layout, report
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
    to: Annotated[Path, typer.Option(help="Where the five files go.")] = Path("data/raw"),
) -> None:
    """Get the raw logs of a league."""
    try:
        if (source is None) != made_up:
            raise BadLeague("say either --from DIR or --simulate")
        changed, label = _simulate(seed, to) if source is None else _copy(source, to)
    except (BadLeague, BadDisk, OSError) as error:
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


if __name__ == "__main__":
    app()
