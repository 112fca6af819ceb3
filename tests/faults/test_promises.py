"""The table of promises: it leaves none out, and adds figures up."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from promises import PROMISES, summed, table

TESTS = Path(__file__).parents[1]
RUN = {"passed": 3, "skipped": 0, "minutes": 1.5}
RESULTS = {"commit": "abc", "machine": "m", "hours": 1, "sample": RUN, "faults": RUN}


def counted():
    """The promises that some test says to have kept."""
    for path in (*TESTS.glob("faults/test_*.py"), TESTS / "test_mutants.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "reached":
                yield node.args[0].value


def test_every_promise_is_counted_by_a_test_and_nothing_else_is():
    assert set(counted()) == PROMISES.keys()


def test_figures_are_added_up_and_of_seconds_the_worst_stays():
    lines = [
        '{"promise": "takeover", "cases": 2, "takeover_seconds": 0.5}',
        '{"promise": "takeover", "cases": 3, "takeover_seconds": 0.25}',
    ]

    assert summed(lines) == {"takeover": {"cases": 5, "takeover_seconds": 0.5}}


def test_a_table_without_a_promise_is_none():
    figures = {name: {"cases": 1234} for name in PROMISES}

    assert "| 1,234 cases |" in table({**RESULTS, "figures": figures})
    with pytest.raises(KeyError, match="takeover"):
        table({**RESULTS, "figures": {n: f for n, f in figures.items() if n != "takeover"}})
