"""Every fault test in full, every mutant, a million random keys: `make soak`, about 50 minutes.

    python tests/soak.py                # SOAK_HOURS=1: storms last as long as this says

It ends with `tests/faults/results.json`, of which `docs/durability.md` makes its table; where
anything fails, it says so, exits with 1 and leaves both as they were. `make test` runs a sample.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

REPO = Path(__file__).parents[1]
sys.path += [str(REPO / "tests" / "faults"), str(REPO / "benchmarks")]
PYTEST = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile"]
TREES = 1_000_000  # in a soak of one hour


def tested(folder: Path, name: str, *paths: str, **environment: str) -> dict[str, Any]:
    """Run tests; how many passed and were skipped, and the minutes that it took.

    Raises:
        SystemExit: one of them failed.
    """
    report = folder / f"{name}.xml"
    began = time.perf_counter()
    command = [*PYTEST, f"--junitxml={report}", *paths]
    if subprocess.run(command, cwd=REPO, env={**os.environ, **environment}, check=False).returncode:
        raise SystemExit(1)
    (suite,) = ET.parse(report).getroot().iter("testsuite")
    skipped = int(suite.attrib["skipped"])
    return {
        "passed": int(suite.attrib["tests"]) - skipped,
        "skipped": skipped,
        "minutes": round((time.perf_counter() - began) / 60, 1),
    }


def main() -> int:
    """Run all; the exit code."""
    from machine import commit, cpu  # of the benchmarks
    from promises import RESULTS, summed

    hours = float(os.environ.get("SOAK_HOURS") or 1)
    folder = REPO / "outputs" / "soak"
    folder.mkdir(parents=True, exist_ok=True)
    figures = folder / "figures.jsonl"
    figures.unlink(missing_ok=True)
    began = time.perf_counter()
    told = {"SOAK_HOURS": str(hours), "FAULTS_FIGURES": str(figures)}
    sample = tested(folder, "sample", "tests/faults", "tests/test_mutants.py", SOAK_HOURS="")
    keys = subprocess.Popen(
        [sys.executable, "tests/soak_keys.py", "--trees", str(int(TREES * hours))], cwd=REPO
    )
    try:
        mutants = subprocess.run(
            [sys.executable, "tests/mutants/run.py", "--jobs", "2"],
            cwd=REPO,
            env={**os.environ, **told, "SOAK_HOURS": ""},
            check=False,
        ).returncode
        if mutants or keys.wait():
            return 1
    finally:
        keys.kill()
    faults = tested(folder, "faults", "tests/faults", **told)
    results = {
        "commit": commit(),
        "machine": f"{cpu()}, {len(os.sched_getaffinity(0))} cores, {platform.release()}",
        "hours": hours,
        "sample": sample,
        "faults": faults,
        "minutes": round((time.perf_counter() - began) / 60, 1),
        "figures": summed(figures.read_text().splitlines()),
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    return subprocess.run([sys.executable, "docs/generate.py"], cwd=REPO, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
