"""Shadow builds: a hit built again beside what is stored, and what a bad builder gives away."""

from __future__ import annotations

import json
import logging
import os
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from processes import python
from roots import names_in
from small_entry import made

import tensorcache
from tensorcache import column
from tensorcache.cache.shadow import sample_of

GIVEN = {"version": "1", "namespace": "t.shadow"}


@pytest.fixture
def beside(cache):
    """The shadow of an entry of one payload where the build gives another by now."""

    def looked(old, new, **options):
        cache.get_or_build({}, lambda: old, **GIVEN, refresh=True)
        entry = cache.get_or_build({}, lambda: new, **GIVEN, shadow=1.0, **options)
        assert entry.hit
        return entry.shadow

    return looked


def differing(shadow):
    return [(one.section, one.field, one.differing, one.of) for one in shadow.differences]


# --- what it catches: two processes with other salts of hashes and other environments ---

TRIAL = """
import json, logging, os, sys, time, torch
import tensorcache
words = [f"player {n}" for n in range(6)]
builders = {
    "hash": lambda: {"batches": [{"at": torch.tensor([hash(one) % 500])} for one in words]},
    "order": lambda: {"names": {one: 1 for one in set(words)}},
    "clock": lambda: {"made": {"at": time.time()}},
    "environment": lambda: {"sizes": torch.arange(8.0) * float(os.environ["SCALE"])},
    "sound": lambda: {"batches": [{"x": torch.full((2,), 1.0)} for _ in words], "set": set(words)},
}
told = {}
log = logging.getLogger("tensorcache")
log.addHandler(logging.Handler())
log.handlers[0].emit = lambda record: said.append(record.getMessage())
cache = tensorcache.open(sys.argv[1])
for name, build in builders.items():
    said = []
    entry = cache.get_or_build({}, build, version="1", namespace=f"t.{name}", shadow=1.0)
    told[name] = entry.hit, entry.shadow and entry.shadow.is_same, said
print(json.dumps(told))
"""
BAD = {
    "hash": "section 'batches', at: ",
    "order": "section 'names': 1 of 1 element (keys ['player ",
    "clock": "section 'made', at: 1 of 1 element (",
    "environment": "section 'sizes': 7 of 8 elements: ",
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Of each builder, what two processes were told one after the other."""
    root = tmp_path_factory.mktemp("shadow") / "cache"
    yield [
        json.loads(python(TRIAL, root, env={"PYTHONHASHSEED": seed, "SCALE": seed}))
        for seed in ("1", "2")
    ]
    with tensorcache.open(root) as cache:
        assert cache.verify(deep=True) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", BAD)
def test_a_build_that_is_not_told_by_its_key_is_caught(told, name):
    first, second = (process[name] for process in told)
    hit, is_same, said = second

    assert first == [False, None, []]
    assert (hit, is_same) == (True, False)
    (warning,) = said
    assert warning.startswith(f"'t.{name}' ")
    assert BAD[name] in warning


@pytest.mark.slow
def test_nothing_is_said_of_a_sound_build(told):
    assert [process["sound"] for process in told] == [[False, None, []], [True, True, []]]


# --- what differs, and how much ---


def test_what_is_the_same_is_the_same_in_every_kind_of_section(beside, caplog):
    shadow = beside(made(), made())

    assert shadow.is_same
    assert (shadow.differences, shadow.error) == ((), "")
    assert shadow.seconds > 0
    assert caplog.messages == []


def test_what_differs_is_counted_by_section_and_path_in_one_warning(beside, caplog):
    new = made()
    new["info"]["weights"] = torch.tensor([1.0, 2.0, 3.0])
    new["metas"][5]["date"] = "never"
    new["all"][3]["stats"] = new["all"][3]["stats"] + 1
    new["number"] = 6

    shadow = beside(made(), new)

    assert differing(shadow) == [
        ("info", "weights", 2, 3),
        ("metas", "", 1, 1999),
        ("oof", "stats", 1, 6),
        ("all", "stats", 1, 10),
        ("number", "", 1, 1),
    ]
    (warning,) = caplog.messages
    assert "section 'info', weights: 2 of 3 elements; section 'metas': 1 of 1,999 " in warning
    assert "section 'number': 1 of 1 element (5 -> 6): " in warning


def test_shapes_types_and_what_is_there_count_and_order_does(beside):
    old = {"a": torch.ones(2), "b": torch.ones(2), "c": {"x": 1, "y": 2}, "d": 1}
    new = {"b": torch.ones(2, dtype=torch.float64), "a": torch.ones(3), "c": {"y": 2, "x": 1}}

    assert differing(beside(old, new)) == [
        ("a", "", 1, 1),
        ("b", "", 1, 1),
        ("c", "", 1, 1),
        ("d", "", 1, 1),
    ]
    assert differing(beside({"a": 1, "b": 2}, {"b": 2, "a": 1})) == [("", "", 1, 1)]


def test_without_a_tolerance_every_bit_counts(beside):
    nan = torch.tensor([0x7FC00000, 0x7FC00001], dtype=torch.int32).view(torch.float32)
    old = {"zero": torch.tensor([0.0, 1.0]), "nan": nan, "plain": [0.0, float("nan")]}
    new = {"zero": torch.tensor([-0.0, 1.0]), "nan": nan[[0, 0]], "plain": [-0.0, float("nan")]}

    assert differing(beside(old, new)) == [
        ("zero", "", 1, 2),
        ("nan", "", 1, 2),
        ("plain", "", 1, 2),
    ]


def off_by(much):
    """Floats of every kind that are a little more, one of them much more; NaN stays NaN."""
    some = torch.tensor([1.0, float("nan"), float("inf"), 2.0])
    some[3] += much
    return {
        "batches": [{"x": some.reshape(1, 4)}, {"x": torch.zeros(1, 4)}],
        "half": some.to(torch.bfloat16),
        "double": some.to(torch.float64),
        "complex": some.to(torch.complex64),
        "numpy": some.numpy().astype(">f8"),
        "plain": {"rate": 0.5 + much, "list": [(much, "a")], "scalar": np.float32(much)},
        "rows": [{"rate": 1.0 + much, "at": n} for n in range(40)],
    }


def test_within_a_tolerance_floats_of_every_kind_are_the_same(beside):
    assert beside(off_by(0.0), off_by(0.125), shadow_tolerance=0.125).is_same


def test_over_a_tolerance_each_is_counted(beside):
    shadow = beside(off_by(0.0), off_by(0.25), shadow_tolerance=0.125)

    assert differing(shadow) == [
        ("batches", "x", 1, 2),
        ("half", "", 1, 4),
        ("double", "", 1, 4),
        ("complex", "", 1, 4),
        ("numpy", "", 1, 4),
        ("plain", "rate", 1, 1),
        ("plain", "list", 1, 1),
        ("plain", "scalar", 1, 1),
        ("rows", "", 40, 40),
    ]


def test_a_tolerance_is_for_floats_alone(beside):
    old = {"int": torch.tensor([1, 2]), "plain": 1, "text": "a", "flag": torch.tensor([True])}
    new = {"int": torch.tensor([1, 3]), "plain": 2, "text": "b", "flag": torch.tensor([False])}

    shadow = beside(old, new, shadow_tolerance=100.0)

    assert [section for section, *_ in differing(shadow)] == list(old)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float8_e5m2", "float64", "complex128"])
def test_numbers_are_counted_in_memories_of_every_size(name):
    many = torch.zeros(70_000).to(getattr(torch, name))
    other = many.clone()
    other[::1000] = 1.0
    memories = [memoryview(x.view(torch.uint8).numpy().tobytes()) for x in (many, other)]

    assert column.apart(name, *memories, tolerance=None) == (70, 70_000)
    assert column.apart(name, *memories, tolerance=0.5) == (70, 70_000)
    assert column.apart(name, *memories, tolerance=1.0) == (0, 70_000)


# --- what it leaves alone ---


def test_the_stored_entry_comes_back_and_nothing_is_written(cache, root):
    cache.get_or_build({}, lambda: {"x": torch.ones(2)}, **GIVEN)
    cache.get_or_build({}, lambda: 1 / 0, **GIVEN)
    before = {name: os.stat(Path(root, name)) for name in names_in(root, "")}
    uses = Path(root, "journal", "uses").stat().st_size

    built = []
    entry = cache.get_or_build(
        {}, lambda: built.append(names_in(root, "")) or {"x": torch.zeros(2)}, **GIVEN, shadow=1
    )

    after = {name: os.stat(Path(root, name)) for name in names_in(root, "")}
    changed = {name for name in after if after[name].st_mtime_ns != before[name].st_mtime_ns}
    assert (entry.hit, entry.published, entry["x"].tolist()) == (True, True, [1.0, 1.0])
    assert not entry.shadow.is_same
    assert changed == {"journal/uses"}  # the hit itself, as ever
    assert Path(root, "journal", "uses").read_bytes()[uses:].count(b"\n") == 1
    assert not any(name.endswith(".lock") for name in built[0])


def test_what_the_builder_raises_is_said_and_not_raised(cache, caplog):
    cache.get_or_build({}, lambda: [1], **GIVEN)

    entry = cache.get_or_build({}, lambda: 1 / 0, **GIVEN, shadow=1.0)

    assert entry.load() == [1]
    assert (entry.shadow.is_same, entry.shadow.differences) == (False, ())
    assert entry.shadow.error == "ZeroDivisionError: division by zero"
    (warning,) = caplog.messages
    assert warning.endswith("gave nothing to compare: ZeroDivisionError: division by zero")


def test_what_cannot_be_stored_any_more_is_said(cache, caplog):
    cache.get_or_build({}, lambda: [1], **GIVEN)

    shadow = cache.get_or_build({}, lambda: [object()], **GIVEN, shadow=1.0).shadow

    assert shadow.error.startswith("UnstorableValue: payload[0]: ")


def test_an_interrupt_ends_it(cache):
    cache.get_or_build({}, lambda: [1], **GIVEN)

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.get_or_build({}, interrupted, **GIVEN, shadow=1.0)
    inner = cache.get_or_build({}, lambda: [1], **GIVEN, shadow=1.0)
    assert inner.shadow.is_same


def test_a_miss_has_no_shadow(cache, root):
    entry = cache.get_or_build({}, lambda: [1], **GIVEN, shadow=1.0)

    assert (entry.hit, entry.shadow) == (False, None)
    with tensorcache.open(root, mode="off") as off:
        assert off.get_or_build({}, lambda: [1], **GIVEN, shadow=1.0).shadow is None


def test_a_cache_open_for_reading_has_shadows(cache, root):
    cache.get_or_build({}, lambda: [1], **GIVEN)

    with tensorcache.open(root, mode="ro") as reader:
        assert differing(reader.get_or_build({}, lambda: [2], **GIVEN, shadow=1.0).shadow)


def test_a_build_inside_a_shadow_has_none_of_its_own(cache):
    def outer():
        return [inner().load()]

    def inner():
        entry = cache.get_or_build({"n": 1}, lambda: counted.append(1) or 5, **GIVEN, shadow=1.0)
        shadows.append(entry.shadow)
        return entry

    counted, shadows = [], []
    for _ in range(2):
        entry = cache.get_or_build({}, outer, **GIVEN, shadow=1.0)

    assert entry.shadow.is_same
    assert (counted, shadows) == ([1], [None, None])


# --- which hits ---


def test_as_many_hits_are_sampled_as_was_asked_for(cache):
    for share in (0.01, 0.25, 0.9):
        drawn = sum(sample_of(share, None).draw() for _ in range(20_000))
        spread = (20_000 * share * (1 - share)) ** 0.5

        assert abs(drawn - 20_000 * share) < 6 * spread
    assert all(sample_of(1.0, None).draw() for _ in range(1_000))
    assert not any(sample_of(0.0, None).draw() for _ in range(1_000))


def test_the_random_numbers_of_the_caller_stay_as_they_are(cache):
    cache.get_or_build({}, lambda: [1], **GIVEN)
    random.seed(7)
    state = random.getstate()

    for _ in range(5):
        cache.get_or_build({}, lambda: [1], **GIVEN, shadow=0.5)

    assert random.getstate() == state


@pytest.mark.parametrize(
    "options",
    [
        {"shadow": -0.1},
        {"shadow": 1.5},
        {"shadow": float("nan")},
        {"shadow": 1.0, "shadow_tolerance": -1.0},
        {"shadow_tolerance": float("nan")},
    ],
)
def test_what_is_no_share_or_difference_is_refused_before_anything_is_built(cache, options):
    with pytest.raises(ValueError, match=next(reversed(options))):
        cache.get_or_build({}, lambda: pytest.fail("built"), **GIVEN, **options)


def test_a_hit_without_a_shadow_imports_nothing_of_it(cache, root):
    cache.get_or_build({}, lambda: [1], **GIVEN)

    out = python(
        "import sys, tensorcache\n"
        "cache = tensorcache.open(sys.argv[1])\n"
        "entry = cache.get_or_build({}, None, version='1', namespace='t.shadow')\n"
        "names = {'tensorcache.explain', 'tensorcache.cache.shadow'}\n"
        "print(entry.hit, entry.shadow, names & set(sys.modules))\n",
        root,
    )

    assert out == "True None set()\n"


def test_strict_keys_come_first(cache, caplog):
    caplog.set_level(logging.WARNING)
    config = tensorcache.audited({"n": 1})
    cache.get_or_build({}, lambda: [1], **GIVEN)

    with pytest.raises(tensorcache.UnkeyedRead):
        cache.get_or_build(
            {}, lambda: pytest.fail("built"), **GIVEN, audit=config, strict_keys=True, shadow=1.0
        )
