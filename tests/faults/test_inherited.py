"""A cache that is open when a process forks, spawns or runs threads: it works in all of them."""

from __future__ import annotations

import textwrap

import pytest
from processes import start
from roots import names_in
from scale import IS_SOAK, reached

import tensorcache

# Sixteen threads read, build and refresh while the process forks; each child does so too, and one
# that is spawned reads.
FORKS = textwrap.dedent(
    """
    import multiprocessing, os, sys, threading, time, traceback, warnings
    import crowd, tensorcache, torch
    from crowd import is_whole, payload
    from concurrent.futures import ThreadPoolExecutor
    warnings.simplefilter("ignore", DeprecationWarning)
    torch.set_num_threads(1)
    cache, stop = tensorcache.open(sys.argv[1]), threading.Event()
    def ask(n, generation, **options):
        return cache.get_or_build(
            {"n": n}, lambda: payload(n, generation), version="1", namespace="t.crowd", **options)
    held = ask(0, 0)
    assert is_whole(held, 0) == 0
    def work(thread):
        done = 0
        while not stop.is_set():
            n = 1 + (thread + done) % 6
            is_whole(ask(n, thread, refresh=done % 5 == 0), n)
            done += 1
        return done
    def child(turn):
        assert is_whole(held, 0) == 0
        for n in range(7):
            is_whole(ask(n, 100), n)
        entry = ask(1000 + turn, turn)
        assert entry.published and not entry.hit, entry.why
        cache.pin(entry.key)
        assert len(cache.table("SELECT * FROM entry").rows) > 0
    with ThreadPoolExecutor(16) as pool:
        threads = [pool.submit(work, thread) for thread in range(16)]
        try:
            for turn in range(int(sys.argv[2])):
                pid = os.fork()
                if pid == 0:
                    try:
                        child(turn)
                    except BaseException:
                        traceback.print_exc()
                        os._exit(1)
                    os._exit(0)
                end = time.monotonic() + 30
                while True:
                    ended, status = os.waitpid(pid, os.WNOHANG)
                    if ended:
                        break
                    if time.monotonic() > end:
                        os.kill(pid, 6)
                        raise SystemExit(f"child {turn} stands still")
                    time.sleep(0.005)
                assert status == 0, (turn, status)
        finally:
            stop.set()
        done = sum(thread.result() for thread in threads)
    with multiprocessing.get_context("spawn").Pool(1) as spawned:  # it gets the entry pickled
        assert spawned.apply(is_whole, (held, 0)) == 0
    print(done)
    """
)


@pytest.mark.slow
def test_a_process_of_sixteen_threads_may_fork_at_any_moment_and_spawn(shm):
    root, forks = shm / "forks", 200 if IS_SOAK else 20
    with start(FORKS, root, forks) as process:
        out, err = process.communicate(timeout=280)

    assert (process.returncode, err) == (0, "")
    assert int(out) > 16
    with tensorcache.open(root) as cache:
        assert len(names_in(root, "entries")) == 7 + forks
        assert len(names_in(root, "pins")) == forks
        assert cache.verify(deep=True) == []
        cache.vacuum(grace_seconds=0)
    assert names_in(root, "building") == set()
    reached("forks", forks=forks, done=int(out))
