"""A whole hit in a process that has just imported torch, as script 3 has one.

    python benchmarks/hit.py ROOT DATABASE INPUTS NAMESPACE MODULE...

Says as JSON: seconds from `import tensorcache` to the entry and to its first batch (version and
source identified, key made), and which heavy libraries are in `sys.modules` then.
"""

from __future__ import annotations

import json
import sys
import time

import torch  # noqa: F401 - a training script has it

HEAVY = ("sqlalchemy", "alembic", "sqlite3", "pandas", "typer", "rich")


def main():
    root, database, inputs, namespace, *modules = sys.argv[1:]
    started = time.perf_counter()
    import tensorcache

    with tensorcache.open(root) as cache:
        entry = cache.get_or_build(
            json.loads(inputs),
            not_there,
            version=tensorcache.code_version(*modules),
            sources={"db": tensorcache.database(database)},
            namespace=namespace,
        )
    found = time.perf_counter()
    entry["oof_batches"][0]
    first = time.perf_counter()
    modules = [name for name in HEAVY if name in sys.modules]
    print(json.dumps({"hit": found - started, "first": first - started, "modules": modules}))


def not_there():
    raise LookupError("this was to be a hit")


if __name__ == "__main__":
    main()
