"""Two entries, side by side: what they were made from, and tensor by tensor what they hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from processes import python
from roots import flip
from small_entry import GIVEN, made
from test_explain import hexed

import tensorcache
from tensorcache.explain import Change, Difference
from tensorcache.manifest import Part


@pytest.fixture
def diff(cache):
    """The diff of two payloads, whose entries are left in the cache."""

    def compared(old, new):
        entries = [
            cache.get_or_build({"n": n}, lambda one=one: one, **GIVEN, refresh=True)
            for n, one in enumerate((old, new))
        ]
        return cache.diff(*(entry.key for entry in entries))

    return compared


def unequal(found):
    """(section, field, kind, elements that differ, first of them) of all that is not equal."""
    return [
        (one.section, one.field, one.kind, one.differing, one.first)
        for one in found.contents
        if not one.equal
    ]


def test_equal_payloads_are_equal_whatever_they_were_made_from(diff):
    found = diff(made(), made())

    assert found.equal
    assert found.differences == (Difference("inputs.n", 0, 1),)
    assert unequal(found) == []
    assert {one.section for one in found.contents} == set(made())


def test_what_differs_is_named_by_section_field_and_element(diff):
    new = made()
    new["info"]["mode"] = "dates"
    new["info"]["weights"] = torch.ones(4)
    new["metas"][5]["date"] = "never"
    new["all"][3]["stats"] = new["all"][3]["stats"] + 1
    new["inner"]["short"] = [torch.zeros(1)]
    new["inner"]["long"][39] = (torch.tensor(-1),)
    new["number"] = 5.0

    found = diff(made(), new)

    assert not found.equal
    assert unequal(found) == [
        ("info", "mode", "value", 1, None),
        ("info", "weights", "tensor", 1, None),
        ("metas", "", "list", 1, 5),
        ("oof", "stats", "tensor", 1, 3),  # the batches of `all`
        ("all", "stats", "tensor", 1, 3),
        ("inner", "long/~0", "tensor", 1, 39),
        ("inner", "short/~0", "tensor", 1, None),
        ("number", "", "value", 1, None),
    ]
    weights = next(one for one in found.contents if one.field == "weights")
    assert (weights.old, weights.new) == ("float32 (3)", "float32 (4)")


def test_lists_of_other_lengths_are_compared_as_far_as_they_go(diff):
    old, new = made(), made()
    new["oof"], new["metas"] = new["oof"][:4], [*new["metas"], {}]

    assert unequal(diff(old, new)) == [
        ("metas", "", "list", 1, 1999),
        ("oof", "", "list", 2, 4),
        *(("oof", name, "tensor", 2, 4) for name in ("stats", "mask", "rel")),
    ]


def test_a_section_or_a_field_of_one_side_only_is_said_to_be_absent(diff):
    old, new = made(), made()
    del new["number"], new["arrays"]
    new["extra"], new["none"] = torch.ones(2, 3), []
    for one in new["oof"]:
        one["more"] = torch.ones(1)
    new["all"] = new["oof"]

    found = diff(old, {**new, "all": made()["all"]})
    sides = {(one.section, one.field, one.kind): (one.old, one.new) for one in found.contents}

    assert sides["number", "", "value"] == ("5", None)
    assert sides["arrays", "x", "tensor"] == (">i4 (n) numpy", None)
    assert sides["arrays", "w", "tensor"] == ("float32 (n) requires_grad", None)
    assert sides["extra", "", "tensor"] == (None, "float32 (2, 3)")
    assert sides["none", "", "list"] == (None, "0 elements")
    assert sides["oof", "more", "tensor"] == (None, "float32 (n)")
    assert ("none", "", "list", 1, None) in unequal(found)
    assert ("oof", "more", "tensor", 6, 0) in unequal(found)
    assert not any(one.section == "all" for one in found.contents if not one.equal)


def test_only_what_is_the_same_to_the_last_bit_and_type_is_equal(diff):
    pairs = {
        "float": (0.0, -0.0),
        "int": (1, True),
        "tuple": ((1,), [1]),
        "tensor": (torch.ones(2), torch.ones(2, dtype=torch.float64)),
        "shape": (torch.ones(2, 1), torch.ones(1, 2)),
        "leaf": (torch.ones(2), np.ones(2, np.float32)),
        "grad": (torch.ones(2), torch.ones(2, requires_grad=True)),
        "bits": (torch.tensor([0.0]), torch.tensor([-0.0])),
        "scalar": (torch.tensor(1.0), torch.tensor([1.0])),
        "kind": (torch.ones(1), 1),
        "bytes": (b"a", "a"),
    }
    same = {"nan": float("nan"), "nans": torch.tensor([float("nan")]), "set": {1, "a", (2, 3)}}

    found = diff(
        {name: one for name, (one, _) in pairs.items()} | same,
        {name: other for name, (_, other) in pairs.items()} | same,
    )

    assert {one.section for one in found.contents if not one.equal} == set(pairs)


def test_elements_are_told_apart_however_their_columns_lie(diff):
    """Own columns stand first, those of earlier sections after: where a row lies says nothing."""
    shared = [torch.full((2, 3), float(n)) for n in range(8)]
    listed = [{"x": one} for one in shared]

    found = diff(
        {"first": listed[4:], "all": listed, "ragged": [torch.ones(n, n) for n in range(40)]},
        {"first": listed[:2], "all": listed, "ragged": [torch.ones(n, n) for n in range(39)]},
    )

    assert {one.section for one in found.contents if not one.equal} == {"first", "ragged"}
    assert ("ragged", "", "tensor", 1, 39) in unequal(found)


def asked_with(cache, tmp_path, letter, rows):
    """What asks for a build from a file; of its parts it is said that they are these."""
    logs = tmp_path / "logs.txt"
    logs.write_text(letter)
    sources = {"logs": tensorcache.files(str(logs))}
    asked = cache._ask({"n": 1}, "1", sources, "t.parts")
    known = asked.identities["logs"]._replace(parts={"games": Part(rows, hexed(letter))})
    return asked._replace(identities={"logs": known})


def test_parts_are_told_from_manifests_and_of_keys_that_were_just_asked_for(cache, tmp_path):
    old = asked_with(cache, tmp_path, "a", 5)
    cache._builds.publish(old, [1], 0.0, "", clone=False)
    new = asked_with(cache, tmp_path, "b", 6)
    change = Change("games", Part(5, hexed("a")), Part(6, hexed("b")))

    cache._questions.remember(new)
    before = cache.explain(new.key)
    cache._builds.publish(new, [2], 0.0, "", clone=False)
    cache._questions._asked.clear()
    after = cache.explain(new.key.short)
    found = cache.diff(old.key, new.key)

    assert (before.hit, after.hit) == (False, True)
    for differences in (before.differences, after.differences, found.differences):
        (difference,) = differences
        assert (difference.place, difference.parts) == ("sources.logs", (change,))
    assert str(before).endswith(" differs in sources.logs: games 5 -> 6 bytes")
    assert cache._questions.why(new.key) == str(after)


def test_a_broken_manifest_costs_its_parts_alone(cache, root, tmp_path):
    old = asked_with(cache, tmp_path, "a", 5)
    cache._builds.publish(old, [1], 0.0, "", clone=False)
    new = asked_with(cache, tmp_path, "b", 6)
    cache._questions.remember(new)
    manifest = Path(root, "entries", old.key.digest[:2], f"{old.key}.msgpack")

    flip(manifest)
    explanation = cache.explain(new.key)
    flip(manifest)

    assert str(explanation).endswith(" differs in sources.logs: changed")


def test_torch_is_never_needed(cache, root, diff):
    new = made()
    new["all"][3]["stats"] = new["all"][3]["stats"] + 1
    keys = diff(made(), new)[:2]

    out = python(
        "import sys, tensorcache\n"
        "found = tensorcache.open(sys.argv[1]).diff(*sys.argv[2:])\n"
        "print(found.equal, len(found.contents), 'torch' in sys.modules)",
        root,
        *keys,
    )

    assert out.split() == ["False", str(len(cache.diff(*keys).contents)), "False"]


def test_what_is_not_there_cannot_be_compared(cache):
    key = cache.key({}, **GIVEN)

    with pytest.raises(tensorcache.EntryMissing, match=key.short):
        cache.diff(key, key)


def test_a_position_and_a_key_of_the_same_digit_are_two_fields(diff):
    def payload(value):
        lists = [{"a": [torch.full((2,), value)]} for _ in range(20)]
        return lists + [{"a": {"0": torch.ones(2)}} for _ in range(20)]

    found = diff(payload(1.0), payload(5.0))

    assert not found.equal
    assert unequal(found) == [("", "a/~0", "tensor", 20, 0)]
