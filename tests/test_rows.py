"""Lazy lists: sequences equal to the lists they stand for, their columns, and devices."""

from __future__ import annotations

import collections.abc

import numpy as np
import pytest
import torch
from exact import identical
from small_entry import GIVEN, made, tensors_in

import tensorcache
from tensorcache import Batches

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A cache that tests read and none changes."""
    with tensorcache.open(tmp_path_factory.mktemp("shared") / "cache") as cache:
        cache.get_or_build({}, made, **GIVEN)
        yield cache
        assert cache.verify(deep=True) == []


@pytest.fixture
def entry(shared):
    """An entry of that cache, mapped anew."""
    return shared[shared.key({}, **GIVEN)]


# Lists: sequences equal to the lists they stand for.


@pytest.mark.parametrize("name", ["metas", "oof", "all", "arrays", "many", "empty"])
def test_a_list_is_equal_to_the_one_it_stands_for(entry, name):
    lazy, plain = entry[name], made()[name]

    assert lazy == plain
    assert plain == lazy
    assert lazy == entry[name]
    assert (lazy != plain) is False
    assert lazy != [*plain, None]
    assert lazy != "text"
    assert lazy != tuple(plain) or not plain
    assert isinstance(lazy, collections.abc.Sequence)
    assert identical(list(lazy), plain)


def test_lists_with_another_element_are_not_equal(entry):
    plain = made()["oof"]
    plain[3]["stats"][0, 0, 0] = -1

    assert entry["oof"] != plain
    assert entry["oof"][:3] == plain[:3]
    assert entry["oof"] != entry["all"]
    assert entry["oof"] == entry["all"][:6]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (torch.zeros(2), torch.zeros(2, dtype=torch.float64)),
        (torch.zeros(2), torch.zeros(1, 2)),
        (torch.zeros(2), torch.tensor([0.0, -0.0])),
        (torch.zeros(2), np.zeros(2, np.float32)),
        (torch.zeros(2), 0.0),
        (0.0, torch.zeros(2)),
        (0, np.zeros(3)),
        ({"a": torch.zeros(2)}, {"b": torch.zeros(2)}),
        ({"a": 1}, [1]),
        ((1,), [1]),
    ],
    ids=repr,
)
def test_elements_of_another_kind_are_not_equal(cache, one, other):
    entry = cache.get_or_build({}, lambda: [one, torch.ones(1)], **GIVEN)

    assert entry[""] != [other, torch.ones(1)]


def test_lists_equal_the_tensors_that_were_stored_as_views(cache):
    plane = torch.complex(torch.ones(2), torch.ones(2))
    stored = [plane.conj(), plane.conj().imag, torch.arange(6).reshape(2, 3).T, torch.tensor(1.0)]
    stored += [torch.full((2,), float("nan")), float("nan"), torch.ones(3)[:0]]
    stored += [plane.to(torch.complex32).conj()]

    entry = cache.get_or_build({}, lambda: stored, **GIVEN)

    assert entry[""] == stored


@pytest.mark.parametrize("name", ["metas", "oof", "many"])
def test_indices_are_those_of_a_list(entry, name):
    lazy, plain = entry[name], made()[name]
    n = len(plain)

    assert len(lazy) == n
    for i in (0, 1, n - 1, -1, -n, True, np.int64(1)):
        assert identical(lazy[i], plain[i])
    for i in (n, -n - 1):
        with pytest.raises(IndexError):
            lazy[i]
    for i in ("0", 1.0, None, (0, 1)):
        with pytest.raises(TypeError):
            lazy[i]


SLICES = [
    slice(None), slice(2, 5), slice(None, None, 2), slice(None, None, -1), slice(8, 1, -3),
    slice(-3, None), slice(5, 2), slice(100, 200), slice(-100, 100), slice(1, -1, 4),
]  # fmt: skip


@pytest.mark.parametrize("name", ["metas", "all"])
@pytest.mark.parametrize("cut", SLICES, ids=repr)
def test_slices_are_lists_of_the_same_kind(entry, name, cut):
    lazy, plain = entry[name], made()[name]

    assert type(lazy[cut]) is type(lazy)
    assert identical(list(lazy[cut]), plain[cut])
    assert identical(list(lazy[cut][1:][::-1]), plain[cut][1:][::-1])
    assert len(lazy[cut]) == len(plain[cut])


def test_lists_have_the_other_ways_of_a_sequence(entry):
    lazy, plain = entry["metas"], made()["metas"]

    assert list(reversed(lazy))[:3] == plain[::-1][:3]
    assert plain[7] in lazy
    assert {"team_ids": []} not in lazy
    assert lazy.index(plain[7]) == 7
    assert lazy.count(plain[7]) == 1
    with pytest.raises(TypeError):
        hash(lazy)
    with pytest.raises(TypeError):
        lazy[0] = 1


def test_each_access_makes_fresh_containers(entry):
    first = entry["metas"][3]
    first["team_ids"].append(9)
    entry["info"]["mode"] = "changed"
    element = entry["oof"][0]
    del element["stats"]

    assert entry["metas"][3] == made()["metas"][3]
    assert entry["info"]["mode"] == "seasons"
    assert "stats" in entry["oof"][0]


def test_representations_say_what_they_are(entry):
    assert repr(entry["metas"]) == "Rows(1999 elements)"
    assert repr(entry["empty"]) == "Rows(0 elements)"
    assert repr(entry["oof"][:2]) == (
        "Batches(2 elements: stats float32 (n, 3, 4), mask bool (n, 3), rel float32 (n))"
    )


def test_loops_over_lists_are_restartable_and_nested(entry):
    lazy = entry["oof"]

    assert [(a["n"], b["n"]) for a in lazy for b in lazy] == [
        (a, b) for a in range(6) for b in range(6)
    ]


# Columns, for people who batch by themselves.


@pytest.mark.parametrize("cut", [slice(None), slice(1, None, 3), slice(None, None, -1)], ids=repr)
@pytest.mark.parametrize("name", ["oof", "all"])
def test_columns_and_at_make_every_element(entry, name, cut):
    lazy, plain = entry[name][cut], made()[name][cut]

    assert set(lazy.columns) == set(lazy.at) == {"stats", "mask", "rel"}
    for field, at in lazy.at.items():
        assert (at.dtype, at.shape) == (torch.int64, (len(plain), 3))
        for element, (place, first, rows) in zip(plain, at.tolist(), strict=True):
            column = lazy.columns[field][place]
            assert identical(column[first : first + rows].clone(), element[field])


def test_columns_have_distinct_rows_and_those_of_other_sections_stand_last(entry):
    own, others = entry["all"].columns["stats"]

    assert own.shape == (4, 3, 4)
    assert others.shape == (6, 3, 4)
    assert identical(others.clone(), entry["oof"].columns["stats"][0].clone())


def test_no_two_fields_share_a_name(cache):
    element = {"a/b": torch.ones(2), "a": {"b": torch.zeros(2)}, "~0": torch.ones(1)}
    entry = cache.get_or_build(
        {}, lambda: {"s": [element, element], "t": [(torch.ones(1),)]}, **GIVEN
    )

    assert {name: column[0].tolist() for name, column in entry["s"].columns.items()} == {
        "a%2Fb": [1.0, 1.0], "a/b": [0.0, 0.0], "%7E0": [1.0],
    }  # fmt: skip
    assert list(entry["s"].at) == list(entry["s"].columns)
    assert list(entry["t"].columns) == ["~0"]


def test_absent_elements_are_minus_one(cache):
    entry = cache.get_or_build({}, lambda: [{"x": torch.ones(2)}, {}], **GIVEN)

    assert entry[""].at["x"].tolist() == [[0, 0, 2], [-1, 0, 0]]


def test_more_than_256_fields_have_one_column_index(entry):
    lazy = entry["many"]

    assert list(lazy.columns) == list(lazy.at) == [""]
    assert len(lazy.at[""]) == 301


# Devices.


@pytest.mark.parametrize("name", ["oof", "all", "arrays", "many"])
def test_a_list_on_another_device_has_the_same_elements(entry, name):
    assert entry[name].to("cpu") == made()[name]
    assert entry[name].to(torch.device("cpu"))[::-1] == made()[name][::-1]
    assert type(entry[name].to("cpu")) is Batches


def test_a_list_on_the_meta_device_has_shapes_and_no_data(entry):
    for lazy, plain in zip(entry["all"].to("meta"), made()["all"], strict=True):
        assert lazy["stats"].is_meta
        assert lazy["stats"].shape == plain["stats"].shape
        assert lazy["mask"].dtype == plain["mask"].dtype
        assert lazy["n"] == plain["n"]
    assert all(c.is_meta for columns in entry["all"].to("meta").columns.values() for c in columns)


def test_arrays_stay_where_they_are(entry):
    lazy = entry["arrays"].to("meta")[2]

    assert identical(lazy["x"], made()["arrays"][2]["x"])
    assert lazy["w"].is_meta
    assert lazy["w"].requires_grad


def test_rows_have_nothing_to_move(entry):
    assert entry["metas"].to("meta") == made()["metas"]


def test_load_puts_every_tensor_on_the_device(entry):
    loaded = entry.load(device="meta")

    assert loaded["info"]["weights"].is_meta
    assert loaded["inner"]["long"][39][0].is_meta
    assert loaded["many"][0]["f299"].is_meta
    assert loaded["oof"][3]["stats"].is_meta
    assert type(loaded["oof"]) is list
    assert loaded["metas"] == made()["metas"]
    assert identical(entry.load(device="cpu"), made())


def test_a_column_goes_to_a_device_once_however_often_it_is_referred_to(cache):
    shared = torch.arange(8.0)
    payload = {"a": [{"x": shared, "y": shared}], "b": [shared], "c": {"d": shared}}
    entry = cache.get_or_build({}, lambda: payload, **GIVEN)

    loaded = entry.load(device="meta")

    storages = {tensor.untyped_storage()._cdata for tensor in tensors_in(loaded)}
    assert len(list(tensors_in(loaded))) == 4
    assert len(storages) == 1
    columns = entry["a"].to("meta").columns
    assert columns["x"][0] is columns["y"][0]
