"""What must hold on any machine, for ours alone and at small sizes: counts rather than timings.

    python benchmarks/counts.py FOLDER

Says as JSON: `open` at 100 and at 3,000 batches (seconds, fresh processes in turn); at 3,000 bytes
on disk, of the distinct tensors and of the lists as msgpack; the peak of memory while it is put;
what four processes that hold it take; which heavy libraries a whole hit imports. The tests assert
these, so that `make test` needs none of the peers.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path

import figures
import payloads
import rounds
from peers import OURS

COUNTS = ("100", "3000")
TURNS = 4


def main():
    folder = Path(sys.argv[1])
    small = payloads.batches(10)
    counts = {}
    for name in COUNTS:
        payload = payloads.make(name)
        put = rounds.write(OURS.writer, payload, folder / name)
        counts["sizes"] = payloads.sizes(payload) | {"disk": rounds.folder_bytes(folder / name)}
    put = rounds.write(OURS.writer, payload, folder / "again", small)
    counts["peak"] = put["peak"]
    counts["open"] = opens({name: folder / name for name in COUNTS})
    counts["shared"] = figures.shared_memory(OURS, folder / COUNTS[-1])
    counts["modules"] = modules_of_a_hit(folder, small)
    print(json.dumps(counts))


def opens(folders):
    """Seconds of `open`, by name of the payload."""
    started = [(name, rounds.start("load", OURS, folders[name])) for name in COUNTS * TURNS]
    for _, process in started:
        rounds.wait_for(process, "ready")
    seconds = {name: [] for name in folders}
    for name, process in started:
        seconds[name].append(rounds.finish(process)["open"])
    return seconds


def modules_of_a_hit(folder, payload):
    """A source and a code version are identified, as script 3 does."""
    database = str(folder / "source.sqlite")
    with sqlite3.connect(database) as db:
        db.execute("CREATE TABLE t (x)")
    asked = folder / "hit", database, {"seed": 1}, "bench.batches", ["payloads"]
    figures.publish(*asked, payload)
    (hit,) = figures.hits(*asked, rounds=1)
    return hit["modules"]


if __name__ == "__main__":
    main()
