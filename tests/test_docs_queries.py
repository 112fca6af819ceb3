"""The page of questions: every query runs, and its answer is the one that stands there."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path

import pytest
import queries_page

import tensorcache
from tensorcache.index import view

PAGE = (Path(__file__).parents[1] / "docs" / "queries.md").read_text("utf-8")
ASKED = re.findall(r"### (.*?)\n\n```sql\n(.*?)\n```\n\n```text\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    root = str(tmp_path_factory.mktemp("queries") / "cache")
    queries_page.make_cache(root)
    yield root
    with tensorcache.open(root, create=False) as cache:
        assert cache.verify(deep=True) == []


def test_there_are_at_least_ten():
    assert len(ASKED) == len(queries_page.QUESTIONS) >= 10


@pytest.mark.parametrize(("query", "answer"), [one[1:] for one in ASKED], ids=[a[0] for a in ASKED])
def test_the_answer_of_the_page_is_what_the_cache_says(small, query, answer):
    assert queries_page.answered(small, query) == answer
    assert len(answer.splitlines()) > 1  # an example that finds nothing shows nothing


def test_the_python_of_the_page_runs(small):
    (code,) = re.findall(r"```python\n(cache\.sql.*?)```", PAGE, re.DOTALL)

    with tensorcache.open(small, create=False) as cache:
        frames = [eval(line, {"cache": cache}) for line in code.splitlines()]

    assert [len(frame) for frame in frames] == [2, 0]
    assert frames[1].use_playoffs.dtype == bool


def test_the_plan_of_the_page_is_what_sqlite_does_in_a_long_namespace(small, monkeypatch):
    monkeypatch.setattr(view, "MANY_ENTRIES", 3)
    query, plan = re.findall(r"```sql\nEXPLAIN.*?\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)[
        0
    ]
    with tensorcache.open(small, create=False) as cache:
        cache.reindex()  # more entries than are looked for once in a while
        with cache._questions.index.writing() as connection:
            view.index_inputs(connection, queries_page.BATCHES)

    with contextlib.closing(sqlite3.connect(f"{small}/index.sqlite")) as plain:
        steps = plain.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()

    assert [step[3] for step in steps] == plan.splitlines()
