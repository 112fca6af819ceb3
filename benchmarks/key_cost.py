"""What a hit pays for its key: the version of code, the identity of a database, the key itself.

    python benchmarks/key_cost.py [MODULES] [DATABASE]

Makes a project of MODULES modules (30), each importing the next, and asks for the same key 50
times in one process, as an unchanged project. Prints the median and the worst in milliseconds, the
first ask, which parses, and how many modules were imported for it.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import tensorcache
from tensorcache import disk
from tensorcache.source import version_of

ASKS = 50
SETTLED_SECONDS = 2.1  # before that nothing is remembered of what was just written


def main():
    modules = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    sources = {"db": tensorcache.database(sys.argv[2])} if len(sys.argv) > 2 else {}
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "project")
        write(project, modules)
        sys.path.insert(0, str(project))
        time.sleep(SETTLED_SECONDS)
        version = tensorcache.code_version("timed.m0", depends_on=["torch"])
        with tensorcache.open(Path(folder, "cache")) as cache:
            memory = disk.Memory(disk.Root(cache.root), write=True)
            before = set(sys.modules)

            def ask():
                return cache.key({"n": 1}, version=version, sources=sources, namespace="t.cost")

            say("key, first ask", [seconds_of(ask)])
            say(
                "code version alone", [seconds_of(version_of, version, memory) for _ in range(ASKS)]
            )
            say("whole key", [seconds_of(ask) for _ in range(ASKS)])
            parts = version_of(version, memory).parts
        imported = [
            name for name in set(sys.modules) - before if name.startswith(("timed", "torch"))
        ]
        print(f"{len(parts)} parts; {len(imported)} of them imported")


def write(project, modules):
    body = "\n".join(f"def f{n}(x, y={n}):\n    return [x + {n}, y * {n}]\n" for n in range(40))
    (project / "timed").mkdir(parents=True)
    for n in range(modules):
        following = f"from timed import m{n + 1}\n" if n + 1 < modules else ""
        (project / "timed" / f"m{n}.py").write_text(f"import json\nimport torch\n{following}{body}")


def seconds_of(do, *args):
    started = time.perf_counter()
    do(*args)
    return time.perf_counter() - started


def say(what, seconds):
    median, worst = 1e3 * statistics.median(seconds), 1e3 * max(seconds)
    print(f"{what}: {median:.2f} ms, worst {worst:.2f} ms of {len(seconds)}")


if __name__ == "__main__":
    main()
