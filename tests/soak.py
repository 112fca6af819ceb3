"""Every fault test in full, and every seeded bug: `make soak`, an hour on two slow cores.

    python tests/soak.py                # SOAK_HOURS=1: storms last as long as this says
    python tests/soak.py --sample       # only the sample that `make test` runs, to time it

What was reached goes into `tests/faults/results.json`, of which `docs/durability.md` makes its
table. Where anything fails it says so, exits with 1 and leaves both as they were.
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


def whole(folder: Path, hours: float) -> dict[str, Any]:
    """Run every case; what was run, on what, and the figures that it reached."""
    from machine import commit, cpu  # of the benchmarks
    from promises import summed

    figures = folder / "figures.jsonl"
    figures.unlink(missing_ok=True)
    faults = tested(folder, "faults", SOAK_HOURS=str(hours), FAULTS_FIGURES=str(figures))
    return {
        "commit": commit(),
        "machine": f"{cpu()}, {len(os.sched_getaffinity(0))} cores, {platform.release()}",
        "hours": hours,
        "faults": faults,
        "figures": summed(figures.read_text().splitlines()),
    }


def main(arguments: list[str]) -> int:
    """Run all, or the sample; the exit code."""
    from promises import RESULTS

    folder = REPO / "outputs" / "soak"
    folder.mkdir(parents=True, exist_ok=True)
    if arguments == ["--sample"]:
        results = {"sample": tested(folder, "sample", SOAK_HOURS="", FAULTS_FIGURES="")}
    else:
        results = whole(folder, float(os.environ.get("SOAK_HOURS") or 1))
    known = json.loads(RESULTS.read_text("utf-8"))
    RESULTS.write_text(json.dumps(known | results, indent=1) + "\n")
    return subprocess.run([sys.executable, "docs/generate.py"], cwd=REPO, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
