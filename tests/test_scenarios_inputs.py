"""The scenario matrix of inputs, of surroundings and of script 3's configs.

Each row asks twice, in two processes, for something that no other row asks for.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys

import pytest
from scenarios import HIT, MISS, NEEDLESS, REFUSED, STALE, databases, inputs, script3
from scenarios.databases import make
from scenarios.frozen import frozen
from scenarios.start import PATH, Start, evaluated
from test_script3 import SCRIPT, arguments, report

import tensorcache

pytestmark = pytest.mark.slow


def outcome(answer, before, now):
    """What a start found, judged by what was built before and what must be built now."""
    assert answer["published"]
    if answer["value"] != now:
        return STALE
    return HIT if answer["hit"] else NEEDLESS if before == now else MISS


def by_name(rows):
    return [pytest.param(row, id=row.name) for row in rows]


@pytest.mark.parametrize("row", by_name(inputs.ROWS))
def test_two_inputs_are_one_or_two(starts, row):
    first, second = starts
    before = first.get(row.name, row.first)

    answer = second.get(row.name, row.then)

    assert not before["hit"]
    if row.expected == REFUSED:
        assert answer["refused"].startswith(row.path)
        return
    now = repr(frozen({**evaluated(row.then), "row": row.name}))
    assert outcome(answer, before["value"], now) == row.expected


@pytest.fixture(scope="module")
def places(tmp_path_factory, starts):
    """A process for each place, and the database that all start from."""
    directory = tmp_path_factory.mktemp("places")
    (directory / "elsewhere").mkdir()
    make(str(directory / "league.sqlite"), "delete")
    running = {
        place.name: Start(starts[0].root, directory / place.directory, **place.environment)
        for place in inputs.PLACES
        if place.locale in ("", *locales())
    }
    yield directory, running
    for start in running.values():
        start.close()


@functools.cache
def locales():
    return subprocess.run(
        ["locale", "-a"], capture_output=True, text=True, check=True
    ).stdout.split()


@pytest.mark.parametrize("place", by_name(inputs.PLACES))
def test_surroundings_do_not_count(places, starts, place):
    directory, running = places
    if place.name not in running:
        pytest.skip(f"the locale {place.locale} is not installed")
    source = [directory / "league.sqlite", "bytes", None]
    starts[0].get("places", inputs.INPUTS, source)

    source[0] = place.database.format(directory=directory)

    assert running[place.name].get("places", inputs.INPUTS, source, "never")["hit"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    directory = tmp_path_factory.mktemp("configs")
    paths = {name: directory / f"{name}.yaml" for name in script3.FILES}
    for name, path in paths.items():
        path.write_text(script3.FILES[name])
    return paths


@pytest.mark.parametrize("row", by_name(script3.ROWS))
def test_two_configs_of_script_3_are_one_or_two(starts, files, row):
    first, second = starts
    before = first.get(row.name, config=([files[name] for name in row.first_files], row.first))

    answer = second.get(row.name, config=([files[name] for name in row.then_files], row.then))

    assert not before["hit"]
    if row.expected == REFUSED:
        assert row.message in answer["refused"]
        return
    assert answer["published"]
    assert answer["hit"] == (answer["value"] == before["value"])
    assert (HIT if answer["hit"] else MISS) == row.expected


# Each run is a child of its own; what torch imports at its first optimizer, ten seconds, is shared.
RUNS = """
import json, os, runpy, sys
import torch
torch.optim.Adam([torch.zeros(1)])
script = sys.argv[1]
sys.path[0] = os.path.dirname(script)
for options in json.load(sys.stdin):
    child = os.fork()
    if not child:
        sys.argv = [script, *options]
        os._exit(runpy.run_path(script)["main"]())
    assert os.waitpid(child, 0)[1] == 0, options
"""


def test_whole_runs_of_script_3_find_what_their_configs_say(league_db, tmp_path):
    options = [
        arguments(league_db, tmp_path, f"paths.outputs={tmp_path / name}", *settings)
        for name, settings, _ in script3.RUNS
    ]

    done = subprocess.run(
        [sys.executable, "-c", RUNS, SCRIPT],
        input=json.dumps(options),
        env={**os.environ, "PYTHONPATH": PATH},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    found = {name: report(tmp_path, name)["cache"] for name, _, _ in script3.RUNS}
    assert found == {name: expected for name, _, expected in script3.RUNS}
    with tensorcache.open(tmp_path / "cache") as cache:
        assert cache.verify(deep=True) == []


def test_there_are_rows_enough_and_each_has_its_own_name():
    tables = databases.ROWS, inputs.ROWS, inputs.PLACES, script3.ROWS
    names = [row.name for table in tables for row in table]

    assert len(databases.ROWS) >= 60
    assert len(names) == len(set(names))
