"""A million entries: what is asked of them, and how long that takes; docs/million.md.

    make million        # python benchmarks/million.py: at most 15 minutes, 10 GB of disk
    python benchmarks/million.py --entries 20000 --to DIR

Every step is a process that has just started (see entries.py), so that none has the memory, or
the imports, of another. The results are JSON, the page is made from them alone. It exits 1 where
a target is missed, once all is written. `--keep` leaves the roots to the next run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

from million_page import GETS, RESULTS, TARGETS, dumped, page

HERE = Path(__file__).parent
REPO = HERE.parent
PAGE = REPO / "docs" / "million.md"
MANY, FEW, ORPHANS, ROUNDS = 1_000_000, 1_000, 100_000, 15
SOME = 3  # rounds of what takes seconds
PACKAGES = "msgpack blake3 sqlalchemy pandas typer rich".split()
BYTES_EACH = 10_000  # of an entry: a block of the disk, an inode, rows, and their journal
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name != "PYTHONDONTWRITEBYTECODE" and not name.startswith("TENSORCACHE")
}
COUNTS = {"few": "few", "many": "entries"}  # of the options


class Failed(Exception):
    """What could not be measured, in one line."""


def main():
    asked = options()
    scratch = asked.scratch / "tensorcache-million"
    scratch.mkdir(parents=True, exist_ok=True)
    short = lacking(scratch, asked)
    if short:
        print(f"million: {short}", file=sys.stderr)
        return 2
    started = time.perf_counter()
    results = {"run": described(scratch, asked)}
    try:
        results |= Million(asked, scratch, started).figures()
    except Failed as failed:
        print(f"million: {failed}", file=sys.stderr)
        return 1
    finally:
        if not asked.keep:
            subprocess.run(["rm", "-rf", scratch], check=False)  # a third of shutil's minute
    results["run"]["seconds"] = time.perf_counter() - started
    written(results, asked)
    missed = [target.line(results) for target in TARGETS if not target.is_met(results)]
    for line in missed:
        print(f"million: missed: {line}", file=sys.stderr)
    return int(bool(missed))


def lacking(scratch, asked):
    """What there is not enough of, in one line; "" if nothing."""
    import machine  # which is of Linux; the page can be made anywhere

    files = asked.entries + asked.few + asked.orphans
    said = machine.lacking(scratch, disk_gb=files * BYTES_EACH / 1e9, memory_gb=files * 4e3 / 1e9)
    free = os.statvfs(scratch)
    if not said and free.f_files and free.f_favail < files:  # some filesystems count none
        said = f"{free.f_favail:,} more files can be at {str(scratch)!r}, {files:,} are needed"
    return said


def described(scratch, asked):
    """Machine, versions, commit, and how many of what."""
    import sqlite3  # its version alone

    import machine  # as above

    said = machine.described(scratch, quick=False)
    known = {name: said[name] for name in "day commit cpu memory_bytes system load".split()}
    python = {"Python": said["versions"]["Python"], "SQLite": sqlite3.sqlite_version}
    counts = {name: getattr(asked, name) for name in ("entries", "few", "orphans")}
    versions = python | machine.versions(PACKAGES)
    return {"command": "make million", "versions": versions} | known | counts


def written(results, asked):
    """Results and page; those of other counts apart, for they are no page of docs/."""
    usual = (asked.entries, asked.few, asked.orphans) == (MANY, FEW, ORPHANS)
    to = asked.to or (None if usual else REPO / "outputs" / "million")
    path, page_path = (to / "million.json", to / "million.md") if to else (RESULTS, PAGE)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dumped(results), "utf-8")
    page_path.write_text(page(path), "utf-8")
    print(f"million: {results['run']['seconds'] / 60:.1f} minutes, see {page_path}")


class Million:
    """Two roots that differ in how many entries they have, and one of orphans."""

    def __init__(self, asked, scratch, started):
        self.asked, self.scratch, self.started = asked, scratch, started
        self.few, self.many = scratch / f"{asked.few}", scratch / f"{asked.entries}"

    def figures(self):
        made = {
            size: self.made(root, count)
            for size, root, count in (
                ("few", self.few, self.asked.few),
                ("many", self.many, self.asked.entries),
            )
        }
        self.sound(self.few, "deep")
        self.sound(self.many)
        return {
            "made": made,
            "get": {what: self.gets(*how) for what, how in GETS.items()},
            "ls": [self.command("ls", "--limit", 20) for _ in range(self.rounds(7))],
            "view": self.step("view", self.many, self.asked.rounds),
            "vacuum": self.dry_runs(made["many"]["bytes"] // 2),
            "puts": self.puts(),
            "plans": self.step("plans", self.many, self.asked.entries // 2),
            "orphans": [self.orphans() for _ in range(self.rounds(SOME))],
        }

    def rounds(self, most):
        return min(most, self.asked.rounds)

    def step(self, *words):
        """What a step of entries.py says."""
        ran = subprocess.run(
            [sys.executable, HERE / "entries.py", *map(str, words)],
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
            check=False,
        )
        if ran.returncode:
            raise Failed(f"{words[0]} failed, see above")
        if words[0] != "get":
            self.say(" ".join(map(str, [words[0], *words[2:]])))
        return json.loads(ran.stdout.splitlines()[-1])

    def say(self, what):
        minutes = (time.perf_counter() - self.started) / 60
        print(f"{minutes:5.1f} min  {what}", flush=True)

    def made(self, root, count):
        """A root, or the one that an earlier run has kept."""
        known = root.with_suffix(".json")
        if not known.exists():
            shutil.rmtree(root, ignore_errors=True)
            known.write_text(json.dumps(self.step("make", root, count)))
        return json.loads(known.read_text())

    def sound(self, root, *deep):
        """Nothing is wrong with a root, or that ends the run."""
        faults = self.step("faults", root, *deep)
        if faults:
            raise Failed(f"{len(faults)} faults of {root.name} entries: {faults[0]}")

    def gets(self, what, by):
        """Seconds with few entries and with many, in turn; each is of another key."""
        seconds = {"few": [], "many": []}
        for turn in range(self.asked.rounds):
            for size in ("few", "many")[:: 1 if turn % 2 else -1]:
                root, count = getattr(self, size), getattr(self.asked, COUNTS[size])
                place = random.Random(turn).randrange(count // 2, count)
                said = self.step("get", root, place if what == "there" else -place - 1, by)
                if said["there"] != (what == "there"):
                    raise Failed(f"entry {place} of {count}, {what}: found: {said['there']}")
                seconds[size].append(said["seconds"])
        self.say(f"get: {what}, by {by}")
        return seconds

    def command(self, *words, root=None):
        """Seconds of `tensorcache …` as a process, and the most memory that it had."""
        words = [sys.executable, "-m", "tensorcache", *words, "--cache", root or self.many]
        started = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, words)), stdout=subprocess.DEVNULL, env=ENVIRONMENT, cwd=HERE
        )
        _, status, usage = os.wait4(process.pid, 0)  # which tells of this child alone
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        if process.returncode:
            raise Failed(f"tensorcache {words[3]} failed, see above")
        return {"seconds": seconds, "peak_bytes": usage.ru_maxrss * 1024}

    def dry_runs(self, limit):
        found = [
            self.command("vacuum", "--dry-run", "--max-size", limit)
            for _ in range(self.rounds(SOME))
        ]
        self.say("vacuum --dry-run")
        return found

    def puts(self):
        found = self.step("puts", self.many, 2 * self.asked.rounds)
        self.sound(self.many)
        return found

    def orphans(self):
        """Seconds of a `tensorcache vacuum` that removes them all."""
        root = self.scratch / "orphans"
        shutil.rmtree(root, ignore_errors=True)
        before = self.step("orphans", root, self.asked.orphans)
        took = self.command("vacuum", "--yes", root=root)
        after = self.step("orphans", root, 0)
        self.sound(root, "deep")
        if before - after != self.asked.orphans:
            raise Failed(f"vacuum removed {before - after} of {self.asked.orphans} orphans")
        return took


def options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--entries", type=int, default=MANY, metavar="N")
    parser.add_argument("--few", type=int, default=FEW, metavar="N", help="to compare with")
    parser.add_argument("--orphans", type=int, default=ORPHANS, metavar="N")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help="at most")
    parser.add_argument("--scratch", type=Path, default=REPO / "data", metavar="DIR")
    parser.add_argument("--to", type=Path, metavar="DIR", help="where the page goes, not to docs/")
    parser.add_argument("--keep", action="store_true", help="leave the roots, or take those")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
