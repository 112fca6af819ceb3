"""Whatever is done to a cache in whatever order, it answers as a dict would, or misses."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import tempfile
import time
from pathlib import Path

import msgpack
import pytest
import torch
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from roots import flip, names_in
from scale import IS_SOAK, reached, seconds

import tensorcache

KEYS = st.integers(0, 3)
steps = 0


def payload(n: int, generation: int):
    return {
        "batches": [{"x": torch.full((1, 4), generation)} for _ in range(3)],
        "rows": [{"n": n, "text": "a" * i} for i in range(generation % 3)],
        "own": generation,
        "all": torch.arange(50),  # one shard for all
    }


def is_whole(loaded, n, generation):
    wanted = payload(n, generation)
    assert loaded["own"] == generation
    assert loaded["rows"] == wanted["rows"]
    assert torch.equal(loaded["all"], wanted["all"])
    assert [float(b["x"].sum()) for b in loaded["batches"]] == [4.0 * generation] * 3


class Machine(RuleBasedStateMachine):
    """`wanted` is the dict; `doubtful` are keys of which a piece was harmed since they were put."""

    def __init__(self):
        super().__init__()
        within = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.root = tempfile.mkdtemp(dir=within)
        self.wanted: dict[int, int] = {}
        self.doubtful: set[int] = set()
        self.pinned: set[int] = set()
        self.open: list[tuple[tensorcache.Entry, int, int]] = []
        self.generation = 0
        self.is_index_broken = False

    @initialize()
    def begin(self):
        self.reopen()

    def teardown(self):
        self.open.clear()
        gc.collect()
        self.cache.vacuum(grace_seconds=0)
        if not self.doubtful:
            assert self.cache.verify(deep=True) == []
        shutil.rmtree(self.root)

    # --- what is asked and done ---

    @rule()
    def reopen(self):
        self.cache = tensorcache.open(Path(self.root, "cache"))

    def key(self, n):
        return self.cache.key({"n": n}, version="1", namespace="t.machine")

    def written(self, n, generation):
        self.wanted[n] = generation
        self.doubtful.discard(n)
        self.is_index_broken = False  # whoever writes makes it anew

    @rule(n=KEYS)
    def put(self, n):
        self.generation += 1
        entry = self.cache.put(self.key(n), payload(n, self.generation))
        is_whole(entry.load(), n, self.generation)
        self.written(n, self.generation)

    @rule(n=KEYS, refresh=st.booleans(), stays_open=st.booleans())
    def get_or_build(self, n, refresh, stays_open):
        self.generation += 1
        made = self.generation
        entry = self.cache.get_or_build(
            {"n": n}, lambda: payload(n, made), version="1", namespace="t.machine", refresh=refresh
        )
        assert entry.published, entry.why
        if n in self.wanted and n not in self.doubtful:
            assert entry.hit is not refresh
        if not entry.hit:
            self.written(n, made)
        is_whole(entry.load(), n, self.wanted[n])
        if stays_open:
            self.open.append((entry, n, self.wanted[n]))

    @rule(n=KEYS, stays_open=st.booleans())
    def get(self, n, stays_open):
        entry = self.cache.get(self.key(n))
        if entry is None:
            assert n not in self.wanted or n in self.doubtful
            return
        is_whole(entry.load(), n, self.wanted[n])
        if stays_open:
            self.open.append((entry, n, self.wanted[n]))

    @rule(n=KEYS)
    def remove(self, n):
        if n not in self.wanted:
            with pytest.raises(tensorcache.EntryMissing):
                self.cache.remove(self.key(n))
            return
        self.cache.remove(self.key(n))
        self.gone(n)
        self.is_index_broken = False

    def gone(self, n):
        del self.wanted[n]
        self.doubtful.discard(n)
        self.pinned.discard(n)

    @rule(n=KEYS, pin=st.booleans())
    def pin(self, n, pin):
        deed = self.cache.pin if pin else self.cache.unpin
        if n not in self.wanted:
            with pytest.raises(tensorcache.EntryMissing):
                deed(self.key(n))
            return
        deed(self.key(n))
        self.pinned = self.pinned | {n} if pin else self.pinned - {n}
        self.is_index_broken = False

    @rule()
    def vacuum_as_by_default(self):
        assert self.cache.vacuum().entries == ()
        self.is_index_broken = False

    @rule(limit=st.sampled_from([{"max_bytes": 1}, {"older_than_seconds": 0}]))
    def vacuum_all(self, limit):
        gc.collect()
        held = {n for _, n, generation in self.open if self.wanted.get(n) == generation}
        plan = self.cache.vacuum(grace_seconds=0, **limit)
        gone = {victim.key for victim in plan.entries}
        expected = self.wanted.keys() - held - self.pinned
        # One that was built anew with the same content is another generation, and held by nobody.
        assert gone == {self.key(n).digest for n in expected}
        for n in expected:
            self.gone(n)
        self.is_index_broken = False

    @rule()
    def close(self):
        self.open.clear()

    # --- what befalls it ---

    @rule()
    def lose_the_index(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(Path(self.cache.root, "index.sqlite"))
        self.is_index_broken = False

    @rule(at=st.integers(0, 99))
    def break_the_index(self, at):
        index = Path(self.cache.root, "index.sqlite")
        if index.exists():
            index.write_bytes(bytes([at]) * 5000)
            self.is_index_broken = True

    @rule()
    def drop_building(self):
        shutil.rmtree(Path(self.cache.root, "building"), ignore_errors=True)

    @precondition(lambda self: self.wanted)
    @rule(data=st.data(), how=st.sampled_from(["flip", "cut", "lose"]))
    def harm_a_piece(self, data, how):
        """Another file takes its name, for what is open is a matter of its own."""
        root = self.cache.root
        shards = sorted(names_in(root, "shards"))
        if not shards:
            return
        path = Path(root, data.draw(st.sampled_from(shards)))
        aside = path.with_suffix(".aside")
        aside.write_bytes(path.read_bytes()[: -1 if how == "cut" else None])
        if how == "flip":
            flip(aside)
        os.replace(aside, path)
        if how == "lose":
            path.unlink()
        for name in names_in(root, "entries"):
            fields = msgpack.unpackb(Path(root, name).read_bytes()[:-32])
            if path.stem in {digest for digest, _ in fields["shards"]}:
                key = Path(name).stem
                self.doubtful |= {n for n in self.wanted if self.key(n).digest == key}

    # --- what holds after every step ---

    @invariant()
    def what_is_open_stays_readable(self):
        for entry, n, generation in self.open[-3:]:
            is_whole(entry.load(), n, generation)

    @invariant()
    def it_holds_what_the_dict_holds(self):
        global steps  # noqa: PLW0603 - of all machines
        steps += 1
        if not hasattr(self, "cache"):
            return
        there = {Path(name).stem for name in names_in(self.cache.root, "entries")}
        assert there == {self.key(n).digest for n in self.wanted}
        assert (
            set(os.listdir(Path(self.cache.root, "pins")))
            == {self.key(n).digest for n in self.pinned}
            if os.path.isdir(Path(self.cache.root, "pins"))
            else not self.pinned
        )
        if not self.doubtful and not self.is_index_broken:
            assert self.cache.verify() == []


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_cache_answers_as_a_dict_would_or_misses():
    global steps  # noqa: PLW0603 - as above
    steps = 0
    end = time.monotonic() + seconds(0, 180)
    options = {
        "deadline": None,
        "phases": (Phase.explicit, Phase.generate),  # shrinking takes long
        "database": None,
        "suppress_health_check": list(HealthCheck),
        "stateful_step_count": 30,
        "max_examples": 10 if IS_SOAK else 5,
        "derandomize": not IS_SOAK,
    }
    gc.collect()
    gc.freeze()  # each vacuum of all collects first, and what is here by now need not be looked at
    try:
        while True:
            run_state_machine_as_test(Machine, settings=settings(**options))
            if time.monotonic() >= end:
                break
    finally:
        gc.unfreeze()
    assert steps > 50
    reached("dict", steps=steps, wrong=0)
