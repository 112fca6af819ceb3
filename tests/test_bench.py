"""benchmarks/: its counts, which hang little on how fast a machine is, and what it makes of a run.

Timings are no tests. Peers that do wrong go through the real rounds, as files beside the others.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import pytest

REPO = Path(__file__).parents[1]
BENCHMARKS = REPO / "benchmarks"
RESULTS = BENCHMARKS / "results.json"
PAGE = REPO / "docs" / "performance.md"

RAISES = """
def write(payload, folder): (folder / "file").touch()
def load(folder): raise OSError("it cannot be read")
"""
FORGETS = """
import torch
def write(payload, folder): torch.save(payload, folder / "payload.pt")
def load(folder):
    payload = torch.load(folder / "payload.pt")
    payload["oof_batches"][3]["minutes"][0, 0, 0] += 1
    return payload
"""
WRONG_PEERS = """
WRONG = (Peer("raises", "raises"), Peer("forgets", "forgets"), Peer("not there", "absent"))
PEERS |= {peer.name: peer for peer in WRONG}
RIVALS = (*WRONG, *RIVALS)
"""
ONE_ROUND = """
import json, sys, time
from pathlib import Path
import page, run
results = {"rows": []}
plan = run.Plan("100", 1, 1, ("raises", "forgets", "not there", "lmdb"))
run.Bench(plan, Path(sys.argv[1]), results, time.perf_counter()).run()
tables = "\\n".join(page.payload_tables(results, "100"))
print(json.dumps({"rows": results["rows"], "tables": tables}))
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="memory is read as Linux has it")


def said_by(*words, **more):
    """What a script says last, as JSON."""
    ran = subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, check=False, **more
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def counts(tmp_path_factory):
    """Of 20,000 batches, and of 100: see benchmarks/counts.py."""
    folder = tmp_path_factory.mktemp("counts")
    yield said_by(BENCHMARKS / "counts.py", folder)
    shutil.rmtree(folder)  # half a gigabyte


@pytest.mark.slow
@linux
def test_opening_costs_the_same_however_many_batches(counts):
    few, many = (min(counts["open"][name]) for name in ("100", "20000"))

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


@pytest.mark.slow
@linux
def test_ls_imports_no_torch(counts):
    assert counts["ls"]["torch"] is False


@pytest.fixture(scope="module")
def one_round(tmp_path_factory):
    """A round of 100 batches, with peers that raise, give something else, and are not installed."""
    home = tmp_path_factory.mktemp("bench")
    copy = home / "benchmarks"
    shutil.copytree(BENCHMARKS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "peers" / "raises.py").write_text(RAISES)
    (copy / "peers" / "forgets.py").write_text(FORGETS)
    (copy / "peers" / "absent.py").write_text("import not_installed\n")
    with open(copy / "peers" / "__init__.py", "a") as file:
        file.write(WRONG_PEERS)
    (copy / "one_round.py").write_text(ONE_ROUND)
    return said_by(copy / "one_round.py", home / "scratch")


needs_lmdb = pytest.mark.skipif(
    not all(find_spec(name) for name in ("lmdb", "matplotlib")),
    reason="needs the extra bench-quick",
)


@pytest.mark.slow
@linux
@needs_lmdb
def test_a_peer_that_fails_is_a_row_with_its_error_and_stops_nobody(one_round):
    loads = {row["peer"]: row for row in one_round["rows"] if row["what"] == "load"}

    assert loads["raises"]["error"] == "OSError: it cannot be read"
    assert "No module named 'not_installed'" in loads["not there"]["error"]
    assert loads["lmdb"]["peer_seconds"]["full"] > loads["lmdb"]["peer_seconds"]["open"]
    assert "| raises | OSError: it cannot be read |" in one_round["tables"]


@pytest.mark.slow
@linux
@needs_lmdb
def test_a_peer_that_gives_something_else_is_a_row_that_says_so(one_round):
    (row,) = (row for row in one_round["rows"] if row["peer"] == "forgets" and "error" in row)

    assert row["error"] == "not what was written: oof_batches[3]['minutes'] differs"
    assert f"| forgets | {row['error']} |" in one_round["tables"]


def test_the_targets_are_all_in_the_table_and_a_count_that_is_not_measured_is_missed(tmp_path):
    script = tmp_path / "table.py"
    script.write_text(
        "import json, targets\n"
        "nothing = {'rows': []}\n"
        "cells = [target.cells(nothing) for target in targets.TARGETS]\n"
        "print(json.dumps([cells, targets.missed_counts(nothing)]))"
    )
    cells, missed = said_by(script, env=os.environ | {"PYTHONPATH": str(BENCHMARKS)})

    limits = [" ".join(limits) for _, *limits, _, _ in cells]
    assert limits == [
        *("≥ 1,000 ≥ 5,000", "≥ 200 ≥ 700", "≥ 8 ≥ 20"),
        *("≥ 800 ≥ 3,000", "≥ 150 ≥ 450", "≥ 7 ≥ 13"),
        "≤ 2 ≤ 1.2",
        *("≥ 7 ≥ 11", "≥ 6 ≥ 9", "≥ 4 ≥ 6", "≥ 1.8 ≥ 2.5"),
        *("≤ 1.6 ≤ 1.3", "≤ 1.1 ≤ 1", "≥ 3 ≥ 5", "≥ 1 ≥ 1.3"),
        *("≤ 15 ≤ 11", "≤ 1.03 ≤ 1.01", "≤ 2 ≤ 0.2", "≤ 1.1 ≤ 1"),
        *("≤ 20 ≤ 6", "none none", "≤ 0.6 ≤ 0.35", "none none"),
        *("≤ 8 ≤ 4.7", "≤ 8 ≤ 4.7", " ≤ 0.3"),
    ]
    assert {said for *_, said, _ in cells} == {"not measured"}
    assert len(missed) == 7
    assert "open: ours at 20,000 / ours at 100: not measured, not ≤ 2" in missed


results = pytest.mark.skipif(not RESULTS.exists(), reason="make bench has not run yet")


@results
def test_the_page_is_what_the_results_say():
    """`docs/performance.md` is made from `benchmarks/results.json` alone."""
    made = subprocess.run(
        [sys.executable, BENCHMARKS / "page.py"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
    )

    assert made.stdout == PAGE.read_text("utf-8")


@results
def test_the_page_is_of_a_full_run_with_its_plot():
    run = json.loads(RESULTS.read_text("utf-8"))["run"]

    assert not run["quick"]
    assert run["seconds"] <= 40 * 60
    assert "](performance.svg)" in PAGE.read_text("utf-8")
    assert PAGE.with_suffix(".svg").read_text("utf-8").rstrip().endswith("</svg>")
    assert "not measured" not in PAGE.read_text("utf-8")
