"""Every peer beside ours: the whole of docs/performance.md, from one run.

    make bench          # python benchmarks/run.py: at most 40 minutes, 10 GB of disk
    make bench-quick    # python benchmarks/run.py --quick: few peers, at most 4 minutes

Payload by payload, peer by peer: a peer writes, what it loads is compared with the payload once,
then rounds of ours and it are timed, and its files are removed before the next. A peer that fails
is a row with its error; if ours fails, that ends the run. The results are JSON; the page and its
plot are made from them alone. A quick run exits 1 where a count is missed (see targets.py).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path
from typing import NamedTuple

import figures
import machine
import page
import payloads
import plot
import real
import rounds
import targets
import torch
from peers import OURS, RAM, RIVALS, TORCH

REPO = Path(__file__).parents[1]
SLOW_SECONDS = 5  # what takes a peer longer is done less often: two loads, one write
SLOW_TURNS = 2
COLD_TURNS = 2
EVERY = tuple(peer.name for peer in (RAM, *RIVALS))
LONG = (TORCH.name, "safetensors load_file", "lmdb")
SOME = (RAM.name, "pickle 5 of numpy arrays", *LONG)
AT_20000 = tuple(name for name in EVERY if name != "torch.load()")  # 15 s, and nothing new
MAPPED = ("torch.load(weights_only=False, mmap=True)", "safetensors load_file", "lmdb")
LARGE = (TORCH.name, "joblib(mmap_mode='c')", "safetensors safe_open", *MAPPED)


class Plan(NamedTuple):
    """A payload; how often it is loaded and written; by which peers, which of them also cold.

    `counts`: also the growth of our `open`, what access costs, and our memory in four processes;
    `shared`: whose else. `compare`: what is loaded is compared with the payload before; every load
    is by its sums. A payload that is written once is not written in rounds with ours.
    """

    payload: str
    loads: int
    writes: int
    peers: tuple[str, ...] = EVERY
    cold: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    counts: bool = False
    compare: bool = True
    limit: int = rounds.LIMIT_SECONDS


FULL = (
    Plan("100", 15, 5),  # milliseconds: more of them tell more
    Plan("3000", 9, 5),
    Plan(
        "20000",
        5,
        5,
        AT_20000,
        cold=("pickle 5 of numpy arrays", *MAPPED),
        shared=("safetensors load_file", "lmdb"),
        counts=True,
    ),
    Plan("large", 5, 1, LARGE, cold=MAPPED),
    Plan("100000", 1, 1, LONG, compare=False, limit=120),
    Plan("real", 5, 5, SOME),
)
QUICK = (
    Plan("100", 3, 1, (RAM.name, *LONG)),
    Plan("3000", 3, 2, (RAM.name, TORCH.name, "lmdb")),
    Plan("20000", 3, 2, ("lmdb",), counts=True),
    Plan("real", 3, 1, (TORCH.name,)),
)


def main():
    asked = options()
    torch.set_num_threads(1)
    plans, needed = (QUICK, 3) if asked.quick else (FULL, 10)
    scratch = asked.scratch / "tensorcache-bench"
    scratch.mkdir(parents=True, exist_ok=True)
    lacking = machine.lacking(scratch, disk_gb=needed, memory_gb=needed)
    if lacking:
        print(f"bench: {lacking}", file=sys.stderr)
        return 2
    started = time.perf_counter()
    results = {"run": machine.described(scratch, quick=asked.quick), "rows": []}
    try:
        for plan in plans:
            shutil.rmtree(scratch, ignore_errors=True)
            Bench(plan, scratch, results, started).run()
    except rounds.Failed as failed:
        print(f"bench: tensorcache itself failed: {failed}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    results["run"]["seconds"] = time.perf_counter() - started
    written(results, asked)
    missed = targets.missed_counts(results) if asked.quick else []
    for line in missed:
        print(f"bench: missed: {line}", file=sys.stderr)
    return int(bool(missed))


def written(results, asked):
    """Results, page and plot; those of a quick run apart, for they are no page of docs/."""
    to = asked.to or (REPO / "outputs" / "bench-quick" if asked.quick else REPO / "docs")
    to.mkdir(parents=True, exist_ok=True)
    where = (to if asked.quick or asked.to else REPO / "benchmarks") / "results.json"
    where.write_text(page.dumped(results), "utf-8")
    results = page.loaded(where)
    (to / "performance.md").write_text(page.text(results), "utf-8")
    plot.draw(results, to / "performance.svg")
    print(f"bench: {results['run']['seconds'] / 60:.1f} minutes, see {to / 'performance.md'}")


class Bench:
    """One payload: rows are added to the results as they are known."""

    def __init__(self, plan, folder, results, started):
        self.plan, self.folder, self.started = plan, folder, started
        self.results, self.rows = results, results["rows"]
        self.ours = folder / "ours"
        self.small = payloads.batches(10)

    def run(self):
        self.folder.mkdir(parents=True)
        self.payload = self.made()
        self.sum = payloads.checksum(self.payload)
        self.say("made")
        self.first_put()
        if self.plan.counts:
            self.counts()
        for file, peers in self.families().items():
            self.family(file, peers)
            shutil.rmtree(self.folder / file, ignore_errors=True)
        shutil.rmtree(self.folder)

    def made(self):
        if self.plan.payload != "real":
            return payloads.make(self.plan.payload)
        league = real.League(self.folder)
        payload = league.payload()
        self.results["real"] = league.hits(payload)
        return payload

    def first_put(self):
        """Written by a process that has imported tensorcache and no more; then checked."""
        put = rounds.write(OURS.writer, self.payload, self.ours, limit=self.plan.limit)
        rounds.check(OURS, self.payload, self.ours, self.plan.limit)
        sizes = payloads.sizes(self.payload) | {"disk": rounds.folder_bytes(self.ours)}
        self.row("payload", OURS, sizes=sizes, first_put=put)

    def counts(self):
        few = self.folder / "few"
        rounds.write(OURS.writer, payloads.make("100"), few)
        folders = {"100": few, self.plan.payload: self.ours}
        self.row("growth", OURS, opens=figures.opens(OURS, folders, 1 + self.plan.loads))
        self.row("access", OURS, access=figures.access(OURS, self.ours))
        self.row("memory", OURS, shared=figures.shared_memory(OURS, self.ours))

    def families(self):
        """Peers by the file that writes what they load."""
        families = {}
        for peer in (RAM, *RIVALS):
            if peer.name in self.plan.peers:
                families.setdefault(peer.writer, []).append(peer)
        return families

    def family(self, file, peers):
        failed = self.writes(file, peers)
        if failed:
            for peer in peers:
                self.row("load", peer, error=f"write: {failed}")
            return
        peers = [peer for peer in peers if self.is_right(file, peer)]
        peers = self.loads(file, peers, "load", self.plan.loads)
        cold = [peer for peer in peers if peer.name in self.plan.cold]
        self.loads(file, cold, "cold", min(COLD_TURNS, self.plan.loads))
        for peer in peers:
            if peer.name in self.plan.shared:
                self.row("memory", peer, shared=figures.shared_memory(peer, self.folder / file))

    def writes(self, file, peers):
        """Rounds of ours and theirs, the files of their last one stay; the Failed of theirs."""
        pairs = []
        alone = self.plan.writes == 1 or RAM in peers
        for turn in range(1 if alone else self.plan.writes):
            if turn and TORCH not in peers and is_slow(pairs, "durable"):
                break
            order = ("ours", "peer")[:: 1 if turn % 2 else -1]
            pair = {who: self.put(who, file) for who in (order[:1] if alone else order)}
            if isinstance(pair["peer"], rounds.Failed):
                return pair["peer"]
            pairs.append(pair)
        shutil.rmtree(self.folder / "again", ignore_errors=True)
        disk = rounds.folder_bytes(self.folder / file)
        for peer in peers:
            self.row("write", peer, disk=disk, **by_step(pairs))
        return None

    def put(self, who, file):
        """What one write took. Theirs may fail; ours may not."""
        folder = self.folder / ("again" if who == "ours" else file)
        shutil.rmtree(folder, ignore_errors=True)
        if who == "ours":
            return rounds.write(OURS.writer, self.payload, folder, self.small, self.plan.limit)
        return rounds.attempt(rounds.write, file, self.payload, folder, self.small, self.plan.limit)

    def is_right(self, file, peer):
        """Whether what a peer loads is what it was given; else that is its row."""
        if self.plan.compare and peer != RAM:
            folder = self.folder / file
            failed = rounds.attempt(rounds.check, peer, self.payload, folder, self.plan.limit)
            if failed:
                self.row("load", peer, error=str(failed))
                return False
        return True

    def loads(self, file, peers, what, turns):
        """Rounds of ours and theirs; the peers that came through."""
        pairs = {peer: [] for peer in peers}
        for turn in range(turns):
            asked = [
                peer
                for peer, done in pairs.items()
                if turn < SLOW_TURNS or peer == TORCH or not is_slow(done, "full")
            ]
            if not asked:
                break
            places = {OURS: self.ours} | dict.fromkeys(asked, self.folder / file)
            outcome = rounds.load_round(
                places, turn=turn, cold=what == "cold", limit=self.plan.limit
            )
            ours = self.checked(outcome[OURS])
            for peer in asked:
                try:
                    pairs[peer].append({"ours": ours, "peer": self.checked(outcome[peer])})
                except rounds.Failed as failed:
                    self.row(what, peer, error=str(failed))
                    del pairs[peer]
        for peer, done in pairs.items():
            self.row(what, peer, **by_step(done))
        return list(pairs)

    def checked(self, seconds):
        """The seconds of a load whose sums are right.

        Raises:
            Failed: they are not, or the load failed.
        """
        if isinstance(seconds, rounds.Failed):
            raise seconds
        if abs(seconds["sum"] - self.sum) > 1e-11 * abs(self.sum):
            raise rounds.Failed(f"the sums are {seconds['sum']}, not {self.sum}")
        return {step: one for step, one in seconds.items() if step != "sum"}

    def row(self, what, peer, **values):
        if "error" in values:  # whose files have no place on a page
            values["error"] = values["error"].replace(str(self.folder), "…")
        self.rows.append({"payload": self.plan.payload, "what": what, "peer": peer.name, **values})
        self.say(f"{what} {peer.name} {values.get('error', '')}")

    def say(self, what):
        minutes = (time.perf_counter() - self.started) / 60
        print(f"{minutes:5.1f} min  {self.plan.payload}: {what}", flush=True)


def is_slow(pairs, step):
    return pairs[0]["peer"][step] > SLOW_SECONDS


def by_step(pairs):
    """Rounds as lists: {"ours_seconds": {"open": [...]}, "peer_seconds": {...}}."""
    return {
        f"{who}_seconds": {step: [pair[who][step] for pair in pairs] for step in pairs[0][who]}
        for who in pairs[0]
    }


def options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few peers, fewer rounds")
    parser.add_argument(
        "--scratch", type=Path, default=REPO / "data", metavar="DIR", help="where peers write"
    )
    parser.add_argument("--to", type=Path, metavar="DIR", help="where the page goes, not to docs/")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
