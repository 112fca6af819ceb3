"""The table of promises: what each rests on, and the figures that the last soak reached.

A promise here without figures, or figures without a promise, is an error: neither can go unsaid.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).parent / "results.json"  # of the last whole `make soak`


class Promise(NamedTuple):
    """A row of the table; its figures come from the run."""

    words: str
    rests_on: str


PROMISES = {
    "killed": Promise(
        "SIGKILL at any call that touches the cache: it opens, is whole, has lost nothing but what "
        "was under way, and `vacuum` leaves no rest",
        "the manifest's rename is the commit; locks of the kernel; notes",
    ),
    "killed twice": Promise(
        "the same, when what comes after the death is killed as well",
        "the same; every step may be made twice",
    ),
    "power cut": Promise(
        "power cut at any call: what was acknowledged is there, whole; nothing else is ever served",
        "fsync of files, directories and the manifest, in this order",
    ),
    "failed fsync": Promise(
        "after a failed fsync nothing is acknowledged, and it is not tried again",
        "the build is discarded",
    ),
    "failing calls": Promise(
        "a call that fails (no space, I/O error, too many open files, no permission): the caller "
        "has the value that was built, with one warning; nothing published is harmed",
        "`building/` is private; only bytes that do not match count as rot",
    ),
    "full": Promise(
        "at 0 bytes or 0 inodes free, or read-only: `get` works, `get_or_build` gives what it "
        "built, `vacuum` and `rm` work",
        "a hit needs to write nothing; manifests say what may go where rows cannot be written",
    ),
    "open files": Promise(
        "more entries open than the process may have files: all stay readable",
        "those touched longest ago give up their descriptors and open again by digest",
    ),
    "one build per key": Promise(
        "many ask for one key: one builds, the others wait for it and have it at once",
        "the lease, an flock on `building/<key>.lock`",
    ),
    "takeover": Promise(
        "the builder dies: a waiter takes over within a second, though a forked child lives on",
        "the kernel frees the lease; forked children close it",
    ),
    "interrupted": Promise(
        "interrupted, terminated or left by its builder at any moment: no half entry, no lease, no "
        "descriptor is left, and the builder's exception arrives unchanged",
        "descriptors are noted by the call that opens them; `building/<id>/` is nobody's by then",
    ),
    "forked at any moment": Promise(
        "a fork at any moment of a build, also in a signal's handler, takes no lock along",
        "locks are closed in the child before it does anything else",
    ),
    "forks": Promise(
        "a cache that is open works in forked children, while sixteen threads use it",
        "no fork while a thread is inside SQLite or between two halves of a lock",
    ),
    "64 committing": Promise(
        "64 processes publish at once: none fails, all is there",
        "the root lock, held for milliseconds; who has waited longest asks most often",
    ),
    "32 opening": Promise(
        "32 processes open a new root at once: all succeed",
        "the root lock, and a look for the marker inside it",
    ),
    "one migration": Promise(
        "32 processes meet an index that is to be made or upgraded: one does it",
        "the same; an upgrade is one SQL transaction",
    ),
    "readers": Promise(
        "read while others refresh, remove and vacuum: the old value, the new one or a miss",
        "descriptors are opened, locked, and then checked for their name",
    ),
    "frozen": Promise(
        "a writer or reader frozen at any call while others vacuum and remove: nothing is lost",
        "`building/<id>/` is locked; what is dropped is asked about under the root lock",
    ),
    "storm": Promise(
        "writers, readers and a vacuum killed at random: no acknowledged entry is lost",
        "all of the above",
    ),
    "clock": Promise(
        "the clock jumps by ten years: nothing live is evicted, no lease stays for ever",
        "leases have no clock; times that are to come are no times",
    ),
    "dict": Promise(
        "whatever is done in whatever order, with pieces and index broken in between: it answers "
        "as a dict would",
        "all of the above",
    ),
    "damaged": Promise(
        "a missing, short, swapped or flipped file is a miss, set aside and built anew, with one "
        "line; `verify` names each and goes on",
        "names are digests; manifests carry their own",
    ),
    "index lost": Promise(
        "the index lost or broken in any way: all entries are back from manifests and pins",
        "the index is a view of them",
    ),
    "index away": Promise(
        "the index locked, newer, unreadable or no file: the entry is published, with one warning",
        "a hit never meets it; a publication waits for it two seconds at most; notes",
    ),
    "planted links": Promise(
        "links planted anywhere in the root: nothing outside it is written or removed",
        "random names, `O_EXCL` and `O_NOFOLLOW`; folders that are links are refused",
    ),
    "modes": Promise(
        "files and directories have the modes that the umask asks for, the root 0700",
        "every file is made by us, none by a library",
    ),
    "mutants": Promise(
        "each of these promises is tested: faults seeded into the library are found",
        "`tests/mutants/`",
    ),
}


def last_results() -> dict[str, Any]:
    """Of the last whole run."""
    found: dict[str, Any] = json.loads(RESULTS.read_text("utf-8"))
    return found


def summed(lines: Iterable[str]) -> dict[str, dict[str, float]]:
    """The figures of every promise, from the lines of `scale.reached`."""
    figures: dict[str, dict[str, float]] = {}
    for line in lines:
        said: dict[str, Any] = json.loads(line)
        known = figures.setdefault(said.pop("promise"), {})
        for name, figure in said.items():
            worst = name.endswith("_seconds")
            known[name] = max(known.get(name, 0), figure) if worst else known.get(name, 0) + figure
    return figures


def table(results: dict[str, Any]) -> str:
    """Promises, what they rest on and what was reached, as a Markdown table.

    Raises:
        KeyError: a promise has no figures, or figures have no promise.
    """
    lines = [f"{_run(results)}\n", "| promise | it rests on | reached |", "| --- | --- | --- |"]
    figures = results["figures"]
    if unknown := figures.keys() ^ PROMISES.keys():
        raise KeyError(f"promises without figures, or figures without a promise: {unknown}")
    for name, promise in PROMISES.items():
        reached = ", ".join(_said(*figure) for figure in figures[name].items())
        lines.append(f"| **{name}**: {promise.words} | {promise.rests_on} | {reached} |")
    return "\n".join(lines) + "\n"


def _run(results: dict[str, Any]) -> str:
    faults, sample = results["faults"], results["sample"]
    return (
        f"The last whole run, of commit {results['commit']} on {results['machine']}: "
        f"{faults['minutes']} minutes with SOAK_HOURS={results['hours']:g}; "
        f"{faults['passed']} tests passed, none failed, {faults['skipped']} were skipped. "
        f"The sample within `make test` took {sample['minutes']} minutes."
    )


def _said(name: str, figure: float) -> str:
    if name.endswith("_seconds"):
        return f"{name.removesuffix('_seconds').replace('_', ' ')} {figure:.3g} s"
    return f"{figure:,} {name.replace('_', ' ')}"
