"""The counts of benchmarks/: what does not hang on how fast a machine is. Timings are no tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

REPO = Path(__file__).parents[1]
BENCHMARKS = REPO / "benchmarks"


@pytest.fixture(scope="module")
def counts(tmp_path_factory):
    """Of 3,000 batches, and of 100: see benchmarks/counts.py."""
    folder = tmp_path_factory.mktemp("counts")
    ran = subprocess.run(
        [sys.executable, BENCHMARKS / "counts.py", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is read as Linux has it")


@pytest.mark.slow
@linux
def test_opening_costs_the_same_however_many_batches(counts):
    few, many = (min(counts["open"][name]) for name in ("100", "3000"))

    assert many <= 2 * few


@pytest.mark.slow
@linux
def test_disk_holds_distinct_bytes_and_little_else(counts):
    sizes = counts["sizes"]

    assert sizes["disk"] <= 1.03 * (sizes["distinct"] + sizes["lists"])


@pytest.mark.slow
@linux
def test_a_put_streams(counts):
    assert counts["peak"] <= 0.15 * counts["sizes"]["distinct"]


@pytest.mark.slow
@linux
def test_processes_that_hold_an_entry_share_its_memory(counts):
    own = [one["uss"] for one in counts["shared"]]
    together = sum(one["pss"] for one in counts["shared"])

    assert median(own) <= 2e6
    assert together <= 1.1 * counts["sizes"]["disk"]


@pytest.mark.slow
@linux
def test_a_hit_imports_no_heavy_library(counts):
    assert counts["modules"] == []


def test_the_page_is_what_the_results_say():
    """`docs/performance.md` is made from `benchmarks/results.json` alone."""
    made = subprocess.run(
        [sys.executable, BENCHMARKS / "page.py"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
    )

    assert made.stdout == (REPO / "docs" / "performance.md").read_text("utf-8")
