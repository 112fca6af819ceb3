"""What the cache is worth to a sweep: the same ten trials with and without it.

    python benchmarks/sweep_worth.py --db data/processed/league.sqlite

Each sweep is `scripts/sweep_hparams.py` over config/sweep_grid.yaml (10 trials, 5 epochs, caps
250/250) in a process of its own; the cached ones begin with an empty cache. Prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

REPO = Path(__file__).parents[1]
HEAD = "jobs, cache, wall s, built / hit / waited, get-or-build s, build s, hit ms, bytes".split(
    ", "
)


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--db", required=True, help="a league from scripts/2_build_db.py")
    options.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    asked = options.parse_args()
    print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}")
    with tempfile.TemporaryDirectory() as folder:
        for jobs in asked.jobs:
            for cached in (True, False):
                print(
                    row(Path(folder) / f"{jobs}-{cached}", os.path.abspath(asked.db), jobs, cached)
                )


def row(folder, db, jobs, cached):
    """One sweep, as a line of the table."""
    folder.mkdir()
    cache = folder / "cache"
    paths = {"db": db, "batch_cache": str(cache) if cached else False}
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump({"paths": paths}))
    sweep = [REPO / "scripts" / "sweep_hparams.py", "--sweep", REPO / "config" / "sweep_grid.yaml"]
    options = [
        "--config",
        config,
        "--jobs",
        jobs,
        "--outputs",
        folder / "outputs",
        "--batch-id",
        "b",
    ]
    started = time.perf_counter()
    subprocess.run(
        list(map(str, [sys.executable, *sweep, *options])), check=True, stdout=sys.stderr
    )
    wall = time.perf_counter() - started
    runs = [json.loads(path.read_text()) for path in sorted(folder.rglob("run.json"))]
    states = [run["cache"] for run in runs]
    hits = sorted(1000 * run["get_or_build_seconds"] for run in runs if run["cache"] == "hit")
    built = [run["build_seconds"] for run in runs if run["cache"] in ("miss", "off")]
    cells = [
        jobs,
        "on" if cached else "off",
        f"{wall:.1f}",
        f"{len(built)} / {len(hits)} / {states.count('wait')}",
        f"{sum(run['get_or_build_seconds'] for run in runs):.2f}",
        f"{sum(built):.2f}",
        f"{hits[len(hits) // 2]:.1f}" if hits else "",
        f"{sum(p.stat().st_size for p in cache.rglob('*') if p.is_file()):,}" if cached else "",
    ]
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    main()
