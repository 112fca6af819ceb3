"""What a hit pays for its key: the version of the code, the identity of a database, the key itself.

    python benchmarks/key_cost.py [--folder DIR] [--megabytes 200 2000] [--modules 30]

For a SQLite database of each size and a project of so many modules, made in a folder that is
removed again: the first digest of the database (wall clock and CPU, and what it adds to the peak of
memory), then on a hit the version of the code alone, and the whole key. Each is taken in a process
of its own, after imports.
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
SETTLED_SECONDS = 2.5  # what is younger is not remembered
HEAD = (
    "database, first digest s, CPU s, GB/s, memory MB, code version on a hit ms, "
    "key on a hit ms, worst ms"
).split(", ")


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--folder", help="where there is room for the largest twice over")
    options.add_argument("--megabytes", type=int, nargs="+", default=[200, 2000])
    options.add_argument("--modules", type=int, default=30)
    options.add_argument("--once", nargs=2, help=argparse.SUPPRESS)
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
            print(row(Path(folder), megabytes, asked.modules), flush=True)


def row(folder, megabytes, modules):
    """One size, as a line of the table."""
    database = folder / "league.sqlite"
    fill(database, megabytes)
    write(folder / "project", modules)
    time.sleep(SETTLED_SECONDS)
    first = in_a_process(folder, "database")
    in_a_process(folder, "all")  # reads the code
    hits = [in_a_process(folder, "all") for _ in range(ROUNDS)]
    seconds = [1e3 * one["seconds"] for one in hits]
    size = database.stat().st_size
    cells = [
        f"{size / 1e6:,.0f} MB",
        f"{first['seconds']:.2f}",
        f"{first['cpu']:.2f}",
        f"{size / first['seconds'] / 1e9:.2f}",
        f"{first['megabytes']:.0f}",
        f"{1e3 * statistics.median(one['code'] for one in hits):.2f}",
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


def write(project, modules):
    """A package of modules, each importing the next."""
    body = "\n".join(f"def f{n}(x, y={n}):\n    return [x + {n}, y * {n}]\n" for n in range(40))
    (project / "timed").mkdir(parents=True)
    for n in range(modules):
        following = f"from timed import m{n + 1}\n" if n + 1 < modules else ""
        (project / "timed" / f"m{n}.py").write_text(f"import json\nimport torch\n{following}{body}")


def in_a_process(folder, what):
    answer = subprocess.run(
        [sys.executable, __file__, "--once", folder, what],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (REPO, folder / "project")))},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(answer.stdout)


def once(folder, what):
    """Seconds of one key, and the megabytes that it added to the peak."""
    import numpy as np  # noqa: F401 - as whoever has imported torch
    import xxhash  # noqa: F401

    import tensorcache
    from tensorcache import disk
    from tensorcache.source import image, version_of  # noqa: F401 - what a first digest imports

    version = "1"
    if what == "all":
        version = tensorcache.code_version("timed.m0", depends_on=["torch"])
    with tensorcache.open(f"{folder}/cache") as cache:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started, cpu = time.perf_counter(), time.process_time()
        cache.key(
            {"rolling_windows": [10, 30], "n_folds": 5, "listmle_target": "final_rank"},
            version=version,
            sources={"db": tensorcache.database(f"{folder}/league.sqlite")},
            namespace="model_a.batches",
        )
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        memory = disk.Memory(disk.Root(cache.root), write=False)
        started = time.perf_counter()
        version_of(version, memory)
        code = time.perf_counter() - started
    imported = [name for name in sys.modules if name.startswith(("timed", "torch"))]
    assert not imported, imported
    return {"seconds": seconds, "cpu": cpu, "megabytes": (after - before) / 1024, "code": code}


if __name__ == "__main__":
    main()
