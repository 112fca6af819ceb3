"""Values: each comes back as it was, bit for bit, or is refused by path before a byte is there."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import math
import struct
import zoneinfo
from decimal import Decimal

import msgpack
import numpy as np
import pytest
from exact import identical
from hypothesis import given, settings
from hypothesis import strategies as st
from leaves import Leaf, are_leaves, is_leaf, never, no_leaf

from tensorcache import tree
from tensorcache.errors import EntryCorrupt

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
NIGHT = dt.datetime.fromisoformat("2020-10-25T02:30:00.000001")


def packed(value):
    """A plain value as it stands in a structure."""
    _, [section] = tree.split({"s": {"v": value}}, no_leaf, never)
    return tree.pack(section.tree["v"])


def there_and_back(value):
    return tree.unpack(packed(value))


def double(bits):
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


# Exactly as it was.

EXACT = {
    "none": None,
    "bools and the numbers that equal them": [True, 1, 1.0, False, 0, 0.0],
    "ints at the ends of 64 bits": [-(1 << 63), (1 << 63) - 1, 1 << 63, (1 << 64) - 1],
    "ints beyond 64 bits": [1 << 64, -(1 << 63) - 1, 1 << 1000, -(1 << 1000), -(1 << 71), 1 << 71],
    "floats": [0.0, -0.0, 0.1, 5e-324, math.inf, -math.inf],
    "nan bits": [double(0x7FF8 << 48), double(0xFFF8 << 48 | 5), double(0x7FF0 << 48 | 1)],
    "complex": [1j, complex(-0.0, math.nan), complex(math.inf, -0.0)],
    "str": ["", "\u00e9t\u00e9", "e\u0301te\u0301", "\U0001f3c0", "\x00", "x" * 70_000],
    "bytes": [b"", b"\x00\xff", b"x" * 70_000],
    "lists and tuples": [[], (), [()], ([],), (1, [2, (3,)]), [[1], (1,)]],
    "dicts in their order": {"b": 1, "a": {"z": 2, "y": {}}},
    "dicts with odd keys": {1: "a", "1": "b", 2.5: 0, None: {}, (1, ("x",)): [], b"k": 1},
    "dicts with keys of time": {dt.date(2020, 1, 2): 1, NIGHT: 2, frozenset({1}): 3},
    "a dict with a nan key": {math.nan: 1},
    "sets": [set(), {1, 2.5, "x", None, b"y", (1, (2,))}, {frozenset({1}), frozenset()}],
    "frozensets": [frozenset(), frozenset({1, "a"})],
    "dates": [dt.date.min, dt.date.max],
    "times": [dt.time.min, dt.time.max, dt.time(1, 2, 3, 4, fold=1), dt.time(1, tzinfo=dt.UTC)],
    "datetimes": [*map(dt.datetime.fromisoformat, ("0001-01-01", "9999-12-31")), NIGHT],
    "datetimes with a fixed offset": [
        NIGHT.replace(tzinfo=zone)
        for zone in (
            dt.UTC,
            dt.timezone(dt.timedelta(0), "Zulu"),
            dt.timezone(dt.timedelta(hours=-5)),
            dt.timezone(dt.timedelta(microseconds=-1)),
        )
    ],
    "datetimes of a zone, the hour that comes twice": [
        NIGHT.replace(tzinfo=BERLIN),
        NIGHT.replace(tzinfo=BERLIN, fold=1),
    ],
    "timedeltas": [dt.timedelta.min, dt.timedelta.max, dt.timedelta(microseconds=-1)],
    "decimals": [*map(Decimal, ("1.10", "1.1", "-0", "0E+7", "Infinity", "NaN12", "-sNaN"))],
    "numpy ints": [np.int8(-1), np.uint8(255), np.int16(-2), np.int64(-3), np.uint64(2**64 - 1)],
    "numpy bools": [np.True_, np.False_],
    "numpy floats": [np.float16(0.1), np.float32(-0.0), np.float64(0.1), np.float32("nan")],
    "numpy complex": [np.complex64(1j), np.complex128(complex(math.nan, -0.0))],
    "numpy times": [
        np.datetime64("2020-01-02"),
        np.datetime64("2020-01-02T03:04:05.678901234"),
        np.datetime64("NaT"),
        np.datetime64("NaT", "s"),
        np.timedelta64(7, "25s"),
        np.timedelta64(-1, "ns"),
    ],
    "numpy scalars as keys and members": {np.int64(1): {np.float32(2)}},
}  # fmt: skip


@pytest.mark.parametrize("value", EXACT.values(), ids=EXACT)
def test_every_value_of_the_table_comes_back_exactly(value):
    assert identical(there_and_back(value), value)


def test_values_of_the_table_survive_a_cache(cache):
    key = cache.key({}, version="1", namespace="exact")
    cache.put(key, EXACT)

    assert identical(cache[key].load(), EXACT)


def test_a_long_double_alias_of_int64_comes_back_as_the_int64_it_is():
    back = there_and_back(np.longlong(3))

    assert back.dtype == np.longlong
    assert back == 3


def test_aliased_containers_are_parted():
    shared = [1]

    first, second = there_and_back([shared, shared])
    first.append(2)

    assert second == [1]


ZONES = st.sampled_from(
    [None, dt.UTC, dt.timezone(dt.timedelta(minutes=-90), "x"), BERLIN, zoneinfo.ZoneInfo("UTC")]
)
FLOATS = st.floats() | st.integers(0, 2**64 - 1).map(double)
HASHABLE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(1 << 80), 1 << 80),
    FLOATS,
    st.builds(complex, FLOATS, FLOATS),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.binary(max_size=8),
    st.dates(),
    st.times(timezones=ZONES),
    st.datetimes(timezones=ZONES, allow_imaginary=True),
    st.timedeltas(),
    st.decimals(),
    st.sampled_from([np.float32(0.1), np.int8(-1), np.datetime64("2020-01-01", "us"), np.True_]),
)
MEMBERS = st.recursive(
    HASHABLE.filter(lambda v: not isinstance(v, Decimal) or not v.is_snan()),  # which has no hash
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=2),
    max_leaves=4,
)
VALUES = st.recursive(
    HASHABLE,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(st.text("ab#/", max_size=2), inner, max_size=3),
        st.dictionaries(MEMBERS, inner, max_size=3),
        st.sets(MEMBERS, max_size=3),
        st.frozensets(MEMBERS, max_size=3),
    ),
    max_leaves=16,
)


@settings(max_examples=400, deadline=None)
@given(VALUES)
def test_any_value_comes_back_exactly(value):
    assert identical(there_and_back(value), value)


@settings(max_examples=100, deadline=None)
@given(st.lists(VALUES, max_size=40))
def test_a_list_is_one_skeleton_or_a_row_for_each_element(values):
    _, [section] = tree.split({"s": values}, no_leaf, never)
    [layout] = section.layouts

    document = layout.document
    rows = [document[begin:end] for begin, end in itertools.pairwise([0, *layout.ends])]
    assert identical([tree.unpack(row) for row in rows], values)
    assert identical(tree.unpack_rows(document, layout.length), values)
    assert layout.skeleton == (rows[0] if len({bytes(row) for row in rows}) == 1 else None)


def long(kinds, length=600):
    """A list longer than what is looked at together, of a few kinds that take turns."""
    return [kinds[n * len(kinds) // length] for n in range(length)]


@pytest.mark.parametrize(
    "kinds",
    [
        [{"a": 1}, {"a": 1, "b": [2, {"c": None}]}],  # plain throughout
        [{"a": [1]}, {"a": (1,)}, {"a": [1]}],  # plain, but for a run in the middle
        [{"a": {1: "x"}}, {"a": {"1": "x"}}],
        [[[1]], [{2}], [1 << 80], ["\u00e9"], [b"x"]],
        [5, None, 2.5, {}, [], ""],
    ],
    ids=str,
)
def test_a_long_list_is_exact_whatever_its_elements_lie_beside(kinds):
    values = long(kinds)
    _, [section] = tree.split({"s": values}, no_leaf, never)
    [layout] = section.layouts

    assert identical(tree.unpack_rows(layout.document, layout.length), values)


@pytest.mark.parametrize(
    "other",
    [
        {"x": Leaf(), "y": {"z": Leaf()}},
        {"y": {"z": Leaf()}, "x": Leaf()},
        {"x": Leaf(), "y": {"z": Leaf(), "w": Leaf()}},
        {"x": Leaf(), "y": {"z": 5}},
        {"x": Leaf()},
        {"x": Leaf(), "y": {7: Leaf()}},
        {"x": Leaf(), "y": [Leaf()]},
        Leaf(),
        {},
    ],
    ids=["alike", "order", "more", "plain", "fewer", "odd key", "list", "bare", "empty"],
)
@pytest.mark.parametrize("place", [0, 1, 255, 256, 599])
def test_elements_of_tensors_are_told_from_those_that_only_look_alike(other, place):
    values = [{"x": Leaf(), "y": {"z": Leaf()}} for _ in range(600)]
    values[place] = other
    _, [section] = tree.split({"s": values}, is_leaf, are_leaves)
    [layout] = section.layouts
    by_place = {
        (number, element): leaf
        for number, field in enumerate(layout.fields)
        for element, leaf in zip(field.which, field.leaves, strict=True)
    }
    ends = itertools.pairwise([0, *layout.ends])

    again = [
        tree.unpack(layout.document[begin:end], lambda n, at=element: by_place[n, at])
        for element, (begin, end) in enumerate(ends)
    ]
    assert again == values


# The ext codes: frozen, and never used for anything else.

GOLDEN = [
    ((1, "a"), "d602 9201a161"),
    ({1: "a"}, "d603 9201a161"),
    (1 << 64, "c70904 010000000000000000"),
    (-(1 << 63) - 1, "c70904 ff7fffffffffffffff"),
    (dt.date(2020, 1, 2), "c70a05 323032302d30312d3032"),
    (dt.time(1, 2, 3), "c70c06 93a830313a30323a303300c0"),
    (dt.time(1, fold=1, tzinfo=dt.UTC), "c70d06 93a830313a30303a3030019100"),
    (
        dt.datetime(2020, 1, 2, tzinfo=zoneinfo.ZoneInfo("UTC")),
        "c71a07 93b3323032302d30312d30325430303a30303a303000a3555443",
    ),
    (
        dt.datetime(2020, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=-5), "E")),
        "c72207 93b3323032302d30312d30325430303a30303a30300092d3fffffffbcf1dcc00a145",
    ),
    (dt.timedelta(-1, 2, 3), "d608 93ff0203"),
    ({2, 1}, "c70709 dd000000020102"),
    (frozenset({"b", "a"}), "c7090a dd00000002a161a162"),
    (1 + 2j, "d80b 000000000000f03f0000000000000040"),
    (np.float32(1), "c70b0c 92a33c6634c4040000803f"),
    (np.True_, "d70c 92a37c6231c40101"),
    (Decimal("1.10"), "d60d 312e3130"),
]


@pytest.mark.parametrize(
    ("value", "code"),
    GOLDEN,
    ids=[code.split()[0] + f" {type(value).__name__}" for value, code in GOLDEN],
)
def test_ext_codes_are_frozen(value, code):
    assert packed(value).hex() == code.replace(" ", "")
    assert identical(tree.unpack(bytes.fromhex(code)), value)


def test_places_of_columns_are_ext_code_1():
    leaf = object()
    _, [section] = tree.split({"s": [(leaf, 5)]}, lambda value, _: value is leaf, never)
    [layout] = section.layouts

    assert layout.skeleton.hex() == "c70502" + "92" + "d40100" + "05"


def test_any_msgpack_reader_gets_the_plain_values():
    value = {"a": [1, -2.5, "x", b"y", None, True], "b": {}}

    assert msgpack.unpackb(packed(value)) == value


def test_sets_pack_alike_whatever_their_order():
    words = [f"w{i}" for i in range(100)]

    assert packed(set(words)) == packed({*words[50:], *words[:50]})


# What is broken says so.


@pytest.mark.parametrize(
    "data",
    ["", "92", "c1", "a2c328", "81c0c0", "8101c0", "c0c0", "c7040e 00000000", "c70101 c0",
     "dd ffffffff", "c6 ffffffff", "d503 91c0", "c70105 61", "c7030c 92a131", "d5ff 0000"],
)  # fmt: skip
def test_bytes_that_are_none_of_ours_are_corrupt(data):
    with pytest.raises(EntryCorrupt):
        tree.unpack(bytes.fromhex(data))


@settings(max_examples=300, deadline=None)
@given(VALUES, st.data())
def test_a_changed_byte_is_another_value_or_corrupt_and_never_another_error(value, data):
    raw = bytearray(packed(value))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))

    with contextlib.suppress(EntryCorrupt):
        tree.unpack(bytes(raw))
