"""scripts/sweep_hparams.py with real trials: what is kept, shared, ended early and gone on with."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import optuna
import pyarrow.parquet as pq
import pytest
import yaml
from processes import wait_for

import tensorcache

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "sweep_hparams.py"
TINY = ROOT / "config" / "tiny.yaml"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}

pytestmark = pytest.mark.slow


class Place:
    """A sweep file and its folder."""

    def __init__(self, folder, db, **sweep):
        self.cache = folder / "cache"
        self.folder = folder / "sweeps" / "b"
        base = folder / "base.yaml"
        base.write_text(yaml.safe_dump({"paths": {"db": str(db), "batch_cache": str(self.cache)}}))
        file = folder / "sweep.yaml"
        file.write_text(yaml.safe_dump({"config": [str(TINY), str(base)], **sweep}))
        self._words = ["--sweep", file, "--batch-id", "b", "--outputs", folder]

    def start(self, *words):
        command = [sys.executable, SCRIPT, *self._words, *words]
        return subprocess.Popen(
            list(map(str, command)),
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words):
        process = self.start(*words)
        out, err = process.communicate(timeout=280)
        return process.returncode, out, err

    def rows(self):
        return pq.read_table(self.folder / "results.parquet").to_pylist()

    def kept(self):
        """The rows that trials have so far, by number."""
        rows = [json.loads(p.read_text())["row"] for p in self.folder.glob("combo_*/trial.json")]
        return {row["trial"]: row for row in rows if row["status"] != "begun"}

    def builds(self):
        with tensorcache.open(self.cache) as cache:
            return cache.stats().builds

    def is_whole(self):
        with tensorcache.open(self.cache) as cache:
            return cache.verify(deep=True) == [] and len(cache.entries()) == 1


def said(progress):
    lines = progress.read_text().splitlines() if progress.exists() else []
    return [json.loads(line) for line in lines]


def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(league_db, tmp_path):
    """Three trials share one build, though the first sweep of them is interrupted."""
    space = {"model_a.learning_rate": [1e-3, 3e-3, 1e-2]}
    place = Place(tmp_path, league_db, space=space)
    process = place.start("--jobs", "2")
    wait_for(place.kept, 280)
    running = place.folder / "combo_0003" / "progress.jsonl"
    wait_for(lambda: said(running), 280)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=280)[1]
    kept = place.kept()

    assert process.returncode == 130, err
    assert err == f"interrupted: {len(kept)} of 3 trials are kept; the same command goes on\n"
    assert 1 <= len(kept) < 3
    assert len(place.rows()) == len(kept)
    with pytest.raises(ProcessLookupError):
        os.kill(said(running)[0]["pid"], 0)

    code, _, err = place.run("--jobs", "2")

    assert code == 0, err
    assert {number: place.kept()[number] for number in kept} == kept  # not run again
    rows = place.rows()
    assert [row["trial"] for row in rows] == [1, 2, 3]
    assert place.builds() == 1  # maybe that of a trial which was interrupted later: no row's miss
    assert all(row["saved_seconds"] != 0 for row in rows if row["cache"] == "hit")
    assert all(-1 <= row["objective"] <= 1 for row in rows)
    assert all(row["objective"] == pytest.approx(row["last_objective"]) for row in rows)
    assert (place.folder / "report.html").read_text().count("<tr>") == 4
    assert {p.name for p in place.folder.glob("*.png")} == {
        "objective.png",
        "saved.png",
        "seconds.png",
    }
    assert place.is_whole()


def test_trials_of_another_league_or_code_are_not_put_side_by_side(league_db, tmp_path):
    db = tmp_path / "league.sqlite"
    shutil.copy(league_db, db)
    place = Place(tmp_path, db, space={"repro.seed": [1]})
    assert place.run()[0] == 0
    before = place.rows()
    (row,) = before
    assert place.run()[0] == 0  # all is kept
    _, out, _ = place.run("--plan")
    assert out == "plan: 1 of the trials have run, and are kept: nothing is ahead\n"
    with contextlib.closing(sqlite3.connect(db)) as league:
        league.execute("CREATE TABLE other (x)")

    code, out, err = place.run()

    assert code == 2, out
    assert "holds trials of another league or code: trial 1 had batches " + row["key"][:16] in err
    assert err.endswith(": choose another --batch-id\n")
    assert err.count("\n") == 1
    assert place.rows() == before
    assert place.is_whole()


def better_than_any(place):
    """The study of a sweep, with a trial beside which every other is hopeless."""
    place.folder.mkdir(parents=True)
    (place.folder / "lock").touch()
    better = optuna.trial.create_trial(
        value=2.0, intermediate_values=dict.fromkeys(range(400), 2.0)
    )
    study = optuna.create_study(
        study_name="sweep",
        storage=f"sqlite:///{place.folder / 'study.sqlite'}",
        direction="maximize",
    )
    study.add_trial(better)
    return study


def test_optuna_goes_on_where_it_was_and_ends_early_what_is_hopeless(league_db, tmp_path):
    place = Place(
        tmp_path,
        league_db,
        fixed={"outputs.score_test": False},
        sampler="tpe",
        trials=2,
        pruning={"startup_trials": 1, "warmup_epochs": 0},
        space={"model_a.epochs": [400], "model_a.learning_rate": {"low": 1e-3, "high": 1e-2}},
    )
    study = better_than_any(place)

    code, out, err = place.run("--objective", "ndcg@4")

    assert code == 0, err
    rows = place.rows()
    assert [row["status"] for row in rows] == ["pruned", "pruned"]
    assert [row["objective"] for row in rows] == [None, None]
    assert all(0 <= row["last_objective"] <= 1 for row in rows)
    assert [row["cache"] for row in rows] == ["miss", "hit"]
    assert len({row["model_a.learning_rate"] for row in rows}) == 2
    assert "trial 1: pruned" in out
    assert [one.state.name for one in study.trials] == ["COMPLETE", "PRUNED", "PRUNED"]
    trial = place.folder / "combo_0001"
    lines = said(trial / "progress.jsonl")
    in_order = " ".join(dict.fromkeys(line["state"] for line in lines))
    assert in_order == "importing get-or-build training pruned"
    assert sum("epoch" in line for line in lines) < 400
    assert (trial / "stderr.txt").read_text() == ""
    assert not (trial / "metrics.json").exists()
    assert 0 < rows[0]["build_seconds"] < rows[0]["get_or_build_seconds"]
    assert rows[0]["import_seconds"] > 0

    code, again, err = place.run("--objective", "ndcg@4")

    assert code == 0, err
    assert again.splitlines()[0].endswith("; 2 have run, and are kept")
    ended = [line for line in out.splitlines() if line.startswith("[")]
    assert again.splitlines()[1:3] == ended  # told at once
    assert len(study.trials) == 3
    assert place.is_whole()


def test_what_was_left_running_is_asked_for_again_by_its_values(tmp_path):
    """kill -9 of a sweep: Optuna has a trial that nobody runs."""
    from sweep.space import read_sweep  # the script's own package
    from sweep.study import Study

    (tmp_path / "sweep.yaml").write_text(
        "{sampler: tpe, trials: 9, space: {a: [[1], [2]], b: {low: 1, high: 8}, "
        "c: {low: 0.0, high: 1.0}, d: {low: 0, high: 7, step: 2}}}"
    )
    sweep = read_sweep(tmp_path / "sweep.yaml", {})
    first = Study(tmp_path, sweep)
    done, left = first.ask(1), first.ask(2)
    first.tell(1, "ok", 0.5)

    second = Study(tmp_path, sweep)
    again = second.ask(2, left)
    second.tell(2, "ok", 0.7)
    third = second.ask(3)

    assert again == left
    assert third not in (done, left)
    assert left["d"] in (0, 2, 4, 6)
    states = [trial.state.name for trial in second._study.trials]
    assert states == ["COMPLETE", "FAIL", "COMPLETE", "RUNNING"]


def test_a_plan_counts_builds_and_warm_makes_each_once(league_db, tmp_path):
    space = {"training.rolling_windows": [[10], [10, 30]], "repro.seed": [1, 2]}
    place = Place(tmp_path, league_db, space=space)

    code, before, err = place.run("--plan")
    assert code == 0, err
    assert not place.folder.exists()
    code, warmed, err = place.run("--warm", "--jobs", "2")
    assert code == 0, err
    code, after, err = place.run("--plan", "--sampler", "tpe", "--trials", "9")

    assert code == 0, err
    assert before.splitlines()[0].startswith("plan: 4 trials: 2 builds")
    assert before.count(" build, 2 trials\n") == 2
    assert warmed.splitlines()[0] == "warm: 2 builds, 2 at a time"
    assert warmed.count("cache: miss ") == 2
    assert after.splitlines()[0].startswith("plan: 9 trials: at most 0 builds")
    assert after.count(" hit\n") == 2
    with tensorcache.open(place.cache) as cache:
        assert cache.verify(deep=True) == []
        assert len(cache.entries()) == 2
