"""Laws 1 and 9: while a process stands still at any call, others neither harm it nor are harmed.

A frozen writer that holds the root lock makes the others wait; hits wait for nobody.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from deeds import begin, code_of, is_whole, key_of
from roots import PREAMBLE, get, hit, names_in, rows, same
from scale import IS_SOAK, reached, some

import tensorcache
from tensorcache import disk

SAMPLE = 4  # calls at which each deed is frozen within `make test`
# A get that tells, by its exit code, whether it had the old value, the new one or none, and whole.
READ = f"""{PREAMBLE}
import logging
from deeds import key_of
from roots import same
said = []
heard = logging.Handler(logging.WARNING)
heard.emit = lambda line: said.append(line.getMessage())
logging.getLogger("tensorcache").addHandler(heard)
cache = tensorcache.open(ROOT)
entry = cache.get(key_of(cache, 2))
if entry is not None:
    same(entry, len(entry["names"]))
    assert len(entry["names"]) in (2, 12)
logging.getLogger("tensorcache").removeHandler(heard)
assert said == [], said
"""


def vacuum_all(cache):
    cache.vacuum(grace_seconds=0)


def vacuum_as_by_default(cache):
    cache.vacuum()


def remove_others(cache):
    """All that holds the pieces which the writer is to share."""
    for n in (1, 2):
        with contextlib.suppress(tensorcache.EntryMissing):
            cache.remove(key_of(cache, n))
    cache.vacuum(grace_seconds=0)


def remove(cache):
    with contextlib.suppress(tensorcache.EntryMissing):
        cache.remove(key_of(cache, 2))


def refresh(cache):
    get(cache, 2, refresh=True)


def evict(cache):
    cache.vacuum(max_bytes=1, grace_seconds=0)


def telling(code, file):
    """The code, which writes into a file how it failed."""
    lines = "\n".join(f"    {line}" for line in code.splitlines())
    return (
        f"import traceback\ntry:\n{lines}\nexcept BaseException:\n"
        f"    open({str(file)!r}, 'w').write(traceback.format_exc())\n    raise"
    )


def is_locked(root):
    with open(root / "lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def parted(nurse, code, root):
    """The calls that a child makes without the root lock, and with it."""
    calls = nurse.calls(code, root)
    made = [
        line
        for line in nurse.said().splitlines()
        if re.match(r"\d+ +\w+\(", line) and str(root) in line
    ]
    free, held, holds = [], [], False
    for call, line in zip(calls, made, strict=True):
        if f"{root}/lock>" in line and call.name in ("flock", "close"):
            holds = call.name == "flock"
        (held if holds else free).append(call)
    return free, held


def is_read(root):
    """Whether somebody stands still in the middle of a question to the index."""
    with contextlib.closing(sqlite3.connect(root / "index.sqlite", timeout=0)) as index:
        try:
            index.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            return True
    return False


def beside(nurse, code, call, root, meanwhile):
    """Freeze a child at a call, do something meanwhile, and let it go on; whether that waited."""
    with ThreadPoolExecutor(1) as pool, tensorcache.open(root) as cache:
        with nurse.frozen_at(code, *call) as child:
            waits = is_locked(root)
            reads = not waits and is_read(root)
            doing = pool.submit(meanwhile, cache)
            if waits:
                time.sleep(0.03)
                assert not doing.done()
            elif not reads:  # else its rows have to wait
                doing.result(timeout=20)
        doing.result(timeout=20)
    return child, waits


CASES = [
    ("put", vacuum_all),
    ("put", vacuum_as_by_default),
    ("put", remove_others),
    ("get_or_build", vacuum_all),
    ("get_or_build", vacuum_as_by_default),
    ("get_or_build", remove_others),
    ("refresh", vacuum_all),
    ("refresh", vacuum_as_by_default),
    ("remove", vacuum_all),
    ("pin", vacuum_all),
]


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize(("deed", "meanwhile"), CASES)
def test_a_writer_frozen_at_any_call_loses_nothing(deed, meanwhile, nurse, seed, shm):
    root, file = shm / "cache", shm / "failed"
    code = telling(code_of(deed, root), file)
    begin(deed, root, seed)
    free, held = parted(nurse, code, root)
    calls = [*some(free, SAMPLE), *held[:: 1 + len(held) // (10 if IS_SOAK else 1)]]
    if meanwhile is vacuum_as_by_default:
        calls = calls[::4]  # it differs from the other in what it evicts alone
    if meanwhile is remove_others:
        calls = calls[::2]
    waited = 0
    for call in calls:
        begin(deed, root, seed)
        child, waits = beside(nurse, code, call, root, meanwhile)
        waited += waits
        assert child.exit_code == 0, (call, file.read_text())
        with tensorcache.open(root) as cache:
            assert cache.verify(deep=True) == []
            if deed == "remove":
                assert key_of(cache, 2) not in cache
            elif deed == "refresh":
                same(hit(cache, 2), 12)
            elif deed == "pin":
                key = key_of(cache, 1).digest
                assert rows(root, "SELECT key, pinned FROM entry WHERE pinned NOTNULL") == [
                    (key, "keep")
                ]
            else:
                same(hit(cache, 3), 3)
        is_whole(root, "remove" if meanwhile is remove_others else deed)
    reached("frozen", cases=len(calls), waited=waited, lost=0)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("meanwhile", [remove, refresh, evict])
def test_a_reader_frozen_at_any_call_gets_the_old_value_the_new_one_or_none(
    meanwhile, nurse, seed, shm
):
    root, file = shm / "cache", shm / "failed"
    code = telling(f"ROOT = {str(root)!r}\n{READ}", file)
    begin("get", root, seed)
    calls = some(nurse.calls(code, root), 2 * SAMPLE)
    for call in calls:
        begin("get", root, seed)
        child, waits = beside(nurse, code, call, root, meanwhile)
        assert child.exit_code == 0, (call, file.read_text())
        assert not waits  # a reader holds no lock that others need
        is_whole(root, "vacuum")
    reached("frozen", cases=len(calls), lost=0)


@pytest.mark.slow
def test_an_entry_removed_before_its_pin_is_not_pinned(nurse, seed, shm):
    root, file = shm / "cache", shm / "failed"
    code = telling(code_of("pin", root), file)
    begin("pin", root, seed)
    free, _ = parted(nurse, code, root)
    for call in (free[-2], *some(free, SAMPLE)):  # that one opens the lock
        file.unlink(missing_ok=True)
        begin("pin", root, seed)
        child, _ = beside(nurse, code, call, root, remove_others)
        assert child.exit_code == 0 or "EntryMissing" in file.read_text()
        assert names_in(root, "pins") == names_in(root, "entries") == set()
        is_whole(root, "remove")


def wait_in_vain(cache):
    if IS_SOAK:  # its whole patience
        cache.vacuum(grace_seconds=0)
    with disk.locked(disk.Root(cache.root), 0.2):
        pass


@pytest.mark.slow
def test_a_vacuum_beside_one_who_holds_the_lock_ends_in_time_and_harms_nothing(nurse, seed, shm):
    root = shm / "cache"
    code = code_of("put", root)
    begin("put", root, seed)
    calls = nurse.calls(code, root)
    rename = [call for call in calls if call.name == "rename"][-1]  # of the manifest, or after
    begin("put", root, seed)
    with nurse.frozen_at(code, *rename) as child:
        assert is_locked(root)
        with tensorcache.open(root) as cache:
            began = time.monotonic()
            same(hit(cache, 1), 1)
            assert time.monotonic() - began < 1
            with pytest.raises(tensorcache.LeaseTimeout, match="is a process stopped"):
                wait_in_vain(cache)
    assert child.exit_code == 0
    with tensorcache.open(root) as cache:
        same(hit(cache, 3), 3)
    is_whole(root, "put")
    assert not os.path.exists(Path(root, "quarantine"))
