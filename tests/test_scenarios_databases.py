"""The scenario matrix of databases: what the next start finds after each thing that people do.

All rows go through their phases together, each level of each row with a database of its own: made;
two seconds of rest, so that it is remembered by its stat; the first start; what the row does; the
second start, another process; and a third, which must hit where the second published.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from databases import identity_of, kill, writer
from scenarios import HIT, MISS, NEEDLESS, STALE, UNPUBLISHED
from scenarios.cell import Cell
from scenarios.contents import contents_now
from scenarios.databases import INSERT, LEVELS, ROWS, make
from scenarios.start import database

import tensorcache

PAGE = Path(__file__).parents[1] / "docs" / "scenarios.md"
CELLS = [(row, level) for row in ROWS for level in LEVELS]


@functools.cache
def lacking(mode, level):
    """Why there can be no such cell here, or ""."""
    if mode.startswith("duckdb") and not importlib.util.find_spec("duckdb"):
        return "duckdb is not installed"
    try:
        database("x", level, ("t",))
    except (TypeError, tensorcache.TensorCacheError):
        return f"this tensorcache has no level {level!r}"
    return ""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory, starts):
    """What the second start found, by row and level."""
    cells = cells_in(tmp_path_factory.mktemp("databases"))
    time.sleep(2.1)  # what is younger is not remembered
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda one: outcome_or_error(*one, *starts), cells)
        return {
            (row.name, cell.level): word for (row, cell), word in zip(cells, found, strict=True)
        }


def outcome_or_error(row, cell, first, second):
    """Its outcome; an error is the failure of the test of this cell, not of all."""
    try:
        return outcome(row, cell, first, second)
    except Exception as error:  # noqa: BLE001 - whatever it is
        return repr(error)
    finally:
        cell.end()


def cells_in(directory):
    """A database for every level of every row."""
    made, cells = {}, []
    for number, (row, level) in enumerate(CELLS):
        if lacking(row.mode, level):
            continue
        name = "league.duckdb" if row.mode.startswith("duckdb") else "league.sqlite"
        if row.mode not in made:
            made[row.mode] = directory / row.mode
            made[row.mode].mkdir()
            make(str(made[row.mode] / name), row.mode)
        place = directory / str(number)
        shutil.copytree(made[row.mode], place)
        cells.append((row, Cell(place / name, level, row.build)))
    return cells


def outcome(row, cell, first, second):
    """What the second start finds; whatever it finds must be what is there."""
    writes = row.build.startswith("INSERT")
    cell.starts_in(first)
    answer = cell.start()
    assert not answer["hit"]
    assert writes or answer["value"] == cell.now()
    row.deed(cell)
    before, now = set(cell.found), cell.now()
    cell.starts_in(second)
    answer = cell.start()
    if not (writes or answer["value"] == now):
        return STALE
    if answer["hit"]:
        return HIT
    if not answer["published"]:
        return UNPUBLISHED
    cell.starts_in(first)
    assert cell.start()["hit"], "the start after it builds again"
    return NEEDLESS if now in before else MISS


@pytest.mark.slow
@pytest.mark.parametrize(("row", "level"), CELLS, ids=[f"{row.name}-{at}" for row, at in CELLS])
def test_the_next_start_finds(outcomes, row, level):
    if why := lacking(row.mode, level):
        pytest.skip(why)

    assert outcomes[row.name, level] == row.outcome(level)


@pytest.mark.slow
def test_no_hit_is_stale_and_no_miss_needless_at_logical(outcomes):
    assert [cell for cell, found in outcomes.items() if found == STALE] == []
    assert [
        cell
        for cell, found in outcomes.items()
        if found == NEEDLESS and cell[1] in ("logical", "named")
    ] == []


@pytest.mark.slow
def test_needless_misses_are_those_that_the_page_lists(outcomes):
    found = {cell for cell, outcome in outcomes.items() if outcome == NEEDLESS}

    assert found == {cell for cell in listed(NEEDLESS) if cell in outcomes}
    assert {level for _, level in listed(NEEDLESS)} == {"stat", "bytes"}


def listed(word):
    """The cells of the page that say so."""
    for line in PAGE.read_text().splitlines():
        name, *said = [part.strip() for part in line.strip("|").split("|")]
        if len(said) == len(LEVELS):
            yield from (
                (name, level) for level, one in zip(LEVELS, said, strict=True) if word in one
            )


def test_a_stat_or_hash_of_the_main_file_would_have_missed_a_commit_in_the_wal(tmp_path):
    """What many caches key by; so the rows of WAL are real."""
    path = str(tmp_path / "league.sqlite")
    make(path, "wal")
    identity, rows = identity_of(path).text, contents_now(path)
    naive, whole = naive_key(path), sha256_of(path)

    process = writer(path, INSERT)

    assert contents_now(path) != rows
    assert (naive_key(path), sha256_of(path)) == (naive, whole)
    assert identity_of(path).text != identity
    kill(process)
    assert (naive_key(path), sha256_of(path)) == (naive, whole)


def naive_key(path):
    return path, os.stat(path).st_mtime_ns, os.stat(path).st_size


def sha256_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
