"""The layout: names of tensors, columns and what lies beside them, and what is shared."""

from __future__ import annotations

import math
import os
import sys

import numpy as np
import pytest
import torch
from exact import identical
from kept import Kept, there_and_back
from safetensors.torch import load_file

from tensorcache import shard
from tensorcache.manifest import columns_of


def shard_files(root):
    return {
        os.path.join(folder, name)
        for folder, _, names in os.walk(os.path.join(root, "shards"))
        for name in names
    }


# Names of tensors: from the path alone, and never the same for two paths.


def test_names_are_section_steps_and_place():
    ten = torch.arange(10)
    kept = Kept(
        {
            "batches": [{"stats": torch.ones(2, 3), "m": {"x": torch.ones(1)}}, {"stats": ten}],
            "deep": {"list": [(torch.full((1,), i),) for i in range(32)], "one": torch.zeros(7)},
        }
    )  # fmt: skip

    assert sorted(kept.names()) == [
        "batches#ends", "batches/m/x#0", "batches/m/x#at",
        "batches/stats#0", "batches/stats#1", "batches/stats#at",
        "deep/list/~0#0", "deep/list/~0#at", "deep/one#0",
    ]  # fmt: skip


def test_names_escape_what_is_not_plain():
    tensors = iter(torch.full((1,), float(i)) for i in range(100))
    kept = Kept(
        {
            "a/b#c%d~e": next(tensors),
            "a": {"b#c%d~e": next(tensors), "": next(tensors), "~0": next(tensors)},
            "\u00e9 \n": {0: next(tensors), "0": next(tensors), ("x",): next(tensors)},
            "": {"": next(tensors)},
        }
    )

    assert list(kept.names()) == [
        "a%2Fb%23c%25d%7Ee#0",
        "a/b%23c%25d%7Ee#0",
        "a/#0",
        "a/%7E0#0",
        "%C3%A9 %0A/~0#0",
        "%C3%A9 %0A/~1#0",
        "%C3%A9 %0A/~2#0",
        "/#0",
    ]
    assert all(name.isascii() and name.isprintable() for name in kept.names())


def test_elements_with_odd_keys_of_their_own_share_a_field():
    """The position counts: two paths never share a name, and 300 keys are no 300 fields."""
    payload = {
        "by team": [{1610612700 + i: torch.full((2,), i)} for i in range(300)] + [[torch.ones(1)]]
    }

    kept = Kept(payload)

    assert identical(kept.load(), payload)
    assert sorted(kept.names()) == [
        "by team#ends", "by team/~0#0", "by team/~0#1", "by team/~0#at",
    ]  # fmt: skip


# Columns.


def test_a_column_holds_what_shares_dtype_and_trailing_shape_in_order_of_first_use():
    shapes = [(1, 2), (2, 3), (3, 2), (0, 3)]
    payload = {"s": [torch.full(shape, float(shape[0])) for shape in shapes]}

    kept = Kept(payload)

    assert kept.names() == {"s#at": ("I64", (4, 3)), "s#0": ("F32", (4, 2)), "s#1": ("F32", (2, 3))}
    at = np.frombuffer(kept.tensor(kept.contents.shards[0].digest, "s#at").memory, np.int64)
    assert at.reshape(-1, 3).tolist() == [[0, 0, 1], [1, 0, 2], [0, 1, 3], [1, 2, 0]]


def test_zero_dimensions_take_one_row_of_a_column_of_numbers():
    payload = {"s": [torch.tensor(5), torch.tensor([6, 7]), torch.tensor([5])]}

    kept = Kept(payload)

    assert identical(kept.load(), payload)
    assert kept.names()["s#0"] == ("I64", (4,))


def test_equal_tensors_lie_once_across_fields_sections_and_kinds():
    one = torch.arange(6.0)
    payload = {
        "a": [{"x": one, "y": one.clone(), "z": torch.tensor([9.0])}],
        "b": [{"q": one.clone()}, {"q": one}],
        "c": {"numpy": one.numpy().copy(), "grad": one.clone().requires_grad_()},
    }

    kept = Kept(payload)

    assert identical(kept.load(), payload)
    assert {name: shape for name, (_, shape) in kept.names().items() if "#at" not in name} == {
        "a/x#0": (6,),
        "a/z#0": (1,),
    }


def test_equal_bytes_of_another_dtype_or_shape_are_not_equal():
    payload = {
        "a": [torch.zeros(4), torch.zeros(2, 2), torch.zeros(4).int(), torch.zeros(1, 4)],
        "b": [np.zeros(4, ">f4"), np.zeros(4, "<f4"), np.zeros((), "<f4"), np.zeros(1, "<f4")],
    }  # fmt: skip

    assert identical(there_and_back(payload), payload)


def test_aliased_tensors_stay_shared_and_views_of_one_storage_are_parted():
    base = torch.arange(10.0)
    loaded = there_and_back({"a": [base, base], "b": {"same": base, "view": base[2:4]}})

    loaded["a"][0][2] = 77

    assert loaded["a"][1][2] == 77
    assert loaded["b"]["same"][2] == 77
    assert loaded["b"]["view"][0] == 2


def test_later_sections_refer_to_the_columns_of_earlier_ones():
    batches = [{"x": torch.full((1, 3), float(i))} for i in range(10)]
    payload = {"oof": batches[:6], "all": [batches[7], *batches[2:5], batches[9]]}

    kept = Kept(payload)
    rows = columns_of("all", kept.contents.sections["all"])

    assert identical(kept.load(), payload)
    assert [(row.field, row.shape) for row in rows] == [("x", (2, 3)), ("x", (6, 3))]
    assert kept.tensor_bytes() == 8 * 3 * 4


def test_absent_fields_are_minus_one_and_come_back_absent():
    payload = {"s": [{"x": torch.ones(2)}, {"y": torch.ones(3)}, {}, {"x": torch.zeros(2)}]}

    kept = Kept(payload)
    at = np.frombuffer(kept.tensor(kept.contents.shards[0].digest, "s/x#at").memory, np.int64)

    assert identical(kept.load(), payload)
    assert at.reshape(-1, 3).tolist() == [[0, 0, 2], [-1, 0, 0], [-1, 0, 0], [0, 2, 2]]


@pytest.mark.parametrize(("widths", "flat"), [(16, False), (17, True)])
def test_more_than_sixteen_trailing_shapes_are_one_flat_column(widths, flat):
    payload = {
        "s": [{"x": torch.arange(2.0 * w).reshape(2, w) + w} for w in range(widths)]
        + [{"x": torch.arange(4, dtype=torch.int64)}],
        "t": [{"x": torch.tensor(5.0)}, {"x": torch.ones(2, 2, 2)}],
    }
    if not flat:
        payload["s"].pop()

    kept = Kept(payload)

    assert identical(kept.load(), payload)
    assert ("s/x#shape" in kept.names()) == flat
    assert len([name for name in kept.names() if name.startswith("s/x#")]) == (4 if flat else 17)


def test_flat_columns_and_columns_with_rows_refer_to_one_another():
    shapes = [(2, w) for w in range(1, 19)] + [(), (0, 4), (3, 0)]
    many = [torch.arange(float(math.prod(shape))).reshape(shape) for shape in shapes]
    few = [torch.ones(5, 4), many[3].clone(), torch.arange(36.0), many[18].clone(), many[7].clone()]
    payload = {
        "few": few,
        "many": many,
        "again": few,
        "double": [t.to(torch.complex128) for t in many],
    }

    kept = Kept(payload)

    assert identical(kept.load(), payload)
    assert "again#0" not in kept.names()


@pytest.mark.parametrize(("fields", "ordinals"), [(256, False), (257, True)])
def test_more_than_256_fields_are_one_field_of_ordinals(fields, ordinals):
    element = {f"f{i}": torch.full((2,), float(i)) for i in range(fields)}
    payload = {"s": [element, {}, element | {"f0": torch.zeros(1)}]}

    kept = Kept(payload)

    assert identical(kept.load(), payload)
    assert ("s#at" in kept.names()) == ordinals
    if ordinals:
        assert kept.names()["s#at"] == ("I64", (2 * 257, 3))


def test_ordinals_may_have_many_shapes_too():
    payload = {"s": [{f"f{i}": torch.ones(1, i % 20) for i in range(300)}, 5]}

    assert identical(there_and_back(payload), payload)


def test_heterogeneous_elements_have_a_document_equal_ones_none():
    alike = [{"x": torch.full((2,), i), "n": 5} for i in range(40)]
    mixed = [torch.ones(2), None, "text", {"x": (torch.ones(2), [torch.ones(3)])}, [], 7]

    assert Kept({"s": alike}).contents.documents == ()
    kept = Kept({"s": mixed})
    assert len(kept.contents.documents) == 1
    assert identical(kept.load()["s"], mixed)


@pytest.mark.parametrize(("length", "laid"), [(31, False), (32, True)])
def test_inner_lists_of_32_that_hold_tensors_are_laid_out(length, laid):
    payload = {"a": {"b": {3: [{"x": torch.full((1,), i)} for i in range(length)]}}}

    kept = Kept(payload)

    assert identical(kept.load(), payload)
    assert ("a/b/~0/x#at" in kept.names()) == laid
    assert len(kept.names()) == (2 if laid else 31)


def test_inner_lists_without_tensors_or_within_lists_stay_plain():
    numbers = {"a": {"plain": list(range(100))}}
    inner = {"a": {"t": ([torch.full((1,), i) for i in range(40)],)}}

    assert Kept(numbers).names() == {}
    assert "a/t/~0#at" not in Kept(inner).names()
    assert identical(there_and_back([numbers, inner]), [numbers, inner])


@pytest.mark.parametrize(
    "payload",
    [
        None, 5, "x", [], (), {}, [torch.ones(2)], torch.ones(2), np.ones(()), {1: torch.ones(2)},
        {"": 1}, {"": []}, {"a": [], "b": {}, "c": [[]], "d": [None] * 3},
    ],
    ids=repr,
)  # fmt: skip
def test_payloads_of_any_kind_come_back_as_they_are(payload):
    kept = Kept(payload)

    assert identical(kept.load(), payload)
    assert list(kept.contents.sections) == (list(payload) if kept.laid.is_dict else [""])


def test_a_structure_above_64_kib_is_a_document():
    small, large = {"s": {"x": "a" * 60_000}}, {"s": {"x": "a" * 70_000, "t": torch.ones(1)}}

    assert isinstance(Kept(small).contents.sections["s"], bytes)
    kept = Kept(large)
    assert kept.contents.sections["s"] == kept.contents.documents[0].digest
    assert identical(kept.load(), large)


def test_shards_are_cut_at_their_limit(monkeypatch):
    monkeypatch.setattr(shard, "SHARD_BYTES", 4096)
    payload = {
        "s": [{f"f{i}": torch.full((300,), float(i))} for i in range(20)],
        "t": torch.ones(5000),
    }

    kept = Kept(payload)

    assert identical(kept.load(), payload)
    assert len(kept.contents.shards) > 7
    sizes = [piece.size_bytes for piece in kept.contents.shards]
    assert sum(size > 5000 for size in sizes) == 1


def test_large_leaves_pass_the_buffer_whole(monkeypatch):
    monkeypatch.setattr(sys.modules["tensorcache.column.write"], "BUFFER_BYTES", 64)
    payload = {"s": [torch.arange(float(n)) for n in (3, 100, 1, 16, 15, 2)]}

    assert identical(there_and_back(payload), payload)


# Equal payloads make equal shards, so that entries share them.


def ranker(n_folds, max_final_batches=9):
    stats = torch.arange(100.0)
    batches = [{"stats": stats[i : i + 12].view(1, 3, 4), "rel": stats[None, :i]} for i in range(9)]
    metas = [{"team_ids": [1, 2], "as_of_date": f"2021-01-{i:02}"} for i in range(1, 10)]
    return {
        "info": {"n_folds": n_folds},
        "metas": metas,
        "oof": batches[:5],
        "all": batches[:max_final_batches],
    }


def test_equal_payloads_share_shards_whatever_their_key_and_namespace(cache, root):
    keys = [
        cache.key({"n": n}, version=v, namespace=s) for n, v, s in [(1, "1", "a"), (2, "2", "b.c")]
    ]

    first, second = (cache.put(key, ranker(5)) for key in keys)

    assert first._manifest.shards == second._manifest.shards
    assert first._manifest.documents == second._manifest.documents
    assert len(shard_files(root)) == len(set(first._manifest.shards))


def test_another_number_of_folds_adds_no_tensor_bytes(cache, root):
    five, six = (cache.key({"n": n}, version="1", namespace="t") for n in (5, 6))
    cache.put(five, ranker(5))
    before = shard_files(root)

    cache.put(six, ranker(6))

    assert shard_files(root) == before


def test_another_number_of_final_batches_rewrites_their_section_alone(cache, root):
    nine, seven = (cache.key({"n": n}, version="1", namespace="t") for n in (9, 7))
    cache.put(nine, ranker(5, 9))
    before = shard_files(root)

    entry = cache.put(seven, ranker(5, 7))

    [new] = shard_files(root) - before
    assert {name.partition("/")[0].partition("#")[0] for name in load_file(new)} == {"all"}
    assert identical(entry.load(), ranker(5, 7))


def test_the_order_in_which_a_dict_was_filled_decides_its_layout_and_nothing_else():
    one, two = torch.ones(2), torch.zeros(3)

    assert list(there_and_back({"s": [{"b": one, "a": two}]})["s"][0]) == ["b", "a"]
    assert list(there_and_back({"b": 1, "a": 2})) == ["b", "a"]
