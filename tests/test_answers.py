"""Answers: nothing is shown, compared or turned into what it is not."""

from __future__ import annotations

import contextlib
import sqlite3
import time

import duckdb
import pandas as pd
import pytest

from tensorcache.errors import BadQuery
from tensorcache.index import view
from tensorcache.index.query import DEADLINE_SECONDS, MAX_VALUE_BYTES

SPACE = "my.batches"


def publish(cache, **inputs):
    cache.get_or_build(inputs, lambda: {"x": list(inputs)}, version="1", namespace=SPACE)


@pytest.fixture
def dicts(cache):
    """Inputs that are plain in one entry, a dict in the next, and a date in another."""
    publish(cache, n=0, stop=False, lr=0.1, at=1)
    publish(cache, n=1, stop={"patience": 5}, lr={"start": 0.2}, at={"day": 2})
    publish(cache, n=2, stop=True, lr=2, at=pd.Timestamp("2026-03-01").to_pydatetime())
    return cache


def test_a_dict_is_no_number_and_not_false(dicts):
    asked = f'SELECT stop, stop__patience, lr, lr__start FROM "{SPACE}" ORDER BY n'

    assert dicts.table(asked).rows == [
        (0, None, 0.1, None),
        (None, 5, None, 0.2),
        (1, None, 2.0, None),
    ]
    for condition, holds_of in (
        ("NOT stop", [0]),
        ("lr < 0.15", [0]),
        ("lr > 0.15", [2]),
        ("at = 1", [0]),
        ("at LIKE '2026-03%'", [2]),
    ):
        assert dicts.entries(condition, namespace=SPACE).n.tolist() == holds_of
    assert str(dicts.entries(namespace=SPACE)["stop"].dtype) == "boolean"


def test_a_large_whole_number_is_not_rounded_beside_a_float(cache):
    for seed in ((1 << 53) + 1, 1, 0.5):
        publish(cache, seed=seed, exact=7 if seed == 0.5 else (1 << 53) + 1)

    frame = cache.entries(f"seed = {(1 << 53) + 1}", namespace=SPACE)

    assert frame.seed.tolist() == frame.exact.tolist() == [(1 << 53) + 1]
    assert str(frame.exact.dtype) == "int64"
    assert (1 << 53) + 1 in cache.entries(namespace=SPACE).seed.tolist()
    assert len(cache.entries(f"seed = {1 << 53}", namespace=SPACE)) == 0


def test_nor_is_it_to_an_index_over_the_input(cache, monkeypatch):
    monkeypatch.setattr(view, "MANY_ENTRIES", 2)
    monkeypatch.setattr(view, "SELDOM", 1)
    for n in range(4):
        publish(cache, n=n, lr=n / 2)
    publish(cache, n=4, lr={"start": 0.2})

    assert cache.entries("lr < 0.15", namespace=SPACE).n.tolist() == [0]
    with contextlib.closing(sqlite3.connect(f"{cache.root}/index.sqlite")) as plain:
        asked = f'EXPLAIN QUERY PLAN SELECT * FROM "{SPACE}" WHERE lr < 0.15'
        assert f"INDEX _input {SPACE} lr (" in plain.execute(asked).fetchone()[3]


def test_duckdb_reads_such_a_view_too(dicts):
    with contextlib.closing(sqlite3.connect(f"{dicts.root}/index.sqlite")) as plain:
        ((text,),) = plain.execute("SELECT sql FROM sqlite_master WHERE name = ?", (SPACE,))
        entry = pd.read_sql("SELECT * FROM entry", plain)  # noqa: F841 - duckdb finds it
    with duckdb.connect() as duck:
        duck.execute("CREATE TABLE entry AS SELECT * FROM entry")
        duck.execute(text)

        rows = duck.sql(f'SELECT stop, lr, lr__start FROM "{SPACE}" ORDER BY n').fetchall()

    assert rows == [(False, 0.1, None), (None, None, 0.2), (True, 2.0, None)]


@pytest.mark.parametrize(
    ("asked", "values"),
    [
        (f'sum("on") AS "on" FROM "{SPACE}"', [2]),
        ("strftime('%H h', created_at) AS created_at FROM entry LIMIT 1", None),
        ("strftime('%Y', '2026-03-01') AS created_at, created_at AS c FROM entry LIMIT 1", None),
        ("date('2026-03-01') AS created_at, created_at AS c FROM entry LIMIT 1", ["2026-03-01"]),
        ("'2026-13-01 00:00:00.000000' AS created_at FROM entry LIMIT 1", None),
    ],
)
def test_a_result_that_is_named_like_a_column_keeps_its_values(cache, asked, values):
    for n in range(3):
        publish(cache, n=n, on=n > 0)

    frame = cache.sql(f"SELECT {asked}")

    told = [row[0] for row in cache.table(f"SELECT {asked}").rows]
    assert frame.iloc[:, 0].tolist() == told
    assert frame.iloc[:, 0].dtype != bool
    assert values in (None, told)


@pytest.mark.parametrize(
    "where", ["1) LIMIT 2 /*", "1) GROUP BY (namespace", "1 /* or", "(1", "1)", "1) -- ("]
)
def test_a_condition_stays_within_its_parentheses(cache, where):
    publish(cache, n=1)

    with pytest.raises(BadQuery, match="is no condition: its parentheses do not match"):
        cache.entries(where)


@pytest.mark.parametrize(
    "where", ["n = 1 -- )", "(n) IN (1, 2)", "n = 1 AND ')' <> '(' /* ) */", "n IN (SELECT 1)"]
)
def test_a_condition_may_have_parentheses(cache, where):
    publish(cache, n=1)

    assert cache.entries(where, namespace=SPACE).n.tolist() == [1]


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked",
    [
        f"hex(zeroblob({MAX_VALUE_BYTES // 2 - 1})) GLOB '*{'[0-1]' * 12}2'",
        "json_patch('{}', '{}')",
    ],
)
def test_no_comparison_of_sets_outlasts_the_deadline(cache, asked):
    publish(cache, n=1)
    began = time.process_time()  # others may be at work here

    with contextlib.suppress(BadQuery):
        cache.table(f"SELECT {asked}")

    assert time.process_time() - began < DEADLINE_SECONDS
