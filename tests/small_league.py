"""A small made-up league for the tests of the model: four seasons, made once.

Tests ask for `league_db` (the file, not to be changed) or `altered_db` (a copy, changed by SQL).
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from league import database
from league.simulate import simulate

SEASONS = ("2014-15", "2015-16", "2016-17", "2017-18")


@pytest.fixture(scope="session")
def league_db(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("league") / "league.sqlite"
    database.build(database.tables(simulate(7, SEASONS), "SIMULATED"), path)
    return path


@pytest.fixture
def altered_db(league_db, tmp_path) -> Callable[[str], Path]:
    def altered(sql: str) -> Path:
        path = tmp_path / "altered.sqlite"
        shutil.copyfile(league_db, path)
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA ignore_check_constraints = ON")
            db.executescript(sql)
            db.commit()
        return path

    return altered
