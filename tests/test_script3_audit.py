"""Script 3 audits its build: a field that is read and not in the key is found, and named."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from test_script3 import ROOT, SCRIPT, arguments

import tensorcache

# Runs the script as its own process does; the builder has begun to read what no input holds.
PLANTED = """
import runpy, sys
script, *options = sys.argv[1:]
sys.argv = [script, *options]
sys.path[0] = script.rpartition("/")[0]
main = runpy.run_path(script)["main"]
names = main.__globals__
build = names["_build"]
names["_build"] = lambda config, inputs: (config.model_a.epochs, build(config, inputs))[1]
sys.exit(main())
"""


@pytest.fixture
def train(league_db, tmp_path):
    """Runs script 3 in a process, with options of its own; (exit code, what it said)."""

    def run(*options, planted=False):
        outputs = f"paths.outputs={tmp_path / 'out'}"
        begin = ["-c", PLANTED, str(SCRIPT)] if planted else [str(SCRIPT)]
        done = subprocess.run(
            [sys.executable, *begin, *arguments(league_db, tmp_path, outputs), *options],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    yield run
    with tensorcache.open(tmp_path / "cache") as cache:
        assert cache.verify(deep=True) == []


def test_the_script_reads_nothing_but_what_is_in_its_key(train, tmp_path):
    code, said = train("--strict-keys")

    assert code == 0, said
    with tensorcache.open(tmp_path / "cache") as cache:
        (key,) = cache.entries()["key"]
        audit = cache[key].audit
    assert audit["unkeyed"] == []
    assert {"paths.db", "inputs.rolling_windows", "inputs.seasons.2015-16.start"} <= {
        *audit["read"]
    }
    # One follows from the windows, the other counts only where no seasons are named.
    assert audit["unread"] == ["inputs.stat_dim", "inputs.train_test_cutoff"]


def test_a_planted_field_is_found_and_named(train, tmp_path):
    strict, error = train("--strict-keys", planted=True)
    with tensorcache.open(tmp_path / "cache") as cache:
        published = len(cache.entries())
    lax, said = train(planted=True)
    strict_hit, of_hit = train("--strict-keys")

    assert (strict, published) == (2, 0)
    assert "the build read what is not in the key: model_a.epochs: a change of it" in error
    assert (lax, strict_hit) == (0, 2)
    assert "cache: 'model_a.batches' " in said
    assert "not in the key: model_a.epochs: " in said
    assert "was built from what is not in its key: model_a.epochs: " in of_hit
