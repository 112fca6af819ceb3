"""Run script 3 once for every way to choose from a grid, and put the results side by side.

    python scripts/sweep_hparams.py --sweep config/sweep_grid.yaml --jobs 2

Each trial is a process of its own, told everything by `<outputs>/sweeps/<batch_id>/combo_NNNN/
config.yaml`; that trials share builds is between them and their cache, of which nothing is known
here. A trial that fails has its row, with the last line of what it said. Exit 1 if any failed, or
with one line 2 if the sweep is wrong, 3 if a disk is full or read-only.
"""

from __future__ import annotations

import argparse
import datetime as dt
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from disk import BadDisk, writing
from model_a.config import DEFAULTS, Config, check_config, merge, nested, read_yaml
from model_a.errors import BadInput

SCRIPT_3 = Path(__file__).parent / "3_train_model_a.py"
POLL_SECONDS = 0.05
ALWAYS_SHOWN = ("trial", "status", "cache", "spearman_oof_a", "seconds")


class Trial(NamedTuple):
    """One choice: what was chosen, by dotted key, and the folder that holds all of the trial."""

    number: int
    chosen: dict[str, Any]
    folder: Path


class Running(NamedTuple):
    """A trial's process, since when (seconds of a steady clock)."""

    process: subprocess.Popen[bytes]
    started: float


def main() -> int:
    """0 when all went well, 1 if a trial failed, 2 if the sweep is wrong, 3 for a bad disk."""
    options = _options()
    try:
        trials = plan(options)
        folder = trials[0].folder.parent
        with writing(f"outputs: {str(folder)!r}", BadInput):
            return collect(trials, folder, options.jobs)
    except (BadInput, BadDisk) as error:
        print(f"error: {error}", file=sys.stderr)
        return 3 if isinstance(error, BadDisk) else 2


def collect(trials: list[Trial], folder: Path, jobs: int) -> int:
    """Run the trials and put their rows side by side; returns the exit code."""
    print(f"sweep: {len(trials)} trials, {jobs} at a time, in {folder}")
    rows: list[dict[str, Any]] = []
    interrupted = False
    try:
        for trial, seconds, exit_code in run(trials, jobs):
            rows.append(row_of(trial, seconds, exit_code))
            print(progress_line(rows[-1], len(rows), len(trials)), flush=True)
    except KeyboardInterrupt:
        interrupted = True
        print(f"interrupted: {len(rows)} of {len(trials)} trials ended", file=sys.stderr)
    if rows:
        rows.sort(key=lambda row: row["trial"])
        write_results(folder, rows)
        show(rows)
        print(f"results: {folder / 'results.parquet'}")
    failed = any(row["status"] == "failed" for row in rows)
    return 130 if interrupted else int(failed)


def plan(options: argparse.Namespace) -> list[Trial]:
    """The trials, each with its config written; nothing is written unless all are right.

    Raises:
        BadInput: the sweep, or the config of any trial, is wrong.
        BadDisk: the outputs' disk is full or read-only.
    """
    sweep = read_yaml(options.sweep, "sweep")
    strange = sorted(set(sweep) - {"config", "grid"})
    if strange:
        raise BadInput(
            f"sweep {options.sweep!r}: {strange[0]!r} is no key of it: it takes config, grid"
        )
    grid = sweep.get("grid")
    if not isinstance(grid, dict) or not grid:
        raise BadInput(f"sweep {options.sweep!r}: grid: {grid!r:.80}: name keys and their values")
    for dotted, values in grid.items():
        if not isinstance(values, list) or not values:
            raise BadInput(
                f"sweep {options.sweep!r}: grid.{dotted}: {values!r:.80} is no list of values: "
                "write [a, b]"
            )
    files = sweep.get("config") or []
    if not isinstance(files, list):
        raise BadInput(f"sweep {options.sweep!r}: config: {files!r:.80} is no list of files")
    base = read_yaml(DEFAULTS)
    for file in files + options.config:
        base = merge(base, read_yaml(file))
    outputs = options.outputs or check_config(base).paths.outputs
    folder = Path(outputs) / "sweeps" / options.batch_id
    if os.path.lexists(folder):
        raise BadInput(f"{str(folder)!r} is there already: choose another --batch-id")
    planned = []
    for number, values in enumerate(itertools.product(*grid.values()), 1):
        chosen = dict(zip(map(str, grid), values, strict=True))
        trial = Trial(number, chosen, folder / f"combo_{number:04d}")
        planned.append((trial, _config_of(trial, base)))
    try:
        with writing(f"outputs: {str(folder)!r}", BadInput):
            for trial, config in planned:
                trial.folder.mkdir(parents=True)
                text = yaml.safe_dump(config.model_dump(), sort_keys=False, allow_unicode=True)
                (trial.folder / "config.yaml").write_text(text, encoding="utf-8")
    except (BadInput, BadDisk):
        shutil.rmtree(folder, ignore_errors=True)  # it was not there before
        raise
    return [trial for trial, _ in planned]


def run(trials: list[Trial], jobs: int) -> Iterator[tuple[Trial, float, int]]:
    """Run all, `jobs` at a time; yields each trial as it ends, with seconds and exit code."""
    waiting = list(reversed(trials))
    running: dict[int, tuple[Trial, Running]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                trial = waiting.pop()
                running[trial.number] = (trial, _start(trial))
            for number, (trial, (process, started)) in list(running.items()):
                if process.poll() is not None:
                    del running[number]
                    yield trial, time.monotonic() - started, process.returncode
            time.sleep(POLL_SECONDS)
    finally:  # Ctrl-C: no trial outlives the sweep
        for _, (process, _) in running.values():
            process.terminate()
        for _, (process, _) in running.values():
            process.wait()


def row_of(trial: Trial, seconds: float, exit_code: int) -> dict[str, Any]:
    """The trial's line of the results: what was chosen, how it ended, what it measured."""
    ran = _read_json(trial.folder / "run.json") if exit_code == 0 else {}
    metrics = _read_json(trial.folder / "metrics.json") if exit_code == 0 else {}
    spearman = metrics.get("spearman", {})
    chosen = {
        dotted: value if isinstance(value, int | float | str | None) else json.dumps(value)
        for dotted, value in trial.chosen.items()
    }
    return {
        "trial": trial.number,
        **chosen,
        "status": "failed" if exit_code else "ok",
        "cache": ran.get("cache"),
        "key": ran.get("key"),
        "spearman_oof_a": spearman.get("oof_a"),
        "spearman_win_rate": spearman.get("win_rates"),
        "get_or_build_seconds": ran.get("get_or_build_seconds"),
        "train_seconds": ran.get("train_seconds"),
        "seconds": seconds,
        "label": ran.get("label"),
        "error": _last_line(trial.folder / "stderr.txt") if exit_code else None,
    }


def write_results(folder: Path, rows: list[dict[str, Any]]) -> None:
    """`results.parquet`, a row a trial."""
    import pyarrow as pa  # a refused sweep need not pay for it
    import pyarrow.parquet as pq

    columns = {name: [row[name] for row in rows] for name in rows[0]}
    aside = folder / "results.parquet.part"
    pq.write_table(pa.table({name: _one_type(values) for name, values in columns.items()}), aside)
    os.replace(aside, folder / "results.parquet")


def show(rows: list[dict[str, Any]]) -> None:
    """The results as a table, without what is the same in all: drawn on a terminal, else tabs."""
    names = [
        name for name in rows[0] if name in ALWAYS_SHOWN or len({row[name] for row in rows}) > 1
    ]
    cells = [[_cell(name, row[name]) for name in names] for row in rows]
    if not sys.stdout.isatty():
        print("\n".join("\t".join(line) for line in [names, *cells]))
        return
    from rich.console import Console  # only a terminal needs it
    from rich.table import Table

    table = Table(*(name.rpartition(".")[2].replace("_", " ") for name in names))
    for line in cells:
        table.add_row(*line)
    Console().print(table)


def progress_line(row: Mapping[str, Any], done: int, of: int) -> str:
    """One line for a trial that ended."""
    ended = row["error"] if row["status"] == "failed" else f"cache {row['cache']}"
    return f"[{done}/{of}] trial {row['trial']}: {row['status']}, {row['seconds']:.1f} s, {ended}"


def _config_of(trial: Trial, base: dict[str, Any]) -> Config:
    values = base
    for dotted, value in trial.chosen.items():
        over = nested(dotted, value)
        if "outputs" in (over.get("paths") or {}):
            raise BadInput(
                f"grid.{dotted}: paths.outputs is each trial's own folder: take it out, and say "
                "where the folders go with --outputs"
            )
        values = merge(values, over)
    values = merge(values, {"paths": {"outputs": str(trial.folder)}})
    try:
        return check_config(values)
    except BadInput as error:
        raise BadInput(f"trial {trial.number} {trial.chosen!r}: {error}") from None


def _start(trial: Trial) -> Running:
    config = str(trial.folder / "config.yaml")
    with (
        open(trial.folder / "stdout.txt", "wb") as out,
        open(trial.folder / "stderr.txt", "wb") as err,
    ):
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT_3), "--config", config],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
    return Running(process, time.monotonic())


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "said nothing")


def _one_type(values: list[Any]) -> list[Any]:
    """A column has one type: what was chosen as 1 and 0.5 is float, as null and text is text."""
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) < 2:
        return values
    if kinds == {int, float}:
        return [None if value is None else float(value) for value in values]
    return [None if value is None else str(value) for value in values]


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "key":
        return str(value)[:16]
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sweep", required=True, metavar="FILE", help="YAML with `grid`")
    parser.add_argument("--jobs", type=_at_least_1, default=1, help="trials at a time (1)")
    parser.add_argument("--outputs", metavar="DIR", help="instead of paths.outputs")
    parser.add_argument(
        "--config", action="append", default=[], metavar="FILE", help="for all trials"
    )
    now = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    parser.add_argument("--batch-id", type=_folder_name, default=now, help="folder name (UTC time)")
    return parser.parse_args()


def _at_least_1(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of at least 1")
    return int(text)


def _folder_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no plain folder name")
    return text


if __name__ == "__main__":
    sys.exit(main())
