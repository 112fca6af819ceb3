"""Rounds: ours and some peers, one after the other, taking turns to be first.

Every load is a process of its own that has just started. Those of a round start together, import
while nothing is timed, and then load while the others wait. Writes happen in forked children of
the process that made the payload. A ratio is taken within a round, so that what disturbs the
machine disturbs both.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgpack
import payloads
import torch
from peers import import_peer

HERE = Path(__file__).parent
LIMIT_SECONDS = 45  # for each step of a peer
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    # Python files are compiled once, as they are where they are installed.
    if name != "PYTHONDONTWRITEBYTECODE" and not name.startswith("TENSORCACHE")
} | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}


class Failed(Exception):
    """What a peer could not do, in one line."""


def in_child(do, *args, limit=LIMIT_SECONDS):
    """What `do(*args)` gives, in a forked child: it has the payload, and leaves nothing behind.

    Raises:
        Failed: it raised, died or took too long.
    """
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=_answer, args=(send, do, args))
    child.start()
    send.close()
    try:
        there = receive.poll(limit)
        worked, answer = receive.recv() if there else (False, f"not done in {limit} s")
    except EOFError:
        child.join()
        worked, answer = False, died(child.exitcode)
    finally:
        child.kill()
        child.join()
    if not worked:
        raise Failed(answer)
    return answer


def _answer(send, do, args):
    try:
        send.send((True, do(*args)))
    except BaseException as error:  # noqa: BLE001 - a peer may fail in any way: that is a row
        send.send((False, one_line(f"{type(error).__name__}: {error}")))
    os._exit(0)


def one_line(text):
    return " ".join(text.split())[:160]


def write(file, payload, folder, small=None, limit=LIMIT_SECONDS):
    """Write a payload durably, in a forked child: seconds, and the peak of memory meanwhile.

    `small`: a payload that is written first, so that all is imported and has run once.
    """
    folder.mkdir(parents=True)
    os.sync()  # what was removed before is no part of this
    return in_child(_write, file, payload, folder, small, limit=limit)


def _write(file, payload, folder, small):
    torch.set_num_threads(1)
    module = import_peer(file)
    if small:
        warm_up(module, folder, small)
    # A forked child copies a page when it first counts a reference there: now, not while timed.
    for tensor in payloads.tensors_of(payload):
        tensor.numpy()
    msgpack.packb(payloads.lists_of(payload))
    gc.collect()
    begin_peak()
    before = memory_bytes("VmRSS")
    started = time.perf_counter()
    module.write(payload, folder)
    written = time.perf_counter()
    if not getattr(module, "DURABLE", False):
        sync(folder)
    durable = time.perf_counter()
    peak = memory_bytes("VmHWM") - before
    return {"write": written - started, "durable": durable - started, "peak": peak}


def warm_up(module, folder, small):
    if hasattr(module, "warm"):
        module.warm(folder, small)
    else:
        beside = folder.with_name(f"{folder.name}-small")
        beside.mkdir()
        module.write(small, beside)
        shutil.rmtree(beside)


def begin_peak():
    """From here on VmHWM is the most memory since now."""
    Path("/proc/self/clear_refs").write_text("5")


def memory_bytes(name):
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) * 1024


def sync(folder):
    """What it takes for the files to survive a power cut: each of them, and each directory."""
    for path in [folder, *folder.rglob("*")]:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def bring_in(folder):
    """Have the files in the page cache: a system may take out what was idle for seconds."""
    buffer = bytearray(1 << 22)
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb", buffering=0) as file:
                while file.readinto(buffer):
                    pass


def drop(folder):
    """Put the files out of this machine's page cache; whether that worked."""
    largest = max((path for path in folder.rglob("*") if path.is_file()), key=size_bytes)
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
    return not in_page_cache(largest)


def in_page_cache(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.preadv(descriptor, [bytearray(1)], 0, os.RWF_NOWAIT)
    except OSError:  # EAGAIN: it would have to be read; else, nobody can tell
        return False
    finally:
        os.close(descriptor)
    return True


def size_bytes(path):
    return path.stat().st_size


def folder_bytes(folder):
    return sum(size_bytes(path) for path in folder.rglob("*") if path.is_file())


def check(peer, payload, folder, limit=LIMIT_SECONDS):
    """Compare what a peer loads with what it was given.

    Raises:
        Failed: it could not load, or gave something else.
    """
    found = in_child(_differences, peer, payload, folder, limit=limit)
    if found:
        raise Failed(f"not what was written: {found}")


def _differences(peer, payload, folder):
    torch.set_num_threads(1)
    module = import_peer(peer.file)
    place = getattr(module, "ready", lambda folder: folder)(folder)
    return payloads.differences(payload, getattr(module, peer.load)(place))


def load_round(places, *, turn, cold=False, limit=LIMIT_SECONDS):
    """Every peer of `places` ({peer: folder}) loads once; by peer its seconds, or how it failed.

    The processes start together, and import while nothing is timed.
    """
    peers = list(places)
    peers = peers[turn % len(peers) :] + peers[: turn % len(peers)]
    started = {peer: start("load", peer, places[peer]) for peer in peers}
    outcome = {}
    try:
        for peer, process in started.items():
            outcome[peer] = attempt(wait_for, process, "ready")
        for peer, process in started.items():
            if not isinstance(outcome[peer], Failed):
                (drop if cold else bring_in)(places[peer])
                outcome[peer] = attempt(finish, process, limit)
    finally:
        for process in started.values():
            process.kill()
            process.wait()
    return outcome


def attempt(do, *args):
    """What it gives, or the Failed that it raises."""
    try:
        return do(*args)
    except Failed as failed:
        return failed


def start(what, peer, folder):
    """A fresh process that will load when it is told to."""
    return subprocess.Popen(
        [sys.executable, HERE / "fresh.py", what, peer.name, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )


def wait_for(process, word):
    """Until it says this word.

    Raises:
        Failed: it says something else, or nothing.
    """
    said = process.stdout.readline().strip()
    if said != word:
        process.kill()
        raise Failed(why(process, process.stderr.read()))


def finish(process, limit=LIMIT_SECONDS):
    """Tell it to load; its seconds."""
    try:
        said, complained = process.communicate("go\n", limit)
    except subprocess.TimeoutExpired:
        raise Failed(f"not done in {limit} s") from None
    if process.returncode or not said.strip():
        raise Failed(why(process, complained))
    return json.loads(said)


def why(process, complained):
    lines = complained.strip().splitlines()
    code = process.wait()
    return one_line(lines[-1]) if lines else died(code)


def died(code):
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
