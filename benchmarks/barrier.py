"""Two trials of script 3 that start together: one build, whoever wins, and whoever is killed.

    python benchmarks/barrier.py --db data/processed/league.sqlite --rounds 20

Every round begins with an empty cache and a build of several seconds (every date of the league, six
windows). In the first kind of round both trials run to their end; in the second the builder is
killed with SIGKILL once the other waits, and the seconds until that one builds are measured.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

REPO = Path(__file__).parents[1]
SLOW_BUILD = {
    "training.max_list_dates": "null",
    "training.max_lists_oof": "null",
    "training.max_final_batches": "null",
    "training.rolling_windows": "[5, 10, 15, 20, 30, 40]",
    "training.n_folds": "2",
    "model_a.epochs": "1",
}


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--db", required=True, help="a league from scripts/2_build_db.py")
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--kills", type=int, default=5)
    asked = options.parse_args()
    for number in range(1, asked.rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            print(
                f"round {number}: {together(Path(folder), os.path.abspath(asked.db))}", flush=True
            )
    for number in range(1, asked.kills + 1):
        with tempfile.TemporaryDirectory() as folder:
            print(f"kill {number}: {killed(Path(folder), os.path.abspath(asked.db))}", flush=True)


def trial(folder, db, name):
    """Script 3, told to wait for the file `go` before it does anything."""
    cache, outputs = folder / "cache", folder / name
    settings = SLOW_BUILD | {"paths.db": db, "paths.batch_cache": cache, "paths.outputs": outputs}
    script = REPO / "scripts" / "3_train_model_a.py"
    run = "import os,runpy,sys,time\nimport torch,tensorcache,model_a.config\n"
    run += f"while not os.path.exists({str(folder / 'go')!r}): time.sleep(0.001)\n"
    run += f"runpy.run_path({str(script)!r}, run_name='__main__')"
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    return subprocess.Popen(
        [sys.executable, "-c", run, *words],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{REPO}:{REPO / 'scripts'}"},
    )


def together(folder, db):
    """Both to their end: how often it was built, and what the waiter said."""
    trials = [trial(folder, db, name) for name in ("one", "other")]
    time.sleep(6)  # until both stand at the barrier
    (folder / "go").touch()
    said = [process.communicate()[0] for process in trials]
    runs = [json.loads((folder / name / "run.json").read_text()) for name in ("one", "other")]
    with sqlite3.connect(folder / "cache" / "index.sqlite") as index:
        events = Counter(kind for (kind,) in index.execute("SELECT kind FROM event"))
    journal = folder / "cache" / "journal" / "uses"  # what no writer has taken in yet
    if journal.exists():
        events.update(json.loads(line)[1] for line in journal.read_text().splitlines())
    waits = [
        line for lines in said for line in lines.splitlines() if line.startswith("cache: wait:")
    ]
    assert events["build"] == 1, events
    return f"{dict(events)}, build {max(run['build_seconds'] for run in runs):.1f} s; {waits}"


def killed(folder, db):
    """The builder dies once the other waits: the seconds until the other holds the lease."""
    trials = {process.pid: process for process in (trial(folder, db, n) for n in ("one", "other"))}
    time.sleep(6)
    (folder / "go").touch()
    builder = None
    while builder is None:
        builder = lease_holder(folder / "cache")
    time.sleep(1.5)
    os.kill(builder, signal.SIGKILL)
    began = time.monotonic()
    while lease_holder(folder / "cache") in (None, builder):
        time.sleep(0.001)
    seconds = time.monotonic() - began
    codes = [process.wait() for process in trials.values()]
    return f"taken over after {seconds:.3f} s, exit codes {sorted(codes)}"


def lease_holder(cache):
    """The process that the lease names, if there is a lease."""
    for path in (cache / "building").glob("*.lock"):
        try:
            return json.loads(path.read_text())["pid"]
        except (OSError, ValueError):
            return None
    return None


if __name__ == "__main__":
    main()
