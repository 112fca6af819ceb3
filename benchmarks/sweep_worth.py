"""What the cache is worth to a sweep: the same ten trials with and without it, in turn.

    NBA_DATA_DIR=/path/to/logs python benchmarks/sweep_worth.py      # all of it: within an hour
    python benchmarks/sweep_worth.py --quick --db league.sqlite --config config/tiny.yaml

Each sweep is `scripts/sweep_hparams.py` in a process of its own; one with the cache begins with an
empty one. What each trial took is what it said itself, in its progress.jsonl. Results go to
benchmarks/sweep_worth.json, and from there alone to docs/case-study.md and its plots; of a quick
run, to outputs/sweep-worth-quick.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import case_study
import machine
import yaml

REPO = Path(__file__).parents[1]
SCRIPTS = REPO / "scripts"
QUICK = REPO / "outputs" / "sweep-worth-quick"
RATES, DROPOUTS, EPOCHS = [3e-4, 1e-3, 3e-3, 1e-2, 3e-2], [0.1, 0.2], 2
FACTS = ("cache", "import_seconds", "get_or_build_seconds", "build_seconds", "train_seconds")
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name != "PYTHONDONTWRITEBYTECODE" and not name.startswith("TENSORCACHE")
} | {"OMP_NUM_THREADS": "1"}


class Case(NamedTuple):
    """Ten trials of so many lists (None: all of every date), `jobs` at a time."""

    cap: int | None
    jobs: int
    rounds: int


def cases(rounds):
    """What is measured."""
    return [Case(250, 1, rounds), Case(250, 2, rounds), Case(100, 1, 1), Case(None, 1, 1)]


def main():
    asked = options()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=asked.scratch) as aside:
        folder = Path(aside)
        db = asked.db or made(folder)
        base = shared(asked.config, os.path.abspath(db))
        results = {"run": described(folder, asked), "sweeps": []}
        for case in [Case(24, 1, 1), Case(24, 2, 1)] if asked.quick else cases(asked.rounds):
            for number in range(case.rounds):
                for cached in (True, False) if number % 2 == 0 else (False, True):
                    row = sweep(folder / "sweep", base, case, cached, asked.quick)
                    results["sweeps"].append({**row, "round": number})
                    say(row)
        results["usual"] = usual(folder / "usual", base, 24 if asked.quick else 250)
    results["run"]["seconds"] = time.perf_counter() - began
    place = QUICK if asked.quick else Path(__file__).parent
    place.mkdir(parents=True, exist_ok=True)
    (place / "sweep_worth.json").write_text(json.dumps(results, indent=1) + "\n")
    case_study.write(results, QUICK if asked.quick else REPO / "docs")


def options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--db", help="a league from scripts/2_build_db.py (made of NBA_DATA_DIR)")
    parser.add_argument("--config", action="append", default=[], help="for all trials")
    parser.add_argument("--rounds", type=int, default=3, help="of the sweeps at 250 lists (3)")
    parser.add_argument("--quick", action="store_true", help="2 trials, 24 lists, one round")
    parser.add_argument("--scratch", help="where the caches lie")
    asked = parser.parse_args()
    if not asked.db and not os.environ.get("NBA_DATA_DIR"):
        parser.error("NBA_DATA_DIR names no real logs: set it, or name a league with --db")
    return asked


def made(folder):
    """The league of the real logs."""
    defaults = REPO / "config" / "defaults.yaml"
    raw, db = folder / "raw", folder / "league.sqlite"
    script("1_get_data.py", "--from", os.environ["NBA_DATA_DIR"], "--to", raw)
    script("2_build_db.py", "--raw", raw, "--db", db, "--config", defaults)
    return db


def shared(files, db):
    """The config that all trials share; without files all seasons are in use, the last two test."""
    sys.path.insert(0, str(SCRIPTS))
    from model_a.config import DEFAULTS, merge, read_yaml

    base = read_yaml(DEFAULTS)
    if not files:
        names = sorted(base["seasons"])
        base = merge(base, {"training": {"train_seasons": names[:-2], "test_seasons": names[-2:]}})
    for file in files:
        base = merge(base, read_yaml(file))
    return merge(base, {"paths": {"db": db}, "outputs": {"figures": False, "score_test": False}})


def with_cap(base, cap, cache):
    """The config of that many lists; None: all lists of every date."""
    training = {**base["training"], "max_lists_oof": cap, "max_final_batches": cap}
    if cap is None:
        training["max_list_dates"] = None
    return {**base, "training": training, "paths": {**base["paths"], "batch_cache": cache}}


def sweep(folder, base, case, cached, quick):
    """One sweep, and what each of its trials said that it took."""
    folder.mkdir()
    cache = folder / "cache"
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(with_cap(base, case.cap, str(cache) if cached else False)))
    space = {"model_a.learning_rate": RATES[:1] if quick else RATES, "model_a.dropout": DROPOUTS}
    file = folder / "worth.yaml"
    file.write_text(yaml.safe_dump({"fixed": {"model_a.epochs": EPOCHS}, "space": space}))
    words = ["--sweep", file, "--config", config, "--jobs", case.jobs, "--outputs", folder]
    started = time.perf_counter()
    script("sweep_hparams.py", *words)
    wall = time.perf_counter() - started
    trials = [facts(path) for path in sorted(folder.glob("sweeps/worth/*/progress.jsonl"))]
    held = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    shutil.rmtree(folder)
    return {
        "cap": case.cap,
        "jobs": case.jobs,
        "cached": cached,
        "wall_seconds": wall,
        "cache_bytes": held,
        "trials": trials,
    }


def facts(progress):
    """What a trial said of itself."""
    said = {}
    for line in progress.read_text().splitlines():
        said |= json.loads(line)
    assert said["state"] == "done", f"{progress} ends in {said['state']!r}"
    label = json.loads((progress.parent / "run.json").read_text())["label"]
    return {name: said[name] for name in FACTS} | {"label": label}


def usual(folder, base, cap):
    """How long training takes as script 3 trains by itself, with the epochs of the config."""
    folder.mkdir()
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(with_cap(base, cap, False)))
    script("3_train_model_a.py", "--config", config, "--set", f"paths.outputs={folder}")
    ran = json.loads((folder / "run.json").read_text())
    return {"cap": cap, "epochs": base["model_a"]["epochs"], "train_seconds": ran["train_seconds"]}


def script(name, *words):
    """Run a script of this project, which must end well."""
    command = [sys.executable, SCRIPTS / name, *words]
    ran = subprocess.run(
        list(map(str, command)), env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        sys.exit(f"{name} ended with {ran.returncode}: {ran.stderr.strip() or ran.stdout}")


def described(folder, asked):
    """Where and how it was measured."""
    command = "python benchmarks/sweep_worth.py"
    command += " --quick" if asked.quick else f" --rounds {asked.rounds}"
    run = machine.described(folder, quick=asked.quick)
    return {name: value for name, value in run.items() if name != "sums_before"} | {
        "command": command,
        "epochs": EPOCHS,
    }


def say(row):
    states = itertools.groupby(sorted(trial["cache"] for trial in row["trials"]))
    counts = ", ".join(f"{len(list(each))} {state}" for state, each in states)
    print(
        f"cap {row['cap']}, jobs {row['jobs']}: {row['wall_seconds']:.1f} s, {counts}", flush=True
    )


if __name__ == "__main__":
    main()
