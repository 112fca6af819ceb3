"""The scenario matrix of inputs, of surroundings and of script 3's configs.

Each row asks twice, in two processes, for something that no other row asks for.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from scenarios import HIT, MISS, NEEDLESS, REFUSED, STALE, databases, inputs, script3
from scenarios.databases import make
from scenarios.frozen import frozen
from scenarios.start import Start, evaluated
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

    assert running[place.name].get("places", inputs.INPUTS, source)["hit"]


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


def test_whole_runs_of_script_3_find_what_their_configs_say(league_db, tmp_path):
    def run(number, settings):
        outputs = f"paths.outputs={tmp_path / str(number)}"
        options = arguments(league_db, tmp_path, outputs, "model_a.epochs=1", *settings)
        done = subprocess.run([sys.executable, SCRIPT, *options], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return report(tmp_path, str(number))["cache"]

    (_, settings, _), *later = script3.RUNS
    found = [run(0, settings)]
    with ThreadPoolExecutor(2) as pool:
        found += pool.map(run, range(1, 9), [settings for _, settings, _ in later])

    assert found == [expected for _, _, expected in script3.RUNS]
    with tensorcache.open(tmp_path / "cache") as cache:
        assert cache.verify(deep=True) == []


def test_there_are_rows_enough_and_each_has_its_own_name():
    tables = databases.ROWS, inputs.ROWS, inputs.PLACES, script3.ROWS
    names = [row.name for table in tables for row in table]

    assert len(databases.ROWS) >= 60
    assert len(names) == len(set(names))
