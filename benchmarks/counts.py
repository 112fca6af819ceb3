"""What must hold on any machine, for ours alone and at small sizes: counts rather than timings.

    python benchmarks/counts.py FOLDER

Says as JSON: `open` at 100 and at 20,000 batches (seconds, fresh processes in turn); at 10,000
bytes on disk, of the distinct tensors and of the lists as msgpack; the peak of memory while it is
put; what four processes that hold it take; which heavy libraries a whole hit imports, and whether
`tensorcache ls` imports torch. The tests assert these: `make test` needs none of the peers.
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

FEW, MANY = "100", "20000"
TURNS = 3


def main():
    folder = Path(sys.argv[1])
    small = payloads.batches(10)
    for name in (FEW, MANY):
        payload = payloads.make(name)
        put = rounds.write(OURS.writer, payload, folder / name, small)
    counts = {
        "peak": put["peak"],
        "sizes": payloads.sizes(payload) | {"disk": rounds.folder_bytes(folder / MANY)},
        "open": figures.opens(OURS, {name: folder / name for name in (FEW, MANY)}, TURNS),
        "shared": figures.shared_memory(OURS, folder / MANY),
        "modules": modules_of_a_hit(folder, small),
        "ls": figures.listing(folder / FEW, rounds=1),
    }
    print(json.dumps(counts))


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
