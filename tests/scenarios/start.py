"""A start: a process that asks the cache for results, as a training run does once.

    python -m scenarios.start ROOT

Each line of its input is a question as JSON, each line of its output the answer. `Start` is the
other end of its pipes. What is built is a text: what the builder has read, so that whoever asks
can tell whether it is what is there now.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

REPO = Path(__file__).parents[2]
PATH = os.pathsep.join(map(str, (REPO, REPO / "tests", REPO / "scripts")))


class Start:
    """The pipes to one such process; threads that ask wait for their turn."""

    def __init__(self, root, cwd=None, **environment):
        self.root = os.path.abspath(root)
        inherited = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
        environment["PYTHONPATH"] = os.pathsep.join([PATH, *inherited])
        self._turn = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scenarios.start", self.root],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="ascii",
            cwd=cwd,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        )

    def ask(self, row, inputs="{}", source=None, build="reads", config=None, at_its_turn=int):
        """Ask, without waiting, for what no other row asks for.

        Inputs are an expression, or a config of script 3, as files and settings; a source is
        (path, level, tables). `at_its_turn` is called when nothing but asking is left to do.
        """
        question = {
            "row": row,
            "inputs": inputs,
            "source": source and [str(source[0]), *source[1:]],
            "build": build,
            "config": config and [list(map(str, part)) for part in config],
        }
        self._turn.acquire()
        at_its_turn()
        print(json.dumps(question), file=self._process.stdin, flush=True)

    def hear(self):
        """The answer: hit, published, why, value; or refused."""
        line = self._process.stdout.readline()
        self._turn.release()
        assert line, "the start has died"
        answer = json.loads(line)
        assert "failed" not in answer, answer["failed"]
        return answer

    def get(self, *asked, **named):
        self.ask(*asked, **named)
        return self.hear()

    def close(self):
        self._process.stdin.close()
        assert self._process.wait(20) == 0
        self._process.stdout.close()


def database(path, level, tables):
    """The source of a column of the matrix; `named` is logical with its tables named."""
    import tensorcache

    if level == "named":
        return tensorcache.database(path, level="logical", tables=tables)
    return tensorcache.database(path, level=level)


def main():
    import logging

    import tensorcache

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # one is kept for each database
    logging.getLogger("tensorcache").addHandler(logging.NullHandler())
    with tensorcache.open(sys.argv[1]) as cache:
        for line in sys.stdin:
            try:
                answer = answered(cache, **json.loads(line))
            except Exception as error:  # noqa: BLE001 - the asker's test fails, not this process
                answer = {"failed": repr(error)}
            print(json.dumps(answer), flush=True)


def answered(cache, row, inputs, source, build, config):
    import tensorcache

    sources = {}
    try:
        given = evaluated(inputs) if config is None else inputs_of(config)
        given["row"] = row
        if source is not None:
            sources["db"] = database(*source)
        entry = cache.get_or_build(
            given,
            lambda: {"value": built(build, given, source)},
            version="1",
            sources=sources,
            namespace="scenario",
        )
    except (tensorcache.TensorCacheError, BadConfig) as error:
        return {"refused": str(error)}
    value = None if build == "never" else entry["value"]  # which imports torch
    return {"hit": entry.hit, "published": entry.published, "why": entry.why, "value": value}


class BadConfig(Exception):
    """A config that script 3 refuses, in its words."""


def evaluated(inputs):
    import datetime as dt  # only the rows of inputs need these
    import enum
    from decimal import Decimal

    import numpy as np

    names = {"__name__": "row", "dt": dt, "Decimal": Decimal, "np": np, "Path": Path, "enum": enum}
    return eval(inputs, names)


def inputs_of(config):
    from model_a.config import batch_inputs, load_config  # pydantic: only these rows need it
    from model_a.errors import BadInput

    try:
        return batch_inputs(load_config(*config))
    except BadInput as error:
        raise BadConfig(str(error)) from None


def built(build, inputs, source):
    """What a builder reads, as text; one that `writes` does so first, through the same file."""
    from scenarios.contents import contents
    from scenarios.frozen import frozen

    if source is None:
        return repr(frozen(inputs))
    path, level, tables = source
    if build.startswith("INSERT"):
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute(build)
    return contents(path, tables if level == "named" else None, "ro" if build == "reads" else "rw")


if __name__ == "__main__":
    main()
