"""What a hit spends on its key: the version of the code, the identity of a database, the key.

    python benchmarks/source_cost.py [--folder DIR] [--megabytes 200 2000]

For a SQLite database of each size, made in a folder that is removed again: the first digest (wall
clock and CPU, and what it adds to the peak of memory), then the key on a hit. Each is taken in a
fresh process, after imports.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).parents[1]
ROUNDS = 9
BUILDER = [f"model_a.{name}" for name in "batches features league lists rosters split".split()]
HEAD = "database, first digest s, CPU s, GB/s, memory MB, key on a hit ms, worst ms".split(", ")


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--folder", help="where there is room for the largest twice over")
    options.add_argument("--megabytes", type=int, nargs="+", default=[200, 2000])
    options.add_argument("--once", nargs="+", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.once:
        print(json.dumps(once(*asked.once)))
        return
    print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}")
    for megabytes in asked.megabytes:
        with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
            need = 3 * megabytes << 19  # half as much again
            if shutil.disk_usage(folder).free < max(need, 3 << 30):
                raise SystemExit(f"{folder}: less than {need >> 20} MB and 3 GB are free there")
            print(row(folder, megabytes), flush=True)


def row(folder, megabytes):
    """One size, as a line of the table."""
    database = os.path.join(folder, "league.sqlite")
    fill(database, megabytes)
    time.sleep(2.5)  # what is younger is not remembered
    root = os.path.join(folder, "cache")
    first = in_a_process(root, database)
    in_a_process(root, database, *BUILDER)  # reads the code
    hits = [in_a_process(root, database, *BUILDER) for _ in range(ROUNDS)]
    seconds = [1e3 * one["seconds"] for one in hits]
    size = os.path.getsize(database)
    cells = [
        f"{size / 1e6:,.0f} MB",
        f"{first['seconds']:.2f}",
        f"{first['cpu']:.2f}",
        f"{size / first['seconds'] / 1e9:.2f}",
        f"{first['megabytes']:.0f}",
        f"{statistics.median(seconds):.2f}",
        f"{max(seconds):.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def fill(path, megabytes):
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("CREATE TABLE games(id INTEGER PRIMARY KEY, box BLOB)")
        for _ in range(megabytes // 4):
            boxes = ((os.urandom(4000),) for _ in range(1000))
            db.executemany("INSERT INTO games(box) VALUES (?)", boxes)
            db.commit()


def in_a_process(*asked):
    answer = subprocess.run(
        [sys.executable, __file__, "--once", *asked],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (REPO, REPO / "scripts")))},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(answer.stdout)


def once(root, database, *modules):
    """Seconds of one key, and the megabytes that it added to the peak."""
    import tensorcache

    inputs = {"rolling_windows": [10, 30], "n_folds": 5, "listmle_target": "final_rank"}
    with tensorcache.open(root) as cache:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started, cpu = time.perf_counter(), time.process_time()
        cache.key(
            inputs,
            version=tensorcache.code_version(*modules) if modules else "1",
            sources={"db": tensorcache.database(database)},
            namespace="model_a.batches",
        )
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "cpu": cpu, "megabytes": (after - before) / 1024}


if __name__ == "__main__":
    main()
