"""Script 3 asked with --explain, and five misses of it: what the one line says of each."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from test_script3 import ROOT, SCRIPT, arguments
from test_script3_sources import INSERT_AND_DIE

import tensorcache

pytestmark = pytest.mark.slow
ASK = """
import runpy, sys
sys.argv = sys.argv[1:]
sys.path[0] = sys.argv[0].rpartition("/")[0]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print(sorted({"torch", "pandas", "pyarrow"} & set(sys.modules)), file=sys.stderr)
"""
THREE_FOLDS = ["training.n_folds=3", "training.train_seasons=[2014-15, 2015-16, 2016-17]"]


@pytest.fixture(scope="module")
def built(league_db, tmp_path_factory):
    """Scripts of our own, a league of our own, and a cache in which one run has built."""
    folder = tmp_path_factory.mktemp("explain")
    shutil.copytree(SCRIPT.parent, folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "config", folder / "config")
    shutil.copyfile(league_db, folder / "league.sqlite")
    assert "cache: miss" in train(folder, "model_a.epochs=1")
    yield folder
    with tensorcache.open(folder / "cache") as cache:
        assert cache.verify(deep=True) == []


@pytest.fixture
def trial(built, tmp_path):
    """The same scripts, league and cache, to be changed."""
    shutil.copytree(built, tmp_path / "trial", ignore=shutil.ignore_patterns("building"))
    return tmp_path / "trial"


def train(folder, *settings, options=()):
    """What a real process of the folder's script 3 prints; it must end well."""
    settings = *THREE_FOLDS, f"paths.outputs={folder / 'out'}", *settings
    words = [*arguments(folder / "league.sqlite", folder, *settings), *options]
    process = subprocess.run(
        [sys.executable, "-c", ASK, folder / "scripts" / SCRIPT.name, *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert "miss: " not in process.stderr
    if "--explain" in options:
        assert process.stderr == "[]\n"  # nothing that only training needs was imported
    return process.stdout


def asked(folder, *settings):
    """The line that --explain prints."""
    (line,) = train(folder, *settings, options=["--explain"]).splitlines()
    return line


def why(folder, *settings):
    """In what a run that would be a miss differs from the one that was."""
    key = json.loads((folder / "out" / "run.json").read_text())["key"][:16]
    line = asked(folder, *settings)
    head = rf"cache: it would be a miss: model_a\.batches [0-9a-f]{{16}}: nearest entry {key} "
    assert re.match(head, line), line
    print(line)
    return line.partition(" differs in ")[2]


def test_a_hit_is_said(trial):
    assert re.fullmatch(r"cache: it would be a hit: model_a\.batches [0-9a-f]{16}", asked(trial))


def test_an_entry_that_lost_a_file_would_be_a_miss(trial):
    next((trial / "cache" / "shards").glob("*/*")).unlink()

    assert re.fullmatch(
        r"cache: it would be a miss: model_a\.batches [0-9a-f]{16}: what is there is broken, as "
        r"tensorcache verify says",
        asked(trial),
    )
    train(trial, "model_a.epochs=1")  # builds it again


def test_what_the_library_logs_is_said_once(trial, monkeypatch):
    """Also where its own log is asked for."""
    monkeypatch.setenv("TENSORCACHE_LOG", "info")

    assert train(trial, "training.n_folds=2", "model_a.epochs=1").count("miss: ") == 1


def test_a_miss_by_n_folds(trial):
    assert why(trial, "training.n_folds=2") == "inputs.n_folds: 3 -> 2"


def test_a_miss_by_rolling_windows(trial):
    assert why(trial, "training.rolling_windows=[15, 30]") == (
        "inputs.rolling_windows: [10, 30] -> [15, 30]"
    )


def test_a_miss_by_a_game_in_the_league(trial):
    subprocess.run([sys.executable, "-c", INSERT_AND_DIE, trial / "league.sqlite"], check=False)

    told = why(trial)

    assert re.match(r"sources\.db: games ([\d,]+) -> [\d,]+ rows, ", told)
    assert "; " not in told


def test_a_miss_by_an_edit_of_the_code_that_builds(trial):
    lists = trial / "scripts" / "model_a" / "lists.py"
    lists.write_text(lists.read_text() + "\n\nEDITED = True\n")

    assert why(trial) == "version: module model_a.lists changed"


def test_a_miss_says_while_it_builds_what_was_said_before(trial):
    settings = "training.max_final_batches=20", "model_a.epochs=1"

    said = why(trial, *settings)
    out = train(trial, *settings)

    assert said == "inputs.max_final_batches: 24 -> 20"
    assert f" differs in {said}\n" in out
    assert "cache: miss: model_a.batches " in out
    assert asked(trial, *settings).startswith("cache: it would be a hit: ")


def test_to_ask_begins_no_cache_and_builds_nothing(trial):
    shutil.rmtree(trial / "cache")
    shutil.rmtree(trial / "out")

    assert asked(trial) == f"cache: no cache at '{trial / 'cache'}' yet: it would build"
    assert not (trial / "cache").exists()
    assert not (trial / "out").exists()


def test_what_no_cache_can_answer_is_said(trial, monkeypatch):
    assert asked(trial, "training.n_folds=1").endswith("final model only, no cache")
    assert asked(trial, "paths.batch_cache=false") == "cache: off: it would build"
    monkeypatch.setenv("TENSORCACHE_MODE", "refresh")
    assert asked(trial).endswith(": TENSORCACHE_MODE is 'refresh'")


def test_a_league_in_the_middle_of_a_change_is_built_from_and_not_published(trial):
    (trial / "league.sqlite-journal").write_bytes(bytes.fromhex("d9d505f920a163d7") + bytes(1024))

    assert asked(trial).startswith("cache: it would build, and publish nothing: sources.db: ")
