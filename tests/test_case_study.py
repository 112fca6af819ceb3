"""docs/case-study.md is made from benchmarks/sweep_worth.json alone, and judges what it says."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
SCRIPT = REPO / "benchmarks" / "case_study.py"

specification = importlib.util.spec_from_file_location("case_study", SCRIPT)
case_study = importlib.util.module_from_spec(specification)
specification.loader.exec_module(case_study)


def trial(cache, got, build=2.0):
    return {
        "cache": cache,
        "import_seconds": 1.5,
        "get_or_build_seconds": got,
        "build_seconds": build,
        "train_seconds": 3.0,
        "label": "SIMULATED",
    }


def sweep(cap, jobs, cached, trials):
    wall = sum(one["get_or_build_seconds"] + 4.5 for one in trials) / jobs
    return {
        "cap": cap,
        "jobs": jobs,
        "cached": cached,
        "round": 0,
        "wall_seconds": wall,
        "cache_bytes": 7_000_000 * cached,
        "trials": trials,
    }


@pytest.fixture
def results():
    """Made up: ten trials, of which nine find or await what the first built."""
    alone = [trial("off", 2.0) for _ in range(10)]
    return {
        "run": {
            "command": "python benchmarks/sweep_worth.py --rounds 1",
            "day": "2026-01-01",
            "seconds": 600.0,
            "epochs": 2,
            "commit": "abc",
            "cpu": "2 cores",
            "memory_bytes": 8e9,
            "system": "Linux",
            "load": 0.1,
            "versions": dict.fromkeys(("Python", "torch", "numpy", "sqlalchemy"), "1"),
        },
        "usual": {"cap": 250, "epochs": 20, "train_seconds": 30.0},
        "sweeps": [
            sweep(250, 1, True, [trial("miss", 2.2), *[trial("hit", 0.01) for _ in range(9)]]),
            sweep(250, 1, False, alone),
            sweep(
                250, 2, True, [trial("miss", 2.2), trial("wait", 2.3), *[trial("hit", 0.02)] * 8]
            ),
            sweep(250, 2, False, alone),
        ],
    }


def test_the_page_is_what_the_results_say():
    there = case_study.RESULTS
    results = json.loads(there.read_text("utf-8")) if there.exists() else None

    assert (REPO / "docs" / "case-study.md").read_text("utf-8") == case_study.text(results)


def test_without_results_the_page_says_so():
    assert "Not yet measured" in case_study.text(None)


def test_the_page_states_what_was_reached(results):
    page = case_study.text(results)

    assert "| ≤ 50 ms | median 10.0 ms, worst 20.0 ms | yes |" in page
    assert "| builds that 10 trials pay for | 1 | 1 to 1 in 2 sweeps | yes |" in page
    assert "| ≤ 10 x 50 ms | worst 290 ms of 1 sweeps | yes |" in page
    assert "| 250 / 250 | 2 | with | 1 | 15.00 | 2.30 | 2.36 | 30.00 |" in page
    assert "| 250 / 250 | 2.00 s | 10.0 ms | 17.7 s | 27% | 7.0 MB |" in page
    assert "SIMULATED league" in page
    assert "with 20 epochs, training at 250 / 250 takes 30.0 s" in " ".join(page.split())


def test_what_is_missed_is_said(results):
    results["sweeps"][2]["trials"][1] = trial("miss", 2.3)
    results["sweeps"][0]["trials"][5] = trial("hit", 0.6)
    results["run"]["seconds"] = 4000.0

    page = case_study.text(results)

    assert page.count("**no**") == 5


def test_one_build_is_what_a_trial_without_the_cache_takes_and_the_builder_alone(results):
    results["sweeps"][0]["trials"][0] = trial("miss", 2.6, build=1.9)  # and 9 hits
    page = case_study.text(results)
    rows = [line for line in page.splitlines() if line.startswith("| one job: get-or-build")]
    sums = 2.6 + sum(t["get_or_build_seconds"] for t in results["sweeps"][0]["trials"][1:])

    assert [row.rpartition(" ms of")[0].rpartition(" ")[2] for row in rows] == [
        f"{1000 * (sums - without):.0f}" for without in (2.0, 1.9)
    ]


def test_a_build_that_is_as_quick_as_a_hit_is_not_said_to_pay(results):
    for one in results["sweeps"]:
        for each in one["trials"]:
            if each["cache"] == "off":
                each["get_or_build_seconds"] = 0.01

    assert "The cache pays at none of these." in case_study.text(results)


def test_the_plots_that_the_page_shows_are_drawn(results, tmp_path):
    case_study.write(results, tmp_path)

    shown = {"case-study-sums.svg", "case-study-trials.svg"}
    assert {path.name for path in tmp_path.iterdir()} == shown | {"case-study.md"}
    assert all(name in (tmp_path / "case-study.md").read_text("utf-8") for name in shown)
    assert all((tmp_path / name).read_text("utf-8").rstrip().endswith("</svg>") for name in shown)
