"""What one fresh process does: it loads what a peer wrote, and says how long each step took.

    python benchmarks/fresh.py load|open|share|access PEER FOLDER

Imports done (and, for ours, the cache object made) it says `ready` and waits for a line.

load    loads, and says seconds from the start of the load as a line of JSON:
            open     the payload is at hand: all of it, or what reads it when asked
            first    the first batch is there
            touched  every tensor is summed, by the same torch operation for every peer
            full     every list is decoded as well
open    loads, and says the seconds of that alone
share   loads and touches as well, says `holding`, and holds it until its input ends
access  says microseconds per batch of a list that is open: at random, walked through, kept
"""

from __future__ import annotations

import gc
import json
import os
import random
import statistics
import sys
import time
from pathlib import Path

import torch
from payloads import BATCHES, batches, checksum, lists_of
from peers import PEERS, import_peer


def main():
    what, name, folder = sys.argv[1:]
    torch.set_num_threads(1)
    peer = PEERS[name]
    module = import_peer(peer.file)
    load = getattr(module, peer.load)
    place = module.ready(Path(folder)) if hasattr(module, "ready") else Path(folder)
    # What torch sets up when it first sums (it reads /proc/cpuinfo) is no part of a load.
    torch.ones(9).sum().item()
    if what == "share":
        checksum(batches(10))  # nor is the memory that it takes
    say("ready")
    sys.stdin.readline()
    {"load": timed, "open": opened, "share": share, "access": access}[what](load, place)
    os._exit(0)  # to free a hundred thousand tensors is no part of this


def timed(load, place):
    gc.collect()
    marks = {"start": time.perf_counter()}
    sections = load(place)
    marks["open"] = time.perf_counter()
    first_of(sections)
    marks["first"] = time.perf_counter()
    total = checksum(sections)
    marks["touched"] = time.perf_counter()
    lists = lists_of(sections)
    marks["full"] = time.perf_counter()
    start = marks.pop("start")
    say(json.dumps({name: at - start for name, at in marks.items()} | {"sum": total}))
    del lists


def opened(load, place):
    gc.collect()
    started = time.perf_counter()
    sections = load(place)
    say(json.dumps({"open": time.perf_counter() - started, "sections": len(sections)}))


def share(load, place):
    sections = load(place)
    checksum(sections)
    say("holding")
    sys.stdin.read()


def access(load, place):
    sections = load(place)
    lists = [sections[name] for name in BATCHES if name in sections]
    order = list(range(len(lists[0])))
    random.Random(1).shuffle(order)
    checksum(sections)  # every page is there
    kept = [list(one) for one in lists]
    count = sum(map(len, lists))
    say(
        json.dumps(
            {
                "random": per(
                    len(order), lambda: [lists[0][position] and None for position in order]
                ),
                "walked": per(count, lambda: [walk(one) for one in lists]),
                "kept": per(count, lambda: [walk(one) for one in kept]),
            }
        )
    )


def walk(batches_of_a_list):
    for one in batches_of_a_list:
        for _ in one.values():
            pass


def per(count, do):
    """Microseconds for each of `count`, the median of seven times."""
    seconds = []
    for _ in range(7):
        gc.collect()
        started = time.perf_counter()
        do()
        seconds.append(time.perf_counter() - started)
    return 1e6 * statistics.median(seconds) / count


def first_of(sections):
    return next(sections[name] for name in BATCHES if name in sections)[0]


def say(line):
    print(line, flush=True)


if __name__ == "__main__":
    main()
