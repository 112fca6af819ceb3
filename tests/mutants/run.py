"""Seeded bugs: each breaks one promise, and a test of that promise must die of it.

    python tests/mutants/run.py [NAME … | --turn N] [--jobs N]     (`make mutants`: all of them)

A mutant is `tests/mutants/NAME.patch`: a patch against the tree as it is, which begins with

    # promise: what no longer holds
    # killed by: tests/test_x.py::test_y[param]    (and a line for each that is to run too)

The tree's tracked files are copied, patched, and the named tests run on the copy. A mutant is
killed if one of them fails by an assertion. That they fail otherwise, by a wrong name or because
they cannot be collected, may be a fault of the patch, and one that does not apply any more is one.
Without the patch they must pass, or their failing says nothing.
"""

from __future__ import annotations

import argparse
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

REPO = Path(__file__).parents[2]
MUTANTS = Path(__file__).parent
AT_A_TIME = 3  # by turn
_FAILED = re.compile(r"^(?:FAILED|ERROR) .*? - (.*)$", re.MULTILINE)
_BY_ASSERTION = re.compile(r"assert |AssertionError|Failed: DID NOT RAISE|Failed: Regex")
T = TypeVar("T")


class Mutant(NamedTuple):
    """A patch, the promise that it breaks, and the tests that tell."""

    name: str
    promise: str
    killers: tuple[str, ...]

    @property
    def patch(self) -> Path:
        """Its file."""
        return MUTANTS / f"{self.name}.patch"


class Verdict(NamedTuple):
    """Whether it was killed: `why` is "" if so, and else says what happened."""

    why: str
    seconds: float


def mutants() -> list[Mutant]:
    """All there are, by name."""
    return [_read(path) for path in sorted(MUTANTS.glob("*.patch"))]


def _read(path: Path) -> Mutant:
    said: dict[str, list[str]] = {"promise": [], "killed by": []}
    for line in path.read_text().splitlines():
        if not line.startswith("# "):
            break
        name, colon, text = line[2:].partition(": ")
        if not colon or name not in said:
            raise ValueError(f"{path.name}: {line!r} begins with neither of {list(said)}")
        said[name].append(text)
    if not all(said.values()):
        raise ValueError(f"{path.name}: it says no promise, or no test that keeps it")
    return Mutant(path.stem, " ".join(said["promise"]), tuple(said["killed by"]))


def by_turn(turn: int, all_of_them: Sequence[Mutant]) -> list[Mutant]:
    """Three that lie far apart, others at each turn."""
    count = len(all_of_them)
    return [all_of_them[(turn + count * n // AT_A_TIME) % count] for n in range(AT_A_TIME)]


def tree(directory: Path) -> Path:
    """A copy of the tracked files, as they are now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPO,
        check=True,
        capture_output=True,
    )
    copy = directory / "tree"
    for name in map(os.fsdecode, filter(None, listed.stdout.split(b"\0"))):
        if os.path.isfile(REPO / name):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPO / name, copy / name)
    return copy


def judge(mutant: Mutant, copy: Path) -> Verdict:
    """Run its killers on a patched copy, which is as it was afterwards."""
    began = time.monotonic()
    wrong = apply(mutant, copy)
    if wrong:
        return Verdict(f"it does not apply any more: {wrong}", 0.0)
    try:
        code, said = run_tests(mutant.killers, copy)
    finally:
        apply(mutant, copy, "--reverse")
    seconds = time.monotonic() - began
    if code == 0:
        skipped = " skipped" in said and " passed" not in said
        return Verdict("its tests are skipped here" if skipped else "it SURVIVED", seconds)
    failed = _FAILED.findall(said)
    if code == 1 and any(map(_BY_ASSERTION.match, failed)):
        return Verdict("", seconds)
    why = f"its tests fail by {failed[0]}" if failed else f"pytest ended with {code}"
    return Verdict(f"{why}:\n{said[-2000:]}", seconds)


def apply(mutant: Mutant, copy: Path, *options: str) -> str:
    """Apply its patch; what is wrong with that, "" if nothing is."""
    command = ["git", "apply", "-p1", *options, str(mutant.patch)]
    # Outside any repository, so that it takes paths as they are.
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(copy.parent)}
    done = subprocess.run(
        command, cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    return done.stderr.strip() if done.returncode else ""


def run_tests(tests: Iterable[str], copy: Path) -> tuple[int, str]:
    """Pytest's exit code, and what it said, with the copy's library and nothing of another run."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-rfE", "--tb=short", "-p", "no:xdist"]
    command += ["-p", "no:cacheprovider", "--timeout=120", *tests]
    kept = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")}
    environment = kept | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    environment["COLUMNS"] = "1000"  # else pytest cuts off by what a test failed
    for name in ("SOAK_HOURS", "FAULTS_FIGURES"):
        environment.pop(name, None)
    done = subprocess.run(
        command, cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, re.sub(r"([=!_])\1{9,}", r"\1", done.stdout + done.stderr)


def _chosen(names: Sequence[str], turn: int | None) -> list[Mutant]:
    every = mutants()
    if turn is not None:
        return by_turn(turn, every)
    known = {mutant.name: mutant for mutant in every}
    unknown = sorted(set(names) - known.keys())
    if unknown:
        raise SystemExit(f"no mutant {unknown[0]!r}: there are {', '.join(known)}")
    return [known[name] for name in names] if names else every


def run(chosen: Sequence[Mutant], jobs: int) -> Iterator[str]:
    """Judge them, so many at once; the names of those that live."""
    with tempfile.TemporaryDirectory() as directory, ThreadPoolExecutor(jobs) as pool:
        copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for job in range(jobs):
            copies.put(tree(Path(directory, str(job))))

        def on_a_copy(do: Callable[[Path], T]) -> T:
            copy = copies.get()
            try:
                return do(copy)
            finally:
                copies.put(copy)

        shares = _shares({test for mutant in chosen for test in mutant.killers}, jobs)
        for code, said in pool.map(lambda s: on_a_copy(lambda copy: run_tests(s, copy)), shares):
            if code != 0:
                print(f"without any patch pytest ends with {code}:\n{said[-3000:]}", flush=True)
                yield "none"
        verdicts = pool.map(lambda mutant: on_a_copy(lambda copy: judge(mutant, copy)), chosen)
        for mutant, verdict in zip(chosen, verdicts, strict=True):
            by = mutant.killers[0] + (" …" if len(mutant.killers) > 1 else "")
            if verdict.why:
                print(f"LIVES   {mutant.name}  {verdict.why}  ({mutant.promise})", flush=True)
                yield mutant.name
            else:
                print(f"killed  {mutant.name}  by {by}  {verdict.seconds:.1f} s", flush=True)


def _shares(tests: Iterable[str], jobs: int) -> list[list[str]]:
    """Tests for each job, those of one file together, for they share what they begin with."""
    shares: list[list[str]] = [[] for _ in range(jobs)]
    files: dict[str, list[str]] = {}
    for test in sorted(tests):
        files.setdefault(test.partition("::")[0], []).append(test)
    for of_one in sorted(files.values(), key=len, reverse=True):
        min(shares, key=len).extend(of_one)
    return [share for share in shares if share]


def main() -> int:
    """Say of each mutant whether it is killed; 1 if one lives."""
    sys.path.append(str(REPO / "tests"))
    from faults.scale import reached

    parser = argparse.ArgumentParser(description="Seeded bugs that tests must die of.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="all, if none is named")
    parser.add_argument("--turn", type=int, help=f"{AT_A_TIME} of them, others at each turn")
    parser.add_argument("--jobs", type=int, default=1, help="how many at once")
    options = parser.parse_args()
    chosen = _chosen(options.names, options.turn)
    living = list(run(chosen, options.jobs))
    print(f"{len(chosen)} mutants, {len(living)} live")
    if not living:
        reached("mutants", killed=len(chosen))
    return 1 if living else 0


if __name__ == "__main__":
    raise SystemExit(main())
