"""Law 9 with few descriptors: many entries stay open, and who has none left gets what is built."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from forks import Fork, open_below
from processes import ran
from roots import PREAMBLE, get
from scale import IS_SOAK, reached

import tensorcache
from tensorcache import disk
from tensorcache.manifest import to_bytes

ENTRIES = 5_000
PIECES = 90  # of a wide entry: more than one may keep open where 256 are all
LIMIT = 256
TURNS = 150 if IS_SOAK else 50  # of each thread

BEGIN = f"""{PREAMBLE}
import errno, json, logging, os, random, resource, threading
from roots import build_fails, hit, same
resource.setrlimit(resource.RLIMIT_NOFILE, ({LIMIT}, {LIMIT}))
said = []
class Said(logging.Handler):
    def emit(self, record): said.append(record.getMessage())
logging.getLogger("tensorcache").addHandler(Said(logging.WARNING))
cache = tensorcache.open(sys.argv[1])
def descriptors(): return len(os.listdir("/proc/self/fd"))
def copy(i):
    return cache.get_or_build(
        {{"n": i % 8, "copy": i}}, build_fails, version="1", namespace="t.laws"
    )
def wide(n):
    def build(): return {{f"s{{i}}": torch.full((3,), 1000.0 * n + i) for i in range({PIECES})}}
    return cache.get_or_build({{"wide": n}}, build, version="1", namespace="t.laws")
def is_wide(entry, n):
    return all(entry[f"s{{i}}"][0] == 1000 * n + i for i in range({PIECES}))
"""

MANY = f"""{BEGIN}
entries = [copy(i) for i in range({ENTRIES})]
most = descriptors()
for i, entry in enumerate(entries):
    same(entry, i % 8)
for i in random.sample(range({ENTRIES}), 500):
    same(entries[i], i % 8)
print(json.dumps([len(entries), most, descriptors(), said]))
"""

THREADS = f"""{BEGIN}
for n in range(4): assert wide(n).published
entries = [copy(i) for i in range(300)]
failed = []
def use(seed):
    turns = random.Random(seed)
    try:
        for turn in range({TURNS}):
            i = turns.randrange(300)
            same(entries[i], i % 8)
            same(copy(i), i % 8)
            if turn % 5 == 0:
                n = turns.randrange(4)
                entry = wide(n)
                assert entry.hit
                assert is_wide(entry, n)
    except BaseException as error:
        failed.append(repr(error))
        raise
threads = [threading.Thread(target=use, args=(seed,)) for seed in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps([failed, said]))
"""

HOARD = f"""{BEGIN}
import gc
get(cache, 9)
def hoard(left):
    files = []
    try:
        while True: files.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        assert error.errno == errno.EMFILE
    for file in files[:left]: os.close(file)
    return files[left:]
def let_go(files):
    for file in files: os.close(file)
idle = [copy(i) for i in range(40)]
mine = hoard(0)
same(hit(cache, 1), 1)        # idle entries give theirs up
same(idle[0], 0)
let_go(mine)
assert said == [], said
del idle
gc.collect()
mine = hoard(0)
built = get(cache, 2)         # nobody has any to give
same(built, 2)
let_go(mine)
assert len(said) == 1, said
assert not built.published and not built.hit
mine = hoard(6)
few = hit(cache, 3)
same(few, 3)
let_go(mine)
assert len(said) == 1, said
same(hit(cache, 2), 2)
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def copies(shm):
    """A root of 8 entries, and of 5,000 more that share what they hold.

    Only the manifests are made, for to publish so many takes a minute.
    """
    path = shm / "copies"
    root = disk.Root(str(path))
    with tensorcache.open(path) as cache:
        manifests = [disk.read_manifest(root, get(cache, n).key.digest) for n in range(8)]
        for i in range(ENTRIES):
            key = cache.key({"n": i % 8, "copy": i}, version="1", namespace="t.laws")
            manifest = manifests[i % 8]._replace(key=key.digest, identity=key.text)
            place = Path(disk.manifest_path(root, key.digest))
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(to_bytes(manifest))
    yield path
    os.unlink(path / "index.sqlite")  # made of what was published, which the copies are not
    with tensorcache.open(path) as cache:
        assert cache.verify(deep=True) == []
    assert not (path / "quarantine").exists()


def told(code, root):
    done = ran(sys.executable, "-c", code, root, seconds=250)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.mark.slow
def test_thousands_of_entries_stay_open_with_few_descriptors(copies):
    entries, most, last, said = told(MANY, copies)

    assert entries == ENTRIES
    assert max(most, last) < LIMIT
    assert said == []
    reached("open files", entries=entries)


@pytest.mark.slow
def test_threads_that_open_much_at_once_are_not_in_each_others_way(copies):
    assert told(THREADS, copies) == [[], []]


@pytest.mark.slow
def test_a_program_without_descriptors_gets_what_is_built_and_one_warning(copies):
    (said,) = told(HOARD, copies)

    assert "Too many open files" in said


def held(cache, n):
    """The files of an entry, open, and the digest of one of its pieces."""
    key = get(cache, n).key.digest
    root = disk.Root(cache.root)
    found = disk.hold(root, key, disk.Memory(root, write=False), "once")
    return found, found.manifest.pieces[0][1].digest


def wait_for_descriptors(root):
    """Use one entry where no descriptor is left, and close another meanwhile; how long that took.

    Returns the errno of the use too, and how long it waited.
    """
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    cache = tensorcache.open(root)
    (one, digest), (idle, _) = held(cache, 1), held(cache, 2)
    one.close()
    idle.close()
    files, longest, began = [], 0.0, time.monotonic()

    def use():
        try:
            return one.using(digest, lambda _: 0)
        except OSError as error:
            return error.errno

    with contextlib.suppress(OSError):
        while True:
            files.append(os.open("/dev/null", os.O_RDONLY))
    with ThreadPoolExecutor(1) as pool:
        using = pool.submit(use)
        while not using.done():
            asked = time.monotonic()
            idle.close()
            longest = max(longest, time.monotonic() - asked)
            time.sleep(0.001)
    waited = time.monotonic() - began
    for file in files:
        os.close(file)
    assert one.using(digest, lambda _: 0) == 0
    return using.result(), waited, longest


def test_who_waits_for_descriptors_keeps_nobody_from_closing_theirs(cache, root):
    with Fork(wait_for_descriptors, root) as process:
        code, waited, longest = process.answer

    assert code == errno.EMFILE
    assert waited > 0.25
    assert longest < 0.1


def test_what_is_collected_waits_for_no_other_entry(cache, root):
    """Whose thread may have a lock that a fork waits for, while the fork's has that of entries."""
    (one, digest), (other, _) = held(cache, 1), held(cache, 2)
    name = os.path.relpath(disk.manifest_path(disk.Root(root), other.manifest.key), root)
    begun, go_on = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        using = pool.submit(one.using, digest, lambda _: begun.set() or go_on.wait(5))
        assert begun.wait(5)
        assert name in open_below(root)
        began = time.monotonic()
        del other
        took = time.monotonic() - began
        assert name not in open_below(root)
        go_on.set()
        assert using.result()
    one.close()

    assert took < 1
