"""`make million` with few entries: what it writes, what it leaves, and how it asks SQLite.

Timings are no tests. How SQLite plans a statement hangs on no count of rows, so that is one.
"""

from __future__ import annotations

import importlib
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import tensorcache

REPO = Path(__file__).parents[1]
BENCHMARKS = REPO / "benchmarks"
FEW, MANY = 40, 300
TABLES = "entry WHERE uses = 0", "source", "shard", "entry_shard", '"column"'


@pytest.fixture
def page(monkeypatch):
    """The module that makes the page."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("million_page")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A run with few of everything, its roots left where they were; the folder of both."""
    folder = tmp_path_factory.mktemp("million")
    counts = {"--entries": MANY, "--few": FEW, "--orphans": 50, "--rounds": 1}
    options = [word for pair in counts.items() for word in pair]
    options += ["--keep", "--scratch", folder, "--to", folder]
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "million.py", *map(str, options)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(REPO)},
    )
    missed = [line for line in done.stderr.splitlines() if "million: missed: " in line]
    assert done.returncode == bool(missed), done.stderr
    return folder


def root_of(folder, count):
    return folder / "tensorcache-million" / str(count)


def rows_in(root):
    with sqlite3.connect(root / "index.sqlite") as index:
        return [sorted(index.execute(f"SELECT * FROM {table}")) for table in TABLES]


linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is read as Linux has it")


@pytest.mark.slow
@linux
def test_the_entries_are_as_publications_leave_them(ran):
    with tensorcache.open(root_of(ran, MANY)) as cache:
        before = rows_in(root_of(ran, MANY))

        assert cache.verify(deep=True) == []
        assert len(before[0]) > MANY - 10
        cache.reindex()
        assert rows_in(root_of(ran, MANY)) == before  # what the library makes of the manifests
        assert cache.verify(deep=True) == []


@pytest.mark.slow
@linux
def test_all_is_measured_and_on_the_page(ran, page):
    results = json.loads((ran / "million.json").read_text("utf-8"))

    text = (ran / "million.md").read_text("utf-8")
    assert page.page(ran / "million.json") == text
    assert all(f"| {target.name} | {target.asked()} |" in text for target in page.TARGETS)
    assert results["run"]["entries"] == MANY
    assert results["view"][0]["rows"] >= 1
    assert str(ran) not in text + json.dumps(results)
    assert not root_of(ran, "orphans").joinpath("entries").exists()


@pytest.mark.slow
@linux
def test_a_hit_asks_sqlite_nothing_and_a_publication_reads_no_whole_table(ran, page):
    results = json.loads((ran / "million.json").read_text("utf-8"))
    hit, *others = results["plans"]

    assert hit == {"what": "a hit", "statements": []}
    assert all(one["statements"] for one in others)
    assert page.full_scans(results) == (0, "none")


@pytest.mark.parametrize(
    ("sql", "plan", "full"),
    [
        ("SELECT key FROM entry", "SCAN entry", True),
        ("SELECT key FROM entry", "SCAN entry USING COVERING INDEX _entry_worth", True),
        ("SELECT key FROM entry ORDER BY worth LIMIT ?", "SCAN entry USING INDEX _worth", False),
        ("SELECT key FROM entry ORDER BY bytes LIMIT ?", "SCAN entry", True),
        ("SELECT key FROM entry WHERE key = ?", "SEARCH entry USING INDEX _key (key=?)", False),
        ("SELECT ? FROM entry AS entry_1", "SCAN entry_1", True),
        ("SELECT bytes FROM _total", "SCAN _total", False),
    ],
)
def test_a_full_scan_is_told_from_one_that_ends_at_a_limit(page, sql, plan, full):
    assert page.is_full_scan({"sql": sql, "plan": [plan]}) is full


def test_a_target_that_is_missed_says_so(page):
    puts = {"below": [0.01], "at": [0.02], "went": [1]}
    (target,) = [one for one in page.TARGETS if one.reached is page.publications]

    assert target.cells({"puts": puts})[1:4] == (
        "≤ 1.2",
        "2.00 (means 10.0 and 20.0 ms, worst 10.0 and 20.0 ms; 1 gone by 1 at the limit)",
        "**missed**",
    )
    assert target.is_met({"puts": puts | {"at": [0.011]}})
    assert not target.is_met({"puts": puts | {"at": [0.011], "went": [0]}})  # nothing was done


def test_the_page_of_docs_is_what_its_results_say_or_that_there_are_none(page, tmp_path):
    assert page.page() == (REPO / "docs" / "million.md").read_text("utf-8")
    assert "`make million` has not been run yet" in page.page(tmp_path / "none")
