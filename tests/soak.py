"""Every fault test in full, and every seeded bug: `make soak`, 45 minutes on two cores.

    python tests/soak.py                # SOAK_HOURS=1: storms last as long as this says

It begins with the sample that `make test` runs, to time it, and ends with
`tests/faults/results.json`, of which `docs/durability.md` makes its table. Where anything fails it
says so, exits with 1 and leaves both as they were.
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
TESTS = ("tests/faults", "tests/test_mutants.py")
# Test by test on two cores, for some take minutes; each may take as long as it needs.
PYTEST = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", "--timeout=3000"]


def tested(folder: Path, name: str, **environment: str) -> dict[str, Any]:
    """Run tests; how many passed and were skipped, and the minutes that it took.

    Raises:
        SystemExit: one of them failed.
    """
    report = folder / f"{name}.xml"
    began = time.perf_counter()
    command = [*PYTEST, f"--junitxml={report}", *TESTS]
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
    sample = tested(folder, "sample", SOAK_HOURS="", FAULTS_FIGURES="")
    faults = tested(folder, "faults", SOAK_HOURS=str(hours), FAULTS_FIGURES=str(figures))
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
