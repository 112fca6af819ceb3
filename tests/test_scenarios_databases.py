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
import re
import shutil
import time
from pathlib import Path

import pytest
from databases import identity_of, kill, writer
from scenarios import HIT, MISS, NEEDLESS, REFUSED, STALE, UNPUBLISHED
from scenarios.cell import Cell
from scenarios.databases import INSERT, LEVELS, ROWS, make
from scenarios.start import Start, database

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
def outcomes(tmp_path_factory, shm):
    """What the second start found, by row and level."""
    starts = [Start(shm / "cache") for _ in range(2)]
    cells = cells_in(tmp_path_factory.mktemp("databases"), starts[0])
    time.sleep(2.1)  # what is younger is not remembered
    found = {}
    for (row, level), cell in cells.items():
        try:
            found[row.name, level] = outcome(row, cell, *starts)
        except Exception as error:  # noqa: BLE001 - the test of this cell fails, not all of them
            found[row.name, level] = repr(error)
        finally:
            cell.end()
    for start in starts:
        start.close()
    with tensorcache.open(shm / "cache") as cache:
        assert cache.verify(deep=True) == []
    return found


def cells_in(directory, start):
    """A database for every level of every row."""
    made, cells = {}, {}
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
        cells[row, level] = Cell(place / name, level, row.build, start)
    return cells


def outcome(row, cell, first, second):
    writes = row.build.startswith("INSERT")
    answer = cell.start()
    if "refused" not in answer:
        assert not answer["hit"]
        assert writes or answer["value"] == cell.now()
    row.deed(cell)
    now = cell.now()
    before = set(cell.before)
    cell.starts_in(second)
    answer = cell.start()
    if "refused" in answer:
        return REFUSED
    if answer["hit"]:
        return HIT if answer["value"] == now or writes else STALE
    assert writes or answer["value"] == now
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
