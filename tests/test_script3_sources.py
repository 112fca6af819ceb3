"""Script 3 and its league: what is a change of the database, and what is none."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys

import pytest
from test_script3 import arguments, main, report

import tensorcache

# Plays a game again, on a day on which neither team plays, commits it to the -wal file, and dies.
INSERT_AND_DIE = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
assert db.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
game, home, away, season = db.execute(
    "SELECT game_id, home_team_id, away_team_id, season FROM games WHERE season = '2015-16'"
).fetchone()
busy = {day for (day,) in db.execute(
    "SELECT game_date FROM games WHERE home_team_id IN (?1, ?2) OR away_team_id IN (?1, ?2)",
    (home, away),
)}
days = [day for (day,) in db.execute(
    "SELECT DISTINCT game_date FROM games WHERE season = ? ORDER BY game_date", (season,)
)]
day = next(day for day in days[20:] if day not in busy)
db.execute("BEGIN")
for table, columns in (("games", "game_id, game_date"), ("team_game_logs", "game_id"),
                       ("player_game_logs", "game_id")):
    rest = [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")
            if name not in columns.split(", ")]
    new = ["'again'"] + ([f"'{day}'"] if "game_date" in columns else [])
    db.execute(f"INSERT INTO {table} ({columns}, {', '.join(rest)}) "
               f"SELECT {', '.join(new + rest)} FROM {table} WHERE game_id = ?", (game,))
db.execute("COMMIT")
os._exit(9)
"""


@pytest.fixture
def trial(league_db, tmp_path, monkeypatch):
    """A copy of the league, and a function that runs script 3 over it and says hit or miss."""
    db = tmp_path / "league.sqlite"
    shutil.copyfile(league_db, db)

    def run(path=db):
        settings = [f"paths.outputs={tmp_path / 'out'}", "model_a.epochs=1"]
        assert main(monkeypatch, *arguments(path, tmp_path, *settings)) == 0
        assert report(tmp_path, "out")["published"]
        return report(tmp_path, "out")["cache"]

    yield db, run
    with tensorcache.open(tmp_path / "cache") as cache:
        assert cache.verify(deep=True) == []


def test_a_committed_game_that_lies_in_the_wal_only_is_a_miss_then_a_hit(trial):
    db, run = trial
    assert run() == "miss"

    died = subprocess.run([sys.executable, "-c", INSERT_AND_DIE, db], check=False).returncode

    assert died == 9
    assert os.path.getsize(f"{db}-wal") > 0
    assert [run(), run()] == ["miss", "hit"]


def test_what_changes_no_row_is_a_hit(trial, tmp_path):
    db, run = trial
    subprocess.run([sys.executable, "-c", INSERT_AND_DIE, db], check=False)
    assert run() == "miss"

    with contextlib.closing(sqlite3.connect(db)) as league:
        assert league.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    checkpointed = run()
    os.utime(db, (1e9, 1e9))
    touched = run()
    copied = run(shutil.copyfile(db, tmp_path / "copy.sqlite"))
    db.rename(tmp_path / "renamed.sqlite")
    renamed = run(tmp_path / "renamed.sqlite")

    assert [checkpointed, touched, copied, renamed] == ["hit"] * 4


def test_trials_with_other_outputs_share_the_cache(trial, tmp_path, monkeypatch):
    db, run = trial
    assert run() == "miss"

    assert main(monkeypatch, *arguments(db, tmp_path, f"paths.outputs={tmp_path / 'other'}")) == 0

    assert json.loads((tmp_path / "other" / "run.json").read_text())["cache"] == "hit"
