"""What cannot be stored exactly is refused, by path, before a byte is written."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import math
import os
import pathlib
import typing
from fractions import Fraction

import msgpack
import numpy as np
import pandas as pd
import pytest
import torch
from exact import identical
from leaves import never, no_leaf

from tensorcache import tree
from tensorcache.errors import UnstorableValue

NIGHT = dt.datetime.fromisoformat("2020-10-25T02:30:00.000001")


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Config:
    lr: float = 0.1


class Pair(typing.NamedTuple):
    a: int = 1


class Numbers(list):
    pass


class Zone(dt.tzinfo):
    def utcoffset(self, _when):
        return dt.timedelta(0)


def nested(depth, kind=list):
    value: object = 1
    for _ in range(depth):
        value = {"k": value} if kind is dict else kind([value])
    return value


def cycle():
    ring: dict[str, object] = {"n": 1}
    ring["self"] = [ring]
    return ring


REFUSED = {
    "surrogates": ("\ud800", "os.fsencode"),
    "surrogates in a key": ({"\udcff": 1}, "os.fsencode"),
    "surrogates in a long list": (["a"] * 100 + ["\ud800"], "os.fsencode"),
    "surrogates in a set": ({"\ud800"}, "os.fsencode"),
    "surrogates in a zone's name": (
        NIGHT.replace(tzinfo=dt.timezone(dt.timedelta(0), "\ud800")),
        "os.fsencode",
    ),
    "list subclass": (Numbers([1]), "store list(it)"),
    "ordered dict": (collections.OrderedDict(a=1), "store dict(it)"),
    "default dict": (collections.defaultdict(int), "store dict(it)"),
    "counter": (collections.Counter("a"), "store dict(it)"),
    "named tuple": (Pair(), "_asdict()"),
    "dataclass": (Config(), "dataclasses.asdict(it)"),
    "dataclass type": (Config, "plain values"),
    "enum": (Colour.RED, "plain values"),
    "int enum": (Level.LOW, "store int(it)"),
    "bool subclass of numpy str": (np.str_("x"), "convert it"),
    "numpy bytes": (np.bytes_(b"x"), "convert it"),
    "numpy void": (np.void(b"x"), "convert it"),
    "long double": (np.longdouble(1), "convert it"),
    "complex long double": (np.clongdouble(1), "convert it"),
    "bytearray": (bytearray(b"x"), "plain values"),
    "memoryview": (memoryview(b"x"), "plain values"),
    "range": (range(3), "plain values"),
    "generator": ((i for i in ()), "plain values"),
    "path": (pathlib.Path("x"), "plain values"),
    "fraction": (Fraction(1, 3), "plain values"),
    "function": (math.sqrt, "plain values"),
    "module": (math, "plain values"),
    "data frame": (pd.DataFrame({"a": [1]}), "to_numpy()"),
    "series": (pd.Series([1]), "to_numpy()"),
    "pandas time": (pd.Timestamp("2020-01-01"), "plain values"),
    "pandas nothing": (pd.NA, "plain values"),
    "object array": (np.array([None]), "convert it to numbers"),
    "str array": (np.array(["x"]), "convert it to numbers"),
    "structured array": (np.zeros(2, "i4,f4"), "convert it to numbers"),
    "long double array": (np.zeros(2, np.longdouble), "convert it to numbers"),
    "masked array": (np.ma.array([1]), "np.asarray(it)"),
    "matrix": (np.ones((1, 1)).view(np.matrix), "np.asarray(it)"),
    "record array": (np.rec.array([(1,)], dtype=[("a", "i4")]), "np.asarray(it)"),
    "numpy dtype": (np.dtype("f4"), "plain values"),
    "zone of one's own": (NIGHT.replace(tzinfo=Zone()), "ZoneInfo by name"),
    "ext type of msgpack": (msgpack.ExtType(1, b""), "_asdict()"),
    "cycle": (cycle(), "is it a cycle?"),
    "too deep": (nested(40), "flatten it"),
    "too deep in tuples": (nested(40, tuple), "flatten it"),
    "too deep in dicts": (nested(40, dict), "flatten it"),
    "too deep in frozensets": ({nested(40, frozenset)}, "flatten it"),
    "too deep in a key": ({nested(40, tuple): 1}, "flatten it"),
    "tensor in a set": ({torch.zeros(2)}, "plain values"),
    "tensor as a key": ({torch.zeros(2): 1}, "plain values"),
    "parameter": (torch.nn.Parameter(torch.zeros(2)), "it.detach()"),
    "sparse tensor": (torch.eye(2).to_sparse(), "its dense parts"),
    "meta tensor": (torch.zeros(2, device="meta"), "its dense parts"),
    "storage": (torch.zeros(2).untyped_storage(), "plain values"),
    "torch dtype": (torch.float32, "plain values"),
}


def files_below(path):
    return {os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names}


@pytest.mark.parametrize(("value", "remedy"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_stored_is_refused_with_path_and_remedy(cache, root, value, remedy):
    key = cache.key({}, version="1", namespace="refused")
    before = files_below(root)

    for payload, path in [
        ({"metas": {"list": [0, {"x": value}]}}, "payload['metas']['list'][1]['x']"),
        ({"metas": [{"x": 0}, {"x": (0, value)}]}, "payload['metas'][1]['x'][1]"),
        ({"metas": [{"x": 0}, {"x": [0, value]}]}, "payload['metas'][1]['x'][1]"),
    ]:
        with pytest.raises(UnstorableValue) as refused:
            cache.put(key, payload)

        assert str(refused.value).startswith(path)
        assert remedy in str(refused.value)
        assert len(str(refused.value)) < 500
        assert isinstance(refused.value, TypeError)
    assert key not in cache
    assert files_below(root) == before


def test_a_payload_that_is_itself_refused_is_named():
    with pytest.raises(UnstorableValue, match=r"^payload: a builtins\.object"):
        tree.split(object(), no_leaf, never)


def test_the_path_of_an_odd_key_names_the_key():
    with pytest.raises(UnstorableValue, match=r"^payload\['s'\]\[7\]\['x'\]"):
        tree.split({"s": {7: {"x": object()}}}, no_leaf, never)


@pytest.mark.parametrize("kind", [list, tuple, dict])
def test_depth_has_its_limit(kind):
    # The payload is a level, its section the next.
    _, [section] = tree.split({"s": {"v": nested(31, kind)}}, no_leaf, never)
    assert identical(tree.unpack(tree.pack(section.tree)), {"v": nested(31, kind)})
    with pytest.raises(UnstorableValue, match="nested deeper than 32"):
        tree.split({"s": {"v": nested(32, kind)}}, no_leaf, never)


@pytest.mark.parametrize("kind", [list, tuple, dict])
def test_depth_has_its_limit_in_a_long_list_too(kind):
    _, [section] = tree.split({"s": [1, nested(31, kind)]}, no_leaf, never)
    [layout] = section.layouts
    assert identical(tree.unpack_rows(layout.document, 2), [1, nested(31, kind)])
    with pytest.raises(UnstorableValue, match="nested deeper than 32"):
        tree.split({"s": [1, nested(32, kind)]}, no_leaf, never)


def deep():
    value: dict[str, object] = {}
    for _ in range(2000):
        value = {"k": value}
    return value


def family():
    """A tree whose nodes know their parent: a cycle that branches."""
    top: dict[str, object] = {"n": 0}
    top["children"] = [{"parent": top, "n": n} for n in range(30)]
    return top


@pytest.mark.parametrize("make", [cycle, deep, family])
def test_cycles_and_depths_in_a_long_list_are_refused_by_path(make):
    with pytest.raises(UnstorableValue, match=r"^payload\['s'\]\[1\].*nested deeper than 32"):
        tree.split({"s": [{"n": 1}, make()]}, no_leaf, never)
