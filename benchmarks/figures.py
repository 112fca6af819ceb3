"""Figures that are no round of ours and a peer: memory shared, whole hits, the command line."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from rounds import ENVIRONMENT, HERE, Failed, finish, in_child, one_line, start, wait_for

SCRIPTS = HERE.parent / "scripts"
PROCESSES = 4


def shared_memory(peer, folder):
    """For each of four processes that hold the payload at once: what holding it adds to its memory.

    Bytes: `uss`, memory of its own; `pss`, that and its share of what several have.
    """
    processes = [start("share", peer, folder) for _ in range(PROCESSES)]
    try:
        for process in processes:
            wait_for(process, "ready")
        before = [memory_of(process) for process in processes]
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            wait_for(process, "holding")
        after = [memory_of(process) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [
        {name: now[name] - then[name] for name in now}
        for now, then in zip(after, before, strict=True)
    ]


def memory_of(process):
    text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    kib = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines()[1:]}
    own = kib["Private_Clean"] + kib["Private_Dirty"]
    return {"uss": 1024 * own, "pss": 1024 * kib["Pss"]}


def opens(peer, folders, turns):
    """Seconds of `open` by the folders' names: fresh processes, in turn through the folders."""
    started = [(name, start("open", peer, folders[name])) for name in list(folders) * turns]
    for _, process in started:
        wait_for(process, "ready")
    seconds = {name: [] for name in folders}
    for name, process in started:
        seconds[name].append(finish(process)["open"])
    return seconds


def access(peer, folder):
    """Microseconds per batch: at random, walked through, walked through when kept."""
    process = start("access", peer, folder)
    wait_for(process, "ready")
    return finish(process)


def hits(root, database, inputs, namespace, modules, rounds):
    """Whole hits, each in a fresh process that has imported torch."""
    words = [root, database, json.dumps(inputs), namespace, *modules]
    environment = ENVIRONMENT | {"PYTHONPATH": str(SCRIPTS)}
    return [json.loads(said_by(["hit.py", *words], environment)) for _ in range(rounds)]


def said_by(words, environment):
    ran = subprocess.run(
        [sys.executable, HERE / words[0], *words[1:]],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if ran.returncode:
        raise Failed(one_line(ran.stderr.strip().splitlines()[-1]))
    return ran.stdout


def publish(root, database, inputs, namespace, modules, payload):
    """Put an entry there for `hits`, in a child: this process shall not have used a cache."""
    in_child(_publish, root, database, inputs, namespace, modules, payload)


def _publish(root, database, inputs, namespace, modules, payload):
    import tensorcache

    with tensorcache.open(root) as cache:
        cache.get_or_build(
            inputs,
            lambda: payload,
            version=tensorcache.code_version(*modules),
            sources={"db": tensorcache.database(database)},
            namespace=namespace,
        )


def listing(root, rounds):
    """Seconds of `tensorcache ls` as a process, and whether it imported torch."""
    command = [Path(sys.executable).with_name("tensorcache"), "ls", "--cache", root]
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=ENVIRONMENT)
        seconds.append(time.perf_counter() - started)
    traced = subprocess.run(
        [sys.executable, "-X", "importtime", *command],
        check=True,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    imported = {line.rpartition("|")[2].strip() for line in traced.stderr.splitlines()}
    return {"seconds": seconds, "torch": "torch" in imported}
